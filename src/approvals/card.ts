// What a reviewer sees of a question beside the question itself. Types only. Nothing here has asked a name
// server or touched the destination.
import type { RuleRef } from '../policy/decision.ts'
import type { GrantTerm } from '../policy/grant.ts'
import type { Approval } from './approval.ts'

export type HintCode =
  | 'ip_literal' | 'punycode' | 'confusable' | 'resembles_allowed' | 'first_time_here' | 'unusual_port' | 'plain_http' | 'upload_method'
  | 'paste_site' | 'tunnel_service' | 'webhook_service' | 'file_drop' | 'url_shortener' | 'dynamic_dns' | 'long_name' | 'deep_name' | 'many_questions' | 'advisory'

export interface Hint {
  readonly code: HintCode
  /** one sentence */
  readonly text: string
}

export interface Card {
  readonly approval: Approval
  /** only when it differs from `approval.host` and is safe to show: one script, no confusables */
  readonly unicodeHost: string | undefined
  readonly registrableDomain: string | undefined
  readonly hints: readonly Hint[]
  readonly nearestRules: readonly { readonly rule: RuleRef; readonly why: string }[]
  /** other sessions that use this host or asked for it */
  readonly others: readonly { readonly agent: string; readonly session: string; readonly state: string }[]
  readonly similar: readonly { readonly approvalId: string; readonly host: string; readonly verdict: 'allow' | 'deny'; readonly term: GrantTerm; readonly by: string; readonly atMs: number; readonly comment: string | undefined }[]
  /** of a page that may be fetched: why its URL is to be looked at twice, each as a sentence; whoever has it fetched confirms
   * that they did. Empty: nothing stands out */
  readonly doubts: readonly string[]
  /** host patterns that would cover it, narrowest first; never one over a public suffix */
  readonly patterns: readonly string[]
  readonly rules: {
    readonly fourEyes: boolean
    /** what needs a comment: `allow`, `deny`, `until`, `always`, `wide` */
    readonly commentFor: readonly string[]
    /** terms that the session's owner may give */
    readonly ownerMay: readonly GrantTerm[]
  }
}
