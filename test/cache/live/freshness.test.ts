// How long an answer is fresh and how old it is, by RFC 9111 section 4.2.
import t from 'tap'
import { currentAgeMs, initialAgeMs, lifetimeMs } from '../../../src/cache/live/freshness.ts'
import { date, flat, head, nowMs } from './requests.ts'

t.test('the first that says something counts: s-maxage, max-age, Expires, and a guess', async (t) => {
  const changed = `Last-Modified: ${date(-1000)}`
  const cases: readonly (readonly [readonly string[], number, number?])[] = [
    [['Cache-Control: s-maxage=1, max-age=5', `Expires: ${date(60)}`], 1],
    [['Cache-Control: max-age=5', `Expires: ${date(60)}`], 5],
    [[`Expires: ${date(60)}`, `Date: ${date()}`], 60],
    [[`Expires: ${date(60)}`, `Date: ${date(20)}`], 40],
    [[`Expires: ${date(60)}`, 'Date: foo'], 60],
    [[`Expires: ${date(-60)}`, `Date: ${date()}`], 0],
    [['Expires: 0', changed], 0],
    [[`Expires: ${date(60)}`, `Expires: ${date(61)}`], 0],
    [['Cache-Control: max-age=x', `Expires: ${date(60)}`], 0],
    [['Cache-Control: s-maxage=x, max-age=60'], 0],
    [[changed, `Date: ${date()}`], 100],
    [[changed], 100],
    [[`Last-Modified: ${date(-100 * 24 * 3600)}`], 24 * 3600],
    [[`Last-Modified: ${date(10)}`], 0],
    [[changed], 100, 404],
    [[changed], 0, 403],
    [[changed, 'Cache-Control: public'], 100, 403],
    [[], 0],
  ]
  for (const [lines, seconds, status = 200] of cases) t.equal(lifetimeMs(head(lines, status)), seconds * 1000, `${status} ${lines.join('; ')}`)
})

t.test('age is what Age says or Date shows, whichever is more, and grows', async (t) => {
  t.equal(initialAgeMs(flat('Age: 30'), nowMs - 2000, nowMs), 32_000)
  t.equal(initialAgeMs(flat(`Date: ${date(-60)}`, 'Age: 30'), nowMs, nowMs), 60_000)
  t.equal(initialAgeMs(flat(`Date: ${date(60)}`), nowMs, nowMs), 0)
  t.equal(initialAgeMs([], nowMs, nowMs), 0)
  t.equal(currentAgeMs({ storedMs: nowMs, initialAgeMs: 500 }, nowMs + 250), 750)
  t.equal(currentAgeMs({ storedMs: nowMs, initialAgeMs: 500 }, nowMs - 250), 500)
})

t.test('an Age that is no number is none', async (t) => {
  for (const lines of [['Age: x'], ['Age: -1'], ['Age: 1.0'], ['Age: 0, 0'], ['Age: 0', 'Age: 0'], ['Age: ']]) t.equal(initialAgeMs(flat(...lines), nowMs, nowMs), undefined, lines.join())
})
