// The three forms of HTTP-date, and nothing that only looks like one.
import t from 'tap'
import { parseHttpDate } from '../../../src/cache/live/http-date.ts'
import * as fc from '../../support/property.ts'
import { nowMs } from './requests.ts'

const at = Date.UTC(1994, 10, 6, 8, 49, 37)

t.test('all three forms are read', async (t) => {
  for (const text of ['Sun, 06 Nov 1994 08:49:37 GMT', 'Sunday, 06-Nov-94 08:49:37 GMT', 'Sun Nov  6 08:49:37 1994', 'sun, 06 nov 1994 08:49:37 gmt']) t.equal(parseHttpDate(text, nowMs), at, text)
})

t.test('two digits of a year are of the last 50 years or the next', async (t) => {
  t.equal(parseHttpDate('Sunday, 06-Nov-76 08:49:37 GMT', nowMs), Date.UTC(2076, 10, 6, 8, 49, 37))
  t.equal(parseHttpDate('Sunday, 06-Nov-77 08:49:37 GMT', nowMs), Date.UTC(1977, 10, 6, 8, 49, 37))
})

t.test('what is no HTTP-date is none', async (t) => {
  for (const text of ['', '0', '-1', 'Sun 06 Nov 1994 08:49:37 GMT', 'Sun, 06 Nov 1994 08:49:37 UTC', 'Sun, 06 Nov 1994 08:49:37 +0000', 'Sun, 06 Nov 94 08:49:37 GMT', 'Sun, 06  Nov 1994 08:49:37 GMT',
    'Sun, 31 Feb 1994 08:49:37 GMT', 'Sun, 06 Foo 1994 08:49:37 GMT', 'Sun, 06 Nov 1994 24:49:37 GMT', 'Sun, 06 Nov 1994 8:49:37 GMT', '1994-11-06T08:49:37Z', 'Sun, 06 Nov 1994 08:49:37 GMT ']) {
    t.equal(parseHttpDate(text, nowMs), undefined, text)
  }
})

t.test('what is written is read', async () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 253_402_300_799 }), (seconds) => parseHttpDate(new Date(seconds * 1000).toUTCString(), nowMs) === seconds * 1000))
})
