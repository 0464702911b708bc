// Does the parent cache keep to `only-if-cached`? The same test that the proxy makes before it asks it for a page. It asks
// for no page that anybody could have.
import type { Clock } from '../clock.ts'
import type { Settings } from '../config/settings.ts'
import { Deadlines } from '../deadlines.ts'
import { openParentCache, tryParentCache } from '../egress/parent-cache.ts'
import { createResolver } from '../egress/resolver.ts'
import { ProxyError } from '../errors.ts'
import type { Finding } from './doctor-finding.ts'

/** None where there is no parent cache. */
export async function parentCacheFindings({ cache: { parent: settings }, dns }: Settings, clock: Clock): Promise<Finding[]> {
  if (settings === undefined) return []
  const resolver = createResolver({ servers: dns.servers, resolvConfPath: dns.resolvConf, hostsPath: dns.hosts, timeoutMs: Math.min(dns.timeoutMs, 3000), clock })
  try {
    const parent = openParentCache(settings, { resolver, clock, deadlines: new Deadlines(clock) })
    try {
      const { http, https } = await tryParentCache(parent)
      if (http !== undefined) return named({ status: 'fail', detail: `${parent.text}: ${http}`, remedy: 'name a cache that keeps to `only-if-cached` in `cache.parent.url`; until then nothing is read from it' })
      if (https !== undefined) return named({ status: 'warn', detail: `${parent.text} is asked for http pages only: ${https}`, remedy: 'a cache that holds https pages by their URL, as squid with TLS does' })
      return named({ status: 'ok', detail: `${parent.text} keeps to only-if-cached` })
    } finally {
      parent.close()
    }
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error
    return named({ status: 'fail', detail: error.message, remedy: '`cache.parent.url` names it; until it answers nothing is read from it' })
  } finally {
    resolver.close()
  }
}

function named(outcome: Omit<Finding, 'name' | 'group'>): Finding[] {
  return [{ name: 'parent_cache', group: 'setup', ...outcome }]
}
