// Durations of the control API: a whole number and one unit.
import t from 'tap'
import { parseDuration } from '../../src/approvals/duration.ts'
import * as fc from '../support/property.ts'

t.test('a number and a unit are milliseconds', async (t) => {
  for (const [text, ms] of [['30s', 30_000], ['15m', 900_000], ['8h', 28_800_000], ['7d', 604_800_000], ['1s', 1000]] as const) t.equal(parseDuration(text), ms, text)
})

t.test('everything else is none', async (t) => {
  for (const text of ['', '0s', '01s', '-1s', '1', 's', '1.5h', '1 h', '1h ', '1H', '1ms', '1w', '1h30m', '99999999s', '1e3s', '١s', '1s\n']) t.equal(parseDuration(text), undefined, JSON.stringify(text))
})

t.test('what is written is what is read', async () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 9_999_999 }), fc.constantFrom('s', 'm', 'h', 'd'), (amount, unit) => {
    const ms = parseDuration(`${amount}${unit}`)
    return ms !== undefined && ms % amount === 0 && ms / amount === { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[unit]
  }))
})
