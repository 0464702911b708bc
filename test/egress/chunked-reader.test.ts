// The chunked coding read strictly, in whatever pieces it comes, and not a byte further.
import t from 'tap'
import { ChunkedReader } from '../../src/egress/chunked-reader.ts'
import { ProxyError } from '../../src/errors.ts'
import * as fc from '../support/property.ts'

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1')

interface Reading {
  readonly content: string
  readonly trailers: readonly string[]
  readonly isDone: boolean
  /** bytes that were not taken */
  readonly left: string
}

/** `text` in pieces of these lengths, and the rest in one. */
function read(text: string, lengths: readonly number[] = [], maxTrailerBytes = 1000): Reading {
  const reader = new ChunkedReader(maxTrailerBytes)
  let content = ''
  let rest = text
  for (const length of [...lengths, text.length]) {
    const piece = latin1(rest.slice(0, length))
    const end = reader.read(piece, 0, (bytes) => (content += bytes.toString('latin1')))
    rest = rest.slice(end)
    if (reader.isDone) break
  }
  return { content, trailers: reader.trailers, isDone: reader.isDone, left: rest }
}

const coded = (chunks: readonly string[], trailers = ''): string => `${chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('')}0\r\n${trailers}\r\n`

t.test('content and trailers are the same in whatever pieces they come, and what is behind is left', async (t) => {
  const byte = fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code))
  const chunk = fc.string({ unit: byte, minLength: 1, maxLength: 60 })
  const trailers = fc.array(fc.tuple(fc.constantFrom('X-A', 'x-b'), fc.constantFrom('', 'a', 'a b', 'caf\xe9', '\xa0')), { maxLength: 3 })
  fc.assert(fc.property(fc.array(chunk, { maxLength: 6 }), trailers, fc.string({ unit: byte, maxLength: 20 }), fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 60 }), (chunks, fields, behind, lengths) => {
    const text = coded(chunks, fields.map(([name, value]) => `${name}:\t${value} \r\n`).join('')) + behind
    t.strictSame(read(text, lengths), { content: chunks.join(''), trailers: fields.flat(), isDone: true, left: behind })
  }))
})

t.test('sizes are hexadecimal in either case, with zeros before, and extensions are dropped', async (t) => {
  for (const size of ['a', 'A', '0a', '0000000000000000000000000a', 'a;x', 'a;x=y', 'a;x="y z";q', 'a;x;y=z']) {
    t.strictSame(read(`${size}\r\n0123456789\r\n0\r\n\r\n`), { content: '0123456789', trailers: [], isDone: true, left: '' }, size)
  }
  t.strictSame(read(`fffffffffff\r\nabc`), { content: 'abc', trailers: [], isDone: false, left: '' })
})

t.test('what is not exactly the coding is refused, also when it comes byte by byte', async (t) => {
  const refused: Readonly<Record<string, string>> = {
    'no size': '\r\n', 'a blank': ' \r\n', 'a blank before': ' 1\r\nx\r\n0\r\n\r\n', 'a blank behind': '1 \r\nx\r\n0\r\n\r\n', 'a tab behind': '1\t\r\nx\r\n0\r\n\r\n', '0x': '0x1\r\nx\r\n0\r\n\r\n',
    'a sign': '+1\r\nx\r\n0\r\n\r\n', 'a minus': '-1\r\nx\r\n', 'no number': 'g\r\n', 'an underscore': '1_0\r\n', 'too large': '1000000000000\r\n', 'a size of 17 digits': 'fffffffffffffffff\r\n', 'a size without an end': '0'.repeat(5000),
    'a bare LF behind a size': '1\nx\r\n0\r\n\r\n', 'a bare CR': '1\rx\r\n0\r\n\r\n', 'two CR': '1\r\r\nx\r\n0\r\n\r\n', 'an extension without a name': '1;\r\nx\r\n0\r\n\r\n', 'NUL in an extension': '1;a\0\r\nx\r\n0\r\n\r\n', 'a line end in an extension': '1;a="\n"\r\nx\r\n0\r\n\r\n',
    'more than the size': '1\r\nxy\r\n0\r\n\r\n', 'a bare LF behind a chunk': '1\r\nx\n0\r\n\r\n', 'a CR behind a chunk': '1\r\nx\r0\r\n\r\n', 'nothing behind a chunk': '1\r\nx0\r\n\r\n',
    'a trailer without a colon': '0\r\nx\r\n\r\n', 'a trailer without a name': '0\r\n: x\r\n\r\n', 'a folded trailer': '0\r\nA: x\r\n y\r\n\r\n', 'a blank before the colon': '0\r\nA : x\r\n\r\n', 'NUL in a trailer': '0\r\nA: \0\r\n\r\n', 'CR in a trailer': '0\r\nA: x\ry\r\n\r\n',
    'a bare LF behind a trailer': '0\r\nA: x\n\r\n', 'a bare LF at the end': '0\r\n\n', 'Content-Length in the trailers': '0\r\ncontent-length: 5\r\n\r\n', 'trailers that are too long': `0\r\n${'A: x\r\n'.repeat(200)}\r\n`, 'a trailer that is too long': `0\r\nA: ${'x'.repeat(1000)}\r\n\r\n`, 'a trailer without an end': `0\r\nA: ${'x'.repeat(2000)}`,
  }
  for (const [what, text] of Object.entries(refused)) {
    for (const lengths of [[], Array.from({ length: text.length }, () => 1)]) {
      try {
        read(text, lengths)
        t.fail(what)
      } catch (error) {
        t.equal(error instanceof ProxyError ? error.code : error, 'origin_protocol_error', what)
      }
    }
  }
})

t.test('what is not whole is not done', async (t) => {
  const text = coded(['hello', 'world'], 'A: x\r\n')
  for (let length = 0; length < text.length; length++) t.equal(read(text.slice(0, length)).isDone, false, String(length))
  t.equal(read(text).isDone, true)
})

t.test('a trailer that no field is takes no time that grows with the square of its length', async (t) => {
  const long = `0\r\nA:${' '.repeat(500_000)}\0\r\n\r\n`
  t.throws(() => read(long, [], 1_000_000))
  t.throws(() => read(`0\r\n${'a'.repeat(500_000)}\0: x\r\n\r\n`, [], 1_000_000))
  t.throws(() => read(`1;${'a=b;'.repeat(900)}\0\r\n`))
})
