// Faults and changes at the worst moment: a session that ends, a policy that changes, a journal or a database that
// fails while a question is asked or answered. Nothing opens by it, and nothing is left behind.
import t from 'tap'
import { ReviewFault } from '../../src/approvals/review-fault.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import { ProxyError } from '../../src/errors.ts'
import { Admitted } from '../../src/gate/admitted.ts'
import type { Store } from '../../src/store/store.ts'
import type { Scope } from '../support/scope.ts'
import { asking, codeOf, policyOf, World } from './world.ts'

async function faultOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
    return 'none'
  } catch (error) {
    return error instanceof ReviewFault ? error.code : error instanceof Error ? error.message : 'unknown'
  }
}

/** A journal that holds events of one name until it is told to go on. */
function slowJournal(name: string): { readonly append: (event: AuditEvent) => Promise<void>; readonly reached: Promise<void>; readonly goOn: () => void } {
  const reached = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  const append = async (event: AuditEvent): Promise<void> => {
    if (event.name !== name) return
    reached.resolve()
    await gate.promise
  }
  return { append, reached: reached.promise, goOn: gate.resolve }
}

const aboutRequests = '[network]\nunknown = "deny"\n[[network.rules]]\nid = "posts"\nhosts = ["new.test"]\nmethods = ["POST"]\nverdict = "ask"\n'

t.test('a yes that is being recorded while its session ends opens nothing', async (t) => {
  const journal = slowJournal('sallyport.approval.decided')
  const world = new World(t, { append: journal.append })
  world.addSession('s1')
  const { answer } = world.ask('new.test', { session: 's1' })
  const approval = await world.held('new.test')
  const decided = faultOf(world.decide(approval, { term: 'session' }))
  await journal.reached
  world.sessions.delete('s1')
  world.approvals.sessionEnded('s1')
  journal.goOn()
  t.equal(await decided, 'none')
  t.equal(codeOf(await answer), 'session_ended')
  t.strictSame(world.approvals.book.all(), [], 'no grant for a session that is over')
  t.equal(world.approvals.pending.size, 0)
})

t.test('a question whose session ends while its answer cannot be recorded is withdrawn', async (t) => {
  const journal = slowJournal('sallyport.approval.decided')
  const world = new World(t, {
    append: async (event) => {
      await journal.append(event)
      if (event.name === 'sallyport.approval.decided') throw new ProxyError('audit_unavailable', 'down')
    },
  })
  world.addSession('s1')
  const { answer } = world.ask('new.test', { session: 's1' })
  const approval = await world.held('new.test')
  const decided = faultOf(world.decide(approval))
  await journal.reached
  world.sessions.delete('s1')
  world.approvals.sessionEnded('s1')
  journal.goOn()
  t.equal(await decided, 'audit_unavailable')
  world.approvals.sweep()
  t.equal(codeOf(await answer), 'approval_withdrawn')
})

t.test('what could not be withdrawn while the journal was down is withdrawn when it is back', async (t) => {
  let isDown = true
  const world = new World(t, {
    append: async ({ name }) => {
      if (isDown && name === 'sallyport.approval.withdrawn') throw new ProxyError('audit_unavailable', 'down')
    },
  })
  const { answer } = world.ask('new.test')
  const approval = await world.held('new.test')
  world.policy = policyOf(asking.replace('"denied.test"', '"denied.test", "new.test"'))
  world.approvals.policyChanged()
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(world.approvals.find(approval.id)?.state, 'pending')
  isDown = false
  world.approvals.sweep()
  t.equal(codeOf(await answer), 'denied_by_rule')
  t.equal(world.approvals.find(approval.id)?.state, 'withdrawn')
})

t.test('a question of a session that ended while no process ran is withdrawn', async (t) => {
  const dir = t.testdir({})
  const world = new World(t, { file: `${dir}/sallyport.db` })
  world.addSession('s1')
  const { leave } = world.ask('new.test', { session: 's1' })
  const { id } = await world.held('new.test')
  leave()
  const next = new World(t, { file: `${dir}/sallyport.db` })
  t.equal(next.approvals.find(id)?.state, 'pending')
  next.approvals.sweep()
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(next.approvals.find(id)?.state, 'withdrawn')
})

t.test('a no closes what an earlier yes holds open, for everybody that it is about', async (t) => {
  const world = new World(t)
  for (const id of ['s1', 's2', 's3']) world.addSession(id, { team: id === 's3' ? 'other' : 'web' })
  const closed: string[] = []
  for (const session of ['s1', 's3']) {
    const { answer } = world.ask('new.test', { session })
    await world.decide(await world.held('new.test'), { term: 'session' })
    const admitted = await answer
    if (!(admitted instanceof Admitted)) throw new Error('not admitted')
    world.gate.live.open(admitted, () => closed.push(session))
  }
  const { answer } = world.ask('new.test', { session: 's2' })
  await world.decide(await world.held('new.test'), { verdict: 'deny', term: 'until', untilMs: world.nowMs + 60_000, who: 'team' })
  t.equal(codeOf(await answer), 'approval_denied')
  t.strictSame(closed, ['s1'])
})

