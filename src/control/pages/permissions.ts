// What each role may open and do on the pages. What is not in these lists is refused; the desk judges every
// decision again. Pure.
import type { Actor, Role } from '../../approvals/actor.ts'
import type { Approval } from '../../approvals/approval.ts'
import type { Card } from '../../approvals/card.ts'
import { maySee } from '../../approvals/review-rules.ts'
import type { Session } from '../../approvals/session.ts'
import { grantTerms, type GrantTerm } from '../../policy/grant.ts'

export type Place = 'questions' | 'grants' | 'sessions' | 'proposals' | 'events'

const readers: readonly Role[] = ['viewer', 'auditor', 'reviewer', 'admin']
const open: Readonly<Record<Place, readonly Role[]>> = {
  questions: readers,
  grants: readers,
  sessions: [...readers, 'launcher'],
  proposals: readers,
  events: ['auditor', 'admin'],
}

export function mayOpen({ role }: Actor, place: Place): boolean {
  return open[place].includes(role)
}

/** Decides about questions, snoozes them and revokes grants. */
export function mayReview({ role }: Actor): boolean {
  return role === 'reviewer' || role === 'admin'
}

/** An owner answers for the own session only what policy delegates, and never what must always be reviewed. */
export function termsFor(actor: Actor, approval: Approval, { rules }: Card): readonly GrantTerm[] {
  if (approval.owner === actor.name) return approval.isReview || rules.fourEyes ? [] : rules.ownerMay
  return mayReview(actor) ? grantTerms : []
}

export function maySeeSession(actor: Actor, session: Session): boolean {
  return actor.role === 'launcher' ? session.principal.owner === actor.name : mayOpen(actor, 'sessions') && maySee(session.principal, actor)
}

export function mayEnd(actor: Actor, session: Session): boolean {
  return actor.role === 'admin' || (actor.role === 'launcher' && session.principal.owner === actor.name)
}

export function mayResolveProposals({ role }: Actor): boolean {
  return role === 'admin'
}
