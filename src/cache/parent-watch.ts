// Is the parent cache asked at all? Only after it passed its test, and again after each pause: one that is down costs one
// wait, not one for each request. Must never say yes before a test has passed.
import type { Clock } from '../clock.ts'
import { tryParentCache, type ParentCache, type ParentTrial } from '../egress/parent-cache.ts'
import { ProxyError } from '../errors.ts'

export interface ParentState {
  readonly isOn: boolean
  /** one clause, for people; undefined: nothing is wrong */
  readonly detail: string | undefined
}

export interface ParentWatchOptions {
  readonly parent: ParentCache
  readonly clock: Clock
  /** told once for each time that it goes off */
  readonly onFault: (error: unknown) => void
}

/** A test is good for so long: the parent may be set up anew meanwhile. */
const passedMs = 10 * 60_000
const firstPauseMs = 1_000
const maxPauseMs = 30_000

export class ParentWatch {
  readonly #options: ParentWatchOptions
  #passed: ParentTrial | undefined
  /** until then what is known holds, monotonic `ms` */
  #untilMs = -Infinity
  #pauseMs = firstPauseMs
  #detail: string | undefined = 'it was not tested yet'
  #trying: Promise<void> | undefined

  constructor(options: ParentWatchOptions) {
    this.#options = options
  }

  /** May it be asked for a page of this scheme? `never`: it is no cache of such pages. Tests it first where that is due.
   * Never rejects. */
  async standing(scheme: 'http' | 'https'): Promise<'on' | 'off' | 'never'> {
    if (this.#options.clock.monotonic() >= this.#untilMs) await this.test()
    if (this.#passed === undefined) return 'off'
    return this.#passed[scheme] === undefined ? 'on' : 'never'
  }

  /** One test at a time. Never rejects. */
  test(): Promise<void> {
    this.#trying ??= this.#test().finally(() => (this.#trying = undefined))
    return this.#trying
  }

  async #test(): Promise<void> {
    const { parent, clock } = this.#options
    try {
      const trial = await tryParentCache(parent)
      if (trial.http !== undefined) return this.#pause(trial.http)
      this.#passed = trial
      this.#untilMs = clock.monotonic() + passedMs
      this.#detail = trial.https === undefined ? undefined : `it is not asked for https pages: ${trial.https}`
    } catch (error) {
      this.#pause(messageOf(error))
    }
  }

  /** It did not answer, or not in time. */
  failed(error: unknown): void {
    if (this.#passed !== undefined) this.#pause(messageOf(error))
  }

  /** It answered as it should. */
  worked(): void {
    this.#pauseMs = firstPauseMs
  }

  state(): ParentState {
    return { isOn: this.#passed !== undefined, detail: this.#detail }
  }

  #pause(reason: string): void {
    const { parent, clock, onFault } = this.#options
    const isNews = this.#detail !== reason
    this.#passed = undefined
    this.#detail = reason
    this.#untilMs = clock.monotonic() + this.#pauseMs
    this.#pauseMs = Math.min(this.#pauseMs * 2, maxPauseMs)
    if (isNews) onFault(new ProxyError('parent_unreachable', `the parent cache ${parent.text} is not asked: ${reason}`))
  }
}

function messageOf(error: unknown): string {
  return error instanceof ProxyError ? error.detail : error instanceof Error ? error.message : String(error)
}
