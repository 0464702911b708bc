// The enforcement point: an Exchange goes in, Admitted or a Refusal comes out, and the decision is in
// the journal before either leaves. INVARIANT: without a journaled allow there is no Admitted, and
// without Admitted nothing resolves or dials. Anything thrown, late or unknown denies.
import type { Clock } from '../clock.ts'
import { errorEntry, ProxyError, type ErrorCode } from '../errors.ts'
import { decisionEvent } from '../audit/decision-event.ts'
import { endedEvent, type Ending } from '../audit/ended-event.ts'
import type { AuditSink } from '../audit/event.ts'
import type { Redaction } from '../audit/redaction.ts'
import { judgeAddresses, type Surroundings } from '../policy/addresses.ts'
import type { Policy } from '../policy/compile.ts'
import type { Decision, RuleRef } from '../policy/decision.ts'
import { evaluate } from '../policy/evaluate.ts'
import type { IpAddress } from '../target/address.ts'
import { Admitted, ParentTarget, Vetted } from './admitted.ts'
import type { Exchange, Malformed } from './exchange.ts'
import { LiveExchanges } from './live-exchanges.ts'
import type { NameBudget } from './name-budget.ts'
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
  /** for the operator log: a fault of our own, never a denial */
  readonly onFault: (error: unknown) => void
  readonly onVerdict: (verdict: Decision['verdict'], code: Decision['code']) => void
}

type Stage = 'policy' | 'address' | 'tls'
type Answer = Pick<Decision, 'verdict' | 'code' | 'reason' | 'rule' | 'revision' | 'monitored'>

export class Gate {
  readonly #options: GateOptions
  /** what was refused because its decision could not be recorded: its end is not recorded either */
  readonly #unrecorded = new WeakSet<Exchange | Malformed>()
  readonly live: LiveExchanges

  constructor(options: GateOptions) {
    this.#options = options
    this.live = new LiveExchanges({
      stillAllowed: (admitted, addresses) => this.#stillAllowed(admitted, addresses),
      isCurrent: (admitted) => admitted.policy === options.policy(),
    })
  }

  /** Decides an exchange. Resolves after the decision is in the journal. */
  async admit(exchange: Exchange): Promise<Admitted | Refusal> {
    const policy = this.#options.policy()
    const decision = this.#decide(policy, exchange)
    const refused = await this.#record(exchange, policy, decision, 'policy')
    if (refused !== undefined) return refused
    if (decision.verdict === 'allow' && policy !== undefined) return Admitted.make(seal, exchange, decision, policy)
    const code = decision.code === 'allowed' ? 'internal_error' : decision.code
    return refusal(exchange, code, decision.reason, decision.rule)
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
    stage: 'address' | 'tls',
    code: ErrorCode,
    reason: string,
    rule: RuleRef | undefined,
  ): Promise<Refusal> {
    const { exchange, decision, policy } = admitted
    const answer: Answer = { verdict: 'deny', code, reason, rule: rule ?? decision.rule, revision: decision.revision, monitored: undefined }
    const refused = await this.#record(exchange, policy, answer, stage)
    return refused ?? refusal(exchange, code, reason, rule)
  }

  /** What came first in a tunnel is not what it may carry. In monitor mode the finding is journaled and
   * the tunnel goes on: undefined. */
  async judgeTunnel(admitted: Admitted, code: ErrorCode, reason: string): Promise<Refusal | undefined> {
    const { exchange, decision, policy } = admitted
    if (policy.mode === 'enforce') return this.refuseLater(admitted, 'tls', code, reason, undefined)
    const monitored = { verdict: 'deny', code, reason, rule: decision.rule } as const
    return this.#record(exchange, policy, { ...decision, monitored }, 'tls')
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

  #decide(policy: Policy | undefined, exchange: Exchange): Decision {
    const { clock, onFault } = this.#options
    if (policy === undefined) return denial('policy_unavailable', 'no valid policy is loaded, so nothing is allowed', '')
    try {
      const decision = evaluate(policy, exchange.facts, clock.now())
      return decision.verdict === 'allow' ? this.#withinMeans(policy, exchange, decision) : decision
    } catch (error) {
      onFault(error)
      return denial('internal_error', 'the policy could not be evaluated', policy.revision)
    }
  }

  /** An allow that obliges us to what we cannot do is a deny; so is one name too many. */
  #withinMeans(policy: Policy, exchange: Exchange, decision: Decision): Decision {
    const { facts } = exchange
    const plainInside = facts.port === 80
    if (this.#options.usesParent && !policy.allowUpstreamProxy) {
      return { ...decision, verdict: 'deny', code: 'parent_forbidden', reason: errorEntry('parent_forbidden').text, monitored: undefined }
    }
    let code: ErrorCode | undefined
    let reason = ''
    if (facts.stage === 'connect' && decision.obligations.inspect !== 'none' && !plainInside) {
      code = 'intercept_required'
      reason = `rules of ${facts.host.text} look inside the request, which an opaque tunnel hides`
    } else if (facts.stage === 'request' && decision.obligations.inspect === 'cache') {
      code = 'cache_unavailable'
      reason = `only cached content may be read from ${facts.host.text} and there is no cache here`
    }
    if (code === undefined && decision.wildcard && facts.host.kind === 'name' && !this.#options.nameBudget.spend(facts.principal.session, facts.host.text)) {
      code = 'name_budget_exceeded'
      reason = `too many new names below the domain of ${facts.host.text} in a minute`
    }
    if (code === undefined || decision.monitored !== undefined) return decision
    const answer = { verdict: 'deny', code, reason, rule: decision.rule } as const
    return policy.mode === 'monitor' ? { ...decision, monitored: answer } : { ...decision, ...answer }
  }

  /** Judged again at a policy change: the same evaluation, on the address that is connected. */
  #stillAllowed(admitted: Admitted, addresses: readonly IpAddress[] | undefined): boolean {
    const policy = this.#options.policy()
    if (policy === undefined) return false
    const { facts } = admitted.exchange
    try {
      const decision = evaluate(policy, facts, this.#options.clock.now())
      if (decision.verdict !== 'allow') return false
      if (facts.stage === 'connect' && decision.obligations.inspect !== 'none' && facts.port !== 80 && policy.mode === 'enforce') return false
      return addresses === undefined || judgeAddresses(policy, facts, decision, addresses, this.#options.surroundings()).ok
    } catch (error) {
      this.#options.onFault(error)
      return false
    }
  }

  /** Journals the answer; the refusal to give instead when it cannot be journaled. */
  async #record(about: Exchange | Malformed, policy: Policy | undefined, answer: Answer, stage: Stage): Promise<Refusal | undefined> {
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

function refusal(exchange: Exchange, code: ErrorCode, reason: string, rule: RuleRef | undefined): Refusal {
  return { kind: 'refusal', code, reason, host: exchange.facts.host.text, rule, requestId: exchange.id }
}

function denial(code: ErrorCode, reason: string, revision: string): Decision {
  return {
    verdict: 'deny', code, reason, rule: undefined, revision, monitored: undefined, wildcard: false,
    obligations: { inspect: 'none', raw: undefined, local: [] },
  }
}
