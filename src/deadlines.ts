// Time limits that nearly always are met: every connection has some, and a timer of node's for each costs more
// than its policy decision. One timer looks at all of them in steps, so a limit is late by a step, and of a crowd that
// ends together by the turns of those before it, and never early.
import type { Clock } from './clock.ts'
import { Roster, type Member } from './roster.ts'
import { Turnstile } from './turnstile.ts'

/** A limit that runs. */
export interface Deadline extends Member {
  readonly atMs: number
  readonly expire: () => void
  /** it is over, and expires in its turn */
  isOver: boolean
}

const defaultStepMs = 25

export class Deadlines {
  readonly #clock: Clock
  readonly #stepMs: number
  readonly #running = new Roster<Deadline>()
  /** those of a crowd of connections that came together end together */
  readonly #turnstile = new Turnstile()
  #isLooking = false

  constructor(clock: Clock, stepMs = defaultStepMs) {
    this.#clock = clock
    this.#stepMs = stepMs
  }

  /** Calls `expire` once, `ms` from now, unless it is cancelled before. */
  in(ms: number, expire: () => void): Deadline {
    const deadline = { place: -1, atMs: this.#clock.monotonic() + ms, expire, isOver: false }
    this.#running.add(deadline)
    this.#lookLater()
    return deadline
  }

  cancel(deadline: Deadline): void {
    this.#running.remove(deadline)
  }

  #lookLater(): void {
    if (this.#isLooking) return
    this.#isLooking = true
    setTimeout(this.#look, this.#stepMs)
  }

  readonly #look = (): void => {
    const nowMs = this.#clock.monotonic()
    for (const deadline of this.#running.all()) {
      if (deadline.isOver || deadline.atMs > nowMs) continue
      deadline.isOver = true
      this.#turnstile.pass(() => {
        if (this.#running.remove(deadline)) deadline.expire()
      })
    }
    this.#isLooking = false
    if (this.#running.size > 0) this.#lookLater()
  }
}
