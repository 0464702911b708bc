// What a request with conditions or a range gets of an entry: RFC 9110 section 13.2.2 in its order, with the fields of 304
// as section 15.4.5 has them. Pure. It stands in for the origin, so If-Match and If-Unmodified-Since hold as well.
import { joinedValue, listMembers, onlyValue, valuesOf } from '../target/field-list.ts'
import type { ByteRange } from './cache-store.ts'
import type { CachedResponse } from './cached-response.ts'
import { readHttpDate } from './http-date.ts'

export interface AnswerPlan {
  readonly status: number
  readonly reason: string
  /** flat name, value; framed by Content-Length where the status has content. Age and Cache-Status are for the caller to add */
  readonly fields: readonly string[]
  /** the part of the content to send; undefined with `hasContent`: all of it */
  readonly range: ByteRange | undefined
  /** content is sent: not for HEAD, nor for a status that has none */
  readonly hasContent: boolean
}

/** What 304 says again (RFC 9110 section 15.4.5); Last-Modified only where there is no ETag. */
const notModifiedFields: ReadonlySet<string> = new Set(['cache-control', 'content-location', 'date', 'etag', 'expires', 'vary'])
const entityTag = /^(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"$/
const byteRange = /^bytes=[\t ]*(?:(\d+)-(\d*)|-(\d+))[\t ]*$/i

/** The plan for a GET or HEAD whose URL and `vary` the entry answers. */
export function planAnswer(method: 'GET' | 'HEAD', requestFields: readonly string[], entry: CachedResponse): AnswerPlan {
  const isGet = method === 'GET'
  if (!asksForMore(requestFields)) return whole(entry, isGet)
  // RFC 9110 section 13.2.1: no condition holds for what would not have been a success
  if (entry.status < 200 || entry.status > 299) return whole(entry, isGet)
  const failed = failedCondition(requestFields, entry)
  if (failed === 'precondition') return empty(412, 'Precondition Failed', ['Content-Length', '0'])
  if (failed === 'not-modified') return empty(304, 'Not Modified', fieldsOfNotModified(entry))
  if (isGet && entry.status === 200 && valuesOf(requestFields, 'range').length > 0 && rangeStillHolds(requestFields, entry)) {
    const range = rangeOf(onlyValue(requestFields, 'range') ?? '', entry.bodyBytes)
    if (range === 'unsatisfiable') return empty(416, 'Range Not Satisfiable', ['Content-Range', `bytes */${entry.bodyBytes}`, 'Content-Length', '0'])
    if (range !== undefined) return part(entry, range)
  }
  return whole(entry, isGet)
}

/** Steps 1 to 4 of RFC 9110 section 13.2.2. */
function failedCondition(asked: readonly string[], entry: CachedResponse): 'precondition' | 'not-modified' | undefined {
  const etag = onlyValue(entry.fields, 'etag')
  const ifMatch = joinedValue(asked, 'if-match')
  const ifNoneMatch = joinedValue(asked, 'if-none-match')
  if (ifMatch !== undefined) {
    if (!matches(ifMatch, etag, isStrongMatch)) return 'precondition'
  } else {
    const since = dateOf(asked, 'if-unmodified-since', entry)
    const modified = dateOf(entry.fields, 'last-modified', entry)
    if (since !== undefined && modified !== undefined && modified > since) return 'precondition'
  }
  if (ifNoneMatch !== undefined) return matches(ifNoneMatch, etag, isWeakMatch) ? 'not-modified' : undefined
  const since = dateOf(asked, 'if-modified-since', entry)
  if (since === undefined) return undefined
  // RFC 9111 section 4.3.2: without Last-Modified its Date, or when it came
  const modified = dateOf(entry.fields, 'last-modified', entry) ?? dateOf(entry.fields, 'date', entry) ?? entry.storedMs
  return modified <= since ? 'not-modified' : undefined
}

/** If-Range (RFC 9110 section 13.1.5): a strong entity tag, or a date that is a strong validator, and exactly that. */
function rangeStillHolds(asked: readonly string[], entry: CachedResponse): boolean {
  if (valuesOf(asked, 'if-range').length === 0) return true
  const validator = onlyValue(asked, 'if-range') ?? ''
  if (entityTag.test(validator)) return isStrongMatch(validator, onlyValue(entry.fields, 'etag') ?? '')
  const modified = onlyValue(entry.fields, 'last-modified')
  if (modified === undefined || modified !== validator) return false
  const modifiedMs = dateOf(entry.fields, 'last-modified', entry)
  const dateMs = dateOf(entry.fields, 'date', entry)
  // RFC 9110 section 8.8.2.2: it could have changed twice within one second
  return modifiedMs !== undefined && dateMs !== undefined && dateMs - modifiedMs >= 1000
}

/**
 * One range of RFC 9110 section 14.1.2 in content of `bytes`. undefined: not one that is understood, so all is sent
 * (several ranges at once, another unit, a range that ends before it starts).
 */
function rangeOf(text: string, bytes: number): ByteRange | 'unsatisfiable' | undefined {
  const [, from, to, suffix] = byteRange.exec(text) ?? []
  if (suffix !== undefined) {
    if (/^0+$/.test(suffix)) return 'unsatisfiable'
    return bytes === 0 ? undefined : { first: Math.max(0, bytes - Number(suffix)), last: bytes - 1 }
  }
  if (from === undefined) return undefined
  const first = Number(from)
  const last = to === undefined || to === '' ? bytes - 1 : Number(to)
  if (to !== undefined && to !== '' && last < first) return undefined
  if (first >= bytes) return 'unsatisfiable'
  return { first, last: Math.min(last, bytes - 1) }
}

/** Whether a field of the request may change what is answered; If-Range does so beside Range only. */
function asksForMore(requestFields: readonly string[]): boolean {
  for (let i = 0; i + 1 < requestFields.length; i += 2) {
    const name = requestFields[i] ?? ''
    if (askingLengths.has(name.length) && askingFields.has(name.toLowerCase())) return true
  }
  return false
}

const askingFields: ReadonlySet<string> = new Set(['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since', 'range'])
const askingLengths: ReadonlySet<number> = new Set(Array.from(askingFields, ({ length }) => length))

/** An entry never changes, so neither do its two plans. */
function whole(entry: CachedResponse, isGet: boolean): AnswerPlan {
  const plans = isGet ? plansOfGet : plansOfHead
  const known = plans.get(entry)
  if (known !== undefined) return known
  const plan = planWhole(entry, isGet)
  plans.set(entry, plan)
  return plan
}

const plansOfGet = new WeakMap<CachedResponse, AnswerPlan>()
const plansOfHead = new WeakMap<CachedResponse, AnswerPlan>()

function planWhole(entry: CachedResponse, isGet: boolean): AnswerPlan {
  const isEmpty = entry.status === 204
  const length = isEmpty ? [] : ['Content-Length', String(entry.bodyBytes)]
  const ranges = entry.status === 200 ? ['Accept-Ranges', 'bytes'] : []
  return { status: entry.status, reason: entry.reason, fields: [...entry.fields, ...ranges, ...length], range: undefined, hasContent: isGet && !isEmpty }
}

function part(entry: CachedResponse, range: ByteRange): AnswerPlan {
  const fields = [...entry.fields, 'Content-Range', `bytes ${range.first}-${range.last}/${entry.bodyBytes}`, 'Content-Length', String(range.last - range.first + 1)]
  return { status: 206, reason: 'Partial Content', fields, range, hasContent: true }
}

function empty(status: number, reason: string, fields: readonly string[]): AnswerPlan {
  return { status, reason, fields, range: undefined, hasContent: false }
}

function fieldsOfNotModified(entry: CachedResponse): string[] {
  const hasEtag = valuesOf(entry.fields, 'etag').length > 0
  const fields: string[] = []
  for (let i = 0; i + 1 < entry.fields.length; i += 2) {
    const name = entry.fields[i] ?? ''
    const lower = name.toLowerCase()
    if (notModifiedFields.has(lower) || (lower === 'last-modified' && !hasEtag)) fields.push(name, entry.fields[i + 1] ?? '')
  }
  return fields
}

function matches(list: string, etag: string | undefined, isMatch: (a: string, b: string) => boolean): boolean {
  if (list.trim() === '*') return true
  return etag !== undefined && listMembers(list).some((tag) => isMatch(tag, etag))
}

/** RFC 9110 section 8.8.3.2. */
function isStrongMatch(a: string, b: string): boolean {
  return a === b && a.startsWith('"') && entityTag.test(a)
}

function isWeakMatch(a: string, b: string): boolean {
  return entityTag.test(a) && entityTag.test(b) && opaque(a) === opaque(b)
}

function opaque(tag: string): string {
  return tag.startsWith('W/') ? tag.slice(2) : tag
}

function dateOf(fields: readonly string[], name: string, entry: CachedResponse): number | undefined {
  return readHttpDate(onlyValue(fields, name) ?? '', entry.storedMs)
}
