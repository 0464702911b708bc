// Puts the room together: the store in the data folder, what agents read from, and what fetches into it. It wires and
// decides nothing.
import { join } from 'node:path'
import type { Approval } from '../approvals/approval.ts'
import { ReviewFault } from '../approvals/review-fault.ts'
import type { CacheStore } from './cache-store.ts'
import type { Policy } from '../policy/policy.ts'
import { Archives } from './archives.ts'
import { Filler, type FillerOptions } from './filler.ts'
import { openCacheStore } from './sqlite-cache-store.ts'
import { Warmer } from './warmer.ts'
import { partitionOf, WebCache } from './web-cache.ts'

export interface OpenCacheOptions extends Omit<FillerOptions, 'store'> {
  readonly dataDir: string
  /** of all bodies together */
  readonly maxBytes: number
  /** undefined: none is loaded */
  readonly policy: () => Policy | undefined
  readonly onFault: (error: unknown) => void
}

export interface CacheRoom {
  readonly store: CacheStore
  readonly pages: WebCache
  readonly filler: Filler
  readonly warmer: Warmer
  readonly archives: Archives
  /** A reviewer's yes to one page. Rejects with ReviewFault `fetch_failed` when it is not in the cache then. */
  fetchPage(approval: Approval, by: string): Promise<void>
  close(): void
}

export function openCache(options: OpenCacheOptions): CacheRoom {
  const { dataDir, maxBytes, maxBodyBytes, clock, onFault } = options
  const store = openCacheStore({ dir: join(dataDir, 'cache'), maxBytes, maxBodyBytes, clock, onFault })
  const filler = new Filler({ ...options, store })
  return {
    store,
    filler,
    warmer: new Warmer({ filler, store, clock }),
    archives: new Archives({ ...options, store }),
    pages: new WebCache({ ...options, store }),
    fetchPage: async ({ id, url = '', team }, by) => {
      const { kept, fault } = await filler.fetch({ url, partition: partitionOf(team), source: 'fetched', by, team, pinned: false, approvalId: id })
      if (kept.length === 0) throw new ReviewFault('fetch_failed', `the page was not fetched: ${fault?.reason ?? 'nothing came'} (${fault?.code ?? 'cache_failed'})`)
    },
    close: () => store.close(),
  }
}
