// Copies on their way into the store: what is put is whole, a slow or broken disk holds nobody up, and who waits for a
// copy goes on when it is over, when it is worth no waiting, when time is up or when the client leaves.
import t from 'tap'
import type { CacheKey } from '../../../src/cache/cached-response.ts'
import { LiveCache, type LiveCacheOptions } from '../../../src/cache/live/live-cache.ts'
import type { Clock } from '../../../src/clock.ts'
import { Deadlines } from '../../../src/deadlines.ts'
import { MemoryCacheStore } from '../../support/memory-cache-store.ts'
import { asked, head, nowMs } from './requests.ts'

const key: CacheKey = { shelf: 'live', partition: 'teamless', url: 'http://a.test/' }
const fresh = head(['Cache-Control: max-age=60'])
const bytes = (text: string): Buffer => Buffer.from(text)

function start(change: Partial<LiveCacheOptions> = {}) {
  const store = new MemoryCacheStore()
  const faults: unknown[] = []
  let monotonic = 0
  const clock: Clock = { now: () => nowMs, monotonic: () => monotonic }
  const cache = new LiveCache({ store, clock, deadlines: new Deadlines(clock, 1), onFault: (error) => faults.push(error), ...change })
  return {
    store, faults, cache,
    pass: (ms: number) => {
      monotonic += ms
    },
  }
}

const over = async (fill: { readonly isOver: boolean }): Promise<void> => {
  while (!fill.isOver) await new Promise((resolve) => setImmediate(resolve))
}

t.test('what is whole is found, and read as it was written', async (t) => {
  const { cache, store } = start()
  t.notOk(cache.isUsed)
  const fill = cache.begin(key, 's1', true)
  t.ok(cache.isUsed)
  fill.open(fresh, true)
  fill.write(bytes('con'))
  fill.write(bytes('tent'))
  t.equal(cache.find(key, asked()).isKnown, false)
  fill.end()
  await over(fill)
  const { entry } = cache.find(key, asked())
  t.match(entry, { source: 'live', by: 's1', pinned: false, bodyBytes: 7, status: 200, capturedMs: undefined })
  t.same(entry === undefined ? undefined : await cache.read(entry), bytes('content'))
  t.equal(cache.find({ ...key, partition: 'team:red' }, asked()).isKnown, false)
  t.equal(store.open.size, 0)
  t.ok(new LiveCache({ store, clock: cache.clock, deadlines: cache.deadlines, onFault: (error) => t.fail(String(error)) }).isUsed, 'what is on the shelf may be changed')
})

t.test('what is given up, too large, too far behind or invalidated leaves nothing', async (t) => {
  const { cache, store, faults } = start({ maxBodyBytes: 10 * 1024 * 1024 })
  const givenUp = cache.begin(key, 's1', true)
  givenUp.open(fresh, true)
  givenUp.write(bytes('con'))
  givenUp.abort()
  givenUp.write(bytes('tent'))
  givenUp.end()
  const large = cache.begin(key, 's1', true)
  large.open(fresh, true)
  large.write(Buffer.alloc(6 * 1024 * 1024))
  await new Promise((resolve) => setImmediate(resolve))
  large.write(Buffer.alloc(6 * 1024 * 1024))
  t.ok(large.isOver)
  const { promise, resolve } = Promise.withResolvers<void>()
  store.gate = promise
  const behind = cache.begin(key, 's1', true)
  behind.open(fresh, true)
  for (let i = 0; i < 9; i++) behind.write(Buffer.alloc(1024 * 1024))
  t.ok(behind.isOver)
  const changed = cache.begin(key, 's1', true)
  changed.open(fresh, true)
  changed.write(bytes('old'))
  changed.end()
  cache.invalidate([key])
  resolve()
  await new Promise((done) => setImmediate(done))
  t.same([store.stats().entries, store.open.size, faults], [0, 0, []])
})

t.test('a store that fails is told of, and is no cache', async (t) => {
  const { cache, store, faults } = start()
  store.fault = new Error('full')
  const fill = cache.begin(key, 's1', true)
  fill.open(fresh, true)
  fill.write(bytes('x'))
  await over(fill)
  store.find = () => {
    throw new Error('gone')
  }
  t.same(cache.find(key, asked()), { entry: undefined, isKnown: false })
  cache.invalidate([key])
  t.same(faults.map(String), ['Error: full', 'Error: gone', 'Error: gone'])
})

t.test('whoever waits goes on when the copy is over, or is worth no waiting', async (t) => {
  const { cache } = start()
  t.equal(cache.wait(key, () => {}), undefined)
  const alone = cache.begin(key, 's1', false)
  t.equal(cache.wait(key, () => {}), undefined, 'a part is waited for by nobody')
  alone.abort()
  for (const end of ['end', 'abort', 'open'] as const) {
    const fill = cache.begin(key, 's1', true)
    const waits = cache.wait(key, () => {})
    t.ok(waits)
    fill.open(fresh, end !== 'open')
    if (end === 'end') fill.end()
    if (end === 'abort') fill.abort()
    await waits
    fill.abort()
  }
})

t.test('nobody waits for longer than is set, and not after its client has left', async (t) => {
  const { cache, pass } = start({ waitMs: 5_000 })
  const fill = cache.begin(key, 's1', true)
  const late = cache.wait(key, () => {})
  pass(5_000)
  await late
  let leave = (): void => {}
  const left = cache.wait(key, (listener) => {
    leave = listener
  })
  leave()
  await left
  t.notOk(fill.isOver)
  for (let i = 2; i < 64; i++) t.ok(cache.wait(key, (listener) => listener()))
  t.equal(cache.wait(key, () => {}), undefined, 'one too many')
  fill.abort()
})

t.test('an origin that varies by all it can name keeps no more than 32 answers', async (t) => {
  const { cache, store } = start()
  for (let i = 0; i < 40; i++) {
    const fill = cache.begin(key, 's1', true)
    fill.open({ ...fresh, vary: [['foo', String(i)]], storedMs: nowMs + i }, true)
    fill.end()
    await over(fill)
  }
  t.equal(store.stats().entries, 32)
  t.ok(cache.find(key, asked(['Foo: 39'])).entry)
  t.notOk(cache.find(key, asked(['Foo: 7'])).entry)
})
