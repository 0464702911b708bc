import * as fc from 'fast-check'
import t from 'tap'
import { quoted } from '../../src/target/quoted.ts'

t.test('what is quoted is one visible line of bounded length', async (t) => {
  t.equal(quoted('a.test'), '`a.test`')
  t.equal(quoted('a\r\n\0`\\b'), '`a\\x0d\\x0a\\x00\\x60\\x5cb`')
  t.equal(quoted('\u202ea\xe9'), '`\\u{202e}a\\xe9`')
  t.equal(quoted('x'.repeat(101)), `\`${'x'.repeat(100)}\`...`)
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => /^`[\x20-\x5f\x61-\x7e]*`(\.\.\.)?$/.test(quoted(text))))
})
