// Builds the event of one verdict: what was decided, by which rule, and what enforce mode would have
// said. Pure but for the texts it remembers. It must never decide anything itself, and never hold more of a URL
// than redaction allows.
import { errorTable, type ErrorCode } from '../errors.ts'
import type { Decision, RuleRef, Verdict } from '../policy/decision.ts'
import type { AuditEvent, Severity } from './event.ts'
import type { EventSubject } from './event-subject.ts'
import { isReasonItself, ownerParts, repeatsPath, requestJson, shownReason, showSubject, subjectStart, type ShownSubject } from './event-subject.ts'
import { cappedJson, inOnePiece, isPlain, jsonNumber, jsonText } from './json-text.ts'
import { placeholder } from './personal.ts'
import { eventEnd, eventStart, PreparedEvent, shownBody, type OwnPart } from './prepared-event.ts'
import type { Redaction } from './redaction.ts'
import { placeOf, Slots } from './slots.ts'

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
  approval_required: { scope: 'domain', source: 'decider', reason: 'not_allowed' },
  approval_pending: { scope: 'domain', source: 'decider', reason: 'not_allowed' },
  approval_denied: { scope: 'domain', source: 'decider', reason: 'denied' },
  approval_expired: { scope: 'domain', source: 'decider', reason: 'not_allowed' },
  approval_withdrawn: { scope: 'domain', source: 'decider', reason: 'not_allowed' },
  approval_unavailable: { scope: 'domain', source: 'decider', reason: 'not_allowed' },
  approval_limit: { scope: 'domain', source: 'decider', reason: 'not_allowed' },
  approval_rate: { scope: 'domain', source: 'decider', reason: 'not_allowed' },
  approval_queue_full: { scope: 'domain', source: 'decider', reason: 'not_allowed' },
  grant_ended: { scope: 'domain', source: 'decider', reason: 'not_allowed' },
  request_not_allowed: { scope: 'non_domain', source: 'mode_guard', reason: 'method_not_allowed' },
  upgrade_not_allowed: { scope: 'non_domain', source: 'mode_guard', reason: 'method_not_allowed' },
  client_handshake_failed: { scope: 'non_domain', source: 'mode_guard', reason: 'mitm_required' },
  network_disabled: { scope: 'non_domain', source: 'proxy_state', reason: 'proxy_disabled' },
  policy_unavailable: { scope: 'non_domain', source: 'proxy_state', reason: 'proxy_disabled' },
}

const termsOf: ReadonlyMap<string, CodexTerms> = new Map(Object.entries(codexTerms))

const ownFaults: ReadonlySet<string> = new Set(['internal_error', 'audit_unavailable', 'policy_unavailable'])
const verdictWords = { allow: 'allowed', deny: 'denied', ask: 'asked about' } as const
const stageJson = {
  policy: ',"sallyport.stage":"policy"',
  approval: ',"sallyport.stage":"approval"',
  address: ',"sallyport.stage":"address"',
  tls: ',"sallyport.stage":"tls"',
} as const
const maxRuleField = 1024
const maxId = 256

export type Answer = Pick<Decision, 'verdict' | 'code' | 'reason' | 'rule' | 'revision' | 'monitored' | 'grant' | 'quoted'> & {
  /** the approval that a question waits for, where no grant names it */
  readonly approvalId?: string | undefined
}

/** The event of a verdict of one stage; write it before anybody hears of the verdict. */
export function decisionEvent(subject: EventSubject, decision: Answer, stage: DecisionStage, redaction: Redaction): AuditEvent {
  const shown = showSubject(subject)
  const { verdict, code, monitored, grant, approvalId, quoted } = decision
  const isPlainAnswer = monitored === undefined && grant === undefined && approvalId === undefined && quoted === undefined
  const { body, before, sealedBefore, after, reasonPart } = isPlainAnswer && isReasonItself(code, decision.reason, subject)
    ? recall(subject, shown, decision, stage, redaction)
    : describe(subject, shown, decision, stage, redaction)
  const { owner } = subject.principal
  const front = shown.json + requestJson(subject, redaction)
  const parts = owner === undefined || shown.clientJson === undefined ? [] : ownerParts(subject, owner, shown.clientJson, redaction)
  if (reasonPart !== undefined) parts.push(reasonPart)
  return new PreparedEvent({
    name: 'sallyport.decision',
    severity: severityOf(verdict, code),
    body,
    json: parts.length === 0 ? before + front + after : { start: before, sealedStart: sealedBefore, front, parts, back: after },
    session: subject.principal.session,
  })
}

