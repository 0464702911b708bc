// Whether an answer that is kept may be given to a request as it is, or has to be confirmed first (RFC 9111 sections
// 4.2.4, 5.2). Pure. Must never let a stale answer pass that its origin says to confirm.
import type { CachedHead } from '../cached-response.ts'
import { valuesOf } from '../../target/field-list.ts'
import type { Asked } from './asked.ts'
import { readDirectives, says, secondsOf, type Directives } from './cache-control.ts'
import { currentAgeMs, lifetimeMs } from './freshness.ts'

/** `confirm`: `why` as Cache-Status says it; `forbidden`: not for this request at all */
export type Reuse =
  | { readonly kind: 'usable'; readonly ttlMs: number }
  | { readonly kind: 'confirm'; readonly why: 'request' | 'stale' }
  | { readonly kind: 'forbidden' }

const sharedWithAll = ['public', 's-maxage', 'must-revalidate'] as const
const neverStale = ['must-revalidate', 'proxy-revalidate', 's-maxage', 'no-cache'] as const

export function judgeReuse(kept: CachedHead, asked: Asked, nowMs: number): Reuse {
  const directives = readDirectives(kept.fields)
  if (asked.isAuthorized && !sharedWithAll.some((name) => says(directives, name))) return { kind: 'forbidden' }
  if (asked.wantsConfirmed) return { kind: 'confirm', why: 'request' }
  if (saysNoCache(kept.fields, directives)) return { kind: 'confirm', why: 'stale' }
  const ageMs = currentAgeMs(kept, nowMs)
  const ttlMs = lifetimeMs(kept, directives) - ageMs
  const maxAge = secondsOf(asked.directives, 'max-age')
  const minFresh = secondsOf(asked.directives, 'min-fresh')
  if (maxAge !== undefined && (maxAge === 'invalid' || ageMs > maxAge * 1000)) return { kind: 'confirm', why: 'request' }
  if (minFresh !== undefined && (minFresh === 'invalid' || ttlMs < minFresh * 1000)) return { kind: 'confirm', why: ttlMs > 0 ? 'request' : 'stale' }
  if (ttlMs > 0 || maySendStale(directives, asked, -ttlMs)) return { kind: 'usable', ttlMs }
  return { kind: 'confirm', why: 'stale' }
}

/** Its origin fails, and it or the client has said that this will do (RFC 5861 section 4). */
export function mayReplaceError(kept: CachedHead, asked: Asked, nowMs: number): boolean {
  const directives = readDirectives(kept.fields)
  if (asked.wantsConfirmed || neverStale.some((name) => says(directives, name)) || saysNoCache(kept.fields, directives)) return false
  const staleMs = currentAgeMs(kept, nowMs) - lifetimeMs(kept, directives)
  return [directives, asked.directives].some((stated) => {
    const seconds = secondsOf(stated, 'stale-if-error')
    return typeof seconds === 'number' && staleMs <= seconds * 1000
  })
}

/** RFC 5861 section 4 */
export const errorStatuses: ReadonlySet<number> = new Set([500, 502, 503, 504])

function maySendStale(directives: Directives, { directives: { given } }: Asked, staleMs: number): boolean {
  const limits = given.get('max-stale')
  if (limits === undefined || neverStale.some((name) => says(directives, name))) return false
  return limits.every((limit) => limit === undefined || (/^[0-9]+$/.test(limit) && staleMs <= Number(limit) * 1000))
}

/** Pragma stands for it where there is no Cache-Control: old servers mean it so. */
function saysNoCache(fields: readonly string[], directives: Directives): boolean {
  if (directives.isPresent) return says(directives, 'no-cache')
  return valuesOf(fields, 'pragma').some((value) => value.toLowerCase().includes('no-cache'))
}
