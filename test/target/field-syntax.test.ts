// Names and values of fields, byte by byte.
import t from 'tap'
import { afterBlanks, isFieldValue, isToken, isTrimmedFieldValue, withoutBlanks } from '../../src/target/field-syntax.ts'

const bytes = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code))

t.test('a token is made of the characters of RFC 9110 and is not empty', async (t) => {
  const taken = bytes.filter((each) => isToken(each)).join('')
  t.equal(taken, "!#$%&'*+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcdefghijklmnopqrstuvwxyz|~")
  for (const wrong of ['', 'a b', 'a\n', 'a:', '\u0141']) t.equal(isToken(wrong), false, JSON.stringify(wrong))
})

t.test('a field value holds tabs and no other control character, and no character that is no byte', async (t) => {
  t.strictSame(bytes.filter((each) => !isFieldValue(`a${each}b`)), bytes.filter((_, code) => (code < 0x20 && code !== 9) || code === 0x7f))
  t.equal(isFieldValue(''), true)
  for (const wrong of ['a\n', '\r\na', 'a\u0141']) t.equal(isFieldValue(wrong), false, JSON.stringify(wrong))
})

t.test('one that is trimmed is not empty, and has nothing blank at its ends', async (t) => {
  for (const right of ['a', 'a b', 'a\tb', '\xe9']) t.equal(isTrimmedFieldValue(right), true, JSON.stringify(right))
  for (const wrong of ['', ' ', ' a', 'a ', '\ta', 'a\t', 'a\n', 'a\nb', 'a\0b', '\u0141']) t.equal(isTrimmedFieldValue(wrong), false, JSON.stringify(wrong))
})

t.test('spaces and tabs go from around a part of a text, and from nowhere else', async (t) => {
  t.equal(withoutBlanks('x: \t a \t b\t \r', 2, 12), 'a \t b')
  t.equal(withoutBlanks('x: \t ', 2, 5), '')
  t.equal(withoutBlanks('\xa0a\v', 0, 3), '\xa0a\v')
  t.equal(afterBlanks(': \ta', 1, 4), 3)
  t.equal(afterBlanks(':   ', 1, 3), 3)
})
