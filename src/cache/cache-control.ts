// Cache-Control as RFC 9111 section 5.2 has it, made fit for http-cache-semantics, which knows directives in lower case
// only, parts values at commas within quotes and lets the last of two count. Pure. It must never make an answer
// more storable or fresher than its directives say.
import CachePolicy from 'http-cache-semantics'
import { joinedValue, listMembers } from '../target/field-list.ts'

const seconds = /^\d+$/
const inSeconds: ReadonlySet<string> = new Set(['max-age', 's-maxage', 'stale-while-revalidate', 'stale-if-error'])

/**
 * Directives by lower-case name, values without quotes, '' for none. Of two that say different things the first counts
 * (section 4.2.1), and a number that is none is 0, which is stale.
 */
export function cacheDirectives(fields: readonly string[]): ReadonlyMap<string, string> {
  const directives = new Map<string, string>()
  for (const member of listMembers(joinedValue(fields, 'cache-control') ?? '')) {
    const mark = member.indexOf('=')
    const name = (mark === -1 ? member : member.slice(0, mark)).trim().toLowerCase()
    if (directives.has(name)) continue
    const value = mark === -1 ? '' : unquoted(member.slice(mark + 1).trim())
    directives.set(name, inSeconds.has(name) && !seconds.test(value) ? '0' : value)
  }
  return directives
}

/** What http-cache-semantics is asked with. */
export interface PolicyQuestion {
  readonly requestFields: readonly string[]
  readonly status: number
  readonly fields: readonly string[]
  /** directives that do not count */
  readonly ignored?: ReadonlySet<string>
}

/** The library's view, as a shared cache, of a GET and its answer. */
export function sharedPolicy({ requestFields, status, fields, ignored }: PolicyQuestion): CachePolicy {
  return new CachePolicy(
    { method: 'GET', headers: headersOf(requestFields) },
    { status, headers: headersOf(fields, ignored) },
    { shared: true },
  )
}

function headersOf(fields: readonly string[], ignored?: ReadonlySet<string>): Record<string, string> {
  const headers = new Map<string, string>()
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = (fields[i] ?? '').toLowerCase()
    const before = headers.get(name)
    headers.set(name, before === undefined ? (fields[i + 1] ?? '') : `${before}, ${fields[i + 1] ?? ''}`)
  }
  if (headers.has('cache-control')) {
    const said = [...cacheDirectives(fields)].filter(([name]) => ignored?.has(name) !== true)
    headers.set('cache-control', said.map(([name, value]) => (value === '' ? name : `${name}=${value.replaceAll(/[",]/g, ' ')}`)).join(', '))
  }
  return Object.fromEntries(headers)
}

function unquoted(value: string): string {
  return value.length > 1 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1).replaceAll(/\\(.)/g, '$1') : value
}
