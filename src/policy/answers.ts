// The sentences: every reason a decision can give, in words that an agent's user understands.
import type { ErrorCode } from '../errors.ts'
import { formatHost } from '../target/host.ts'
import { fileName } from './feed-paths.ts'
import type { Decision, Obligations, RuleRef, Verdict } from './decision.ts'
import type { Facts } from './facts.ts'
import { refOf } from './hits.ts'
import type { Hit } from './hits.ts'
import type { Policy, SettingRef } from './policy.ts'
import { formatSize } from './size.ts'
import { mediaTypeOf } from './terms.ts'

/** A decision before mode and revision are put to it. */
export type Answer = Pick<Decision, 'verdict' | 'code' | 'reason' | 'rule' | 'obligations' | 'wildcard'>

/** The end of every reason to ask. */
export const needsApproval = 'so it needs an approval'

export const noObligations: Obligations = { inspect: 'none', raw: undefined, local: [] }

export function deny(code: ErrorCode, reason: string, rule: RuleRef | undefined): Answer {
  return { verdict: 'deny', code, reason, rule, obligations: noObligations, wildcard: false }
}

export function ask(reason: string, rule: RuleRef | undefined, obligations: Obligations): Answer {
  return { verdict: 'ask', code: 'approval_required', reason, rule, obligations, wildcard: false }
}

export function allow(reason: string, rule: RuleRef | undefined, obligations: Obligations, wildcard: boolean): Answer {
  return { verdict: 'allow', code: 'allowed', reason, rule, obligations, wildcard }
}

/** A setting as the rule that decided. */
export function settingRef(id: string, { file, line }: SettingRef): RuleRef {
  return { id, pattern: '*', file, line }
}

export function hostText(facts: Facts): string {
  return formatHost(facts.host)
}

/** `pastebin.com is on the denied list` */
export function deniedReason(facts: Facts, hit: Hit): string {
  const { rule } = hit
  if (rule.kind === 'list') return `${hostText(facts)} is on the denied list`
  // clients are told no folders of this machine; the rule's `file` has the whole path
  if (rule.kind === 'feed') return `${hostText(facts)} is on the denied list ${fileName(rule.file)}`
  return `${hostText(facts)} is denied by rule ${rule.id}${because(hit)}`
}

export function askReason(facts: Facts, hit: Hit): string {
  if (hit.rule.kind === 'list') return `${hostText(facts)} is on the review list, ${needsApproval}`
  return `rule ${hit.rule.id} asks for an approval of ${hostText(facts)}${because(hit)}`
}

export function allowedReason(facts: Facts, hit: Hit): string {
  if (hit.rule.kind === 'list') return `${hostText(facts)} is on the allowed list`
  if (hit.rule.kind === 'telemetry') return `${hostText(facts)}:${facts.port} takes the telemetry of agents`
  return `rule ${hit.rule.id} allows ${hostText(facts)}${because(hit)}`
}

/** What no rule names, by `unknown`; `named` when it is only the port that nobody named. */
export function unknownAnswer(policy: Policy, facts: Facts, verdict: Verdict, named: Hit | undefined): Answer {
  const host = hostText(facts)
  const what = named === undefined ? `no rule allows ${host}` : `${host} is allowed, but no rule allows its port ${facts.port}`
  const final = policy.managedOnly
  const rule = final ? settingRef('managed_allowed_domains_only', policy.settings.managedOnly) : settingRef('unknown', policy.settings.unknown)
  if (verdict === 'deny') return deny('not_allowed', what, rule)
  if (verdict === 'ask') return ask(`${what}, ${needsApproval}`, rule, noObligations)
  return allow(`no rule names ${host}, and unknown hosts are allowed`, rule, noObligations, true)
}

/** A closed host: its request-level rules name other requests than this one. */
export function otherwiseAnswer(facts: Facts, hit: Hit, obligations: Obligations): Answer {
  const { rule } = hit
  const ref = refOf(hit)
  const what = facts.upgrade === undefined ? `${facts.method ?? 'this'} ${facts.path ?? ''}`.trim() : `a ${facts.upgrade} upgrade`
  const reason = `no rule of ${hostText(facts)} allows ${what}`
  if (rule.otherwise === 'allow') {
    return allow(`rule ${rule.id} allows the other requests to ${hostText(facts)}`, ref, obligations, hit.wildcard)
  }
  if (rule.otherwise === 'ask') return ask(`${reason}, ${needsApproval}`, ref, obligations)
  return deny(facts.upgrade === undefined ? 'request_not_allowed' : 'upgrade_not_allowed', reason, ref)
}

/** Only the content keeps the request from a rule: what it takes, and what this is. */
export function contentReason(facts: Facts, { rule }: Hit, what: 'content' | 'content_type'): string {
  const { terms } = rule
  const who = `rule ${rule.id} of ${hostText(facts)}`
  if (what === 'content_type') {
    const type = mediaTypeOf(facts.fields ?? [])
    return `${who} takes content of type ${(terms?.contentTypes ?? []).join(', ')}, and this ${type === undefined ? 'names no single type' : `is ${type}`}`
  }
  if (terms?.noContent === true) return `${who} takes no content`
  const declared = typeof facts.content === 'number' ? formatSize(facts.content) : 'more'
  return `${who} takes at most ${formatSize(terms?.maxContent ?? 0)} of content, and this declares ${declared}`
}

function because({ rule }: Hit): string {
  return rule.reason === undefined ? '' : `: ${rule.reason}`
}
