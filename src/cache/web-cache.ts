// What agents read from: the shelf `web`, and the parent cache behind it. It looks up and hands out; it never fetches,
// resolves or revalidates, and what agents ask for changes nothing in it.
import { cacheHitEvent, cacheMissedEvent, type CacheReader } from '../audit/cache-events.ts'
import type { AuditEvent, AuditSink } from '../audit/event.ts'
import type { Redaction } from '../audit/redaction.ts'
import type { Clock } from '../clock.ts'
import type { Principal } from '../policy/facts.ts'
import type { Policy } from '../policy/policy.ts'
import { joinedValue } from '../target/field-list.ts'
import type { ByteRange, CacheStore } from './cache-store.ts'
import type { CachedResponse } from './cached-response.ts'
import { standingOf, type AgeRules } from './freshness.ts'
import { sourceOf, type Hit, type Miss, type PageSource } from './page-source.ts'

export type { CacheReader } from '../audit/cache-events.ts'
export type { Hit, Miss } from './page-source.ts'

/** What whoever had it fetched puts there for everybody. */
export const commonPartition = 'common'

/** What policy says of the age of what is read. */
export function ageRulesOf(policy: Policy | undefined): AgeRules {
  const { maxAgeMs, staleOk = true } = policy?.webFetch ?? {}
  return { maxAgeMs, staleOk }
}

/** The part of the cache that is a team's own. */
export function partitionOf(team: string | undefined): string {
  return team === undefined ? 'teamless' : `team:${team}`
}

export interface WebCacheOptions {
  readonly store: CacheStore
  /** asked for what the store does not hold; it is never copied into it */
  readonly parent?: PageSource | undefined
  readonly clock: Clock
  readonly audit: AuditSink
  readonly redaction: Redaction
  readonly onFault: (error: unknown) => void
}

export class WebCache implements PageSource {
  readonly #options: WebCacheOptions

  constructor(options: WebCacheOptions) {
    this.#options = options
  }

  /** `url`: as `cacheUrl` writes it; `fields`: of the request, flat. A page of the team's own comes before a common one.
   * What people had fetched is read by whoever asks, in the one form that it was fetched in, where no other form fits:
   * reading would otherwise depend on fields that no reviewer sees. */
  find(url: string, fields: readonly string[], { team }: Pick<Principal, 'team'>, rules: AgeRules): Hit | Miss {
    const own = this.#findIn(partitionOf(team), url, fields, rules)
    if (own.kind === 'hit') return own
    const common = this.#findIn(commonPartition, url, fields, rules)
    return common === notInCache ? own : common
  }

  #findIn(partition: string, url: string, fields: readonly string[], rules: AgeRules): Hit | Miss {
    const { store, clock } = this.#options
    const kept = store.find({ shelf: 'web', partition, url })
    let miss = notInCache
    for (const isMeant of [true, false]) {
      for (const entry of kept) {
        if (isFor(entry, fields) !== isMeant || !(isMeant || fetchedByPeople.has(entry.source))) continue
        const standing = standingOf(entry, clock.now(), rules)
        if (standing.refused === undefined) return { kind: 'hit', entry, standing }
        miss = { kind: 'miss', detail: standing.refused }
      }
    }
    return miss
  }

  /** As `find`, and then the parent cache, if there is one. A hit is to be released. */
  findAnywhere(url: string, fields: readonly string[], reader: Pick<Principal, 'team'>, rules: AgeRules): Hit | Miss | Promise<Hit | Miss> {
    const own = this.find(url, fields, reader, rules)
    const { parent } = this.#options
    return own.kind === 'hit' || parent === undefined ? own : findBehind(own, parent.find(url, fields, reader, rules))
  }

  /** As `read`, for a hit of any source; no promise where the content is at hand. */
  open({ entry, held }: Hit, range: ByteRange | undefined): Uint8Array | Promise<AsyncIterable<Uint8Array> | Uint8Array | undefined> {
    if (held !== undefined) return Promise.resolve(held.read(range))
    return this.#options.store.readHot?.(entry, range) ?? this.read(entry, range)
  }

  /** The content, or a part of it; undefined when it is gone or damaged. Rejects with ProxyError `cache_failed`. */
  read(entry: CachedResponse, range: ByteRange | undefined): Promise<AsyncIterable<Uint8Array> | Uint8Array | undefined> {
    return this.#options.store.read(entry, range)
  }

  /** It was answered: `bytes` of content. */
  answered(reader: CacheReader, hit: Hit, status: number, bytes: number): void {
    this.#tell(cacheHitEvent(reader, { ageS: Math.floor(hit.standing.ageMs / 1000), source: sourceOf(hit), status, bytes }, this.#options.redaction))
  }

  missed(reader: CacheReader, detail: Miss['detail']): void {
    this.#tell(cacheMissedEvent(reader, detail, this.#options.redaction))
  }

  /** Nobody waits for these: a journal that is down says so itself. */
  #tell(event: AuditEvent): void {
    this.#options.audit.append(event).catch((error: unknown) => this.#options.onFault(error))
  }
}

/** What is too old here and nowhere else is said to be too old. */
async function findBehind(own: Miss, found: ReturnType<PageSource['find']>): Promise<Hit | Miss> {
  const other = await found
  return other.kind === 'miss' && other.detail === 'not-in-cache' ? own : other
}

/** Whether it is the form that a request with these fields gets. */
function isFor({ vary }: CachedResponse, fields: readonly string[]): boolean {
  return vary.every(([name, value]) => (joinedValue(fields, name) ?? null) === value)
}

/** without anything of an agent's */
const fetchedByPeople: ReadonlySet<CachedResponse['source']> = new Set(['fetched', 'added', 'warmed'])

const notInCache: Miss = { kind: 'miss', detail: 'not-in-cache' }
