// Makes cards for whoever looks at a question: what the room knows of it, gathered for the builder. What the
// one who looks may not see is not on it.
import type { Clock } from '../clock.ts'
import type { Policy } from '../policy/policy.ts'
import type { Actor } from './actor.ts'
import { AllowedNames } from './allowed-names.ts'
import type { Approval } from './approval.ts'
import type { Approvals } from './approvals.ts'
import type { Card } from './card.ts'
import { buildCard } from './card-builder.ts'
import { ReviewFault } from './review-fault.ts'
import { maySee } from './review-rules.ts'

export interface CardsOptions {
  readonly approvals: Approvals
  readonly clock: Clock
  readonly policy: () => Policy | undefined
}

const similarRead = 40

export class Cards {
  readonly #options: CardsOptions
  /** of the policy it was made for: reading a long allow list takes a while */
  #allowed: { readonly policy: Policy; readonly names: AllowedNames } | undefined

  constructor(options: CardsOptions) {
    this.#options = options
  }

  /** Throws ReviewFault `invalid` while no policy is in force. */
  card(approval: Approval, actor: Actor): Card {
    const { approvals, clock, policy: current } = this.#options
    const policy = current()
    if (policy === undefined) throw new ReviewFault('invalid', 'no valid policy is in force, so nothing can be said of this question')
    const { table } = approvals.pending
    const open = approvals.pending.all()
    return buildCard(approval, {
      policy,
      allowed: this.#allowedBy(policy),
      nowMs: clock.now(),
      similar: table.similar(approval.host, similarRead).filter((other) => other.id !== approval.id && maySee(other, actor)).flatMap(({ id, host, decision }) =>
        decision === undefined ? [] : [{ approvalId: id, host, verdict: decision.verdict, term: decision.term, by: decision.by, atMs: decision.atMs, comment: decision.comment }]),
      others: [
        ...open.filter((other) => other.host === approval.host && other.session !== approval.session && maySee(other, actor)).map(({ agent, session }) => ({ agent, session, state: 'asks' })),
        ...approvals.book.all().filter((grant) => grant.host === approval.host && grant.holder !== approval.session && this.#maySeeGrant(grant.approvalId, actor))
          .map(({ who, holder, verdict, approvalId }) => ({ agent: who === 'session' ? (approvals.find(approvalId)?.agent ?? '') : holder, session: who === 'session' ? holder : '', state: verdict === 'allow' ? 'allowed' : 'refused' })),
      ],
      openQuestions: open.filter(({ session }) => session === approval.session).length,
      isKnown: (domain) => table.isKnown(domain, approval.id),
    })
  }

  #maySeeGrant(approvalId: string, actor: Actor): boolean {
    const approval = this.#options.approvals.find(approvalId)
    return approval !== undefined && maySee(approval, actor)
  }

  #allowedBy(policy: Policy): AllowedNames {
    if (this.#allowed?.policy !== policy) this.#allowed = { policy, names: new AllowedNames(policy) }
    return this.#allowed.names
  }
}
