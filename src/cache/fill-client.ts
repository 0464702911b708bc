// The client of a fetch of our own: a GET or HEAD without content and without anything of an agent's, and an answer that is
// read as fast as it is kept. It is dressed as a client's request and response, so that a fill goes the way of any
// other exchange. Must never look complete when the answer was not.
import { EventEmitter } from 'node:events'
import { PassThrough } from 'node:stream'
import type { ClientRequest, ClientResponse, ClientSource } from '../egress/client-leg.ts'

export interface FilledHead {
  readonly status: number
  readonly reason: string
  /** flat name, value, name, value */
  readonly fields: readonly string[]
}

class NoSource extends EventEmitter implements ClientSource {
  readonly bytesRead = 0
  readonly readableEnded = false
  destroyed = false

  destroy(): void {
    this.destroyed = true
  }
}

/** A request that has ended with its head. */
export class FillRequest extends EventEmitter implements ClientRequest {
  readonly method: 'GET' | 'HEAD'
  readonly url: string
  readonly httpVersion = '1.1'
  readonly rawHeaders: readonly string[]
  readonly complete = true
  readonly socket: ClientSource = new NoSource()
  readonly destroyed = false
  readonly readableFlowing = null
  readonly readableEnded = true
  readonly readableLength = 0
  readonly readableHighWaterMark = 0

  constructor(url: string, rawHeaders: readonly string[], method: 'GET' | 'HEAD' = 'GET') {
    super()
    this.method = method
    this.url = url
    this.rawHeaders = rawHeaders
  }

  read(): null {
    return null
  }

  unshift(): void {
    throw new Error('a fetch of our own has no content')
  }

  pause(): void {
    // there is nothing to hold back
  }

  resume(): void {
    // nor to read
  }

  destroy(): void {
    // nor to close
  }
}

export class FillResponse extends EventEmitter implements ClientResponse {
  readonly chunkedEncoding = false
  readonly socket = null
  headersSent = false
  closed = false
  /** all of the answer came */
  isWhole = false
  readonly #head = Promise.withResolvers<FilledHead | undefined>()
  readonly #body = new PassThrough({ highWaterMark: 64 * 1024 })

  constructor() {
    super()
    this.#body.on('drain', () => this.emit('drain'))
    // whoever reads the content hears of it; nobody may
    this.#body.on('error', () => {})
  }

  /** undefined: there was none. */
  get head(): Promise<FilledHead | undefined> {
    return this.#head.promise
  }

  /** Throws where the answer broke off. */
  get body(): AsyncIterable<Uint8Array> {
    return this.#body
  }

  get destroyed(): boolean {
    return this.closed && !this.isWhole
  }

  get writableFinished(): boolean {
    return this.isWhole
  }

  get writableLength(): number {
    return this.#body.writableLength + this.#body.readableLength
  }

  writeHead(status: number, reason: string, fields: string[]): void {
    this.headersSent = true
    this.#head.resolve({ status, reason, fields })
  }

  flushHeaders(): void {
    // the head is there already
  }

  writeContinue(): void {
    // nothing was waited for
  }

  write(chunk: Uint8Array | string): boolean {
    if (this.closed) return false
    return this.#body.write(typeof chunk === 'string' ? Buffer.from(chunk, 'utf8') : chunk)
  }

  end(chunk?: Uint8Array | string, encoding?: 'latin1'): void {
    if (this.closed) return
    if (chunk !== undefined) this.#body.write(typeof chunk === 'string' ? Buffer.from(chunk, encoding ?? 'utf8') : chunk)
    this.isWhole = true
    this.#body.end()
    // as a client's: the answer is out, which is told after whoever ended it has returned
    process.nextTick(() => this.#close())
  }

  addTrailers(): void {
    // trailers are not kept
  }

  /** Breaks it off: from the origin's side, or because it is not wanted. */
  destroy(): void {
    if (this.closed) return
    this.#body.destroy(new Error('the answer broke off'))
    this.#close()
  }

  #close(): void {
    if (this.closed) return
    this.closed = true
    this.#head.resolve(undefined)
    this.emit('close')
  }
}
