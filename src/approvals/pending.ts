// The questions that are open, in memory and on disk: one for each key, counted, limited, expiring. A state
// machine: pending, and then one of allowed, denied, expired, withdrawn, for good. It journals nothing and
// decides nothing.
import { isSamePerson } from '../audit/personal.ts'
import type { Clock } from '../clock.ts'
import type { ErrorCode } from '../errors.ts'
import { unlimited, type Limits } from '../policy/limit-rules.ts'
import type { Store } from '../store/store.ts'
import type { Approval } from './approval.ts'
import type { ApprovalFilter } from './desk.ts'
import { ApprovalTable } from './approval-table.ts'
import { isReview, keyOf, urlOf, type Question } from './question.ts'

export interface PendingLimits {
  /** open approvals of one session */
  readonly perSession: number
  /** new ones of one session in a minute */
  readonly perSessionPerMinute: number
  readonly total: number
  /** an approval that somebody waits for expires after this; `ms` */
  readonly waitingTtlMs: number
  /** one that nobody waits for; `ms` */
  readonly idleTtlMs: number
}

/** What policy leaves to the session that asks. */
export type AskingLimits = Pick<Limits, 'openApprovals' | 'approvalsPerMinute'>

export interface OpenedApproval {
  readonly kind: 'open'
  readonly approval: Approval
  readonly isNew: boolean
}

export type Opened =
  | OpenedApproval
  | { readonly kind: 'refused'; readonly code: ErrorCode; readonly reason: string }

interface Minute {
  since: number
  count: number
}

const minuteMs = 60_000

export class Pending {
  readonly table: ApprovalTable
  readonly #store: Store
  readonly #clock: Clock
  readonly #limits: PendingLimits
  readonly #nextId: () => string
  readonly #byId = new Map<string, Approval>()
  readonly #byKey = new Map<string, string>()
  readonly #perSession = new Map<string, number>()
  readonly #minutes = new Map<string, Minute>()
  /** counted up since they were written last */
  readonly #stale = new Set<string>()
  /** keys of those whose prompt is not in the journal yet: no restart may bring them back */
  readonly #unwritten = new Map<string, string>()

  /** Takes up what is pending on disk: nobody waits for it any more. */
  constructor(store: Store, clock: Clock, limits: PendingLimits, nextId: () => string) {
    this.#store = store
    this.#clock = clock
    this.#limits = limits
    this.#nextId = nextId
    this.table = new ApprovalTable(store)
    for (const approval of this.table.list({ state: 'pending', session: undefined, host: undefined }, undefined, limits.total * 10)) {
      // whoever was held when the process ended has left, and may come back
      this.#keep({ ...approval, expiresMs: Math.max(approval.expiresMs, approval.lastSeenMs + limits.idleTtlMs) })
    }
  }

  get size(): number {
    return this.#byId.size
  }

