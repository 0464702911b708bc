// The one way to an origin: a TCP connection to an address that the gate vetted. It never looks a name up,
// never tries an address that is not in the list, and leaves no socket behind when it fails.
import { connect } from 'node:net'
import type { OnReadOpts, Socket } from 'node:net'
import type { Clock } from '../clock.ts'
import type { Deadlines } from '../deadlines.ts'
import { ProxyError } from '../errors.ts'
import { Vetted } from '../gate/admitted.ts'
import type { IpAddress } from '../target/address.ts'
import type { Abandonment } from './abandonment.ts'
import { raceToConnect } from './happy-eyeballs.ts'

export interface DialOptions {
  /** `ms` for all addresses together */
  readonly connectTimeoutMs: number
  /** as of RaceOptions */
  readonly descriptorCeiling?: number | undefined
  readonly clock: Clock
  readonly deadlines: Deadlines
  /**
   * Called once for each attempt. The socket then comes half-open allowed and paused, so that only the
   * winner ever reads, after `resume()`: all attempts may share one reader.
   */
  readonly onread?: (() => OnReadOpts) | undefined
  /** the client is gone: everything stops, with connection_reset */
  readonly abandonment?: Abandonment | undefined
}

/**
 * Connects by Happy Eyeballs (RFC 8305) over `vetted.addresses`. Throws ProxyError connection_refused,
 * connection_reset, connection_timeout, destination_unroutable, out_of_descriptors; the detail lists each address and cause.
 */
export function dial(vetted: Vetted, options: DialOptions): Promise<Socket> {
  if (!Vetted.isGenuine(vetted)) return Promise.reject(new ProxyError('internal_error', 'dial of addresses that the gate did not vet'))
  const { port } = vetted
  const { connectTimeoutMs, descriptorCeiling, clock, deadlines, abandonment, onread } = options
  return raceToConnect(vetted.addresses, { connectTimeoutMs, descriptorCeiling, clock, deadlines, abandonment, port, open: (ip) => openSocket(ip, port, onread?.()) })
}

/** A socket that is connecting to `ip`. */
function openSocket(ip: IpAddress, port: number, onread: OnReadOpts | undefined): Socket {
  const host = ip.text
  if (onread === undefined) return connect({ host, port, autoSelectFamily: false, noDelay: true })
  const socket = connect({ host, port, autoSelectFamily: false, noDelay: true, allowHalfOpen: true, onread })
  socket.pause()
  return socket
}
