// What policy asks about: held, answered, released, limited, ended. Nothing goes through without a grant.
import t from 'tap'
import { ReviewFault } from '../../src/approvals/review-fault.ts'
import { Admitted } from '../../src/gate/admitted.ts'
import { admin, codeOf, policyOf, reviewer, World } from './world.ts'

async function faultOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
    return 'none'
  } catch (error) {
    if (error instanceof ReviewFault) return error.code
    throw error
  }
}

t.test('an exchange is held until a reviewer allows it, and the prompt, the answer and the grant are journaled before it goes on', async (t) => {
  const world = new World(t)
  const { answer } = world.ask('new.test')
  const approval = await world.held('new.test')
  t.strictSame(world.names(), ['sallyport.decision', 'sallyport.approval.requested'])
  t.equal(world.events[0]?.attributes['network.policy.decision'], 'ask')
  await world.decide(approval)
  const admitted = await answer
  t.ok(admitted instanceof Admitted)
  t.strictSame(world.names().slice(2), ['sallyport.approval.decided', 'sallyport.grant.created', 'sallyport.grant.used', 'sallyport.decision'])
  const last = world.events.at(-1)?.attributes
  t.match(last, { 'network.policy.decision': 'allow', 'network.policy.override': true, 'sallyport.stage': 'approval', 'sallyport.approval.id': approval.id })
  t.strictSame(world.faults, [])
})

t.test('a refusal reaches all who wait, with the comment, and holds off the retry for a moment', async (t) => {
  const world = new World(t)
  const waiting = Array.from({ length: 50 }, () => world.ask('new.test').answer)
  const approval = await world.held('new.test', 50)
  t.equal(world.approvals.pending.size, 1, 'equal questions share one approval')
  t.equal(approval.attempts, 50)
  await world.decide(approval, { verdict: 'deny', comment: 'not for this job' })
  for (const answer of await Promise.all(waiting)) {
    t.equal(codeOf(answer), 'approval_denied')
    if ('reason' in answer) t.match(answer.reason, /not for this job/)
  }
  t.equal(codeOf(await world.ask('new.test').answer), 'approval_denied')
  t.equal(world.approvals.pending.size, 0)
})

t.test('once is for that session, host, port and scheme, for a minute, and then the question is asked again', async (t) => {
  const world = new World(t)
  world.addSession('s1')
  world.addSession('s2')
  const { answer } = world.ask('new.test', { session: 's1' })
  await world.decide(await world.held('new.test'))
  t.equal(codeOf(await answer), 'admitted')
  t.equal(codeOf(await world.ask('new.test', { session: 's1' }).answer), 'admitted', 'a second connection of the same client')
  for (const [host, change] of [['new.test', { session: 's2' }], ['new.test', { session: 's1', port: 8443 }], ['www.new.test', { session: 's1' }], ['new.test', { session: 's1', scheme: 'http', port: 443 }]] as const) {
    const asked = world.ask(host, change)
    await world.held(host)
    asked.leave()
    t.equal(codeOf(await asked.answer), 'approval_pending', JSON.stringify([host, change]))
  }
  world.nowMs += 60_001
  const again = world.ask('new.test', { session: 's1' })
  again.leave()
  await new Promise((resolve) => setImmediate(resolve))
  again.leave()
  t.equal(codeOf(await again.answer), 'approval_pending')
})

t.test('an answer that nobody waits for serves the first retry within a quarter of an hour', async (t) => {
  const world = new World(t, { holdMs: 0 })
  t.equal(codeOf(await world.ask('new.test').answer), 'approval_pending')
  const [approval] = world.approvals.pending.all()
  t.ok(approval)
  if (approval === undefined) return
  await world.decide(approval)
  world.nowMs += 14 * 60_000
  t.equal(codeOf(await world.ask('new.test').answer), 'admitted')
  world.nowMs += 59_000
  t.equal(codeOf(await world.ask('new.test').answer), 'admitted', 'a minute begins with the first use')
  world.nowMs += 2_000
  t.equal(codeOf(await world.ask('new.test').answer), 'approval_pending')
})

