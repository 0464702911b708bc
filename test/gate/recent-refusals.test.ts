import t from 'tap'
import { RecentRefusals } from '../../src/gate/recent-refusals.ts'
import type { Refusal } from '../../src/gate/refusal.ts'

const refusal = (code: Refusal['code'], reason = 'because'): Refusal => ({ code, reason, host: 'a.test', requestId: 'r', approvalId: undefined, rule: undefined }) as Refusal

t.test('the last ones are shown, and all are counted but those that are to come back', async (t) => {
  const recent = new RecentRefusals()
  for (let at = 0; at < 15; at += 1) recent.note('s1', at, refusal('denied_by_rule', `reason ${at}`))
  recent.note('s1', 15, refusal('approval_pending'))
  recent.note('s2', 16, refusal('not_allowed', 'line\nbreak'))
  t.equal(recent.count('s1'), 15)
  t.equal(recent.count('s2'), 1)
  t.equal(recent.count('nobody'), 0)
  t.strictSame(recent.of('s1').slice(0, 2).map(({ code, reason }) => [code, reason]), [['approval_pending', 'because'], ['denied_by_rule', 'reason 14']])
  t.equal(recent.of('s1').length, 10)
  t.notMatch(recent.of('s2')[0]?.reason, /\n/)
})
