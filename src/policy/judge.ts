// The decision itself: strictest wins, order is irrelevant, a deny is final. Enforce mode only; monitor
// mode is put on top by evaluate. Takes facts that evaluate has found to be in order.
import { classifyAddress, cidrContains } from '../target/address.ts'
import type { AddressClass, IpAddress } from '../target/address.ts'
import { allow, allowedReason, ask, askReason, contentReason, deniedReason, deny, hostText } from './answers.ts'
import { needsApproval, noObligations, otherwiseAnswer, settingRef, unknownAnswer } from './answers.ts'
import type { Answer } from './answers.ts'
import type { Obligations, Verdict } from './decision.ts'
import { sameEffects } from './effects.ts'
import type { Facts } from './facts.ts'
import { covers, mismatch } from './fit.ts'
import { hitsFor, refOf } from './hits.ts'
import type { Hit } from './hits.ts'
import { conflictOf, oblige } from './obligations.ts'
import { readPath } from './path-pattern.ts'
import { isPinned, pinsPaths } from './pins.ts'
import { nearReason } from './near-reason.ts'
import type { Policy, Rule } from './policy.ts'
import { isNeverPort } from './ports.ts'
import { inspectsProvider, withProviderSearch } from './provider-obligation.ts'
import { readOnlyRefusal, readingMethods } from './read-only.ts'
import { isReserved } from './reserved.ts'
import { Inside } from './terms.ts'
import type { Miss } from './terms.ts'
import { judgeRecording } from './recording.ts'
import { judgeReading } from './web-reading.ts'

/** The hits that cover host and port, by what they can say. */
interface Sorted {
  /** host-level asks and allows, on this port */
  readonly asks: readonly Hit[]
  readonly allows: readonly Hit[]
  /** request-level rules of any verdict, on this port */
  readonly inside: readonly Hit[]
  /** names the host, but not this port; of several, the one that closes it most */
  readonly elsewhere: Hit | undefined
  /** some of `inside` looks at query, fields or content */
  readonly hasTerms: boolean
}

/** Answers as if every rule were enforced. */
export function judge(policy: Policy, facts: Facts): Answer {
  if (!policy.enabled) {
    return deny('network_disabled', 'the policy says enabled = false, so nothing is allowed', settingRef('enabled', policy.settings.enabled))
  }
  const { host } = facts
  if (host.kind === 'ip' && classifyAddress(host.ip) === 'translated') {
    return deny('ip_denied', `${hostText(facts)} is a translated form of another address`, undefined)
  }
  const hits = hitsFor(policy, host, facts.principal)
  const denied = hits.find(({ rule }) => rule.verdict === 'deny' && !rule.requestLevel)
  if (denied !== undefined) return deny('denied_by_rule', deniedReason(facts, denied), refOf(denied))
  if (isReserved(policy, facts.host, facts.port) && !hits.some((hit) => hit.rule.kind === 'telemetry' && covers(hit.ports, facts))) {
    return deny('reserved_destination', `the proxy itself reports to ${hostText(facts)}:${facts.port}, so agents may not reach it`, undefined)
  }
  if (isNeverPort(facts.port) && !hits.some((hit) => namesPort(hit, facts.port))) {
    const rule = { id: 'ports', pattern: String(facts.port), file: 'built-in', line: 0 }
    return deny('port_denied', `port ${facts.port} is closed unless a rule names host and port`, rule)
  }
  const sorted = sort(hits, facts)
  const ruled = facts.stage === 'connect' ? judgeConnect(policy, facts, sorted) : judgeRequest(policy, facts, sorted)
  const answer = judgeRecording(policy, facts, judgeReading(policy, facts, ruled, hits.length > 0))
  if (answer.verdict === 'deny') return answer
  const judged = (policy.readOnly ? readOnlyRefusal(policy, facts, answer.obligations) : undefined) ?? judgeLocal(policy, facts, answer)
  return withProviderSearch(policy, facts, judged)
}

