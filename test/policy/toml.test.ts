import assert from 'node:assert/strict'
import iarna from '@iarna/toml'
import { stringify } from 'smol-toml'
import t from 'tap'
import { Positions } from '../../src/policy/positions.ts'
import type { Path } from '../../src/policy/positions.ts'
import { parseToml } from '../../src/policy/toml.ts'
import { readGroups } from './case-files.ts'
import * as fc from '../support/property.ts'

const scalar = fc.oneof(fc.string({ maxLength: 8 }), fc.string({ unit: 'grapheme', maxLength: 4 }), fc.integer(), fc.boolean())
const key = fc.oneof(fc.stringMatching(/^[a-z_-]{1,6}$/), fc.string({ minLength: 1, maxLength: 4 })).filter((text) => text !== '__proto__')
const { document } = fc.letrec<{ value: unknown; table: Record<string, unknown>; document: Record<string, unknown> }>((tie) => ({
  value: fc.oneof({ maxDepth: 3 }, scalar, fc.array(fc.string({ maxLength: 4 }), { maxLength: 4 }), tie('table'), fc.array(tie('table'), { minLength: 1, maxLength: 3 })),
  table: fc.dictionary(key, tie('value'), { maxKeys: 4 }),
  document: fc.dictionary(key, tie('value'), { maxKeys: 5 }),
}))

function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}

function* leaves(value: unknown, path: Path): Generator<{ readonly path: Path; readonly value: string | number | boolean }> {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') yield { path, value }
  else if (Array.isArray(value)) for (const [i, each] of value.entries()) yield* leaves(each, [...path, i])
  else if (typeof value === 'object' && value !== null) for (const [name, each] of Object.entries(value)) yield* leaves(each, [...path, name])
}

t.test('both TOML parsers read the same out of what both accept', async (t) => {
  let both = 0
  const compare = (text: string): void => {
    const ours = parseToml(text)
    if ('fault' in ours) return
    let theirs: unknown
    try {
      theirs = iarna.parse(text)
    } catch (error) {
      assert.ok(error instanceof Error)
      return
    }
    both++
    assert.deepEqual(plain(ours.table), plain(theirs), text)
  }
  fc.assert(fc.property(document, (value) => compare(stringify(value))), { numRuns: 300 })
  for (const { groups } of readGroups()) {
    for (const { policy = '', managed = '', second = '', approved = '' } of groups) for (const text of [policy, managed, second, approved]) compare(text)
  }
  t.ok(both > 200, `${both} texts`)
})

t.test('every value stands where its position says', async () => {
  fc.assert(fc.property(document, (value) => {
    const text = stringify(value)
    const positions = new Positions(text)
    const lines = text.split('\n')
    for (const { path, value: leaf } of leaves(value, [])) {
      const place = positions.place(path)
      const rest = [(lines[place.line - 1] ?? '').slice(place.column - 1), ...lines.slice(place.line)].join('\n')
      assert.ok(rest.startsWith(place.text), `${path.join('.')} in\n${text}`)
      const parsed = parseToml(`x = ${rest.slice(0, place.text.length)}`)
      if (place.text.length < 100 && 'table' in parsed) assert.deepEqual(parsed.table['x'], leaf, `${path.join('.')} in\n${text}`)
      else assert.ok(place.text.length === 100, `${path.join('.')} in\n${text}`)
    }
  }), { numRuns: 400 })
})

const written = `# comment with = and [brackets]
top = "x" # trailing
'quoted "key"' = 1
[a.b]
c.d = { e = [1, "two", { f = true }], "g\\u0041" = 2 }
multi = """
not = "a key"
\\""" still """""
lit = '''
[not.a.table]'''
list = [
  "one", # comment with "quotes"
  'two',
  [ "nested", [] ],

  "last",
]
[[a.b.rules]]
id = "first"
when = 1979-05-27 07:32:00
[a.b.rules.sub]
x = 1
[[a.b.rules]]
id = "second"
`

t.test('positions of everything that TOML can write', async (t) => {
  const positions = new Positions(written)
  const expected: readonly (readonly [Path, 'key' | 'value', number, number, string])[] = [
    [['top'], 'value', 2, 7, '"x"'],
    [['top'], 'key', 2, 1, 'top'],
    [['quoted "key"'], 'value', 3, 18, '1'],
    [['a', 'b', 'c', 'd', 'e', 1], 'value', 5, 17, '"two"'],
    [['a', 'b', 'c', 'd', 'e', 2, 'f'], 'value', 5, 30, 'true'],
    [['a', 'b', 'c', 'd', 'gA'], 'key', 5, 39, '"g\\u0041"'],
    [['a', 'b', 'lit'], 'key', 9, 1, 'lit'],
    [['a', 'b', 'list', 0], 'value', 12, 3, '"one"'],
    [['a', 'b', 'list', 1], 'value', 13, 3, "'two'"],
    [['a', 'b', 'list', 2, 0], 'value', 14, 5, '"nested"'],
    [['a', 'b', 'list', 3], 'value', 16, 3, '"last"'],
    [['a', 'b', 'rules', 0], 'key', 18, 1, '[[a.b.rules]]'],
    [['a', 'b', 'rules', 0, 'id'], 'value', 19, 6, '"first"'],
    [['a', 'b', 'rules', 0, 'when'], 'value', 20, 8, '1979-05-27 07:32:00'],
    [['a', 'b', 'rules', 0, 'sub', 'x'], 'value', 22, 5, '1'],
    [['a', 'b', 'rules', 1, 'id'], 'value', 24, 6, '"second"'],
    [['a', 'b', 'rules', 1, 'gone'], 'value', 23, 1, ''],
  ]
  for (const [path, part, line, column, text] of expected) t.strictSame(positions.place(path, part), { line, column, text }, path.join('.'))
  const crlf = new Positions(written.replaceAll('\n', '\r\n'))
  for (const [path, part, line, column, text] of expected) t.strictSame(crlf.place(path, part), { line, column, text }, `${path.join('.')} with CRLF`)
  const lineOf = positions.elementLines(['a', 'b', 'list'])
  t.strictSame([3, 0, 1, 2].map((i) => lineOf(i)), [16, 12, 13, 14])
})

t.test('a syntax error has a line and a column', async (t) => {
  t.match(parseToml('a = 1\nb = [1,\n'), { fault: { line: 3, message: /^not valid TOML: / } })
  t.match(parseToml('a = 1\na = 2\n'), { fault: { line: 2, column: 1 } })
  t.match(parseToml(`a = ${'['.repeat(5000)}`), { fault: { line: 1 } })
})
