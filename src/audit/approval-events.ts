// Builds the events of a question that waits for a reviewer, and of the grant that may come of it. Pure. They
// say who asked for which host, who answered and what; never a URL, a query or the token of anybody.
import type { RuleRef } from '../policy/decision.ts'
import { isOneRequest, liveReading, type Grant } from '../policy/grant.ts'
import type { AttributeValue, AuditEvent } from './event.ts'
import { hostLabel, isoTime, labelText, optionalLabel, reasonWithoutPath, ruleAttributes, sentenceText } from './label-text.ts'
import { personalEvent, type Say } from './personal.ts'

export interface ApprovalSubject {
  readonly id: string
  /** `host`: every exchange with host and port; `request`: one request; `fetch`: a page that is not in the web cache */
  readonly kind: 'host' | 'request' | 'fetch'
  readonly session: string
  readonly agent: string
  readonly owner: string | undefined
  readonly team: string | undefined
  readonly scheme: string
  readonly host: string
  readonly port: number
  readonly method: string | undefined
  /** why policy asks */
  readonly reason: string
  readonly rule: RuleRef | undefined
  readonly clientAddress: string
  readonly advisory: boolean
  /** exchanges that asked, each retry included */
  readonly attempts: number
  readonly version: number
}

export interface ApprovalOutcome {
  readonly verdict: 'allow' | 'deny'
  readonly term: string
  readonly by: string
  readonly byKind: 'person' | 'program' | 'local'
  readonly secondBy: string | undefined
  readonly comment: string | undefined
  readonly grantId: string | undefined
  /** false: the first of two who have to say yes */
  readonly isComplete: boolean
  /** since the question was first asked, `ms` */
  readonly waitedMs: number
  readonly subdomains: boolean
  readonly allPorts: boolean
  readonly who: string
  /** wall clock, `ms`; with the term `until` */
  readonly untilMs: number | undefined
  /** a page was fetched into the web cache, and nothing opened */
  readonly isFetch: boolean
}

type Attributes = Readonly<Record<string, AttributeValue | undefined>>

const maxMethod = 64
const verdictWords = { allow: 'allowed', deny: 'denied' } as const
const causeWords = { policy_changed: 'policy now answers it', session_ended: 'its session ended', cached: 'the page is in the cache now' } as const

/** A question is in the queue: one event for each, however often it is asked again. */
export function approvalRequestedEvent(approval: ApprovalSubject, revision: string): AuditEvent {
  const reason = reasonWithoutPath(approval.reason)
  return personalEvent({
    name: 'sallyport.approval.requested',
    severity: 'INFO2',
    attributes: {
      ...subjectAttributes(approval),
      'client.address': approval.clientAddress === '' ? 'unknown' : labelText(approval.clientAddress),
      'sallyport.advisory': approval.advisory,
      'sallyport.reason': reason,
      ...ruleAttributes(approval.rule),
      'sallyport.policy.revision': labelText(revision),
    },
  }, () => `${labelText(approval.agent)} asks for ${place(approval)}: ${reason} (approval ${approval.id})`, [{ person: approval.owner, attributes: ['user.name', 'client.address'] }])
}

