// The room where policy's questions are answered: what is open, who waits, what was granted. The gate asks
// here, reviewers answer through the desk. INVARIANT: nothing is granted but by a decision, and every prompt,
// answer, expiry and withdrawal is journaled before it takes effect.
import { LRUCache } from 'lru-cache'
import type { AuditEvent, AuditSink } from '../audit/event.ts'
import { approvalExpiredEvent, approvalRequestedEvent, approvalWithdrawnEvent, grantExpiredEvent, grantUsedEvent } from '../audit/approval-events.ts'
import type { Clock } from '../clock.ts'
import type { Deadlines } from '../deadlines.ts'
import { evaluate } from '../policy/evaluate.ts'
import { anonymousSession, type Facts } from '../policy/facts.ts'
import type { Grant, GrantFacts } from '../policy/grant.ts'
import { limitsFor } from '../policy/limit-rules.ts'
import type { Policy } from '../policy/policy.ts'
import type { Store } from '../store/store.ts'
import type { Approval } from './approval.ts'
import { Changes } from './changes.ts'
import type { OwnQuestions } from './desk.ts'
import { GrantBook, type GrantUse } from './grant-book.ts'
import { GrantTable } from './grant-table.ts'
import { holdMs } from './hold.ts'
import { Pending, type Opened, type OpenedApproval, type PendingLimits } from './pending.ts'
import { factsOf, isAboutRequest, type Question } from './question.ts'
import type { Hold, SessionDirectory } from './session.ts'
import { Waiters, type Waiter } from './waiters.ts'

export interface ApprovalsOptions {
  readonly store: Store
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly audit: AuditSink
  readonly sessions: SessionDirectory
  readonly policy: () => Policy | undefined
  readonly limits: PendingLimits
  /** for sessions that say nothing of it */
  readonly hold: Hold
  /** ULIDs */
  readonly nextId: () => string
  /** open exchanges are to be judged again: something was revoked, ended or ran out */
  readonly onNarrowed: () => void
  /** for notifications, as `onEnded` */
  readonly onRequested: (approval: Approval) => void
  /** it expired or was withdrawn */
  readonly onEnded: (approval: Approval) => void
  readonly onFault: (error: unknown) => void
}

const sweepMs = 500
const keptMs = 90 * 86_400_000
const pruneEveryMs = 3_600_000
const maxFollowing = 64
const maxReasons = 5
const maxRemembered = 10_000

export class Approvals implements OwnQuestions {
  readonly pending: Pending
  readonly book: GrantBook
  readonly changes = new Changes()
  readonly #options: ApprovalsOptions
  readonly #waiters: Waiters
  readonly #timer: NodeJS.Timeout
  /** being decided or ended: the event of it is on its way to the journal */
  readonly #locked = new Set<string>()
  /** something is to be withdrawn that could not be: it was being decided, or the journal was down, or no process ran */
  #isBehind = true
  /** of each session, how many of its calls wait for an answer */
  readonly #following = new Map<string, number>()
  /** how often the reason of an approval was stated; forgotten with the process */
  readonly #stated = new LRUCache<string, number>({ max: maxRemembered })
  #prunedMs: number
  #isStopping = false

