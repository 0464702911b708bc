// The answer on one stream of HTTP/2. Fields that frame a connection of HTTP/1 have no place here and are left
// out; a field that could be read as two is an error, never sent. The head waits for the first of the body, so
// that an answer without one is a single frame.
import { EventEmitter } from 'node:events'
import { constants, type ServerHttp2Stream } from 'node:http2'
import type { ClientResponse } from '../egress/client-leg.ts'
import { isFieldValue, isToken, withoutBlanks } from '../target/field-syntax.ts'

export interface ResponseHooks {
  readonly wrote: (bytes: number) => void
  /** the last of it has been written */
  readonly isEnding: () => void
  /** everything is out */
  readonly isOut: () => void
  /** it ends in the middle */
  readonly breakOff: () => void
}

// RFC 9113 section 8.2.2
const connectionFields: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'http2-settings', 'te'])

interface Head {
  readonly status: number
  readonly fields: string[]
}

/** What the request says of its answer. */
export interface AskedFor {
  readonly method: string
  /** TE: trailers (RFC 9110 section 10.1.4) */
  readonly trailers: boolean
}

export class Http2Response extends EventEmitter implements ClientResponse {
  closed = false
  headersSent = false
  writableFinished = false
  /** end() was called */
  isEnded = false
  readonly socket = null
  readonly #stream: ServerHttp2Stream
  readonly #asked: AskedFor
  readonly #hooks: ResponseHooks
  #head: Head | undefined
  #hasLength = false
  #mayHaveContent = true
  #trailers: [string, string][] = []
  #waitsForTrailers = false
  #areTrailersSent = false

  constructor(stream: ServerHttp2Stream, asked: AskedFor, hooks: ResponseHooks) {
    super()
    this.#stream = stream
    this.#asked = asked
    this.#hooks = hooks
    stream.on('drain', () => this.emit('drain'))
    stream.on('wantTrailers', () => this.#sendTrailers())
  }

  /** Trailers can follow the body. One of declared length ends where it says, unless its client asked for them. */
  get chunkedEncoding(): boolean {
    return !this.#hasLength || this.#asked.trailers
  }

  get destroyed(): boolean {
    return this.closed || this.#isGone
  }

  get writableLength(): number {
    return this.#stream.writableLength
  }

  get #isGone(): boolean {
    return this.#stream.destroyed || this.#stream.closed
  }

  /** Throws an Error for a field that cannot be written. */
  writeHead(status: number, _reason: string, fields: readonly string[]): void {
    if (this.headersSent) throw new Error('the head of an answer was written twice')
    const written: string[] = []
    let hasLength = false
    for (let at = 0; at + 1 < fields.length; at += 2) {
      const name = (fields[at] ?? '').toLowerCase()
      const given = fields[at + 1] ?? ''
      const value = withoutBlanks(given, 0, given.length)
      if (!isToken(name) || !isFieldValue(value)) throw new Error('a field of an answer is not valid')
      if (connectionFields.has(name)) continue
      // neither has content, whatever was declared (RFC 9110 sections 8.6 and 15.3.6)
      if (name === 'content-length' && (status === 204 || status === 205)) continue
      if (name === 'content-length') hasLength = true
      written.push(name, value)
    }
    if (status < 200 || status > 599) throw new Error(`a status of ${status} is none of HTTP/2`)
    this.#head = { status, fields: written }
    this.#hasLength = hasLength
    this.headersSent = true
    this.#mayHaveContent = this.#asked.method !== 'HEAD' && status !== 204 && status !== 205 && status !== 304
  }

  flushHeaders(): void {
    // one without content is whole with its head: that goes out at its end
    if (this.#mayHaveContent) this.#respond(false)
  }

  writeContinue(): void {
    if (!this.#isGone && !this.headersSent) this.#stream.additionalHeaders({ ':status': 100 })
  }

  /** False: wait for 'drain'. */
  write(chunk: Uint8Array | string): boolean {
    this.#needHead()
    if (this.#isGone || this.isEnded || !this.#mayHaveContent) return true
    this.#respond(false)
    this.#hooks.wrote(chunk.length)
    return this.#stream.write(chunk)
  }

  /** Strings are written as latin1 when it is said so. */
  end(chunk?: Uint8Array | string, encoding?: 'latin1'): void {
    if (this.isEnded) return
    this.#needHead()
    this.isEnded = true
    if (this.#isGone) return
    const stream = this.#stream
    const content = this.#mayHaveContent && chunk !== undefined && chunk.length > 0 ? chunk : undefined
    stream.on('finish', () => {
      if (!this.#waitsForTrailers) this.#finish()
    })
    // node ends the stream of a HEAD itself, before there is an answer
    if (stream.writableFinished) setImmediate(() => this.#finish())
    this.#respond(content === undefined && !(this.#mayHaveContent && this.#trailers.length > 0), true)
    this.#hooks.isEnding()
    if (content === undefined) {
      stream.end()
      return
    }
    this.#hooks.wrote(content.length)
    stream.end(typeof content === 'string' ? Buffer.from(content, encoding ?? 'utf8') : content)
  }

  /** Those that cannot be written are left out. */
  addTrailers(trailers: readonly [string, string][]): void {
    for (const [name, value] of trailers) {
      const lower = name.toLowerCase()
      if (isToken(name) && isFieldValue(value) && !connectionFields.has(lower)) this.#trailers.push([lower, withoutBlanks(value, 0, value.length)])
    }
  }

  destroy(): void {
    if (!this.writableFinished) this.#hooks.breakOff()
  }

  /** The stream is closed, by whomever. */
  left(): void {
    if (this.closed) return
    // of a stream that both sides have ended node may not say that it finished
    const isWhole = this.isEnded && (!this.#waitsForTrailers || this.#areTrailersSent)
    if (isWhole && this.#stream.rstCode === constants.NGHTTP2_NO_ERROR) this.writableFinished = true
    this.closed = true
    this.emit('close')
  }

  /** node would answer 200 for us. */
  #needHead(): void {
    if (!this.headersSent) throw new Error('an answer was written before its head')
  }

  /** Sends the head, once; `isAll`: nothing follows it. */
  #respond(isAll: boolean, isLast = false): void {
    const head = this.#head
    if (head === undefined || this.#isGone) return
    this.#head = undefined
    const { status, fields } = head
    this.#waitsForTrailers = !isAll && this.chunkedEncoding && (!isLast || this.#trailers.length > 0)
    this.#stream.respond([':status', String(status), ...fields], { endStream: isAll, waitForTrailers: this.#waitsForTrailers })
  }

  #sendTrailers(): void {
    const trailers: Record<string, string[]> = Object.create(null)
    for (const [name, value] of this.#trailers) (trailers[name] ??= []).push(value)
    this.#stream.sendTrailers(trailers)
    this.#areTrailersSent = true
    // node submits them in an immediate of its own
    setImmediate(() => this.#finish())
  }

  #finish(): void {
    if (this.writableFinished || this.closed) return
    this.writableFinished = true
    this.#hooks.isOut()
    this.left()
  }
}
