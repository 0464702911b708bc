import t from 'tap'
import { cellWidth, fit, pad, table, wrap } from '../../src/cli/cells.ts'
import * as fc from '../support/property.ts'

const text = fc.stringMatching(/^[a-z 日語👍]{0,60}$/u)

t.test('wide letters take two cells and combining marks none', async (t) => {
  t.same(['', 'abc', '日本', 'e\u0301', '👍'].map(cellWidth), [0, 3, 4, 1, 2])
})

t.test('what is cut fits and says that it is cut', async (t) => {
  t.same([fit('abcdef', 4), fit('日本語', 4), fit('abc', 3), fit('abc', 0)], ['abc…', '日…', 'abc', ''])
  fc.assert(fc.property(text, fc.integer({ min: 0, max: 40 }), (given, width) => cellWidth(fit(given, width)) <= width && cellWidth(pad(given, width)) === width))
})

t.test('wrapping loses no word and keeps to the width', async (t) => {
  t.same(wrap('one two three', 7), ['one two', 'three'])
  t.same(wrap('abcdefgh', 3), ['abc', 'def', 'gh'])
  t.same(wrap('', 5), [''])
  fc.assert(fc.property(text, fc.integer({ min: 2, max: 30 }), (given, width) => {
    const lines = wrap(given, width)
    return lines.every((line) => cellWidth(line) <= width) && lines.join('').replaceAll(' ', '') === given.replaceAll(' ', '')
  }))
})

t.test('a table lines up and escapes what is in it', async (t) => {
  t.equal(table(['A', 'B'], [['日本', 'x\u001b'], ['abc', 'y']]), 'A     B\n日本  x\\x1b\nabc   y\n')
})
