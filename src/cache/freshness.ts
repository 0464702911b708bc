// How old an entry of shelf `web` is, whether it may still be read, and what its reader is told about it. Pure: the time
// is handed in.
import { sharedPolicy } from './cache-control.ts'
import type { CachedHead, CachedResponse } from './cached-response.ts'
import { httpDate } from './http-date.ts'

/** What the policy says about age. */
export interface AgeRules {
  /** older ones are not read, `ms`; pinned and imported entries are, at any age. undefined: no limit */
  readonly maxAgeMs: number | undefined
  /** false: only what RFC 9111 section 4.2 calls fresh, by a heuristic where its origin does not say */
  readonly staleOk: boolean
}

export interface Standing {
  readonly ageMs: number
  /** what is left of its lifetime, `ms`; negative once it is stale */
  readonly ttlMs: number
  /** why it may not be read; undefined: it may */
  readonly refused: 'too-old' | 'stale' | undefined
}

/** Its age at `nowMs` (RFC 9111 section 4.2.3), `ms`. A clock that was set back makes nothing younger than it came. */
export function ageMs(head: CachedHead, nowMs: number): number {
  return head.initialAgeMs + Math.max(0, nowMs - head.storedMs)
}

/** How long it is fresh from its making on (RFC 9111 section 4.2.1), as a shared cache sees it, `ms`; 0: never. */
export function lifetimeMs(head: CachedHead): number {
  const known = lifetimes.get(head)
  if (known !== undefined) return known
  const lifetime = readLifetimeMs(head)
  lifetimes.set(head, lifetime)
  return lifetime
}

// a head never changes, and is asked of at every hit
const lifetimes = new WeakMap<CachedHead, number>()

function readLifetimeMs(head: CachedHead): number {
  // the library does not know 451, which counts as 404 does (RFC 7725)
  const policy = sharedPolicy({ requestFields: [], status: head.status === 451 ? 404 : head.status, fields: head.fields })
  const seconds = policy.maxAge()
  return Number.isFinite(seconds) ? seconds * 1000 : 0
}

export function standingOf(entry: CachedResponse, nowMs: number, { maxAgeMs, staleOk }: AgeRules): Standing {
  const age = ageMs(entry, nowMs)
  const ttlMs = lifetimeMs(entry) - age
  const isExempt = entry.pinned || isArchived(entry)
  const isTooOld = maxAgeMs !== undefined && age > maxAgeMs && !isExempt
  const isStale = !staleOk && ttlMs <= 0
  return { ageMs: age, ttlMs, refused: isTooOld ? 'too-old' : isStale ? 'stale' : undefined }
}

/** Value of `Age` (RFC 9111 section 5.1): whole seconds. */
export function ageValue(age: number): string {
  return String(Math.max(0, Math.floor(age / 1000)))
}

/** Value of `Cache-Status` (RFC 9211) for what was answered from the cache; `detail` where it is no fresh copy. */
export function hitStatus(entry: CachedResponse, { ttlMs }: Standing): string {
  const detail = isArchived(entry) ? '; detail=archive' : ttlMs <= 0 ? '; detail=stale' : ''
  return `sallyport; hit; ttl=${Math.floor(ttlMs / 1000)}${detail}`
}

/** Value of `Cache-Status` for what was not; without `fwd`, since nobody else was asked. */
export function missStatus(detail: 'not-in-cache' | 'too-old' | 'stale'): string {
  return `sallyport; detail=${detail}`
}

/** Value of `Memento-Datetime` (RFC 7089 section 2.1.1): when an archive captured it; undefined for what its origin gave us. */
export function mementoDatetime(entry: CachedResponse): string | undefined {
  return entry.capturedMs === undefined ? undefined : httpDate(entry.capturedMs)
}

/** The fields that are made when it is read, flat. */
export function madeFields(entry: CachedResponse, standing: Standing): string[] {
  const memento = mementoDatetime(entry)
  const fields = ['Age', ageValue(standing.ageMs), 'Cache-Status', hitStatus(entry, standing)]
  return memento === undefined ? fields : [...fields, 'Memento-Datetime', memento]
}

function isArchived(entry: CachedResponse): boolean {
  return entry.capturedMs !== undefined || entry.source === 'imported'
}
