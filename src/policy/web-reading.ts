// Web reading: GET and HEAD that are answered from the cache, whatever else rules say of their hosts. It is laid over
// what rules answer: a deny stays one, what is allowed live becomes cached, and what no rule names counts as allowed
// through the cache. Pure. What it answers with `inspect: 'cache'` is never resolved, dialled or revalidated.
import { allow, deny, hostText, noObligations, settingRef } from './answers.ts'
import type { Answer } from './answers.ts'
import type { Obligations, RuleRef } from './decision.ts'
import type { Facts } from './facts.ts'
import { covers } from './fit.ts'
import { isNeverIntercepted } from './never-intercept.ts'
import { patternsFor } from './pattern-index.ts'
import type { Policy, WebFetch } from './policy.ts'

export const cacheMethods: readonly string[] = ['GET', 'HEAD']

/** Only reads, and sends nothing along (RFC 9110 section 9.3.1 gives content of a GET no meaning). */
export function isReading({ method, upgrade, content }: Facts): boolean {
  return upgrade === undefined && cacheMethods.includes(method ?? '') && (content === 0 || content === undefined)
}

/** What web reading makes of the answer of the rules. `isNamed`: some rule names the host. */
export function judgeReading(policy: Policy, facts: Facts, answer: Answer, isNamed: boolean): Answer {
  const { webFetch } = policy
  const isReader = facts.principal.webFetch === true
  if (facts.stage === 'request' && answer.verdict !== 'deny' && answer.obligations.inspect === 'cache' && !isReading(facts)) {
    return deny('content_not_allowed', `reading from ${hostText(facts)} is answered from the cache, and takes no content`, answer.rule)
  }
  if (webFetch === undefined && !isReader) return answer
  if (isReader && facts.stage === 'request' && !isReading(facts) && answer.verdict !== 'deny') {
    return deny('request_not_allowed', `this session reads the web and does nothing else, and this is ${facts.upgrade ?? facts.method ?? 'no method'}`, undefined)
  }
  const mode = webFetch?.mode ?? 'cached'
  const named = isReader ? settingRef('web_fetch', webFetch?.setting ?? noPlace) : namedBy(webFetch, facts)
  if (facts.stage === 'connect') return facts.scheme === 'https' ? tunnelAnswer(policy, facts, answer, { mode, named, isNamed }) : answer
  if (!isReading(facts)) return cacheMethods.includes(facts.method ?? '') ? plainReading(policy, facts, answer, isNamed) : answer
  if (mode === 'disabled') {
    if (answer.verdict === 'deny' || (named === undefined && answer.obligations.inspect !== 'cache')) return answer
    return deny('web_fetch_disabled', `web reading is disabled, and reading from ${hostText(facts)} is that`, named ?? answer.rule)
  }
  if (mode === 'live') return named !== undefined && !isReader && isOpen(policy, answer) ? readable(facts, named, 'intercept') : answer
  if (named === undefined) return isUnruled(answer, isNamed) && isUnnamed(policy, facts, answer) ? readable(facts, unnamed(webFetch), 'cache') : answer
  if (isOpen(policy, answer)) return readable(facts, named, 'cache')
  return answer.verdict === 'deny' ? answer : { ...answer, reason: `${answer.reason}, and it is read from the cache alone`, obligations: cached(answer.obligations), wildcard: false }
}

/** A GET with content, or with an upgrade that its origin may pass over, is answered like any other GET: it goes nowhere
 * that a plain one does not go. */
function plainReading(policy: Policy, facts: Facts, answer: Answer, isNamed: boolean): Answer {
  if (answer.verdict === 'deny') return answer
  const { verdict, obligations, rule } = judgeReading(policy, { ...facts, content: 0, upgrade: undefined }, answer, isNamed)
  if (verdict !== 'deny' && obligations.inspect !== 'cache') return answer
  const how = verdict === 'deny' ? 'refused' : 'answered from the cache'
  return facts.upgrade === undefined
    ? deny('content_not_allowed', `reading from ${hostText(facts)} is ${how}, and takes no content`, rule)
    : deny('upgrade_not_allowed', `reading from ${hostText(facts)} is ${how}, and an upgrade begins with it`, rule)
}

/** Whether web reading looks inside any tunnel. */
export function readsInside({ webFetch }: Policy): boolean {
  if (webFetch === undefined) return false
  return webFetch.mode === 'cached' || (webFetch.files.length > 0 && webFetch.domains.patterns.length > 0)
}

