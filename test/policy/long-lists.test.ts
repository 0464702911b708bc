import assert from 'node:assert/strict'
import t from 'tap'
import { compilePolicy } from '../../src/policy/compile.ts'
import { findName } from '../../src/policy/name-table.ts'
import { parsePolicyToml } from '../../src/policy/policy-toml.ts'
import { Positions } from '../../src/policy/positions.ts'
import { isTable, parseToml } from '../../src/policy/toml.ts'
import type { TomlValue } from '../../src/policy/toml.ts'
import * as fc from '../support/property.ts'

const element = fc.oneof(
  { weight: 40, arbitrary: fc.stringMatching(/^[a-zA-Z0-9.*_:-]{1,8}$/).map((text) => `"${text}"`) },
  { weight: 1, arbitrary: fc.constantFrom('""', "'a.example'", '"\\u0061.example"', '"é.example"', '"a b"', '"a\\"]"', '1', '"""a\nb"""', '["a"]', '"a" "b"', 'x', '"a#"', '# "a"\n"b"') },
)
const gap = fc.oneof({ weight: 30, arbitrary: fc.constantFrom('', ' ', '\n', '\n  ', '\t', '\n\n') }, fc.constantFrom(' # note ]\n', '\r\n', '\r'))
const list = fc
  .tuple(
    fc.oneof({ weight: 6, arbitrary: fc.constantFrom('denied_domains', 'allowed_domains', 'review_domains') }, fc.constantFrom('other', '"denied_domains"', 'a.denied_domains')),
    fc.oneof({ weight: 9, arbitrary: fc.constantFrom(' = ', '=', '\t=  ') }, fc.constant(' = \n')), fc.array(fc.tuple(gap, element, gap), { maxLength: 6 }), fc.oneof({ weight: 9, arbitrary: fc.constantFrom('', ',') }, fc.constant(',,')), gap,
  )
  .map(([key, equals, elements, comma, last]) => `${key}${equals}[${elements.map((parts) => parts.join('')).join(',')}${comma}${last}]`)
const around = fc.oneof(
  { weight: 6, arbitrary: fc.constant((text: string) => text) },
  fc.constantFrom(
    (text: string) => `s = """\n${text}\n"""`, (text: string) => `s = '''\n${text}\n'''`, (text: string) => `# ${text}`,
    (text: string) => `x = [\n${text}\n]`, (text: string) => `  ${text}`, (text: string) => `${text} # end`, (text: string) => `x = 1 ${text}`,
    (text: string) => `x = "list 0 0"\n${text}`, (text: string) => `y = { ${text} }`, (text: string) => `${text} junk`,
  ),
)
const header = fc.constantFrom('[network]', '[experimental_network]', '[other]', '[[network.rules]]', '', 'unknown = "deny"', '[network.deep]', '[[network]]', '"""', "'''")
const part = fc.oneof({ weight: 1, arbitrary: header }, { weight: 3, arbitrary: fc.tuple(list, around).map(([text, wrap]) => wrap(text)) })
const file = fc
  .tuple(fc.oneof({ weight: 4, arbitrary: fc.constant('[network]') }, header), fc.array(part, { maxLength: 4 }))
  .map(([first, parts]) => [first, ...parts].join('\n'))

/** The table with every long list put back as strings. */
function whole(text: string, minCount: number): { readonly result: unknown; readonly long: number } {
  const parsed = parsePolicyToml(text, minCount)
  if ('fault' in parsed) return { result: parsed, long: 0 }
  for (const [array, entries] of parsed.longLists) {
    assert.ok(Array.isArray(array))
    for (let i = 0; i < entries.length; i++) array.push(entries.at(i) ?? '')
  }
  return { result: { table: parsed.table }, long: parsed.longLists.size }
}

t.test('a file reads the same with its lists cut out as whole', async (t) => {
  let long = 0
  fc.assert(fc.property(file, fc.constantFrom(1, 2, 3), (text, minCount) => {
    const cut = whole(text, minCount)
    long += cut.long
    assert.deepEqual(cut.result, parseToml(text), text)
  }), { numRuns: 4000 })
  t.ok(long > 100, `${long} lists were cut out`)
})

t.test('positions are the same with and without walking through the lists', async () => {
  fc.assert(fc.property(file, (text) => {
    const parsed = parsePolicyToml(text, 1)
    if ('fault' in parsed) return
    const [fast, slow] = [new Positions(text, [...parsed.longLists.values()]), new Positions(text)]
    for (const name of ['network', 'experimental_network']) {
      const table: TomlValue | undefined = parsed.table[name]
      for (const [key, value] of isTable(table) ? Object.entries(table) : []) {
        const [left, right] = [fast.elementLines([name, key]), slow.elementLines([name, key])]
        const length = parsed.longLists.get(value)?.length ?? (Array.isArray(value) ? value.length : 0)
        for (let i = 0; i < length; i++) {
          assert.deepEqual(fast.place([name, key, i]), slow.place([name, key, i]), text)
          assert.equal(left(i), right(i), text)
        }
        assert.deepEqual(fast.place([name, key], 'key'), slow.place([name, key], 'key'), text)
      }
    }
  }), { numRuns: 1000 })
})

t.test('a list of thousands compiles to the same policy and the same problems', async (t) => {
  const names = Array.from({ length: 12_000 }, (_, i) => (i % 7 === 0 ? `*.h${i}.example` : i % 11 === 0 ? `H${i}.example` : `h${i}.example`))
  const odd = [...names, names[5], 'a.example:443', '**.b.example', '10.0.0.0/8']
  const text = (elements: readonly (string | undefined)[], last: string): string =>
    `[network]\nunknown = "deny"\ndenied_domains = [\n${elements.map((name) => `  "${name}",\n`).join('')}  ${last},\n]\n`
  const compile = (source: string): ReturnType<typeof compilePolicy> => compilePolicy([{ path: 'a.toml', layer: 'policy', text: source }], new Map())
  // a literal string is none of the plain ones, so that the whole list is the parser's
  const [fast, slow] = [compile(text(odd, '"z.example"')), compile(text(odd, "'z.example'"))]
  t.strictSame(fast.problems, slow.problems)
  t.ok(fast.problems.some(({ message }) => message.includes('already')), 'the repeated name is told')
  t.equal(fast.policy?.ruleCount, slow.policy?.ruleCount)
  t.strictSame(fast.policy?.lists.deny.table, slow.policy?.lists.deny.table)
  const table = fast.policy?.lists.deny.table
  t.ok(table !== undefined && findName(table, 'x.h0.example') >= 0 && findName(table, 'h11.example') >= 0 && findName(table, 'z.example') >= 0)
  const [wrong, alsoWrong] = [compile(text([...odd, 'a..b'], '"z.example"')), compile(text([...odd, 'a..b'], "'z.example'"))]
  t.equal(wrong.policy, undefined)
  t.strictSame(wrong.problems, alsoWrong.problems)
})