t.test('a yes to a host is none to a request that policy asks about by itself since', async (t) => {
  const world = new World(t)
  const request = { stage: 'request', scheme: 'http', port: 80, method: 'POST', path: '/', query: undefined } as const
  const { answer } = world.ask('new.test', request)
  const approval = await world.held('new.test')
  world.policy = policyOf(aboutRequests)
  t.equal(await faultOf(world.decide(approval)), 'already_decided')
  world.approvals.policyChanged()
  t.equal(codeOf(await answer), 'approval_withdrawn')

  const journal = slowJournal('sallyport.approval.decided')
  const other = new World(t, { append: journal.append })
  const asked = other.ask('new.test', request)
  const decided = other.decide(await other.held('new.test'))
  await journal.reached
  other.policy = policyOf(aboutRequests)
  journal.goOn()
  await decided
  t.equal(codeOf(await asked.answer), 'approval_withdrawn', 'nor when it changes while the yes is recorded')
})

/** A database that fails at what `fails` names. */
class FailingStore implements Store {
  readonly #store: Store
  fails: 'commit' | 'run' | undefined

  constructor(store: Store) {
    this.#store = store
  }

  all: Store['all'] = (sql, ...values) => this.#store.all(sql, ...values)
  get: Store['get'] = (sql, ...values) => this.#store.get(sql, ...values)
  run: Store['run'] = (sql, ...values) => {
    if (this.fails === 'run') throw new Error('database is locked')
    return this.#store.run(sql, ...values)
  }

  transaction<T>(work: () => T): T {
    return this.#store.transaction(() => {
      const done = work()
      if (this.fails === 'commit') throw new Error('database or disk is full')
      return done
    })
  }

  compact(): void {
    this.#store.compact()
  }

  checkpoint(): void {
    this.#store.checkpoint()
  }

  close(): void {
    this.#store.close()
  }
}

function worldThatFails(t: Scope): { readonly world: World; readonly database: FailingStore } {
  let database: FailingStore | undefined
  const world = new World(t, { wrap: (store) => (database = new FailingStore(store)) })
  if (database === undefined) throw new Error('no database')
  return { world, database }
}

t.test('an answer that the database does not take leaves everything as it was, and can be given again', async (t) => {
  const { world, database } = worldThatFails(t)
  const { answer } = world.ask('new.test')
  const approval = await world.held('new.test')
  database.fails = 'commit'
  t.equal(await faultOf(world.decide(approval, { term: 'session' })), 'database or disk is full')
  t.strictSame(world.approvals.book.all(), [], 'nothing is open')
  t.match(world.approvals.pending.get(approval.id), { state: 'pending', waiting: 1 })
  database.fails = undefined
  await world.decide(approval)
  t.equal(codeOf(await answer), 'admitted')
})

t.test('a question that cannot be kept is refused on record', async (t) => {
  const { world, database } = worldThatFails(t)
  database.fails = 'run'
  const answer = await world.ask('new.test').answer
  t.equal(codeOf(answer), 'internal_error')
  t.match(world.events.at(-1), { name: 'sallyport.decision', attributes: { 'network.policy.decision': 'deny', 'server.address': 'new.test', 'sallyport.stage': 'approval' } })
  t.equal(world.approvals.pending.size, 0)
  database.fails = undefined
})

t.test('a session follows so many of its questions at once, and what it leaves makes room', async (t) => {
  const world = new World(t)
  const asked = world.ask('new.test')
  const approval = await world.held('new.test')
  const left = new AbortController()
  const stays = new AbortController().signal
  const following = Array.from({ length: 64 }, () => world.approvals.follow(approval.id, 'anonymous', 60_000, left.signal))
  t.equal((await world.approvals.follow(approval.id, 'anonymous', 60_000, stays))?.state, 'pending', 'one too many hears at once')
  t.equal(await world.approvals.follow(approval.id, 's1', 60_000, stays), undefined)
  left.abort()
  t.strictSame((await Promise.all(following)).map((each) => each?.state), Array.from({ length: 64 }, () => 'pending'))
  const waits = world.approvals.follow(approval.id, 'anonymous', 60_000, stays)
  await world.decide(world.approvals.find(approval.id) ?? approval, { verdict: 'deny' })
  t.equal((await waits)?.state, 'denied')
  await asked.answer
})

t.test('an agent that goes on changing its reason does not keep a reviewer from deciding', async (t) => {
  const world = new World(t)
  const { answer } = world.ask('new.test')
  const { id } = await world.held('new.test')
  const said = Array.from({ length: 100 }, (_, at) => world.approvals.stateReason(id, 'anonymous', `reason ${at}`))
  t.strictSame(new Set(said.slice(5)), new Set(['too_often']))
  const seen = world.approvals.find(id)
  t.match(seen, { statedReason: 'reason 4', version: 6 })
  t.equal(world.approvals.stateReason(id, 'anonymous', 'reason 4'), 'stated', 'the same again is nothing new')
  if (seen !== undefined) await world.decide(seen)
  t.equal(codeOf(await answer), 'admitted')
})
