// Keeps one session from filling the journal: counts its decisions per minute, and what was refused
// for it, so that the refusals leave one record and not one each. Pure; time is handed in.

export interface QuotaExcess {
  readonly session: string
  readonly refused: number
  /** start of the minute, `ms` monotonic */
  readonly startedMs: number
}

const minuteMs = 60_000

export class SessionQuota {
  readonly #perMinute: number
  readonly #counts = new Map<string, number>()
  readonly #refused = new Map<string, number>()
  #startedMs = Number.NEGATIVE_INFINITY

  /** `perMinute` 0 means no limit. */
  constructor(perMinute: number) {
    this.#perMinute = perMinute
  }

  /** Counts one record of a session. */
  count(session: string): void {
    if (this.#perMinute > 0) this.#counts.set(session, (this.#counts.get(session) ?? 0) + 1)
  }

  /** Whether a session has used up its minute; every yes is counted as one refused decision. */
  isOver(session: string): boolean {
    if (this.#perMinute === 0 || (this.#counts.get(session) ?? 0) < this.#perMinute) return false
    this.#refused.set(session, (this.#refused.get(session) ?? 0) + 1)
    return true
  }

  get hasRefused(): boolean {
    return this.#refused.size > 0
  }

  /** `ms` until the minute that runs at `nowMs` ends */
  remainingMs(nowMs: number): number {
    return Math.max(0, this.#startedMs + minuteMs - nowMs)
  }

  /** Starts a new minute when the old one is over, or at once with `force`; returns what the old one refused. */
  turn(nowMs: number, force = false): readonly QuotaExcess[] {
    if (!force && nowMs - this.#startedMs < minuteMs) return []
    const startedMs = this.#startedMs
    const excess = Array.from(this.#refused, ([session, refused]) => ({ session, refused, startedMs }))
    this.#counts.clear()
    this.#refused.clear()
    this.#startedMs = nowMs
    return excess
  }
}
