// Rules that exclude each other, found when the policy loads: what looks inside requests against what says
// that a tunnel is not TLS, or is never to be opened. What is not seen here is denied at run time.
import { cidrContains } from '../target/address.ts'
import { literalTail } from './glob.ts'
import { scopeCovers } from './pattern.ts'
import type { Scope } from './pattern.ts'
import type { Pins } from './pins-schema.ts'
import type { PlacedPattern } from './rule-book.ts'
import type { Ports, Rule } from './policy.ts'
import { inspectedProviders } from './providers-schema.ts'
import type { Draft } from './schema.ts'

/** What looks inside requests to a scope. */
interface Looking {
  readonly scope: Scope
  readonly ports: Ports
  /** undefined: for everybody */
  readonly rule: Rule | undefined
  /** as a clause */
  readonly says: string
}

/** Reports every clash where the raw rule or the never_intercept entry stands. */
export function checkClashes(placed: readonly PlacedPattern[], rules: readonly Rule[], drafts: readonly Draft[], pins: Pins): void {
  const inside = [...lookingRules(placed, rules), ...lookingPins(pins), ...lookingProviders(drafts)]
  if (inside.length === 0) return
  const raw = placed.filter(({ rule }) => rules[rule]?.raw !== undefined)
  for (const tunnel of raw) {
    const clash = inside.find(
      ({ scope, ports, rule }) => overlap(scope, tunnel.scope) && portsOverlap(ports, tunnel.effectivePorts) && shareAgents(rule, rules[tunnel.rule]),
    )
    if (clash !== undefined) tunnel.draft.file.error(tunnel.at, `\`raw\` clashes with ${clash.says}`)
  }
  for (const draft of drafts) {
    for (const never of draft.neverIntercept) {
      const clash = inside.find(({ scope }) => overlap(scope, never.scope))
      if (clash !== undefined) draft.file.error(never.at, `\`never_intercept\` clashes with ${clash.says}`)
    }
  }
}

function lookingRules(placed: readonly PlacedPattern[], rules: readonly Rule[]): readonly Looking[] {
  return placed.flatMap(({ rule: at, scope, text, effectivePorts }) => {
    const rule = rules[at]
    if (rule === undefined || !rule.requestLevel || rule.raw !== undefined) return []
    return [{ scope, ports: effectivePorts, rule, says: `rule \`${rule.id}\`, which looks inside requests to \`${text}\`` }]
  })
}

function lookingPins({ pins, hosts }: Pins): readonly Looking[] {
  return hosts.map(({ scope, text, ports, pin }) => ({
    scope, ports: ports === undefined ? 'every' : [ports], rule: undefined, says: `\`${pins[pin]?.change.rule ?? ''}\`, which sets a field on requests to \`${text}\``,
  }))
}

function lookingProviders(drafts: readonly Draft[]): readonly Looking[] {
  return inspectedProviders(drafts).map(({ scope, ports, text }) => ({
    scope, ports: ports === undefined ? 'every' : [ports], rule: undefined, says: `\`inspect_providers\`, which looks inside requests to \`${text}\``,
  }))
}

/** Whether both scopes are known to cover some host. For two globs the answer may be no though they do. */
export function overlap(a: Scope, b: Scope): boolean {
  if (a.kind === 'address' || b.kind === 'address') {
    if (a.kind !== 'address' || b.kind !== 'address') return false
    const [wide, narrow] = a.cidr.prefix <= b.cidr.prefix ? [a.cidr, b.cidr] : [b.cidr, a.cidr]
    return cidrContains(wide, { family: narrow.family, bits: narrow.bits, text: narrow.text })
  }
  if (a.kind === 'any' || b.kind === 'any') return true
  if (a.kind === 'exact') return scopeCovers(b, a.name)
  if (b.kind === 'exact') return scopeCovers(a, b.name)
  return within(tailOf(a), b) || within(tailOf(b), a)
}

/** The name that everything the scope covers stands at or below. */
function tailOf(scope: Scope): string {
  if (scope.kind === 'glob') return literalTail(scope.globs[0] ?? '')
  return 'name' in scope ? scope.name : ''
}

function within(name: string, scope: Scope): boolean {
  if (scope.kind !== 'below' && scope.kind !== 'apex_and_below') return false
  return name === scope.name || name.endsWith(`.${scope.name}`)
}

/** Whether some port is in both. */
export function portsOverlap(a: Ports, b: Ports): boolean {
  if (a === 'every' || b === 'every') return true
  const rangesA = a === 'default' ? [{ first: 443, last: 443 }, { first: 80, last: 80 }] : a
  const rangesB = b === 'default' ? [{ first: 443, last: 443 }, { first: 80, last: 80 }] : b
  return rangesA.some((x) => rangesB.some((y) => x.first <= y.last && y.first <= x.last))
}

function shareAgents(a: Rule | undefined, b: Rule | undefined): boolean {
  return meet(a?.agents, b?.agents) && meet(a?.teams, b?.teams)
}

function meet(a: readonly string[] | undefined, b: readonly string[] | undefined): boolean {
  return a === undefined || b === undefined || a.some((each) => b.includes(each))
}
