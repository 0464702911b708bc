// What a compiled policy is: plain data that can be cloned into another thread, its big tables
// transferred. It holds no function, no class and no reference to the text it came from.
import type { Cidr } from '../target/address.ts'
import type { FieldChange, OriginTrust, Verdict } from './decision.ts'
import type { GrantTerm } from './grant.ts'
import type { NameTable } from './name-table.ts'
import type { PathPattern } from './path-pattern.ts'
import type { PortRange } from './ports.ts'
import type { ProviderSettings } from './providers-schema.ts'

export type Layer = 'managed' | 'policy' | 'approved'

/** One key of `query`, bytes as Latin-1. */
export interface QueryTerm {
  /** decoded */
  readonly key: string
  /** what other spellings of the key come down to */
  readonly folded: string
  /** globs, one of which every value has to match; empty: any value */
  readonly values: readonly string[]
}

/** One name of `headers`, bytes as Latin-1. */
export interface FieldTerm {
  /** lower case */
  readonly name: string
  /** globs, one of which every value has to match; empty: any value */
  readonly values: readonly string[]
}

/** What a rule wants of a request beside method, path and upgrade. */
export interface RequestTerms {
  readonly query: readonly QueryTerm[]
  readonly fields: readonly FieldTerm[]
  /** globs in lower case; undefined: any type, or none */
  readonly contentTypes: readonly string[] | undefined
  /** bytes of declared content at most */
  readonly maxContent: number | undefined
  /** `read_only`: no content at all */
  readonly noContent: boolean
  /** a credential is sent over verified TLS alone */
  readonly secure: boolean
}

/** What a rule does to the requests it matches. */
export interface RuleEffects {
  readonly change: FieldChange | undefined
  readonly trust: OriginTrust | undefined
}

/** Fields set on requests to some hosts by whoever allows them: it opens and closes nothing. */
export interface Pin {
  readonly change: FieldChange
  readonly file: string
  /** 1-based */
  readonly line: number
  /** undefined: every request */
  readonly methods: readonly string[] | undefined
  readonly paths: readonly PathPattern[] | undefined
}

/** One `[[network.rules]]` table, one list or feed of one file, or one telemetry endpoint. */
export interface Rule {
  readonly id: string
  readonly kind: 'rule' | 'list' | 'feed' | 'telemetry'
  readonly file: string
  /** 1-based */
  readonly line: number
  readonly layer: Layer
  readonly verdict: Verdict
  readonly reason: string | undefined
  /** looks inside the request: methods, paths, upgrades, a cache, terms or changed fields */
  readonly requestLevel: boolean
  /** what requests to its hosts get that match no request-level rule */
  readonly otherwise: Verdict
  readonly methods: readonly string[] | undefined
  readonly paths: readonly PathPattern[] | undefined
  readonly upgrades: readonly 'websocket'[] | undefined
  readonly raw: 'ssh' | 'any' | undefined
  readonly local: readonly Cidr[]
  readonly cache: boolean
  /** answers may be kept in the shared cache, and come from it */
  readonly sharedCache: boolean
  readonly agents: readonly string[] | undefined
  readonly teams: readonly string[] | undefined
  /** below `managed_allowed_domains_only`: may hold back what a managed rule allows, opens nothing */
  readonly tightenOnly: boolean
  /** undefined: none, as of most rules */
  readonly terms: RequestTerms | undefined
  readonly effects: RuleEffects | undefined
}

/** `default`: 443 for https and CONNECT, 80 for http and CONNECT; `every`: all of them */
export type Ports = 'default' | 'every' | readonly PortRange[]

/** One host pattern of one rule, where the index points to. */
export interface IndexedPattern {
  /** index into `Policy.rules` */
  readonly rule: number
  /** as written */
  readonly text: string
  readonly line: number
  readonly ports: Ports
  /** covers more than one name or address */
  readonly wildcard: boolean
  /** `*`: names no host in particular */
  readonly any: boolean
}

export interface GlobEntry {
  /** lower case, `*` any run of characters, `?` one character */
  readonly glob: string
  /** index into `PatternIndex.patterns` */
  readonly pattern: number
}

export interface AddressTable {
  readonly family: 4 | 6
  readonly prefix: number
  /** network bits, shifted right by the host bits -> indices into `PatternIndex.patterns` */
  readonly byBits: ReadonlyMap<bigint, readonly number[]>
}

/** Host patterns by what can be looked up: O(labels), however many there are. */
export interface PatternIndex {
  readonly patterns: readonly IndexedPattern[]
  readonly exact: ReadonlyMap<string, readonly number[]>
  readonly below: ReadonlyMap<string, readonly number[]>
  /** by their literal tail of whole labels; `` for those that have none */
  readonly globs: ReadonlyMap<string, readonly GlobEntry[]>
  readonly any: readonly number[]
  readonly addresses: readonly AddressTable[]
}

