// Which fields of an answer the cache keeps. Pure. What belongs to a connection, to the exchange that brought it or to a
// coding that is undone stays behind, and so does whatever would act on its reader beyond the page.
import { joinedValue, listMembers, valuesOf } from '../target/field-list.ts'
import { httpDate } from './http-date.ts'

const dropped: ReadonlySet<string> = new Set([
  // of the connection (RFC 9110 section 7.6.1) and of software before it; those that start with proxy- go as well
  'connection', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'http2-settings',
  // framing and coding: content is kept decoded, its length is known, its range is all of it
  'content-length', 'content-encoding', 'accept-ranges',
  // of the exchange that brought it
  'via', 'age', 'warning', 'cache-status', 'server-timing', 'authentication-info', 'memento-datetime',
  // what outlives the page: state, alternative services, reports, hints to fetch more
  'set-cookie', 'set-cookie2', 'alt-svc', 'strict-transport-security', 'public-key-pins', 'public-key-pins-report-only',
  'expect-ct', 'clear-site-data', 'nel', 'report-to', 'reporting-endpoints', 'accept-ch', 'critical-ch',
  'service-worker-allowed', 'speculation-rules', 'use-as-dictionary', 'set-login', 'activate-storage-access',
])
/** Starts of names that go: of proxies, of other caches. */
const droppedStarts: readonly string[] = ['proxy-', 'x-proxy-', 'x-cache', 'x-sallyport']
/** Digests of content as it was coded (RFC 9530, RFC 1864): wrong once it is decoded. */
const codedDigests: ReadonlySet<string> = new Set(['content-md5', 'digest', 'content-digest', 'repr-digest'])
const fetchHints: ReadonlySet<string> = new Set(['preconnect', 'preload', 'prefetch', 'dns-prefetch', 'modulepreload', 'prerender', 'compression-dictionary'])
const relation = /;\s*rel\s*=\s*(?:"([^"]*)"|([^\s";,]+))/i

/**
 * `fields` without what is not kept, each name as it was written. Content that had a coding loses the digests of the coded
 * bytes, and a strong ETag becomes weak (RFC 9110 section 8.8.3.3). A Date that is missing is `answeredMs` (section 6.6.1).
 */
export function keptFields(fields: readonly string[], isCoded: boolean, answeredMs: number): string[] {
  const named = new Set(listMembers(joinedValue(fields, 'connection') ?? '').map((option) => option.toLowerCase()))
  const kept: string[] = []
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = fields[i] ?? ''
    const lower = name.toLowerCase()
    if (dropped.has(lower) || named.has(lower) || droppedStarts.some((start) => lower.startsWith(start))) continue
    if (isCoded && codedDigests.has(lower)) continue
    const value = keptValue(lower, fields[i + 1] ?? '', isCoded)
    if (value !== undefined) kept.push(name, value)
  }
  if (valuesOf(kept, 'date').length === 0) kept.push('Date', httpDate(answeredMs))
  return kept
}

function keptValue(name: string, value: string, isCoded: boolean): string | undefined {
  if (name === 'etag') return isCoded && value.startsWith('"') ? `W/${value}` : value
  if (name !== 'link') return value
  const links = listMembers(value)
  const safe = links.filter((link) => !isFetchHint(link))
  if (safe.length === links.length) return value
  return safe.length === 0 ? undefined : safe.join(', ')
}

/** A link that has its reader fetch or connect (RFC 8288); one that cannot be read counts as such. */
function isFetchHint(link: string): boolean {
  const end = link.indexOf('>')
  if (!link.startsWith('<') || end === -1) return true
  const [, quotedText, plain] = relation.exec(link.slice(end + 1)) ?? []
  const relations = quotedText ?? plain
  return relations === undefined || relations.toLowerCase().split(/\s+/).some((one) => fetchHints.has(one))
}
