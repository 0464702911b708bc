// What a policy would have to know of a request and is not told, when it is asked about one that only the journal
// remembers. It decides nothing: `evaluate` does, with what there is.
import type { Facts } from './facts.ts'
import { covers } from './fit.ts'
import { hitsFor } from './hits.ts'
import type { Policy, Rule } from './policy.ts'

export type Untold = 'path' | 'query' | 'headers' | 'content'

/** What of these facts is not what the proxy saw: a path that is not whole; names of query parameters without values;
 * no fields and no content at all. */
export interface Remembered {
  readonly wholePath: boolean
}

/** In the order of `Untold`; empty where the answer to these facts is the answer to the request itself. */
export function untold(policy: Policy, facts: Facts, { wholePath }: Remembered): readonly Untold[] {
  if (facts.stage === 'connect') return []
  const rules = hitsFor(policy, facts.host, facts.principal).filter((hit) => covers(hit.ports, facts)).map(({ rule }) => rule).filter((rule) => maySpeak(rule, facts))
  const reads: Readonly<Record<Untold, boolean>> = {
    path: !wholePath && rules.some(({ paths }) => paths !== undefined),
    query: facts.query !== undefined && rules.some(({ terms }) => terms !== undefined && terms.query.length > 0),
    headers: rules.some(({ terms }) => terms !== undefined && (terms.fields.length > 0 || terms.contentTypes !== undefined)),
    content: rules.some(({ terms }) => terms?.maxContent !== undefined),
  }
  return (['path', 'query', 'headers', 'content'] as const).filter((each) => reads[each])
}

/** A rule for other methods says nothing of this request, whatever else it wants. */
function maySpeak({ methods }: Rule, { method = '' }: Facts): boolean {
  return methods === undefined || methods.includes(method)
}