t.test('a client that leaves is no longer counted, and the approval stays for the retry', async (t) => {
  const world = new World(t)
  const { answer, leave } = world.ask('new.test')
  const approval = await world.held('new.test')
  leave()
  t.equal(codeOf(await answer), 'approval_pending')
  t.equal(world.approvals.find(approval.id)?.waiting, 0)
  t.equal(world.approvals.find(approval.id)?.state, 'pending')
})

t.test('a policy that denies meanwhile answers at once, and one that allows lets through', async (t) => {
  const world = new World(t)
  const denied = world.ask('one.test')
  const allowed = world.ask('two.test')
  await world.held('one.test')
  await world.held('two.test')
  world.policy = policyOf('[network]\nunknown = "ask"\ndenied_domains = ["one.test"]\nallowed_domains = ["two.test"]\n')
  world.approvals.policyChanged()
  t.equal(codeOf(await denied.answer), 'denied_by_rule')
  t.equal(codeOf(await allowed.answer), 'admitted')
  t.equal(world.names().filter((name) => name === 'sallyport.approval.withdrawn').length, 2)
})

t.test('what policy denies is never asked about, and no grant lifts it later', async (t) => {
  const world = new World(t)
  t.equal(codeOf(await world.ask('denied.test').answer), 'denied_by_rule')
  t.equal(world.approvals.pending.size, 0)
  const { answer } = world.ask('new.test')
  await world.decide(await world.held('new.test'), { term: 'session' })
  t.ok((await answer) instanceof Admitted)
  world.policy = policyOf('[network]\nunknown = "ask"\ndenied_domains = ["new.test"]\n')
  t.equal(codeOf(await world.ask('new.test').answer), 'denied_by_rule')
})

t.test('an approval that nobody answers expires, which is not a refusal', async (t) => {
  const world = new World(t)
  const { answer } = world.ask('new.test')
  const approval = await world.held('new.test')
  world.nowMs += 600_001
  world.approvals.sweep()
  t.equal(codeOf(await answer), 'approval_expired')
  t.equal(await faultOf(world.decide(approval)), 'already_decided')
  t.ok(world.names().includes('sallyport.approval.expired'))
})

t.test('one outcome for each approval, however many decide at once', async (t) => {
  const world = new World(t)
  const { answer } = world.ask('new.test')
  const approval = await world.held('new.test')
  const faults = await Promise.all([faultOf(world.decide(approval)), faultOf(world.decide(approval, { verdict: 'deny' }, admin)), faultOf(world.decide(approval, {}, admin))])
  t.equal(faults.filter((code) => code === 'none').length, 1)
  t.equal(faults.filter((code) => code === 'already_decided').length, 2)
  t.equal(world.names().filter((name) => name === 'sallyport.approval.decided').length, 1)
  t.equal(codeOf(await answer), 'admitted')
})

t.test('a version that was not looked at decides nothing', async (t) => {
  const world = new World(t)
  const { answer, leave } = world.ask('new.test')
  const approval = await world.held('new.test')
  t.equal(world.approvals.stateReason(approval.id, 'anonymous', 'it has the schema'), 'stated')
  t.equal(await faultOf(world.decide(approval)), 'version_conflict')
  t.equal(world.approvals.stateReason(approval.id, 'another', 'me too'), 'unknown', 'only its own session says why')
  leave()
  await answer
})

t.test('a journal that cannot take the decision leaves everything as it was', async (t) => {
  let isFull = false
  const { ProxyError } = await import('../../src/errors.ts')
  const world = new World(t, {
    append: async () => {
      if (isFull) throw new ProxyError('audit_unavailable', 'disk full')
    },
  })
  const { answer, leave } = world.ask('new.test')
  const approval = await world.held('new.test')
  isFull = true
  t.equal(await faultOf(world.decide(approval)), 'audit_unavailable')
  t.equal(world.approvals.find(approval.id)?.state, 'pending')
  t.equal(world.approvals.book.size, 0)
  isFull = false
  leave()
  await answer
})

