import { hash } from 'node:crypto'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { CachedResponse } from '../../src/cache/cached-response.ts'
import { openCacheStore } from '../../src/cache/sqlite-cache-store.ts'
import { systemClock } from '../../src/clock.ts'
import { answer, bodiesIn, bodyPath, cacheDir, keep, keyOf, opened, temporaryIn, textOf, urls } from './fixture.ts'

const url = 'https://a.test/page'
const ids = (found: readonly CachedResponse[]) => found.map(({ id }) => id)

t.test('what is put is found with all that was said of it', async (t) => {
  const { store, dir, faults } = opened(t)
  const fields = ['content-type', 'text/html', 'x-odd', 'caf\u00e9 "quoted" \\', 'link', '<a>', 'link', '<b>']
  const vary = [['accept', null], ['accept-language', 'en, de']] as const
  const entry = await keep(store, url, 'hello', { status: 203, reason: 'Fine', fields, vary, storedMs: 1_700_000_000_123, initialAgeMs: 1.5, source: 'imported', by: 'bo', capturedMs: 42, pinned: true })
  t.strictSame(store.find(keyOf(url)), [entry])
  t.strictSame(entry, {
    id: entry.id, key: keyOf(url), status: 203, reason: 'Fine', fields, vary, storedMs: 1_700_000_000_123, initialAgeMs: 1.5, source: 'imported', by: 'bo', capturedMs: 42, pinned: true,
    bodyDigest: hash('sha256', 'hello', 'hex'), bodyBytes: 5,
  })
  t.equal(await textOf(store, entry), 'hello')
  t.strictSame(bodiesIn(dir), [entry.bodyDigest])
  t.strictSame(temporaryIn(dir), [])
  t.strictSame(faults, [])
})

t.test('it is still there after a clean end and a new start', async (t) => {
  const first = opened(t)
  const entry = await keep(first.store, url, 'hello')
  first.store.close()
  const { store } = opened(t, { dir: first.dir })
  t.strictSame(store.find(keyOf(url)), [entry])
  t.equal(await textOf(store, entry), 'hello')
  t.match(store.stats(), { entries: 1, pinned: 0, bodyBytes: 5 })
})

t.test('folders and files are for their owner alone, and names are digests', async (t) => {
  const { store, dir } = opened(t)
  const { bodyDigest } = await keep(store, url, 'hello')
  const mode = (path: string) => statSync(path).mode & 0o777
  for (const folder of [dir, join(dir, 'bodies'), join(dir, 'tmp'), join(dir, 'bodies', bodyDigest.slice(0, 2))]) t.equal(mode(folder), 0o700, folder)
  for (const file of [join(dir, 'index.db'), bodyPath(dir, bodyDigest)]) t.equal(mode(file), 0o600, file)
})

t.test('no key is answered with what another has', async (t) => {
  const { store } = opened(t)
  const all = [
    'https://a.test/page', 'http://a.test/page', 'https://b.test/page', 'https://a.test:8443/page', 'https://a.test/page?q=1', 'https://a.test/page?q=2', 'https://a.test/Page', 'https://a.test/page/', 'https://a.test/page?',
  ].flatMap((each) => [keyOf(each), keyOf(each, { shelf: 'live' }), keyOf(each, { partition: 'team:x' }), keyOf(each, { partition: 'team:X' }), keyOf(each, { partition: 'teamless' })])
  for (const [at, key] of all.entries()) await keep(store, key.url, `body ${at}`, { key })
  for (const [at, key] of all.entries()) {
    const [found, ...more] = store.find(key)
    t.equal(more.length, 0)
    t.strictSame(found?.key, key)
    t.equal(found && (await textOf(store, found)), `body ${at}`)
  }
  for (const miss of [keyOf('https://a.test/'), keyOf(url, { partition: 'team' }), keyOf('https://a.test/%70age')]) t.strictSame(store.find(miss), [])
})

t.test('neither blanks nor line breaks nor NUL make two keys one', async (t) => {
  const { store } = opened(t)
  await keep(store, ' x', 'one', { key: keyOf(' x', { partition: 'a' }) })
  await keep(store, 'x', 'two', { key: keyOf('x', { partition: 'a ' }) })
  t.equal(store.find(keyOf(' x', { partition: 'a' })).length, 1)
  t.strictSame(store.find(keyOf('x', { partition: 'a' })), [])
  t.strictSame(store.find(keyOf('a x', { partition: '' })), [])
  await keep(store, 'https://a.test/\ufffd', 'replacement')
  t.strictSame(store.find(keyOf('https://a.test/\ud800')), [])
  for (const bad of ['https://a.test/\ud800', 'https://a.test/\0']) {
    t.throws(() => store.put(answer(bad), undefined), { code: 'cache_failed' })
    t.strictSame(store.find(keyOf(bad)), [])
  }
})

