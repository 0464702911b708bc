import t from 'tap'
import type { Clock } from '../../src/clock.ts'
import { NameBudget } from '../../src/gate/name-budget.ts'

t.test('new names below one domain are budgeted per session and minute', async (t) => {
  let nowMs = 0
  const clock: Clock = { now: () => nowMs, monotonic: () => nowMs }
  const budget = new NameBudget(clock, 3)
  for (const name of ['a.example.com', 'b.example.com', 'c.x.example.com']) t.ok(budget.spend('s1', name), name)
  t.notOk(budget.spend('s1', 'd.example.com'), 'the fourth new name')
  t.ok(budget.spend('s1', 'a.example.com'), 'a name asked for before costs nothing')
  t.ok(budget.spend('s1', 'a.example.org'), 'another domain has its own budget')
  t.ok(budget.spend('s2', 'd.example.com'), 'and so has another session')
  nowMs = 60_000
  t.ok(budget.spend('s1', 'd.example.com'), 'the next minute begins anew')
})
