// What the cache keeps of an answer, and who may read it. Types only.
import type { CacheSource } from '../audit/cache-source.ts'

/** What an entry is for. `web`: what people chose for cached-only reading; agents read it and never fill it.
 * `live`: copies of live traffic by RFC 9111. Neither is ever answered from the other. */
export type Shelf = 'web' | 'live'

export interface CacheKey {
  readonly shelf: Shelf
  /** who may read it: `common`, `team:NAME`, or `teamless` for sessions without a team */
  readonly partition: string
  /** the target URI as it was matched: scheme, host, port unless it is the default one, path and query */
  readonly url: string
}

export { cacheSources, type CacheSource } from '../audit/cache-source.ts'

export interface CachedHead {
  readonly status: number
  readonly reason: string
  /** flat name, value, name, value; nothing hop-by-hop, and none of what would outlive the page (Set-Cookie, Alt-Svc ...) */
  readonly fields: readonly string[]
  /** request fields that choose between answers: lower-case name and the value that this one was asked with, null for none */
  readonly vary: readonly (readonly [name: string, value: string | null])[]
  /** wall clock, `ms`, when the answer came */
  readonly storedMs: number
  /** its age when it came, `ms` (RFC 9111 section 4.2.3) */
  readonly initialAgeMs: number
}

export interface NewCachedResponse extends CachedHead {
  readonly key: CacheKey
  readonly source: CacheSource
  /** whoever had it fetched: name of a reviewer or admin, or of a session */
  readonly by: string
  /** never evicted */
  readonly pinned: boolean
  /** when an archive captured it, wall clock `ms`; undefined: it came from its origin */
  readonly capturedMs: number | undefined
}

export interface CachedResponse extends NewCachedResponse {
  readonly id: number
  /** SHA-256 of the content, hexadecimal; on the shelf `web` it is kept without content coding, on `live` as it came */
  readonly bodyDigest: string
  readonly bodyBytes: number
}