/** A reviewer answered; write it before the answer takes effect. */
export function approvalDecidedEvent(approval: ApprovalSubject, decided: ApprovalOutcome): AuditEvent {
  const comment = decided.comment === undefined ? undefined : sentenceText(decided.comment)
  const { verdict, isComplete } = decided
  const { by, secondBy } = decided
  const what = decided.isFetch ? (isComplete ? 'had fetched' : 'would fetch') : isComplete ? verdictWords[verdict] : 'would allow'
  const more = isComplete ? '' : '; a second person has to agree'
  const body = (say: Say): string => {
    const reviewers = `${say('sallyport.reviewer.name', labelText(by))}${secondBy === undefined ? '' : ` and ${say('sallyport.reviewer.second', labelText(secondBy))}`}`
    return `${reviewers} ${what} ${opened(approval, decided)}, ${termText(decided.term, decided.untilMs)}${more}${comment === undefined ? '' : `: ${say('sallyport.comment', comment)}`} (approval ${approval.id})`
  }
  return personalEvent({
    name: 'sallyport.approval.decided',
    severity: verdict === 'allow' ? 'INFO' : 'WARN',
    attributes: {
      ...subjectAttributes(approval),
      'sallyport.approval.verdict': verdict,
      'sallyport.approval.term': labelText(decided.term),
      'sallyport.approval.until': isoTime(decided.untilMs),
      'sallyport.approval.who': labelText(decided.who),
      'sallyport.approval.subdomains': decided.subdomains,
      'sallyport.approval.all_ports': decided.allPorts,
      'sallyport.approval.complete': isComplete,
      'sallyport.approval.fetch': decided.isFetch,
      'sallyport.approval.waited_ms': Math.round(decided.waitedMs),
      'sallyport.reviewer.name': labelText(by),
      'sallyport.reviewer.kind': decided.byKind,
      'sallyport.reviewer.second': optionalLabel(secondBy),
      'sallyport.comment': comment,
      'sallyport.grant.id': decided.grantId,
    },
  }, body, [
    { person: approval.owner, attributes: ['user.name'] },
    // the comment is of whoever answered last
    { person: by, attributes: secondBy === undefined ? ['sallyport.reviewer.name', 'sallyport.comment'] : ['sallyport.reviewer.name'] },
    { person: secondBy, attributes: ['sallyport.reviewer.second', 'sallyport.comment'] },
  ])
}

/** Nobody answered in time. */
export function approvalExpiredEvent(approval: ApprovalSubject, waitedMs: number): AuditEvent {
  return personalEvent({
    name: 'sallyport.approval.expired',
    severity: 'WARN',
    attributes: { ...subjectAttributes(approval), 'sallyport.approval.waited_ms': Math.round(waitedMs) },
  }, () => `nobody answered ${labelText(approval.agent)} about ${place(approval)} (approval ${approval.id})`, [{ person: approval.owner, attributes: ['user.name'] }])
}

/** The question has no answer to wait for any more. */
export function approvalWithdrawnEvent(approval: ApprovalSubject, cause: keyof typeof causeWords, waitedMs: number): AuditEvent {
  return personalEvent({
    name: 'sallyport.approval.withdrawn',
    severity: 'INFO',
    attributes: { ...subjectAttributes(approval), 'sallyport.approval.cause': cause, 'sallyport.approval.waited_ms': Math.round(waitedMs) },
  }, () => `the question of ${labelText(approval.agent)} about ${place(approval)} is withdrawn: ${causeWords[cause]} (approval ${approval.id})`, [{ person: approval.owner, attributes: ['user.name'] }])
}

/** From now on the grant answers what policy asks. */
export function grantCreatedEvent(grant: Grant): AuditEvent {
  return personalEvent({
    name: 'sallyport.grant.created',
    severity: severityOf(grant),
    attributes: { ...grantAttributes(grant), 'sallyport.grant.expires': isoTime(grant.expiresMs) },
  }, (say) => `${grantWords(grant)} by ${say('sallyport.reviewer.name', labelText(grant.by))}, ${termText(grant.term, grant.expiresMs)} (grant ${grant.id})`, [{ person: grant.by, attributes: ['sallyport.reviewer.name'] }])
}

/** The first exchange that the grant answered; what it answers later stands in their decisions. */
export function grantUsedEvent(grant: Grant, requestId: string, session: string): AuditEvent {
  return personalEvent({
    name: 'sallyport.grant.used',
    severity: severityOf(grant),
    attributes: { ...grantAttributes(grant), 'sallyport.request.id': labelText(requestId), 'session.id': labelText(session) },
  }, () => `${grantWords(grant)}, used first by request ${labelText(requestId)} (grant ${grant.id})`, [{ person: grant.by, attributes: ['sallyport.reviewer.name'] }])
}