t.test('answers that request fields choose between stand side by side, the newest first', async (t) => {
  const { store } = opened(t)
  const en = await keep(store, url, 'hello', { vary: [['accept-language', 'en']], storedMs: 2_000 })
  const de = await keep(store, url, 'hallo', { vary: [['accept-language', 'de']], storedMs: 3_000 })
  const none = await keep(store, url, 'hm', { vary: [['accept-language', null]], storedMs: 1_000 })
  t.strictSame(ids(store.find(keyOf(url))), [de.id, en.id, none.id])
  const again = await keep(store, url, 'good day', { vary: [['accept-language', 'en']], storedMs: 2_000 })
  t.strictSame(ids(store.find(keyOf(url))), [de.id, again.id, none.id])
  t.equal(await textOf(store, again), 'good day')
})

t.test('the order in which request fields are named makes no other answer', async (t) => {
  const { store } = opened(t)
  await keep(store, url, 'one', { vary: [['accept', 'x'], ['accept-language', 'en']] })
  const later = await keep(store, url, 'two', { vary: [['accept-language', 'en'], ['accept', 'x']] })
  t.strictSame(store.find(keyOf(url)), [later])
})

t.test('an agent that varies its fields without end has so many answers and no more', async (t) => {
  const { store } = opened(t)
  const pinned = await keep(store, url, 'kept', { vary: [['accept', 'pinned']], pinned: true })
  const entries: CachedResponse[] = []
  for (let at = 0; at < 80; at++) entries.push(await keep(store, url, `body ${at}`, { vary: [['accept', String(at)]], storedMs: 2_000 + at }))
  t.strictSame(ids(store.find(keyOf(url))), [...ids(entries.slice(16).toReversed()), pinned.id])
  t.equal(store.stats().entries, 65)
})

t.test('a new answer takes the place of the former one, and its body goes unless another has it', async (t) => {
  const { store, dir } = opened(t)
  const shared = await keep(store, 'https://b.test/', 'same')
  const first = await keep(store, url, 'same')
  t.equal(first.bodyDigest, shared.bodyDigest)
  t.equal(store.stats().bodyBytes, 4, 'equal bodies count once')
  const second = await keep(store, url, 'other')
  t.strictSame(bodiesIn(dir), [shared.bodyDigest, second.bodyDigest].toSorted())
  const third = await keep(store, url, 'third')
  t.strictSame(bodiesIn(dir), [shared.bodyDigest, third.bodyDigest].toSorted())
  t.equal(await textOf(store, shared), 'same')
  t.equal(await store.read(second), undefined, 'who still knows the former one is told that it is gone')
  t.match(store.stats(), { entries: 2, bodyBytes: 9, corrupt: 0 })
})

t.test('the same content again keeps its file', async (t) => {
  const { store, dir } = opened(t)
  await keep(store, url, 'same')
  const again = await keep(store, url, 'same')
  t.equal(await textOf(store, again), 'same')
  t.strictSame(bodiesIn(dir), [again.bodyDigest])
  t.match(store.stats(), { entries: 1, bodyBytes: 4 })
})

t.test('an answer without content needs no file', async (t) => {
  const { store, dir } = opened(t)
  const none = store.put(answer(url, { status: 204 }), undefined)
  const empty = await keep(store, 'https://b.test/', '')
  t.match(none, { bodyBytes: 0, bodyDigest: hash('sha256', '', 'hex') })
  t.equal(empty.bodyDigest, none.bodyDigest)
  t.equal(await textOf(store, none), '')
  t.equal(await textOf(store, empty), '')
  await t.rejects(store.read(none, { first: 0, last: 0 }), RangeError)
  t.strictSame(bodiesIn(dir), [])
})

t.test('one written body may serve two answers', async (t) => {
  const { store } = opened(t)
  const writer = store.writeBody()
  await writer.write(Buffer.from('hello'))
  const body = await writer.finish()
  store.put(answer(url), body)
  const other = store.put(answer('https://b.test/'), { ...body })
  t.equal(await textOf(store, other), 'hello')
  t.throws(() => store.put(answer(url), { digest: hash('sha256', 'never written', 'hex'), bytes: 13 }), { code: 'cache_failed' })
  t.equal(store.find(keyOf(url)).length, 1, 'what was there stays')
})

t.test('a 304 gives new fields and a new age to the same body', async (t) => {
  const { store } = opened(t)
  const entry = await keep(store, url, 'hello', { pinned: true })
  store.find(keyOf(url))
  const head = { status: 200, reason: 'Still', fields: ['etag', '"2"'], vary: [], storedMs: 9_000, initialAgeMs: 3 }
  const refreshed = store.refresh(entry.id, head)
  t.strictSame(refreshed, { ...entry, ...head })
  t.strictSame(store.find(keyOf(url)), [refreshed])
  t.equal(await textOf(store, entry), 'hello')
  t.equal(store.refresh(entry.id + 1, head), undefined)
})

