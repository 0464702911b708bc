// Connects to one of several addresses (RFC 8305): families in turn, a new attempt when one fails or is
// slow, the first connected socket wins and every other one is destroyed. It never takes a name. Only
// dial.ts and parent-proxy.ts may use it: it does not know whether anybody vetted the addresses.
import type { Socket } from 'node:net'
import type { Clock } from '../clock.ts'
import type { Deadline, Deadlines } from '../deadlines.ts'
import { ProxyError } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'
import type { IpAddress } from '../target/address.ts'
import type { Abandonment } from './abandonment.ts'
import { descriptorOf } from './arm-socket.ts'

export interface RaceOptions {
  /** a socket that is connecting to this address */
  readonly open: (address: IpAddress) => Socket
  readonly port: number
  /** `ms` for all attempts together */
  readonly connectTimeoutMs: number
  /** `ms` until the next address is tried beside the one that has not answered; default 250 (RFC 8305 section 5) */
  readonly attemptDelayMs?: number
  /** a socket whose descriptor has this number or a higher one is not used; default: every one is */
  readonly descriptorCeiling?: number | undefined
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly abandonment?: Abandonment | undefined
}

// a name with hundreds of addresses must not make one request connect hundreds of times
const maxAttempts = 16
const defaultAttemptDelayMs = 250

/** Throws ProxyError connection_refused, connection_reset, connection_timeout, destination_unroutable, out_of_descriptors, internal_error. */
export function raceToConnect(addresses: readonly IpAddress[], options: RaceOptions): Promise<Socket> {
  const inTurn = interleave(addresses)
  return new Race(inTurn.length > maxAttempts ? inTurn.slice(0, maxAttempts) : inTurn, options).run()
}

/** The families in turn, beginning with the family of the first address; within a family the order stays. */
export function interleave(addresses: readonly IpAddress[]): readonly IpAddress[] {
  if (addresses.length === 1) return addresses
  const first = addresses.filter((ip) => ip.family === addresses[0]?.family)
  const second = addresses.filter((ip) => ip.family !== addresses[0]?.family)
  const longest = Math.max(first.length, second.length)
  return Array.from({ length: longest }, (_, i) => [first[i], second[i]]).flat().filter((ip) => ip !== undefined)
}

interface Attempt {
  readonly socket: Socket
  readonly ip: IpAddress
}

class Race {
  readonly #addresses: readonly IpAddress[]
  readonly #options: RaceOptions
  readonly #done = Promise.withResolvers<Socket>()
  #connecting: Attempt[] = []
  readonly #failures: { readonly ip: IpAddress; readonly cause: string }[] = []
  readonly #startedAtMs: number
  #next = 0
  #delay: NodeJS.Timeout | undefined
  #deadline: Deadline | undefined
  #isOver = false

  constructor(addresses: readonly IpAddress[], options: RaceOptions) {
    this.#addresses = addresses
    this.#options = options
    this.#startedAtMs = options.clock.monotonic()
  }

  run(): Promise<Socket> {
    const { abandonment, connectTimeoutMs, deadlines } = this.#options
    this.#deadline = deadlines.in(connectTimeoutMs, () => this.#expire())
    abandonment?.listen(() => this.#abandon())
    if (abandonment?.isAbandoned === true) this.#abandon()
    else this.#attempt()
    return this.#done.promise
  }

  #abandon(): void {
    this.#fail(new ProxyError('connection_reset', 'given up before a connection stood'))
  }

