// Which requests one answer does for.
import t from 'tap'
import { isSelected, selectingFields } from '../../../src/cache/live/vary.ts'
import * as fc from '../../support/property.ts'
import { flat } from './requests.ts'

const selects = (vary: string, first: readonly string[], second: readonly string[]): boolean => {
  const selecting = selectingFields(flat(`Vary: ${vary}`), flat(...first))
  return selecting !== undefined && isSelected(selecting, flat(...second))
}

t.test('a request does when it says the same in what Vary names', async (t) => {
  t.ok(selects('Foo', ['Foo: 1', 'Bar: 1'], ['foo: 1', 'Bar: 2']))
  t.ok(selects('Foo, Bar', ['Foo: 1'], ['Foo: 1']))
  t.ok(selects('Foo', ['Foo: 1, 2'], ['Foo: 1', 'Foo:  2 ']))
  t.ok(selects('Foo', ['Foo: "a,b", c'], ['Foo: "a,b",c']))
  t.notOk(selects('Foo', ['Foo: 1'], ['Foo: 2']))
  t.notOk(selects('Foo', ['Foo: a'], ['Foo: A']))
  t.notOk(selects('Foo', ['Foo: 1'], []))
  t.notOk(selects('Foo', [], ['Foo: 1']))
  t.notOk(selects('Foo', [], ['Foo:']))
  t.notOk(selects('Foo', ['Foo: 1, 2'], ['Foo: 2, 1']))
  t.notOk(selects('Foo', ['Foo: "a,b"'], ['Foo: "a, b"']))
})

t.test('order, case and blanks do not count where they say nothing', async (t) => {
  t.ok(selects('Accept-Language', ['Accept-Language: en, de;q=0.5'], ['Accept-Language: DE; q=0.5 ,en']))
  t.ok(selects('accept-encoding', ['Accept-Encoding: gzip, br'], ['Accept-Encoding: br,GZIP']))
  t.notOk(selects('Accept-Encoding', ['Accept-Encoding: gzip;q=0, br'], ['Accept-Encoding: gzip, br']))
})

t.test('nothing does for an answer that varies by what no request shows, or by too much', async (t) => {
  for (const vary of ['*', 'Foo, *', ', *', '*, *', Array.from({ length: 17 }, (_each, i) => `X-${i}`).join()]) t.equal(selectingFields(flat(`Vary: ${vary}`), []), undefined, vary)
  t.equal(selectingFields(flat('Vary: Foo', 'Vary: *'), []), undefined)
})

t.test('every request does for the answer it was given', async () => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.constantFrom('Foo', 'Accept-Language', 'Bar'), fc.string())), (pairs) => {
    const request = pairs.flat()
    const selecting = selectingFields(['Vary', 'foo, ACCEPT-LANGUAGE'], request)
    return selecting !== undefined && isSelected(selecting, request)
  }))
})
