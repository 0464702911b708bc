// Puts the room together: the store in the data folder, the parent cache behind it, what agents read from, and what
// fetches into it. It wires and decides nothing.
import { join } from 'node:path'
import type { Approval } from '../approvals/approval.ts'
import { ReviewFault } from '../approvals/review-fault.ts'
import type { PersonalPlace } from '../audit/erasure.ts'
import type { Policy } from '../policy/policy.ts'
import type { CacheStore } from './cache-store.ts'
import type { Deadlines } from '../deadlines.ts'
import { openParentCache, type ParentCacheSettings } from '../egress/parent-cache.ts'
import type { Resolver } from '../egress/resolver.ts'
import { Archives } from './archives.ts'
import { Filler, type Fill, type FillerOptions } from './filler.ts'
import { Budget } from './held-body.ts'
import { LiveCache } from './live/live-cache.ts'
import { ParentPages } from './parent-pages.ts'
import { ParentWatch, type ParentState } from './parent-watch.ts'
import { Recorder } from './recorder.ts'
import { openCacheStore } from './sqlite-cache-store.ts'
import { Warmer } from './warmer.ts'
import { ageRulesOf, partitionOf, WebCache } from './web-cache.ts'

export interface OpenCacheOptions extends Omit<FillerOptions, 'store'> {
  /** absent: one in the data folder */
  readonly store?: CacheStore | undefined
  readonly dataDir: string
  /** of all bodies together */
  readonly maxBytes: number
  readonly parent: ParentCacheSettings | undefined
  readonly resolver: Resolver
  readonly deadlines: Deadlines
  /** in force */
  readonly policy: () => Policy | undefined
  readonly onFault: (error: unknown) => void
}

export interface CacheRoom {
  readonly store: CacheStore
  readonly pages: WebCache
  readonly filler: Filler
  readonly warmer: Warmer
  readonly archives: Archives
  /** copies of live traffic, where rules say `shared_cache` */
  readonly live: LiveCache
  /** of sessions that record */
  readonly recorder: Recorder
  readonly personal: PersonalPlace
  /** undefined: there is none */
  parentState(): ParentState | undefined
  /** A reviewer's yes to one page. Resolves when agents read it, with what is missing of where it leads, as a sentence;
   * rejects with ReviewFault `fetch_failed` when they do not. */
  fetchPage(approval: Approval, by: string): Promise<string | undefined>
  close(): void
}

export function openCache(options: OpenCacheOptions): CacheRoom {
  const { dataDir, maxBytes, maxBodyBytes, clock, deadlines, onFault } = options
  const store = options.store ?? openCacheStore({ dir: join(dataDir, 'cache'), maxBytes, maxBodyBytes, clock, onFault })
  const parent = openParent(options)
  const filler = new Filler({ ...options, store })
  const recorder = new Recorder({ ...options, store })
  const pages = new WebCache({ ...options, store, parent: parent?.pages })
  return {
    store,
    filler,
    warmer: new Warmer({ filler, store, clock }),
    archives: new Archives({ ...options, store }),
    live: new LiveCache({ store, clock, deadlines, onFault, maxBodyBytes }),
    recorder,
    pages,
    personal: {
      count: async (person) => ({ others: (await store.forgetPerson?.(person, false)) ?? 0 }),
      scrub: async (person) => ({ others: (await store.forgetPerson?.(person, true)) ?? 0 }),
    },
    parentState: () => parent?.watch.state(),
    fetchPage: async ({ id, url = '', team }, by) => {
      const { kept: [page], fault } = await filler.fetch({ url, partition: partitionOf(team), source: 'fetched', by, team, pinned: false, approvalId: id })
      if (page === undefined) throw notFetched(fault)
      const found = pages.find(page.key.url, [], { team }, ageRulesOf(options.policy()))
      if (found.kind === 'miss') throw new ReviewFault('fetch_failed', `the page was fetched, and agents cannot read it: ${unreadable.get(found.detail) ?? 'it is no longer in the cache'}`)
      return fault === undefined ? undefined : `the page leads on to ${fault.url}, which was not fetched: ${fault.reason} (${fault.code})`
    },
    close: () => {
      recorder.close()
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

const unreadable: ReadonlyMap<string, string> = new Map([
  ['too-old', 'it came older than `max_age` of the policy lets them read'],
  ['stale', 'it was stale when it came, and the policy says `stale_ok = false`'],
])

function notFetched(fault: Fill['fault']): ReviewFault {
  if (fault?.code === 'audit_unavailable') return new ReviewFault('audit_unavailable', 'the fetch cannot be recorded, so it was not made')
  return new ReviewFault('fetch_failed', `the page was not fetched: ${fault?.reason ?? 'nothing came'} (${fault?.code ?? 'cache_failed'})`)
}
