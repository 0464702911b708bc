// The questions over HTTP: the queue, one question, its answer. The desk has the last word; what it refuses
// is shown on the question as it is then, with the status of the refusal, and asked again.
import type { FastifyInstance, FastifyReply } from 'fastify'
import type { Answer, Approval } from '../../approvals/approval.ts'
import type { Card } from '../../approvals/card.ts'
import { ReviewFault, reviewFaults } from '../../approvals/review-fault.ts'
import { emptyDraft, endOf, isWide, needsComment, readAnswer, readDraft, readVersion } from './answer-form.ts'
import { approvalPage } from './approval-page.ts'
import { confirmationOf, confirmPage } from './confirm-page.ts'
import { isSealed } from './form-fields.ts'
import { act, look, refuseRole, send, sendFault, type Door, type Visit } from './page-door.ts'
import { mayReview, termsFor } from './permissions.ts'
import { queuePage } from './queue-page.ts'

/** Most questions on one page. */
const pageSize = 200

export function addApprovalRoutes(scope: FastifyInstance, door: Door): void {
  const { deps } = door
  look(scope, door, '/', undefined, (visit) => {
    const { actor } = visit.view
    if (actor.role === 'launcher') return visit.reply.redirect('/sessions', 303)
    const found = deps.desk.list({ state: 'pending', session: undefined, host: undefined }, actor, undefined, pageSize + 1)
    const { about } = visit.request.query
    return send(visit, queuePage(visit.view, {
      approvals: found.slice(0, pageSize),
      hasMore: found.length > pageSize,
      about: typeof about === 'string' ? deps.desk.get(about, actor) : undefined,
    }))
  })
  look(scope, door, '/approvals/:id', 'questions', (visit) => {
    const card = findCard(door, visit)
    return card === undefined ? notThere(door, visit) : send(visit, approvalPage(visit.view, card))
  })
  act(scope, door, '/approvals/:id/decision', 'questions', (visit) => answering(door, visit, (card) => decide(door, visit, card)))
  act(scope, door, '/approvals/:id/snooze', 'questions', (visit) => answering(door, visit, async ({ approval }) => {
    const { actor, nowMs } = visit.view
    if (!mayReview(actor)) return refuseRole(door, visit.reply, actor)
    const snoozed = await deps.desk.snooze(approval.id, endOf(visit.form.get('duration'), nowMs), readVersion(visit.form), actor)
    return toQueue(visit, snoozed)
  }))
}

async function decide(door: Door, visit: Visit, card: Card): Promise<FastifyReply> {
  const { deps } = door
  const { actor, nowMs } = visit.view
  const { approval } = card
  const terms = termsFor(actor, approval, card)
  if (approval.state === 'pending' && terms.length === 0 && approval.owner !== actor.name) return refuseRole(door, visit.reply, actor)
  const answer = readAnswer(visit.form, nowMs)
  check(card, answer)
  const isDoubtful = answer.isFetch === true && card.doubts.length > 0
  if (isWide(answer) || isDoubtful) {
    const confirmation = confirmationOf(deps.csrfKey, visit.secret, approval.id, answer)
    if (!isSealed(confirmation, visit.form.get('confirmed'))) return send(visit, confirmPage(visit.view, card, answer, confirmation))
  }
  return toQueue(visit, await deps.desk.decide(approval.id, isDoubtful ? { ...answer, isConfirmed: true } : answer, actor))
}

/** What the desk would refuse is said before somebody confirms it. Throws ReviewFault. */
function check(card: Card, answer: Answer): void {
  const { approval } = card
  if (approval.state !== 'pending') throw new ReviewFault('already_decided', 'Somebody was faster: this question has its answer.')
  if (approval.version !== answer.version) throw new ReviewFault('version_conflict', 'The question changed.')
  if (answer.comment === undefined && needsComment(answer, card)) throw new ReviewFault('comment_required', 'Policy wants a comment for this answer.')
}

/** Runs `work` on a question; a refusal is shown on the question as it is by then. */
async function answering(door: Door, visit: Visit, work: (card: Card) => Promise<FastifyReply>): Promise<FastifyReply> {
  const card = findCard(door, visit)
  if (card === undefined) return notThere(door, visit)
  try {
    return await work(card)
  } catch (error) {
    if (!(error instanceof ReviewFault)) throw error
    visit.request.faultCode = error.code
    const now = findCard(door, visit)
    if (now === undefined || error.code === 'not_found') return notThere(door, visit)
    const draft = readDraft(visit.form)
    // what was chosen was chosen for something else; only the words are kept
    const kept = error.code === 'version_conflict' ? { ...emptyDraft, comment: draft.comment } : draft
    return send(visit, approvalPage(visit.view, now, faultText(error), kept), reviewFaults[error.code])
  }
}

function faultText({ code, message }: ReviewFault): string {
  if (code === 'version_conflict') return 'The question changed while you looked at it, so nothing has been decided. This is how it is now: look again.'
  return /[.!?]$/.test(message) ? message : `${message}.`
}

function findCard({ deps }: Door, { id, view }: Visit): Card | undefined {
  const approval = deps.desk.get(id, view.actor)
  return approval === undefined ? undefined : deps.card(approval, view.actor)
}

function notThere(door: Door, { reply }: Visit): FastifyReply {
  return sendFault(door, reply, 404, 'No such question', 'There is no question with this number, or it is not for you.')
}

function toQueue({ reply }: Visit, { id }: Approval): FastifyReply {
  return reply.redirect(`/?about=${encodeURIComponent(id)}`, 303)
}
