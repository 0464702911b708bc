// One stream of HTTP/2 dressed as a request and its answer. The stream is never more than this exchange: what
// ends one half of it ends no other stream, an answer that breaks off is reset so that nobody takes it for
// whole, and no more of a body is read than its reader asks for.
import { EventEmitter } from 'node:events'
import { constants, type ServerHttp2Stream } from 'node:http2'
import { Readable } from 'node:stream'
import type { Deadline, Deadlines } from '../deadlines.ts'
import type { ClientRequest, ClientSource } from '../egress/client-leg.ts'
import type { Http2Head } from './http2-head.ts'
import { Http2Response } from './http2-response.ts'
import { fieldOf } from './request-head.ts'

const { NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR } = constants
const bodyBuffer = 64 * 1024
const gatherBytes = 4 * 1024
const nothing = Buffer.alloc(0)
// what an upload may go on for, `ms`, once its answer is out
const graceMs = 2_000

/** What a stream's own limits and counts come from. */
export interface ExchangeParts {
  readonly deadlines: Deadlines
  /** an answer that is written but moves on no more is cut, `ms` */
  readonly stallMs: number
  /** bytes of content came, or were written */
  readonly arrived: (bytes: number) => void
  readonly wrote: (bytes: number) => void
}

interface RequestHooks {
  /** there is room for more */
  readonly wanted: () => void
  /** nobody reads on */
  readonly givenUp: () => void
}

/** The one stream as a connection would be: its end is the client's. */
class StreamSource extends EventEmitter implements ClientSource {
  bytesRead = 0
  destroyed = false
  /** a client that has ended its request still reads */
  readonly readableEnded = false
  readonly #reset: () => void

  constructor(reset: () => void) {
    super()
    this.#reset = reset
  }

  /** Resets the stream. */
  destroy(): void {
    if (!this.destroyed) this.#reset()
  }

  /** The stream is closed, by whomever. */
  left(): void {
    if (this.destroyed) return
    this.destroyed = true
    this.emit('close')
  }
}

/** The stream is the request's body. What comes while nobody reads is gathered, so that a body of many small
 * frames takes no more memory than its bytes. */
class Http2Request extends Readable implements ClientRequest {
  readonly method: string
  readonly url: string
  readonly httpVersion = '2.0'
  readonly isStream = true
  readonly rawHeaders: readonly string[]
  readonly socket: StreamSource
  complete = false
  /** what comes is for nobody */
  isDropped = false
  readonly #hooks: RequestHooks
  #gathered: Buffer = nothing
  #bytesGathered = 0

  constructor({ method, url, rawHeaders }: Http2Head, socket: StreamSource, hooks: RequestHooks) {
    super({ highWaterMark: bodyBuffer })
    this.method = method
    this.url = url
    this.rawHeaders = rawHeaders
    this.socket = socket
    this.#hooks = hooks
  }

  override _read(): void {
    this.#hooks.wanted()
  }

  override read(size?: number): unknown {
    this.#deliver()
    return super.read(size)
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    if (!this.complete) this.#hooks.givenUp()
    callback(error)
  }

  /** Takes what has come; false: there is no room for more. The chunk is a view of all that was read at once:
   * a byte of it that waits must not hold the rest. */
  receive(chunk: Uint8Array): boolean {
    if (this.isDropped || this.destroyed) return true
    const isRead = this.readableFlowing === true || this.listenerCount('readable') > 0
    if (chunk.byteLength >= gatherBytes || (isRead && this.#bytesGathered === 0)) {
      this.#deliver()
      return this.push(chunk.byteLength * 2 < chunk.buffer.byteLength ? copyOf(chunk) : chunk)
    }
    if (this.#bytesGathered + chunk.byteLength > this.#gathered.byteLength) {
      this.#deliver()
      this.#gathered = Buffer.allocUnsafeSlow(gatherBytes)
    }
    this.#gathered.set(chunk, this.#bytesGathered)
    this.#bytesGathered += chunk.byteLength
    if (isRead) this.#deliver()
    return this.readableLength + this.#bytesGathered < bodyBuffer
  }

  /** All of the body has come. */
  whole(): void {
    if (this.complete || this.destroyed) return
    this.#deliver()
    this.complete = true
    this.push(null)
  }

  #deliver(): void {
    if (this.#bytesGathered === 0) return
    const gathered = this.#gathered.subarray(0, this.#bytesGathered)
    this.#gathered = nothing
    this.#bytesGathered = 0
    this.push(gathered)
  }
}

function copyOf(chunk: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(chunk.byteLength)
  copy.set(chunk)
  return copy
}

export class Http2Exchange {
  readonly request: Http2Request
  readonly response: Http2Response
  readonly #stream: ServerHttp2Stream
  readonly #source: StreamSource
  readonly #parts: ExchangeParts
  #deadline: Deadline | undefined
  #unsent = 0
  // END_STREAM has come
  #isEnded = false
  #isReset = false
  // node was told that there is no room
  #isStopped = false