/** A table of names and the rules its entries belong to. */
export interface NameList {
  readonly table: NameTable
  /** start of each run of entries in the table's blob, and the rule they belong to */
  readonly segments: readonly { readonly start: number; readonly rule: number }[]
}

export interface Feed {
  readonly rule: number
  readonly table: NameTable
  /** patterns whose hosts and lines this feed does not deny */
  readonly except: PatternIndex
}

/** One line of `match` or `not_match`. */
export interface PolicyCase {
  readonly rule: number
  readonly expect: 'match' | 'not_match'
  readonly text: string
  readonly file: string
  readonly line: number
  readonly column: number
}

/** Where a setting was made; `built-in` and line 0 when no file says. */
export interface SettingRef {
  readonly file: string
  readonly line: number
}

/** Web reading, under the ceiling. */
export interface WebFetch extends ProviderSettings {
  readonly mode: 'cached' | 'live' | 'disabled'
  /** hosts that are named for it; `rule` of its patterns is an index into `files` */
  readonly domains: PatternIndex
  readonly files: readonly string[]
  /** whether reviewers are asked about what is not in the cache */
  readonly onMiss: 'deny' | 'ask'
  /** what is older is not served; undefined: any age */
  readonly maxAgeMs: number | undefined
  /** serves what RFC 9111 calls stale */
  readonly staleOk: boolean
  /** where the mode was made */
  readonly setting: SettingRef
}

/** What an answer can be that may need a comment; `wide`: it covers more than was asked about. */
export type CommentCase = 'allow' | 'deny' | 'until' | 'always' | 'wide'
export const commentCases: readonly CommentCase[] = ['allow', 'deny', 'until', 'always', 'wide']

/** Who may answer what policy asks, `[network.approvals]` of all layers together. */
export interface ApprovalRules {
  /** terms that a session's owner may give to its own session */
  readonly ownerMay: readonly GrantTerm[]
  /** hosts whose allow needs two people, on every port */
  readonly fourEyes: PatternIndex
  readonly commentRequired: readonly CommentCase[]
}

/** One `[[network.limits]]` table: what a session it covers may do at most; undefined: it does not say. */
export interface LimitRule {
  /** names, with `*` and `?`; undefined: everybody */
  readonly agents: readonly string[] | undefined
  readonly teams: readonly string[] | undefined
  /** open questions */
  readonly openApprovals: number | undefined
  /** new questions in a minute */
  readonly approvalsPerMinute: number | undefined
  /** new names below one wildcard-allowed domain in a minute */
  readonly newNamesPerMinute: number | undefined
}

/** Codex's web search modes; `disabled` is always among them. */
export type WebSearchMode = 'disabled' | 'cached' | 'indexed' | 'live'

export interface Policy {
  /** 12 hexadecimal digits over everything that was compiled */
  readonly revision: string
  readonly mode: 'enforce' | 'monitor'
  /** Codex's `mode = "limited"`: what only a host-level allow opens is read-only */
  readonly limited: boolean
  /** `read_only`: nothing but reading passes, whatever rules say */
  readonly readOnly: boolean
  readonly enabled: boolean
  readonly unknown: Verdict
  readonly ipLiterals: 'deny' | 'ask'
  readonly managedOnly: boolean
  readonly allowLocalBinding: boolean
  /** false: a managed layer forbids the parent proxy */
  readonly allowUpstreamProxy: boolean
  readonly settings: { readonly enabled: SettingRef; readonly unknown: SettingRef; readonly ipLiterals: SettingRef; readonly managedOnly: SettingRef; readonly allowLocalBinding: SettingRef; readonly readOnly: SettingRef }
  /** rules and list entries, feeds aside */
  readonly ruleCount: number
  readonly feedNames: number
  readonly rules: readonly Rule[]
  readonly index: PatternIndex
  readonly lists: { readonly deny: NameList; readonly ask: NameList; readonly allow: NameList }
  readonly feeds: readonly Feed[]
  readonly neverIntercept: PatternIndex
  readonly pins: readonly Pin[]
  /** `rule` of its patterns is an index into `pins` */
  readonly pinIndex: PatternIndex
  readonly approvals: ApprovalRules
  /** of all layers */
  readonly limits: readonly LimitRule[]
  /** `host:port`, or `host:*` */
  readonly reserved: ReadonlySet<string>
  readonly cases: readonly PolicyCase[]
  /** undefined: no layer sets a ceiling */
  readonly webSearchModes: readonly WebSearchMode[] | undefined
  readonly webFetch: WebFetch | undefined
}

/** The buffers to hand over instead of copying when a policy is posted to another thread. */
export function transferables(policy: Policy): ArrayBuffer[] {
  const tables = [policy.lists.deny, policy.lists.ask, policy.lists.allow, ...policy.feeds].map(({ table }) => table)
  return tables.flatMap((table) => [table.slots.buffer, table.tags.buffer, table.blob.buffer, table.checkpoints.buffer])
}
