// Whether policy lets an agent read a page from the cache: what may not be read is not put there from a file either. Pure.
// It answers as for a session that reads the web and does nothing else, of which no other may read more from the cache.
import { evaluate } from '../policy/evaluate.ts'
import { cacheSession } from '../policy/facts.ts'
import type { Policy } from '../policy/policy.ts'
import { isDefaultPort } from '../policy/ports.ts'
import { scopeCovers, type HostPattern } from '../policy/pattern.ts'
import { cidrContains } from '../target/address.ts'
import { parseUrl } from '../target/target-uri.ts'

export interface Reader {
  readonly policy: Policy | undefined
  readonly team: string | undefined
  /** hosts that are meant; undefined: all */
  readonly domains: readonly HostPattern[] | undefined
  readonly nowMs: number
}

/** Why the page is not for the cache, as a clause; undefined: it is. Throws ProxyError for what is no URL. */
export function whyNotReadable(url: string, { policy, team, domains, nowMs }: Reader): string | undefined {
  const { scheme, authority: { host, port }, path, query } = parseUrl(url)
  const isMeant = domains === undefined || domains.some(({ scope, ports }) => {
    const isPort = ports === undefined ? isDefaultPort('request', scheme, port) : port >= ports.first && port <= ports.last
    if (!isPort) return false
    return host.kind === 'ip' ? scope.kind === 'address' && cidrContains(scope.cidr, host.ip) : scopeCovers(scope, host.text)
  })
  if (!isMeant) return `${host.text} is not one of the domains that are imported`
  if (policy === undefined) return 'no valid policy is loaded, so nothing is allowed'
  const principal = { session: cacheSession, agent: 'sallyport', team, owner: undefined, trustsCa: true, webFetch: true }
  const decision = evaluate(policy, { stage: 'request', scheme, host, port, method: 'GET', path, query, upgrade: undefined, fields: [], content: 0, principal }, nowMs)
  const { verdict, code, reason } = decision.monitored ?? decision
  // monitor mode reads live what it would answer from the cache
  if (code === 'cache_miss' || (verdict === 'allow' && decision.obligations.inspect === 'cache')) return undefined
  return verdict === 'allow' ? `policy has no agent read ${host.text} from the cache` : `policy lets no agent read it: ${reason}`
}