function sort(hits: readonly Hit[], facts: Facts): Sorted {
  const asks: Hit[] = []
  const allows: Hit[] = []
  const inside: Hit[] = []
  let elsewhere: Hit | undefined
  let hasTerms = false
  for (const hit of hits) {
    if (!covers(hit.ports, facts)) elsewhere = elsewhere === undefined || closure(hit) > closure(elsewhere) ? hit : elsewhere
    else if (hit.rule.requestLevel) {
      inside.push(hit)
      hasTerms ||= hit.rule.terms !== undefined
    }
    else if (hit.rule.verdict === 'ask') asks.push(hit)
    else if (hit.rule.verdict === 'allow') allows.push(hit)
  }
  return { asks, allows, inside, elsewhere, hasTerms }
}

/** Only host and port are known: what looks inside the request turns the tunnel into an interception. */
function judgeConnect(policy: Policy, facts: Facts, sorted: Sorted): Answer {
  const { inside } = sorted
  const closing = closingHits(sorted)
  const outer = closing.length > 0 ? undefined : hostVerdict(policy, facts, sorted)
  if (outer?.verdict === 'deny') return outer
  const looks = inside.length > 0 || ((policy.limited || policy.readOnly || isPinned(policy, facts) || inspectsProvider(policy, facts)) && outer !== undefined)
  const obligations = oblige(policy, [...sorted.asks, ...sorted.allows, ...inside], looks, facts, [])
  const conflict = (policy.readOnly ? readOnlyRefusal(policy, facts, obligations) : undefined) ?? conflictOf(policy, facts, obligations)
  if (conflict !== undefined) return conflict
  const first = closing[0] ?? (looks ? inside[0] : undefined)
  if (looks) {
    const rule = first === undefined ? outer?.rule : refOf(first)
    return allow(`each request to ${hostText(facts)} is decided by itself`, rule, obligations, first?.wildcard ?? outer?.wildcard ?? true)
  }
  return outer === undefined ? unknownAnswer(policy, facts, 'deny', undefined) : { ...outer, obligations }
}

function judgeRequest(policy: Policy, facts: Facts, sorted: Sorted): Answer {
  const inside = sorted.hasTerms ? new Inside(facts) : undefined
  const governed = sorted.inside.find(({ rule }) => rule.paths !== undefined)
  if (governed === undefined && !pinsPaths(policy, facts)) return judgeOneReading(policy, facts, sorted, [], inside)
  const rule = governed === undefined ? undefined : refOf(governed)
  const readings = readPath(facts.path ?? '')
  if ('wrong' in readings) {
    const reason = `the path can be read in more than one way (${readings.wrong}), and a rule of ${hostText(facts)} is about paths`
    return deny('path_ambiguous', reason, rule)
  }
  let strictest: Answer | undefined
  let isSplit = false
  for (const segments of readings) {
    const answer = judgeOneReading(policy, facts, sorted, segments, inside)
    isSplit ||= strictest !== undefined && !sameEffects(strictest.obligations, answer.obligations)
    if (strictest === undefined || rank(answer.verdict) > rank(strictest.verdict)) strictest = answer
  }
  if (strictest === undefined) return deny('path_ambiguous', 'the path cannot be read', rule)
  if (strictest.verdict === 'deny' || !isSplit) return strictest
  // a field, a credential above all, goes where every reading says that it goes
  return deny('path_ambiguous', `the path can be read in more than one way, and rules of ${hostText(facts)} do different things to them`, rule)
}

