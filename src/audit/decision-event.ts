// Builds the event of one verdict: what was decided, by which rule, and what enforce mode would have
// said. Pure. It must never decide anything itself, and never hold more of a URL than redaction allows.
import type { ErrorCode } from '../errors.ts'
import type { Decision, RuleRef } from '../policy/decision.ts'
import type { AuditEvent, Severity } from './event.ts'
import { escapeText } from './escape.ts'
import type { EventSubject } from './event-subject.ts'
import { requestAttributes, shownHost, subjectAttributes } from './event-subject.ts'
import type { Redaction } from './redaction.ts'
import { scrubText } from './redaction.ts'

export type { EventSubject } from './event-subject.ts'

/** The step that gave the verdict; the last decision event of a request id is final. */
export type DecisionStage = 'policy' | 'approval' | 'address' | 'tls'

interface CodexTerms {
  readonly scope: 'domain' | 'non_domain'
  readonly source: 'baseline_policy' | 'mode_guard' | 'proxy_state' | 'decider'
  readonly reason: string
}

// our codes in the words of Codex's own audit events, so that rules written for those fit
const codexTerms: Partial<Record<ErrorCode | 'allowed', CodexTerms>> = {
  allowed: { scope: 'domain', source: 'baseline_policy', reason: 'allow' },
  denied_by_rule: { scope: 'domain', source: 'baseline_policy', reason: 'denied' },
  port_denied: { scope: 'domain', source: 'baseline_policy', reason: 'denied' },
  reserved_destination: { scope: 'domain', source: 'baseline_policy', reason: 'denied' },
  not_allowed: { scope: 'domain', source: 'baseline_policy', reason: 'not_allowed' },
  ip_literal_denied: { scope: 'domain', source: 'baseline_policy', reason: 'not_allowed' },
  ip_denied: { scope: 'domain', source: 'baseline_policy', reason: 'not_allowed_local' },
  dns_mixed: { scope: 'domain', source: 'baseline_policy', reason: 'not_allowed_local' },
  self: { scope: 'domain', source: 'baseline_policy', reason: 'not_allowed_local' },
  approval_unavailable: { scope: 'domain', source: 'decider', reason: 'not_allowed' },
  request_not_allowed: { scope: 'non_domain', source: 'mode_guard', reason: 'method_not_allowed' },
  upgrade_not_allowed: { scope: 'non_domain', source: 'mode_guard', reason: 'method_not_allowed' },
  intercept_required: { scope: 'non_domain', source: 'mode_guard', reason: 'mitm_required' },
  network_disabled: { scope: 'non_domain', source: 'proxy_state', reason: 'proxy_disabled' },
  policy_unavailable: { scope: 'non_domain', source: 'proxy_state', reason: 'proxy_disabled' },
}

const ownFaults: ReadonlySet<string> = new Set(['internal_error', 'audit_unavailable', 'policy_unavailable'])

/** The event of a verdict of one stage; write it before anybody hears of the verdict. */
export function decisionEvent(
  subject: EventSubject,
  decision: Pick<Decision, 'verdict' | 'code' | 'reason' | 'rule' | 'revision' | 'monitored'>,
  stage: DecisionStage,
  redaction: Redaction,
): AuditEvent {
  const { verdict, code, rule, monitored } = decision
  const terms = codexTerms[code] ?? { scope: 'non_domain', source: 'proxy_state', reason: code }
  return {
    name: 'sallyport.decision',
    severity: severityOf(verdict, code),
    body: decisionBody(subject, decision),
    attributes: {
      ...subjectAttributes(subject),
      ...requestAttributes(subject, redaction),
      'sallyport.stage': stage,
      'sallyport.code': code,
      'sallyport.reason': scrubText(decision.reason, 1024),
      'sallyport.policy.revision': decision.revision,
      'security_rule.name': rule?.id,
      'security_rule.ruleset.name': rule?.file,
      'sallyport.rule.line': rule?.line,
      'sallyport.rule.pattern': rule?.pattern.slice(0, 1024),
      'sallyport.approval.id': undefined,
      'sallyport.grant.id': undefined,
      'sallyport.monitored.verdict': monitored?.verdict,
      'sallyport.monitored.code': monitored?.code,
      'sallyport.monitored.reason': monitored === undefined ? undefined : scrubText(monitored.reason, 1024),
      'sallyport.monitored.rule.name': monitored?.rule?.id,
      'sallyport.monitored.rule.file': monitored?.rule?.file,
      'sallyport.monitored.rule.line': monitored?.rule?.line,
      'network.policy.scope': terms.scope,
      'network.policy.decision': verdict,
      'network.policy.source': terms.source,
      'network.policy.reason': terms.reason,
      'network.policy.override': false,
    },
  }
}

/** Whether a code is a fault of the proxy itself and not an answer it was asked to give. */
export function isOwnFault(code: string | undefined): boolean {
  return code !== undefined && ownFaults.has(code)
}

const verdictWords = { allow: 'allowed', deny: 'denied', ask: 'asked about' } as const

function severityOf(verdict: Decision['verdict'], code: string): Severity {
  if (isOwnFault(code)) return 'ERROR'
  if (verdict === 'allow') return 'INFO'
  return verdict === 'ask' ? 'INFO2' : 'WARN'
}

function decisionBody(subject: EventSubject, decision: Pick<Decision, 'verdict' | 'code' | 'reason' | 'rule' | 'monitored'>): string {
  const { verdict, code, reason, rule, monitored } = decision
  const what = `${verdictWords[verdict]} ${shownHost(subject.host)}:${subject.port}`
  if (monitored !== undefined) {
    return escapeText(`${what} in monitor mode; enforce mode says ${monitored.verdict}: ${scrubText(monitored.reason, 1024)} (${monitored.code}${place(monitored.rule)})`)
  }
  return escapeText(`${what}: ${scrubText(reason, 1024)} (${code}${place(rule)})`)
}

function place(rule: RuleRef | undefined): string {
  if (rule === undefined) return ''
  return rule.line === 0 ? `, rule ${rule.id}` : `, rule ${rule.id} at ${rule.file}:${rule.line}`
}
