// What Cache-Control says, and that what cannot be read never hides a directive.
import t from 'tap'
import { readDirectives, says, secondsOf } from '../../../src/cache/live/cache-control.ts'
import * as fc from '../../support/property.ts'
import { flat } from './requests.ts'

const read = (...values: readonly string[]) => readDirectives(flat(...values.map((value) => `Cache-Control: ${value}`)))

t.test('names are read without case, over several fields', async (t) => {
  const directives = read('No-StOrE, foo', 'MAX-age=5')
  t.ok(says(directives, 'no-store'))
  t.ok(says(directives, 'foo'))
  t.equal(secondsOf(directives, 'max-age'), 5)
  t.equal(secondsOf(directives, 's-maxage'), undefined)
  t.ok(directives.isPresent)
  t.notOk(readDirectives([]).isPresent)
})

t.test('seconds are digits, quoted or not, and anything else is invalid', async (t) => {
  for (const [text, seconds] of [['5', 5], ['"5"', 5], ['005', 5], ['99999999999', 2 ** 31], ['-5', 'invalid'], ['5.0', 'invalid'], ['5a', 'invalid'], ['', 'invalid'], ["'5'", 'invalid'], [' 5', 'invalid']] as const) {
    t.equal(secondsOf(read(`max-age=${text}`), 'max-age'), seconds, text)
  }
  t.equal(secondsOf(read('max-age'), 'max-age'), 'invalid')
  t.equal(secondsOf(read('max-age =5'), 'max-age'), 'invalid')
  t.equal(secondsOf(read('max-age=5, max-age=5'), 'max-age'), 5)
  t.equal(secondsOf(read('max-age=5', 'max-age=6'), 'max-age'), 'invalid')
})

t.test('what stands in quotes is no directive', async (t) => {
  const directives = read('x="no-store, max-age=5\\", private", max-age=1')
  t.notOk(says(directives, 'no-store'))
  t.notOk(says(directives, 'private'))
  t.equal(secondsOf(directives, 'max-age'), 1)
  t.notOk(directives.isUnreadable)
})

t.test('a quote that is never closed makes all of it unreadable', async (t) => {
  t.ok(read('max-age=5, x="no-store').isUnreadable)
  t.ok(read('max-age=5', 'x="a\\"').isUnreadable)
})

t.test('no text throws, and none hides a directive that stands alone', async () => {
  fc.assert(fc.property(fc.string(), fc.string(), (before, after) => {
    const directives = read(before, 'no-store', after)
    return directives.isUnreadable || says(directives, 'no-store')
  }))
})
