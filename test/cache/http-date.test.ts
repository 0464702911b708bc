// The three forms of a date, and nothing else.
import t from 'tap'
import { httpDate, readHttpDate } from '../../src/cache/http-date.ts'
import * as fc from '../support/property.ts'
import { noonMs } from './entries.ts'

t.test('all three forms are read', async (t) => {
  for (const text of ['Sun, 06 Nov 1994 08:49:37 GMT', 'Sunday, 06-Nov-94 08:49:37 GMT', 'Sun Nov  6 08:49:37 1994']) t.equal(readHttpDate(text, noonMs), 784111777000, text)
  t.equal(readHttpDate('Sunday, 06-Nov-76 08:49:37 GMT', noonMs), Date.UTC(2076, 10, 6, 8, 49, 37), 'fifty years ahead')
  t.equal(readHttpDate('Sunday, 06-Nov-77 08:49:37 GMT', noonMs), Date.UTC(1977, 10, 6, 8, 49, 37))
  t.equal(readHttpDate('Sun, 06 Nov 1994 08:49:60 GMT', noonMs), Date.UTC(1994, 10, 6, 8, 49, 59), 'a leap second')
})

t.test('what is written is read back', async () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 253402300799 }), (seconds) => readHttpDate(httpDate(seconds * 1000), noonMs) === seconds * 1000))
})

t.test('anything else is no date', async (t) => {
  for (const text of ['', '0', '-1', 'now', '2026-11-21T12:00:00Z', 'Sun, 6 Nov 1994 08:49:37 GMT', 'Sun, 06 Nov 94 08:49:37 GMT', 'Sun, 06 Nov 1994 08:49:37 +0000', 'Sun, 06 nov 1994 08:49:37 GMT', 'Sun, 31 Feb 1994 08:49:37 GMT', 'Sun, 00 Nov 1994 08:49:37 GMT', 'Sun, 06 Nov 1994 24:49:37 GMT', 'Sun, 06 Nov 1994 08:60:37 GMT', 'Sun, 06 Nov 1994 08:49:61 GMT', ' Sun, 06 Nov 1994 08:49:37 GMT', 'Sun, 06 Nov 1994 08:49:37 GMT\n', 'Son, 06 Nov 1994 08:49:37 GMT']) {
    t.equal(readHttpDate(text, noonMs), undefined, text)
  }
})
