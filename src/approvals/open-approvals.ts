// Puts the room together on one store: sessions, tokens, open questions, grants, the desk. It wires and decides
// nothing.
import { setTimeout as pause } from 'node:timers/promises'
import type { PersonalPlace } from '../audit/erasure.ts'
import type { AuditSink } from '../audit/event.ts'
import type { Clock } from '../clock.ts'
import type { Deadlines } from '../deadlines.ts'
import type { Policy } from '../policy/policy.ts'
import type { Store } from '../store/store.ts'
import { Approvals } from './approvals.ts'
import { Cards } from './cards.ts'
import type { Proposal } from './desk.ts'
import { forgetPerson } from './forget-person.ts'
import { createNotifier, type NotifierSettings } from './notifier.ts'
import type { PendingLimits } from './pending.ts'
import { ProposalRegistry } from './proposal-registry.ts'
import { Proposals } from './proposals.ts'
import { ReviewFault } from './review-fault.ts'
import { ReviewDesk, type FetchPage } from './review-desk.ts'
import type { Hold } from './session.ts'
import { SessionRegistry } from './session-registry.ts'
import { TokenRegistry } from './token-registry.ts'

export interface OpenApprovalsOptions {
  readonly store: Store
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly audit: AuditSink
  readonly policy: () => Policy | undefined
  readonly policyNamesAgents: () => boolean
  readonly requireSession: boolean
  readonly limits: PendingLimits
  readonly hold: Hold
  readonly sessionTtlMs: number
  readonly grantMaxTtlMs: number
  readonly nextId: () => string
  /** Resolves when the line is in the policy file. */
  readonly writeApproved: (proposal: Proposal, acceptedBy: string) => Promise<void>
  /** open exchanges are to be judged again */
  readonly onNarrowed: () => void
  readonly notifications: NotifierSettings
  readonly fetchPage?: FetchPage | undefined
  readonly onFault: (error: unknown) => void
}

export interface ApprovalsRoom {
  readonly sessions: SessionRegistry
  readonly tokens: TokenRegistry
  readonly approvals: Approvals
  readonly desk: ReviewDesk
  readonly cards: Cards
  readonly personal: PersonalPlace
  /** The store may be closed when this resolves. */
  close(): Promise<void>
}

const withdrawTries = 100
const withdrawMs = 50

export function openApprovals(options: OpenApprovalsOptions): ApprovalsRoom {
  const { store, clock, audit, policy, nextId, onFault, onNarrowed } = options
  const { requireSession, policyNamesAgents } = options
  const sessions = new SessionRegistry({ store, audit, clock, requireSession, policyNamesAgents, defaultTtlMs: options.sessionTtlMs, onFault })
  const tokens = new TokenRegistry({ store, clock, onFault })
  const notifier = createNotifier({ store, settings: options.notifications, clock, onFault })
  const approvals = new Approvals({
    ...options,
    sessions,
    onRequested: (approval) => notifier.approvalRequested(approval),
    onEnded: (approval) => notifier.approvalDecided(approval),
  })
  const proposals = new Proposals({ registry: new ProposalRegistry({ store, clock, nextId }), policy, write: options.writeApproved, onFault })
  const desk = new ReviewDesk({ fetchPage: options.fetchPage, approvals, store, clock, audit, policy, proposals, maxTtlMs: options.grantMaxTtlMs, nextId, onNarrowed, onDecided: (approval) => notifier.approvalDecided(approval) })
  sessions.onEnded(({ id }) => approvals.sessionEnded(id))
  return {
    sessions,
    tokens,
    approvals,
    desk,
    cards: new Cards({ approvals, clock, policy }),
    personal: {
      end: async (person, by) => {
        const ended = new Set(await sessions.endOf(person, by))
        tokens.forget(person)
        approvals.pending.forgetPerson(person)
        // what they asked is withdrawn, each with its event
        for (let tries = 0; approvals.pending.all().some(({ session }) => ended.has(session)); tries++) {
          if (tries === withdrawTries) throw new ReviewFault('already_decided', 'a question of the person is being answered at this moment; try again')
          await pause(withdrawMs)
        }
      },
      count: (person) => forgetPerson(store, person, false),
      scrub: (person) => {
        approvals.book.forget(person)
        sessions.forget(person)
        return forgetPerson(store, person, true)
      },
    },
    close: async () => {
      await notifier.stop()
      approvals.close()
      sessions.close()
      tokens.close()
    },
  }
}