interface Reading {
  readonly mode: WebFetch['mode']
  readonly named: RuleRef | undefined
  readonly isNamed: boolean
}

/** A tunnel that may carry web reading is looked into: of a session that trusts our CA where rules leave the host open,
 * of every session where they allow it, since nobody gets around the cache by not trusting. */
function tunnelAnswer(policy: Policy, facts: Facts, answer: Answer, { mode, named, isNamed }: Reading): Answer {
  const trusts = facts.principal.trustsCa === true
  const isReader = facts.principal.webFetch === true
  if (named !== undefined) {
    if (answer.verdict === 'deny' && !(trusts && isOpen(policy, answer))) return answer
    if (isOpen(policy, answer)) return trusts && (mode !== 'disabled' || isReader) && canLook(policy, facts) ? lookedInto(facts, named, mode) : answer
    // live reading of what rules allow is what they allow
    if (mode === 'live' && !isReader) return answer
    if (!canLook(policy, facts) || answer.obligations.raw !== undefined) {
      return deny('obligation_conflict', `reading from ${hostText(facts)} is answered from the cache, and its tunnels may not be looked into`, named)
    }
    return { ...answer, obligations: cached(answer.obligations), wildcard: false }
  }
  if (mode !== 'cached' || !isUnruled(answer, isNamed) || !trusts || !canLook(policy, facts) || !isUnnamed(policy, facts, answer)) return answer
  return lookedInto(facts, unnamed(policy.webFetch), mode)
}

/** Nothing but the setting for unknown hosts answered. */
function isOpen(policy: Policy, { verdict, code, rule }: Answer): boolean {
  if (policy.managedOnly && verdict === 'deny') return false
  return rule?.id === 'unknown' && (verdict === 'ask' || verdict === 'allow' || code === 'not_allowed')
}

/** No rule names the host; or one does at other ports, and this one is open as unknown hosts are. */
function isUnruled({ verdict }: Answer, isNamed: boolean): boolean {
  return !isNamed || verdict === 'allow'
}

function isUnnamed(policy: Policy, { host }: Facts, answer: Answer): boolean {
  return host.kind === 'name' && !policy.managedOnly && isOpen(policy, answer)
}

function canLook(policy: Policy, { host }: Facts): boolean {
  return !isNeverIntercepted(policy, host)
}

function namedBy(webFetch: WebFetch | undefined, facts: Facts): RuleRef | undefined {
  if (webFetch === undefined) return undefined
  for (const at of patternsFor(webFetch.domains, facts.host)) {
    const pattern = webFetch.domains.patterns[at]
    if (pattern !== undefined && covers(pattern.ports, facts)) return { id: 'web_fetch', pattern: pattern.text, file: webFetch.files[pattern.rule] ?? '', line: pattern.line }
  }
  return undefined
}

/** Reading that is answered from the cache because no rule and no list of domains names the host. */
export function isUnnamedReading({ rule }: { readonly rule: RuleRef | undefined }): boolean {
  return rule?.id === 'web_fetch' && rule.pattern === '*'
}

const noPlace = { file: 'built-in', line: 0 }

function unnamed(webFetch: WebFetch | undefined): RuleRef {
  return settingRef('web_fetch', webFetch?.setting ?? noPlace)
}

function cached(obligations: Obligations): Obligations {
  return { ...obligations, inspect: 'cache' }
}

function readable(facts: Facts, rule: RuleRef, inspect: 'cache' | 'intercept'): Answer {
  const how = inspect === 'cache' ? 'from the cache' : 'live'
  const why = rule.pattern === '*' ? `${hostText(facts)} is read ${how} alone` : `${hostText(facts)} may be read, ${how} alone`
  return allow(why, rule, { ...noObligations, inspect }, inspect === 'intercept')
}

function lookedInto(facts: Facts, rule: RuleRef, mode: WebFetch['mode']): Answer {
  const how = mode === 'cached' ? 'reading from it is answered from the cache' : mode === 'live' ? 'it may be read' : 'web reading is disabled'
  return allow(`each request to ${hostText(facts)} is decided by itself, ${how}`, rule, { ...noObligations, inspect: mode === 'cached' ? 'cache' : 'intercept' }, false)
}
