// The decision itself: strictest wins, order is irrelevant, a deny is final. Enforce mode only; monitor
// mode is put on top by evaluate. Takes facts that evaluate has found to be in order.
import { classifyAddress, cidrContains, parseCidr } from '../target/address.ts'
import type { AddressClass, Cidr, IpAddress } from '../target/address.ts'
import { allow, allowedReason, ask, askReason, deniedReason, deny, hostText } from './answers.ts'
import { needsApproval, noObligations, otherwiseAnswer, settingRef, unknownAnswer } from './answers.ts'
import type { Answer } from './answers.ts'
import type { Obligations, Verdict } from './decision.ts'
import type { Facts } from './facts.ts'
import { hitsFor, refOf } from './hits.ts'
import type { Hit } from './hits.ts'
import { matchPath, readPath } from './path-pattern.ts'
import { isNeverIntercepted } from './never-intercept.ts'
import type { Policy, Ports } from './policy.ts'
import { isDefaultPort, isNeverPort } from './ports.ts'
import { isReserved } from './reserved.ts'

const limitedMethods: readonly string[] = ['GET', 'HEAD', 'OPTIONS']
const loopback: readonly Cidr[] = ['127.0.0.0/8', '::1'].flatMap((text) => parseCidr(text) ?? [])

/** The hits that cover host and port, by what they can say. */
interface Sorted {
  /** host-level asks and allows, on this port */
  readonly asks: readonly Hit[]
  readonly allows: readonly Hit[]
  /** request-level rules of any verdict, on this port */
  readonly inside: readonly Hit[]
  /** names the host, but not this port; of several, the one that closes it most */
  readonly elsewhere: Hit | undefined
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
  const answer = facts.stage === 'connect' ? judgeConnect(policy, facts, sorted) : judgeRequest(policy, facts, sorted)
  return answer.verdict === 'deny' ? answer : judgeLocal(policy, facts, answer)
}

/** Whether the hit's ports cover the port of the facts. */
export function covers(ports: Ports, facts: Facts): boolean {
  if (ports === 'every') return true
  if (ports === 'default') return isDefaultPort(facts.stage, facts.scheme, facts.port)
  return ports.some(({ first, last }) => facts.port >= first && facts.port <= last)
}

/** Why a request-level rule does not match the request; undefined when it does. */
export function mismatch(hit: Hit, facts: Facts, segments: readonly string[]): 'upgrade' | 'method' | 'path' | undefined {
  const { methods, paths, upgrades, verdict } = hit.rule
  const method = facts.method ?? ''
  if (facts.upgrade !== undefined && upgrades?.includes(facts.upgrade) !== true) {
    // an upgrade is an action of its own, which an allowed GET never implies; a denied one does
    if (verdict !== 'deny' || (upgrades !== undefined && methods === undefined)) return 'upgrade'
    if (methods?.includes(method) === false) return 'method'
  }
  if (facts.upgrade === undefined) {
    if (methods === undefined && upgrades !== undefined) return 'upgrade'
    if (methods?.includes(method) === false) return 'method'
  }
  return paths === undefined || paths.some((path) => matchPath(path, segments)) ? undefined : 'path'
}

function sort(hits: readonly Hit[], facts: Facts): Sorted {
  const asks: Hit[] = []
  const allows: Hit[] = []
  const inside: Hit[] = []
  let elsewhere: Hit | undefined
  for (const hit of hits) {
    if (!covers(hit.ports, facts)) elsewhere = elsewhere === undefined || closure(hit) > closure(elsewhere) ? hit : elsewhere
    else if (hit.rule.requestLevel) inside.push(hit)
    else if (hit.rule.verdict === 'ask') asks.push(hit)
    else if (hit.rule.verdict === 'allow') allows.push(hit)
  }
  return { asks, allows, inside, elsewhere }
}

/** Only host and port are known: what looks inside the request turns the tunnel into an interception. */
function judgeConnect(policy: Policy, facts: Facts, sorted: Sorted): Answer {
  const { inside } = sorted
  const closing = closingHits(sorted)
  const outer = closing.length > 0 ? undefined : hostVerdict(policy, facts, sorted)
  if (outer?.verdict === 'deny') return outer
  const looks = inside.length > 0 || (policy.limited && outer !== undefined)
  const obligations = oblige(policy, [...sorted.asks, ...sorted.allows, ...inside], looks, facts)
  const conflict = conflictOf(policy, facts, obligations)
  if (conflict !== undefined) return conflict
  const first = closing[0] ?? (looks ? inside[0] : undefined)
  if (looks) {
    const rule = first === undefined ? outer?.rule : refOf(first)
    return allow(`each request to ${hostText(facts)} is decided by itself`, rule, obligations, first?.wildcard ?? outer?.wildcard ?? true)
  }
  return outer === undefined ? unknownAnswer(policy, facts, 'deny', undefined) : { ...outer, obligations }
}

