// What has to be told, kept until it is told: rows of the table `outbox`, each delivered at least once, tried again
// with growing waits for a day, then dropped and reported. It must never hold up or fail whoever adds to it.
import type { Clock } from '../clock.ts'
import { numberOf, textOf, type Store } from '../store/store.ts'

export type Delivery =
  | { readonly kind: 'delivered' }
  /** `reason` may be logged */
  | { readonly kind: 'failed'; readonly reason: string; readonly retryAfterMs: number | undefined }
  /** the process stops: it was not the receiver's fault */
  | { readonly kind: 'stopped' }

export interface OutboxTiming {
  /** wait after a first failure, `ms`; doubled with each one more */
  readonly firstRetryMs: number
  /** the longest wait of one message */
  readonly maxRetryMs: number
  /** the longest that a target rests because it failed */
  readonly maxRestMs: number
  /** a message that was tried and is older is dropped */
  readonly giveUpMs: number
  /** a claim is good for so long: longer than any delivery takes */
  readonly claimMs: number
}

export const outboxTiming: OutboxTiming = { firstRetryMs: 2000, maxRetryMs: 15 * 60_000, maxRestMs: 60_000, giveUpMs: 24 * 3_600_000, claimMs: 15_000 }

export interface OutboxOptions {
  readonly store: Store
  readonly clock: Clock
  /** what is for any other target is thrown away at the start: its setting is gone */
  readonly targets: readonly string[]
  /** Never rejects. */
  readonly deliver: (target: string, body: string) => Promise<Delivery>
  /** for the operator log: a target begins to fail, messages were dropped, the database failed */
  readonly onFault: (error: Error) => void
  readonly timing: OutboxTiming
  /** rows at most; the oldest make room */
  readonly maxRows: number
}

interface Target {
  readonly name: string
  isBusy: boolean
  /** failures since the last success */
  failures: number
  /** monotonic; nothing is sent there before */
  restsUntilMs: number
}

const maxRetryAfterMs = 3_600_000
// no row waits longer of its own accord: one that does was written before the wall clock was set back
const maxAheadMs = 2 * 3_600_000
const maxSleepMs = 60_000

export class Outbox {
  readonly #options: OutboxOptions
  readonly #targets: readonly Target[]
  readonly #running = new Set<Promise<void>>()
  #timer: NodeJS.Timeout | undefined
  #isFull = false
  #isStopped = false

