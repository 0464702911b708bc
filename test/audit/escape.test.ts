import t from 'tap'
import { escapeText } from '../../src/audit/escape.ts'
import { anyText } from './fixture.ts'
import * as fc from '../support/property.ts'

t.test('control, ANSI, bidi and invisible characters are written as their code points', async (t) => {
  t.equal(escapeText('a\u001b[31mred\r\nb'), 'a\\x1b[31mred\\x0d\\x0ab')
  t.equal(escapeText('\u009b31m\u007f\u0000'), '\\x9b31m\\x7f\\x00')
  t.equal(escapeText('x\u202egnp.exe\u2066\u200f'), 'x\\u{202e}gnp.exe\\u{2066}\\u{200f}')
  t.equal(escapeText('zero\u200bwidth\u2060\ufeff\u00ad'), 'zero\\u{200b}width\\u{2060}\\u{feff}\\xad')
  t.equal(escapeText('\u{e0041}\ud800\u2028'), '\\u{e0041}\\u{d800}\\u{2028}')
})

t.test('ordinary text of any language stays as it is', async (t) => {
  const text = 'denied pastebin.com:443: über 日本語 \u{1f512} "quotes" `ticks`'
  t.equal(escapeText(text), text)
})

t.test('long text is cut where it is told', async (t) => {
  t.equal(escapeText('abcdef', 3), 'abc…')
})

t.test('no text leaves a character that a terminal would act on', async () => {
  fc.assert(
    fc.property(anyText, (text) => {
      return !/[\p{Cc}\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/u.test(escapeText(text))
    }),
  )
})
