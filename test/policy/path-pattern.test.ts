import assert from 'node:assert/strict'
import t from 'tap'
import { matchPath, parsePathPattern, readPath } from '../../src/policy/path-pattern.ts'
import * as fc from '../support/property.ts'

const segment = fc.stringMatching(/^[ab.]?[ab]{1,2}$/)
const path = fc.array(segment, { maxLength: 6 }).map((segments) => `/${segments.join('/')}`)
const wanted = fc.array(fc.oneof(segment, fc.constantFrom('**', '*', 'a*', '*b', 'a*b', '*a*')), { maxLength: 5 }).map((segments) => `/${segments.join('/')}`)

/** Tries everything. */
function naive(pattern: readonly string[], segments: readonly string[]): boolean {
  const [first, ...rest] = pattern
  if (first === undefined) return segments.length === 0
  if (first === '**') return segments.some((_, i) => naive(rest, segments.slice(i))) || naive(rest, [])
  const [head, ...tail] = segments
  return head !== undefined && naiveSegment(first, head) && (first !== '*' || head !== '') && naive(rest, tail)
}

function naiveSegment(pattern: string, text: string): boolean {
  if (pattern === '') return text === ''
  if (pattern.startsWith('*')) return naiveSegment(pattern.slice(1), text) || (text !== '' && naiveSegment(pattern, text.slice(1)))
  return pattern.charAt(0) === text.charAt(0) && text !== '' && naiveSegment(pattern.slice(1), text.slice(1))
}

t.test('patterns cover what trying everything covers', async () => {
  fc.assert(fc.property(wanted, path, (text, target) => {
    const pattern = parsePathPattern(text)
    const readings = readPath(target)
    if ('wrong' in pattern || 'wrong' in readings) return
    const [segments = []] = readings
    assert.equal(matchPath(pattern, segments), naive(text.slice(1).split('/'), target.slice(1).split('/')), `${text} ${target}`)
  }), { numRuns: 4000 })
})

t.test('no bytes make the reader throw, and what it accepts decodes to one thing', async () => {
  const bytes = fc.string({ unit: fc.constantFrom('/', 'a', '.', '%', '2', 'f', 'e', '5', 'c', ';', '\\', '\0', ' ', '\xff'), maxLength: 12 })
  fc.assert(fc.property(bytes, (text) => {
    const readings = readPath(`/${text}`)
    if ('wrong' in readings) return
    for (const segments of readings) {
      for (const each of segments) assert.ok(!(each === '.' || each === '..' || /[\0\\%]/.test(each)), text)
      assert.ok(!segments.slice(0, -1).includes(''), text)
    }
    assert.ok(readings.length <= 4)
  }), { numRuns: 4000 })
})

t.test('%2f is read as a letter and as a separator', async (t) => {
  t.strictSame(readPath('/@types%2fnode'), [['@types/node'], ['@types', 'node']])
  t.strictSame(readPath('/a%2Fb/c'), [['a/b', 'c'], ['a', 'b', 'c']])
  t.strictSame(readPath('/a;v=1/c'), [['a;v=1', 'c'], ['a', 'c']])
  t.strictSame(readPath('/'), [['']])
})

t.test('patterns that stop other matchers are a scan, at any length', async (t) => {
  const deep = parsePathPattern(`/${'**/a/'.repeat(150)}b`)
  const wide = parsePathPattern(`/${'*-'.repeat(400)}x.tgz`)
  if ('wrong' in deep || 'wrong' in wide) throw new Error('patterns')
  t.notOk(matchPath(deep, Array.from({ length: 2000 }, () => 'a')))
  t.notOk(matchPath(wide, ['-'.repeat(8000)]))
})
