// Whether a policy tells agents apart. Pure.
import type { LimitRule, Policy, Rule } from './policy.ts'

// asked at every request without credentials, and a policy may have thousands of rules
const known = new WeakMap<Policy, boolean>()

/** A rule or limit is for some agents or teams only: then it matters who asks. */
export function namesAgents(policy: Policy): boolean {
  let names = known.get(policy)
  if (names === undefined) {
    names = policy.rules.some(isForSome) || policy.limits.some(isForSome)
    known.set(policy, names)
  }
  return names
}

function isForSome({ agents, teams }: Rule | LimitRule): boolean {
  return agents !== undefined || teams !== undefined
}
