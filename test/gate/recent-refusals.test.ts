// The last refusals of a session: newest first, few, safe to show, and nobody else's.
import t from 'tap'
import { RecentRefusals } from '../../src/gate/recent-refusals.ts'
import type { Refusal } from '../../src/gate/refusal.ts'

const refusalOf = (requestId: string, reason: string): Refusal => ({ kind: 'refusal', code: 'not_allowed', reason, host: 'a.test', rule: undefined, requestId })

t.test('the last ten of a session are there, newest first, and a session sees its own alone', async (t) => {
  const recent = new RecentRefusals()
  for (let at = 0; at < 12; at++) recent.note('one', at, refusalOf(`r${at}`, 'no'))
  recent.note('two', 99, refusalOf('other', 'no'))
  t.strictSame(recent.of('one').map(({ requestId, timeMs }) => [requestId, timeMs]), Array.from({ length: 10 }, (_, at) => [`r${11 - at}`, 11 - at]))
  t.strictSame(recent.of('two'), [{ timeMs: 99, code: 'not_allowed', reason: 'no', host: 'a.test', requestId: 'other', approvalId: undefined }])
  t.strictSame(recent.of('nobody'), [])
})

t.test('a reason is shown without control characters, cut to 300, and says that it was cut', async (t) => {
  const recent = new RecentRefusals()
  recent.note('one', 0, refusalOf('short', 'a\u001b[31mb\nc'))
  recent.note('one', 0, refusalOf('exact', 'x'.repeat(300)))
  recent.note('one', 0, refusalOf('long', `${'y'.repeat(300)}\u001b${'z'.repeat(1000)}`))
  t.strictSame(recent.of('one').map(({ reason }) => reason), [`${'y'.repeat(300)}\u2026`, 'x'.repeat(300), 'a\\x1b[31mb\\x0ac'])
  t.strictSame(recent.of('one').map(({ reason }) => reason), recent.of('one').map(({ reason }) => reason), 'and reading changes nothing')
})

t.test('the session that was refused longest ago is forgotten when there are more than a thousand', async (t) => {
  const recent = new RecentRefusals()
  for (let at = 0; at < 1000; at++) recent.note(`s${at}`, at, refusalOf('r', 'no'))
  recent.note('s0', 2000, refusalOf('again', 'no'))
  recent.note('new', 2001, refusalOf('r', 'no'))
  t.equal(recent.of('s0').length, 2)
  t.strictSame(recent.of('s1'), [])
})

t.test('all are counted, more than are shown, but not those that are to come back', async (t) => {
  const recent = new RecentRefusals()
  for (let at = 0; at < 15; at += 1) recent.note('one', at, refusalOf(`r${at}`, 'no'))
  recent.note('one', 15, { ...refusalOf('later', 'wait'), code: 'approval_pending' })
  t.equal(recent.count('one'), 15)
  t.equal(recent.count('nobody'), 0)
})
