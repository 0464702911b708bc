// `[network] read_only`: a ceiling over every rule. Nothing passes but GET, HEAD and OPTIONS without content and
// without an upgrade, so tunnels that cannot be seen into do not pass at all.
import { deny, hostText, settingRef } from './answers.ts'
import type { Answer } from './answers.ts'
import type { Obligations } from './decision.ts'
import type { Facts } from './facts.ts'
import type { Policy } from './policy.ts'

/** The methods that only read: RFC 9110 section 9.2.1, TRACE aside. */
export const readingMethods: readonly string[] = ['GET', 'HEAD', 'OPTIONS']

/** Why the ceiling refuses what rules let through or ask about; undefined when it does not. */
export function readOnlyRefusal(policy: Policy, facts: Facts, { raw }: Obligations): Answer | undefined {
  const rule = settingRef('read_only', policy.settings.readOnly)
  const host = hostText(facts)
  if (facts.stage === 'connect') {
    if (raw === undefined) return undefined
    return deny('obligation_conflict', `the policy is read-only, and what a raw tunnel to ${host} carries cannot be seen`, rule)
  }
  const { method = 'no method', upgrade, content } = facts
  if (upgrade !== undefined) return deny('upgrade_not_allowed', `the policy is read-only, and this is a ${upgrade} upgrade`, rule)
  if (!readingMethods.includes(method)) return deny('request_not_allowed', `the policy is read-only, and this is ${method}`, rule)
  return content === 0 ? undefined : deny('content_not_allowed', 'the policy is read-only, so a request has no content', rule)
}
