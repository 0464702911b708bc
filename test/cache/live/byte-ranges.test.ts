// One range of bytes, cut as RFC 9110 section 14 says.
import t from 'tap'
import { isOneRange, rangeOf } from '../../../src/cache/live/byte-ranges.ts'
import * as fc from '../../support/property.ts'

t.test('one range is known, anything else is not', async (t) => {
  for (const text of ['bytes=0-0', 'bytes=5-', 'bytes=-5', 'BYTES=1-2', ' bytes=1-2 ']) t.ok(isOneRange(text), text)
  for (const text of ['', 'bytes=', 'bytes=-', 'bytes=2-1', 'bytes=0-1,3-4', 'bytes=0-1, 3-4', 'items=0-1', 'bytes 0-1', 'bytes=a-b', 'bytes=0-1x', `bytes=0-${'9'.repeat(16)}`]) t.notOk(isOneRange(text), text)
})

t.test('a range is what slicing gives', async (t) => {
  t.same(rangeOf('bytes=0-99', 10), { first: 0, last: 9 })
  t.same(rangeOf('bytes=-99', 10), { first: 0, last: 9 })
  t.equal(rangeOf('bytes=10-', 10), undefined)
  t.equal(rangeOf('bytes=-0', 10), undefined)
  t.equal(rangeOf('bytes=-1', 0), undefined)
  fc.assert(fc.property(fc.nat(50), fc.nat(60), fc.nat(60), (length, first, more) => {
    const text = Array.from({ length }, (_each, i) => String.fromCodePoint(97 + (i % 26))).join('')
    const range = rangeOf(`bytes=${first}-${first + more}`, length)
    return first >= length ? range === undefined : range !== undefined && text.slice(range.first, range.last + 1) === text.slice(first, first + more + 1)
  }))
  fc.assert(fc.property(fc.nat(50), fc.integer({ min: 1, max: 60 }), (length, suffix) => {
    const range = rangeOf(`bytes=-${suffix}`, length)
    return length === 0 ? range === undefined : range?.first === Math.max(0, length - suffix) && range.last === length - 1
  }))
})
