// Names and words of people and agents as they may stand in an event. Pure. Names are cut and nothing more,
// for an owner may be a mail address; sentences are scrubbed first, and never hold a path or a query.
import type { RuleRef } from '../policy/decision.ts'
import type { AttributeValue } from './event.ts'
import { scrubText } from './redaction.ts'

export const maxLabel = 256
export const maxHost = 253
const maxSentence = 1024
const maxRuleField = 1024
// a word that starts with a slash; policy's own sentences say `GET /path`, with a comma behind it
const pathWord = /(?<!\S)\/\S+?(,?)(?=\s|$)/g

export function labelText(text: string): string {
  return text.length <= maxLabel ? text : text.slice(0, maxLabel)
}

/** As `labelText`; an absent label has no attribute. */
export function optionalLabel(text: string | undefined): string | undefined {
  return text === undefined ? undefined : labelText(text)
}

export function hostLabel(host: string): string {
  return host.length <= maxHost ? host : host.slice(0, maxHost)
}

/** A reason or a comment: credentials and query values blotted out, 1024 characters at most. */
export function sentenceText(text: string): string {
  return scrubText(text, maxSentence)
}

/** As `sentenceText`, of a reason that policy gave: a path in it becomes `/...`. */
export function reasonWithoutPath(reason: string): string {
  return sentenceText(reason.replace(pathWord, '/...$1'))
}

/** The rule that asks, as a decision names it. */
export function ruleAttributes(rule: RuleRef | undefined): Record<string, AttributeValue | undefined> {
  return {
    'security_rule.name': rule?.id.slice(0, maxRuleField),
    'security_rule.ruleset.name': rule?.file.slice(0, maxRuleField),
    'sallyport.rule.line': rule?.line,
    'sallyport.rule.pattern': rule?.pattern.slice(0, maxRuleField),
  }
}

/** Wall clock, `ms`, as RFC 3339; absent stays absent. */
export function isoTime(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString()
}
