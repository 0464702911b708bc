// Which answers are kept, and what of them (RFC 9111 section 3): a shared cache, so nothing private, nothing that a
// credential fetched, no cookie. Pure. When in doubt, it is not kept.
import type { CachedHead } from '../cached-response.ts'
import { valuesOf } from '../../target/field-list.ts'
import type { Asked } from './asked.ts'
import { readDirectives, says, secondsOf } from './cache-control.ts'
import { hasField, listMembers, singleValue, withoutFields } from './field-list.ts'
import { currentAgeMs, heuristicStatuses, initialAgeMs, isExplicit, lifetimeMs, modifiedMs } from './freshness.ts'
import { selectingFields } from './vary.ts'

/** An origin's answer as the client gets it. */
export interface AnswerHead {
  readonly status: number
  readonly reason: string
  readonly fields: readonly string[]
}

/** Wall clock, `ms`. */
export interface Times {
  readonly requestMs: number
  readonly responseMs: number
}

// a part, no answer of its own, or for the one who asked: 401, 407 and 421 are about the request, 416 about its range
const neverKept: ReadonlySet<number> = new Set([206, 304, 401, 407, 408, 412, 416, 417, 421, 425, 428, 429, 431])
// what must-understand may be said of: their meaning for caches is known here
const understood: ReadonlySet<number> = new Set([...heuristicStatuses, 302, 303, 307])
const cookies = ['set-cookie', 'set-cookie2'] as const
// made anew for each client, or about a hop (RFC 9111 section 3.1)
const notKept: ReadonlySet<string> = new Set([...cookies, 'age', 'content-length', 'alt-svc', 'cache-status', 'proxy-status', 'connection', 'keep-alive', 'transfer-encoding', 'warning'])
// the content stays as it was (RFC 9111 section 3.2)
const ofContent: ReadonlySet<string> = new Set(['content-encoding', 'content-length', 'content-range', 'content-md5', 'etag'])

/** What is kept of an answer without its content; undefined: nothing. */
export function keptHead(asked: Asked, answer: AnswerHead, times: Times): CachedHead | undefined {
  if (!asked.mayKeep || neverKept.has(answer.status) || answer.status < 200) return undefined
  if (cookies.some((name) => hasField(answer.fields, name))) return undefined
  return headOf(asked, answer, times)
}

/** A 304 or the answer to a HEAD, merged into what is kept; undefined: it may not be kept any longer. */
export function refreshedHead(kept: CachedHead, asked: Asked, fields: readonly string[], times: Times): CachedHead | undefined {
  const told = withoutFields(fields, ofContent)
  const names = new Set<string>()
  for (let i = 0; i + 1 < told.length; i += 2) names.add((told[i] ?? '').toLowerCase())
  // without one, the old date would make the new answer old
  if (!names.has('date')) {
    names.add('date')
    told.push('Date', new Date(times.responseMs).toUTCString())
  }
  const merged = [...withoutFields(kept.fields, names), ...told]
  return headOf(asked, { status: kept.status, reason: kept.reason, fields: withoutFields(merged, new Set(cookies)) }, times)
}

/** Whether the 200 to a HEAD is about the same content (RFC 9111 section 4.3.5). */
export function isSameContent(kept: CachedHead, bodyBytes: number, fields: readonly string[]): boolean {
  const length = singleValue(fields, 'content-length')
  if (length !== undefined && Number(length) !== bodyBytes) return false
  return ['etag', 'last-modified'].every((name) => !hasField(fields, name) || singleValue(fields, name) === singleValue(kept.fields, name))
}

function headOf(asked: Asked, { status, reason, fields }: AnswerHead, times: Times): CachedHead | undefined {
  const directives = readDirectives(fields)
  if (directives.isUnreadable || says(directives, 'no-store') || says(directives, 'private')) return undefined
  if (says(directives, 'must-understand') && !understood.has(status)) return undefined
  const vary = selectingFields(fields, asked.fields)
  const initial = initialAgeMs(fields, times.requestMs, times.responseMs)
  if (vary === undefined || initial === undefined) return undefined
  const kept = withoutFields(fields, notKept)
  // RFC 9110 section 6.6.1
  if (!hasField(kept, 'date')) kept.push('Date', new Date(times.responseMs).toUTCString())
  const head = { status, reason, fields: kept, vary, storedMs: times.responseMs, initialAgeMs: initial }
  return isWorthKeeping(head, times.responseMs) ? head : undefined
}

/** It is fresh for a while, or can be confirmed or stand in for an error later. */
function isWorthKeeping(head: CachedHead, nowMs: number): boolean {
  const { status, fields } = head
  const directives = readDirectives(fields)
  const isKnown = heuristicStatuses.has(status)
  if (!isKnown && !isExplicit(fields, directives)) return false
  if (lifetimeMs(head, directives) > currentAgeMs(head, nowMs)) return true
  if (!isKnown) return false
  return singleValue(fields, 'etag') !== undefined || modifiedMs(fields, nowMs) !== undefined || secondsOf(directives, 'stale-if-error') !== undefined
}

/** Whether the fields say that there is more than `most` bytes. */
export function isTooLong(fields: readonly string[], most: number): boolean {
  return Number(singleValue(fields, 'content-length') ?? 0) > most
}

/** URLs that an answer to an unsafe request names as changed: references, to be resolved (RFC 9111 section 4.4). */
export function namedByAnswer(fields: readonly string[]): readonly string[] {
  return ['location', 'content-location'].flatMap((name) => valuesOf(fields, name))
}

/** Our own name is taken out of Via: whoever gets the answer later gets it anew. */
export function withoutOwnVia(fields: readonly string[], pseudonym: string): string[] {
  const kept: string[] = []
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = fields[i] ?? ''
    const value = fields[i + 1] ?? ''
    if (name.toLowerCase() !== 'via') {
      kept.push(name, value)
      continue
    }
    const hops = listMembers([value])?.filter((hop) => hop.split(/[ \t]+/, 2)[1] !== pseudonym) ?? [value]
    if (hops.length > 0) kept.push(name, hops.join(', '))
  }
  return kept
}
