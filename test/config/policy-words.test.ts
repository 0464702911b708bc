// What the operator reads about a load.
import t from 'tap'
import { notReadyText, rejectedText, warningFields } from '../../src/config/policy-words.ts'
import type { Problem } from '../../src/policy/compile.ts'

const problem = (severity: Problem['severity'], line: number): Problem => ({ severity, file: 'policies/20-a.toml', line, column: 3, message: `wrong ${line}`, text: '' })

t.test('a rejected change is told with its first error, the number of the others and what stays', async (t) => {
  const text = rejectedText([problem('warning', 1), problem('error', 7), problem('error', 8), problem('error', 9)], 'abc')
  t.equal(text, 'the change of the policy is not valid: policies/20-a.toml:7:3: wrong 7 (and 2 more); the last good policy, revision abc, stays; run `sallyport check`')
  t.match(rejectedText([problem('error', 7)], 'abc'), /: wrong 7; the last good policy/)
})

t.test('readiness names the place of the first error', async (t) => {
  t.match(notReadyText([problem('notice', 1), problem('error', 7)]), /is not valid \(policies\/20-a\.toml:7\); the one before it is in force/)
})

t.test('warnings are counted, and the first one is shown', async (t) => {
  t.strictSame(warningFields([problem('notice', 1)]), { warnings: 0 })
  t.strictSame(warningFields([problem('warning', 4), problem('notice', 5), problem('warning', 6)]), { warnings: 2, first_warning: 'policies/20-a.toml:4:3: wrong 4' })
})