  /** Nothing of it goes on, and whoever has not won is closed. */
  #end(): void {
    const { abandonment, deadlines } = this.#options
    this.#isOver = true
    if (this.#deadline !== undefined) deadlines.cancel(this.#deadline)
    clearTimeout(this.#delay)
    abandonment?.listen(undefined)
    for (const { socket } of this.#connecting) socket.destroy()
  }

  #attempt(): void {
    clearTimeout(this.#delay)
    const ip = this.#addresses[this.#next++]
    if (ip === undefined) {
      if (this.#connecting.length === 0) this.#fail(this.#explain())
      return
    }
    try {
      const socket = this.#options.open(ip)
      this.#watch(socket, ip)
      // node asks for the descriptor a tick later
      if (this.#options.descriptorCeiling !== undefined) process.nextTick(() => this.#checkDescriptor(socket))
    } catch (error) {
      // such as no memory for a socket: the next address would fare no better
      this.#fail(new ProxyError('internal_error', `no socket for ${ip.text}`, { cause: error }))
      return
    }
    if (this.#next < this.#addresses.length) {
      this.#delay = setTimeout(() => this.#attempt(), this.#options.attemptDelayMs ?? defaultAttemptDelayMs)
    }
  }

  #checkDescriptor(socket: Socket): void {
    const number = descriptorOf(socket)
    if (number === undefined || number < (this.#options.descriptorCeiling ?? Infinity)) return
    this.#fail(new ProxyError('out_of_descriptors', `the connection would have the descriptor ${number}, which is kept back`))
  }

  #watch(socket: Socket, ip: IpAddress): void {
    const attempt = { socket, ip }
    this.#connecting.push(attempt)
    // stays on the socket for good: an error between here and the caller's first listener must not end
    // the process; the caller sees it as `close` and on `socket.errored`
    socket.on('error', (error) => this.#failed(attempt, error))
    socket.once('connect', () => this.#connected(attempt))
  }

  #connected(attempt: Attempt): void {
    if (this.#isOver) return
    this.#drop(attempt)
    this.#end()
    this.#done.resolve(attempt.socket)
  }

  #failed(attempt: Attempt, error: Error): void {
    if (this.#isOver || !this.#drop(attempt)) return
    this.#failures.push({ ip: attempt.ip, cause: 'code' in error ? String(error.code) : error.message })
    this.#attempt()
  }

  /** False when it was no longer under way. */
  #drop(attempt: Attempt): boolean {
    const at = this.#connecting.indexOf(attempt)
    if (at !== -1) this.#connecting.splice(at, 1)
    return at !== -1
  }

  #expire(): void {
    for (const { ip } of this.#connecting) this.#failures.push({ ip, cause: 'ETIMEDOUT' })
    // whatever else was refused meanwhile, this is what the client waited for
    this.#fail(new ProxyError('connection_timeout', this.#describe()))
  }

  #explain(): ProxyError {
    if (this.#failures.length === 0) return new ProxyError('destination_unroutable', 'there is no address to connect to')
    const codes = this.#failures.map((failure) => codeOf(failure.cause))
    return new ProxyError(telling.find((code) => codes.includes(code)) ?? 'connection_reset', this.#describe())
  }

  #describe(): string {
    const { port, clock } = this.#options
    const tried = this.#failures.map(({ ip, cause }) => `${ip.family === 6 ? `[${ip.text}]` : ip.text}:${port} ${cause}`)
    const untried = this.#addresses.length - this.#failures.length
    const rest = untried > 0 ? `, ${untried} more not tried` : ''
    return `${tried.join(', ')}${rest}, after ${Math.round(clock.monotonic() - this.#startedAtMs)} ms`
  }

  #fail(error: ProxyError): void {
    if (this.#isOver) return
    this.#end()
    this.#done.reject(error)
  }
}

// of several failures the one that says most: our own limit, then what came nearest to a connection
const telling = ['internal_error', 'connection_refused', 'connection_reset', 'connection_timeout', 'destination_unroutable'] as const

function codeOf(cause: string): ErrorCode {
  switch (cause) {
    case 'ECONNREFUSED':
      return 'connection_refused'
    case 'ETIMEDOUT':
      return 'connection_timeout'
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'EHOSTDOWN':
    case 'ENETDOWN':
    case 'EADDRNOTAVAIL':
    case 'EAFNOSUPPORT':
    case 'EINVAL':
    case 'EACCES':
    case 'EPERM':
      return 'destination_unroutable'
    case 'EMFILE':
    case 'ENFILE':
    case 'ENOBUFS':
      return 'internal_error'
    default:
      return 'connection_reset'
  }
}
