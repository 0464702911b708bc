// A question that policy asked, and what became of it. Types only. What stands here is what a reviewer saw:
// a decision names the version it is about.
import type { GrantTerm, GrantWho } from '../policy/grant.ts'
import type { RuleRef } from '../policy/decision.ts'

export type ApprovalState = 'pending' | 'allowed' | 'denied' | 'expired' | 'withdrawn'

export interface Approval {
  /** ULID */
  readonly id: string
  /** grows with every change that a reviewer should see; attempts aside */
  readonly version: number
  readonly state: ApprovalState
  /** `host`: every exchange with host and port; `request`: one request, by its digest; `fetch`: a page that is not in the
   * web cache */
  readonly kind: 'host' | 'request' | 'fetch'
  readonly session: string
  readonly agent: string
  readonly owner: string | undefined
  readonly team: string | undefined
  readonly scheme: 'http' | 'https'
  /** canonical, ASCII */
  readonly host: string
  readonly port: number
  readonly method: string | undefined
  /** whole, query included: it stands nowhere else */
  readonly url: string | undefined
  readonly requestDigest: string | undefined
  readonly upgrade: 'websocket' | undefined
  /** why policy asks */
  readonly reason: string
  readonly rule: RuleRef | undefined
  /** a list or rule says that this is always asked about: its owner may not answer */
  readonly isReview: boolean
  /** what the agent says it is for */
  readonly statedReason: string | undefined
  readonly userAgent: string | undefined
  readonly clientAddress: string
  readonly advisory: boolean
  /** exchanges that asked, each retry included */
  readonly attempts: number
  /** exchanges that are held now */
  readonly waiting: number
  /** somebody has the page fetched at this moment, and nobody else decides meanwhile */
  readonly fetching?: { readonly by: string; readonly sinceMs: number } | undefined
  /** wall clock, `ms`, as all times here */
  readonly firstSeenMs: number
  readonly lastSeenMs: number
  readonly expiresMs: number
  readonly snoozedUntilMs: number | undefined
  /** four eyes: the first of two who said yes */
  readonly firstYes: FirstYes | undefined
  readonly decision: ApprovalDecision | undefined
}

export interface FirstYes {
  readonly by: string
  /** who made the token of whoever said it */
  readonly mintedBy: string | undefined
  readonly atMs: number
  /** the second may say yes to this, or to less */
  readonly answer: Answer
}

export interface ApprovalDecision {
  readonly verdict: 'allow' | 'deny'
  readonly term: GrantTerm
  readonly by: string
  readonly secondBy: string | undefined
  readonly atMs: number
  readonly comment: string | undefined
  /** undefined for a deny once, and where it was fetched */
  readonly grantId: string | undefined
  /** the page was fetched into the cache, and nothing else is opened */
  readonly isFetched?: boolean
  /** what is missing of what was fetched, as a sentence: where its redirects lead */
  readonly fetchNote?: string | undefined
}

/** What a reviewer answers. Wider than asked only where it says so. */
export interface Answer {
  readonly verdict: 'allow' | 'deny'
  readonly term: GrantTerm
  /** wall clock, `ms`; with `until` */
  readonly untilMs: number | undefined
  readonly subdomains: boolean
  readonly allPorts: boolean
  readonly who: GrantWho
  readonly comment: string | undefined
  /** the version that was looked at */
  readonly version: number
  /** of a question about a page: have it fetched into the cache, and open nothing */
  readonly isFetch?: boolean
  /** whoever answers looked at the whole URL again, which is long or looks like it carries something */
  readonly isConfirmed?: boolean
}