function judgeRequest(policy: Policy, facts: Facts, sorted: Sorted): Answer {
  const governed = sorted.inside.find(({ rule }) => rule.paths !== undefined)
  if (governed === undefined) return judgeReading(policy, facts, sorted, [])
  const readings = readPath(facts.path ?? '')
  if ('wrong' in readings) {
    const reason = `the path can be read in more than one way (${readings.wrong}), and a rule of ${hostText(facts)} is about paths`
    return deny('path_ambiguous', reason, refOf(governed))
  }
  let strictest: Answer | undefined
  for (const segments of readings) {
    const answer = judgeReading(policy, facts, sorted, segments)
    if (strictest === undefined || rank(answer.verdict) > rank(strictest.verdict)) strictest = answer
  }
  return strictest ?? deny('path_ambiguous', 'the path cannot be read', refOf(governed))
}

function judgeReading(policy: Policy, facts: Facts, sorted: Sorted, segments: readonly string[]): Answer {
  const matching = sorted.inside.filter((hit) => mismatch(hit, facts, segments) === undefined)
  const denied = matching.find(({ rule }) => rule.verdict === 'deny')
  if (denied !== undefined) return deny('denied_by_rule', deniedReason(facts, denied), refOf(denied))
  const allowing = matching.find(({ rule }) => rule.verdict === 'allow')
  const open = allowing !== undefined || sorted.allows.length > 0
  const asking = matching.find(({ rule }) => rule.verdict === 'ask' && (open || !rule.tightenOnly))
  const closing = closingHits(sorted)
  const obligations = oblige(policy, [...sorted.asks, ...sorted.allows, ...matching], sorted.inside.length > 0, facts)
  const conflict = conflictOf(policy, facts, obligations)
  if (conflict !== undefined) return conflict
  const hostAsk = sorted.asks.find(({ rule }) => open || !rule.tightenOnly)
  if (closing.length === 0) return hostAnswer(policy, facts, sorted, obligations)
  if (asking !== undefined) return ask(askReason(facts, asking), refOf(asking), obligations)
  if (allowing === undefined) {
    const otherwise = otherwiseAnswer(facts, strictestOtherwise(closing), obligations)
    if (otherwise.verdict === 'deny' || hostAsk === undefined) return otherwise
  }
  if (hostAsk !== undefined) return ask(askReason(facts, hostAsk), refOf(hostAsk), obligations)
  return allowing === undefined
    ? unknownAnswer(policy, facts, 'deny', undefined)
    : allow(allowedReason(facts, allowing), refOf(allowing), obligations, allowing.wildcard)
}

/** What the host patterns alone say of a request, limited mode included. */
function hostAnswer(policy: Policy, facts: Facts, sorted: Sorted, obligations: Obligations): Answer {
  const outer = hostVerdict(policy, facts, sorted)
  if (outer.verdict !== 'deny' && policy.limited && (facts.upgrade !== undefined || !limitedMethods.includes(facts.method ?? ''))) {
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

function oblige(policy: Policy, matching: readonly Hit[], looks: boolean, facts: Facts): Obligations {
  const local: Cidr[] = []
  let raw: Obligations['raw']
  let cache = false
  for (const { rule, wildcard, pattern } of matching) {
    if (rule.verdict === 'deny') continue
    cache ||= rule.cache
    // it may hold back, not open
    if (rule.tightenOnly) continue
    local.push(...rule.local)
    // what is to start with SSH- is not loosened by a rule that takes anything
    if (rule.raw !== undefined && raw !== 'ssh') raw = rule.raw
    if (!wildcard && rule.verdict === 'allow') local.push(...ownAddresses(facts, pattern))
  }
  const intercept = looks || (policy.limited && facts.stage === 'connect')
  return { inspect: cache ? 'cache' : intercept ? 'intercept' : 'none', raw, local }
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

function conflictOf(policy: Policy, facts: Facts, obligations: Obligations): Answer | undefined {
  if (obligations.inspect === 'none') return undefined
  const opaque = obligations.raw !== undefined && facts.stage === 'connect'
  const never = facts.scheme === 'https' && isNeverIntercepted(policy, facts.host)
  if (!opaque && !never) return undefined
  const why = opaque ? 'that its tunnel is not TLS' : 'that it is never intercepted'
  return deny('obligation_conflict', `one rule says that requests to ${hostText(facts)} are looked into, and another ${why}`, undefined)
}

/** A single written port; `*` names no host. */
function namesPort({ ports, any, rule }: Hit, port: number): boolean {
  if (typeof ports === 'string' || any || rule.verdict === 'deny') return false
  return ports.some(({ first, last }) => first === port && last === port)
}

function rank(verdict: Verdict): number {
  return verdict === 'deny' ? 2 : verdict === 'ask' ? 1 : 0
}
