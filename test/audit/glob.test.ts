// What globs of the journal's filters stand for, and that none of them backtracks.
import * as fc from 'fast-check'
import micromatch from 'micromatch'
import t from 'tap'
import { compileGlob } from '../../src/audit/glob.ts'

const cases: readonly (readonly [glob: string, fits: readonly string[], not: readonly string[]])[] = [
  ['*.example.com', ['a.example.com', 'A.B.Example.com', '.example.com'], ['example.com', 'a.example.com.evil']],
  ['a?c', ['abc', 'a/c'], ['ac', 'abbc']],
  ['[a-c]x', ['ax', 'Cx'], ['dx', 'x']],
  ['[!a-c]x', ['dx'], ['bx']],
  ['[]a]', [']', 'a'], ['b']],
  ['{a,b{c,d},}z', ['az', 'bcz', 'bdz', 'z'], ['bz', 'cz']],
  ['!{a,b}', ['c', ''], ['a', 'B']],
  ['!!a', ['a'], ['b']],
  ['a+b', ['a+b'], ['aab']],
  ['{a,aa}+b', ['a+b', 'aa+b'], ['aab']],
  ['[a]+b', ['a+b'], ['aab']],
  ['\\*\\{', ['*{'], ['a{']],
  ['{a', ['{a'], ['a']],
  ['{a}', ['{a}'], ['a']],
  ['[a', ['[a'], ['a']],
  ['a\\', ['a\\'], ['a']],
]

t.test('each glob fits what it stands for and nothing else', async (t) => {
  for (const [glob, fits, not] of cases) {
    const matches = compileGlob(glob)
    t.strictSame(fits.filter((text) => !matches(text)), [], `${glob} fits`)
    t.strictSame(not.filter(matches), [], `${glob} does not fit`)
  }
})

t.test('of what both know it says what micromatch says', async (t) => {
  const piece = fc.constantFrom('a', 'b', 'ab', '.', '-', '*', '?', '[ab]', '[^a]', '{a,b}', '{a*,b?}')
  const glob = fc.array(piece, { minLength: 1, maxLength: 5 }).map((pieces) => pieces.join(''))
  const text = fc.array(fc.constantFrom('a', 'B', '.', '-', 'c'), { minLength: 1, maxLength: 8 }).map((units) => `c${units.join('')}`)
  fc.assert(fc.property(glob, text, (asked, value) => compileGlob(asked)(value) === micromatch.matcher(asked.replace(/\*+/g, '*'), { nocase: true, dot: true, bash: true })(value)), { numRuns: 500 })
  t.pass()
})

t.test('what would keep a backtracking matcher busy for ever is told', async (t) => {
  // two ways for each of 50 characters; and five stars' worth of places in 250
  t.notOk(compileGlob(`${'{a,?}'.repeat(50)}!`)('a'.repeat(60)))
  t.notOk(compileGlob('*{a,?}*{a,?}*{a,?}*{a,?}!')('a'.repeat(250)))
  t.ok(compileGlob('{a,{a,{a,?}}}*'.repeat(4))('a'.repeat(250)))
})
