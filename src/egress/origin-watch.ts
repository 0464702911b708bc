// The time limits of connections to origins: silence while an answer is owed, and idleness between two. One timer
// looks at all of them in steps, so a limit is late by two steps at most and never early, and an exchange pays
// for none of its own.
import { Roster, type Member } from '../roster.ts'

export interface Watched extends Member {
  /** the step in which something last moved: set it from `OriginWatch.step` */
  movedAt: number
  /** `ms` without a move that end it; undefined: none does now, and when one does it counts from then */
  readonly limitMs: number | undefined
  expired(): void
}

const smallestMs = 5
const largestMs = 500

export class OriginWatch {
  readonly #stepMs: number
  readonly #watched = new Roster<Watched>()
  #timer: NodeJS.Timeout | undefined
  #step = 0

  /** `shortestMs`: of the limits that it is for */
  constructor(shortestMs: number) {
    this.#stepMs = Math.max(smallestMs, Math.min(largestMs, shortestMs / 8))
  }

  /** counts up */
  get step(): number {
    return this.#step
  }

  add(watched: Watched): void {
    watched.movedAt = this.#step
    this.#watched.add(watched)
    this.#timer ??= setInterval(this.#look, this.#stepMs).unref()
  }

  remove(watched: Watched): void {
    this.#watched.remove(watched)
    if (this.#watched.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  readonly #look = (): void => {
    this.#step += 1
    for (const watched of this.#watched.all()) {
      const { limitMs } = watched
      if (limitMs === undefined) watched.movedAt = this.#step
      // what moved within a step did so at its end, for all that is known
      else if ((this.#step - watched.movedAt - 1) * this.#stepMs >= limitMs && this.#watched.has(watched)) watched.expired()
    }
  }
}
