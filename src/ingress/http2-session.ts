// One HTTP/2 connection of a client, inside TLS that has ended here. Each stream becomes a request of its own
// at the same door as every other; what the connection costs beside them is bounded, and so is the time it may
// take to begin, to go on and to end. Must never outlive an error of its protocol, nor let a stream that
// nghttp2 refused go unrecorded.
import { constants, performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import type { Deadline } from '../deadlines.ts'
import { ProxyError } from '../errors.ts'
import type { Gate } from '../gate/gate.ts'
import type { Malformed } from '../gate/exchange.ts'
import { ClientConnection } from './client-connections.ts'
import type { IngressContext } from './context.ts'
import { Budget, UnseenStreams } from './http2-budget.ts'
import { Http2Exchange, type ExchangeParts } from './http2-exchange.ts'
import { readHttp2Head, type MalformedHead } from './http2-head.ts'
import type { Continue, PlainArrival } from './plain.ts'
import { maxOwed } from './read-request.ts'
import { fieldOf } from './request-head.ts'
import type { StalledBodies } from './stalled-bodies.ts'

export interface Http2Context extends Pick<IngressContext, 'limits' | 'clock' | 'deadlines' | 'idleDeadlines' | 'ids' | 'buffers' | 'onFault'> {
  readonly gate: Pick<Gate, 'refuseMalformed' | 'ended'>
}

export interface SessionParts {
  readonly context: Http2Context
  readonly bodies: StalledBodies
  /** the door that every stream goes through */
  readonly serve: (arrival: PlainArrival) => Promise<void>
  readonly closed: (session: Http2ClientSession) => void
}

const { NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_INTERNAL_ERROR, NGHTTP2_PROTOCOL_ERROR, NGHTTP2_SETTINGS_TIMEOUT } = constants
const maxStreams = 100
// of all bodies together that may be under way to us; each stream has 64 KiB more at most
const connectionWindow = 1024 * 1024
// bytes of frames that carry neither fields nor content: PING, SETTINGS, WINDOW_UPDATE, PRIORITY, padding
const overheadBurst = 48 * 1024
const overheadPerSecond = 8 * 1024
// what a stream, a payload that came and a payload that was sent are good for, beside their own bytes
const perStream = 256
const perArrival = 32
const perWrite = 64
// streams that the client takes back
const resetBurst = 500
const resetsPerSecond = 50
const maxInvalidFrames = 200
const maxRejectedStreams = 500
// numbers left out in one go: as many as may be open
const maxMissed = maxStreams
const maxSessionMiB = 32
const lingerMs = 2_000

export class Http2ClientSession {
  /** its place among the open ones */
  place = -1
  readonly #socket: TLSSocket
  readonly #connection: ClientConnection
  readonly #parts: SessionParts
  readonly #exchangeParts: ExchangeParts
  readonly #session: ServerHttp2Session
  readonly #overhead: Budget
  readonly #resets: Budget
  readonly #unseen = new UnseenStreams()
  readonly #streams = new Set<ServerHttp2Stream>()
  // doors that have not finished, those of streams that are gone among them
  #underWay = 0
  #earned = 0
  #bytesRead = 0
  #bytesWritten = -1
  #probedMs = 0
  #isOver = false
  #isAsked = false
  #beginning: Deadline | undefined
  #idle: Deadline | undefined
  #ending: Deadline | undefined

  constructor(socket: TLSSocket, connection: ClientConnection, parts: SessionParts) {
    this.#socket = socket
    this.#connection = connection
    this.#parts = parts
    const { clock, deadlines, limits } = parts.context
    const nowMs = clock.monotonic()
    this.#probedMs = nowMs
    this.#overhead = new Budget(overheadBurst, overheadPerSecond, nowMs)
    this.#resets = new Budget(resetBurst, resetsPerSecond, nowMs)
    this.#exchangeParts = {
      deadlines: parts.context.idleDeadlines,
      stallMs: limits.requestTimeoutMs,
      arrived: (bytes) => {
        this.#earned += bytes + perArrival
      },
      wrote: (bytes) => {
        this.#earned += perWrite + bytes / perWrite
      },
    }
    // before the session's own listener: afterwards it knows nothing any more
    socket.once('close', () => this.#settleUnseen())
    this.#session = performServerHandshake(socket, sessionOptions(limits))
    this.#session.setLocalWindowSize(connectionWindow)
    this.#beginning = deadlines.in(limits.headersTimeoutMs, () => this.#condemn(NGHTTP2_SETTINGS_TIMEOUT, new ProxyError('request_timeout', 'the HTTP/2 connection did not begin')))
    this.#listen()
    this.#rest()
  }

  /** Takes no stream any more; ends when those that are open have. */
  close(): void {
    if (this.#session.closed || this.#session.destroyed) return
    this.#session.close()
    if (this.#streams.size === 0) this.#linger()
  }

  /** Cuts it. */
  destroy(): void {
    this.#isOver = true
    this.#session.destroy()
    this.#socket.destroy()
  }

  /** Looks at what it has cost since the last time. */
  sweep(nowMs: number): void {
    if (this.#isOver || this.#session.destroyed) return
    if (this.#session.closed) this.#probe(nowMs)
    const { bytesRead } = this.#socket
    if (bytesRead === this.#bytesRead) return
    const cost = bytesRead - this.#bytesRead
    this.#bytesRead = bytesRead
    const isFair = this.#overhead.spend(cost, nowMs, this.#earned)
    this.#earned = 0
    if (isFair) this.#askAboutUnseen()
    else this.#condemn(NGHTTP2_ENHANCE_YOUR_CALM, new ProxyError('framing', 'more HTTP/2 frames than its requests need'))
  }

  /** After a GOAWAY a further error of the protocol makes nghttp2 deaf and dumb, and node says nothing of it:
   * then another GOAWAY does not go out either. */
  #probe(nowMs: number): void {
    if (nowMs - this.#probedMs < this.#parts.context.limits.headersTimeoutMs) return
    const { bytesWritten } = this.#socket
    if (bytesWritten === this.#bytesWritten) {
      this.destroy()
      return
    }
    this.#probedMs = nowMs
    this.#bytesWritten = bytesWritten
    this.#session.goaway()
  }

  #listen(): void {
    const session = this.#session
    let awaited = 2
    const begin = (): void => {
      awaited -= 1
      if (awaited > 0 || this.#beginning === undefined) return
      this.#parts.context.deadlines.cancel(this.#beginning)
      this.#beginning = undefined
    }
    // its settings, and its word that ours are in force
    session.once('remoteSettings', begin)
    session.once('localSettings', begin)
    session.on('stream', (stream, _fields, _flags, raw) => this.#take(stream, raw))
    session.on('error', (error: NodeJS.ErrnoException) => this.#failed(error))
    session.on('close', () => this.#closed())
  }

  #take(stream: ServerHttp2Stream, raw: readonly string[]): void {
    stream.on('error', ignoreReportedElsewhere)
    this.#connection.begun()
    this.#recordUnseen(this.#unseen.saw(stream.id ?? 0))
    this.#earned += perStream + sizeOf(raw)
    if (stream.closed || stream.destroyed) {
      // taken back before anybody has looked at it
      stream.resume()
      this.#countReset()
      return
    }
    this.#streams.add(stream)
    this.#wake()
    stream.once('close', () => {
      this.#streams.delete(stream)
      if (this.#streams.size === 0) this.#rest()
    })
    const head = readHttp2Head(raw)
    this.#underWay += 1
    const door = head.kind === 'malformed' ? this.#refuse(stream, head) : this.#serve(stream, new Http2Exchange(stream, head, this.#exchangeParts))
    door
      .catch((error: unknown) => {
        this.#parts.context.onFault(error)
        stream.close(NGHTTP2_INTERNAL_ERROR)
      })
      .finally(() => {
        this.#underWay -= 1
      })
  }

  async #serve(stream: ServerHttp2Stream, exchange: Http2Exchange): Promise<void> {
    const { bodies, serve } = this.#parts
    const { request, response } = exchange
    stream.once('close', () => {
      if (exchange.isAborted) this.#countReset()
    })
    // more than may be open: the doors of streams that are gone
    const isFlood = this.#underWay > maxStreams + maxOwed
    await serve({ request, response, connection: this.#view(), expectation: expectationOf(request.rawHeaders), isFlood, bodies })
  }

  /** What of the connection a stream is judged by: an answer that closes a connection of HTTP/1 ends only the
   * stream, and no stream waits for another one's answer. */
  #view(): ClientConnection {
    const { socket, bound } = this.#connection
    return this.#connection.inside(socket, bound)
  }

  /** A request that is none: recorded, then reset; nothing of it reaches the door. */
  async #refuse(stream: ServerHttp2Stream, { method, url, userAgent, error }: MalformedHead): Promise<void> {
    stream.resume()
    await this.#record(error, { method, rawTarget: url, userAgent })
    stream.close(NGHTTP2_PROTOCOL_ERROR)
  }

  async #record({ code, detail }: ProxyError, about: Pick<Malformed, 'method' | 'rawTarget' | 'userAgent'> = nothingKnown): Promise<void> {
    const { clock, gate, ids } = this.#parts.context
    const { client, bound } = this.#connection
    const facts = bound?.exchange.facts
    const malformed: Malformed = { ...about, id: ids.next(), client, protocol: facts?.scheme === 'https' ? 'https_connect' : 'http', authority: facts, startedMs: clock.monotonic() }
    const refusal = await gate.refuseMalformed(malformed, code, detail)
    gate.ended(malformed, { outcome: 'refused', code: refusal.code, bytesFromClient: 0, bytesFromOrigin: 0 })
  }

  #countReset(): void {
    if (this.#resets.spend(1, this.#parts.context.clock.monotonic())) return
    this.#condemn(NGHTTP2_ENHANCE_YOUR_CALM, new ProxyError('framing', 'HTTP/2 streams are taken back as fast as they are opened'))
  }

  /** nghttp2 resets a malformed stream without a word. An answer to a PING says that no field block is half
   * way, so that whatever is left out by then was reset; no answer says that one is. */
  #askAboutUnseen(): void {
    const { lastProcStreamID: last = 0 } = this.#session.state
    if (this.#isAsked || !this.#unseen.isBehind(last)) return
    const { deadlines, limits } = this.#parts.context
    const deadline = deadlines.in(limits.headersTimeoutMs, () => this.#condemn(NGHTTP2_PROTOCOL_ERROR, new ProxyError('request_timeout', 'a field block did not end')))
    this.#isAsked = this.#session.ping((error) => {
      this.#isAsked = false
      deadlines.cancel(deadline)
      if (error === null) this.#recordUnseen(this.#unseen.settle(last))
    })
    if (!this.#isAsked) deadlines.cancel(deadline)
  }

  #settleUnseen(): void {
    if (this.#isOver || this.#session.destroyed) return
    const { lastProcStreamID: last = 0 } = this.#session.state
    this.#recordUnseen(this.#unseen.settle(last))
  }

  #recordUnseen(missed: number): void {
    if (missed > maxMissed) {
      this.#condemn(NGHTTP2_ENHANCE_YOUR_CALM, new ProxyError('framing', `${missed} HTTP/2 streams were left out`))
      return
    }
    for (let left = missed; left > 0; left -= 1) this.#run(this.#record(new ProxyError('framing', 'a stream of HTTP/2 did not become a request: malformed, too large, one too many or left half way')))
  }

  /** nghttp2 or node found the connection itself at fault; the session is destroyed already. */
  #failed(error: NodeJS.ErrnoException): void {
    const isTold = error.code === 'ERR_HTTP2_SESSION_ERROR'
    if (this.#isOver || isTold || error.code?.startsWith('ERR_HTTP2_') !== true) return
    this.#isOver = true
    this.#run(this.#record(new ProxyError('framing', `HTTP/2: ${error.message}`)))
    this.#linger()
  }

  /** Ends the connection for what its client did: recorded, then said. */
  #condemn(code: number, error: ProxyError): void {
    if (this.#isOver) return
    this.#isOver = true
    const cut = (): void => {
      this.#session.destroy(error, code)
      this.#linger()
    }
    // what was read last is still being gone through: a GOAWAY from within would not go out
    this.#run(this.#record(error).finally(() => setImmediate(cut)))
  }

  #run(work: Promise<void>): void {
    work.catch((error: unknown) => this.#parts.context.onFault(error))
  }

  /** Nothing is open. */
  #rest(): void {
    const { idleDeadlines, limits } = this.#parts.context
    this.#wake()
    // its streams close after it: there is nothing left to wait for
    if (this.#session.destroyed) return
    if (this.#session.closed) this.#linger()
    else this.#idle = idleDeadlines.in(limits.keepAliveTimeoutMs, () => this.close())
  }

  #wake(): void {
    if (this.#idle !== undefined) this.#parts.context.idleDeadlines.cancel(this.#idle)
    this.#idle = undefined
  }

  /** The last word is said; a client that does not hear it is cut. */
  #linger(): void {
    this.#ending ??= this.#parts.context.deadlines.in(lingerMs, () => this.#socket.destroy())
  }

  #closed(): void {
    const { context: { deadlines }, closed } = this.#parts
    this.#wake()
    if (this.#beginning !== undefined) deadlines.cancel(this.#beginning)
    if (this.#ending !== undefined) deadlines.cancel(this.#ending)
    this.#socket.destroy()
    closed(this)
  }
}

const nothingKnown = { method: undefined, rawTarget: '', userAgent: undefined }

function sessionOptions({ headerBytes, headerCount }: Http2Context['limits']) {
  return {
    // more than a request may have, so that too many are answered and recorded; what is over this is reset
    settings: { maxConcurrentStreams: maxStreams, maxHeaderListSize: headerBytes * 2, enableConnectProtocol: false, enablePush: false },
    maxHeaderListPairs: headerCount * 2 + 8,
    // spaces around a value are refused here; nghttp2 would leave the field out and go on
    strictFieldWhitespaceValidation: false,
    strictSingleValueFields: false,
    maxSettings: 32,
    maxSessionMemory: maxSessionMiB,
    maxSessionInvalidFrames: maxInvalidFrames,
    maxSessionRejectedStreams: maxRejectedStreams,
    maxSendHeaderBlockLength: 512 * 1024,
    // behind our own count, which says what is wrong
    streamResetBurst: resetBurst * 2,
    streamResetRate: resetsPerSecond * 2,
  }
}

/** As HTTP/1 would have it: name, value, colon, space and line end. */
function sizeOf(raw: readonly string[]): number {
  let size = 0
  for (const text of raw) size += text.length + 2
  return size
}

function expectationOf(rawHeaders: readonly string[]): Continue {
  const value = fieldOf(rawHeaders, 'expect')
  if (value === undefined) return 'none'
  return value.toLowerCase() === '100-continue' ? 'expected' : 'unknown'
}

function ignoreReportedElsewhere(): void {
  // the exchange sees how its stream closes
}