/** What an answer says, around what only its request says. */
interface DecisionTexts {
  readonly body: string
  /** of the event's JSON, up to the value of its first attribute */
  readonly before: string
  /** the same, without the reason where that is somebody's */
  readonly sealedBefore: string
  /** from the members of the request to the end, without the reason where that is somebody's */
  readonly after: string
  readonly reasonPart: OwnPart | undefined
}

interface KnownTexts extends DecisionTexts {
  readonly host: string
  readonly port: number
  readonly decision: Answer
  readonly stage: DecisionStage
  isInOnePiece: boolean
}

const knownTexts = new Slots<KnownTexts>()

/** For an answer without a reviewer's or a monitor's part, whose reason repeats nothing of its request: the same
 * rules answer for the same hosts. */
function recall(subject: EventSubject, shown: ShownSubject, decision: Answer, stage: DecisionStage, redaction: Redaction): DecisionTexts {
  const { host, port } = subject
  const at = placeOf(decision.reason, port)
  const known = knownTexts.get(at)
  const isSame = known !== undefined && known.host === host && known.port === port && known.stage === stage && isSameAnswer(known.decision, decision)
  if (isSame && known.isInOnePiece) return known
  const texts = describe(subject, shown, decision, stage, redaction)
  const before = isSame ? inOnePiece(texts.before) : texts.before
  const kept = isSame ? { ...texts, before, sealedBefore: before, after: inOnePiece(texts.after) } : texts
  knownTexts.put(at, { ...kept, host, port, decision, stage, isInOnePiece: isSame })
  return kept
}

function isSameAnswer(a: Answer, b: Answer): boolean {
  return a.verdict === b.verdict && a.code === b.code && a.reason === b.reason && a.revision === b.revision && isSameRule(a.rule, b.rule)
}

function isSameRule(a: RuleRef | undefined, b: RuleRef | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  return a.id === b.id && a.pattern === b.pattern && a.line === b.line && a.file === b.file
}

function describe(subject: EventSubject, { host, hostJson }: ShownSubject, decision: Answer, stage: DecisionStage, redaction: Redaction): DecisionTexts {
  const { verdict, code, rule, monitored, grant, approvalId } = decision
  const reason = shownReason(decision, subject, redaction)
  const reasonJson = jsonText(reason)
  const said = monitored === undefined ? reason : shownReason(monitored, subject, redaction)
  const saidJson = monitored === undefined ? reasonJson : jsonText(said)
  const where = place(monitored === undefined ? rule : monitored.rule)
  const whose = whoseReason(subject, decision)
  const after = `${stageJson[stage]}${whose === undefined ? `,"sallyport.reason":"${reasonJson}"` : ''},"sallyport.policy.revision":"${jsonText(decision.revision)}"`
    + (rule === undefined ? '' : ruleJson(rule))
    + (grant === undefined && approvalId === undefined ? '' : approvalJson(grant, approvalId))
    + (monitored === undefined ? '' : monitoredJson(monitored, whose === undefined ? saidJson : undefined))
    + (grant !== undefined && verdict === 'allow' ? grantedJson : (codeJson[verdict].get(code) ?? codeMembers(verdict, code)))
  const aside = monitored === undefined ? '' : ` in monitor mode; enforce mode says ${monitored.verdict}`
  const isPlainBody = hostJson === host && saidJson === said && isPlain(where)
  const bodyOf = (why: string) => shownBody(`${verdictWords[verdict]} ${host}:${subject.port}${aside}: ${why} (${monitored === undefined ? code : monitored.code}${where})`, isPlainBody)
  const { body, json } = bodyOf(said)
  const before = eventStart(json) + subjectStart
  if (whose === undefined) return { body, before, sealedBefore: before, after: `${after}${eventEnd}`, reasonPart: undefined }
  const sealedBefore = eventStart(bodyOf(placeholder(monitored === undefined ? 'sallyport.reason' : 'sallyport.monitored.reason')).json) + subjectStart
  const reasons = `"sallyport.reason":"${reasonJson}"${monitored === undefined ? '' : `,"sallyport.monitored.reason":"${saidJson}"`}`
  return { body, before, sealedBefore, after: `${after}${eventEnd}`, reasonPart: { person: whose, bound: 'own', context: subject.requestId.slice(0, maxId), json: reasons } }
}

