// What agents read pages from, as one shape: the own store, and a parent cache behind it. A source looks up and hands
// out; it never has anything fetched.
import type { CacheSource } from '../audit/cache-source.ts'
import type { Principal } from '../policy/facts.ts'
import type { ByteRange } from './cache-store.ts'
import type { CachedResponse } from './cached-response.ts'
import { madeFields, missStatus, type AgeRules, type Standing } from './freshness.ts'

/** A page that is not in the own store; it is held until `release`. */
export interface HeldPage {
  readonly source: Exclude<HitSource, CacheSource>
  /** Value of `Cache-Status` (RFC 9211) */
  readonly status: string
  /** The content, or a part of it; once. What it yields throws where the rest does not come. */
  read(range: ByteRange | undefined): AsyncIterable<Uint8Array> | Uint8Array
  release(): void
}

export interface Hit {
  readonly kind: 'hit'
  readonly entry: CachedResponse
  readonly standing: Standing
  /** absent: the entry is the own store's */
  readonly held?: HeldPage
}

export interface Miss {
  readonly kind: 'miss'
  readonly detail: MissDetail
}

export type HitSource = CacheSource | 'parent'

/** As in `Cache-Status`. `parent-unreachable`: down, slow, or its test has not passed. `parent-doubtful`: what the parent
 * answered was not whole, not fit to be kept, or not plainly out of its cache. */
export type MissDetail = 'not-in-cache' | 'too-old' | 'stale' | 'parent-unreachable' | 'parent-doubtful'

export interface PageSource {
  /** `url`: as `cacheUrl` writes it; `fields`: of the request, flat. Never rejects for a page's sake. */
  find(url: string, fields: readonly string[], reader: Pick<Principal, 'team'>, rules: AgeRules): Hit | Miss | Promise<Hit | Miss>
}

export function sourceOf({ entry, held }: Hit): HitSource {
  return held?.source ?? entry.source
}

/** The fields that are made when it is read, flat. */
export function fieldsOfHit({ entry, standing, held }: Hit): string[] {
  const fields = madeFields(entry, standing)
  return held === undefined ? fields : fields.map((text, i) => (i % 2 === 1 && fields[i - 1] === 'Cache-Status' ? held.status : text))
}

/** Value of `Cache-Status` for a miss. */
export function statusOfMiss(detail: MissDetail): string {
  return detail === 'parent-unreachable' || detail === 'parent-doubtful' ? `sallyport; detail=${detail}` : missStatus(detail)
}
