// From an admitted exchange to a connected socket: resolve, have the gate judge what came back, dial
// only that. The one place where the three meet.
import type { OnReadOpts, Socket } from 'node:net'
import type { Clock } from '../clock.ts'
import type { Deadlines } from '../deadlines.ts'
import { ProxyError } from '../errors.ts'
import type { Admitted } from '../gate/admitted.ts'
import { ParentTarget, Vetted } from '../gate/admitted.ts'
import type { Gate } from '../gate/gate.ts'
import type { Refusal } from '../gate/refusal.ts'
import type { Abandonment } from './abandonment.ts'
import type { IpAddress } from '../target/address.ts'
import { dial } from './dial.ts'
import type { OriginTls, TlsRequest } from './origin-tls.ts'
import type { ParentProxy } from './parent-proxy.ts'
import type { Resolver } from './resolver.ts'

/** Where an admitted exchange may go: vetted addresses, or a name that the parent proxy resolves. */
export type Destination = Vetted | ParentTarget

export interface ReachOptions {
  readonly resolver: Resolver
  readonly gate: Gate
  readonly parent: ParentProxy | undefined
  readonly connectTimeoutMs: number
  /** as of RaceOptions */
  readonly descriptorCeiling?: number | undefined
  readonly clock: Clock
  readonly deadlines: Deadlines
  /** absent: no TLS is spoken from here */
  readonly originTls?: OriginTls
}

export interface ConnectOptions {
  readonly abandonment?: Abandonment
  /** the socket reads through it and comes paused; not used through a parent proxy */
  readonly onread?: (() => OnReadOpts) | undefined
  /** TLS is spoken on the connection, to the destination's own name; `onread` is then not used */
  readonly tls?: TlsRequest | undefined
}

export class Reach {
  readonly #options: ReachOptions

  constructor(options: ReachOptions) {
    this.#options = options
  }

  /** What a change of policy is judged by; undefined through a parent proxy, which is then the far end. */
  judgedAddresses(destination: Destination): readonly IpAddress[] | undefined {
    return destination instanceof Vetted && this.#options.parent === undefined ? destination.addresses : undefined
  }

  /** Resolves the name and has the answer judged. Throws ProxyError dns_*. */
  async destination(admitted: Admitted): Promise<Destination | Refusal> {
    const { gate, resolver, parent } = this.#options
    const { client, facts: { host, principal } } = admitted.exchange
    if (parent?.resolve === 'parent') {
      const target = gate.admitParent(admitted)
      if (target !== undefined) return target
    }
    const addresses = host.kind === 'ip' ? [host.ip] : (await resolver.resolve(host.text, { owner: `${principal.session} ${client.address}` })).addresses
    return gate.admitAddresses(admitted, addresses)
  }

  /**
   * Connects; with `tls`, through the parent's tunnel too, what comes back is a TLSSocket whose handshake and
   * checks are done. Throws ProxyError connection_*, destination_unroutable, out_of_descriptors, parent_*, tls_*.
   */
  connect(destination: Destination, options: ConnectOptions = {}): Promise<Socket> {
    if (options.tls !== undefined) return this.#connectTls(destination, options.tls, options.abandonment)
    return this.#connectPlain(destination, options.abandonment, options.onread)
  }

  async #connectTls(destination: Destination, tls: TlsRequest, abandonment: Abandonment | undefined): Promise<Socket> {
    const { originTls, connectTimeoutMs } = this.#options
    if (originTls === undefined) throw new ProxyError('internal_error', 'TLS to origins is not set up')
    const socket = await this.#connectPlain(destination, abandonment, undefined)
    return originTls.start(socket, { ...tls, host: destination.host, timeoutMs: connectTimeoutMs, abandonment })
  }

  #connectPlain(destination: Destination, abandonment: Abandonment | undefined, onread: (() => OnReadOpts) | undefined): Promise<Socket> {
    const { parent, connectTimeoutMs, descriptorCeiling, clock, deadlines } = this.#options
    if (parent !== undefined) return parent.dial(destination, { connectTimeoutMs, descriptorCeiling, clock, deadlines, abandonment })
    if (destination instanceof ParentTarget) throw new Error('a parent target without a parent proxy')
    return dial(destination, { connectTimeoutMs, descriptorCeiling, clock, deadlines, abandonment, onread })
  }
}

export function isRefusal(value: Destination | Refusal): value is Refusal {
  return !(value instanceof Vetted) && !(value instanceof ParentTarget)
}
