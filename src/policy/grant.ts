// What an approval opened, or closed: a grant covers a question when it names the same asker and the same
// destination. Pure: the clock is handed in. A grant answers only what policy asks about; it never lifts a deny.
import type { Decision } from './decision.ts'
import type { Facts } from './facts.ts'

/** How long an answer holds: the waiters or the first retry; the session; until a time; for good. */
export type GrantTerm = 'once' | 'session' | 'until' | 'always'
export const grantTerms: readonly GrantTerm[] = ['once', 'session', 'until', 'always']

/** Whose exchanges it covers. */
export type GrantWho = 'session' | 'agent' | 'team'
export const grantWhos: readonly GrantWho[] = ['session', 'agent', 'team']

export interface Grant {
  readonly id: string
  readonly approvalId: string
  /** a refusal by a reviewer is kept like a permission, and is stronger */
  readonly verdict: 'allow' | 'deny'
  readonly term: GrantTerm
  readonly who: GrantWho
  /** id of the session, name of the agent or name of the team, as `who` says */
  readonly holder: string
  readonly scheme: 'http' | 'https'
  /** canonical */
  readonly host: string
  /** names below `host` too */
  readonly subdomains: boolean
  /** undefined: every port that policy does not deny */
  readonly port: number | undefined
  /** digest of the one request or page it is for; `liveReading`; undefined: every request to host and port */
  readonly requestDigest: string | undefined
  /** name of whoever decided */
  readonly by: string
  readonly createdMs: number
  /** wall clock, `ms`; no new exchange from then on. Undefined: as long as the session */
  readonly expiresMs: number | undefined
  /** of a refusal: what the reviewer said to whoever asks again */
  readonly comment: string | undefined
}

/** In the place of a digest: the host may be read live where policy has it read from the cache alone. It is a yes to
 * nothing else, and a yes to something else is none to this. */
export const liveReading = 'live-reading'

/** Whether it is for one request, so that a *once* of it is used up by the first. */
export function isOneRequest({ requestDigest }: Pick<Grant, 'requestDigest'>): boolean {
  return requestDigest !== undefined && requestDigest !== liveReading
}

/** Who and where, of a grant or of an exchange. */
export type GrantFacts = Pick<Facts, 'scheme' | 'host' | 'port' | 'principal'>

/**
 * Whether the grant speaks of this exchange at `nowMs`, wall clock. A yes to host and port is none to a request
 * that policy asks about by itself, nor the other way round; a no to the host is a no to all of it.
 */
export function grantCovers(grant: Grant, facts: GrantFacts, requestDigest: string | undefined, nowMs: number): boolean {
  if (grant.expiresMs !== undefined && nowMs >= grant.expiresMs) return false
  if (grant.holder !== holderOf(grant.who, facts)) return false
  if (grant.port !== undefined && grant.port !== facts.port) return false
  if (grant.scheme !== facts.scheme && grant.port !== undefined) return false
  if (grant.requestDigest !== requestDigest && !(grant.requestDigest === undefined && grant.verdict === 'deny')) return false
  const host = facts.host.text
  return host === grant.host || (grant.subdomains && facts.host.kind === 'name' && host.endsWith(`.${grant.host}`))
}

/** What a grant of this kind has to say in `holder`; undefined when the asker has no such label. */
export function holderOf(who: GrantWho, { principal }: Pick<Facts, 'principal'>): string | undefined {
  return who === 'session' ? principal.session : who === 'agent' ? principal.agent : principal.team
}

/** A question of policy as answered by a grant; any other decision stands. */
export function answeredBy(decision: Decision, grant: Grant): Decision {
  if (decision.verdict !== 'ask') return decision
  const reference = { id: grant.id, approvalId: grant.approvalId }
  if (grant.verdict === 'allow') {
    return { ...decision, verdict: 'allow', code: 'allowed', reason: `${decision.reason}; a reviewer allowed it`, grant: reference, wildcard: grant.subdomains }
  }
  return { ...decision, verdict: 'deny', code: 'approval_denied', reason: `a reviewer refused ${grant.host}${grant.comment === undefined ? '' : `: ${grant.comment}`}`, grant: reference, quoted: grant.comment === undefined ? undefined : grant.by }
}
