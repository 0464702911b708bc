import t from 'tap'
import { checksOf } from '../../src/ops/checks.ts'

const well = { journal: 'ok', policy: 'ok', policyProblem: () => '', isDraining: false, parentCache: undefined } as const

t.test('a parent cache that is not asked is a warning, which names no host', async (t) => {
  t.notOk(checksOf(well).some(({ name }) => name === 'parent_cache'), 'there is none')
  const check = (isOn: boolean, detail: string | undefined) => checksOf({ ...well, parentCache: { isOn, detail } }).find(({ name }) => name === 'parent_cache')
  t.same(check(true, undefined), { name: 'parent_cache', state: 'ok' })
  t.match(check(false, 'cache.corp.example:3128: refused'), { state: 'warn', detail: /is not asked/ })
  t.match(check(true, 'https at cache.corp.example'), { state: 'warn', detail: /https/ })
  for (const isOn of [true, false]) t.notMatch(check(isOn, 'cache.corp.example')?.detail, /corp/)
})
