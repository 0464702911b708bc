// A question about a page that is not in the web cache, in the room: what happens to it while the page is fetched, when
// the journal fails, when it is asked for again, and after a restart.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { ProxyError } from '../../src/errors.ts'
import { ReviewFault } from '../../src/approvals/review-fault.ts'
import type { Approval } from '../../src/approvals/approval.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import { Admitted } from '../../src/gate/admitted.ts'
import { ledTo } from '../../src/gate/filling.ts'
import type { AfterMiss } from '../../src/gate/missing.ts'
import type { Presence } from '../../src/gate/presence.ts'
import { evaluate } from '../../src/policy/evaluate.ts'
import { liveReading } from '../../src/policy/grant.ts'
import { policyOf, reviewer, World, type WorldOptions } from './world.ts'

const policy = '[web_fetch]\nmode = "cached"\non_miss = "ask"\n[network]\nunknown = "ask"\ndenied_domains = ["denied.test"]\n[network.approvals]\nfour_eyes = ["two.test"]\n[[network.rules]]\nid = "asked"\nhosts = ["asked.test"]\nverdict = "ask"\n'
const page = { stage: 'request', method: 'GET', path: '/guide', query: undefined } as const
const held: Presence = { watch: () => () => {}, requestDigest: async () => undefined }

function worldWith(t: ConstructorParameters<typeof World>[0], options: WorldOptions = {}): World {
  return new World(t, { policy, fetchPage: async () => undefined, ...options })
}

/** A client that reads a page which is not there, and waits. */
async function miss(world: World, change: { readonly session?: string; readonly path?: string } = {}, presence: Presence | undefined = held): Promise<AfterMiss> {
  const admitted = await world.gate.admit(world.exchange('docs.test', { ...page, ...change }), presence)
  if (!(admitted instanceof Admitted)) throw new Error(admitted.reason)
  return world.gate.missed(admitted, 'is not in the cache', presence)
}

const codeOf = (after: AfterMiss): string => (typeof after === 'string' ? after : after instanceof Admitted ? 'admitted' : after.code)

async function faultOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(() => undefined, (error: unknown) => (error instanceof ReviewFault ? { code: error.code, message: error.message } : error))
}

t.test('who is held looks again when the page was fetched, and nothing was granted', async (t) => {
  const world = worldWith(t)
  const after = miss(world)
  const approval = await world.held('docs.test')
  t.match(approval, { kind: 'fetch', url: 'https://docs.test/guide', isReview: false })
  await world.decide(approval, { isFetch: true })
  t.equal(await after, 'fetched')
  t.equal(world.approvals.book.size, 0)
  t.match(world.names(), ['sallyport.decision', 'sallyport.decision', 'sallyport.approval.requested', 'sallyport.approval.decided'])
})

t.test('a yes to live reading admits, and is a grant to reading alone', async (t) => {
  const world = worldWith(t)
  const after = miss(world)
  await world.decide(await world.held('docs.test'), { term: 'session' })
  t.equal(codeOf(await after), 'admitted')
  t.match(world.approvals.book.all(), [{ requestDigest: liveReading, port: 443 }])
  t.equal(codeOf(await miss(world, { path: '/other' })), 'admitted', 'the next page needs no question')
  const writing = world.ask('docs.test', { ...page, method: 'POST' }, 'd1')
  t.match(await world.held('docs.test'), { method: 'POST' }, 'writing does')
  writing.leave()
})

t.test('without anybody who waits for it nobody is asked', async (t) => {
  const world = worldWith(t)
  const admitted = await world.gate.admit(world.exchange('docs.test', page))
  t.ok(admitted instanceof Admitted)
  if (admitted instanceof Admitted) t.equal(codeOf(await world.gate.missed(admitted, 'is stale in the cache', undefined)), 'cache_miss')
  t.equal(world.approvals.pending.size, 0)
})

t.test('while the page is fetched nobody else decides, and it neither expires nor is withdrawn', async (t) => {
  const { promise, resolve } = Promise.withResolvers<string | undefined>()
  const world = worldWith(t, { fetchPage: () => promise })
  world.addSession('s1')
  const after = miss(world, { session: 's1' })
  const approval = await world.held('docs.test')
  const told: string[] = []
  world.approvals.changes.on(({ id }) => told.push(id))
  const deciding = world.decide(approval, { isFetch: true })
  t.match(world.approvals.get(approval.id, 's1'), { state: 'pending', version: approval.version, fetching: { by: 'rita', sinceMs: world.nowMs } })
  t.ok(told.includes(approval.id), 'screens are told')
  t.match(await faultOf(world.decide(approval, { verdict: 'deny' })), { code: 'already_decided', message: /rita has the page fetched/ })
  t.equal(world.approvals.stateReason(approval.id, 's1', 'for the docs'), 'stated', 'what the agent says meanwhile stops nothing')
  world.nowMs += 30 * 86_400_000
  world.approvals.sweep()
  world.policy = policyOf(policy.replace('"ask"\n[network]', '"deny"\n[network]'))
  world.approvals.policyChanged()
  t.equal(world.approvals.find(approval.id)?.state, 'pending')
  resolve('the page leads on')
  t.match(await deciding, { state: 'allowed', fetching: undefined, decision: { isFetched: true, fetchNote: 'the page leads on' } })
  t.equal(await after, 'fetched')
})

