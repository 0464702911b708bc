// Queries as origins read them: against another parser, against trying everything, and against what frameworks do.
import assert from 'node:assert/strict'
import t from 'tap'
import { fitQuery, foldKey, readQuery } from '../../src/policy/query.ts'
import type { QueryPair } from '../../src/policy/query.ts'
import type { QueryTerm } from '../../src/policy/policy.ts'
import * as fc from '../support/property.ts'

const textOf = (octets: string): string => Buffer.from(octets, 'latin1').toString('utf8')
const term = (key: string, values: readonly string[]): QueryTerm => ({ key, folded: foldKey(key, key.includes('[')), values })

const piece = fc.string({ unit: fc.constantFrom('a', 'b', 'A', '=', '+', '%61', '%2B', '%3d', '%26', '%c3%a9', '.', '[', ']', '%5B', '*', '?'), maxLength: 6 })
const clean = fc.array(piece, { maxLength: 5 }).map((pieces) => pieces.join('&'))
const wild = fc.string({ unit: fc.constantFrom('q', 'Q', 'a', '=', '&', ';', '+', '%', '0', '2', '6', 'f', 'c', '[', ']', ' ', '\0', '#', '\xe9', '.', '_'), maxLength: 24 })

t.test('keys and values are those that the URL standard finds', async () => {
  fc.assert(fc.property(clean, (query) => {
    const { wrong, readings } = readQuery(query)
    assert.equal(wrong, undefined, query)
    const spaced = readings.at(-1) ?? []
    assert.deepEqual(spaced.map(({ key, value }) => [textOf(key), textOf(value)]), [...new URLSearchParams(`&${query}`)], query)
    const [plain = []] = readings
    assert.deepEqual(plain.map(({ key, value }) => [textOf(key), textOf(value)]), [...new URLSearchParams(`&${query.replaceAll('+', '%2B')}`)], query)
  }), { numRuns: 3000 })
})

t.test('no bytes make the reader throw, and what it calls clear has one form', async () => {
  fc.assert(fc.property(wild, (query) => {
    const { wrong, readings } = readQuery(query)
    if (wrong !== undefined) return assert.equal(readings.length, 0)
    for (const { key, value } of readings.flat()) assert.ok(/^[ -~\x80-\xff]*$/.test(key + value), query)
    assert.equal(readings.length, query.includes('+') ? 2 : 1)
  }), { numRuns: 3000 })
})

/** What an origin hands to its program as `key`. */
type Origin = (query: string, key: string) => readonly string[]

const pairsBy = (separator: RegExp, plus: ' ' | '+') => (query: string): readonly QueryPair[] =>
  query.split(separator).filter((each) => each !== '').map((each) => {
    const [key = '', ...value] = each.split('=')
    const decode = (text: string): string => text.replaceAll('+', plus).replaceAll(/%([\da-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    return { key: decode(key), value: decode(value.join('=')) }
  })
const all = (pairs: readonly QueryPair[], key: string): readonly string[] => pairs.filter((pair) => pair.key === key).map(({ value }) => value)
const origins: Readonly<Record<string, Origin>> = {
  'the first value': (query, key) => all(pairsBy(/&/, ' ')(query), key).slice(0, 1),
  'the last value': (query, key) => all(pairsBy(/&/, ' ')(query), key).slice(-1),
  'plus is plus': (query, key) => all(pairsBy(/&/, '+')(query), key),
  'semicolons separate (Java, old Python)': (query, key) => all(pairsBy(/[&;]/, ' ')(query), key),
  'keys without case (ASP.NET)': (query, key) => pairsBy(/&/, ' ')(query).filter((pair) => pair.key.toLowerCase() === key.toLowerCase()).map(({ value }) => value),
  'brackets and dots (PHP)': (query, key) => pairsBy(/&/, ' ')(query).filter((pair) => (pair.key.split('[')[0] ?? '').trimStart().replaceAll(/[. ]/g, '_') === key).map(({ value }) => value),
  'cut at NUL (C)': (query, key) => pairsBy(/&/, ' ')(query).filter((pair) => pair.key.split('\0')[0] === key).map(({ value }) => value.split('\0')[0] ?? ''),
}

t.test('where a term is met, no origin sees another value; where it is not, none sees one that matches', async () => {
  const query = fc.array(fc.tuple(
    fc.constantFrom('q', 'Q', 'q[]', 'q%5B%5D', 'q%00', '+q', '%20q', 'q;q', 'x', '%71', 'q.', ''),
    fc.constantFrom('=', '', '=='),
    fc.constantFrom('in', 'out', '%69n', 'in%00', 'in;q=out', 'out;q=in', 'in%zz', 'i+n', 'i%20n', 'i%2bn', 'in&q=out', ''),
  ).map((parts) => parts.join('')), { maxLength: 4 }).map((pairs) => pairs.join('&'))
  const seen = new Set<string>()
  fc.assert(fc.property(query, fc.constantFrom(['in'], ['i n'], ['i+n'], ['in', 'i?n']), (text, values) => {
    const fit = fitQuery([term('q', values)], readQuery(text))
    seen.add(fit)
    const matches = (value: string): boolean => values.some((each) => each === value || (each === 'i?n' && /^i.n$/.test(value)))
    for (const [name, origin] of Object.entries(origins)) {
      const found = origin(text, 'q')
      if (fit === 'yes') assert.ok(found.length > 0 && found.every(matches), `${name}: ${text} for ${values.join()}`)
      if (fit === 'no') assert.ok(!found.some(matches), `${name}: ${text} for ${values.join()}`)
    }
  }), { numRuns: 6000 })
  t.same([...seen].toSorted(), ['no', 'unsure', 'yes'], 'all of them were tried')
})

t.test('patterns of values are a scan, at any length', async (t) => {
  const glob = `${'*a'.repeat(490)}b`
  t.equal(fitQuery([term('q', [glob])], readQuery(`q=${'a'.repeat(8000)}`)), 'no')
  t.equal(fitQuery([term('q', ['*'.repeat(1000)])], readQuery(`q=${'a'.repeat(8000)}`)), 'yes')
})

t.test('one key of several that is not there decides', async (t) => {
  const terms = [term('a', []), term('b', ['1'])]
  t.equal(fitQuery(terms, readQuery('a&b=1')), 'yes')
  t.equal(fitQuery(terms, readQuery('b=1')), 'no')
  t.equal(fitQuery(terms, readQuery('a&b=1&b=2')), 'unsure')
  t.equal(fitQuery(terms, readQuery(undefined)), 'no')
  t.equal(fitQuery([], readQuery('a')), 'yes')
})
