// Grants, sessions and proposals over HTTP. What a role may not do is not shown, and refused when it
// is sent all the same.
import type { FastifyInstance, FastifyReply } from 'fastify'
import { ReviewFault, reviewFaults } from '../../approvals/review-fault.ts'
import { grantsPage } from './grants-page.ts'
import type { Page } from './layout.ts'
import { act, look, refuseRole, send, type Door, type Visit } from './page-door.ts'
import { mayEnd, mayResolveProposals, mayReview, maySeeSession } from './permissions.ts'
import { proposalsPage } from './proposals-page.ts'
import { sessionsPage } from './sessions-page.ts'

export function addListRoutes(scope: FastifyInstance, door: Door): void {
  const { desk } = door.deps
  const grants = ({ view }: Visit, fault?: string): Page => grantsPage(view, desk.grants(view.actor), fault)
  const proposals = ({ view }: Visit, fault?: string): Page => proposalsPage(view, desk.proposals(view.actor), fault)

  look(scope, door, '/grants', 'grants', (visit) => send(visit, grants(visit)))
  act(scope, door, '/grants/:id/revoke', 'grants', async (visit) => {
    const { actor } = visit.view
    if (!mayReview(actor)) return refuseRole(door, visit.reply, actor)
    return orFault(visit, grants, async () => {
      await desk.revoke(visit.id, actor)
      return visit.reply.redirect('/grants', 303)
    })
  })
  look(scope, door, '/proposals', 'proposals', (visit) => send(visit, proposals(visit)))
  act(scope, door, '/proposals/:id/decision', 'proposals', async (visit) => {
    const { actor } = visit.view
    if (!mayResolveProposals(actor)) return refuseRole(door, visit.reply, actor)
    return orFault(visit, proposals, async () => {
      const accept = visit.form.get('accept')
      if (accept !== 'yes' && accept !== 'no') throw new ReviewFault('invalid', 'Say whether to accept or to reject.')
      await desk.resolveProposal(visit.id, accept === 'yes', actor)
      return visit.reply.redirect('/proposals', 303)
    })
  })
  addSessionRoutes(scope, door)
}

function addSessionRoutes(scope: FastifyInstance, door: Door): void {
  const { sessions } = door.deps
  const listed = ({ view }: Visit, fault?: string): Page => sessionsPage(view, sessions.list().filter((session) => maySeeSession(view.actor, session)), fault)

  look(scope, door, '/sessions', 'sessions', (visit) => send(visit, listed(visit)))
  act(scope, door, '/sessions/:id/end', 'sessions', async (visit) => {
    const { actor } = visit.view
    return orFault(visit, listed, async () => {
      const session = sessions.get(visit.id)
      if (session === undefined || !maySeeSession(actor, session)) throw new ReviewFault('not_found', 'There is no such session.')
      if (!mayEnd(actor, session)) return refuseRole(door, visit.reply, actor)
      if (!(await sessions.end(session.id, actor.name))) throw new ReviewFault('already_decided', 'That session has ended already.')
      return visit.reply.redirect('/sessions', 303)
    })
  })
}

/** Runs `work`; a refusal is shown on the list as it is by then. */
async function orFault(visit: Visit, list: (visit: Visit, fault: string) => Page, work: () => Promise<FastifyReply>): Promise<FastifyReply> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof ReviewFault)) throw error
    visit.request.faultCode = error.code
    return send(visit, list(visit, error.message), reviewFaults[error.code])
  }
}
