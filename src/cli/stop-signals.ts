// Tells a second Ctrl-C from the echo of the first. A terminal sends SIGINT to the whole group, and npm sends
// its child the one it got as well: both arrive within milliseconds, and only a person means the second one.
import type { Clock } from '../clock.ts'

const echoMs = 500

export class StopSignals {
  readonly #clock: Clock
  #firstMs: number | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** What a signal that arrives now means: `stop` gracefully, nothing (`echo`), or at once (`insist`). */
  take(): 'stop' | 'echo' | 'insist' {
    const now = this.#clock.monotonic()
    if (this.#firstMs === undefined) {
      this.#firstMs = now
      return 'stop'
    }
    return now - this.#firstMs < echoMs ? 'echo' : 'insist'
  }
}
