// What the control plane does with approvals and grants. Types only: control/ and its tests know nothing else
// of this room's inside.
import type { Grant } from '../policy/grant.ts'
import type { Actor } from './actor.ts'
import type { Answer, Approval, ApprovalState } from './approval.ts'

export interface ApprovalFilter {
  readonly state: ApprovalState | undefined
  readonly session: string | undefined
  readonly host: string | undefined
}

/** An admin's yes to it writes `policies/90-approved.toml`. */
export interface Proposal {
  readonly id: string
  readonly approvalId: string
  readonly verdict: 'allow' | 'deny'
  /** host pattern as it would be written */
  readonly pattern: string
  readonly agent: string | undefined
  readonly team: string | undefined
  readonly by: string
  readonly createdMs: number
  readonly state: 'open' | 'accepted' | 'rejected'
  readonly decidedBy: string | undefined
}

/** Every method that decides throws ReviewFault. What an actor may not see is as if it were not there. */
export interface Desk {
  /** newest last; `after` is the id of the last one seen */
  list(filter: ApprovalFilter, actor: Actor, after: string | undefined, limit: number): readonly Approval[]
  get(id: string, actor: Actor): Approval | undefined
  /** Resolves with the approval when its version is past `version`, or after `ms` as it is then. */
  wait(id: string, version: number, ms: number): Promise<Approval | undefined>
  /** Journaled before it takes effect. With four eyes the first yes leaves it pending. */
  decide(id: string, answer: Answer, actor: Actor): Promise<Approval>
  /** Out of the inbox until then; it is neither allowed nor denied. */
  snooze(id: string, untilMs: number, version: number, actor: Actor): Promise<Approval>
  grants(actor: Actor): readonly Grant[]
  /** Closes what it opened. */
  revoke(grantId: string, actor: Actor): Promise<Grant>
  /** Those that come from questions the actor may see. */
  proposals(actor: Actor): readonly Proposal[]
  /** Throws ReviewFault; an accepted one is in the policy file when this resolves. */
  resolveProposal(id: string, accept: boolean, actor: Actor): Promise<Proposal>
  /** Called after every change, for live screens; never with an approval's own data. Returns its end. */
  onChange(listener: (change: { readonly kind: 'approval' | 'grant' | 'proposal'; readonly id: string }) => void): () => void
}

/** What the agent's side may do about its own questions, on the proxy listener. */
export interface OwnQuestions {
  get(id: string, session: string): Approval | undefined
  /** As `get`, at its next change, or after `ms`, or when `signal` aborts. A session that follows too many already hears at once. */
  follow(id: string, session: string, ms: number, signal: AbortSignal): Promise<Approval | undefined>
  /** 1 to 500 characters. `unknown`: there is no such pending approval of this session */
  stateReason(id: string, session: string, reason: string): 'stated' | 'unknown' | 'too_often'
}
