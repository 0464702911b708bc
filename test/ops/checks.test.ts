import t from 'tap'
import { checksOf } from '../../src/ops/checks.ts'

const well = { journal: 'ok', destinations: [], policy: 'ok', policyProblem: () => '', isDraining: false, parentCache: undefined, revocations: undefined } as const

t.test('a parent cache that is not asked is a warning, which names no host', async (t) => {
  t.notOk(checksOf(well).some(({ name }) => name === 'parent_cache'), 'there is none')
  const check = (isOn: boolean, detail: string | undefined) => checksOf({ ...well, parentCache: { isOn, detail } }).find(({ name }) => name === 'parent_cache')
  t.same(check(true, undefined), { name: 'parent_cache', state: 'ok' })
  t.match(check(false, 'cache.corp.example:3128: refused'), { state: 'warn', detail: /is not asked/ })
  t.match(check(true, 'https at cache.corp.example'), { state: 'warn', detail: /https/ })
  for (const isOn of [true, false]) t.notMatch(check(isOn, 'cache.corp.example')?.detail, /corp/)
})

t.test('a revocation list that something is the matter with is a warning, which names no file', async (t) => {
  t.notOk(checksOf(well).some(({ name }) => name === 'revocation_lists'), 'there are none')
  const check = (over: object) => checksOf({ ...well, revocations: { expired: 0, unread: 0, unsigned: 0, ...over } }).find(({ name }) => name === 'revocation_lists')
  t.same(check({}), { name: 'revocation_lists', state: 'ok' })
  t.match(check({ expired: 2, unsigned: 1 }), { state: 'warn', detail: 'of the revocation lists 2 due to be replaced, 1 not signed by the authority that they name; the operator log names them' })
  t.match(check({ unread: 1 }), { state: 'warn', detail: /1 not readable/ })
})

t.test('a destination that takes nothing is a warning that names it, and so is what it holds back', async (t) => {
  const destinations = [{ name: 'otel', undelivered: 3, isFailing: false }, { name: 'siem', undelivered: 900, isFailing: true }]
  const check = (journal: 'ok' | 'near_full' | 'unavailable', name: string) => checksOf({ ...well, journal, destinations }).find((each) => each.name === name)
  t.same(check('ok', 'journal'), { name: 'journal', state: 'ok' })
  t.match(check('ok', 'destinations'), { state: 'warn', detail: /for siem:/ })
  t.match(check('near_full', 'journal'), { state: 'warn', detail: /80 % full .*destination siem has yet to take 900/ })
  t.match(check('unavailable', 'journal'), { state: 'fail', detail: /nothing is allowed; destination siem/ })
  t.same(checksOf({ ...well, destinations: destinations.slice(0, 1) }).find(({ name }) => name === 'destinations'), { name: 'destinations', state: 'ok' })
})
