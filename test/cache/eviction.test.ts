import t from 'tap'
import type { CachedResponse } from '../../src/cache/cached-response.ts'
import type { CacheStore } from '../../src/cache/cache-store.ts'
import { answer, bodiesIn, keep, keyOf, opened, temporaryIn, urls } from './fixture.ts'

const page = (name: string) => `https://a.test/${name}`
const ten = (name: string) => name.padEnd(10, '.')
const names = (store: CacheStore) => urls(store.list({}, 1_000)).map((each) => each.slice('https://a.test/'.length)).toSorted().join('')

async function fill(store: CacheStore, letters: string): Promise<CachedResponse[]> {
  const entries: CachedResponse[] = []
  for (const letter of letters) entries.push(await keep(store, page(letter), ten(letter)))
  return entries
}

t.test('what was used longest ago goes first', async (t) => {
  const { store, dir } = opened(t, { maxBytes: 50 })
  const [a, b, c] = await fill(store, 'abcde')
  store.find(keyOf(page('a')))
  if (b) await store.read(b)
  await keep(store, page('f'), ten('f'))
  t.equal(names(store), 'abdef', 'c was not used')
  t.notOk(c && bodiesIn(dir).includes(c.bodyDigest))
  await keep(store, page('g'), ten('g'))
  await keep(store, page('h'), ten('h'))
  t.equal(names(store), 'abfgh', 'then d and e, which were put before a and b were used')
  await keep(store, page('i'), ten('i'))
  t.equal(names(store), 'bfghi')
  t.match(store.stats(), { entries: 5, bodyBytes: 50, evicted: 4 })
  t.ok(a)
})

t.test('the order of uses outlives a new start', async (t) => {
  const first = opened(t, { maxBytes: 50 })
  await fill(first.store, 'abcde')
  first.store.find(keyOf(page('a')))
  first.store.close()
  const { store } = opened(t, { maxBytes: 50, dir: first.dir })
  await keep(store, page('f'), ten('f'))
  t.equal(names(store), 'acdef')
})

t.test('a thousand uses are known, whether they were stored or not', async (t) => {
  const { store } = opened(t, { maxBytes: 6_000 })
  for (let at = 0; at < 600; at++) await keep(store, page(`${at}-`), ten(String(at)))
  for (let at = 0; at < 600; at++) if (at % 2 === 0) store.find(keyOf(page(`${at}-`)))
  for (let at = 0; at < 300; at++) await keep(store, page(`new${at}-`), ten(`new${at}`))
  t.match(store.stats(), { entries: 600, evicted: 300 })
  t.equal(store.list({ matches: (url) => /\/\d*[02468]-$/.test(url) }, 1_000).length, 300)
})

t.test('what is pinned stays, however long ago it was used', async (t) => {
  const { store } = opened(t, { maxBytes: 50 })
  const [a] = await fill(store, 'abcde')
  if (a) store.setPinned(a.id, true)
  await fill(store, 'fghijklm')
  t.equal(names(store), 'aijklm'.replace('i', ''))
})

t.test('where pinned answers leave no room the new one is refused and nothing changes', async (t) => {
  const { store, dir } = opened(t, { maxBytes: 50 })
  for (const letter of 'abcd') await keep(store, page(letter), ten(letter), { pinned: true })
  await keep(store, page('e'), ten('e'))
  const before = bodiesIn(dir)
  for (const pinned of [true, false]) {
    await t.rejects(keep(store, page('f'), 'eleven bytes', { pinned }), { code: 'cache_failed', detail: /pinned ones and it take 52 bytes, and the cache may have 50/ })
  }
  t.equal(names(store), 'abcde')
  t.strictSame(bodiesIn(dir), before)
  t.strictSame(temporaryIn(dir), [])
  t.match(store.stats(), { entries: 5, bodyBytes: 50, evicted: 0 })
  await keep(store, page('f'), ten('a'))
  t.equal(store.stats().entries, 6, 'a body that is there already needs no room')
  await keep(store, page('a'), 'eleven byte', { pinned: true })
  t.equal(store.stats().bodyBytes, 41, 'a pinned answer that takes the place of a pinned one needs the difference')
})

t.test('a body that another answer has frees nothing, so more goes', async (t) => {
  const { store } = opened(t, { maxBytes: 30 })
  await keep(store, page('a'), ten('same'))
  await keep(store, page('b'), ten('b'))
  await keep(store, page('c'), ten('same'))
  await keep(store, page('d'), ten('d'))
  await keep(store, page('e'), ten('e'))
  t.equal(names(store), 'cde')
  t.equal(store.stats().bodyBytes, 30)
})

t.test('answers without content are bounded by their number', async (t) => {
  const { store } = opened(t, { maxEntries: 3 })
  for (const letter of 'abcde') store.put(answer(page(letter), { pinned: letter === 'a' }), undefined)
  t.equal(names(store), 'ade')
  for (const { id } of store.list({}, 3)) store.setPinned(id, true)
  for (const pinned of [true, false]) t.throws(() => store.put(answer(page('f'), { pinned }), undefined), { code: 'cache_failed', detail: /may have 3/ })
  t.equal(names(store), 'ade')
})

t.test('one large body in place of many small ones: it is there at once, and the others go in steps', async (t) => {
  const { store, dir } = opened(t, { maxBytes: 3_000 })
  for (let at = 0; at < 300; at++) await keep(store, page(`${at}-`), ten(String(at)))
  await keep(store, page('large'), 'x'.repeat(3_000))
  t.equal(store.find(keyOf(page('large'))).length, 1)
  while (store.stats().bodyBytes > 3_000) await new Promise((resolve) => setTimeout(resolve, 1))
  t.equal(names(store), 'large')
  t.equal(bodiesIn(dir).length, 1)
  t.match(store.stats(), { entries: 1, evicted: 300 })
})

t.test('a cache that may have less than it has is made smaller after the start', async (t) => {
  const first = opened(t, { maxBytes: 50 })
  await fill(first.store, 'abcde')
  first.store.close()
  const { store } = opened(t, { maxBytes: 25, dir: first.dir })
  while (store.stats().bodyBytes > 25) await new Promise((resolve) => setTimeout(resolve, 1))
  t.equal(names(store), 'de')
})
