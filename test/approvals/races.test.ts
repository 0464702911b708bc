// Waiters, reviewers, reloads, expiry, disconnects, revocations and ended sessions in any order: one outcome for
// each approval, nothing through without a grant, nobody forgotten, no grant used by another session.
import * as fc from '../support/property.ts'
import t from 'tap'
import type { Approval } from '../../src/approvals/approval.ts'
import { ReviewFault } from '../../src/approvals/review-fault.ts'
import { Admitted } from '../../src/gate/admitted.ts'
import { admin, asking, policyOf, reviewer, World, type Asked } from './world.ts'

const hosts = ['one.test', 'two.test', 'www.two.test'] as const
const sessions = ['s1', 's2', 's3'] as const
const terms = ['once', 'session', 'until'] as const

const host = fc.constantFrom(...hosts)
const session = fc.constantFrom(...sessions)
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('ask' as const), host, session }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('decide' as const), at: fc.nat(9), verdict: fc.constantFrom('allow' as const, 'deny' as const), term: fc.constantFrom(...terms), by: fc.constantFrom(admin, reviewer), subdomains: fc.boolean() }) },
  fc.record({ kind: fc.constant('leave' as const), at: fc.nat(20) }),
  fc.record({ kind: fc.constant('policy' as const), denied: fc.option(host), allowed: fc.option(host) }),
  fc.record({ kind: fc.constant('time' as const), ms: fc.constantFrom(1_000, 61_000, 601_000) }),
  fc.record({ kind: fc.constant('revoke' as const), at: fc.nat(9) }),
  fc.record({ kind: fc.constant('end' as const), session }),
  fc.record({ kind: fc.constant('turn' as const) }),
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

interface Run {
  readonly world: World
  readonly asked: (Asked & { readonly host: string; readonly session: string })[]
  readonly deciding: Promise<void>[]
}

async function take({ world, asked, deciding }: Run, each: Step): Promise<void> {
  const pending = world.approvals.pending.all()
  switch (each.kind) {
    case 'ask':
      if (world.sessions.has(each.session)) asked.push({ ...world.ask(each.host, { session: each.session }), host: each.host, session: each.session })
      return
    case 'decide': {
      const approval = pending[each.at % Math.max(1, pending.length)]
      if (approval !== undefined) deciding.push(decided(world, approval, each))
      return
    }
    case 'leave':
      asked[each.at % Math.max(1, asked.length)]?.leave()
      return
    case 'policy': {
      const list = (key: string, name: string | null): string => (name === null ? '' : `${key} = ["${name}"]\n`)
      world.policy = policyOf(`${asking.replace(/^(allowed|denied)_domains.*\n/gm, '')}${list('denied_domains', each.denied)}${list('allowed_domains', each.allowed)}`)
      world.approvals.policyChanged()
      return
    }
    case 'time':
      world.nowMs += each.ms
      world.approvals.sweep()
      return
    case 'revoke': {
      const grants = world.approvals.book.all()
      const grant = grants[each.at % Math.max(1, grants.length)]
      if (grant !== undefined) deciding.push(world.desk.revoke(grant.id, admin).then(() => {}, passFault))
      return
    }
    case 'end':
      world.sessions.delete(each.session)
      world.approvals.sessionEnded(each.session)
      return
    case 'turn':
      await new Promise((resolve) => setImmediate(resolve))
  }
}

function decided(world: World, approval: Approval, { verdict, term, by, subdomains }: Extract<Step, { kind: 'decide' }>): Promise<void> {
  return world.decide(approval, { verdict, term, subdomains, untilMs: term === 'until' ? world.nowMs + 60_000 : undefined }, by).then(() => {}, passFault)
}

function passFault(error: unknown): void {
  if (!(error instanceof ReviewFault)) throw error
}

t.test('whoever races, an approval has one outcome and an exchange goes through by a grant or by policy alone', async (t) => {
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
    const ends: (() => void)[] = []
    const world = new World({ teardown: (end) => void ends.push(end) })
    for (const id of sessions) world.addSession(id)
    const run: Run = { world, asked: [], deciding: [] }
    for (const each of steps) await take(run, each)
    await Promise.all(run.deciding)
    for (const { leave } of run.asked) leave()
    for (let turn = 0; turn < 5; turn++) {
      await new Promise((resolve) => setImmediate(resolve))
      for (const { leave } of run.asked) leave()
    }
    const answers = await Promise.all(run.asked.map(({ answer }) => answer))
    check(world, run, answers)
    for (const end of ends) end()
  }), { numRuns: 150 })
  t.pass('no sequence broke it')
})

/** Throws where a promise is broken. */
function check(world: World, { asked }: Run, answers: readonly unknown[]): void {
  if (world.faults.length > 0) throw new Error(`a fault: ${String(world.faults[0])}`)
  const outcomes = new Map<string, string[]>()
  for (const { name, attributes } of world.events) {
    const id = attributes['sallyport.approval.id']
    if (!/^sallyport\.approval\.(decided|expired|withdrawn)$/.test(name) || typeof id !== 'string') continue
    outcomes.set(id, [...(outcomes.get(id) ?? []), name])
  }
  for (const [id, names] of outcomes) if (names.length !== 1) throw new Error(`approval ${id} ended ${names.length} times: ${names.join()}`)
  answers.forEach((answer, at) => {
    if (!(answer instanceof Admitted)) return
    const { use, decision } = answer
    const question = asked[at]
    if (decision.rule?.id === 'allowed_domains') return
    if (use === undefined) throw new Error(`${question?.host} went through without a grant`)
    if (use.grant.verdict !== 'allow') throw new Error('a refusal let something through')
    if (use.grant.who === 'session' && use.grant.holder !== question?.session) throw new Error('a grant was used by another session')
    if (use.grant.host !== question?.host && !(use.grant.subdomains && question?.host.endsWith(`.${use.grant.host}`) === true)) throw new Error('a grant was used for another host')
  })
  for (const approval of world.approvals.pending.all()) if (approval.waiting !== 0) throw new Error('somebody is counted as waiting who left')
}
