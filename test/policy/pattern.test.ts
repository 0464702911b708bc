import assert from 'node:assert/strict'
import micromatch from 'micromatch'
import t from 'tap'
import { literalTail, matchGlob } from '../../src/policy/glob.ts'
import { parseHostPattern, scopeCovers } from '../../src/policy/pattern.ts'
import { PatternIndexBuilder, patternsFor, patternsForName } from '../../src/policy/pattern-index.ts'
import { parseHost } from '../../src/target/host.ts'
import * as fc from '../support/property.ts'

const label = fc.stringMatching(/^[a-c][a-c0-1]{0,2}$/)
const name = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join('.'))
const globLabel = fc.stringMatching(/^[a-c*?][a-c?]?[a-c*]?$/).filter((text) => !text.includes('**'))
const pattern = fc.tuple(fc.constantFrom('', '*.', '**.'), fc.array(fc.oneof(label, globLabel), { minLength: 1, maxLength: 4 })).map(([lead, labels]) => lead + labels.join('.'))

/** Codex's grammar, in the simplest way there is: a regular expression per pattern, `*` crossing dots. */
function oracle(text: string, host: string): boolean {
  if (text === '*') return true
  const regex = (glob: string): RegExp => new RegExp(`^${glob.replaceAll('.', '\\.').replaceAll('*', '.*').replaceAll('?', '.')}$`)
  if (text.startsWith('**.')) return regex(text.slice(3)).test(host) || regex(`*.${text.slice(3)}`).test(host)
  return regex(text).test(host)
}

t.test('patterns cover what Codex covers', async () => {
  fc.assert(fc.property(pattern, name, (text, host) => {
    const parsed = parseHostPattern(text)
    if ('wrong' in parsed) return
    assert.equal(scopeCovers(parsed.scope, host), oracle(text, host), `${text} ${host}`)
  }), { numRuns: 3000 })
})

t.test('patterns agree with micromatch where the grammars mean the same', async () => {
  fc.assert(fc.property(pattern.filter((text) => !text.startsWith('**.')), name, (text, host) => {
    const parsed = parseHostPattern(text)
    if ('wrong' in parsed) return
    assert.equal(scopeCovers(parsed.scope, host), micromatch.isMatch(host, text, { dot: true, nobrace: true, noextglob: true, nonegate: true, nobracket: true }), `${text} ${host}`)
  }), { numRuns: 2000 })
})

t.test('the index finds what the patterns cover, however many there are', async () => {
  fc.assert(fc.property(fc.array(pattern, { maxLength: 30 }), name, (texts, host) => {
    const builder = new PatternIndexBuilder()
    const covering: number[] = []
    let count = 0
    for (const text of texts) {
      const parsed = parseHostPattern(text)
      if ('wrong' in parsed) continue
      builder.add(parsed.scope, { rule: 0, text, line: 1, ports: 'every' })
      if (scopeCovers(parsed.scope, host)) covering.push(count)
      count++
    }
    assert.deepEqual([...new Set(patternsForName(builder.finish(), host))].toSorted((a, b) => a - b), covering, `${texts.join(' ')} ${host}`)
  }), { numRuns: 1000 })
})

t.test('every address of a block is found under it, and none beside it', async () => {
  fc.assert(fc.property(fc.ipV4(), fc.integer({ min: 0, max: 32 }), fc.ipV4(), (base, prefix, other) => {
    const value = (ip: string): number => ip.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
    const size = 2 ** (32 - prefix)
    const start = Math.floor(value(base) / size) * size
    const text = [start / 2 ** 24, start / 65536, start / 256, start].map((part) => Math.floor(part) % 256).join('.')
    const parsed = parseHostPattern(`${text}/${prefix}`)
    if ('wrong' in parsed) throw new Error(parsed.wrong)
    const builder = new PatternIndexBuilder()
    builder.add(parsed.scope, { rule: 0, text, line: 1, ports: 'every' })
    const index = builder.finish()
    for (const ip of [base, other]) assert.equal(patternsFor(index, parseHost(ip)).length, value(ip) >= start && value(ip) < start + size ? 1 : 0, `${ip} in ${text}/${prefix}`)
  }), { numRuns: 500 })
})

t.test('no text makes the reader throw, and what it accepts has no syntax but its own', async () => {
  const noise = fc.oneof(fc.string({ maxLength: 20 }), fc.string({ unit: 'grapheme', maxLength: 12 }), fc.stringMatching(/^[a-z*?.:/[\]{}!()@%0-9-]{0,16}$/))
  fc.assert(fc.property(noise, (text) => {
    const parsed = parseHostPattern(text)
    if ('wrong' in parsed) assert.match(parsed.wrong, /^[^A-Z].*[^.]$/s, text)
    else assert.doesNotMatch(text, /[{}()!|\\@\s]/, text)
  }), { numRuns: 3000 })
})

t.test('a name is a pattern of itself alone, as the host parser spells it', async () => {
  fc.assert(fc.property(fc.domain(), (text) => {
    const parsed = parseHostPattern(text.toUpperCase())
    if ('wrong' in parsed) return assert.throws(() => parseHost(text))
    return assert.deepEqual(parsed.scope, { kind: 'exact', name: parseHost(text).text }, text)
  }), { numRuns: 500 })
})

t.test('patterns that stop other matchers are a scan, at any length', async (t) => {
  const long = 'a'.repeat(20_000)
  t.notOk(matchGlob(`${'*a'.repeat(2000)}*b`, long), 'many stars')
  t.ok(matchGlob(`${'*a'.repeat(2000)}*`, long), 'many stars that match')
  t.notOk(matchGlob('?'.repeat(20_001), long), 'one more than there is')
  t.notOk(matchGlob('*-*-*-*-*.tgz', `${'-'.repeat(20_000)}x`), 'hyphens')
  t.ok('wrong' in parseHostPattern('+(*)+(*)+(*)x'), 'no groups at all')
})

t.test('the literal tail is whole labels', async (t) => {
  for (const [glob, tail] of [['region*.v2.x', 'v2.x'], ['example.*', ''], ['*', ''], ['a?.b', 'b'], ['*foo.com', 'com'], ['*.a*.b.c', 'b.c']] as const) t.equal(literalTail(glob), tail, glob)
})
