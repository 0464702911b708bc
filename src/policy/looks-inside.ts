// Whether a policy looks inside TLS anywhere: where it does, clients need our certificate authority. Pure. It may say that
// one does which never will, never the other way round.
import type { Policy } from './policy.ts'

/** What is asked about a host does not count: of a session that does not trust the CA it is asked at the CONNECT. */
export function looksInside({ rules, limited, readOnly, pins, webFetch }: Policy): boolean {
  return limited || readOnly || pins.length > 0 || webFetch?.inspectProviders === true || rules.some((rule) => rule.requestLevel || rule.cache || rule.effects !== undefined || rule.terms !== undefined)
}