  constructor(options: OutboxOptions) {
    this.#options = options
    this.#targets = options.targets.map((name) => ({ name, isBusy: false, failures: 0, restsUntilMs: Number.NEGATIVE_INFINITY }))
    this.#safely(() => {
      for (const row of options.store.all('SELECT DISTINCT target FROM outbox')) {
        const target = textOf(row, 'target')
        if (!options.targets.includes(target)) options.store.run('DELETE FROM outbox WHERE target = ?', target)
      }
    })
    this.#wake(0)
  }

  /** Keeps a message until it is delivered, not before `delayMs` from now. One with the same id that still waits
   * gets the new body and keeps its time. */
  put(id: string, target: string, body: string, delayMs = 0): void {
    if (this.#isStopped) return
    const { store, clock } = this.#options
    this.#safely(() => store.transaction(() => {
      this.#makeRoom(id)
      const now = clock.now()
      store.run(
        'INSERT INTO outbox (id, target, body, created_ms, tries, next_ms) VALUES (?, ?, ?, ?, 0, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body',
        id, target, body, now, now + Math.ceil(delayMs),
      )
    }))
    this.#wake(0)
  }

  /** Takes back what nobody has tried to send yet. */
  takeBack(id: string): void {
    if (this.#isStopped) return
    this.#safely(() => this.#options.store.run('DELETE FROM outbox WHERE id = ? AND tries = 0', id))
  }

  /** Resolves when nothing is under way any more; what is left is delivered after the next start. The store may be
   * closed then. Whoever delivers has to end what is under way before. */
  async stop(): Promise<void> {
    this.#isStopped = true
    clearTimeout(this.#timer)
    await Promise.all(this.#running)
  }

  #wake(inMs: number): void {
    if (this.#isStopped) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(this.#look, Math.max(0, Math.min(inMs, maxSleepMs))).unref()
  }

  /** Sends what is due, one at a time to each target, and sleeps until something is. */
  readonly #look = (): void => {
    const ok = this.#safely(() => {
      this.#dropOld()
      let sleepMs = maxSleepMs
      for (const target of this.#targets) if (!target.isBusy) sleepMs = Math.min(sleepMs, this.#serve(target))
      this.#wake(sleepMs)
    })
    if (!ok) this.#wake(maxSleepMs)
  }

  /** Returns after how many `ms` to look again, where nothing else will wake it. */
  #serve(target: Target): number {
    const { store, clock, timing } = this.#options
    const restMs = target.restsUntilMs - clock.monotonic()
    if (restMs > 0) return restMs
    const now = clock.now()
    const row = store.get(
      'SELECT id, body, tries FROM outbox WHERE target = ? AND (next_ms <= ? OR next_ms > ?) ORDER BY tries, next_ms, id LIMIT 1',
      target.name, now, now + maxAheadMs,
    )
    if (row === undefined) {
      const next = store.get('SELECT next_ms FROM outbox WHERE target = ? ORDER BY next_ms LIMIT 1', target.name)
      return next === undefined ? maxSleepMs : numberOf(next, 'next_ms') - now
    }
    const id = textOf(row, 'id')
    const tries = numberOf(row, 'tries') + 1
    store.run('UPDATE outbox SET tries = ?, next_ms = ? WHERE id = ?', tries, now + timing.claimMs, id)
    target.isBusy = true
    const running = this.#deliver(target, id, textOf(row, 'body'), tries).finally(() => {
      target.isBusy = false
      this.#running.delete(running)
      this.#wake(0)
    })
    this.#running.add(running)
    return maxSleepMs
  }

  async #deliver(target: Target, id: string, body: string, tries: number): Promise<void> {
    const { store, clock, timing, deliver } = this.#options
    const delivery = await deliver(target.name, body)
    this.#safely(() => {
      if (delivery.kind === 'delivered') {
        store.run('DELETE FROM outbox WHERE id = ?', id)
        target.failures = 0
      } else if (delivery.kind === 'stopped') {
        store.run('UPDATE outbox SET tries = ?, next_ms = ? WHERE id = ?', tries - 1, clock.now(), id)
      } else {
        const waitMs = Math.max(this.#backOff(tries, timing.maxRetryMs), Math.min(delivery.retryAfterMs ?? 0, maxRetryAfterMs))
        store.run('UPDATE outbox SET next_ms = ? WHERE id = ?', clock.now() + Math.ceil(waitMs), id)
        this.#rest(target, delivery.reason)
      }
    })
  }

  /** Back-off of the target as a whole: while it is down, not every message has to find that out. */
  #rest(target: Target, reason: string): void {
    target.failures += 1
    target.restsUntilMs = this.#options.clock.monotonic() + this.#backOff(target.failures, this.#options.timing.maxRestMs)
    if (target.failures > 1) return
    this.#options.onFault(new Error(`notifications to ${target.name} are not taken (${reason}); they are kept and tried again`))
  }

  #backOff(tries: number, maxMs: number): number {
    return Math.min(this.#options.timing.firstRetryMs * 2 ** Math.min(tries - 1, 30), maxMs)
  }

  #dropOld(): void {
    const { store, clock, timing, onFault } = this.#options
    for (const { name } of this.#targets) {
      const dropped = store.run('DELETE FROM outbox WHERE target = ? AND tries > 0 AND created_ms <= ?', name, clock.now() - timing.giveUpMs)
      if (dropped > 0) onFault(new Error(`${dropped} notifications to ${name} were not taken for ${timing.giveUpMs / 3_600_000} hours and are dropped`))
    }
  }

  #makeRoom(id: string): void {
    const { store, maxRows, onFault } = this.#options
    const row = store.get('SELECT COUNT(*) AS rows FROM outbox WHERE id <> ?', id)
    const excess = (row === undefined ? 0 : numberOf(row, 'rows')) + 1 - maxRows
    if (excess > 0) store.run('DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE id <> ? ORDER BY created_ms, id LIMIT ?)', id, excess)
    // told when it begins, not for each
    if (excess > 0 && !this.#isFull) onFault(new Error(`${maxRows} notifications wait to be delivered: the oldest are dropped`))
    this.#isFull = excess > 0
  }

  /** A database that fails is told, and fails nobody else. */
  #safely(work: () => void): boolean {
    try {
      work()
      return true
    } catch (error) {
      this.#options.onFault(new Error('the outbox of notifications cannot be used', { cause: error }))
      return false
    }
  }
}
