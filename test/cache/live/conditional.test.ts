// Conditions of clients judged by what is kept, and the conditions that are sent to confirm it.
import t from 'tap'
import { confirming, isConfirmedBy, isNotModified, isRangeOfSame } from '../../../src/cache/live/conditional.ts'
import { date, flat, head } from './requests.ts'

const kept = head(['ETag: "a"', `Last-Modified: ${date(-60)}`, `Date: ${date()}`])

t.test('a client has it already when a tag or the date says so, and tags come first', async (t) => {
  const cases: readonly (readonly [readonly string[], boolean])[] = [
    [['If-None-Match: "a"'], true], [['If-None-Match: W/"a"'], true], [['If-None-Match: "b", "a"'], true], [['If-None-Match: "b"', 'If-None-Match: "a"'], true], [['If-None-Match: *'], true],
    [['If-None-Match: "b"'], false], [['If-None-Match: a'], false], [['If-None-Match: "b, \\"a\\""'], false], [['If-None-Match: "b'], false],
    [['If-None-Match: "b"', `If-Modified-Since: ${date()}`], false], [[`If-Modified-Since: ${date(-60)}`], true], [[`If-Modified-Since: ${date(-61)}`], false], [['If-Modified-Since: x'], false], [[], false],
  ]
  for (const [lines, wanted] of cases) t.equal(isNotModified(kept, flat(...lines)), wanted, lines.join())
  t.notOk(isNotModified(head(['ETag: "a"'], 404), flat('If-None-Match: "a"')))
  t.notOk(isNotModified(head([`Date: ${date()}`]), flat(`If-Modified-Since: ${date()}`)))
})

t.test('a range is cut only from the same content, by strong comparison', async (t) => {
  t.ok(isRangeOfSame(kept, []))
  t.ok(isRangeOfSame(kept, flat('If-Range: "a"')))
  t.notOk(isRangeOfSame(kept, flat('If-Range: "b"')))
  t.notOk(isRangeOfSame(head(['ETag: W/"a"']), flat('If-Range: W/"a"')))
  t.ok(isRangeOfSame(kept, flat(`If-Range: ${date(-60)}`)))
  t.notOk(isRangeOfSame(kept, flat(`If-Range: ${date(-59)}`)))
  t.notOk(isRangeOfSame(head([`Last-Modified: ${date()}`, `Date: ${date()}`]), flat(`If-Range: ${date()}`)), 'changed within the second')
})

t.test('what confirms is the kept validators in place of the client\'s', async (t) => {
  t.same(confirming(kept, flat('If-None-Match: "x"', 'If-Modified-Since: y', 'Foo: 1')), ['Foo', '1', 'If-None-Match', '"a"', 'If-Modified-Since', date(-60)])
  t.equal(confirming(head(['Foo: 1']), []), undefined)
  t.equal(confirming(head(['Last-Modified: soon']), []), undefined)
})

t.test('a 304 confirms what it names, or what was asked about', async (t) => {
  t.ok(isConfirmedBy(kept.fields, flat('ETag: "a"')))
  t.ok(isConfirmedBy(kept.fields, flat('ETag: W/"a"')))
  t.ok(isConfirmedBy(kept.fields, []))
  t.notOk(isConfirmedBy(kept.fields, flat('ETag: "b"')))
  t.notOk(isConfirmedBy(flat(`Last-Modified: ${date()}`), flat(`Last-Modified: ${date(-1)}`)))
  t.notOk(isConfirmedBy(flat(`Last-Modified: ${date()}`), flat('ETag: "a"')))
})