/** Somebody took the grant back; what it had opened is closed. */
export function grantRevokedEvent(grant: Grant, by: string): AuditEvent {
  return personalEvent({
    name: 'sallyport.grant.revoked',
    severity: 'INFO',
    attributes: { ...grantAttributes(grant), 'sallyport.actor.name': labelText(by) },
  }, (say) => `${grantWords(grant)}, revoked by ${say('sallyport.actor.name', labelText(by))} (grant ${grant.id})`, [{ person: grant.by, attributes: ['sallyport.reviewer.name'] }, { person: by, attributes: ['sallyport.actor.name'] }])
}

/** The grant's time is over, or it was for once and is used up; what it had opened is closed. */
export function grantExpiredEvent(grant: Grant): AuditEvent {
  return personalEvent({
    name: 'sallyport.grant.expired',
    severity: 'INFO',
    attributes: { ...grantAttributes(grant), 'sallyport.grant.expires': isoTime(grant.expiresMs) },
  }, () => `${grantWords(grant)}, expired (grant ${grant.id})`, [{ person: grant.by, attributes: ['sallyport.reviewer.name'] }])
}

function subjectAttributes(approval: ApprovalSubject): Attributes {
  return {
    'sallyport.approval.id': approval.id,
    'sallyport.approval.kind': approval.kind,
    'sallyport.approval.version': approval.version,
    'sallyport.approval.attempts': approval.attempts,
    'session.id': labelText(approval.session),
    'gen_ai.agent.name': labelText(approval.agent),
    'user.name': optionalLabel(approval.owner),
    'sallyport.team': optionalLabel(approval.team),
    'url.scheme': approval.scheme,
    'server.address': hostLabel(approval.host),
    'server.port': approval.port,
    'http.request.method': approval.method?.slice(0, maxMethod),
  }
}

function grantAttributes(grant: Grant): Attributes {
  const holder = labelText(grant.holder)
  return {
    'sallyport.grant.id': grant.id,
    'sallyport.approval.id': grant.approvalId,
    'sallyport.grant.verdict': grant.verdict,
    'sallyport.grant.term': grant.term,
    'sallyport.grant.who': grant.who,
    'session.id': grant.who === 'session' ? holder : undefined,
    'gen_ai.agent.name': grant.who === 'agent' ? holder : undefined,
    'sallyport.team': grant.who === 'team' ? holder : undefined,
    'url.scheme': grant.scheme,
    'server.address': hostLabel(grant.host),
    'server.port': grant.port,
    'sallyport.grant.subdomains': grant.subdomains,
    'sallyport.grant.one_request': isOneRequest(grant),
    'sallyport.grant.live_reading': grant.requestDigest === liveReading,
    'sallyport.reviewer.name': labelText(grant.by),
  }
}

function place({ kind, host, port, method }: ApprovalSubject): string {
  const what = kind === 'fetch' ? 'one page of ' : kind === 'host' || method === undefined ? '' : `one ${method.slice(0, maxMethod)} of `
  return `${what}${hostLabel(host)}:${port}`
}

/** What the answer is for; wider than the question only where it says so. */
function opened(approval: ApprovalSubject, { subdomains, allPorts, who, verdict, isFetch }: ApprovalOutcome): string {
  const isLive = approval.kind === 'fetch' && verdict === 'allow' && !isFetch
  const asked = isLive ? `${hostLabel(approval.host)}:${approval.port}, read live,` : place(approval)
  const where = `${subdomains ? '**.' : ''}${asked}${allPorts ? ' and every other port' : ''}`
  if (who === 'session') return `${where} for ${labelText(approval.agent)}`
  return `${where} for every session of ${who} ${labelText((who === 'team' ? approval.team : approval.agent) ?? '')}`
}

function termText(term: string, untilMs: number | undefined): string {
  if (term === 'until') return `until ${isoTime(untilMs) ?? 'its end'}`
  return term === 'session' ? 'for the session' : labelText(term)
}

function grantWords(grant: Grant): string {
  const host = `${grant.subdomains ? '**.' : ''}${hostLabel(grant.host)}${grant.port === undefined ? ' on every port' : `:${grant.port}`}`
  return `${host} ${verdictWords[grant.verdict]} for ${grant.who} ${labelText(grant.holder)}`
}

function severityOf({ verdict }: Grant): 'INFO' | 'WARN' {
  return verdict === 'allow' ? 'INFO' : 'WARN'
}
