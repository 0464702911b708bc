import t from 'tap'
import { authorityOnly, quoted } from '../../src/target/quoted.ts'
import * as fc from '../support/property.ts'

t.test('what is quoted is one visible line of bounded length', async (t) => {
  t.equal(quoted('a.test'), '`a.test`')
  t.equal(quoted('a\r\n\0`\\b'), '`a\\x0d\\x0a\\x00\\x60\\x5cb`')
  t.equal(quoted('\u202ea\xe9'), '`\\u{202e}a\\xe9`')
  t.equal(quoted('x'.repeat(101)), `\`${'x'.repeat(100)}\`...`)
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => /^`[\x20-\x5f\x61-\x7e]*`(\.\.\.)?$/.test(quoted(text))))
})

t.test('user information is blotted out before anything is cut', async (t) => {
  for (const [text, shown] of [
    ['http://bob:hunter2@a.test/x', '`http://***@a.test/x`'],
    ["http://bob:hunter2'x\"@a.test/", '`http://***@a.test/`'],
    ['bob:hun@ter2@a.test:443', '`***@a.test:443`'],
    ['bob:hun/ter2@a.test', '`***`'],
    ['http://bob:hun ter2@a.test/', '`http://***`'],
    ['//bob:hunter2@a.test/', '`//***@a.test/`'],
    ['bob:hunter2%40a.test', '`***@a.test`'],
    ['http://a.test/@scope/x', '`http://a.test/@scope/x`'],
    [`http://bob:${'hunter2'.repeat(3000)}@a.test/`, '`http://***@a.test/`'],
  ] as const) t.equal(quoted(text), shown, text.slice(0, 40))
})

t.test('of a target that could not be parsed the authority stays, without user information', async (t) => {
  for (const [text, shown] of [
    ['https://hooks.test/services/T01/abcd', 'https://hooks.test'],
    ['http://bob:hunter2@a.test:80/x?y#z', 'http://***@a.test:80'],
    ["bob:hunter2'x@a.test:443", '***@a.test:443'],
    ['http://bob:hun/ter2@a.test/', 'http://***'],
    ['http://bob:hun ter2@a.test/', 'http://***'],
    ['http://bob:hun\\ter2@a.test/', 'http://***'],
    ['a.test?key=hunter2', 'a.test'], ['a.test#hunter2', 'a.test'], ['a.test\\hunter2', 'a.test'],
    ['/services/T01', ''], ['//a.test/x', '//a.test'], ['http:/services', 'http:'], ['*', '*'], ['', ''],
    ['gopher://a.test/x', 'gopher://a.test'], ['bob:///hunter2@a.test', '***'], ['bob://hunter2/x@a.test', '***'],
  ] as const) t.equal(authorityOnly(text), shown, text)
})

t.test('no password that stands before an @ is ever shown', async () => {
  const noise = fc.string({ unit: fc.constantFrom('/', '?', '#', '\\', ' ', "'", '"', ':', '@', '%', '4', '0', '.', 'a', '\t'), maxLength: 20 })
  fc.assert(fc.property(fc.constantFrom('', 'http://', '//', 'https://'), noise, noise, fc.constantFrom('@', '@a.test', '@a.test/x'), (scheme, before, after, rest) => {
    const target = `${scheme}bob:${before}HUNTER2${after}${rest}`
    return !quoted(target).includes('HUNTER2') && !authorityOnly(target).includes('HUNTER2')
  }), { numRuns: 3000 })
})