t.test('a 304 that says of what the answer depends takes the place of the one that has these fields', async (t) => {
  const { store, dir } = opened(t)
  const other = await keep(store, url, 'other', { vary: [['accept', 'x']] })
  const entry = await keep(store, url, 'hello')
  const refreshed = store.refresh(entry.id, { ...entry, vary: [['accept', 'x']] })
  t.strictSame(store.find(keyOf(url)), [refreshed])
  t.notOk(bodiesIn(dir).includes(other.bodyDigest))
})

t.test('what is removed is gone with its body, once', async (t) => {
  const { store, dir } = opened(t)
  const entry = await keep(store, url, 'hello')
  store.find(keyOf(url))
  t.equal(store.remove(entry.id), true)
  t.strictSame(store.find(keyOf(url)), [])
  t.strictSame(bodiesIn(dir), [])
  t.equal(await store.read(entry), undefined)
  t.equal(store.remove(entry.id), false)
  t.match(store.stats(), { entries: 0, bodyBytes: 0, corrupt: 0 })
  t.not((await keep(store, url, 'hello')).id, entry.id, 'an id is never used again')
})

t.test('an answer is pinned and unpinned', async (t) => {
  const { store } = opened(t)
  const entry = await keep(store, url, 'hello')
  store.find(keyOf(url))
  t.equal(store.setPinned(entry.id, true), true)
  t.equal(store.find(keyOf(url))[0]?.pinned, true)
  t.equal(store.stats().pinned, 1)
  store.setPinned(entry.id, true)
  t.equal(store.stats().pinned, 1)
  store.setPinned(entry.id, false)
  t.equal(store.find(keyOf(url))[0]?.pinned, false)
  t.equal(store.stats().pinned, 0)
  t.equal(store.setPinned(entry.id + 1, true), false)
})

t.test('a miss that was looked up is found once it is put', async (t) => {
  const { store } = opened(t)
  t.strictSame(store.find(keyOf(url)), [])
  await keep(store, url, 'hello')
  t.equal(store.find(keyOf(url)).length, 1)
})

t.test('a list comes newest first, in pages, by shelf, partition, source and URL', async (t) => {
  const { store } = opened(t)
  for (let at = 0; at < 1_200; at++) {
    store.put(answer(`https://a.test/${at}`, { key: keyOf(`https://a.test/${at}`, { shelf: at % 2 === 0 ? 'web' : 'live', partition: at % 3 === 0 ? 'team:x' : 'common' }), source: at % 5 === 0 ? 'warmed' : 'added' }), undefined)
  }
  const numbers = (found: readonly CachedResponse[]) => found.map(({ key }) => Number(key.url.slice('https://a.test/'.length)))
  const all = Array.from({ length: 1_200 }, (_, at) => 1_199 - at)
  t.strictSame(numbers(store.list({}, 2_000)), all)
  t.strictSame(numbers(store.list({ shelf: 'live', partition: 'team:x', source: 'warmed' }, 2_000)), all.filter((at) => at % 30 === 15))
  const matches = (each: string) => each.endsWith('7')
  const paged: CachedResponse[] = []
  for (let page = store.list({ matches, shelf: 'live' }, 50); page.length > 0; page = store.list({ matches, shelf: 'live' }, 50, page.at(-1)?.id)) paged.push(...page)
  t.strictSame(numbers(paged), all.filter((at) => at % 10 === 7))
  t.strictSame(store.list({ matches: () => false }, 10), [])
  t.strictSame(numbers(await store.search({ matches, shelf: 'live' }, 1_000)), all.filter((at) => at % 10 === 7))
  t.strictSame(numbers(await store.search({ matches }, 30, 600)), all.filter((at) => at % 10 === 7 && at < 599).slice(0, 30))
  t.strictSame(await store.search({ matches: () => false }, 10), [])
  t.strictSame(store.list({}, 0), [])
  t.strictSame(urls(store.list({}, 1)), ['https://a.test/1199'])
})

t.test('once it is closed it says so, and a second close is nothing', async (t) => {
  const { store, faults } = opened(t)
  const entry = await keep(store, url, 'hello')
  store.close()
  store.close()
  for (const ask of [() => store.find(keyOf(url)), () => store.writeBody(), () => store.put(answer(url), undefined), () => store.remove(1), () => store.list({}, 1), () => store.stats(), () => store.refresh(1, entry), () => store.setPinned(1, true)]) {
    t.throws(ask, { code: 'cache_failed', detail: 'the cache is closed' })
  }
  await t.rejects(store.read(entry), { code: 'cache_failed' })
  t.strictSame(faults, [])
})

t.test('a folder that cannot be used is an error that names it', async (t) => {
  const dir = join(cacheDir(t), 'x\0y')
  t.throws(() => openCacheStore({ dir, maxBytes: 1, maxBodyBytes: 1, clock: systemClock, onFault: (fault) => t.fail(String(fault)) }), { code: 'cache_failed', detail: /moved away/ })
})
