import t from 'tap'
import { cappedJson, isPlain, jsonNumber, jsonText } from '../../src/audit/json-text.ts'
import { anyText } from './fixture.ts'
import * as fc from '../support/property.ts'

t.test('any text comes back from JSON as it was, and is visible ASCII on the way', async () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const json = jsonText(text)
      return JSON.parse(`"${json}"`) === text && /^[\x20-\x7e]*$/.test(json) && isPlain(text) === (json === text)
    }),
  )
})

t.test('plain text is handed back, and only what must be is escaped', async (t) => {
  t.equal(jsonText("GET /a?b=c {d} 'e'"), "GET /a?b=c {d} 'e'")
  t.equal(jsonText('"\\\n\u007fé\ud800'), '\\"\\\\\\n\\u007f\\u00e9\\ud800')
  t.equal(cappedJson('ab"cd', 3), 'ab\\"')
})

t.test('a number that JSON has no word for is null', async (t) => {
  t.strictSame([443, -1.5, 0.1 + 0.2, Number.NaN, Number.NEGATIVE_INFINITY].map(jsonNumber), ['443', '-1.5', '0.30000000000000004', 'null', 'null'])
})
