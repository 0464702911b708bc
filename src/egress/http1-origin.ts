// One kept-alive HTTP/1.1 connection to an origin, which serves one exchange at a time. A GET without a body is written and
// read on the bare socket; with the first exchange, or the first answer, that is anything else, undici has the
// connection from there on. Must never dial twice, nor hand on a connection whose answer was not read to its end.
import type { Socket } from 'node:net'
import { ProxyError } from '../errors.ts'
import { dropListeners } from './arm-socket.ts'
import { BareExchange } from './bare-exchange.ts'
import { bareRequest } from './bare-request.ts'
import { BorrowedSocket } from './borrowed-socket.ts'
import type { NextTurn } from './next-turn.ts'
import { StaleConnection, type AnswerHandler, type ConnectionOwner, type ConnectionSettings, type Dial, type OriginConnection, type OriginRequest } from './origin-connection.ts'
import type { OriginWatch, Watched } from './origin-watch.ts'
import type { ReadBuffers } from './read-buffers.ts'
import { ReadPump } from './read-pump.ts'
import { UndiciOrigin } from './undici-origin.ts'

/** The origin ended the connection while an answer was owed. */
class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost'
  readonly code = 'ECONNRESET'

  constructor() {
    super('the origin closed the connection')
  }
}

/** What the connections of a forwarder share. */
export interface ConnectionParts {
  readonly buffers: ReadBuffers
  readonly watch: OriginWatch
  readonly nextTurn: NextTurn
}

/** One that is no bare GET. */
interface OtherRequest {
  readonly options: OriginRequest
  readonly handler: AnswerHandler
}

// an origin closes in about the time it says; a request that is on its way then would be lost
const closingMs = 2_000

export class Http1Origin implements OriginConnection, Watched {
  readonly httpVersion = '1.1'
  reused = false
  place = -1
  movedAt = 0
  readonly #connect: Dial
  readonly #settings: ConnectionSettings
  readonly #parts: ConnectionParts
  readonly #owner: ConnectionOwner
  readonly #pump: ReadPump
  #socket: Socket | undefined
  #exchange: BareExchange | undefined
  #options: OriginRequest | undefined
  /** not written before what was pending has been read */
  #waiting: OtherRequest | undefined
  /** has the connection, once it is no bare one any more */
  #passed: UndiciOrigin | undefined
  #peerAddress: string | undefined
  /** its last answer lets another follow */
  #mayServe = true
  #keptMs: number
  #gone = false

  constructor(connect: Dial, settings: ConnectionSettings, parts: ConnectionParts, owner: ConnectionOwner) {
    this.#connect = connect
    this.#settings = settings
    this.#parts = parts
    this.#owner = owner
    this.#pump = new ReadPump(parts.buffers, 'plain and tls')
    this.#keptMs = settings.keepAliveMs
  }

  get peerAddress(): string | undefined {
    return this.#peerAddress ?? this.#passed?.peerAddress
  }

  dispatch(options: OriginRequest, handler: AnswerHandler): void {
    const request = this.#passed === undefined ? bareRequest(options) : undefined
    if (request === undefined) {
      this.#dispatchOther({ options, handler })
      return
    }
    const exchange = new BareExchange(request, handler, this.#settings, this.#resume)
    this.#exchange = exchange
    this.#options = options
    handler.onRequestStart(exchange)
    if (this.#socket === undefined) void this.#dial()
    // what was said unasked since the last answer is read first: it must not become this one's (GHSA-35p6-xmwp-9g52)
    else this.#parts.nextTurn.add(this.#write)
  }

  #dispatchOther(other: OtherRequest): void {
    if (this.#passed === undefined && this.#socket !== undefined) {
      // undici would take the connection for a new one, and write at once
      this.#waiting = other
      this.#parts.nextTurn.add(this.#passOn)
      return
    }
    this.#passed ??= this.#pass(undefined)
    this.#passed.dispatch(other.options, other.handler)
  }

  readonly #passOn = (): void => {
    const other = this.#waiting
    if (other === undefined) return
    this.#waiting = undefined
    this.#passed = this.#pass(undefined)
    this.#passed.dispatch(other.options, other.handler)
  }

