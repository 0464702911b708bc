// How old an answer is and how long it may be used (RFC 9111 section 4.2). Pure. What is invalid makes an answer stale,
// never fresh.
import type { CachedHead } from '../cached-response.ts'
import { valuesOf } from '../../target/field-list.ts'
import { readDirectives, says, secondsOf, type Directives } from './cache-control.ts'
import { hasField, singleValue } from './field-list.ts'
import { parseHttpDate } from './http-date.ts'

/** RFC 9110 section 15.1 */
export const heuristicStatuses: ReadonlySet<number> = new Set([200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501])
// RFC 9111 section 4.2.2 suggests this fraction of the time since the last change
const heuristicFraction = 0.1
const maxHeuristicMs = 24 * 3600 * 1000

/** Age when it came, `ms` (RFC 9111 section 4.2.3); undefined where Age is no number: such an answer counts as stale. */
export function initialAgeMs(fields: readonly string[], requestMs: number, responseMs: number): number | undefined {
  const ages = valuesOf(fields, 'age')
  const [age = '0'] = ages
  if (ages.length > 1 || !/^[0-9]+$/.test(age)) return undefined
  const date = dateMs(fields, responseMs)
  const apparentMs = date === undefined ? 0 : Math.max(0, responseMs - date)
  return Math.max(apparentMs, Number(age) * 1000 + Math.max(0, responseMs - requestMs))
}

export function currentAgeMs({ storedMs, initialAgeMs: initial }: Pick<CachedHead, 'storedMs' | 'initialAgeMs'>, nowMs: number): number {
  return initial + Math.max(0, nowMs - storedMs)
}

/** Freshness lifetime in `ms`, 0 for none; `storedMs` stands in for a Date that is missing or invalid. */
export function lifetimeMs({ status, fields, storedMs }: Pick<CachedHead, 'status' | 'fields' | 'storedMs'>, directives: Directives = readDirectives(fields)): number {
  const stated = secondsOf(directives, 's-maxage') ?? secondsOf(directives, 'max-age')
  if (stated !== undefined) return stated === 'invalid' ? 0 : stated * 1000
  const date = dateMs(fields, storedMs) ?? storedMs
  if (hasField(fields, 'expires')) {
    const text = singleValue(fields, 'expires')
    const expires = text === undefined ? undefined : parseHttpDate(text, storedMs)
    return expires === undefined ? 0 : Math.max(0, expires - date)
  }
  if (!heuristicStatuses.has(status) && !says(directives, 'public')) return 0
  const modified = modifiedMs(fields, storedMs)
  return modified === undefined ? 0 : Math.min(maxHeuristicMs, Math.max(0, (date - modified) * heuristicFraction))
}

/** An origin says for itself how long (RFC 9111 section 3). */
export function isExplicit(fields: readonly string[], directives: Directives): boolean {
  return ['s-maxage', 'max-age', 'public'].some((name) => says(directives, name)) || hasField(fields, 'expires')
}

export function modifiedMs(fields: readonly string[], nowMs: number): number | undefined {
  const text = singleValue(fields, 'last-modified')
  return text === undefined ? undefined : parseHttpDate(text, nowMs)
}

export function dateMs(fields: readonly string[], nowMs: number): number | undefined {
  const text = singleValue(fields, 'date')
  return text === undefined ? undefined : parseHttpDate(text, nowMs)
}