  all(): readonly Approval[] {
    return [...this.#byId.values()]
  }

  get(id: string): Approval | undefined {
    return this.#byId.get(id)
  }

  /** Those whose prompt is in the journal, oldest first, behind `after`. */
  list({ session, host }: Pick<ApprovalFilter, 'session' | 'host'>, after = ''): readonly Approval[] {
    return this.all().filter((approval) => approval.id > after && !this.#unwritten.has(approval.id) && (session ?? approval.session) === approval.session && (host ?? approval.host) === approval.host)
  }

  /** Joins the approval that is open for this question, or opens one: within the settings, and within what policy
   * leaves to its session. A new one is in memory only until `prompted`. */
  open(question: Question, left: AskingLimits = unlimited): Opened {
    const key = keyOf(question)
    const nowMs = this.#clock.now()
    const known = this.#byId.get(this.#byKey.get(key) ?? '')
    if (known !== undefined) {
      const joined = { ...known, attempts: known.attempts + 1, lastSeenMs: nowMs, userAgent: question.userAgent ?? known.userAgent }
      this.#byId.set(known.id, joined)
      this.#stale.add(known.id)
      return { kind: 'open', approval: joined, isNew: false }
    }
    const refused = this.#limited(question, left, nowMs)
    if (refused !== undefined) return refused
    const approval = approvalOf(question, this.#nextId(), nowMs, nowMs + this.#limits.idleTtlMs)
    this.#unwritten.set(approval.id, key)
    this.#keep(approval)
    return { kind: 'open', approval, isNew: true }
  }

  /** Its prompt is in the journal: from now on reviewers see it and it survives a restart. */
  prompted(id: string): void {
    const approval = this.#byId.get(id)
    if (approval !== undefined) this.#write(approval)
  }

  /** It was never asked: the event of it could not be journaled. */
  forget(id: string): void {
    this.drop(id)
    this.#unwritten.delete(id)
    this.table.remove(id)
  }

  /** A change that a reviewer should see; it stays pending. */
  change(id: string, change: Partial<Pick<Approval, 'statedReason' | 'snoozedUntilMs' | 'firstYes'>>): Approval | undefined {
    const approval = this.#byId.get(id)
    if (approval === undefined) return undefined
    const changed = { ...approval, ...change, version: approval.version + 1 }
    this.#write(changed)
    this.#byId.set(id, changed)
    return changed
  }

  /** How many are held for it now: while somebody waits it expires sooner. */
  waiting(id: string, count: number): void {
    const approval = this.#byId.get(id)
    if (approval === undefined) return
    const nowMs = this.#clock.now()
    const begins = approval.waiting === 0 && count > 0
    const ends = approval.waiting > 0 && count === 0
    const expiresMs = begins ? nowMs + this.#limits.waitingTtlMs : ends ? nowMs + this.#limits.idleTtlMs : approval.expiresMs
    this.#byId.set(id, { ...approval, waiting: count, expiresMs })
    this.#stale.add(id)
  }

  /** Somebody has its page fetched, or does no longer. No new version: what is decided about is the same. */
  fetching(id: string, fetching: Approval['fetching']): void {
    const approval = this.#byId.get(id)
    if (approval !== undefined) this.#byId.set(id, { ...approval, fetching })
  }

  /** Pending no more; undefined when it was not. */
  conclude(id: string, state: Exclude<Approval['state'], 'pending'>, decision: Approval['decision']): Approval | undefined {
    const concluded = this.writeEnd(id, state, decision)
    if (concluded !== undefined) this.drop(id)
    return concluded
  }

  /** The end of it on disk, for a transaction: `drop` follows when that is through. */
  writeEnd(id: string, state: Exclude<Approval['state'], 'pending'>, decision: Approval['decision']): Approval | undefined {
    const approval = this.#byId.get(id)
    if (approval === undefined) return undefined
    const concluded = { ...approval, state, decision, fetching: undefined, version: approval.version + 1, lastSeenMs: decision?.atMs ?? approval.lastSeenMs }
    this.#write(concluded)
    return concluded
  }

  /** An answer of this person is none any more: the question has no first yes. */
  forgetPerson(person: string): void {
    for (const { id, firstYes } of this.all()) {
      if (isSamePerson(firstYes?.by, person) || isSamePerson(firstYes?.mintedBy, person)) this.change(id, { firstYes: undefined })
    }
  }

  expired(): readonly Approval[] {
    const nowMs = this.#clock.now()
    return this.all().filter(({ expiresMs }) => expiresMs <= nowMs)
  }

  /** Writes the counters that grew. */
  save(): void {
    if (this.#stale.size === 0) return
    const stale = [...this.#stale]
    this.#stale.clear()
    this.#store.transaction(() => {
      for (const id of stale) {
        const approval = this.#byId.get(id)
        if (approval !== undefined && !this.#unwritten.has(id)) this.table.update(approval)
      }
    })
  }

  #write(approval: Approval): void {
    const key = this.#unwritten.get(approval.id)
    if (key === undefined) {
      this.table.update(approval)
      return
    }
    this.table.insert(approval, key)
    this.#unwritten.delete(approval.id)
  }

  #limited({ facts }: Question, left: AskingLimits, nowMs: number): Opened | undefined {
    const { total } = this.#limits
    const perSession = Math.min(this.#limits.perSession, left.openApprovals)
    const perMinute = Math.min(this.#limits.perSessionPerMinute, left.approvalsPerMinute)
    const { session } = facts.principal
    const open = this.#perSession.get(session) ?? 0
    if (open >= perSession) return refusal('approval_limit', `this session has reached its limit of open approvals: ${perSession}`)
    const minute = this.#minuteOf(session, nowMs)
    if (minute.count >= perMinute) return refusal('approval_rate', `this session has reached its limit of new approvals in a minute: ${perMinute}`)
    // beyond half of the queue a session may have no more than its share of the whole
    const share = Math.ceil(total / (this.#perSession.size + (open === 0 ? 1 : 0)))
    if (this.#byId.size >= total) return refusal('approval_queue_full', `${this.#byId.size} approvals are open already`)
    if (this.#byId.size * 2 >= total && open >= share) return refusal('approval_queue_full', `the queue is filling and this session has its share of it, ${open} approvals`)
    minute.count += 1
    return undefined
  }

  #minuteOf(session: string, nowMs: number): Minute {
    const known = this.#minutes.get(session)
    if (known !== undefined && nowMs - known.since < minuteMs && nowMs >= known.since) return known
    if (this.#minutes.size > 10_000) this.#minutes.clear()
    const minute = { since: nowMs, count: 0 }
    this.#minutes.set(session, minute)
    return minute
  }

  #keep(approval: Approval): void {
    this.#byId.set(approval.id, approval)
    this.#byKey.set(keyOfApproval(approval), approval.id)
    this.#perSession.set(approval.session, (this.#perSession.get(approval.session) ?? 0) + 1)
  }

  /** Out of memory, where all that is here is pending. */
  drop(id: string): void {
    const approval = this.#byId.get(id)
    if (approval === undefined) return
    this.#byId.delete(id)
    this.#stale.delete(id)
    this.#byKey.delete(keyOfApproval(approval))
    const left = (this.#perSession.get(approval.session) ?? 1) - 1
    if (left > 0) this.#perSession.set(approval.session, left)
    else this.#perSession.delete(approval.session)
  }
}

function refusal(code: ErrorCode, reason: string): Opened {
  return { kind: 'refused', code, reason }
}

/** As `keyOf` makes it of the question. */
function keyOfApproval({ session, scheme, host, port, requestDigest }: Approval): string {
  return [session, scheme, host, String(port), requestDigest ?? ''].join(' ')
}

function approvalOf(question: Question, id: string, nowMs: number, expiresMs: number): Approval {
  const { facts, requestDigest, reason, rule, userAgent, clientAddress, advisory, isFetch = false } = question
  const { principal, scheme, host, port, method, upgrade } = facts
  return {
    id, version: 1, state: 'pending', kind: isFetch ? 'fetch' : requestDigest === undefined ? 'host' : 'request',
    session: principal.session, agent: principal.agent, owner: principal.owner, team: principal.team,
    scheme, host: host.text, port, method, url: urlOf(facts), requestDigest, upgrade,
    reason, rule, isReview: question.isReview ?? isReview(rule), statedReason: undefined, userAgent, clientAddress, advisory,
    attempts: 1, waiting: 0, firstSeenMs: nowMs, lastSeenMs: nowMs, expiresMs, snoozedUntilMs: undefined, firstYes: undefined, decision: undefined,
  }
}
