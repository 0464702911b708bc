// What an answer obliges the proxy to do: the union over all rules that match, and what in it excludes each other.
import { parseCidr } from '../target/address.ts'
import type { Cidr } from '../target/address.ts'
import { deny, hostText } from './answers.ts'
import type { Answer } from './answers.ts'
import type { Obligations } from './decision.ts'
import { withEffects } from './effects.ts'
import type { Obliged } from './effects.ts'
import type { Facts } from './facts.ts'
import { methodOverrideFields, overridesMethod } from './field-names.ts'
import type { Hit } from './hits.ts'
import { isNeverIntercepted } from './never-intercept.ts'
import { pinsFor } from './pins.ts'
import type { Pin, Policy, Rule } from './policy.ts'

const loopback: readonly Cidr[] = ['127.0.0.0/8', '::1'].flatMap((text) => parseCidr(text) ?? [])

/** What the origin is asked for is what was judged; inside https this is done to every request. */
const noOverride: Pin = {
  change: { rule: 'methods', strip: [...methodOverrideFields], set: [] }, file: 'built-in', line: 0, methods: undefined, paths: undefined,
}

/** `looks`: some rule, setting or pin looks inside the request. */
export function oblige(policy: Policy, matching: readonly Hit[], looks: boolean, facts: Facts, segments: readonly string[]): Obliged {
  const local: Cidr[] = []
  let raw: Obligations['raw']
  let cache = false
  let sharedCache = false
  let special: Rule[] | undefined
  for (const { rule, wildcard, pattern } of matching) {
    if (rule.verdict === 'deny') continue
    cache ||= rule.cache
    if (rule.terms !== undefined || rule.effects !== undefined) (special ??= []).push(rule)
    // it may hold back, not open
    if (rule.tightenOnly) continue
    sharedCache ||= rule.sharedCache
    local.push(...rule.local)
    // what is to start with SSH- is not loosened by a rule that takes anything
    if (rule.raw !== undefined && raw !== 'ssh') raw = rule.raw
    if (!wildcard && rule.verdict === 'allow') local.push(...ownAddresses(facts, pattern))
  }
  const intercept = looks || (policy.limited && facts.stage === 'connect')
  const inspect = cache ? 'cache' : intercept ? 'intercept' : 'none'
  // of a CONNECT it is not known which rules will match what is inside
  if (facts.stage === 'connect') return { inspect, raw, local }
  // what is read from the web cache is never live
  const base = sharedCache && !cache ? { inspect, raw, local, sharedCache } as const : { inspect, raw, local } as const
  const overridden = facts.scheme === 'http' && (looks || policy.limited || policy.readOnly) && facts.fields !== undefined && overridesMethod(facts.fields)
  if (special === undefined && policy.pins.length === 0 && !overridden) return base
  const pins = pinsFor(policy, facts, segments)
  return withEffects(base, special ?? [], overridden ? [...pins, noOverride] : pins)
}

/** Why the obligations cannot be met, as a denial. */
export function conflictOf(policy: Policy, facts: Facts, obligations: Obliged): Answer | undefined {
  if (obligations.conflict !== undefined) return deny('obligation_conflict', obligations.conflict, undefined)
  if (facts.stage === 'request' && obligations.raw === 'ssh') {
    return deny('obligation_conflict', `${hostText(facts)}:${facts.port} is open for tunnels that start with SSH- alone, and this is a request over ${facts.scheme}`, undefined)
  }
  if (obligations.inspect === 'none') return undefined
  const opaque = obligations.raw !== undefined && facts.stage === 'connect'
  const never = facts.scheme === 'https' && isNeverIntercepted(policy, facts.host)
  if (!opaque && !never) return undefined
  const why = opaque ? 'that its tunnel is not TLS' : 'that it is never intercepted'
  return deny('obligation_conflict', `one rule says that requests to ${hostText(facts)} are looked into, and another ${why}`, undefined)
}

/** What an exact allow opens by itself: the address it names, loopback for `localhost`. */
function ownAddresses({ host }: Facts, pattern: string): readonly Cidr[] {
  if (host.kind === 'name') {
    return host.text === 'localhost' || (host.text.endsWith('.localhost') && !pattern.startsWith('*')) ? loopback : []
  }
  const { family, bits, text } = host.ip
  const prefix = family === 4 ? 32 : 128
  return [{ family, bits, prefix, text: `${text}/${prefix}` }]
}
