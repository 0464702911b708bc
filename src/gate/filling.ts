// What a fetch of our own into the web cache may do: what a reviewer or an admin had policy's question answered with,
// and never what policy denies. Pure.
import { needsFourEyes } from '../policy/approval-rules.ts'
import type { Decision, FieldChange, Obligations } from '../policy/decision.ts'
import type { Facts } from '../policy/facts.ts'
import type { Policy } from '../policy/policy.ts'
import { isUnnamedReading } from '../policy/web-reading.ts'

/** Of a field whose text, though a rule spells it out, opens what is not for everybody. */
const credentialName = /auth|cookie|token|secret|password|credential|session|api[-_]?key|x-jfrog-art-api|x-nuget-apikey/i

/** `owner`: whoever had it fetched. Of the fields that rules set credentials are left out: what they fetch is not for
 * everybody who reads the cache. */
export function filledBy(decision: Decision, owner: string): Decision {
  if (decision.verdict === 'deny') return decision
  return {
    ...decision, verdict: 'allow', code: 'allowed', wildcard: false, monitored: undefined,
    reason: `${decision.reason}; ${owner} has it fetched into the cache`,
    obligations: withoutCredentials(decision.obligations),
  }
}

/** Where a redirect leads to another host or port, a reviewer's yes to the page before is none to what policy asks about
 * there, nor to what no rule names: a page of that is a question of its own. */
export function ledTo(decision: Decision, { approvals }: Policy, { host }: Pick<Facts, 'host'>): Decision {
  if (decision.verdict === 'deny') return decision
  const refused = { ...decision, verdict: 'deny', code: 'approval_required' } as const
  if (decision.verdict === 'ask') return { ...refused, reason: `${decision.reason}, and the yes was to another host` }
  if (isUnnamedReading(decision)) return { ...refused, reason: `no rule names ${host.text}, and the yes was to another host` }
  return needsFourEyes(approvals, host, false) ? { ...refused, reason: `two people have to allow ${host.text}, and the yes was to another host` } : decision
}

function withoutCredentials({ fieldChanges, ...others }: Obligations): Obligations {
  const live = { ...others, inspect: 'none' } as const
  return fieldChanges === undefined ? live : { ...live, fieldChanges: fieldChanges.map(withoutCredential) }
}

function withoutCredential(change: FieldChange): FieldChange {
  return { ...change, set: change.set.filter(({ name, value }) => value.kind === 'text' && !credentialName.test(name)) }
}
