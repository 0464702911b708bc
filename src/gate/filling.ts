// What a fetch of our own into the web cache may do: what a reviewer or an admin had policy's question answered with,
// and never what policy denies. Pure.
import type { Decision, FieldChange, Obligations } from '../policy/decision.ts'

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

function withoutCredentials({ fieldChanges, ...others }: Obligations): Obligations {
  const live = { ...others, inspect: 'none' } as const
  return fieldChanges === undefined ? live : { ...live, fieldChanges: fieldChanges.map(withoutCredential) }
}

function withoutCredential(change: FieldChange): FieldChange {
  return { ...change, set: change.set.filter(({ value }) => value.kind === 'text') }
}
