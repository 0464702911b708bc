// What was answered for good is proposed as a line of policy: an admin's own answer writes it at once, anybody
// else's waits for an admin's yes. The grant behind it holds meanwhile, and no longer than grants may.
import type { Policy } from '../policy/policy.ts'
import type { Actor } from './actor.ts'
import type { Answer, Approval } from './approval.ts'
import type { Proposal } from './desk.ts'
import { proposalOf, type ProposalRegistry } from './proposal-registry.ts'
import { ReviewFault } from './review-fault.ts'

export interface ProposalsOptions {
  readonly registry: ProposalRegistry
  readonly policy: () => Policy | undefined
  /** Resolves when the line is in the policy file; rejects with an Error for an admin, and then nothing changed. */
  readonly write: (proposal: Proposal, acceptedBy: string) => Promise<void>
  /** an accepted line could not be written: the proposal stays open */
  readonly onFault: (error: unknown) => void
}

export class Proposals {
  readonly #options: ProposalsOptions

  constructor(options: ProposalsOptions) {
    this.#options = options
  }

  list(): readonly Proposal[] {
    return this.#options.registry.list()
  }

  /** Proposes what an answer for good says. What cannot be written now stays proposed, and the answer stands. */
  async propose(approval: Approval, answer: Answer, actor: Actor): Promise<void> {
    const { registry, policy, onFault } = this.#options
    const now = policy()
    const wanted = now === undefined ? undefined : proposalOf(approval, answer, actor.name, now)
    if (wanted === undefined) return
    const proposal = registry.add(wanted)
    if (!mayAccept(actor)) return
    try {
      await this.resolve(proposal.id, true, actor)
    } catch (error) {
      onFault(error)
    }
  }

  /** Throws ReviewFault. */
  async resolve(id: string, accept: boolean, actor: Actor): Promise<Proposal> {
    const { registry, write } = this.#options
    if (!mayAccept(actor)) throw new ReviewFault('not_permitted', 'an admin accepts or rejects what becomes policy')
    const proposal = registry.get(id)
    if (proposal === undefined) throw new ReviewFault('not_found', `there is no proposal ${id}`)
    if (proposal.state !== 'open') throw new ReviewFault('already_decided', `the proposal was ${proposal.state} already`)
    if (accept) {
      try {
        await write(proposal, actor.name)
      } catch (error) {
        throw new ReviewFault('invalid', error instanceof Error ? error.message : String(error))
      }
    }
    const resolved = registry.resolve(id, accept, actor.name)
    if (resolved === undefined) throw new ReviewFault('already_decided', 'the proposal was decided meanwhile')
    return resolved
  }
}

function mayAccept({ kind, role }: Actor): boolean {
  return kind === 'local' || (kind === 'person' && role === 'admin')
}
