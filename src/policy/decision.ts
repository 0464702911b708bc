// The one decision type: what policy answers, and why.
import type { ErrorCode } from '../errors.ts'
import type { Cidr } from '../target/address.ts'
import type { ProviderSearch } from './providers.ts'

export const verdicts = ['allow', 'deny', 'ask'] as const
export type Verdict = (typeof verdicts)[number]

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

/** What is set: a text, or a credential by the name it has in process settings or the managed layer. */
export type FieldValue =
  | { readonly kind: 'text'; readonly text: string }
  /** `placeholder`: swapped in only where the client sent the credential's dummy as the whole value behind `prefix` */
  | { readonly kind: 'credential'; readonly credential: string; readonly prefix: string; readonly placeholder: boolean }

/** What one rule does to the header fields of a request on its way out: first strips, then sets. */
export interface FieldChange {
  /** id of the rule */
  readonly rule: string
  /** lower case */
  readonly strip: readonly string[]
  /** `name` as it is written on the wire; what the client sent under it is gone */
  readonly set: readonly { readonly name: string; readonly value: FieldValue }[]
}

/** How the certificate of an origin is judged. */
export interface OriginTrust {
  /** not at all: a rule says so, and each use of it is logged */
  readonly insecure: boolean
  /** PEM files of further roots for this host */
  readonly caFiles: readonly string[]
}

/** What an allow obliges the proxy to do; the union over all matching rules. */
export interface Obligations {
  /** `none`: the tunnel may be opaque; else the request inside must be seen: cache > intercept > none */
  readonly inspect: 'none' | 'intercept' | 'cache'
  /** not TLS: `ssh` wants SSH- as the first bytes, `any` checks nothing; undefined: a TLS hello is required */
  readonly raw: 'ssh' | 'any' | undefined
  /** non-public ranges that these names may resolve to */
  readonly local: readonly Cidr[]
  /** absent: none */
  readonly fieldChanges?: readonly FieldChange[]
  /** absent: by the usual roots */
  readonly originTrust?: OriginTrust
  /** the strictest cap on the bytes of a request's content; absent: none */
  readonly maxContent?: number
  /** the content is read before it is forwarded: what it may ask of the web is limited; absent: it is not read */
  readonly providerSearch?: ProviderSearch
  /** the answer may be kept for others of the team, and come from what was kept; absent: no */
  readonly sharedCache?: true
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
  /** the reviewer whose words `reason` ends with; absent: it is nobody's */
  readonly quoted?: string | undefined
  /** true when the allow came from a wildcard pattern: new names below it are budgeted */
  readonly wildcard: boolean
}
