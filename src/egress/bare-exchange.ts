// One GET and its answer on a connection to an origin that is read without undici: the head as answer-head.ts
// takes it, content by Content-Length or chunked. What it does not take it hands back whole, unread. Must never
// call an answer complete that is not, nor take a byte that is behind it.
import { readAnswerHead, type AnswerHead } from './answer-head.ts'
import { ChunkedReader } from './chunked-reader.ts'
import type { AnswerController, AnswerHandler } from './origin-connection.ts'

/** `odd`: nothing of it was taken, and this exchange is over for whoever read it */
export type Progress = 'more' | 'done' | 'odd'

export interface BareLimits {
  readonly maxResponseHeaderBytes: number
}

// a body of this size is handed on as text, to be joined to its head
const maxText = 16 * 1024

export class BareExchange implements AnswerController {
  readonly handler: AnswerHandler
  /** the request as it is written: a head, ASCII or latin1 */
  readonly request: string
  /** the origin's connection is read on, as far as this exchange goes */
  isPaused = false
  isWritten = false
  /** after `done`: bytes that came behind the answer */
  surplus = 0
  readonly #limits: BareLimits
  readonly #onResume: () => void
  #head: AnswerHead | undefined
  #chunked: ChunkedReader | undefined
  #left = 0

  constructor(request: string, handler: AnswerHandler, limits: BareLimits, onResume: () => void) {
    this.request = request
    this.handler = handler
    this.#limits = limits
    this.#onResume = onResume
  }

  /** undefined before the head */
  get head(): AnswerHead | undefined {
    return this.#head
  }

  get rawHeaders(): readonly string[] {
    return this.#head?.rawHeaders ?? []
  }

  get rawTrailers(): readonly string[] {
    return this.#chunked?.trailers ?? []
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    // the client may read on long after the answer was whole, and the connection is another exchange's by then
    if (!this.isPaused) return
    this.isPaused = false
    this.#onResume()
  }

  /** `bytes` are good until it returns. Throws what the handler throws, and ProxyError `origin_protocol_error`. */
  read(bytes: Buffer): Progress {
    if (this.#head !== undefined) return this.#content(bytes, 0)
    this.handler.onResponseStarted()
    const text = bytes.toString('latin1', 0, Math.min(bytes.length, this.#limits.maxResponseHeaderBytes))
    const end = text.indexOf('\r\n\r\n')
    const head = end === -1 ? undefined : readAnswerHead(text, end)
    if (head === undefined) return 'odd'
    this.#head = head
    this.handler.onResponseStart(this, head.status, undefined, head.reason)
    const { contentLength } = head
    const start = end + 4
    if (contentLength === undefined) this.#chunked = new ChunkedReader(this.#limits.maxResponseHeaderBytes)
    else this.#left = contentLength
    if (contentLength !== undefined && contentLength > 0 && contentLength <= maxText && start + contentLength <= text.length) {
      this.#left = 0
      this.handler.onWholeText(text.slice(start, start + contentLength))
      this.surplus = bytes.length - start - contentLength
      return 'done'
    }
    return this.#content(bytes, start)
  }

  #content(bytes: Buffer, from: number): Progress {
    const chunked = this.#chunked
    if (chunked !== undefined) {
      const end = chunked.read(bytes, from, (content) => this.handler.onResponseData(this, Buffer.from(content)))
      this.surplus = bytes.length - end
      return chunked.isDone ? 'done' : 'more'
    }
    const end = Math.min(bytes.length, from + this.#left)
    this.#left -= end - from
    if (end > from) this.handler.onResponseData(this, Buffer.from(bytes.subarray(from, end)))
    this.surplus = bytes.length - end
    return this.#left === 0 ? 'done' : 'more'
  }
}
