// Conditional requests: those that clients send, answered from what is kept, and those that are sent to confirm it
// (RFC 9110 section 13, RFC 9111 section 4.3). Pure.
import type { CachedHead } from '../cached-response.ts'
import { valuesOf } from '../../target/field-list.ts'
import { listMembers, singleValue, withoutFields } from './field-list.ts'
import { dateMs, modifiedMs } from './freshness.ts'
import { parseHttpDate } from './http-date.ts'

type Kept = Pick<CachedHead, 'status' | 'fields' | 'storedMs'>

const own: ReadonlySet<string> = new Set(['if-none-match', 'if-modified-since'])

/** The client has it already: 304 (RFC 9110 section 13.2.2). */
export function isNotModified({ status, fields, storedMs }: Kept, request: readonly string[]): boolean {
  if (status !== 200) return false
  const tags = valuesOf(request, 'if-none-match')
  if (tags.length > 0) {
    const tag = singleValue(fields, 'etag')
    return listMembers(tags)?.some((given) => given === '*' || (tag !== undefined && opaque(given) === opaque(tag))) ?? false
  }
  const since = singleValue(request, 'if-modified-since')
  const sinceMs = since === undefined ? undefined : parseHttpDate(since, storedMs)
  const changedMs = modifiedMs(fields, storedMs)
  return sinceMs !== undefined && changedMs !== undefined && changedMs <= sinceMs
}

/** Whether a range may be cut from what is kept: it is what the client has a part of (RFC 9110 section 13.1.5). */
export function isRangeOfSame({ fields, storedMs }: Kept, request: readonly string[]): boolean {
  const [wanted, ...more] = valuesOf(request, 'if-range')
  if (wanted === undefined) return true
  if (more.length > 0) return false
  if (wanted.startsWith('"')) return wanted === singleValue(fields, 'etag')
  const changedMs = modifiedMs(fields, storedMs)
  const sentMs = dateMs(fields, storedMs)
  // a date is strong when a second has passed since (RFC 9110 section 8.8.2.2)
  return changedMs !== undefined && parseHttpDate(wanted, storedMs) === changedMs && sentMs !== undefined && sentMs - changedMs >= 1000
}

/** The request as it goes out to confirm what is kept; undefined where nothing of it can be confirmed. */
export function confirming({ fields, storedMs }: Kept, request: readonly string[]): string[] | undefined {
  const tag = singleValue(fields, 'etag')
  const changed = modifiedMs(fields, storedMs) === undefined ? undefined : singleValue(fields, 'last-modified')
  if (tag === undefined && changed === undefined) return undefined
  const asked = withoutFields(request, own)
  if (tag !== undefined) asked.push('If-None-Match', tag)
  if (changed !== undefined) asked.push('If-Modified-Since', changed)
  return asked
}

/** Whether a 304 is about what is kept (RFC 9111 section 4.3.4). */
export function isConfirmedBy(kept: readonly string[], answer: readonly string[]): boolean {
  const tag = singleValue(answer, 'etag')
  const keptTag = singleValue(kept, 'etag')
  if (tag !== undefined) return keptTag !== undefined && opaque(tag) === opaque(keptTag)
  const changed = singleValue(answer, 'last-modified')
  return changed === undefined || keptTag !== undefined || changed === singleValue(kept, 'last-modified')
}

/** Weak comparison (RFC 9110 section 8.8.3.2). */
function opaque(tag: string): string {
  return tag.startsWith('W/') ? tag.slice(2) : tag
}
