// The web cache: what is in it, and having pages fetched into it. Agents read it on the proxy listener and never come here.
import { commonPartition, partitionOf } from '../cache/web-cache.ts'
import type { ControlContext } from './context.ts'
import { ControlFault } from './problem.ts'
import type { Route } from './route.ts'
import { boolean, describe, label, list, named, object, orNull, string, urlText } from './schemas.ts'
import { cacheEntryJson } from './wire.ts'

interface FetchBody {
  readonly url: string
  readonly team?: string
  readonly pinned?: boolean
}

export function cacheRoutes({ deps: { cache } }: ControlContext): readonly Route[] {
  const fetchRoute: Route<FetchBody> = {
    method: 'POST',
    path: '/v1/cache/fetch',
    name: 'fetchIntoCache',
    summary: 'Fetch a page and what its redirects lead to into the web cache, as an exchange of its own that policy decides. Agents read it from then on.',
    needs: ['administer'],
    headers: ['Idempotency-Key'],
    body: object({ url: urlText }, { team: describe(label, 'Only this team reads it; default: everybody'), pinned: describe(boolean, 'Never evicted') }),
    answers: { 200: object({ kept: list(named.CacheEntry), fault: orNull(object({ url: string, code: string, reason: string })) }) },
    faults: ['cache_unavailable'],
    handle: async ({ body: { url, team, pinned = false }, actor }) => {
      if (cache === undefined) throw new ControlFault('cache_unavailable', 'process settings say that there is no web cache')
      const partition = team === undefined ? commonPartition : partitionOf(team)
      const { kept, fault } = await cache.filler.fetch({ url, partition, source: 'added', by: actor.name, team, pinned, approvalId: undefined })
      return { body: { kept: kept.map(cacheEntryJson), fault: fault ?? null } }
    },
  }
  return [fetchRoute]
}
