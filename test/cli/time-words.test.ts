import t from 'tap'
import { durationMs, point, readDuration, readPast, readPoint, span } from '../../src/cli/time-words.ts'

const now = Date.parse('2027-03-01T12:00:00Z')

t.test('durations are as the API takes them', async (t) => {
  t.same(['30s', '15m', '8h', '7d'].map((text) => durationMs('--ttl', text)), [30_000, 900_000, 28_800_000, 604_800_000])
  for (const text of ['', '8', '0s', '1.5h', '8 h', '-1h', '1w', '8H']) t.throws(() => readDuration('--ttl', text), { name: 'UsageError' }, text)
})

t.test('a point in time is read with its zone, and may not be past', async (t) => {
  t.equal(readPoint('--until', '2027-03-01T18:00Z', now), '2027-03-01T18:00:00.000Z')
  t.equal(readPoint('--until', '2027-03-01 18:00:30+02:00', now), '2027-03-01T16:00:30.000Z')
  for (const text of ['soon', '2027-03-01T11:59:59Z', '2027-13-01', '1', '2027-03-01T25:00Z']) t.throws(() => readPoint('--until', text, now), { name: 'UsageError' }, text)
})

t.test('spans are short and never negative', async (t) => {
  t.same([-5, 0, 99_000, 100_000, 7_200_000, 100 * 3_600_000].map(span), ['0 s', '0 s', '99 s', '1 min', '2 h', '4 d'])
  t.equal(point(now), '2027-03-01 12:00Z')
})

t.test('a point in the past is a time, or how long ago', async (t) => {
  t.equal(readPast('--since', '2h', now), Date.parse('2027-03-01T10:00:00Z'))
  t.equal(readPast('--since', '2027-02-28T18:00Z', now), Date.parse('2027-02-28T18:00:00Z'))
  for (const text of ['', 'yesterday', '2h ago', '-2h', '2027-13-01']) t.throws(() => readPast('--since', text, now), { name: 'UsageError', message: /--since/ }, text)
})
