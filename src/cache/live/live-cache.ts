// Copies of live traffic on the shelf `live` (RFC 9111): what is found for a request, what is written beside an answer,
// and who waits for whose answer. A store that fails is no cache, never an error of the exchange. It never dials.
import type { Clock } from '../../clock.ts'
import type { Deadlines } from '../../deadlines.ts'
import type { CachedHead, CachedResponse, CacheKey } from '../cached-response.ts'
import type { ByteRange, CacheStore } from '../cache-store.ts'
import type { Asked } from './asked.ts'
import { Fill } from './fill.ts'
import { isSelected } from './vary.ts'

export interface LiveCacheOptions {
  readonly store: CacheStore
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly onFault: (error: unknown) => void
  /** a larger body passes and is not kept; default 1 GiB */
  readonly maxBodyBytes?: number
  /** `ms` that a request waits for the answer to an equal one; default 5,000 */
  readonly waitMs?: number
}

/** `isKnown`: the URL has answers, though none may be for this request */
export interface Found {
  readonly entry: CachedResponse | undefined
  readonly isKnown: boolean
}

type Body = AsyncIterable<Uint8Array> | Uint8Array

const nothing: Found = { entry: undefined, isKnown: false }
const maxWaiting = 64

export class LiveCache {
  readonly maxBodyBytes: number
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly #options: LiveCacheOptions
  readonly #waitMs: number
  readonly #fills = new Map<string, Set<Fill>>()
  readonly #waiting = new Map<Fill, number>()
  #isUsed: boolean

  constructor(options: LiveCacheOptions) {
    this.#options = options
    this.clock = options.clock
    this.deadlines = options.deadlines
    this.maxBodyBytes = options.maxBodyBytes ?? 1024 ** 3
    this.#waitMs = options.waitMs ?? 5_000
    this.#isUsed = this.#guarded(() => options.store.list({ shelf: 'live' }, 1).length > 0, true)
  }

  /** Something may be on the shelf that an unsafe request changes. */
  get isUsed(): boolean {
    return this.#isUsed
  }

  find(key: CacheKey, asked: Asked): Found {
    return this.#guarded(() => {
      const entries = this.#options.store.find(key)
      return { entry: entries.find(({ vary }) => isSelected(vary, asked.fields)), isKnown: entries.length > 0 }
    }, nothing)
  }

  /** The content, or undefined where it is gone. */
  async read(entry: CachedResponse, range?: ByteRange): Promise<Body | undefined> {
    try {
      return await this.#options.store.read(entry, range)
    } catch (error) {
      this.#options.onFault(error)
      return undefined
    }
  }

  /** Content that was promised does not come. */
  report(error: unknown): void {
    this.#options.onFault(error)
  }

  /** Starts a copy; others wait for it where `isShared`. */
  begin(key: CacheKey, by: string, isShared: boolean): Fill {
    this.#isUsed = true
    const { store, onFault } = this.#options
    const name = nameOf(key)
    const fill = new Fill({
      store, key, by, onFault, maxBodyBytes: this.maxBodyBytes,
      settled: (over) => {
        const open = this.#fills.get(name)
        open?.delete(over)
        if (open?.size === 0) this.#fills.delete(name)
        this.#waiting.delete(over)
      },
    })
    const open = this.#fills.get(name)
    if (open === undefined) this.#fills.set(name, new Set([fill]))
    else open.add(fill)
    if (isShared) this.#waiting.set(fill, 0)
    return fill
  }

  /** Waits for an equal request that is under way, until it is over, the client leaves or time is up; undefined: there is none, or enough have waited for it. */
  wait(key: CacheKey, onLeft: (left: () => void) => void): Promise<void> | undefined {
    const fill = this.#fills.get(nameOf(key))?.values().find((each) => this.#waiting.has(each))
    const count = fill === undefined ? maxWaiting : (this.#waiting.get(fill) ?? maxWaiting)
    if (fill === undefined || count >= maxWaiting) return undefined
    this.#waiting.set(fill, count + 1)
    const { promise, resolve } = Promise.withResolvers<void>()
    const deadline = this.deadlines.in(this.#waitMs, resolve)
    const done = (): void => {
      this.deadlines.cancel(deadline)
      resolve()
    }
    onLeft(done)
    fill.onRelease(done)
    return promise
  }

  /** A new head for the same content; undefined where it is gone. */
  refresh(entry: CachedResponse, head: CachedHead): CachedResponse | undefined {
    return this.#guarded(() => this.#options.store.refresh(entry.id, head), undefined)
  }

  remove(entry: CachedResponse): void {
    this.#guarded(() => this.#options.store.remove(entry.id), false)
  }

  /** What is kept of these URLs, or is on its way, is no longer so (RFC 9111 section 4.4). */
  invalidate(keys: readonly CacheKey[]): void {
    for (const key of keys) {
      for (const fill of [...(this.#fills.get(nameOf(key)) ?? [])]) fill.abort()
      this.#guarded(() => {
        for (const { id } of this.#options.store.find(key)) this.#options.store.remove(id)
      }, undefined)
    }
  }

  #guarded<T>(work: () => T, otherwise: T): T {
    try {
      return work()
    } catch (error) {
      this.#options.onFault(error)
      return otherwise
    }
  }
}

function nameOf({ partition, url }: CacheKey): string {
  return `${partition} ${url}`
}