t.test('a session that ends while its page is fetched is answered that it ended', async (t) => {
  const { promise, resolve } = Promise.withResolvers<string | undefined>()
  const world = worldWith(t, { fetchPage: () => promise })
  world.addSession('s1')
  const after = miss(world, { session: 's1' })
  const deciding = world.decide(await world.held('docs.test'), { isFetch: true })
  world.sessions.delete('s1')
  world.approvals.sessionEnded('s1')
  resolve(undefined)
  t.match(await deciding, { state: 'allowed' })
  t.equal(codeOf(await after), 'session_ended')
})

t.test('a fetch that fails leaves the question as it was, for anybody to answer', async (t) => {
  const world = worldWith(t, { fetchPage: () => Promise.reject(new ReviewFault('fetch_failed', 'its status is 500')) })
  const after = miss(world)
  const approval = await world.held('docs.test')
  t.match(await faultOf(world.decide(approval, { isFetch: true })), { code: 'fetch_failed' })
  t.match(world.approvals.find(approval.id), { state: 'pending', version: approval.version, fetching: undefined })
  t.notOk(world.names().includes('sallyport.approval.decided'))
  await world.decide(approval, { verdict: 'deny' })
  t.equal(codeOf(await after), 'approval_denied')
})

t.test('an answer that cannot be recorded is not made, and it is said that the page is there all the same', async (t) => {
  let isDown = false
  const world = worldWith(t, { append: async (event: AuditEvent) => {
    if (isDown && event.name === 'sallyport.approval.decided') throw new ProxyError('audit_unavailable', 'the disk is full')
  } })
  const after = miss(world)
  const approval = await world.held('docs.test')
  isDown = true
  t.match(await faultOf(world.decide(approval, { isFetch: true })), { code: 'audit_unavailable', message: /the page is in the cache/ })
  t.match(world.approvals.find(approval.id), { state: 'pending', fetching: undefined })
  isDown = false
  await world.decide(approval, { isFetch: true })
  t.equal(await after, 'fetched')
})

t.test('a question that cannot be recorded is not asked', async (t) => {
  const world = worldWith(t, { append: async (event: AuditEvent) => {
    if (event.name === 'sallyport.approval.requested') throw new ProxyError('audit_unavailable', 'the disk is full')
  } })
  t.equal(codeOf(await miss(world)), 'audit_unavailable')
  t.equal(world.approvals.pending.size, 0)
})

t.test('after a restart the question is there, is joined by who asks again, and is answered', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-pages-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const file = join(dir, 'room.db')
  let asked: Approval | undefined
  await t.test('before', async (t) => {
    const world = worldWith(t, { file, holdMs: 0 })
    const after = miss(world)
    t.equal(codeOf(await after), 'approval_pending')
    asked = world.approvals.pending.all()[0]
  })
  const world = worldWith(t, { file })
  const after = miss(world)
  const approval = await world.held('docs.test')
  t.match(approval, { id: asked?.id, kind: 'fetch', url: 'https://docs.test/guide', attempts: 2, fetching: undefined })
  await world.decide(approval, { isFetch: true })
  t.equal(await after, 'fetched')
  t.match(world.approvals.find(approval.id), { state: 'allowed', decision: { isFetched: true } })
})

t.test('where a redirect leads is not what was said yes to: what policy asks about there, or names nowhere, is not followed', async (t) => {
  const world = worldWith(t)
  const judged = (host: string): unknown => {
    const { facts } = world.exchange(host, page)
    return ledTo(evaluate(world.policy, facts, world.nowMs), world.policy, facts)
  }
  t.match(judged('docs.test'), { verdict: 'deny', code: 'approval_required', reason: /no rule names docs\.test/ })
  t.match(judged('asked.test'), { verdict: 'deny', code: 'approval_required' })
  t.match(judged('two.test'), { verdict: 'deny', code: 'approval_required' })
  t.match(judged('denied.test'), { verdict: 'deny', code: 'denied_by_rule' })
})

t.test('new names below a host that is read live count, so that nothing leaves in them', async (t) => {
  const world = worldWith(t, { policy: `${policy}[[network.limits]]\nagents = ["local"]\nnew_names_per_minute = 2\n` })
  const first = miss(world)
  await world.decide(await world.held('docs.test'), { term: 'until', untilMs: world.nowMs + 60_000, subdomains: true })
  t.equal(codeOf(await first), 'admitted')
  const codes: string[] = []
  for (const name of ['a', 'b', 'c', 'd']) {
    const admitted = await world.gate.admit(world.exchange(`${name}.docs.test`, page), held)
    codes.push(admitted instanceof Admitted ? codeOf(await world.gate.missed(admitted, 'is not in the cache', held)) : admitted.code)
  }
  t.equal(codes.at(-1), 'name_budget_exceeded', codes.join(' '))
})

t.test('the reviewer who decides is not told of a page of another team', async (t) => {
  const world = worldWith(t)
  world.addSession('s1', { team: 'web' })
  const after = miss(world, { session: 's1' })
  const approval = await world.held('docs.test')
  t.match(await faultOf(world.decide(approval, { isFetch: true }, { ...reviewer, teams: ['ops'] })), { code: 'not_found' })
  await world.decide(approval, { verdict: 'deny' }, { ...reviewer, teams: ['web'] })
  t.equal(codeOf(await after), 'approval_denied')
})
