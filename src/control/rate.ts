// Token buckets, one for each key: how often somebody may call. State is bounded; the clock is handed in.
import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'

export interface Taken {
  readonly ok: boolean
  /** whole calls that are left */
  readonly remaining: number
  /** until there is one more, `s`, at least 1 */
  readonly retryAfterS: number
  /** this is the first refusal since the bucket was last half full */
  readonly isFirstRefusal: boolean
}

interface Bucket {
  tokens: number
  atMs: number
  isRefusing: boolean
}

const maxKeys = 10_000

export class RateLimit {
  readonly burst: number
  readonly perSecond: number
  readonly #clock: Clock
  // a key that is forgotten starts full: it was the one unused for longest
  readonly #buckets = new LRUCache<string, Bucket>({ max: maxKeys })

  constructor(clock: Clock, burst: number, perSecond: number) {
    this.#clock = clock
    this.burst = burst
    this.perSecond = perSecond
  }

  /** Whether `take` would be answered with yes. */
  has(key: string): boolean {
    return this.#filled(key).tokens >= 1
  }

  take(key: string): Taken {
    const bucket = this.#filled(key)
    const ok = bucket.tokens >= 1
    const isFirstRefusal = !ok && !bucket.isRefusing
    if (ok) bucket.tokens -= 1
    if (!ok) bucket.isRefusing = true
    else if (bucket.tokens >= this.burst / 2) bucket.isRefusing = false
    return { ok, isFirstRefusal, remaining: Math.floor(bucket.tokens), retryAfterS: Math.max(1, Math.ceil((1 - bucket.tokens) / this.perSecond)) }
  }

  #filled(key: string): Bucket {
    const now = this.#clock.monotonic()
    const bucket = this.#buckets.get(key) ?? { tokens: this.burst, atMs: now, isRefusing: false }
    bucket.tokens = Math.min(this.burst, bucket.tokens + ((now - bucket.atMs) / 1000) * this.perSecond)
    bucket.atMs = now
    this.#buckets.set(key, bucket)
    return bucket
  }
}