function judgeOneReading(policy: Policy, facts: Facts, sorted: Sorted, segments: readonly string[], inside: Inside | undefined): Answer {
  const matching = sorted.inside.filter((hit) => mismatch(hit, facts, segments, inside) === undefined)
  const denied = matching.find(({ rule }) => rule.verdict === 'deny')
  if (denied !== undefined) return deny('denied_by_rule', deniedReason(facts, denied), refOf(denied))
  const allowing = matching.find(({ rule }) => rule.verdict === 'allow')
  const open = allowing !== undefined || sorted.allows.length > 0
  const asking = matching.find(({ rule }) => rule.verdict === 'ask' && (open || !rule.tightenOnly))
  const closing = closingHits(sorted)
  const obligations = oblige(policy, [...sorted.asks, ...sorted.allows, ...matching], sorted.inside.length > 0, facts, segments)
  const conflict = conflictOf(policy, facts, obligations)
  if (conflict !== undefined) return conflict
  const hostAsk = sorted.asks.find(({ rule }) => open || !rule.tightenOnly)
  if (closing.length === 0) return hostAnswer(policy, facts, sorted, obligations)
  if (asking !== undefined) return ask(askReason(facts, asking), refOf(asking), obligations)
  if (allowing === undefined) {
    const closed = otherwise(facts, closing, segments, inside, obligations)
    if (closed.verdict === 'deny' || hostAsk === undefined) return sorted.hasTerms ? heldBack(closed, facts, closing, segments, inside) : closed
  }
  if (hostAsk !== undefined) return ask(askReason(facts, hostAsk), refOf(hostAsk), obligations)
  if (allowing === undefined) return unknownAnswer(policy, facts, 'deny', undefined)
  const allowed = allow(allowedReason(facts, allowing), refOf(allowing), obligations, allowing.wildcard)
  return sorted.hasTerms ? heldBack(allowed, facts, closing, segments, inside) : allowed
}

/** No request-level rule matches. One that only the content, the query or the fields kept from it says so. */
function otherwise(facts: Facts, closing: readonly Hit[], segments: readonly string[], inside: Inside | undefined, obligations: Obligations): Answer {
  const answer = otherwiseAnswer(facts, strictestOtherwise(closing), obligations)
  if (answer.verdict !== 'deny' || inside === undefined) return answer
  const near = new Map<Rule, Miss>()
  for (const hit of closing) {
    const missed = mismatch(hit, facts, segments, inside)
    if (missed?.what === 'content' || missed?.what === 'content_type') return deny('content_not_allowed', contentReason(facts, hit, missed.what), refOf(hit))
    if (missed !== undefined && !(hit.rule.verdict === 'ask' && hit.rule.tightenOnly)) near.set(hit.rule, missed)
  }
  return { ...answer, reason: `${answer.reason}${nearReason(near, inside)}` }
}

/** A rule that asks in one reading of the request and not in another holds back what would be allowed. */
function heldBack(answer: Answer, facts: Facts, closing: readonly Hit[], segments: readonly string[], inside: Inside | undefined): Answer {
  if (answer.verdict !== 'allow') return answer
  const asking = closing.find((hit) => hit.rule.verdict === 'ask' && mismatch(hit, facts, segments, inside)?.unsure === true)
  return asking === undefined ? answer : ask(askReason(facts, asking), refOf(asking), answer.obligations)
}

/** What the host patterns alone say of a request, limited mode included. */
function hostAnswer(policy: Policy, facts: Facts, sorted: Sorted, obligations: Obligations): Answer {
  const outer = hostVerdict(policy, facts, sorted)
  if (outer.verdict !== 'deny' && policy.limited && (facts.upgrade !== undefined || !readingMethods.includes(facts.method ?? ''))) {
    const code = facts.upgrade === undefined ? 'request_not_allowed' : 'upgrade_not_allowed'
    return deny(code, `the policy is read-only for ${hostText(facts)}, and this is ${facts.upgrade ?? facts.method ?? 'no method'}`, outer.rule)
  }
  return outer.verdict === 'deny' ? outer : { ...outer, obligations }
}

