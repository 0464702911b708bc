// Puts the room together: the store in the data folder, the parent cache behind it, what agents read from, and what
// fetches into it. It wires and decides nothing.
import { join } from 'node:path'
import type { Approval } from '../approvals/approval.ts'
import { ReviewFault } from '../approvals/review-fault.ts'
import type { CacheStore } from './cache-store.ts'
import type { Deadlines } from '../deadlines.ts'
import { openParentCache, type ParentCacheSettings } from '../egress/parent-cache.ts'
import type { Resolver } from '../egress/resolver.ts'
import { Filler, type FillerOptions } from './filler.ts'
import { Budget } from './held-body.ts'
import { LiveCache } from './live/live-cache.ts'
import { ParentPages } from './parent-pages.ts'
import { ParentWatch, type ParentState } from './parent-watch.ts'
import { openCacheStore } from './sqlite-cache-store.ts'
import { partitionOf, WebCache } from './web-cache.ts'

export interface OpenCacheOptions extends Omit<FillerOptions, 'store'> {
  /** absent: one in the data folder */
  readonly store?: CacheStore | undefined
  readonly dataDir: string
  /** of all bodies together */
  readonly maxBytes: number
  readonly parent: ParentCacheSettings | undefined
  readonly resolver: Resolver
  readonly deadlines: Deadlines
  readonly onFault: (error: unknown) => void
}

export interface CacheRoom {
  readonly store: CacheStore
  readonly pages: WebCache
  readonly filler: Filler
  /** copies of live traffic, where rules say `shared_cache` */
  readonly live: LiveCache
  /** undefined: there is none */
  parentState(): ParentState | undefined
  /** A reviewer's yes to one page. Rejects with ReviewFault `fetch_failed` when it is not in the cache then. */
  fetchPage(approval: Approval, by: string): Promise<void>
  close(): void
}

export function openCache(options: OpenCacheOptions): CacheRoom {
  const { dataDir, maxBytes, maxBodyBytes, clock, deadlines, onFault } = options
  const store = options.store ?? openCacheStore({ dir: join(dataDir, 'cache'), maxBytes, maxBodyBytes, clock, onFault })
  const parent = openParent(options)
  const filler = new Filler({ ...options, store })
  return {
    store,
    filler,
    live: new LiveCache({ store, clock, deadlines, onFault, maxBodyBytes }),
    pages: new WebCache({ ...options, store, parent: parent?.pages }),
    parentState: () => parent?.watch.state(),
    fetchPage: async ({ id, url = '', team }, by) => {
      const { kept, fault } = await filler.fetch({ url, partition: partitionOf(team), source: 'fetched', by, team, pinned: false, approvalId: id })
      if (kept.length === 0) throw new ReviewFault('fetch_failed', `the page was not fetched: ${fault?.reason ?? 'nothing came'} (${fault?.code ?? 'cache_failed'})`)
    },
    close: () => {
      parent?.close()
      store.close()
    },
  }
}

interface OpenParent {
  readonly pages: ParentPages
  readonly watch: ParentWatch
  close(): void
}

const maxHeldBytes = 8 * 1024 * 1024
const maxHeldTogether = 64 * 1024 * 1024

/** Its test begins at once, and nobody waits for it. */
function openParent({ parent: settings, resolver, clock, deadlines, maxBodyBytes, fetchTimeoutMs, onFault }: OpenCacheOptions): OpenParent | undefined {
  if (settings === undefined) return undefined
  const parent = openParentCache(settings, { resolver, clock, deadlines })
  const watch = new ParentWatch({ parent, clock, onFault })
  void watch.test()
  const pages = new ParentPages({ parent, watch, clock, maxBodyBytes, maxHeldBytes, budget: new Budget(maxHeldTogether), bodyTimeoutMs: fetchTimeoutMs })
  return { pages, watch, close: () => parent.close() }
}
