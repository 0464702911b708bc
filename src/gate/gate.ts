// The enforcement point: an Exchange goes in, Admitted or a Refusal comes out, and the decision is in
// the journal before either leaves. INVARIANT: without a journaled allow there is no Admitted, and
// without Admitted nothing resolves or dials. Anything thrown, late or unknown denies.
import type { Clock } from '../clock.ts'
import { errorEntry, ProxyError, type ErrorCode } from '../errors.ts'
import { decisionEvent, type Answer, type DecisionStage } from '../audit/decision-event.ts'
import { endedEvent, type Ending } from '../audit/ended-event.ts'
import type { AuditSink } from '../audit/event.ts'
import type { Redaction } from '../audit/redaction.ts'
import { judgeAddresses, type Surroundings } from '../policy/addresses.ts'
import { asksInside, openedInside } from '../policy/asks-inside.ts'
import type { Policy } from '../policy/compile.ts'
import type { Decision, RuleRef } from '../policy/decision.ts'
import { evaluate } from '../policy/evaluate.ts'
import { cacheSession } from '../policy/facts.ts'
import { answeredBy, liveReading } from '../policy/grant.ts'
import { limitsFor } from '../policy/limit-rules.ts'
import type { Approvals } from '../approvals/approvals.ts'
import type { GrantUse } from '../approvals/grant-book.ts'
import type { OpenedApproval } from '../approvals/pending.ts'
import { isAboutRequest, type Question } from '../approvals/question.ts'
import type { IpAddress } from '../target/address.ts'
import { Admitted, ParentTarget, Vetted } from './admitted.ts'
import { codeOf, denial, refusal } from './denial.ts'
import type { Exchange, Malformed } from './exchange.ts'
import { filledBy, ledTo } from './filling.ts'
import { LiveExchanges, type LiveEnd } from './live-exchanges.ts'
import { answerMiss, isReadLive, isUnread, type AfterMiss, type MissPort } from './missing.ts'
import type { NameBudget } from './name-budget.ts'
import type { Presence } from './presence.ts'
import { digestFor, overtaken, putQuestion, questionOf, withoutGrant, type Answered } from './questioning.ts'
import { RecentRefusals } from './recent-refusals.ts'
import type { Refusal } from './refusal.ts'
import { seal } from './seal.ts'
import { subjectOf } from './subject.ts'

export interface GateOptions {
  /** the policy in force; undefined while none is valid, which denies everything */
  readonly policy: () => Policy | undefined
  readonly audit: AuditSink & { overQuota(session: string): boolean }
  readonly redaction: Redaction
  readonly clock: Clock
  readonly surroundings: () => Surroundings
  readonly nameBudget: NameBudget
  /** process settings send everything through a parent proxy */
  readonly usesParent: boolean
  /** process settings say that the parent proxy resolves names */
  readonly parentResolves: boolean
  /** there is a web cache; absent: what may only be read from it is refused */
  readonly hasCache?: boolean
  /** where policy's questions are answered; absent: what is asked about is refused */
  readonly approvals?: Approvals
  /** whether a session is in force still; absent: all are */
  readonly isLive?: (session: string) => boolean
  /** for the operator log: a fault of our own, never a denial */
  readonly onFault: (error: unknown) => void
  readonly onVerdict: (verdict: Decision['verdict'], code: Decision['code']) => void
}

/** A question on its way to an answer. */
interface Asked {
  readonly question: Question
  readonly opened: OpenedApproval
  readonly presence: Presence | undefined
}

export class Gate {
  readonly #options: GateOptions
  /** what was refused because its decision could not be recorded: its end is not recorded either */
  readonly #unrecorded = new WeakSet<Exchange | Malformed>()
  readonly #missPort: MissPort
  readonly live: LiveExchanges
  /** for `GET /` on the proxy listener */
  readonly recent = new RecentRefusals()

  constructor(options: GateOptions) {
    this.#options = options
    this.live = new LiveExchanges({
      stillAllowed: (admitted, addresses) => this.#stillAllowed(admitted, addresses),
      isCurrent: (admitted) => admitted.policy === options.policy() && this.#isSessionLive(admitted) && this.#grantStands(admitted),
      endOf: (admitted) => this.#endOf(admitted),
    })
    this.#missPort = {
      approvals: options.approvals,
      evaluate: (exchange) => {
        const policy = options.policy()
        return { policy, decision: this.#evaluate(policy, exchange) }
      },
      isLive: (session) => options.isLive?.(session) !== false,
      stands: (admitted) => admitted.use !== undefined && this.#grantStands(admitted),
      withinMeans: (policy, exchange, decision) => this.#withinMeans(policy, exchange, decision),
      record: (exchange, policy, decision, approvalId) => this.#record(exchange, policy, { ...decision, approvalId }, 'approval'),
      refuse: (exchange, policy, decision, approvalId) => this.#refuse(policy, exchange, decision, approvalId),
      admit: (exchange, policy, decision, use) => Admitted.make(seal, exchange, decision, policy, use),
      pending: (exchange, reason, { rule }, approvalId, retryAfterS) => ({ ...refusal(exchange, 'approval_pending', reason, rule, approvalId), retryAfterS }),
    }
  }

