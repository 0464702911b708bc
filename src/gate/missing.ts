// What the cache alone may answer, and does not hold: refused, or put to the reviewers where the policy says
// `on_miss = "ask"`. They say yes in two ways: have it fetched into the cache once, or let the host be read live.
// INVARIANT: nothing is resolved or dialled for the agent meanwhile.
import type { Approval } from '../approvals/approval.ts'
import type { Approvals } from '../approvals/approvals.ts'
import type { GrantUse } from '../approvals/grant-book.ts'
import { fetchDigestOf, isReview, type Question } from '../approvals/question.ts'
import type { Policy } from '../policy/compile.ts'
import type { Decision } from '../policy/decision.ts'
import { answeredBy, liveReading } from '../policy/grant.ts'
import { recordingNote } from '../policy/recording.ts'
import type { Admitted } from './admitted.ts'
import type { Exchange } from './exchange.ts'
import type { Presence } from './presence.ts'
import { putQuestion, questionOf, withoutGrant } from './questioning.ts'
import type { Refusal } from './refusal.ts'

/** `fetched`: a reviewer had it fetched, look again. Admitted: the host may be read live. */
export type AfterMiss = Refusal | Admitted | 'fetched'

/** What the gate does for it. */
export interface MissPort {
  /** absent: nobody is asked */
  readonly approvals: Approvals | undefined
  evaluate(exchange: Exchange): { readonly policy: Policy | undefined; readonly decision: Decision }
  isLive(session: string): boolean
  /** a grant let it in, and is in force */
  stands(admitted: Admitted): boolean
  /** what an allow comes to here: a parent proxy, too many new names */
  withinMeans(policy: Policy, exchange: Exchange, decision: Decision): Decision
  /** Journals a verdict of this stage; the refusal to give where it cannot be. */
  record(exchange: Exchange, policy: Policy | undefined, decision: Decision, approvalId: string | undefined): Promise<Refusal | undefined>
  /** Journals a denial and makes its refusal. */
  refuse(exchange: Exchange, policy: Policy | undefined, decision: Decision, approvalId: string | undefined): Promise<Refusal>
  admit(exchange: Exchange, policy: Policy, decision: Decision, use: GrantUse): Admitted
  pending(exchange: Exchange, reason: string, decision: Decision, approvalId: string, retryAfterS: number): Refusal
}

/** `why`: what the cache says of it, as the end of a sentence. Without `presence` nobody is asked. */
export async function answerMiss(admitted: Admitted, why: string, presence: Presence | undefined, port: MissPort): Promise<AfterMiss> {
  const { exchange, decision, policy } = admitted
  const { approvals } = port
  const { host, principal } = exchange.facts
  const reason = `only cached content may be read from ${host.text}, and this ${why}`
  const missed: Decision = { ...decision, verdict: 'deny', code: 'cache_miss', reason }
  if (presence === undefined || policy.webFetch?.onMiss !== 'ask' || approvals === undefined) return port.refuse(exchange, policy, missed, undefined)
  const asking = askingOf(decision, `${reason}, so it needs an approval${recordingNote(principal)}`)
  const question: Question = {
    ...questionOf(exchange, asking, fetchDigestOf(exchange.facts)), isFetch: true,
    // what the policy allows to be read is not on its review list
    isReview: admitted.use !== undefined && isReview(decision.rule),
  }
  const granted = await byGrant(exchange, policy, asking, { question, approvals, port })
  if (granted !== undefined) return granted
  const opened = approvals.open(question)
  if (opened.kind === 'refused') return port.refuse(exchange, policy, { ...asking, verdict: 'deny', code: opened.code, reason: opened.reason }, undefined)
  const refused = await port.record(exchange, policy, asking, opened.approval.id)
  if (refused !== undefined) {
    approvals.retract(opened)
    return refused
  }
  const answered = await putQuestion(approvals, opened, question, presence)
  const { approval } = answered
  if (answered.kind === 'pending') return port.pending(exchange, answered.reason, asking, approval.id, answered.retryAfterS)
  return afterAnswer(admitted, approval, { question, approvals, port })
}

interface Asking {
  readonly question: Question
  readonly approvals: Approvals
  readonly port: MissPort
}

/** Judged again, by the policy and the grants of that moment. */
async function afterAnswer(admitted: Admitted, approval: Approval, way: Asking): Promise<AfterMiss> {
  const { exchange } = admitted
  const { port, question } = way
  const { policy, decision } = port.evaluate(exchange)
  const asking = askingOf(decision, question.reason)
  if (decision.verdict === 'deny' || policy === undefined) return port.refuse(exchange, policy, { ...decision, verdict: 'deny' }, approval.id)
  if (!port.isLive(exchange.facts.principal.session)) {
    return port.refuse(exchange, policy, { ...asking, verdict: 'deny', code: 'session_ended', reason: 'the session has ended' }, approval.id)
  }
  const isStillCached = decision.obligations.inspect === 'cache' && (decision.verdict === 'allow' || port.stands(admitted))
  // what needs no answer any more may have been fetched for somebody else
  if (isStillCached && (approval.decision?.isFetched === true || approval.state === 'withdrawn')) return 'fetched'
  if (isStillCached) {
    const granted = await byGrant(exchange, policy, asking, way)
    if (granted !== undefined) return granted
  }
  return port.refuse(exchange, policy, { ...asking, verdict: 'deny', ...withoutGrant(approval) }, approval.id)
}

/** What policy has answered from the cache, as a question. */
function askingOf({ grant: _answered, ...decision }: Decision, reason: string): Decision {
  return { ...decision, verdict: 'ask', code: 'approval_required', reason }
}

/** A no to this page, or to its host; a yes to read the host live. */
async function byGrant(exchange: Exchange, policy: Policy, asking: Decision, { question, approvals, port }: Asking): Promise<Refusal | Admitted | undefined> {
  const { facts } = exchange
  const grant = approvals.grantFor(facts, question.requestDigest) ?? approvals.grantFor(facts, liveReading)
  if (grant === undefined) return undefined
  const answered = answeredBy(asking, grant)
  if (answered.verdict !== 'allow') {
    const reason = grant.requestDigest === question.requestDigest ? `a reviewer refused this page of ${facts.host.text}${grant.comment === undefined ? '' : `: ${grant.comment}`}` : answered.reason
    return port.refuse(exchange, policy, { ...answered, verdict: 'deny', reason }, grant.approvalId)
  }
  const live = port.withinMeans(policy, exchange, { ...answered, obligations: { ...answered.obligations, inspect: 'intercept' } })
  if (live.verdict !== 'allow') return port.refuse(exchange, policy, { ...live, verdict: 'deny' }, grant.approvalId)
  const use = approvals.use(grant, exchange.id, facts.principal.session)
  return (await port.record(exchange, policy, live, grant.approvalId)) ?? port.admit(exchange, policy, live, use)
}

/** A request goes out live that policy, by now, has answered from the cache alone: only a reviewer's yes lets it. */
export function isReadLive({ exchange: { facts }, decision: before }: Admitted, { obligations }: Decision): boolean {
  return facts.stage === 'request' && obligations.inspect === 'cache' && before.obligations.inspect !== 'cache'
}

/** What a provider is asked has gone out as it came, or was looked at by a policy that left it more, and is now to be read
 * for less before it goes. */
export function isUnread({ decision: { obligations: { providerSearch: before } } }: Admitted, { mode }: Policy, { obligations: { providerSearch: now } }: Decision): boolean {
  if (now === undefined || mode === 'monitor') return false
  return before === undefined || (before.mode === 'cached' && now.mode === 'disabled') || (before.indexed && !now.indexed)
}