  constructor(stream: ServerHttp2Stream, head: Http2Head, parts: ExchangeParts) {
    this.#stream = stream
    this.#parts = parts
    this.#source = new StreamSource(() => {
      if (this.response.writableFinished) this.#reset(NGHTTP2_NO_ERROR)
      else this.#reset(this.response.headersSent ? NGHTTP2_INTERNAL_ERROR : NGHTTP2_CANCEL)
    })
    const asked = { method: head.method, trailers: fieldOf(head.rawHeaders, 'te') !== undefined }
    this.response = new Http2Response(stream, asked, {
      wrote: parts.wrote,
      isEnding: () => this.#watchLast(),
      isOut: () => this.#answered(),
      breakOff: () => this.#reset(NGHTTP2_INTERNAL_ERROR),
    })
    this.request = new Http2Request(head, this.#source, {
      wanted: () => this.#readOn(),
      // an answer under way stands for itself: the rest of the request is not read, and ends with it
      givenUp: () => {
        if (!this.response.isEnded) this.#reset(NGHTTP2_CANCEL)
        else if (this.response.writableFinished) this.#reset(NGHTTP2_NO_ERROR)
      },
    })
    this.#read()
    stream.on('aborted', () => this.#left())
    stream.on('close', () => this.#left())
  }

  /** the stream was reset by the client, or for what the client did */
  get isAborted(): boolean {
    return this.#stream.rstCode !== NGHTTP2_NO_ERROR && !this.#isReset && !this.response.writableFinished
  }

  /** Takes each payload as node hands it to the stream, whose own buffer stays empty: so what has come is known
   * also while nobody reads, and kept the way the request keeps it. */
  #read(): void {
    const stream = this.#stream
    const push = stream.push.bind(stream)
    stream.push = (chunk: unknown): boolean => {
      if (chunk instanceof Uint8Array) {
        this.#source.bytesRead += chunk.byteLength
        this.#parts.arrived(chunk.byteLength)
        this.#isStopped = !this.request.receive(chunk)
        return !this.#isStopped
      }
      // a reset ends the stream too, which is closed by then
      if (chunk === null && !stream.closed && !stream.destroyed) this.#ended()
      return push(chunk)
    }
    // node reads the end of a stream without content itself when it closes, and then lets its last write finish
    if (stream.endAfterHeaders) this.#ended()
    // as much as there is room for, so that a small body is there before anybody asks for it
    else stream.resume()
  }

  #ended(): void {
    this.#isEnded = true
    this.request.whole()
  }

  /** What node does when its own buffer has room again. */
  #readOn(): void {
    if (!this.#isStopped || this.#stream.destroyed) return
    this.#isStopped = false
    this.#stream._read(bodyBuffer)
  }

  #reset(code: number): void {
    const stream = this.#stream
    if (stream.closed || stream.destroyed) return
    this.#isReset = true
    stream.close(code)
    this.#dump()
  }

  /** Nobody reads on: what still comes, or is there, must not keep the stream. */
  #dump(): void {
    this.request.isDropped = true
    this.#readOn()
  }

  /** All of the answer has been written; a client that does not take it is not waited for for ever. */
  #watchLast(): void {
    const { deadlines, stallMs } = this.#parts
    this.#unsent = this.#stream.writableLength
    this.#deadline = deadlines.in(stallMs, () => {
      if (this.#stream.writableLength < this.#unsent) this.#watchLast()
      else this.#reset(NGHTTP2_INTERNAL_ERROR)
    })
  }

  /** The answer is out; an upload that nobody waits for is asked to stop (RFC 9113 section 8.1). */
  #answered(): void {
    this.#forget()
    if (this.#isEnded) this.#dump()
    else if (this.request.destroyed) this.#reset(NGHTTP2_NO_ERROR)
    else this.#deadline = this.#parts.deadlines.in(graceMs, () => this.#reset(NGHTTP2_NO_ERROR))
  }

  #left(): void {
    this.#forget()
    this.#dump()
    this.response.left()
    this.#source.left()
    this.request.destroy()
  }

  #forget(): void {
    if (this.#deadline !== undefined) this.#parts.deadlines.cancel(this.#deadline)
    this.#deadline = undefined
  }
}
