// A control API over a cache that is real, in memory as far as it can be: its store on a disk of the test's own.
import { join } from 'node:path'
import type { Test } from 'tap'
import { Archives } from '../../src/cache/archives.ts'
import type { CachedResponse, NewCachedResponse } from '../../src/cache/cached-response.ts'
import { openCacheStore, type SqliteCacheStore } from '../../src/cache/sqlite-cache-store.ts'
import { Filler } from '../../src/cache/filler.ts'
import { Warmer } from '../../src/cache/warmer.ts'
import { nowMs } from './fakes.ts'
import { folderOf, openWorld, type World } from './world.ts'

export interface CacheWorld {
  readonly world: World
  readonly store: SqliteCacheStore
  put(url: string, text?: string, more?: Partial<NewCachedResponse> & { readonly partition?: string }): Promise<CachedResponse>
}

/** Nothing can be fetched here: that is for tests over a whole proxy. */
class NoFiller extends Filler {
  constructor() {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    super({} as ConstructorParameters<typeof Filler>[0])
  }
}

export async function cacheWorld(t: Test): Promise<CacheWorld> {
  const clock = { now: () => nowMs, monotonic: () => performance.now() }
  const faults: unknown[] = []
  const store = openCacheStore({ dir: join(folderOf(t), 'cache'), maxBytes: 1_000_000, maxBodyBytes: 100_000, clock, onFault: (error) => faults.push(error) })
  // a test has ended when its teardown runs
  t.teardown(() => {
    store.close()
    if (faults.length > 0) throw new Error(`the store reported ${faults.length} faults`, { cause: faults[0] })
  })
  const filler = new NoFiller()
  const archives = new Archives({ store, clock, audit: { append: async () => {} }, redaction: { url: 'path', key: Buffer.alloc(32) }, policy: () => undefined, maxBodyBytes: 100_000, version: '0.0.0' })
  const world = await openWorld(t, { cache: { store, filler, archives, warmer: new Warmer({ filler, store, clock }) } })
  return {
    world, store,
    put: async (url, text = '', { partition = 'common', ...more } = {}) => {
      const writer = store.writeBody()
      await writer.write(Buffer.from(text))
      const body = await writer.finish()
      return store.put({
        key: { shelf: 'web', partition, url }, status: 200, reason: 'OK', fields: ['Content-Type', 'text/html'], vary: [], storedMs: nowMs - 3_600_000, initialAgeMs: 0, source: 'added', by: 'ana', pinned: false, capturedMs: undefined, ...more,
      }, text === '' ? undefined : body)
    },
  }
}
