// Faults of the proxy itself on their way to the operator log: one that comes with every connection, such as
// no file descriptor being left, must not fill a disk. It never leaves a fault unsaid, only its repetitions.
import type { Clock } from '../clock.ts'

const quietMs = 10_000
const maxKinds = 64

interface Kind {
  saidMs: number
  unsaid: number
}

export class FaultLog {
  readonly #clock: Clock
  readonly #say: (text: string, repeated: number | undefined) => void
  readonly #kinds = new Map<string, Kind>()

  /** `say` gets a stack or message, and how often the same was left out before it. */
  constructor(clock: Clock, say: (text: string, repeated: number | undefined) => void) {
    this.#clock = clock
    this.#say = say
  }

  report(error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    const nowMs = this.#clock.monotonic()
    const known = this.#kinds.get(text)
    if (known !== undefined && nowMs - known.saidMs < quietMs) {
      known.unsaid += 1
      return
    }
    if (this.#kinds.size >= maxKinds) this.#kinds.clear()
    this.#kinds.set(text, { saidMs: nowMs, unsaid: 0 })
    this.#say(text, known === undefined || known.unsaid === 0 ? undefined : known.unsaid)
  }
}