  constructor(options: ApprovalsOptions) {
    const { store, clock, limits, nextId, deadlines, sessions } = options
    this.#options = options
    this.pending = new Pending(store, clock, limits, nextId)
    this.book = new GrantBook(new GrantTable(store), clock, (session) => sessions.live(session) !== undefined)
    this.#waiters = new Waiters(deadlines, (id, count) => {
      this.pending.waiting(id, count)
      // a crowd that comes or leaves is told of now and then, not ten thousand times
      if (count <= 16 || count % 64 === 0) this.changes.tell('approval', id)
    })
    this.#prunedMs = clock.monotonic()
    this.#timer = setInterval(() => this.sweep(), sweepMs).unref()
  }

  /** The process ends: whoever is held or follows a question is answered now. What is pending stays so. */
  letGo(): void {
    this.#isStopping = true
    this.#waiters.stop()
    for (const { id } of this.pending.all()) this.changes.tell('approval', id)
  }

  close(): void {
    clearInterval(this.#timer)
    this.pending.save()
  }

  /** The grant that answers for this exchange now. */
  grantFor(facts: GrantFacts, requestDigest: string | undefined): Grant | undefined {
    return this.book.find(facts, requestDigest)
  }

  /** The exchange goes through by it. Its decision event, which the gate writes, names the grant. */
  use(grant: Grant, requestId: string, session: string): GrantUse {
    const use = this.book.use(grant)
    if (use.isFirst && grant.verdict === 'allow') this.#tell(grantUsedEvent(grant, requestId, session))
    return use
  }

  /** Joins or opens the approval for this question; nobody has heard of a new one yet. */
  open(question: Question): Opened {
    const id = question.facts.principal.session
    const session = this.#options.sessions.live(id)
    if (session === undefined && id !== anonymousSession) return { kind: 'refused', code: 'session_ended', reason: 'the session has ended' }
    if (session?.unattended === true) return { kind: 'refused', code: 'approval_unavailable', reason: `${question.reason}; the session runs unattended, so nobody is asked` }
    return this.pending.open(question, limitsFor(this.#options.policy(), question.facts.principal))
  }

  /** What `open` gave could not be put on record: it was never asked. */
  retract({ approval, isNew }: OpenedApproval): void {
    if (!isNew) return
    this.pending.forget(approval.id)
    this.#waiters.release(approval.id)
  }

  /** Puts a new approval to the reviewers. Resolves, with how long to hold the client in `ms`, after the prompt is in
   * the journal; rejects when it cannot be. */
  async announce(opened: OpenedApproval, question: Question): Promise<number> {
    const { sessions, audit, hold, onRequested } = this.#options
    const { approval, isNew } = opened
    if (isNew) {
      try {
        await audit.append(approvalRequestedEvent(approval, question.revision))
        this.pending.prompted(approval.id)
      } catch (error) {
        this.retract(opened)
        throw error
      }
      onRequested(approval)
      this.changes.tell('approval', approval.id)
    }
    const session = sessions.live(question.facts.principal.session)
    return holdMs(session === undefined || session.hold === 'auto' ? hold : session.hold, question.userAgent)
  }

  /** Waits for the approval to be pending no more. It may have been decided since it was asked. */
  hold(approvalId: string, ms: number): Waiter {
    const waiter = this.#waiters.hold(approvalId, ms)
    if (this.pending.get(approvalId) === undefined) this.#waiters.release(approvalId)
    return waiter
  }

  /** The approval, whatever became of it. */
  find(id: string): Approval | undefined {
    return this.pending.get(id) ?? this.pending.table.get(id)
  }

  /** Everybody who waits for it is judged again. */
  release(id: string): void {
    this.#waiters.release(id)
    this.changes.tell('approval', id)
  }

  get(id: string, session: string): Approval | undefined {
    const approval = this.find(id)
    return approval?.session === session ? approval : undefined
  }

  async wait(id: string, version: number, ms: number, signal?: AbortSignal): Promise<Approval | undefined> {
    const { clock } = this.#options
    const untilMs = clock.monotonic() + ms
    for (;;) {
      const approval = this.find(id)
      const leftMs = untilMs - clock.monotonic()
      if (approval === undefined || approval.version > version || leftMs <= 0 || this.#isStopping || signal?.aborted === true) return approval
      await this.changes.next(id, leftMs, signal)
    }
  }

  async follow(id: string, session: string, ms: number, signal: AbortSignal): Promise<Approval | undefined> {
    const approval = this.get(id, session)
    const following = this.#following.get(session) ?? 0
    if (approval?.state !== 'pending' || following >= maxFollowing) return approval
    this.#following.set(session, following + 1)
    try {
      return await this.wait(id, approval.version, ms, signal)
    } finally {
      const left = (this.#following.get(session) ?? 1) - 1
      if (left > 0) this.#following.set(session, left)
      else this.#following.delete(session)
    }
  }

  /** Every new one is a version that reviewers have to look at: an agent must not keep them from ever deciding. */
  stateReason(id: string, session: string, reason: string): 'stated' | 'unknown' | 'too_often' {
    const approval = this.pending.get(id)
    if (approval?.session !== session) return 'unknown'
    if (approval.statedReason === reason) return 'stated'
    const times = this.#stated.get(id) ?? 0
    if (times >= maxReasons) return 'too_often'
    this.#stated.set(id, times + 1)
    this.pending.change(id, { statedReason: reason })
    this.changes.tell('approval', id)
    return 'stated'
  }

  /** What policy no longer asks about is withdrawn, and whoever waits for it is judged again. */
  policyChanged(): void {
    const policy = this.#options.policy()
    if (policy === undefined) {
      this.#isBehind = true
      return
    }
    for (const approval of this.pending.all()) {
      if (this.stillAsked(approval, policy)) continue
      this.#withdraw(approval, 'policy_changed')
    }
  }

  /** Whether policy still asks the same: it has not meanwhile allowed or denied it, nor asks about each request instead. */
  stillAsked(approval: Approval, policy: Policy): boolean {
    const facts = factsOf(approval)
    const decision = evaluate(policy, this.#asAsked(facts), this.#options.clock.now())
    if (approval.kind === 'fetch') return decision.verdict !== 'deny' && decision.obligations.inspect === 'cache' && policy.webFetch?.onMiss === 'ask'
    return decision.verdict === 'ask' && isAboutRequest(facts, decision) === (approval.kind === 'request')
  }

  /** With what only the live session says of its principal. */
  #asAsked(facts: Facts): Facts {
    const principal = this.#options.sessions.live(facts.principal.session)?.principal
    return principal === undefined ? facts : { ...facts, principal }
  }

  /** Whether whoever asked is there still. */
  isAskerLive({ session }: Pick<Approval, 'session'>): boolean {
    return session === anonymousSession || this.#options.sessions.live(session) !== undefined
  }

  sessionEnded(session: string): void {
    for (const approval of this.pending.all()) if (approval.session === session) this.#withdraw(approval, 'session_ended')
    for (const grant of this.book.endSession(session)) this.#tell(grantExpiredEvent(grant))
    this.#options.onNarrowed()
  }

  /** Its page is fetched at this moment, or is no longer. */
  fetching(id: string, fetching: Approval['fetching']): void {
    this.pending.fetching(id, fetching)
    this.changes.tell('approval', id)
  }

  /** The page of a question is in the cache of its team now: of that team nobody needs an answer about it any more. */
  pageCached({ id, team, requestDigest }: Approval): void {
    for (const other of this.pending.all()) {
      if (other.id !== id && other.kind === 'fetch' && other.requestDigest === requestDigest && other.team === team) this.#withdraw(other, 'cached')
    }
  }

  #withdraw(approval: Approval, cause: 'policy_changed' | 'session_ended' | 'cached'): void {
    this.#conclude(approval, 'withdrawn', approvalWithdrawnEvent(approval, cause, this.#options.clock.now() - approval.firstSeenMs))
  }

  /** Nobody else may end or decide it until `unlock`. False: somebody does already. */
  lock(id: string): boolean {
    if (this.#locked.has(id)) return false
    this.#locked.add(id)
    return true
  }

  unlock(id: string): void {
    this.#locked.delete(id)
  }

  /** The event first; a journal that is down leaves the approval as it is, for the next look. */
  #conclude({ id }: Approval, state: 'expired' | 'withdrawn', event: AuditEvent): void {
    if (!this.lock(id)) {
      this.#isBehind = true
      return
    }
    this.#options.audit.append(event).then(
      () => {
        this.unlock(id)
        const concluded = this.pending.conclude(id, state, undefined)
        if (concluded === undefined) return
        this.release(id)
        this.#options.onEnded(concluded)
      },
      (error: unknown) => {
        this.unlock(id)
        this.#isBehind = true
        this.#options.onFault(error)
      },
    )
  }

  #catchUp(): void {
    if (!this.#isBehind) return
    this.#isBehind = false
    for (const approval of this.pending.all()) if (!this.isAskerLive(approval)) this.#withdraw(approval, 'session_ended')
    this.policyChanged()
  }

  /** Ends what has run out; called every so often by itself. */
  sweep(): void {
    const { clock } = this.#options
    try {
      this.pending.save()
      this.#catchUp()
      for (const approval of this.pending.expired()) this.#conclude(approval, 'expired', approvalExpiredEvent(approval, clock.now() - approval.firstSeenMs))
      const over = this.book.expire()
      for (const grant of over) {
        this.#tell(grantExpiredEvent(grant))
        this.changes.tell('grant', grant.id)
      }
      if (over.length > 0) this.#options.onNarrowed()
      if (clock.monotonic() - this.#prunedMs < pruneEveryMs) return
      this.#prunedMs = clock.monotonic()
      this.pending.table.prune(clock.now() - keptMs)
    } catch (error) {
      this.#options.onFault(error)
    }
  }

  /** Nobody waits for these: a journal that is down says so itself. */
  #tell(event: AuditEvent): void {
    this.#options.audit.append(event).catch((error: unknown) => this.#options.onFault(error))
  }
}