t.test('limits have refusals of their own, and a second session is served all the same', async (t) => {
  const world = new World(t, { holdMs: 0, limits: { perSession: 3, perSessionPerMinute: 5, total: 8 } })
  for (const id of ['s1', 's2', 's3', 's4']) world.addSession(id, { hold: 0 })
  const codes = async (session: string, names: readonly string[]): Promise<string[]> => Promise.all(names.map(async (name) => codeOf(await world.ask(`${name}.test`, { session }).answer)))
  t.strictSame(await codes('s1', ['a', 'b', 'c', 'd', 'a']), ['approval_pending', 'approval_pending', 'approval_pending', 'approval_limit', 'approval_pending'], 'what is open already is joined')
  t.strictSame(await codes('s2', ['a', 'b', 'c']), ['approval_pending', 'approval_pending', 'approval_pending'])
  t.strictSame(await codes('s3', ['a', 'b', 'c']), ['approval_pending', 'approval_pending', 'approval_queue_full'])
  t.strictSame(await codes('s4', ['a']), ['approval_queue_full'])
  for (const approval of world.approvals.pending.all()) if (approval.session === 's1') await world.decide(approval, { verdict: 'deny' })
  t.strictSame(await codes('s1', ['e', 'f', 'g']), ['approval_pending', 'approval_pending', 'approval_rate'])
})

t.test('an unattended session is refused and nobody is asked', async (t) => {
  const world = new World(t)
  world.addSession('s1', { unattended: true })
  t.equal(codeOf(await world.ask('new.test', { session: 's1' }).answer), 'approval_unavailable')
  t.equal(world.approvals.pending.size, 0)
})

t.test('what a grant opened is closed when it is revoked, runs out, or its session ends', async (t) => {
  const world = new World(t)
  for (const how of ['revoked', 'run out', 'ended'] as const) {
    world.addSession(how)
    const { answer } = world.ask('new.test', { session: how })
    const approval = await world.held('new.test')
    const decided = await world.decide(approval, { term: 'until', untilMs: world.nowMs + 60_000 })
    const admitted = await answer
    if (!(admitted instanceof Admitted)) throw new Error(codeOf(admitted))
    const live = world.gate.live.open(admitted, () => {})
    if (how === 'revoked') await world.desk.revoke(decided.decision?.grantId ?? '', reviewer)
    if (how === 'ended') {
      world.sessions.delete(how)
      world.approvals.sessionEnded(how)
    }
    if (how === 'run out') {
      world.nowMs += 60_000
      world.gate.live.closeOverdue(world.nowMs)
    }
    await new Promise((resolve) => setImmediate(resolve))
    t.equal(live.closedBy, how === 'ended' ? 'session_ended' : 'grant_ended', how)
    live.done()
  }
})

t.test('a tunnel whose grant was revoked between its decision and its opening is closed at once', async (t) => {
  const world = new World(t)
  const { answer } = world.ask('new.test')
  const decided = await world.decide(await world.held('new.test'), { term: 'session' })
  const admitted = await answer
  if (!(admitted instanceof Admitted)) throw new Error(codeOf(admitted))
  await world.desk.revoke(decided.decision?.grantId ?? '', reviewer)
  t.equal(world.gate.live.open(admitted, () => {}).closedBy, 'grant_ended')
})

t.test('a yes to one request is used by exactly one exchange', async (t) => {
  const world = new World(t, { policy: '[network]\nunknown = "deny"\n[[network.rules]]\nid = "post"\nhosts = ["api.test"]\nmethods = ["POST"]\nverdict = "ask"\n' })
  const post = { stage: 'request', scheme: 'http', port: 80, method: 'POST', path: '/pay', query: undefined } as const
  const answers = Array.from({ length: 5 }, () => world.ask('api.test', post, 'd1').answer)
  const other = world.ask('api.test', post, 'd2')
  const approval = await world.held('api.test', 5)
  t.equal(world.approvals.pending.size, 2, 'another body is another question')
  await world.decide(approval)
  await new Promise((resolve) => setImmediate(resolve))
  const codes = (await Promise.all(answers)).map(codeOf)
  t.equal(codes.filter((code) => code === 'admitted').length, 1, codes.join())
  other.leave()
  t.equal(codeOf(await other.answer), 'approval_pending')
})

