// The end of a denial's reason: the one rule that method and path would meet, and what kept the request from it. It names
// query keys and fields as the rule writes them, and never a value of the request or of the rule.
import type { Rule } from './policy.ts'
import { unmetNames } from './terms.ts'
import type { Inside, Miss } from './terms.ts'

const mostNames = 3
/** what goes into a status line as it is */
const plainName = /^[\x21-\x7e]{1,64}$/

/** `; rule read allows it, but not without the query key part`; empty unless exactly one rule missed by query, fields or scheme. */
export function nearReason(missed: ReadonlyMap<Rule, Miss>, inside: Inside): string {
  const near = [...missed].filter(([, { what }]) => what === 'query' || what === 'header' || what === 'scheme')
  const [first] = near
  if (first === undefined || near.length > 1) return ''
  const [rule, miss] = first
  return `; rule ${rule.id} ${rule.verdict === 'ask' ? 'asks about' : 'allows'} it, but ${missedWords(rule, miss, inside)}`
}

function missedWords({ terms }: Rule, { what, unsure }: Miss, inside: Inside): string {
  if (terms === undefined || what === 'scheme') return 'over https alone'
  const kind = what === 'header' ? 'header' : 'query'
  const { wrong } = inside.query
  if (kind === 'query' && wrong !== undefined) return `not with a query that can be read in more ways than one: ${wrong}`
  const { names, isAbsent } = unmetNames(terms, kind, inside)
  const isOne = names.length === 1
  const nouns = `the ${kind === 'query' ? `query key${isOne ? '' : 's'}` : `field${isOne ? '' : 's'}`} ${listed(names)}`.trimEnd()
  if (unsure) return `${nouns} can be read in more ways than one`
  return isAbsent ? `not without ${nouns}` : `not with ${nouns} as ${isOne ? 'it is' : 'they are'}`
}

function listed(names: readonly string[]): string {
  const shown = names.filter((name) => plainName.test(name)).slice(0, mostNames)
  const more = names.length - shown.length
  if (shown.length === 0) return 'that it names'
  return more > 0 ? `${shown.join(', ')} and ${more} more` : shown.join(' and ')
}
