// How old an entry is, and who may still read it.
import t from 'tap'
import { ageMs, ageValue, hitStatus, lifetimeMs, madeFields, mementoDatetime, missStatus, standingOf } from '../../src/cache/freshness.ts'
import { entryOf, noonMs } from './entries.ts'

const date = new Date(noonMs).toUTCString()
const hour = 3_600_000

t.test('age is what it came with and what it lay here; a clock set back takes nothing off', async (t) => {
  const entry = entryOf({ initialAgeMs: 5000 })
  t.equal(ageMs(entry, noonMs), 5000)
  t.equal(ageMs(entry, noonMs + 1500), 6500)
  t.equal(ageMs(entry, noonMs - hour), 5000)
  t.equal(ageValue(6500), '6')
  t.equal(ageValue(-1), '0')
})

t.test('a lifetime is s-maxage, max-age, Expires or a tenth of what it had not changed for, in this order', async (t) => {
  for (const [fields, seconds, status] of [
    [['Cache-Control', 's-maxage=5, max-age=10'], 5, 200], [['Cache-Control', 'max-age=10'], 10, 200], [['cache-control', 'Max-Age="10"'], 10, 200], [['Cache-Control', 'max-age=10, max-age=99'], 10, 200], [['Cache-Control', 'max-age=ten'], 0, 200], [['Cache-Control', 'max-age=-1'], 0, 200],
    [['Cache-Control', 'no-cache, max-age=10'], 0, 200], [['Expires', new Date(noonMs + 7000).toUTCString()], 7, 200], [['Expires', '0'], 0, 200], [['Cache-Control', 'max-age=1', 'Expires', new Date(noonMs + 7000).toUTCString()], 1, 200],
    [['Last-Modified', new Date(noonMs - 100_000).toUTCString()], 10, 200], [['Last-Modified', new Date(noonMs - 100_000).toUTCString()], 10, 451], [['Last-Modified', new Date(noonMs - 100_000).toUTCString()], 0, 302], [['Cache-Control', 'max-age=3'], 3, 302], [[], 0, 200], [['Cache-Control', 'private, max-age=10'], 0, 200],
  ] as const) t.equal(lifetimeMs(entryOf({ fields: ['Date', date, ...fields], status })), seconds * 1000, `${status} ${fields.join(': ')}`)
})

t.test('an entry older than max_age is not read, unless it is pinned or of an archive', async (t) => {
  const rules = { maxAgeMs: hour, staleOk: true }
  t.equal(standingOf(entryOf(), noonMs + hour, rules).refused, undefined)
  t.equal(standingOf(entryOf(), noonMs + hour + 1, rules).refused, 'too-old')
  t.equal(standingOf(entryOf({ pinned: true }), noonMs + 9 * hour, rules).refused, undefined)
  t.equal(standingOf(entryOf({ capturedMs: 0, source: 'imported' }), noonMs + 9 * hour, rules).refused, undefined)
  t.equal(standingOf(entryOf(), noonMs + 9 * hour, { maxAgeMs: undefined, staleOk: true }).refused, undefined)
})

t.test('without stale_ok only what is fresh is read', async (t) => {
  const rules = { maxAgeMs: undefined, staleOk: false }
  const entry = entryOf({ fields: ['Date', date, 'Cache-Control', 'max-age=60'] })
  t.strictSame(standingOf(entry, noonMs + 59_000, rules), { ageMs: 59_000, ttlMs: 1000, refused: undefined })
  t.equal(standingOf(entry, noonMs + 60_000, rules).refused, 'stale')
  t.equal(standingOf({ ...entry, pinned: true }, noonMs + 60_000, rules).refused, 'stale')
  t.equal(standingOf(entryOf(), noonMs, rules).refused, 'stale', 'nobody said that it is fresh')
})

t.test('its reader is told how old it is, and where it came from', async (t) => {
  const fresh = entryOf({ fields: ['Date', date, 'Cache-Control', 'max-age=60'] })
  const rules = { maxAgeMs: undefined, staleOk: true }
  t.strictSame(madeFields(fresh, standingOf(fresh, noonMs + 1500, rules)), ['Age', '1', 'Cache-Status', 'sallyport; hit; ttl=58'])
  t.equal(hitStatus(fresh, standingOf(fresh, noonMs + 61_000, rules)), 'sallyport; hit; ttl=-1; detail=stale')
  const archived = entryOf({ source: 'imported', capturedMs: Date.UTC(2001, 0, 2, 3, 4, 5, 678), initialAgeMs: 10_000 })
  t.strictSame(madeFields(archived, standingOf(archived, noonMs, rules)), ['Age', '10', 'Cache-Status', 'sallyport; hit; ttl=-10; detail=archive', 'Memento-Datetime', 'Tue, 02 Jan 2001 03:04:05 GMT'])
  t.equal(mementoDatetime(fresh), undefined)
  t.equal(missStatus('not-in-cache'), 'sallyport; detail=not-in-cache')
  t.equal(missStatus('too-old'), 'sallyport; detail=too-old')
})
