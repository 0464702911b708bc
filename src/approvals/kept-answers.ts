// Answers of the control API that are kept for a day, so that a caller who did not hear one may ask again
// with the same key and nothing is decided twice. A secret must never be kept here.
import { createHash } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { numberOf, textOf, type Store } from '../store/store.ts'

export interface KeptAnswer {
  readonly requestHash: string
  readonly status: number
  /** JSON */
  readonly body: string
}

const keptMs = 86_400_000

export class KeptAnswers {
  readonly #store: Store
  readonly #clock: Clock

  constructor(store: Store, clock: Clock) {
    this.#store = store
    this.#clock = clock
  }

  /** What this actor was answered under this key within the last 24 h. */
  find(actor: string, key: string): KeptAnswer | undefined {
    const row = this.#store.get('SELECT request_hash, status, body FROM idempotency WHERE actor = ? AND key = ? AND created_ms > ?', actor, key, this.#clock.now() - keptMs)
    return row === undefined ? undefined : { requestHash: textOf(row, 'request_hash'), status: numberOf(row, 'status'), body: textOf(row, 'body') }
  }

  /** Keeps an answer, and drops those that are older than a day. */
  keep(actor: string, key: string, answer: KeptAnswer): void {
    const now = this.#clock.now()
    this.#store.transaction(() => {
      this.#store.run('DELETE FROM idempotency WHERE created_ms <= ?', now - keptMs)
      this.#store.run(
        'INSERT OR REPLACE INTO idempotency (actor, key, request_hash, status, body, created_ms) VALUES (?, ?, ?, ?, ?, ?)',
        actor, key, answer.requestHash, answer.status, answer.body, now,
      )
    })
  }
}

/** What makes two requests the same. */
export function hashOfRequest(method: string, path: string, body: unknown): string {
  return createHash('sha256').update(JSON.stringify([method, path, body ?? null])).digest('hex')
}
