// Where a question about a host is asked: at the CONNECT, or request by request inside TLS. Pure; the gate and `explain`
// ask the same function, so that one never says what the other does not do.
import type { Decision } from './decision.ts'
import type { Facts } from './facts.ts'
import { isNeverIntercepted } from './never-intercept.ts'
import type { Policy } from './policy.ts'

/** What policy asks about the host of a CONNECT is asked request by request, where the client lets us end its TLS:
 * no client gives up a request as early as a CONNECT, and its refusal can be read. */
export function asksInside(policy: Policy | undefined, facts: Facts, { verdict, obligations }: Decision): boolean {
  const { stage, scheme, principal, host } = facts
  if (verdict !== 'ask' || stage !== 'connect' || scheme !== 'https' || principal.trustsCa !== true || obligations.raw !== undefined) return false
  return policy !== undefined && !isNeverIntercepted(policy, host)
}

/** The tunnel of such a question: let through, and looked into. */
export function openedInside(asking: Decision): Decision {
  const reason = `${asking.reason}; each request is asked about inside TLS`
  return { ...asking, verdict: 'allow', code: 'allowed', reason, obligations: { ...asking.obligations, inspect: 'intercept' } }
}