/** Who is quoted in the reason, or the owner whose path it repeats; undefined: nobody, it is policy's own. */
function whoseReason(subject: EventSubject, { reason, monitored, quoted }: Answer): string | undefined {
  if (quoted !== undefined) return quoted
  const { owner } = subject.principal
  return owner !== undefined && (repeatsPath(reason, subject) || (monitored !== undefined && repeatsPath(monitored.reason, subject))) ? owner : undefined
}

/** Whether a code is a fault of the proxy itself and not an answer it was asked to give. */
export function isOwnFault(code: string | undefined): boolean {
  return code !== undefined && ownFaults.has(code)
}

function severityOf(verdict: Verdict, code: string): Severity {
  if (isOwnFault(code)) return 'ERROR'
  if (verdict === 'allow') return 'INFO'
  return verdict === 'ask' ? 'INFO2' : 'WARN'
}

function ruleJson({ id, file, line, pattern }: RuleRef): string {
  return `,"security_rule.name":"${cappedJson(id, maxRuleField)}","security_rule.ruleset.name":"${cappedJson(file, maxRuleField)}"`
    + `,"sallyport.rule.line":${jsonNumber(line)},"sallyport.rule.pattern":"${cappedJson(pattern, maxRuleField)}"`
}

function approvalJson(grant: Decision['grant'], approvalId: string | undefined): string {
  const approval = grant?.approvalId ?? approvalId
  const json = approval === undefined ? '' : `,"sallyport.approval.id":"${cappedJson(approval, maxId)}"`
  return grant === undefined ? json : `${json},"sallyport.grant.id":"${cappedJson(grant.id, maxId)}"`
}

/** `reasonJson` undefined: it is somebody's, and stands elsewhere. */
function monitoredJson({ verdict, code, rule }: NonNullable<Decision['monitored']>, reasonJson: string | undefined): string {
  const json = `,"sallyport.monitored.verdict":"${verdict}","sallyport.monitored.code":"${code}"${reasonJson === undefined ? '' : `,"sallyport.monitored.reason":"${reasonJson}"`}`
  if (rule === undefined) return json
  return `${json},"sallyport.monitored.rule.name":"${cappedJson(rule.id, maxRuleField)}"`
    + `,"sallyport.monitored.rule.file":"${cappedJson(rule.file, maxRuleField)}","sallyport.monitored.rule.line":${jsonNumber(rule.line)}`
}

function place(rule: RuleRef | undefined): string {
  if (rule === undefined) return ''
  return rule.line === 0 ? `, rule ${rule.id}` : `, rule ${rule.id} at ${rule.file}:${rule.line}`
}

/** The members that only verdict and code decide; they are few, so they are made once. */
function codeMembers(verdict: Verdict, code: string): string {
  const { scope, source, reason } = termsOf.get(code) ?? { scope: 'non_domain', source: 'proxy_state', reason: code }
  return `,"sallyport.code":"${jsonText(code)}","network.policy.scope":"${scope}","network.policy.decision":"${verdict}"`
    + `,"network.policy.source":"${source}","network.policy.reason":"${jsonText(reason)}","network.policy.override":false`
}

/** As Codex has it for a miss that its decider allowed. */
const grantedJson = inOnePiece(',"sallyport.code":"allowed","network.policy.scope":"domain","network.policy.decision":"allow"'
  + ',"network.policy.source":"decider","network.policy.reason":"not_allowed","network.policy.override":true')

function codesOf(verdict: Verdict): ReadonlyMap<string, string> {
  return new Map(['allowed', ...Object.keys(errorTable)].map((code) => [code, inOnePiece(codeMembers(verdict, code))]))
}

const codeJson = { allow: codesOf('allow'), deny: codesOf('deny'), ask: codesOf('ask') } as const
