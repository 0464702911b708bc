// What policy asks about: put to the reviewers, held while the client waits, and judged again when there is an
// answer. INVARIANT: nothing is resolved or dialled meanwhile, and only a fresh evaluation with a grant lets an
// exchange through.
import type { Approval } from '../approvals/approval.ts'
import type { Approvals } from '../approvals/approvals.ts'
import type { OpenedApproval } from '../approvals/pending.ts'
import { isAboutRequest, type Question } from '../approvals/question.ts'
import type { Settlement } from '../approvals/waiters.ts'
import { errorEntry, ProxyError, type ErrorCode } from '../errors.ts'
import type { Decision } from '../policy/decision.ts'
import type { Exchange } from './exchange.ts'
import type { Presence } from './presence.ts'

/** What the question came to. */
export type Answered =
  /** judge again: a decision was made, the policy changed, or the process stops */
  | { readonly kind: 'again'; readonly approval: Approval }
  /** the client was told to come back, or has gone: nothing new was decided */
  | { readonly kind: 'pending'; readonly approval: Approval; readonly reason: string; readonly retryAfterS: number }

const retryAfterS = 5

/** What a reviewer is asked. */
export function questionOf({ facts, userAgent, client }: Exchange, { reason, rule, revision }: Decision, requestDigest: string | undefined): Question {
  return { facts, requestDigest, reason, rule, revision, userAgent, clientAddress: client.address, advisory: client.advisory }
}

/** Asks and waits. Resolves after the prompt is in the journal; rejects when it cannot be. */
export async function putQuestion(approvals: Approvals, opened: OpenedApproval, question: Question, presence: Presence | undefined): Promise<Answered> {
  const { approval } = opened
  const holdMs = await approvals.announce(opened, question)
  const how = presence === undefined || holdMs === 0 ? 'timeout' : await held(approvals, approval.id, holdMs, presence)
  const now = approvals.find(approval.id) ?? approval
  if (how === 'stopping' || (how === 'changed' && now.state !== 'pending')) return { kind: 'again', approval: now }
  return { kind: 'pending', approval: now, reason: `${question.reason}; a reviewer has been asked (approval ${approval.id})`, retryAfterS }
}

async function held(approvals: Approvals, id: string, ms: number, presence: Presence): Promise<Settlement> {
  const waiter = approvals.hold(id, ms)
  const unwatch = presence.watch(() => waiter.leave())
  try {
    return await waiter.settled
  } finally {
    unwatch()
  }
}

/** What was asked is not what policy asks now, or nobody is there any more who asked: no answer to it counts. */
export function overtaken({ facts }: Exchange, decision: Decision, { requestDigest }: Question, { approval, isLive }: { readonly approval: Approval; readonly isLive: boolean }): ReturnType<typeof withoutGrant> | undefined {
  if (!isLive) return approval.state === 'allowed' ? { code: 'session_ended', reason: errorEntry('session_ended').text } : withoutGrant(approval)
  if (decision.verdict !== 'ask' || isAboutRequest(facts, decision) === (requestDigest !== undefined)) return undefined
  return { code: 'approval_withdrawn', reason: `${facts.host.text}:${facts.port}: the policy changed and asks about each request now; sending this again asks again` }
}

/** Policy still asks, and no grant answers: what became of the approval says why. */
export function withoutGrant(approval: Approval): { readonly code: ErrorCode; readonly reason: string; readonly quoted?: string | undefined } {
  if (approval.state === 'allowed') {
    return { code: 'approval_required', reason: `${approval.host}:${approval.port}: the yes to approval ${approval.id} was used by an equal request or has ended; sending this again asks again` }
  }
  if (approval.state === 'pending') return { code: 'draining', reason: `${errorEntry('draining').text}; the question stays open (approval ${approval.id})` }
  const code = approval.state === 'denied' ? 'approval_denied' : approval.state === 'expired' ? 'approval_expired' : 'approval_withdrawn'
  const { comment, by } = approval.decision ?? {}
  const hasWords = approval.state === 'denied' && comment !== undefined
  return { code, reason: `${approval.host}:${approval.port}: ${errorEntry(code).text} (approval ${approval.id})${hasWords ? `: ${comment}` : ''}`, quoted: hasWords ? by : undefined }
}

/** The digest that a question or grant about this request is bound to; undefined for what is about its host. */
export async function digestFor(exchange: Exchange, decision: Decision, presence: Presence | undefined): Promise<string | undefined> {
  if (!isAboutRequest(exchange.facts, decision)) return undefined
  const digest = await presence?.requestDigest(exchange.facts)
  if (digest === undefined) throw new ProxyError('approval_unavailable', 'the request cannot be shown to a reviewer')
  return digest
}
