// What the proxy as a whole answers, from what policy says: the address of a literal, and what the gate
// refuses because it cannot be looked into. Mirrors the gate for `explain`; it enforces nothing.
import { judgeAddresses } from './addresses.ts'
import { asksInside, openedInside } from './asks-inside.ts'
import type { Decision, Obligations, Verdict } from './decision.ts'
import { effectLines } from './effects.ts'
import { explain } from './explain.ts'
import { providerSearchLines } from './provider-obligation.ts'
import type { Explanation } from './explain.ts'
import type { Policy } from './compile.ts'
import type { Facts } from './facts.ts'
import type { ExplainTarget } from './explain-target.ts'

export interface Part {
  readonly explanation: Explanation
}

export interface VerdictOf extends Pick<Decision, 'verdict' | 'code' | 'reason' | 'rule' | 'monitored'> {
  /** what the proxy is asked first: CONNECT, or the request over plain http */
  readonly outer: Part
  /** the request inside the tunnel, where rules look at it */
  readonly inner: Part | undefined
  /** one sentence each */
  readonly notes: readonly string[]
  /** what a session that trusts the CA gets, where that is another answer than this; undefined where this is its answer too */
  readonly trusting: TrustingAnswer | undefined
}

export type TrustingAnswer = Pick<Decision, 'verdict' | 'code' | 'reason' | 'rule'> & {
  /** undefined when only the tunnel was asked about */
  readonly inner: Part | undefined
}

/**
 * A request inside a tunnel that is looked into decides what is answered, once the tunnel itself is let through. Only
 * listeners of a running proxy have ports, so `self` is not judged here.
 */
export function verdictOf(policy: Policy, target: ExplainTarget, onlyLoopback: boolean): VerdictOf {
  const explained = explain(policy, target.facts, 0)
  const isAskedInside = asksInside(policy, target.facts, explained.decision)
  const explanation = isAskedInside ? { ...explained, decision: openedInside(explained.decision) } : explained
  const outer = { explanation }
  const tunnel = refine(policy, target.facts, explanation.decision, onlyLoopback)
  const looksInside = explanation.decision.obligations.inspect !== 'none' && tunnel.verdict !== 'deny'
  if (target.inner === undefined || !looksInside) {
    const trusting = trustingOf(policy, target, explanation.decision, onlyLoopback)
    const notes = [...notesOf(policy, target, explanation.decision, tunnel.verdict), ...providerSearchLines(policy, target.facts, explanation.decision.obligations), ...(trusting === undefined ? [] : trustingNotes(trusting, explanation.decision.verdict))]
    return { ...tunnel, outer, inner: undefined, notes, trusting }
  }
  const inner = { explanation: explain(policy, target.inner, 0) }
  const { decision } = inner.explanation
  const answer = refine(policy, target.inner, decision, onlyLoopback)
  const notes = [...notesOf(policy, target, explanation.decision, tunnel.verdict), ...innerNotes(policy, decision, answer.verdict), ...providerSearchLines(policy, target.inner, decision.obligations)]
  return { ...answer, outer, inner, notes, trusting: undefined }
}

/** The answer to the same of a session that trusts the CA, where the gate asks it elsewhere. */
function trustingOf(policy: Policy, target: ExplainTarget, decision: Decision, onlyLoopback: boolean): TrustingAnswer | undefined {
  const facts = trusted(target.facts)
  if (target.facts.principal.trustsCa === true || decision.verdict === 'allow') return undefined
  if (!asksInside(policy, facts, decision) && explain(policy, facts, 0).decision.verdict !== 'allow') return undefined
  const inner = target.inner === undefined ? undefined : trusted(target.inner)
  const { verdict, code, reason, rule, inner: part } = verdictOf(policy, { ...target, facts, inner }, onlyLoopback)
  return { verdict, code, reason, rule, inner: part }
}

function trusted(facts: Facts): Facts {
  return { ...facts, principal: { ...facts.principal, trustsCa: true } }
}

function trustingNotes({ verdict, code, reason, inner }: TrustingAnswer, outer: Verdict): readonly string[] {
  const what = inner === undefined ? 'each request in the tunnel is decided by itself' : `the request inside gets its own answer: ${verdict}: ${reason}${code === 'allowed' ? '' : ` (${code})`}`
  const here = outer === 'ask' ? ['this waits at the CONNECT, as for every session that does not trust the CA'] : []
  return [...here, `of a session that trusts it (\`--trusts-ca\`) TLS ends at the proxy, and ${what}`]
}

type Answer = Pick<Decision, 'verdict' | 'code' | 'reason' | 'rule' | 'monitored'>

function refine(policy: Policy, facts: Facts, decision: Decision, onlyLoopback: boolean): Answer {
  const { verdict, code, reason, rule, monitored } = judged(policy, facts, decision, onlyLoopback)
  return { verdict, code, reason, rule, monitored }
}

function judged(policy: Policy, facts: Facts, decision: Decision, onlyLoopback: boolean): Answer {
  if (decision.verdict !== 'allow') return decision
  if (facts.host.kind === 'ip') {
    const surroundings = { ownPorts: [], ownAddresses: [], onlyLoopback }
    const found = judgeAddresses(policy, facts, decision, [facts.host.ip], surroundings)
    if (!found.ok) return { ...decision, verdict: 'deny', code: found.code, reason: found.reason, rule: found.rule ?? decision.rule, monitored: undefined }
  }
  return decision
}

/** What is done to the request, and how its origin is judged. */
function innerNotes(policy: Policy, { obligations }: Decision, verdict: Verdict): readonly string[] {
  return verdict === 'deny' ? [] : [...cacheNotes(policy, obligations), ...effectLines(obligations)]
}

/** Whether it is in the cache is not looked up here. */
function cacheNotes({ webFetch }: Policy, { inspect }: Obligations): readonly string[] {
  if (inspect !== 'cache') return []
  const miss = webFetch?.onMiss === 'ask' ? 'reviewers are asked to have it fetched, or to let the host be read live' : 'it is refused with 504 (cache_miss)'
  return [`nothing is resolved or dialled: it is answered from the cache, and where it is not there ${miss}`]
}

function notesOf(policy: Policy, { kind, facts, inner }: ExplainTarget, { obligations }: Decision, verdict: Verdict): string[] {
  const notes: string[] = []
  if (kind === 'tunnel' && verdict !== 'deny' && obligations.inspect !== 'none') {
    notes.push(facts.port === 80 ? 'what is plain HTTP in the tunnel is decided request by request' : 'TLS ends at the proxy: the client has to trust its certificate authority')
    if (inner === undefined) notes.push('each request is decided by itself: explain its URL')
  }
  if (kind === 'tunnel' && inner !== undefined && verdict !== 'deny' && obligations.inspect === 'none') {
    notes.push('the tunnel is opaque: method and path are not seen, so no rule can be about them')
  }
  if (verdict === 'allow' && obligations.raw !== undefined) {
    notes.push(obligations.raw === 'ssh' ? 'the tunnel has to start with SSH-' : 'the tunnel may hold anything')
  }
  if (verdict === 'allow' && facts.host.kind === 'name' && obligations.inspect !== 'cache') {
    const ranges = [...new Set(obligations.local.map(({ text }) => text))].join(', ')
    notes.push(ranges === '' ? 'the name is resolved then, and its addresses are judged' : `the name may resolve to ${ranges}, and to public addresses`)
  }
  if (kind === 'request' && verdict !== 'deny') notes.push(...cacheNotes(policy, obligations), ...effectLines(obligations))
  return notes
}
