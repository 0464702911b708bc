// Whether a request is what a rule's `query`, `headers`, `content_types`, `max_content` and `read_only` want. What can
// be read in two ways is `unsure`: a deny matches it, an allow does not, and an ask holds back what others allow.
import { valuesOf } from '../target/field-list.ts'
import { matchGlob } from './glob.ts'
import type { Facts } from './facts.ts'
import { isShortToken } from './field-names.ts'
import type { FieldTerm, RequestTerms, Rule } from './policy.ts'
import { fitQuery, fitValues, readQuery, weakest } from './query.ts'
import type { Fit, QueryReading } from './query.ts'

export type MissedWhat = 'upgrade' | 'method' | 'path' | 'scheme' | 'query' | 'header' | 'content_type' | 'content'

/** What of a rule a request does not meet. */
export interface Miss {
  readonly what: MissedWhat
  /** another reading of the request would meet it */
  readonly unsure: boolean
}

const sure = (what: MissedWhat): Miss => Object.freeze({ what, unsure: false })
const unsure = (what: MissedWhat): Miss => Object.freeze({ what, unsure: true })
/** One of each, so that a request that matches nothing costs nothing. */
export const misses = {
  upgrade: sure('upgrade'), method: sure('method'), path: sure('path'), scheme: sure('scheme'), query: sure('query'), header: sure('header'),
  content_type: sure('content_type'), content: sure('content'),
} as const
const doubts = { query: unsure('query'), header: unsure('header'), content_type: unsure('content_type') } as const

/** What takes fields off the request (egress/field-rules.ts does). */
const hopOptions = ['connection', 'proxy-connection'] as const

/** The parts of one request that only terms look at, each read when the first of them asks. */
export class Inside {
  readonly facts: Facts
  #query: QueryReading | undefined
  #named: ReadonlySet<string> | undefined

  constructor(facts: Facts) {
    this.facts = facts
  }

  get query(): QueryReading {
    return (this.#query ??= readQuery(this.facts.query))
  }

  /** Fields that Connection names, or Proxy-Connection, which counts as one: they go no further than this hop. Lower case. */
  get dropped(): ReadonlySet<string> {
    return (this.#named ??= new Set(hopOptions.flatMap((each) => trimmedValues(this.facts.fields ?? [], each)).flatMap((value) => value.toLowerCase().split(',').map((name) => name.trim()))))
  }
}

/** The first term that is not met, content last; undefined when all are. */
export function missedTerm({ verdict }: Pick<Rule, 'verdict'>, terms: RequestTerms, inside: Inside): Miss | undefined {
  const { facts } = inside
  if (terms.secure && facts.scheme !== 'https') return misses.scheme
  const missed =
    missOf(terms.query.length === 0 ? 'yes' : fitQuery(terms.query, inside.query), 'query', verdict) ??
    missOf(terms.fields.length === 0 ? 'yes' : fitFields(terms.fields, inside), 'header', verdict) ??
    missOf(terms.contentTypes === undefined ? 'yes' : fitContentType(terms.contentTypes, facts, verdict), 'content_type', verdict)
  if (missed !== undefined) return missed
  const { content } = facts
  if (terms.noContent && content !== 0) return misses.content
  return terms.maxContent !== undefined && typeof content === 'number' && content > terms.maxContent ? misses.content : undefined
}

/** What of one kind of term is not met, by name, and how; for words alone. */
export interface Unmet {
  readonly names: readonly string[]
  /** the request holds none of them */
  readonly isAbsent: boolean
}

/** The query keys or fields of the terms that the request does not meet. Query keys are bytes as Latin-1. */
export function unmetNames({ query, fields: fieldTerms }: RequestTerms, what: 'query' | 'header', inside: Inside): Unmet {
  const { fields = [] } = inside.facts
  if (what === 'header') {
    const names = fieldTerms.filter((term) => fitFields([term], inside) !== 'yes').map(({ name }) => name)
    return { names, isAbsent: names.every((name) => trimmedValues(fields, name).length === 0) }
  }
  const names = query.filter((term) => fitQuery([term], inside.query) !== 'yes').map(({ key }) => key)
  return { names, isAbsent: !inside.query.readings.some((pairs) => pairs.some(({ key }) => names.includes(key))) }
}

/** Type and subtype in lower case; undefined where there is not exactly one of them. */
export function mediaTypeOf(fields: readonly string[]): string | undefined {
  const values = trimmedValues(fields, 'content-type')
  const [, type = '', subtype = ''] = /^([^/;,\s]+)\/([^/;,\s]+)[ \t]*(?:;[^,]*)?$/.exec(values[0] ?? '') ?? []
  return values.length === 1 && isShortToken(type) && isShortToken(subtype) ? `${type}/${subtype}`.toLowerCase() : undefined
}

function missOf(fit: Fit, what: 'query' | 'header' | 'content_type', verdict: Rule['verdict']): Miss | undefined {
  if (fit === 'yes') return undefined
  if (fit === 'no') return misses[what]
  return verdict === 'deny' ? undefined : doubts[what]
}

function fitFields(terms: readonly FieldTerm[], inside: Inside): Fit {
  const { fields } = inside.facts
  if (fields === undefined) return 'unsure'
  return weakest(terms.map(({ name, values }) => (isDoubtful(fields, name, inside) ? 'unsure' : fitValues(values, trimmedValues(fields, name)))))
}

/** The origin may see other values of the field than are judged here: none of it, or what CGI takes for it. */
function isDoubtful(fields: readonly string[], name: string, { dropped }: Inside): boolean {
  if (dropped.has(name)) return true
  const folded = name.replaceAll('_', '-')
  for (let i = 0; i < fields.length; i += 2) {
    const other = fields[i] ?? ''
    if (other.length !== name.length) continue
    const lower = other.toLowerCase()
    if (lower !== name && lower.replaceAll('_', '-') === folded) return true
  }
  return false
}

/** A request without content has no type to be wrong, and none that a deny could be about. */
function fitContentType(globs: readonly string[], { content, fields = [] }: Facts, verdict: Rule['verdict']): Fit {
  if (content === 0) return verdict === 'deny' ? 'no' : 'yes'
  const type = mediaTypeOf(fields)
  if (type === undefined) return 'unsure'
  return globs.some((glob) => matchGlob(glob, type)) ? 'yes' : 'no'
}

function trimmedValues(fields: readonly string[], name: string): readonly string[] {
  return valuesOf(fields, name).map(withoutEdges)
}

/** Without the spaces and tabs around it, and nothing else: a no-break space goes to the origin (RFC 9110 section 5.5). */
function withoutEdges(value: string): string {
  const text = value.trim()
  if (text.length === value.length) return value
  const start = value.indexOf(text)
  const [before, behind] = [value.slice(0, start), value.slice(start + text.length)]
  return /[^\t ]/.test(before + behind) ? value : text
}
