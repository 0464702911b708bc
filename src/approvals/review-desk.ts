// Where reviewers answer. A decision is checked against what the actor may do, what policy says now and the
// version that was looked at; journaled; and only then made, in one transaction. INVARIANT: one outcome for
// each approval, whoever races.
import type { AuditSink } from '../audit/event.ts'
import { approvalDecidedEvent, grantCreatedEvent, grantRevokedEvent } from '../audit/approval-events.ts'
import type { Clock } from '../clock.ts'
import { ProxyError } from '../errors.ts'
import { liveReading, type Grant } from '../policy/grant.ts'
import type { Policy } from '../policy/policy.ts'
import type { Store } from '../store/store.ts'
import type { Actor } from './actor.ts'
import type { Answer, Approval, ApprovalDecision } from './approval.ts'
import type { Approvals } from './approvals.ts'
import type { ApprovalFilter, Desk, Proposal } from './desk.ts'
import { onceRetryMs, onceWindowMs } from './grant-book.ts'
import type { Proposals } from './proposals.ts'
import { ReviewFault } from './review-fault.ts'
import { boundsOf, judgeAnswer, judgeOnlooker, maySee, needsSecond, type ReviewRules } from './review-rules.ts'

export interface ReviewDeskOptions {
  readonly approvals: Approvals
  readonly store: Store
  readonly clock: Clock
  readonly audit: AuditSink
  readonly policy: () => Policy | undefined
  readonly proposals: Pick<Proposals, 'list' | 'propose' | 'resolve'>
  readonly maxTtlMs: number
  readonly nextId: () => string
  /** open exchanges are to be judged again */
  readonly onNarrowed: () => void
  readonly onDecided: (approval: Approval) => void
  readonly fetchPage?: FetchPage | undefined
}

/** Fetches the page of a question into the web cache; its own exchange is on record before a byte leaves. Resolves when
 * agents can read it, with what is missing beside it, as a sentence. Rejects with ReviewFault. Absent: there is no cache. */
export type FetchPage = (approval: Approval, by: string) => Promise<string | undefined>

const maxSnoozeMs = 7 * 86_400_000
const maxReads = 20

export class ReviewDesk implements Desk {
  readonly #options: ReviewDeskOptions

  constructor(options: ReviewDeskOptions) {
    this.#options = options
  }

  list(filter: ApprovalFilter, actor: Actor, after: string | undefined, limit: number): readonly Approval[] {
    const { approvals } = this.#options
    if (filter.state === 'pending') return approvals.pending.list(filter, after).filter((approval) => maySee(approval, actor)).slice(0, limit)
    approvals.pending.save()
    const seen: Approval[] = []
    let behind = after
    const within = boundsOf(actor)
    // what the actor may not see is passed over, a page at a time
    for (let reads = 0; reads < maxReads && seen.length < limit; reads++) {
      const page = approvals.pending.table.list(filter, behind, limit, within)
      for (const { id } of page) {
        const approval = approvals.find(id)
        if (approval !== undefined && maySee(approval, actor) && seen.length < limit) seen.push(approval)
      }
      behind = page.at(-1)?.id
      if (page.length < limit) break
    }
    return seen
  }

  get(id: string, actor: Actor): Approval | undefined {
    const approval = this.#options.approvals.find(id)
    return approval !== undefined && maySee(approval, actor) ? approval : undefined
  }

  wait(id: string, version: number, ms: number): Promise<Approval | undefined> {
    return this.#options.approvals.wait(id, version, ms)
  }

