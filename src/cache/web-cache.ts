// What agents read from: the shelf `web`. It looks up and hands out; it never fetches, resolves or revalidates, and what
// agents ask for changes nothing in it.
import { cacheHitEvent, cacheMissedEvent, type CacheReader } from '../audit/cache-events.ts'
import type { AuditEvent, AuditSink } from '../audit/event.ts'
import type { Redaction } from '../audit/redaction.ts'
import type { Clock } from '../clock.ts'
import type { Principal } from '../policy/facts.ts'
import type { ByteRange, CacheStore } from './cache-store.ts'
import type { CachedResponse } from './cached-response.ts'
import { standingOf, type AgeRules, type Standing } from './freshness.ts'
import { joinedValue } from './field-list.ts'

export type { CacheReader } from '../audit/cache-events.ts'

export interface Hit {
  readonly kind: 'hit'
  readonly entry: CachedResponse
  readonly standing: Standing
}

export interface Miss {
  readonly kind: 'miss'
  readonly detail: 'not-in-cache' | 'too-old' | 'stale'
}

/** What whoever had it fetched puts there for everybody. */
export const commonPartition = 'common'

/** The part of the cache that is a team's own. */
export function partitionOf(team: string | undefined): string {
  return team === undefined ? 'teamless' : `team:${team}`
}

export interface WebCacheOptions {
  readonly store: CacheStore
  readonly clock: Clock
  readonly audit: AuditSink
  readonly redaction: Redaction
  readonly onFault: (error: unknown) => void
}

export class WebCache {
  readonly #options: WebCacheOptions

  constructor(options: WebCacheOptions) {
    this.#options = options
  }

  /** `url`: as `cacheUrl` writes it; `fields`: of the request, flat. A page of the team's own comes before a common one. */
  find(url: string, fields: readonly string[], { team }: Pick<Principal, 'team'>, rules: AgeRules): Hit | Miss {
    const { store, clock } = this.#options
    let miss: Miss = notInCache
    for (const partition of [partitionOf(team), commonPartition]) {
      for (const entry of store.find({ shelf: 'web', partition, url })) {
        if (!entry.vary.every(([name, value]) => (joinedValue(fields, name) ?? null) === value)) continue
        const standing = standingOf(entry, clock.now(), rules)
        if (standing.refused === undefined) return { kind: 'hit', entry, standing }
        miss = { kind: 'miss', detail: standing.refused }
      }
    }
    return miss
  }

  /** What `read` would resolve with, where it is at hand; undefined: it has to be read. */
  readHot(entry: CachedResponse, range: ByteRange | undefined): Uint8Array | undefined {
    return this.#options.store.readHot?.(entry, range)
  }

  /** The content, or a part of it; undefined when it is gone or damaged. Rejects with ProxyError `cache_failed`. */
  read(entry: CachedResponse, range: ByteRange | undefined): Promise<AsyncIterable<Uint8Array> | Uint8Array | undefined> {
    return this.#options.store.read(entry, range)
  }

  /** It was answered: `bytes` of content. */
  answered(reader: CacheReader, { entry, standing }: Hit, status: number, bytes: number): void {
    this.#tell(cacheHitEvent(reader, { ageS: Math.floor(standing.ageMs / 1000), source: entry.source, status, bytes }, this.#options.redaction))
  }

  missed(reader: CacheReader, detail: Miss['detail']): void {
    this.#tell(cacheMissedEvent(reader, detail, this.#options.redaction))
  }

  /** Nobody waits for these: a journal that is down says so itself. */
  #tell(event: AuditEvent): void {
    this.#options.audit.append(event).catch((error: unknown) => this.#options.onFault(error))
  }
}

const notInCache: Miss = { kind: 'miss', detail: 'not-in-cache' }