  release(): void {
    if (this.#gone) return
    if (this.#passed !== undefined) {
      this.#passed.release()
    } else if (this.#mayServe) {
      this.movedAt = this.#parts.watch.step
      this.#owner.released(this)
    } else {
      this.destroy()
    }
  }

  destroy(reason: Error | null = null): void {
    if (this.#gone) return
    if (this.#passed !== undefined) {
      this.#passed.destroy(reason)
      return
    }
    this.#socket?.destroy()
    this.#end()
    const exchange = this.#exchange
    this.#exchange = undefined
    exchange?.handler.onResponseError(exchange, exchange.isWritten ? (reason ?? new ConnectionLost()) : new StaleConnection())
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.handler.onResponseError(null, new StaleConnection())
  }

  get limitMs(): number | undefined {
    const exchange = this.#exchange
    if (this.#passed !== undefined) return undefined
    if (exchange === undefined) return this.#keptMs
    return exchange.isWritten && !exchange.isPaused ? this.#settings.originTimeoutMs : undefined
  }

  expired(): void {
    this.destroy(this.#exchange === undefined ? null : new ProxyError('origin_timeout', 'the origin said nothing in time'))
  }

  async #dial(): Promise<void> {
    let socket: Socket
    try {
      socket = await this.#connect(() => this.#pump.onread)
    } catch (error) {
      this.#fail(error)
      return
    }
    if (this.#gone) {
      socket.destroy()
      return
    }
    this.#socket = socket
    this.#peerAddress = socket.remoteAddress
    socket.on('end', () => this.#lost(undefined))
    socket.on('error', (error) => this.#lost(error))
    socket.on('close', () => {
      this.#lost(undefined)
      dropListeners(socket)
    })
    this.#parts.watch.add(this)
    this.#pump.listen(socket, (chunk) => this.#read(chunk))
    this.#write()
  }

  readonly #write = (): void => {
    const exchange = this.#exchange
    const socket = this.#socket
    if (exchange === undefined || socket === undefined) return
    if (!socket.writable) {
      this.destroy()
      return
    }
    exchange.isWritten = true
    this.movedAt = this.#parts.watch.step
    socket.write(exchange.request, 'latin1')
  }

  #read(chunk: Buffer): boolean {
    const exchange = this.#exchange
    // what nobody asked for is nobody's answer
    if (exchange?.isWritten !== true) {
      this.destroy()
      return false
    }
    this.movedAt = this.#parts.watch.step
    try {
      const progress = exchange.read(chunk)
      // the client left meanwhile
      if (this.#gone) return false
      if (progress === 'odd') this.#passAnswer(exchange, Buffer.from(chunk))
      else if (progress === 'done') this.#answered(exchange)
      else return !exchange.isPaused
    } catch (error) {
      this.#fail(error)
    }
    return !this.#gone
  }

  /** The answer is whole. */
  #answered(exchange: BareExchange): void {
    const { keepAliveMs } = this.#settings
    const { isKept = false, keptMs } = exchange.head ?? {}
    this.#keptMs = keptMs === undefined ? keepAliveMs : Math.min(keepAliveMs, keptMs - closingMs)
    this.#mayServe = isKept && exchange.surplus === 0 && this.#keptMs > 0
    // its handler releases the connection, and a waiter may have it at once
    this.#exchange = undefined
    exchange.resume()
    try {
      exchange.handler.onResponseEnd(exchange)
    } catch (error) {
      this.destroy()
      exchange.handler.onResponseError(exchange, errorOf(error))
    }
  }

  /** undici reads the answer, from its first byte, and whatever follows on the connection. */
  #passAnswer({ handler }: BareExchange, early: Buffer): void {
    const options = this.#options
    this.#exchange = undefined
    if (options === undefined) return
    this.#passed = this.#pass(early)
    this.#passed.dispatch(options, handler)
  }

  /** `early`: of an answer that is under way. */
  #pass(early: Buffer | undefined): UndiciOrigin {
    const socket = this.#socket
    const borrowed = socket === undefined ? undefined : new BorrowedSocket(socket, this.#pump, early)
    const connect = async (): Promise<Socket | BorrowedSocket> => borrowed ?? this.#connect()
    return new UndiciOrigin(connect, this.#settings, {
      released: () => this.#owner.released(this),
      gone: () => this.#end(),
    })
  }

  readonly #resume = (): void => {
    this.movedAt = this.#parts.watch.step
    this.#socket?.resume()
  }

  #lost(error: Error | undefined): void {
    if (this.#passed === undefined) this.destroy(error ?? null)
  }

  #fail(error: unknown): void {
    const exchange = this.#exchange
    this.#exchange = undefined
    this.destroy()
    exchange?.handler.onResponseError(exchange, errorOf(error))
  }

  #end(): void {
    if (this.#gone) return
    this.#gone = true
    this.#parts.watch.remove(this)
    this.#pump.stop()
    this.#owner.gone(this)
  }
}

function errorOf(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
