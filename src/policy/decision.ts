// The one decision type: what policy answers, and why.
import type { ErrorCode } from '../errors.ts'
import type { Cidr } from '../target/address.ts'

export type Verdict = 'allow' | 'deny' | 'ask'

/** Where the rule that decided stands, so that every answer can be traced to a line an admin wrote. */
export interface RuleRef {
  /** the rule's `id`, or `allowed_domains`, `denied_domains`, `review_domains`, `unknown`, `ports` ... */
  readonly id: string
  /** the pattern that matched, as written */
  readonly pattern: string
  /** path of the file as the admin knows it; `built-in` for what no file says */
  readonly file: string
  /** 1-based; 0 for `built-in` */
  readonly line: number
}

/** What an allow obliges the proxy to do; the union over all matching rules. */
export interface Obligations {
  /** `none`: the tunnel may be opaque; else the request inside must be seen: cache > intercept > none */
  readonly inspect: 'none' | 'intercept' | 'cache'
  /** not TLS: `ssh` wants SSH- as the first bytes, `any` checks nothing; undefined: a TLS hello is required */
  readonly raw: 'ssh' | 'any' | undefined
  /** non-public ranges that these names may resolve to */
  readonly local: readonly Cidr[]
}

export interface Decision {
  readonly verdict: Verdict
  readonly code: ErrorCode | 'allowed'
  /** one sentence for people, safe to show an agent: `pastebin.com is on the denied list` */
  readonly reason: string
  readonly rule: RuleRef | undefined
  readonly obligations: Obligations
  /** revision of the policy that answered */
  readonly revision: string
  /** monitor mode: what enforce mode would have answered, when that is not an allow */
  readonly monitored: { readonly verdict: Verdict; readonly code: ErrorCode; readonly reason: string; readonly rule: RuleRef | undefined } | undefined
  /** the grant that answered what policy asks; absent where policy answered */
  readonly grant?: { readonly id: string; readonly approvalId: string }
  /** true when the allow came from a wildcard pattern: new names below it are budgeted */
  readonly wildcard: boolean
}
