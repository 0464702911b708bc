// What kept a rule from matching a request, in words: for `explain` and for cases that do not hold.
import type { Facts } from './facts.ts'
import type { FieldTerm, Rule } from './policy.ts'
import { readQuery } from './query.ts'
import { formatSize } from './size.ts'
import { mediaTypeOf } from './terms.ts'
import type { Miss } from './terms.ts'

/** As the rest of a sentence that starts with the rule: `covers GET and not POST`. */
export function missText(rule: Rule, facts: Facts, { what, unsure }: Miss): string {
  const { terms } = rule
  switch (what) {
    case 'method':
      return `covers ${(rule.methods ?? []).join(', ')} and not ${facts.method ?? 'this'}`
    case 'path':
      return `covers ${(rule.paths ?? []).map(({ text }) => text).join(', ')} and not ${facts.path ?? 'this path'}`
    case 'upgrade':
      return facts.upgrade === undefined ? 'covers upgrades alone' : `names no ${facts.upgrade} upgrade`
    case 'scheme':
      return 'sends a credential, which goes over https alone'
    case 'query':
      return `wants the query ${(terms?.query ?? []).map(({ key, values }) => termText(key, values)).join(' and ')}${unsure ? `, and this one can be read in more ways than one${whyUnsure(facts)}` : ''}`
    case 'header':
      return `wants the fields ${(terms?.fields ?? []).map(({ name, values }: FieldTerm) => termText(name, values)).join(' and ')}${unsure ? ', and these can be read in more ways than one' : ''}`
    case 'content_type': {
      const type = mediaTypeOf(facts.fields ?? [])
      return `takes content of type ${(terms?.contentTypes ?? []).join(', ')} and not ${type ?? 'of no single type'}`
    }
    default: {
      const most = terms?.noContent === true ? 'no content' : `at most ${formatSize(terms?.maxContent ?? 0)} of content`
      return `takes ${most}${typeof facts.content === 'number' ? ` and not ${formatSize(facts.content)}` : ''}`
    }
  }
}

function termText(name: string, values: readonly string[]): string {
  return values.length === 0 ? name : `${name}=${values.join(' or ')}`
}

function whyUnsure({ query }: Facts): string {
  const { wrong } = readQuery(query)
  return wrong === undefined ? '' : `: ${wrong}`
}
