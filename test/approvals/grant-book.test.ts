// The grants in force, and clocks that are set while they are.
import t, { type Test } from 'tap'
import { GrantBook, onceLifeMs, onceWindowMs } from '../../src/approvals/grant-book.ts'
import { GrantTable } from '../../src/approvals/grant-table.ts'
import { migrations } from '../../src/approvals/migrations.ts'
import { answeredBy, type Grant, type GrantFacts } from '../../src/policy/grant.ts'
import { openSqliteStore } from '../../src/store/sqlite-store.ts'
import { parseHost } from '../../src/target/host.ts'

const hourMs = 3_600_000
const startMs = 1_700_000_000_000

class TestClock {
  atMs = 0
  /** by how much the wall clock was set */
  setMs = 0

  now(): number {
    return startMs + this.atMs + this.setMs
  }

  monotonic(): number {
    return this.atMs
  }
}

const facts: GrantFacts = { scheme: 'https', host: parseHost('new.test'), port: 443, principal: { session: 's1', agent: 'coder', owner: undefined, team: undefined } }

interface Opened {
  readonly grants: GrantBook
  readonly clock: TestClock
  readonly add: (change: Partial<Grant>) => Grant
  /** as a process that starts anew reads it */
  readonly reopened: () => GrantBook
}

function book(t: Test): Opened {
  const clock = new TestClock()
  const store = openSqliteStore(':memory:', migrations)
  t.teardown(() => store.close())
  const reopened = (): GrantBook => new GrantBook(new GrantTable(store), clock, () => true)
  const grants = reopened()
  const add = (change: Partial<Grant>): Grant => {
    const grant: Grant = {
      id: 'g1', approvalId: 'a1', verdict: 'allow', term: 'until', who: 'session', holder: 's1', scheme: 'https', host: 'new.test', subdomains: false, port: 443,
      requestDigest: undefined, by: 'rita', createdMs: clock.now(), expiresMs: clock.now() + hourMs, comment: undefined, ...change,
    }
    grants.write(grant)
    grants.open(grant)
    return grant
  }
  return { grants, clock, add, reopened }
}

t.test('a yes to one request that was used is used up, also when the wall clock is set back', async (t) => {
  const { grants, clock, add } = book(t)
  grants.use(add({ term: 'once', requestDigest: 'd' }))
  t.equal(grants.find(facts, 'd'), undefined)
  clock.setMs = -1
  t.equal(grants.find(facts, 'd'), undefined)
  clock.setMs = -24 * hourMs
  t.equal(grants.find(facts, 'd'), undefined)
})

t.test('a grant opens nothing after its time, by whichever clock is ahead', async (t) => {
  for (const setMs of [-24 * hourMs, 0, 24 * hourMs]) {
    const { grants, clock, add } = book(t)
    add({})
    clock.atMs = hourMs - 1
    t.ok(grants.find(facts, undefined))
    clock.setMs = setMs
    clock.atMs = hourMs
    t.equal(grants.find(facts, undefined), undefined, String(setMs))
    t.strictSame(grants.expire().map(({ id }) => id), ['g1'])
    t.equal(grants.stands('g1'), false)
  }
})

t.test('the minute of a once, and the life of its tunnels, are not made longer by the wall clock', async (t) => {
  const { grants, clock, add } = book(t)
  grants.use(add({ term: 'once', expiresMs: startMs + hourMs }))
  clock.setMs = -hourMs
  clock.atMs = onceWindowMs - 1
  t.ok(grants.find(facts, undefined))
  clock.atMs = onceWindowMs
  t.equal(grants.find(facts, undefined), undefined)
  t.strictSame(grants.expire(), [], 'its tunnels may be open still')
  clock.atMs = onceWindowMs + onceLifeMs
  t.equal(grants.expire().length, 1)
})

t.test('an answer for the session knows no time', async (t) => {
  const { grants, clock, add } = book(t)
  add({ term: 'session', expiresMs: undefined })
  clock.atMs = 1000 * hourMs
  t.ok(grants.find(facts, undefined))
  t.strictSame(grants.expire(), [])
})

t.test('a refusal answers with what the reviewer said, also after a restart, and one without words says none', async (t) => {
  const asked = { verdict: 'ask', code: 'approval_required', reason: 'new.test is not known', rule: undefined, revision: 'r', monitored: undefined, wildcard: false, obligations: { inspect: 'none', raw: undefined, local: [] } } as const
  for (const [comment, reason] of [['use the mirror instead', 'a reviewer refused new.test: use the mirror instead'], [undefined, 'a reviewer refused new.test']] as const) {
    const { grants, add, reopened } = book(t)
    add({ verdict: 'deny', comment })
    for (const each of [grants, reopened()]) {
      const grant = each.find(facts, undefined)
      t.match(grant === undefined ? undefined : answeredBy(asked, grant), { verdict: 'deny', code: 'approval_denied', reason, grant: { id: 'g1', approvalId: 'a1' } })
    }
  }
})
