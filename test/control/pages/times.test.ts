// Times for people: spans, dates with their zone, and what the script counts on from.
import t from 'tap'
import { ago, dateText, since, spanText, until } from '../../../src/control/pages/times.ts'

const nowMs = Date.UTC(2026, 10, 20, 14, 32, 5)

t.test('a span is rounded down to its largest unit', async (t) => {
  t.same([-5, 0, 59_999, 60_000, 3_599_999, 3_600_000, 172_799_999, 172_800_000].map(spanText), ['0 s', '0 s', '59 s', '1 min', '59 min', '1 h', '47 h', '2 d'])
})

t.test('a date says its zone', async (t) => {
  t.equal(dateText(nowMs), '2026-11-20 14:32:05 UTC')
})

t.test('a moment carries what the script counts on from', async (t) => {
  t.match(ago(nowMs - 12_000, nowMs).toString(), new RegExp(`datetime="2026-11-20T14:31:53.000Z".*data-since="${nowMs - 12_000}" data-suffix=" ago">12 s ago<`))
  t.match(since(nowMs - 12_000, nowMs).toString(), '>12 s<')
})

t.test('an end is a date and how far it is', async (t) => {
  t.match(until(nowMs + 180_000, nowMs).toString(), '2026-11-20 14:35:05 UTC</time>, in 3 min')
  t.match(until(nowMs, nowMs).toString(), ', now')
})