  async decide(id: string, answer: Answer, actor: Actor): Promise<Approval> {
    const { approvals, clock, maxTtlMs } = this.#options
    const approval = this.#pending(id, answer.version, actor)
    const nowMs = clock.now()
    const rules: ReviewRules = { policy: this.#policyInForce(approval).approvals, nowMs, maxUntilMs: nowMs + maxTtlMs, first: approval.firstYes }
    judgeAnswer(approval, answer, actor, rules)
    if (answer.who !== 'session' && (answer.term === 'once' || answer.term === 'session')) {
      throw new ReviewFault('invalid', `\`${answer.term}\` is about one session: an answer for all of the ${answer.who} is \`until\` a time or \`always\``)
    }
    if (!approvals.lock(id)) throw new ReviewFault('already_decided', busyText(approval))
    try {
      return await (needsSecond(approval, answer, rules) ? this.#firstYes(approval, answer, actor) : this.#conclude(approval, answer, actor))
    } finally {
      approvals.unlock(id)
    }
  }

  async snooze(id: string, untilMs: number, version: number, actor: Actor): Promise<Approval> {
    const approval = this.#pending(id, version, actor)
    judgeOnlooker(approval, actor)
    const nowMs = this.#options.clock.now()
    if (untilMs <= nowMs || untilMs > nowMs + maxSnoozeMs) throw new ReviewFault('invalid', 'a snooze ends within the next seven days')
    const changed = this.#options.approvals.pending.change(id, { snoozedUntilMs: untilMs })
    if (changed === undefined) throw new ReviewFault('already_decided', 'the approval is no longer pending')
    this.#options.approvals.changes.tell('approval', id)
    return changed
  }

  grants(actor: Actor): readonly Grant[] {
    return this.#options.approvals.book.all().filter(({ approvalId }) => this.#maySeeWhatCameOf(approvalId, actor))
  }

  async revoke(grantId: string, actor: Actor): Promise<Grant> {
    const { approvals, audit, onNarrowed } = this.#options
    const grant = approvals.book.get(grantId)
    if (grant === undefined || !this.#maySeeWhatCameOf(grant.approvalId, actor)) throw new ReviewFault('not_found', `no grant ${grantId} is in force`)
    const approval = approvals.find(grant.approvalId)
    if (approval !== undefined) judgeOnlooker(approval, actor)
    await journaled(audit.append(grantRevokedEvent(grant, actor.name)))
    if (approvals.book.end(grantId, 'revoked') === undefined) throw new ReviewFault('not_found', `grant ${grantId} has ended meanwhile`)
    approvals.changes.tell('grant', grantId)
    onNarrowed()
    return grant
  }

  proposals(actor: Actor): readonly Proposal[] {
    return this.#options.proposals.list().filter(({ approvalId }) => this.#maySeeWhatCameOf(approvalId, actor))
  }

  async resolveProposal(id: string, accept: boolean, actor: Actor): Promise<Proposal> {
    const resolved = await this.#options.proposals.resolve(id, accept, actor)
    this.#options.approvals.changes.tell('proposal', id)
    return resolved
  }

  onChange(listener: (change: { readonly kind: 'approval' | 'grant' | 'proposal'; readonly id: string }) => void): () => void {
    return this.#options.approvals.changes.on(listener)
  }

  #pending(id: string, version: number, actor: Actor): Approval {
    const approval = this.get(id, actor)
    if (approval === undefined) throw new ReviewFault('not_found', `there is no approval ${id}`)
    if (approval.state !== 'pending') throw new ReviewFault('already_decided', `the approval was ${approval.state} already`)
    if (approval.version !== version) throw new ReviewFault('version_conflict', 'the approval changed since it was looked at')
    return approval
  }

  /** The policy that still asks; what it meanwhile allows or denies is not for a reviewer to say. */
  #policyInForce(approval: Approval): Policy {
    const policy = this.#options.policy()
    if (policy === undefined || !this.#options.approvals.stillAsked(approval, policy)) {
      throw new ReviewFault('already_decided', 'the policy changed and answers this by itself now')
    }
    return policy
  }

  async #firstYes(approval: Approval, answer: Answer, actor: Actor): Promise<Approval> {
    const { approvals, audit, clock } = this.#options
    await journaled(audit.append(approvalDecidedEvent(approval, this.#told(approval, answer, actor, { grantId: undefined, isComplete: false }))))
    const changed = approvals.pending.change(approval.id, { firstYes: { by: actor.name, mintedBy: actor.mintedBy, atMs: clock.now(), answer } })
    if (changed === undefined) throw new ReviewFault('already_decided', 'the approval is no longer pending')
    approvals.changes.tell('approval', approval.id)
    this.#options.onDecided(changed)
    return changed
  }

  /** The page is in the cache before anybody hears of the answer; where it cannot be fetched nothing was decided. */
  async #fetch(approval: Approval, answer: Answer, actor: Actor): Promise<Approval> {
    const { approvals, audit, clock, fetchPage } = this.#options
    if (fetchPage === undefined) throw new ReviewFault('invalid', 'there is no web cache here')
    approvals.fetching(approval.id, { by: actor.name, sinceMs: clock.now() })
    try {
      const fetchNote = await fetchPage(approval, actor.name)
      const { verdict, term, comment } = answer
      const told = this.#told(approval, answer, actor, { grantId: undefined, isComplete: true })
      await journaled(audit.append(approvalDecidedEvent(approval, told)), 'the page is in the cache, but the answer cannot be recorded, so the question stays open')
      const first = approval.firstYes?.by
      const decided = approvals.pending.conclude(approval.id, 'allowed', {
        verdict, term, comment, by: first ?? actor.name, secondBy: first === undefined ? undefined : actor.name, atMs: clock.now(), grantId: undefined, isFetched: true, fetchNote,
      })
      if (decided === undefined) throw new ReviewFault('already_decided', 'the approval is no longer pending')
      approvals.release(approval.id)
      approvals.pageCached(decided)
      this.#options.onDecided(decided)
      return decided
    } finally {
      approvals.fetching(approval.id, undefined)
    }
  }

  async #conclude(approval: Approval, answer: Answer, actor: Actor): Promise<Approval> {
    if (answer.isFetch === true) return this.#fetch(approval, answer, actor)
    const { approvals, audit, store, proposals, clock } = this.#options
    const grant = this.#grantOf(approval, answer, actor)
    await journaled(audit.append(approvalDecidedEvent(approval, this.#told(approval, answer, actor, { grantId: grant.id, isComplete: true }))))
    await journaled(audit.append(grantCreatedEvent(grant)))
    const first = answer.verdict === 'allow' ? approval.firstYes?.by : undefined
    const decision: ApprovalDecision = {
      verdict: answer.verdict, term: answer.term, by: first ?? actor.name, secondBy: first === undefined ? undefined : actor.name,
      atMs: clock.now(), comment: answer.comment, grantId: grant.id,
    }
    const decided = store.transaction(() => {
      const concluded = approvals.pending.writeEnd(approval.id, answer.verdict === 'allow' ? 'allowed' : 'denied', decision)
      if (concluded !== undefined) approvals.book.write(grant)
      return concluded
    })
    if (decided === undefined) throw new ReviewFault('already_decided', 'the approval is no longer pending')
    // what is in memory follows what is on disk, never the other way round
    approvals.pending.drop(approval.id)
    approvals.book.open(grant)
    // it ended while this was recorded, and with it what it was granted
    if (!approvals.isAskerLive(approval)) approvals.sessionEnded(approval.session)
    if (answer.term === 'always') await proposals.propose(approval, answer, actor)
    approvals.release(approval.id)
    approvals.changes.tell('grant', grant.id)
    // what an earlier yes holds open ends with the no
    if (answer.verdict === 'deny') this.#options.onNarrowed()
    this.#options.onDecided(decided)
    return decided
  }

  #grantOf(approval: Approval, answer: Answer, actor: Actor): Grant {
    const { clock, maxTtlMs, nextId } = this.#options
    const nowMs = clock.now()
    const { id, session, agent, team, scheme, host, port } = approval
    const { verdict, term, who, subdomains, allPorts, untilMs, comment } = answer
    return {
      id: nextId(), approvalId: id, verdict, term, who, scheme, host, subdomains,
      holder: who === 'session' ? session : who === 'agent' ? agent : (team ?? ''),
      port: allPorts ? undefined : port,
      // a yes that is not fetching lets the host be read live; a no is to this page
      requestDigest: approval.kind === 'fetch' && verdict === 'allow' ? liveReading : approval.requestDigest,
      by: actor.name, createdMs: nowMs,
      expiresMs: expiryOf({ verdict, term, untilMs, waiting: approval.waiting, nowMs, maxTtlMs }),
      comment: verdict === 'deny' ? comment : undefined,
    }
  }

  #told(approval: Approval, answer: Answer, actor: Actor, { grantId, isComplete }: { readonly grantId: string | undefined; readonly isComplete: boolean }) {
    const { verdict, term, comment, subdomains, allPorts, who, untilMs } = answer
    const first = isComplete ? approval.firstYes?.by : undefined
    return {
      verdict, term, comment, grantId, isComplete, subdomains, allPorts, who, untilMs,
      isFetch: answer.isFetch === true,
      by: first ?? actor.name, byKind: actor.kind, secondBy: first === undefined ? undefined : actor.name, waitedMs: this.#options.clock.now() - approval.firstSeenMs,
    } as const
  }

  #maySeeWhatCameOf(approvalId: string, actor: Actor): boolean {
    const approval = this.#options.approvals.find(approvalId)
    return approval === undefined ? actor.teams.length === 0 : maySee(approval, actor)
  }
}

interface Expiry {
  readonly verdict: Answer['verdict']
  readonly term: Answer['term']
  readonly untilMs: number | undefined
  readonly waiting: number
  readonly nowMs: number
  readonly maxTtlMs: number
}

/** Until when new exchanges may begin; undefined: as long as the session. */
function expiryOf({ verdict, term, untilMs, waiting, nowMs, maxTtlMs }: Expiry): number | undefined {
  if (term === 'session') return undefined
  // a no holds off the retries of the same question for a moment; a yes serves who waits, or the first retry
  if (term === 'once') return nowMs + (verdict === 'deny' || waiting > 0 ? onceWindowMs : onceRetryMs)
  return Math.min(untilMs ?? Number.POSITIVE_INFINITY, nowMs + maxTtlMs)
}

/** What whoever comes second is told. */
function busyText({ fetching }: Approval): string {
  if (fetching === undefined) return 'somebody else is deciding this approval at this moment'
  return `${fetching.by} has the page fetched at this moment: look again when that has ended`
}

/** Nothing is decided that is not on record. */
async function journaled(appended: Promise<void>, why = 'the decision cannot be recorded, so it was not made'): Promise<void> {
  try {
    await appended
  } catch (error) {
    if (error instanceof ProxyError && error.code === 'audit_unavailable') throw new ReviewFault('audit_unavailable', why)
    throw error
  }
}