  /** Decides an exchange, and holds it while a reviewer is asked if `presence` can wait. Resolves after the
   * decision is in the journal. */
  async admit(exchange: Exchange, presence?: Presence): Promise<Admitted | Refusal> {
    const policy = this.#options.policy()
    const decision = this.#evaluate(policy, exchange)
    const answer = decision.verdict === 'ask'
      ? await this.#questionSafely(policy, exchange, decision, presence)
      : await this.#conclude(policy, exchange, this.#withinMeans(policy, exchange, decision))
    return answer instanceof Admitted ? answer : this.#noted(exchange, answer)
  }

  #noted({ facts: { principal } }: Exchange, refused: Refusal): Refusal {
    this.recent.note(principal.session, this.#options.clock.now(), refused)
    return refused
  }

  /** Journals an answer that is final and acts on it. */
  async #conclude(policy: Policy | undefined, exchange: Exchange, decision: Decision, use?: GrantUse): Promise<Admitted | Refusal> {
    const refused = await this.#record(exchange, policy, decision, 'policy')
    if (refused !== undefined) return refused
    if (decision.verdict === 'allow' && policy !== undefined) return Admitted.make(seal, exchange, decision, policy, use)
    return refusal(exchange, codeOf(decision), decision.reason, decision.rule, decision.grant?.approvalId)
  }

  /** A question that cannot be kept, or a grant that cannot be used up, is a denial on record. */
  async #questionSafely(policy: Policy | undefined, exchange: Exchange, decision: Decision, presence: Presence | undefined): Promise<Admitted | Refusal> {
    try {
      return await this.#question(policy, exchange, decision, presence)
    } catch (error) {
      this.#options.onFault(error)
      return this.#conclude(policy, exchange, { ...decision, verdict: 'deny', code: 'internal_error', reason: 'the question could not be put to a reviewer' })
    }
  }

  /** Policy asks: a grant answers, or a reviewer does. */
  async #question(policy: Policy | undefined, exchange: Exchange, decision: Decision, presence: Presence | undefined): Promise<Admitted | Refusal> {
    const { approvals } = this.#options
    let digest: string | undefined
    try {
      digest = await digestFor(exchange, decision, presence)
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error
      return this.#conclude(policy, exchange, { ...decision, verdict: 'deny', code: error.code, reason: errorEntry(error.code).text })
    }
    const { answered, use } = this.#withGrant(policy, exchange, decision, digest)
    if (answered.verdict !== 'ask') return this.#conclude(policy, exchange, answered, use)
    if (asksInside(policy, exchange.facts, answered)) return this.#conclude(policy, exchange, openedInside(answered))
    const question = questionOf(exchange, answered, digest)
    const opened = approvals?.open(question)
    const approvalId = opened?.kind === 'open' ? opened.approval.id : undefined
    const refused = await this.#record(exchange, policy, { ...answered, approvalId }, 'policy')
    if (refused !== undefined) {
      if (opened?.kind === 'open') approvals?.retract(opened)
      return refused
    }
    if (approvals === undefined || opened === undefined) return refusal(exchange, 'approval_unavailable', answered.reason, answered.rule)
    if (opened.kind === 'refused') return this.#refuse(policy, exchange, { ...answered, verdict: 'deny', code: opened.code, reason: opened.reason })
    return this.#ask(approvals, exchange, { question, opened, presence })
  }

  /** The answer of a grant, where one covers the exchange now. What may be used once is used up by this. */
  #withGrant(policy: Policy | undefined, exchange: Exchange, decision: Decision, digest: string | undefined): { readonly answered: Decision; readonly use: GrantUse | undefined } {
    const { approvals } = this.#options
    const grant = decision.verdict === 'ask' ? approvals?.grantFor(exchange.facts, digest) : undefined
    const answered = this.#withinMeans(policy, exchange, grant === undefined ? decision : answeredBy(decision, grant))
    const use = grant !== undefined && answered.verdict === 'allow' ? approvals?.use(grant, exchange.id, exchange.facts.principal.session) : undefined
    return { answered, use }
  }

  /** The prompt, the wait, and the second evaluation, by the policy and the grants of that moment. */
  async #ask(approvals: Approvals, exchange: Exchange, { question, opened, presence }: Asked): Promise<Admitted | Refusal> {
    let answered: Answered
    try {
      answered = await putQuestion(approvals, opened, question, presence)
    } catch (error) {
      this.#unwritten(error)
      const isUnrecorded = error instanceof ProxyError && error.code === 'audit_unavailable'
      if (isUnrecorded) return refusal(exchange, 'audit_unavailable', errorEntry('audit_unavailable').text, undefined)
      const { reason: text, rule, revision } = question
      return this.#refuse(this.#options.policy(), exchange, { ...denial('internal_error', `${text}; the question could not be kept`, revision), rule })
    }
    const policy = this.#options.policy()
    const { approval } = answered
    if (answered.kind === 'pending') {
      return { ...refusal(exchange, 'approval_pending', answered.reason, question.rule, approval.id), retryAfterS: answered.retryAfterS }
    }
    const decision = this.#evaluate(policy, exchange)
    const stop = overtaken(exchange, decision, question, { approval, isLive: this.#options.isLive?.(exchange.facts.principal.session) !== false })
    if (stop !== undefined) return this.#refuse(policy, exchange, { ...decision, verdict: 'deny', ...stop }, approval.id)
    const { answered: now, use } = this.#withGrant(policy, exchange, decision, question.requestDigest)
    const isUnanswered = now.verdict === 'ask' || (now.verdict === 'deny' && approval.state === 'denied')
    if (isUnanswered) return this.#refuse(policy, exchange, { ...now, verdict: 'deny', ...withoutGrant(approval) }, approval.id)
    if (now.verdict === 'deny' || policy === undefined) return this.#refuse(policy, exchange, { ...now, verdict: 'deny' }, approval.id)
    const refused = await this.#record(exchange, policy, { ...now, approvalId: approval.id }, 'approval')
    return refused ?? Admitted.make(seal, exchange, now, policy, use)
  }

  async #refuse(policy: Policy | undefined, exchange: Exchange, decision: Decision, approvalId?: string): Promise<Refusal> {
    return (await this.#record(exchange, policy, { ...decision, approvalId }, 'approval')) ?? refusal(exchange, codeOf(decision), decision.reason, decision.rule, approvalId)
  }

  /** Judges what the name resolved to; the answer is the only thing that dials. Synchronous on the
   * way through, journaled only when it refuses. */
  async admitAddresses(admitted: Admitted, addresses: readonly IpAddress[]): Promise<Vetted | Refusal> {
    const { exchange, decision, policy } = admitted
    const { host, port } = exchange.facts
    if (addresses.length === 0) throw new ProxyError('internal_error', 'no address to judge')
    const verdict = judgeAddresses(policy, exchange.facts, decision, addresses, this.#options.surroundings())
    if (verdict.ok) return Vetted.make(seal, host, port, addresses)
    return this.refuseLater(admitted, 'address', verdict.code, verdict.reason, verdict.rule)
  }

  /** For `resolve = "parent"`: the name goes to the parent unresolved, by the operator's choice. An IP
   * literal is judged here all the same. */
  admitParent(admitted: Admitted): ParentTarget | undefined {
    const { host, port } = admitted.exchange.facts
    if (!this.#options.parentResolves || host.kind === 'ip') return undefined
    return ParentTarget.make(seal, host, port)
  }

  /** A later stage refuses an admitted exchange: its own decision event, before the client hears of it. */
  async refuseLater(
    admitted: Admitted,
    stage: 'policy' | 'address' | 'tls',
    code: ErrorCode,
    reason: string,
    rule: RuleRef | undefined,
  ): Promise<Refusal> {
    const { exchange, decision, policy } = admitted
    const answer: Answer = { verdict: 'deny', code, reason, rule: rule ?? decision.rule, revision: decision.revision, monitored: undefined }
    const refused = await this.#record(exchange, policy, answer, stage)
    return this.#noted(exchange, refused ?? refusal(exchange, code, reason, stage === 'policy' ? answer.rule : rule))
  }

  /** The cache alone may answer, and does not hold it: `why` is the end of a sentence. Without `presence` nobody is asked. */
  async missed(admitted: Admitted, why: string, presence: Presence | undefined): Promise<AfterMiss> {
    const { exchange, policy, decision } = admitted
    try {
      const answer = await answerMiss(admitted, why, presence, this.#missPort)
      return typeof answer === 'string' || answer instanceof Admitted ? answer : this.#noted(exchange, answer)
    } catch (error) {
      this.#unwritten(error)
      if (error instanceof ProxyError && error.code === 'audit_unavailable') return this.#noted(exchange, refusal(exchange, error.code, errorEntry(error.code).text, undefined))
      return this.#noted(exchange, await this.#refuse(policy, exchange, { ...decision, verdict: 'deny', code: 'internal_error', reason: 'the question could not be put to a reviewer' }))
    }
  }

  /** A fetch of our own into the web cache. `isLedTo`: a redirect of another host or port led to it. */
  async admitFill(exchange: Exchange, approvalId: string | undefined, isLedTo = false): Promise<Admitted | Refusal> {
    const policy = this.#options.policy()
    const evaluated = this.#evaluate(policy, exchange)
    const asked = isLedTo && approvalId !== undefined && policy !== undefined ? ledTo(evaluated, policy, exchange.facts) : evaluated
    const decision = this.#withinMeans(policy, exchange, filledBy(asked, exchange.facts.principal.owner ?? 'nobody'))
    const refused = await this.#record(exchange, policy, { ...decision, approvalId }, 'policy')
    if (refused !== undefined) return refused
    if (decision.verdict === 'allow' && policy !== undefined) return Admitted.make(seal, exchange, decision, policy)
    return refusal(exchange, codeOf(decision), decision.reason, decision.rule)
  }

  /** What came first in a tunnel, or the content of a request, is not what it may carry. In monitor mode the
   * finding is journaled and it goes on: undefined. */
  async judgeTunnel(admitted: Admitted, code: ErrorCode, reason: string, stage: 'policy' | 'tls' = 'tls'): Promise<Refusal | undefined> {
    const { exchange, decision, policy } = admitted
    if (policy.mode === 'enforce') return this.refuseLater(admitted, stage, code, reason, undefined)
    const monitored = { verdict: 'deny', code, reason, rule: decision.rule } as const
    return this.#record(exchange, policy, { ...decision, monitored }, stage)
  }

  /** The destination's fault, not a decision: nothing is journaled but the exchange's end. What is none of
   * the destination's goes to the operator log as well. */
  failure(exchange: Exchange, error: ProxyError): Refusal {
    if (error.code === 'internal_error') this.#options.onFault(error.cause ?? error)
    const { host, port } = exchange.facts
    return refusal(exchange, error.code, `${host.text}:${port}: ${errorEntry(error.code).text}`, undefined)
  }

  /** A request that cannot be read as one, or that this listener does not serve: refused and journaled. */
  async refuseMalformed(malformed: Malformed, code: ErrorCode, detail: string): Promise<Refusal> {
    const policy = this.#options.policy()
    const { text } = errorEntry(code)
    const reason = detail === '' ? text : `${text}: ${detail}`
    const answer: Answer = { verdict: 'deny', code, reason, rule: undefined, revision: policy?.revision ?? '', monitored: undefined }
    const refused = await this.#record(malformed, policy, answer, 'policy')
    return refused ?? { kind: 'refusal', code, reason, host: malformed.authority?.host.text ?? malformed.rawTarget, rule: undefined, requestId: malformed.id }
  }

  /** The outcome of an exchange. Never delays anybody: a journal that fails reports through onFault. */
  ended(subject: Exchange | Malformed, ending: Ending): void {
    if (this.#unrecorded.has(subject)) return
    const durationMs = this.#options.clock.monotonic() - subject.startedMs
    const about = subjectOf(subject, this.#options.policy()?.mode ?? 'enforce')
    this.#options.audit.append(endedEvent(about, ending, durationMs)).catch((error: unknown) => this.#unwritten(error))
  }

  #evaluate(policy: Policy | undefined, exchange: Exchange): Decision {
    const { clock, onFault } = this.#options
    if (policy === undefined) return denial('policy_unavailable', 'no valid policy is loaded, so nothing is allowed', '')
    try {
      return evaluate(policy, exchange.facts, clock.now())
    } catch (error) {
      onFault(error)
      return denial('internal_error', 'the policy could not be evaluated', policy.revision)
    }
  }

  /** An allow that obliges us to what we cannot do is a deny, and nobody is asked for it; so is one name too many. */
  #withinMeans(policy: Policy | undefined, exchange: Exchange, decision: Decision): Decision {
    const { facts } = exchange
    if (policy === undefined || decision.verdict === 'deny') return decision
    if (this.#options.usesParent && !policy.allowUpstreamProxy) {
      return { ...decision, verdict: 'deny', code: 'parent_forbidden', reason: errorEntry('parent_forbidden').text, monitored: undefined }
    }
    let code: ErrorCode | undefined
    let reason = ''
    if (facts.stage === 'request' && decision.obligations.inspect === 'cache' && this.#options.hasCache !== true) {
      code = 'cache_unavailable'
      reason = `only cached content may be read from ${facts.host.text} and there is no cache here`
    }
    if (code === undefined && decision.verdict === 'allow' && decision.wildcard && facts.host.kind === 'name') {
      const { nameBudget } = this.#options
      const { newNamesPerMinute } = limitsFor(policy, facts.principal)
      if (!nameBudget.spend(facts.principal.session, facts.host.text, newNamesPerMinute)) {
        code = 'name_budget_exceeded'
        reason = `too many new names below the domain of ${facts.host.text} in a minute: the limit of this session is ${nameBudget.within(newNamesPerMinute)}`
      }
    }
    if (code === undefined || decision.monitored !== undefined) return decision
    const answer = { verdict: 'deny', code, reason, rule: decision.rule } as const
    return policy.mode === 'monitor' ? { ...decision, monitored: answer } : { ...decision, ...answer }
  }

  /** Judged again at a policy change: the same evaluation, on the address that is connected. */
  #stillAllowed(admitted: Admitted, addresses: readonly IpAddress[] | undefined): boolean {
    const policy = this.#options.policy()
    if (policy === undefined || !this.#isSessionLive(admitted) || !this.#grantStands(admitted)) return false
    const { facts } = admitted.exchange
    try {
      const decision = evaluate(policy, facts, this.#options.clock.now())
      const isLookedInto = admitted.decision.obligations.inspect !== 'none'
      if (decision.verdict === 'deny' || isUnread(admitted, policy, decision)) return false
      const needsYes = isReadLive(admitted, decision) || (decision.verdict === 'ask' && !(isLookedInto && asksInside(policy, facts, decision)))
      // whoever has a page fetched has said yes to it
      if (needsYes && facts.principal.session !== cacheSession && !this.#isGranted(admitted, decision)) return false
      if (facts.stage === 'connect' && decision.obligations.inspect !== 'none' && !isLookedInto && facts.port !== 80) return false
      return addresses === undefined || judgeAddresses(policy, facts, decision, addresses, this.#options.surroundings()).ok
    } catch (error) {
      this.#options.onFault(error)
      return false
    }
  }

  #endOf(admitted: Admitted): LiveEnd {
    if (!this.#isSessionLive(admitted)) return 'session_ended'
    return this.#grantStands(admitted) ? 'policy_changed' : 'grant_ended'
  }

  #isSessionLive({ exchange }: Admitted): boolean {
    return this.#options.isLive?.(exchange.facts.principal.session) !== false
  }

  /** By the grant that let it in, while that stands, or by another one that covers it now; a no is stronger than both. */
  #isGranted(admitted: Admitted, decision: Decision): boolean {
    const { use, exchange: { facts } } = admitted
    const grant = this.#options.approvals?.grantFor(facts, isReadLive(admitted, decision) ? liveReading : undefined)
    if (grant?.verdict === 'deny') return false
    if (use !== undefined && this.#grantStands(admitted)) return true
    // one that is for a single request is never joined by a second one
    return grant !== undefined && !isAboutRequest(facts, decision)
  }

  #grantStands({ use }: Admitted): boolean {
    if (use === undefined) return true
    if (use.liveUntilMs !== undefined && use.liveUntilMs <= this.#options.clock.now()) return false
    return this.#options.approvals?.book.stands(use.grant.id) === true
  }

  /** Journals the answer; the refusal to give instead when it cannot be journaled. */
  async #record(about: Exchange | Malformed, policy: Policy | undefined, answer: Answer, stage: DecisionStage): Promise<Refusal | undefined> {
    const { audit, redaction, onVerdict } = this.#options
    const subject = subjectOf(about, policy?.mode ?? 'enforce')
    if (!audit.overQuota(subject.principal.session)) {
      try {
        await audit.append(decisionEvent(subject, answer, stage, redaction))
        onVerdict(answer.verdict, answer.code)
        return undefined
      } catch (error) {
        this.#unwritten(error)
      }
    }
    if (stage === 'policy') this.#unrecorded.add(about)
    const code = 'audit_unavailable'
    onVerdict('deny', code)
    return { kind: 'refusal', code, reason: errorEntry(code).text, host: subject.host, rule: undefined, requestId: about.id }
  }

  /** The journal tells the operator itself when it cannot write; anything else is a fault of ours. */
  #unwritten(error: unknown): void {
    if (!(error instanceof ProxyError && error.code === 'audit_unavailable')) this.#options.onFault(error)
  }
}