function hostVerdict(policy: Policy, facts: Facts, sorted: Sorted): Answer {
  const [allowing] = sorted.allows
  const asking = sorted.asks.find(({ rule }) => allowing !== undefined || !rule.tightenOnly)
  if (asking !== undefined) return ask(askReason(facts, asking), refOf(asking), noObligations)
  if (allowing !== undefined) {
    const narrowest = sorted.allows.find(({ wildcard }) => !wildcard) ?? allowing
    return allow(allowedReason(facts, narrowest), refOf(narrowest), noObligations, narrowest.wildcard)
  }
  return unnamedVerdict(policy, facts, sorted.elsewhere)
}

/** No rule names host and port. */
function unnamedVerdict(policy: Policy, facts: Facts, elsewhere: Hit | undefined): Answer {
  if (facts.host.kind === 'ip') return unnamedAddress(policy, facts, facts.host.ip, elsewhere)
  // a host that is closed on its usual ports is not opened on the others by what is unknown
  const closed = elsewhere !== undefined && closure(elsewhere) > 0 && policy.unknown === 'allow'
  return unknownAnswer(policy, facts, closed ? elsewhere.rule.otherwise : policy.unknown, elsewhere)
}

/** Addresses are open where a rule names them, and are at most asked for otherwise. */
function unnamedAddress(policy: Policy, facts: Facts, ip: IpAddress, elsewhere: Hit | undefined): Answer {
  const rule = settingRef('ip_literals', policy.settings.ipLiterals)
  const kind = classifyAddress(ip)
  const closed = kind !== 'public' && !(policy.allowLocalBinding && isBindable(kind))
  const what = closed ? `${kind.replace('_', '-')} address` : 'address'
  const reason = `no rule names the ${what} ${hostText(facts)}${elsewhere === undefined ? '' : ` with port ${facts.port}`}`
  if (closed) return deny('ip_denied', reason, rule)
  const final = policy.ipLiterals === 'deny' || (elsewhere !== undefined && policy.unknown === 'deny')
  if (final) return deny('ip_literal_denied', reason, rule)
  return ask(`${reason}, ${needsApproval}`, rule, noObligations)
}

/** Local names and addresses are refused before anybody is asked or anything is resolved. */
function judgeLocal(policy: Policy, facts: Facts, answer: Answer): Answer {
  const { host } = facts
  if (host.kind === 'name') {
    if (host.text !== 'localhost' && !host.text.endsWith('.localhost')) return answer
    if (policy.allowLocalBinding || answer.obligations.local.length > 0) return answer
    return deny('ip_denied', `${host.text} is this machine, which no rule opens`, answer.rule)
  }
  const kind = classifyAddress(host.ip)
  if (kind === 'public' || answer.obligations.local.some((cidr) => cidrContains(cidr, host.ip))) return answer
  if (policy.allowLocalBinding && isBindable(kind)) return answer
  return deny('ip_denied', `${hostText(facts)} is a ${kind.replace('_', '-')} address, which no rule opens by itself`, answer.rule)
}

/** What `allow_local_binding` can open. */
function isBindable(kind: AddressClass): boolean {
  return kind === 'loopback' || kind === 'private' || kind === 'link_local'
}

/** Request-level allows and asks close their hosts for everything else. */
function closingHits({ inside }: Sorted): readonly Hit[] {
  return inside.filter(({ rule }) => rule.verdict !== 'deny')
}

/** How tightly a rule closes its host for the requests it does not match; 0: not at all. */
function closure({ rule }: Hit): number {
  return rule.requestLevel && rule.verdict !== 'deny' ? 1 + rank(rule.otherwise) : 0
}

function strictestOtherwise(closing: readonly Hit[]): Hit {
  return closing.reduce((strictest, hit) => (rank(hit.rule.otherwise) > rank(strictest.rule.otherwise) ? hit : strictest))
}

/** A single written port; `*` names no host. */
function namesPort({ ports, any, rule }: Hit, port: number): boolean {
  if (typeof ports === 'string' || any || rule.verdict === 'deny') return false
  return ports.some(({ first, last }) => first === port && last === port)
}

function rank(verdict: Verdict): number {
  return verdict === 'deny' ? 2 : verdict === 'ask' ? 1 : 0
}
