// How things look on the wire: snake_case, times in RFC 3339 UTC with ms, null for what is absent. The one
// place where names of the domain become names of the API; it decides nothing and hides nothing.
import type { Approval } from '../approvals/approval.ts'
import type { ControlToken } from '../approvals/actor.ts'
import type { Card } from '../approvals/card.ts'
import type { Proposal } from '../approvals/desk.ts'
import type { Session } from '../approvals/session.ts'
import type { CachedResponse } from '../cache/cached-response.ts'
import type { Explanation } from '../policy/explain.ts'
import { liveReading, type Grant } from '../policy/grant.ts'
import { valuesOf } from '../target/field-list.ts'
import type { ExplainAnswer, PolicyState } from './deps.ts'

/** RFC 3339, UTC, ms; null for none. */
export function time(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString()
}

export function approvalJson(approval: Approval) {
  const { firstYes, fetching, decision } = approval
  return {
    id: approval.id,
    version: approval.version,
    state: approval.state,
    kind: approval.kind,
    session: approval.session,
    agent: approval.agent,
    owner: approval.owner ?? null,
    team: approval.team ?? null,
    scheme: approval.scheme,
    host: approval.host,
    port: approval.port,
    method: approval.method ?? null,
    url: approval.url ?? null,
    upgrade: approval.upgrade ?? null,
    reason: approval.reason,
    rule: approval.rule ?? null,
    is_review: approval.isReview,
    stated_reason: approval.statedReason ?? null,
    user_agent: approval.userAgent ?? null,
    client_address: approval.clientAddress,
    advisory: approval.advisory,
    attempts: approval.attempts,
    waiting: approval.waiting,
    first_seen: time(approval.firstSeenMs),
    last_seen: time(approval.lastSeenMs),
    expires_at: time(approval.expiresMs),
    snoozed_until: time(approval.snoozedUntilMs),
    first_yes: firstYes === undefined ? null : { by: firstYes.by, at: time(firstYes.atMs), is_fetch: firstYes.answer.isFetch === true },
    fetching: fetching === undefined ? null : { by: fetching.by, since: time(fetching.sinceMs) },
    decision: decision === undefined ? null : {
      verdict: decision.verdict,
      term: decision.term,
      by: decision.by,
      second_by: decision.secondBy ?? null,
      at: time(decision.atMs),
      comment: decision.comment ?? null,
      grant_id: decision.grantId ?? null,
      is_fetched: decision.isFetched === true,
      fetch_note: decision.fetchNote ?? null,
    },
  }
}

export function cardJson(card: Card) {
  return {
    ...approvalJson(card.approval),
    unicode_host: card.unicodeHost ?? null,
    registrable_domain: card.registrableDomain ?? null,
    hints: card.hints,
    nearest_rules: card.nearestRules,
    others: card.others,
    similar: card.similar.map(({ approvalId, host, verdict, term, by, atMs, comment }) =>
      ({ approval_id: approvalId, host, verdict, term, by, at: time(atMs), comment: comment ?? null })),
    doubts: card.doubts,
    patterns: card.patterns,
    rules: { four_eyes: card.rules.fourEyes, comment_for: card.rules.commentFor, owner_may: card.rules.ownerMay },
  }
}

export function grantJson(grant: Grant) {
  return {
    id: grant.id,
    approval_id: grant.approvalId,
    verdict: grant.verdict,
    term: grant.term,
    who: grant.who,
    holder: grant.holder,
    scheme: grant.scheme,
    host: grant.host,
    subdomains: grant.subdomains,
    port: grant.port ?? null,
    request_digest: grant.requestDigest === liveReading ? null : (grant.requestDigest ?? null),
    live_reading: grant.requestDigest === liveReading,
    by: grant.by,
    created_at: time(grant.createdMs),
    expires_at: time(grant.expiresMs),
  }
}

export function cacheEntryJson(entry: CachedResponse) {
  const { id, key, status, fields, bodyBytes, bodyDigest, source, by, pinned, storedMs, capturedMs, vary } = entry
  const [type = null] = valuesOf(fields, 'content-type')
  return {
    id, url: key.url, partition: key.partition, status, content_type: type, bytes: bodyBytes, digest: bodyDigest,
    source, by, pinned, stored_at: time(storedMs), captured_at: time(capturedMs), vary: vary.map(([name, value]) => ({ name, value })),
  }
}

export function cacheEntryDetailJson(entry: CachedResponse) {
  const fields: { readonly name: string; readonly value: string }[] = []
  for (let i = 0; i + 1 < entry.fields.length; i += 2) fields.push({ name: entry.fields[i] ?? '', value: entry.fields[i + 1] ?? '' })
  return { ...cacheEntryJson(entry), reason: entry.reason, fields }
}

/** `refused`: requests of it that were, since the process started. */
export function sessionJson(session: Session, refused: number) {
  const { agent, owner, team, trustsCa = false, webFetch = false, record = false } = session.principal
  return {
    id: session.id,
    agent,
    owner: owner ?? null,
    team: team ?? null,
    hold: session.hold === 'auto' ? 'auto' : session.hold / 1000,
    unattended: session.unattended,
    trusts_ca: trustsCa,
    web_fetch: webFetch,
    record,
    socket: session.hasSocket,
    isolated: session.isIsolated,
    refused,
    created_at: time(session.createdMs),
    created_by: session.createdBy,
    expires_at: time(session.expiresMs),
    ended_at: time(session.endedMs),
    last_seen: time(session.lastSeenMs),
  }
}

export function tokenJson(token: ControlToken) {
  return {
    id: token.id,
    kind: token.kind,
    name: token.name,
    role: token.role,
    teams: token.teams,
    created_at: time(token.createdMs),
    created_by: token.createdBy,
    expires_at: time(token.expiresMs),
    revoked_at: time(token.revokedMs),
    last_used: time(token.lastUsedMs),
  }
}

export function proposalJson(proposal: Proposal) {
  return {
    id: proposal.id,
    approval_id: proposal.approvalId,
    verdict: proposal.verdict,
    pattern: proposal.pattern,
    agent: proposal.agent ?? null,
    team: proposal.team ?? null,
    by: proposal.by,
    created_at: time(proposal.createdMs),
    state: proposal.state,
    decided_by: proposal.decidedBy ?? null,
  }
}

export function policyJson(policy: PolicyState) {
  return {
    revision: policy.revision,
    mode: policy.mode,
    unknown: policy.unknown,
    files: policy.files,
    rule_count: policy.ruleCount,
    feed_names: policy.feedNames,
    problems: policy.problems.map(({ file, line, column, severity, message }) => ({ file, line, column, severity, message })),
  }
}

/** The members that `sallyport explain --json` has. */
export function explainJson(answer: ExplainAnswer) {
  const { asked, verdict, code, reason, rule, monitored, notes, outer, inner } = answer
  return {
    asked,
    verdict,
    code,
    reason,
    rule: rule ?? null,
    monitored: monitored === undefined ? null : { ...monitored, rule: monitored.rule ?? null },
    notes,
    revision: outer.explanation.decision.revision,
    ...rulesJson(outer.explanation),
    inner: inner === undefined ? null : {
      verdict: inner.explanation.decision.verdict,
      code: inner.explanation.decision.code,
      reason: inner.explanation.decision.reason,
      rule: inner.explanation.decision.rule ?? null,
      ...rulesJson(inner.explanation),
    },
  }
}

function rulesJson({ matched, near }: Explanation) {
  return { matched, near }
}
