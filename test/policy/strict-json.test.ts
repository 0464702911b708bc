// The strict reader of JSON: it takes what everybody reads alike, as JSON.parse does, and nothing else.
import t from 'tap'
import { isJsonArray, isJsonObject, readStrictJson } from '../../src/policy/strict-json.ts'
import type { JsonValue } from '../../src/policy/strict-json.ts'
import * as fc from '../support/property.ts'

const utf8 = new TextEncoder()

function read(text: string) {
  return readStrictJson(utf8.encode(text))
}

/** As JSON.parse has it. */
function plain(value: JsonValue): unknown {
  if (isJsonArray(value)) return value.map(plain)
  if (!isJsonObject(value)) return value
  return Object.fromEntries([...value].map(([key, each]) => [key, plain(each)]))
}

function parsed(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) }
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

t.test('whatever JSON.stringify writes is read as JSON.parse reads it', async (t) => {
  fc.assert(fc.property(fc.json({ maxDepth: 6 }), fc.constantFrom(undefined, 2, '\t'), (text, space) => {
    const value: unknown = JSON.parse(text)
    const written = JSON.stringify(value, null, space)
    const answer = read(written)
    if ('unreadable' in answer) t.fail(`${answer.unreadable}: ${written}`)
    else t.strictSame(plain(answer.value), JSON.parse(written), { diagnostic: false })
  }), { numRuns: 500 })
})

const pieces = ['{', '}', '[', ']', ',', ':', '"a"', '"\\u0061"', '"b"', '"', '\\', '1', '-', '0', '01', '.5', '1.', '1e5', '1E+', 'true', 'null', 'nul', 'NaN', 'Infinity', ' ', '\n', '\u00a0', '\ufeff', '\u0001', '\u007f', "'a'", '//', '/**/', '\\ud83d', 'é', '"\\ud83d\\ude00"', '"\\ude00"', '"\\x"', '"\\u12g4"']

t.test('it takes nothing that JSON.parse does not take', async (t) => {
  let taken = 0
  fc.assert(fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 12 }), (parts) => {
    const text = parts.join('')
    const answer = read(text)
    if ('unreadable' in answer) return
    taken++
    const other = parsed(text)
    if (other === undefined) t.fail(`taken: ${JSON.stringify(text)}`)
    else t.strictSame(plain(answer.value), other.value, text)
  }), { numRuns: 5_000 })
  t.ok(taken > 20, 'some of them are JSON')
})

t.test('what JSON.parse takes and it does not is a key twice, half a character or too deep', async (t) => {
  fc.assert(fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 12 }), (parts) => {
    const text = parts.join('')
    const answer = read(text)
    if (parsed(text) === undefined || !('unreadable' in answer)) return
    t.match(answer.unreadable, /twice|half a character/, text)
  }), { numRuns: 5_000 })
})

const unreadable: readonly (readonly [string, string | Uint8Array, RegExp])[] = [
  ['a key twice', '{"tools":[],"tools":[]}', /twice/],
  ['a key twice, once by an escape', '{"tools":[],"\\u0074ools":[]}', /twice/],
  ['a key twice, far inside', '[[{"a":{"b":1,"b":2}}]]', /twice/],
  ['a byte order mark', '\ufeff{}', /missing/],
  ['bytes behind the value', '{}{}', /follows/],
  ['a NUL behind the value', '{}\0', /follows/],
  ['NaN', '[NaN]', /missing/],
  ['Infinity', '[-Infinity]', /missing/],
  ['a comment', '{/**/}', /missing/],
  ['a trailing comma', '[1,]', /missing/],
  ['single quotes', "{'a':1}", /missing/],
  ['a leading zero', '[01]', /does not end/],
  ['a leading plus', '[+1]', /missing/],
  ['an end too early', '{"a":', /early/],
  ['nothing', '', /early/],
  ['a control character in a string', '"a\u0001"', /control/],
  ['a newline in a string', '"a\n"', /control/],
  ['half a character', '"\\ud800"', /half/],
  ['halves in the wrong order', '"\\ude00\\ud83d"', /half/],
  ['half a character in a key', '{"\\ud800":1}', /half/],
  ['an unknown escape', '"\\x41"', /escape/],
  ['a short escape', '"\\u41"', /escape/],
  ['bytes that are not UTF-8', Uint8Array.of(0x22, 0xff, 0x22), /UTF-8/],
  ['an overlong form', Uint8Array.of(0x22, 0xc1, 0xa1, 0x22), /UTF-8/],
  ['a surrogate in UTF-8', Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22), /UTF-8/],
  ['UTF-16', Uint8Array.of(0x7b, 0, 0x7d, 0), /missing/],
]

t.test('what some readers take and others do not is unreadable', async (t) => {
  for (const [name, content, why] of unreadable) {
    const answer = typeof content === 'string' ? read(content) : readStrictJson(content)
    t.match('unreadable' in answer ? answer.unreadable : 'read', why, name)
  }
})

t.test('a key has no special meaning', async (t) => {
  const answer = read('{"__proto__":{"a":1},"constructor":2}')
  t.ok('value' in answer && isJsonObject(answer.value) && isJsonObject(answer.value.get('__proto__')) && answer.value.get('constructor') === 2)
})

t.test('depth is bounded', async (t) => {
  t.ok('value' in read('['.repeat(256) + ']'.repeat(256)))
  t.match(read('['.repeat(257) + ']'.repeat(257)), { unreadable: /deep/ })
  t.match(read('{"a":'.repeat(100_000)), { unreadable: /deep/ })
  t.match(readStrictJson(utf8.encode('[[]]'), { depth: 1, values: 9 }), { unreadable: /more than 1 deep/ })
})

t.test('values are counted', async (t) => {
  const limits = { depth: 9, values: 4 }
  t.ok('value' in readStrictJson(utf8.encode('[1,{"a":2}]'), limits))
  t.match(readStrictJson(utf8.encode('[1,{"a":2},3]'), limits), { unreadable: /more than 4 values/ })
  t.match(read(`[${'0,'.repeat(500_000)}0]`), { unreadable: /more than 500000 values/ })
})

t.test('long strings, many escapes and many keys are read whole', async (t) => {
  const text = JSON.stringify({ long: 'x'.repeat(2_000_000), escapes: '\n'.repeat(200_000), keys: Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`k${i}`, i])) })
  const answer = read(text)
  t.ok('value' in answer)
  if ('value' in answer) t.strictSame(plain(answer.value), JSON.parse(text), { diagnostic: false })
})
