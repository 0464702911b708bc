// Cache-Control of requests and answers (RFC 9111 section 5.2). Pure. What cannot be read is told as such, so that
// nobody takes it for permission: a half-read field could hide `no-store`.
import { valuesOf } from '../../target/field-list.ts'
import { hasField, listMembers } from './field-list.ts'

export interface Directives {
  /** by lower-case name: the argument of each time it stands there, undefined for none */
  readonly given: ReadonlyMap<string, readonly (string | undefined)[]>
  /** a quote is never closed: what it may hide is not known */
  readonly isUnreadable: boolean
  /** Cache-Control is there, readable or not */
  readonly isPresent: boolean
}

// RFC 9111 section 1.2.2: what is larger than a recipient can hold is this
const maxSeconds = 2 ** 31
const directive = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:=(?:"((?:[^"\\]|\\.)*)"|([^\s"]*)))?$/
const leadingToken = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+/
// what no number is
const unreadable = '?'

export function readDirectives(fields: readonly string[]): Directives {
  const members = listMembers(valuesOf(fields, 'cache-control'))
  const given = new Map<string, (string | undefined)[]>()
  for (const member of members ?? []) {
    const [, token, quoted, bare] = directive.exec(member) ?? []
    // `max-age =5` is meant as max-age, and says nothing that counts
    const name = token ?? leadingToken.exec(member)?.[0]
    if (name === undefined) continue
    const argument = token === undefined ? unreadable : (quoted?.replaceAll(/\\(.)/g, '$1') ?? bare)
    const lower = name.toLowerCase()
    const before = given.get(lower)
    if (before === undefined) given.set(lower, [argument])
    else before.push(argument)
  }
  return { given, isUnreadable: members === undefined, isPresent: hasField(fields, 'cache-control') }
}

export function says({ given }: Directives, name: string): boolean {
  return given.has(name)
}

/** Argument in `s`; `invalid`: none, no number, or two that differ (RFC 9111 section 4.2.1); undefined: not there. */
export function secondsOf({ given }: Directives, name: string): number | 'invalid' | undefined {
  const all = given.get(name)
  if (all === undefined) return undefined
  const [first] = all
  if (first === undefined || !/^[0-9]+$/.test(first) || all.some((other) => other !== first)) return 'invalid'
  return Math.min(Number(first), maxSeconds)
}
