import t from 'tap'
import type { Clock } from '../../src/clock.ts'
import { NameBudget } from '../../src/gate/name-budget.ts'

t.test('all names below a private public suffix share one budget', async (t) => {
  const budget = new NameBudget({ now: () => 0, monotonic: () => 0 }, 2)
  t.ok(budget.spend('s1', 'c2VjcmV0.github.io'))
  t.ok(budget.spend('s1', 'a.ZGF0YQ.github.io'))
  t.notOk(budget.spend('s1', 'b3RoZXI.github.io'), 'another tenant, the same name servers')
  t.ok(budget.spend('s1', 'a.example.co.uk'))
  t.ok(budget.spend('s1', 'a.other.co.uk'), 'a suffix of ICANN is shared by strangers')
})

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

t.test('what policy leaves is the budget where it is less than the setting', async (t) => {
  const budget = new NameBudget({ now: () => 0, monotonic: () => 0 }, 3)
  t.strictSame([1, 3, 9, Infinity, 0].map((limit) => budget.within(limit)), [1, 3, 3, 3, 0])
  t.ok(budget.spend('s1', 'a.example.com', 1))
  t.notOk(budget.spend('s1', 'b.example.com', 1))
  t.ok(budget.spend('s1', 'b.example.com', 9), 'a policy that leaves more counts at once, and what was spent stays spent')
  t.ok(budget.spend('s1', 'c.example.com', 9))
  t.notOk(budget.spend('s1', 'd.example.com', 9), 'the setting is the ceiling')
  t.ok(budget.spend('s1', 'a.example.com', 0), 'a name asked for before costs nothing')
  t.notOk(budget.spend('s2', 'a.example.com', 0), 'none at all')
  t.ok(budget.spend('s2', 'a.example.com'), 'and that cost nothing')
})
