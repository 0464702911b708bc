// Rules that look inside https, which needs TLS to end at the proxy: until that is so, https to their hosts is
// refused. Told by `check` and `test`, so that nobody learns it from a client. It changes no answer.
import { parseCase } from './cases.ts'
import type { Policy, Ports } from './policy.ts'
import type { Problem } from './problem.ts'

/** A warning for each rule with methods, paths, upgrades or `via` that covers port 443. */
export function warnOfRefusedTunnels(policy: Policy): readonly Problem[] {
  return [...refusingRules(policy)].flatMap(([at, hosts]) => {
    const rule = policy.rules[at]
    const [first = ''] = hosts
    if (rule === undefined) return []
    const more = hosts.length === 1 ? '' : ` and ${hosts.length - 1} more`
    const message = `https to \`${first}\`${more} is refused with intercept_required in this version, because rule \`${rule.id}\` looks inside requests: it works over plain http, and without methods, paths, upgrades and via`
    return [{ severity: 'warning', file: rule.file, line: rule.line, column: 1, message, text: '' }]
  })
}

/** How many `match` cases with an https URL speak of requests that cannot be made yet. */
export function countRefusedCases(policy: Policy): number {
  const refusing = refusingRules(policy)
  return policy.cases.filter(({ rule, expect, text }) => {
    if (expect !== 'match' || !refusing.has(rule) || policy.rules[rule]?.verdict === 'deny') return false
    const facts = parseCase(text, policy.rules[rule])
    return !('wrong' in facts) && facts.stage === 'request' && facts.scheme === 'https'
  }).length
}

/** Index of each such rule, and its patterns that cover port 443. */
function refusingRules({ rules, index }: Policy): ReadonlyMap<number, readonly string[]> {
  const found = new Map<number, string[]>()
  for (const { rule, text, ports } of index.patterns) {
    const { kind, requestLevel } = rules[rule] ?? {}
    if (kind !== 'rule' || requestLevel !== true || !coversTls(ports)) continue
    const hosts = found.get(rule) ?? []
    if (!hosts.includes(text)) hosts.push(text)
    found.set(rule, hosts)
  }
  return found
}

function coversTls(ports: Ports): boolean {
  return typeof ports === 'string' || ports.some(({ first, last }) => first <= 443 && last >= 443)
}
