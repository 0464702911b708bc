// Which names a policy can ever open, where that can be said: nothing is asked, nothing unknown is let through and
// nothing is open by a pattern for every name. Pure. It may name too many, never too few.
import { entryAt, entryOffsets } from './name-table.ts'
import type { PatternIndex, Policy, Rule } from './policy.ts'

/** more would make a certificate that some clients refuse to read */
const maxNames = 100

/**
 * DNS names that cover, each with what is below it, every name that the policy allows; undefined when it is not
 * bound to such a list, or to one of more than 100.
 */
export function staticNames(policy: Policy | undefined): readonly string[] | undefined {
  if (policy === undefined) return undefined
  const { rules, index, lists } = policy
  if (policy.mode === 'monitor' || policy.unknown !== 'deny' || policy.ipLiterals !== 'deny') return undefined
  if (lists.ask.table.count > 0 || rules.some((rule) => rule.verdict === 'ask' || rule.otherwise === 'ask')) return undefined
  // a list of a million is not worth a look
  if (lists.allow.table.count > maxNames * 10) return undefined
  const names = openNames(rules, index, policy.limited)
  if (names === undefined) return undefined
  for (const at of entryOffsets(lists.allow.table)) names.add(entryAt(lists.allow.table, at).name)
  const kept = [...names].filter((name) => !hasParent(name, names)).toSorted()
  return kept.length > maxNames ? undefined : kept
}

/** Undefined when a pattern opens names without a common end, or addresses whose requests are looked into. */
function openNames(rules: readonly Rule[], { patterns, exact, below, globs, any, addresses }: PatternIndex, limited: boolean): Set<string> | undefined {
  const ruleOf = (pattern: number): Rule | undefined => rules[patterns[pattern]?.rule ?? -1]
  const opens = (pattern: number): boolean => {
    const rule = ruleOf(pattern)
    return rule === undefined || rule.verdict === 'allow' || (rule.requestLevel && rule.otherwise === 'allow')
  }
  const names = new Set<string>()
  for (const table of [exact, below]) for (const [name, found] of table) if (found.some(opens)) names.add(name)
  for (const [tail, found] of globs) {
    if (!found.some(({ pattern }) => opens(pattern))) continue
    if (tail === '') return undefined
    names.add(tail)
  }
  const looksInto = (pattern: number): boolean => opens(pattern) && (limited || isLookedInto(ruleOf(pattern)))
  const hasAddress = addresses.some(({ byBits }) => [...byBits.values()].some((found) => found.some(looksInto)))
  return any.some(opens) || hasAddress ? undefined : names
}

function isLookedInto(rule: Rule | undefined): boolean {
  return rule === undefined || rule.requestLevel || rule.cache
}

function hasParent(name: string, names: ReadonlySet<string>): boolean {
  for (let dot = name.indexOf('.'); dot !== -1; dot = name.indexOf('.', dot + 1)) if (names.has(name.slice(dot + 1))) return true
  return false
}
