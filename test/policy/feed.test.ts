import assert from 'node:assert/strict'
import t from 'tap'
import { evaluate } from '../../src/policy/evaluate.ts'
import { parseCase } from '../../src/policy/cases.ts'
import { compilePolicy } from '../../src/policy/compile.ts'
import { parseFeed } from '../../src/policy/feed.ts'
import { entryAt, entryOffsets } from '../../src/policy/name-table.ts'
import * as fc from '../support/property.ts'

const line = fc.oneof(
  fc.stringMatching(/^[a-c]{1,3}(\.[a-c]{1,2}){0,3}$/), fc.domain(), fc.stringMatching(/^[a-zA-Z0-9._ \-*#]{0,14}$/),
  fc.constantFrom('', '#x', '!x', 'a.1', '1.2.3.4', '0.0.0.0 a.example b.example', 'A.example', 'a..b', '-a.b', 'a-.b', 'xn--a', 'a.b.', '.a.b', '*.a.b', 'é.example', `${'a'.repeat(64)}.b`, `${'a.'.repeat(126)}ab`, `${'a.'.repeat(127)}a`, 'a.example # why', 'a.b\rc.d', 'a.b\r'),
)
const ending = fc.constantFrom('\n', '\n', '\r\n')

function read(text: string): unknown {
  const { table, addresses, faults, faultCount } = parseFeed(new TextEncoder().encode(text))
  return { names: [...entryOffsets(table)].map((at) => entryAt(table, at)), count: table.count, addresses: addresses.map((each) => [each.text, each.line]), faults, faultCount }
}

t.test('a line that is one plain name reads as it does behind a space', async () => {
  fc.assert(fc.property(fc.array(fc.tuple(line, ending), { maxLength: 12 }), fc.boolean(), (lines, ended) => {
    const texts = lines.map(([text, end], i) => [text, i === lines.length - 1 && !ended ? '' : end] as const)
    const plain = texts.map(([text, end]) => `${text}${end}`).join('')
    const behind = texts.map(([text, end]) => ` ${text}${end}`).join('')
    assert.deepEqual(read(plain), read(behind), JSON.stringify(plain))
  }), { numRuns: 3000 })
})

t.test('a feed that is larger than the sample of its lines holds them all', async (t) => {
  // short lines where no sample looks, and many more of them than it expects
  const long = Array.from({ length: 300 }, (_, i) => `${'x'.repeat(60)}.${'y'.repeat(60)}.n${i}.example`)
  const short = Array.from({ length: 40_000 }, (_, i) => `n${i}.a`)
  const { table, faultCount } = parseFeed(new TextEncoder().encode([...long, ...short, ...long].join('\n')))
  t.equal(table.count, 40_300)
  t.equal(faultCount, 0)
  t.equal(entryAt(table, [...entryOffsets(table)].at(-1) ?? 0).line, 40_300)
})

t.test('a denial by a feed is told with the name of its file alone, and its rule with the whole path', async (t) => {
  const path = '/etc/sallyport/policies/10-a.toml'
  const sources = [{ path, layer: 'policy', text: '[network]\ndenied_domains_files = [{ path = "feeds/bad.txt" }]\n' }] as const
  const { policy } = compilePolicy(sources, new Map([['/etc/sallyport/policies/feeds/bad.txt', new TextEncoder().encode('bad.example\n')]]))
  const facts = parseCase('CONNECT bad.example:443')
  if (policy === undefined || 'wrong' in facts) throw new Error('the case is wrong')
  t.match(evaluate(policy, facts, 0), { reason: 'bad.example is on the denied list bad.txt', rule: { file: '/etc/sallyport/policies/feeds/bad.txt' } })
})