t.test('a yes to a host is none to a request that policy asks about by itself, and a no to the host is a no to that too', async (t) => {
  const requestRule = '[network]\nunknown = "ask"\n[[network.rules]]\nid = "post"\nhosts = ["api.test"]\nmethods = ["POST"]\nverdict = "ask"\n'
  const get = { stage: 'request', scheme: 'http', port: 80, method: 'GET', path: '/', query: undefined } as const
  const post = { ...get, method: 'POST' } as const
  const world = new World(t)
  for (const [host, verdict] of [['api.test', 'allow'], ['closed.test', 'deny']] as const) {
    const { answer } = world.ask(host, get)
    await world.decide(await world.held(host), { verdict, term: 'until', untilMs: world.nowMs + 3_600_000 })
    t.equal(codeOf(await answer), verdict === 'allow' ? 'admitted' : 'approval_denied')
  }
  world.policy = policyOf(requestRule.replace('["api.test"]', '["api.test", "closed.test"]'))
  const asked = world.ask('api.test', post, 'd1')
  const approval = await world.held('api.test')
  t.equal(approval.kind, 'request')
  asked.leave()
  await asked.answer
  t.equal(codeOf(await world.ask('closed.test', post, 'd1').answer), 'approval_denied')
})

t.test('pending approvals survive a restart, and none is allowed by it', async (t) => {
  const dir = t.testdir({})
  const first = new World(t, { file: `${dir}/a.db`, holdMs: 0 })
  first.addSession('s1', { hold: 0 })
  await first.ask('new.test', { session: 's1' }).answer
  await first.ask('granted.test', { session: 's1' }).answer
  const granted = first.approvals.pending.all().find(({ host }) => host === 'granted.test')
  if (granted !== undefined) await first.decide(granted, { term: 'until', untilMs: first.nowMs + 3_600_000 })
  first.approvals.close()
  const second = new World(t, { file: `${dir}/a.db`, holdMs: 0 })
  second.addSession('s1', { hold: 0 })
  t.strictSame(second.approvals.pending.all().map(({ host, state }) => [host, state]), [['new.test', 'pending']])
  t.equal(codeOf(await second.ask('granted.test', { session: 's1' }).answer), 'admitted', 'and so does a grant')
  t.equal(codeOf(await second.ask('new.test', { session: 's1' }).answer), 'approval_pending')
  t.equal(second.approvals.pending.size, 1)
})

t.test('a question whose prompt is not in the journal is seen by no reviewer and survives no restart', async (t) => {
  const { promise: written, resolve: write } = Promise.withResolvers<void>()
  const world = new World(t, { append: async ({ name }) => (name === 'sallyport.approval.requested' ? written : undefined) })
  const asked = [world.ask('new.test'), world.ask('new.test')]
  while (world.approvals.pending.all()[0]?.attempts !== 2) await new Promise((resolve) => setImmediate(resolve))
  const [open] = world.approvals.pending.all()
  world.approvals.sweep()
  const stored = (): unknown => world.approvals.pending.table.get(open?.id ?? '')?.attempts
  t.equal(stored(), undefined, 'also when its counters were written')
  t.strictSame(world.desk.list({ state: 'pending', session: undefined, host: undefined }, reviewer, undefined, 10), [])
  write()
  const approval = await world.held('new.test', 2)
  t.equal(stored(), 2, 'with what was counted meanwhile')
  await world.decide(approval)
  t.strictSame((await Promise.all(asked.map(({ answer }) => answer))).map(codeOf), ['admitted', 'admitted'])
})
