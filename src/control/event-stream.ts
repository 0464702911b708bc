// One server-sent event stream (WHATWG HTML, section 9.2). A reader that is slow is waited for, never buffered
// for; one that may no longer read is told nothing more.
import type { Clock } from '../clock.ts'

/** What a stream needs of a response. */
export interface StreamSink {
  readonly writableNeedDrain: boolean
  write(text: string): boolean
  end(): unknown
  once(event: 'drain' | 'close', listener: () => void): unknown
}

export interface StreamOptions {
  readonly heartbeatMs: number
  readonly clock: Clock
  /** asked at every heartbeat, and at most once a second before something is sent */
  isAllowed(): boolean
}

export interface ServerEvent {
  readonly id?: number
  /** one line */
  readonly event: string
  readonly data: object
}

const recheckMs = 1000

export class EventStream {
  /** aborted when the stream ended, from whichever side */
  readonly signal: AbortSignal
  readonly #sink: StreamSink
  readonly #options: StreamOptions
  readonly #ended = new AbortController()
  readonly #heartbeat: NodeJS.Timeout
  #checkedMs: number

  constructor(sink: StreamSink, options: StreamOptions) {
    this.#sink = sink
    this.#options = options
    this.signal = this.#ended.signal
    this.#checkedMs = options.clock.monotonic()
    this.#heartbeat = setInterval(() => this.#beat(), options.heartbeatMs)
    sink.once('close', () => this.#close())
    sink.write('retry: 2000\n\n')
  }

  /** The reader has not taken what it was sent. */
  get isSlow(): boolean {
    return this.#sink.writableNeedDrain
  }

  /** Resolves when the reader can be sent more, or the stream ended. */
  async send({ id, event, data }: ServerEvent): Promise<void> {
    if (this.signal.aborted) return
    if (this.#options.clock.monotonic() - this.#checkedMs >= recheckMs && !this.#isAllowed()) return
    const taken = this.#sink.write(`${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
    if (!taken) await this.drained()
  }

  /** Resolves when the reader has taken what it was sent, or the stream ended. */
  drained(): Promise<void> {
    if (this.signal.aborted || !this.isSlow) return Promise.resolve()
    return new Promise((resolve) => {
      this.#sink.once('drain', resolve)
      this.signal.addEventListener('abort', () => resolve(), { once: true })
    })
  }

  end(): void {
    if (this.signal.aborted) return
    this.#close()
    this.#sink.end()
  }

  #close(): void {
    clearInterval(this.#heartbeat)
    this.#ended.abort()
  }

  #beat(): void {
    if (this.#isAllowed() && !this.isSlow) this.#sink.write(':\n\n')
  }

  #isAllowed(): boolean {
    this.#checkedMs = this.#options.clock.monotonic()
    const allowed = this.#options.isAllowed()
    if (!allowed) this.end()
    return allowed
  }
}
