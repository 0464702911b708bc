// Whether a policy looks inside TLS anywhere: where it does, clients need our certificate authority. Pure. It may say that
// one does which never will, never the other way round.
import type { Policy } from './policy.ts'
import { readsInside } from './web-reading.ts'

/** What is asked about a host does not count: of a session that does not trust the CA it is asked at the CONNECT. */
export function looksInside(policy: Policy): boolean {
  const { rules, limited, readOnly, pins, webFetch } = policy
  return limited || webFetch?.inspectProviders === true || readsInside(policy) || readOnly || pins.length > 0 || rules.some((rule) => rule.requestLevel || rule.cache || rule.effects !== undefined || rule.terms !== undefined)
}
