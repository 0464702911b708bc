// The own store comes first, at once, and a parent is asked for the rest.
import t, { type Test } from 'tap'
import { systemClock } from '../../src/clock.ts'
import type { CachedResponse } from '../../src/cache/cached-response.ts'
import type { AgeRules } from '../../src/cache/freshness.ts'
import { statusOfMiss, type Hit, type Miss, type MissDetail, type PageSource } from '../../src/cache/page-source.ts'
import { openCacheStore } from '../../src/cache/sqlite-cache-store.ts'
import { WebCache } from '../../src/cache/web-cache.ts'

const url = 'http://docs.test/'
const rules: AgeRules = { maxAgeMs: 60_000, staleOk: true }

class OneAnswer implements PageSource {
  asked = 0
  readonly #answer: Hit | Miss

  constructor(answer: Hit | Miss) {
    this.#answer = answer
  }

  find(): Promise<Hit | Miss> {
    this.asked += 1
    return Promise.resolve(this.#answer)
  }
}

function pages(t: Test, parent: PageSource | undefined): { readonly web: WebCache; keep(partition: string, ageMs: number): void } {
  const onFault = (error: unknown): void => {
    throw error
  }
  const store = openCacheStore({ dir: t.testdir({}), maxBytes: 1e6, maxBodyBytes: 1e6, clock: systemClock, onFault })
  t.teardown(() => store.close())
  const web = new WebCache({ store, clock: systemClock, audit: { append: async () => {} }, redaction: { url: 'full', key: Buffer.alloc(32) }, parent, onFault })
  return {
    web,
    keep: (partition, ageMs) => void store.put({
      key: { shelf: 'web', partition, url }, status: 200, reason: 'OK', fields: [], vary: [], storedMs: Date.now(), initialAgeMs: ageMs,
      source: 'added', by: 'ana', pinned: false, capturedMs: undefined,
    }, undefined),
  }
}

const entry: CachedResponse = {
  id: 0, key: { shelf: 'web', partition: 'common', url }, status: 200, reason: 'OK', fields: [], vary: [], storedMs: 0, initialAgeMs: 0,
  source: 'fetched', by: 'parent', pinned: false, capturedMs: undefined, bodyDigest: '', bodyBytes: 0,
}
const held: Hit = { kind: 'hit', entry, standing: { ageMs: 0, ttlMs: 1, refused: undefined }, held: { source: 'parent', status: 'parent; hit', read: () => new Uint8Array(0), release: () => undefined } }

t.test('a page of the own store is found at once, and the parent hears nothing of it', async (t) => {
  for (const partition of ['team:web', 'common']) {
    const parent = new OneAnswer(held)
    const { web, keep } = pages(t, parent)
    keep(partition, 0)
    const found = web.findAnywhere(url, [], { team: 'web' }, rules)
    t.notOk(found instanceof Promise)
    t.match(found, { kind: 'hit', entry: { key: { partition } } })
    t.equal(parent.asked, 0)
  }
})

t.test('what the own store does not hold, holds too old or for another team comes from the parent, whoever asks', async (t) => {
  for (const [partition, ageMs] of [['common', 90_000], ['team:other', 0]] as const) {
    const parent = new OneAnswer(held)
    const { web, keep } = pages(t, parent)
    keep(partition, ageMs)
    for (const team of ['web', undefined]) t.equal(await web.findAnywhere(url, [], { team }, rules), held)
    t.equal(parent.asked, 2)
  }
})

t.test('a miss says what the parent says of it, and what the own store says where the parent holds nothing', async (t) => {
  for (const [detail, said] of [['not-in-cache', 'too-old'], ['stale', 'stale'], ['parent-unreachable', 'parent-unreachable'], ['parent-doubtful', 'parent-doubtful']] as const satisfies readonly (readonly [MissDetail, MissDetail])[]) {
    const { web, keep } = pages(t, new OneAnswer({ kind: 'miss', detail }))
    keep('common', 90_000)
    t.same(await web.findAnywhere(url, [], { team: undefined }, rules), { kind: 'miss', detail: said })
    t.equal(statusOfMiss(said), `sallyport; detail=${said}`)
  }
})

t.test('without a parent nothing is waited for', async (t) => {
  const { web } = pages(t, undefined)
  t.same(web.findAnywhere(url, [], { team: undefined }, rules), { kind: 'miss', detail: 'not-in-cache' })
})
