// Which bodies are kept in memory, and how much of it they may take.
import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import t from 'tap'
import { HotBodies } from '../../src/cache/hot-bodies.ts'
import { bodyPath, bytesOf, keep, mib, opened } from './fixture.ts'

const url = (n: number): string => `https://a.test/${n}`

t.test('a large body that was read is kept in memory, and is at hand in whole and in part', async (t) => {
  const { store, dir } = opened(t, { hotLargeBytes: 16 * mib })
  const body = randomBytes(3 * mib)
  const entry = await keep(store, url(1), body)
  t.equal(store.readHot(entry), undefined, 'nobody has read it')
  t.ok((await store.read(entry)) instanceof Uint8Array)
  rmSync(bodyPath(dir, entry.bodyDigest))
  const hot = store.readHot(entry)
  t.equal(Buffer.compare(hot ?? Buffer.alloc(0), body), 0)
  t.equal(Buffer.compare(store.readHot(entry, { first: 2 * mib, last: 2 * mib + 9 }) ?? Buffer.alloc(0), body.subarray(2 * mib, 2 * mib + 10)), 0)
  t.throws(() => store.readHot(entry, { first: 0, last: 3 * mib }), RangeError)
  store.remove(entry.id)
  t.equal(store.readHot(entry), undefined, 'what is removed is not at hand either')
})

t.test('what is at hand needs no promise: a small body once it was read, and one without content', async (t) => {
  const { store } = opened(t)
  const entry = await keep(store, url(1), 'hello')
  const empty = await keep(store, url(2), '')
  t.equal(store.readHot(entry), undefined)
  await store.read(entry)
  t.equal(Buffer.from(store.readHot(entry) ?? []).toString(), 'hello')
  t.equal(Buffer.from(store.readHot(entry, { first: 1, last: 2 }) ?? []).toString(), 'el')
  t.equal(store.readHot(empty)?.length, 0)
  store.close()
  t.throws(() => store.readHot(entry), { code: 'cache_failed' })
})

t.test('a part of a large body is streamed, and so is one that is more than a quarter of the room', async (t) => {
  const { store } = opened(t, { hotLargeBytes: 8 * mib })
  const fits = await keep(store, url(1), randomBytes(2 * mib))
  const large = await keep(store, url(2), randomBytes(2 * mib + 1))
  t.notOk((await store.read(fits, { first: 0, last: 9 })) instanceof Uint8Array)
  t.equal(store.readHot(fits), undefined)
  t.notOk((await store.read(large)) instanceof Uint8Array)
  t.notOk((await store.read(fits)) instanceof Uint8Array, 'its digest was checked for the part, so that it is streamed a few times first')
})

t.test('many large bodies at once take no more than twice the room, and the rest is streamed', async (t) => {
  const { store } = opened(t, { hotLargeBytes: 8 * mib })
  const entries = await Promise.all(Array.from({ length: 20 }, (_, at) => keep(store, url(at), randomBytes(2 * mib))))
  const bodies = await Promise.all(entries.map((entry) => store.read(entry)))
  const held = bodies.filter((body) => body instanceof Uint8Array)
  t.equal(held.length, 8)
  for (const [at, entry] of entries.entries()) t.equal((await bytesOf(store, entry))?.length, 2 * mib, `${at} is whole`)
  t.equal(held.length, 8, 'they are held to the end of the test')
})

t.test('who asks for a large body while it is read gets the same memory', async (t) => {
  const { store } = opened(t, { hotLargeBytes: 8 * mib })
  const entry = await keep(store, url(1), randomBytes(2 * mib))
  const [first, second] = await Promise.all([store.read(entry), store.read(entry)])
  t.ok(first instanceof Uint8Array)
  t.equal(first, second)
})

t.test('a large body that was dropped comes back when it is read again and again, not at once', async (t) => {
  const hot = new HotBodies({ hotBytes: 0, hotLargeBytes: 8 * mib })
  t.ok(hot.roomFor('a', 2 * mib, false), 'its digest has to be looked at anyway')
  t.strictSame([1, 2, 3].map(() => hot.roomFor('a', 2 * mib, true)), [undefined, undefined, undefined])
  t.ok(hot.roomFor('a', 2 * mib, true))
  t.equal(hot.roomFor('a', 2 * mib, true), undefined)
  hot.delete('a')
  t.equal(hot.get('a', 2 * mib), undefined)
})

t.test('without room for large bodies none is read whole', async (t) => {
  const { store } = opened(t, { hotLargeBytes: 0 })
  const entry = await keep(store, url(1), randomBytes(2 * mib))
  t.notOk((await store.read(entry)) instanceof Uint8Array)
})
