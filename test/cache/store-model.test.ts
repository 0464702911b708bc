import { hash } from 'node:crypto'
import { rmSync } from 'node:fs'
import t from 'tap'
import type { CachedResponse } from '../../src/cache/cached-response.ts'
import { effort } from '../support/effort.ts'
import * as fc from '../support/property.ts'
import { bodiesIn, cacheDir, keep, keyOf, opened, temporaryIn, textOf } from './fixture.ts'

const maxBytes = 40
const maxEntries = 6
const contents = ['', 'a', 'b'.repeat(6), 'c'.repeat(8), 'd'.repeat(9), 'e'.repeat(11), 'f'.repeat(12), 'g'.repeat(13), 'h'.repeat(40), 'i'.repeat(41)]

interface Kept {
  readonly id: number
  readonly url: string
  readonly accept: string | null
  readonly content: string
  pinned: boolean
  storedMs: number
  used: number
}

/** What the store is to do, in so few words that it can be seen to be right. */
class Model {
  kept: Kept[] = []
  evicted = 0
  #used = 0

  /** False: refused, and nothing changes. */
  put(entry: Omit<Kept, 'used'>): boolean {
    const others = this.kept.filter(({ url, accept }) => url !== entry.url || accept !== entry.accept)
    const all = [...others, { ...entry, used: ++this.#used }]
    const firm = all.filter(({ id, pinned }) => pinned || id === entry.id)
    if (bytesOf(firm) > maxBytes || firm.length > maxEntries) return false
    while (bytesOf(all) > maxBytes || all.length > maxEntries) {
      const victim = all.filter(({ pinned }) => !pinned).toSorted((a, b) => a.used - b.used)[0]
      if (victim !== undefined) all.splice(all.indexOf(victim), 1)
      this.evicted++
    }
    this.kept = all
    return true
  }

  find(url: string): readonly Kept[] {
    const found = this.kept.filter((each) => each.url === url).toSorted((a, b) => b.storedMs - a.storedMs || b.id - a.id)
    for (const each of found.toReversed()) each.used = ++this.#used
    return found
  }

  read(entry: Kept): void {
    entry.used = ++this.#used
  }

  remove(id: number): void {
    this.kept = this.kept.filter((each) => each.id !== id)
  }
}

function bytesOf(kept: readonly Kept[]): number {
  return [...new Set(kept.map(({ content }) => content))].reduce((sum, { length }) => sum + length, 0)
}

const url = fc.constantFrom('https://a.test/1', 'https://a.test/2', 'https://b.test/1', 'http://a.test/1')
const pick = fc.nat({ max: 20 })
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('put' as const), url, accept: fc.constantFrom(null, 'x', 'y'), content: fc.constantFrom(...contents), pinned: fc.nat({ max: 9 }).map((n) => n === 0), storedMs: fc.nat({ max: 5 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('find' as const), url }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('read' as const), pick }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('remove' as const), pick }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pin' as const), pick, pinned: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('refresh' as const), pick, storedMs: fc.nat({ max: 9 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reopen' as const) }) },
)

function alike(entry: CachedResponse, kept: Kept | undefined): boolean {
  return kept !== undefined && entry.id === kept.id && entry.key.url === kept.url && entry.pinned === kept.pinned && entry.storedMs === kept.storedMs
    && entry.bodyDigest === hash('sha256', kept.content, 'hex') && (entry.vary[0]?.[1] ?? null) === kept.accept
}

t.test('whatever is done in whatever order, the store has what the model has', { timeout: 300_000 }, async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
      const dir = cacheDir(t)
      const model = new Model()
      let { store, faults } = opened(t, { dir, maxBytes, maxEntries })
      const same = (found: readonly CachedResponse[], kept: readonly Kept[]) => {
        if (found.length !== kept.length || !found.every((entry, at) => alike(entry, kept[at]))) throw new Error(`it has ${JSON.stringify(found)} and not ${JSON.stringify(kept)}`)
      }
      const chosen = (number: number) => model.kept[number % Math.max(1, model.kept.length)]
      for (const [at, each] of steps.entries()) {
        if (each.do === 'put') {
          const { accept, content, pinned, storedMs } = each
          const put = await keep(store, each.url, content, { vary: [['accept', accept]], pinned, storedMs }).catch(() => undefined)
          // an id is used up by what is refused, too
          const isTaken = model.put({ ...each, id: put?.id ?? -at - 1 })
          if (isTaken !== (put !== undefined)) throw new Error(`put ${at} was ${isTaken ? 'refused' : 'taken'}`)
        } else if (each.do === 'find') same(store.find(keyOf(each.url)), model.find(each.url))
        else if (each.do === 'reopen') {
          store.close()
          model.evicted = 0
          ;({ store, faults } = opened(t, { dir, maxBytes, maxEntries }))
        } else {
          const kept = chosen(each.pick)
          if (kept === undefined) continue
          if (each.do === 'remove' && store.remove(kept.id)) model.remove(kept.id)
          if (each.do === 'pin' && store.setPinned(kept.id, each.pinned)) kept.pinned = each.pinned
          const [entry] = store.list({}, 1, kept.id + 1)
          if (each.do === 'refresh' && entry !== undefined && store.refresh(kept.id, { ...entry, storedMs: each.storedMs })) kept.storedMs = each.storedMs
          if (each.do === 'read' && entry !== undefined) {
            if ((await textOf(store, entry)) !== kept.content) throw new Error('another body')
            model.read(kept)
          }
        }
        same(store.list({}, 100), model.kept.toSorted((a, b) => b.id - a.id))
        const expected = { entries: model.kept.length, pinned: model.kept.filter(({ pinned }) => pinned).length, bodyBytes: bytesOf(model.kept), maxBytes, evicted: model.evicted, corrupt: 0 }
        if (JSON.stringify(store.stats()) !== JSON.stringify(expected)) throw new Error(`it counts ${JSON.stringify(store.stats())} and not ${JSON.stringify(expected)}`)
      }
      const digests = [...new Set(model.kept.flatMap(({ content }) => (content === '' ? [] : [hash('sha256', content, 'hex')])))].toSorted()
      if (JSON.stringify(bodiesIn(dir)) !== JSON.stringify(digests)) throw new Error('files are left, or missing')
      for (const { id, content } of model.kept) {
        const [entry] = store.list({}, 1, id + 1)
        if (entry === undefined || (await textOf(store, entry)) !== content) throw new Error('a body is not what was put')
      }
      store.close()
      while (temporaryIn(dir).length > 0) await new Promise((resolve) => setTimeout(resolve, 1))
      if (faults.length > 0) throw new Error(String(faults[0]))
      rmSync(dir, { recursive: true })
    }),
    { numRuns: effort(60, 3_000) },
  )
  t.pass('it has')
})
