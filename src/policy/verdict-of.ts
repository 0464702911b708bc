// What the proxy as a whole answers, from what policy says: the address of a literal, and what the gate
// refuses because it cannot be looked into. Mirrors the gate for `explain`; it enforces nothing.
import type { ErrorCode } from '../errors.ts'
import { judgeAddresses } from './addresses.ts'
import type { Decision, Verdict } from './decision.ts'
import { explain } from './explain.ts'
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
}

/** Only listeners of a running proxy have ports, so `self` is not judged here. */
export function verdictOf(policy: Policy, target: ExplainTarget, onlyLoopback: boolean): VerdictOf {
  const explanation = explain(policy, target.facts, 0)
  const outer = { explanation }
  const looksInside = explanation.decision.obligations.inspect !== 'none'
  const inner = target.inner !== undefined && looksInside ? { explanation: explain(policy, target.inner, 0) } : undefined
  const { verdict, code, reason, rule, monitored } = refine(policy, target.facts, explanation.decision, onlyLoopback)
  const notes = notesOf(target, explanation.decision, verdict)
  return { verdict, code, reason, rule, monitored, outer, inner, notes }
}

type Answer = Pick<Decision, 'verdict' | 'code' | 'reason' | 'rule' | 'monitored'>

function refine(policy: Policy, facts: Facts, decision: Decision, onlyLoopback: boolean): Answer {
  if (decision.verdict !== 'allow') return decision
  if (facts.host.kind === 'ip') {
    const surroundings = { ownPorts: [], ownAddresses: [], onlyLoopback }
    const judged = judgeAddresses(policy, facts, decision, [facts.host.ip], surroundings)
    if (!judged.ok) return { ...decision, verdict: 'deny', code: judged.code, reason: judged.reason, rule: judged.rule ?? decision.rule, monitored: undefined }
  }
  const unseen = unseenBy(facts, decision)
  if (unseen === undefined || decision.monitored !== undefined) return decision
  const answer = { verdict: 'deny', ...unseen, rule: decision.rule } as const
  return policy.mode === 'monitor' ? { ...decision, monitored: answer } : { ...answer, monitored: undefined }
}

/** What rules oblige to look at, and this version cannot. */
function unseenBy(facts: Facts, { obligations }: Decision): { readonly code: ErrorCode; readonly reason: string } | undefined {
  const host = facts.host.text
  if (facts.stage === 'connect') {
    // plain HTTP inside a tunnel to port 80 is seen request by request
    if (obligations.inspect === 'none' || facts.port === 80) return undefined
    return { code: 'intercept_required', reason: `rules of ${host} look inside the request, which an opaque tunnel hides` }
  }
  if (obligations.inspect !== 'cache') return undefined
  return { code: 'cache_unavailable', reason: `only cached content may be read from ${host} and there is no cache here` }
}

function notesOf({ kind, facts, inner }: ExplainTarget, { obligations }: Decision, verdict: Verdict): string[] {
  const notes: string[] = []
  if (kind === 'tunnel' && inner !== undefined && verdict !== 'deny' && obligations.inspect === 'none') {
    notes.push('the tunnel is opaque: method and path are not seen, so no rule can be about them')
  }
  if (verdict === 'allow' && obligations.raw !== undefined) {
    notes.push(obligations.raw === 'ssh' ? 'the tunnel has to start with SSH-' : 'the tunnel may hold anything')
  }
  if (verdict === 'allow' && facts.host.kind === 'name') {
    const ranges = [...new Set(obligations.local.map(({ text }) => text))].join(', ')
    notes.push(ranges === '' ? 'the name is resolved then, and its addresses are judged' : `the name may resolve to ${ranges}, and to public addresses`)
  }
  return notes
}
