// Tells the events of a server-sent stream apart, as its text arrives in pieces (HTML, 9.2.6). Only that one
// arrived is told; heartbeats are comments and no events.

/** Longest line that is kept; what is longer cannot be an event of ours. */
const maxLine = 1 << 20

export class StreamLines {
  readonly #onEvent: () => void
  #rest = ''
  #hasData = false

  constructor(onEvent: () => void) {
    this.#onEvent = onEvent
  }

  take(text: string): void {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/)
    this.#rest = (lines.pop() ?? '').slice(0, maxLine)
    for (const line of lines) {
      if (line === '') this.#dispatch()
      else if (/^data(:|$)/.test(line)) this.#hasData = true
    }
  }

  #dispatch(): void {
    const isEvent = this.#hasData
    this.#hasData = false
    if (isEvent) this.#onEvent()
  }
}
