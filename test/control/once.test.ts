// Idempotency-Key: the same request again is answered as it was and does nothing again.
import t from 'tap'
import { KeptAnswers } from '../../src/approvals/kept-answers.ts'
import { migrations } from '../../src/approvals/migrations.ts'
import { openSqliteStore } from '../../src/store/sqlite-store.ts'
import { call } from './caller.ts'
import { approvalOf, agentToken } from './fakes.ts'
import { openWorld, type World } from './world.ts'

const decideWith = (world: World, key: string, body: unknown = { verdict: 'allow' }, token = 'sp_reviewer', id = 'A1') =>
  call(world.url, `/v1/approvals/${id}/decision`, { method: 'POST', token, headers: { 'if-match': '"1"', 'idempotency-key': key }, body })

t.test('a replay gets the stored answer, and decides nothing', async (t) => {
  const world = await openWorld(t)
  world.desk.put(approvalOf('A1'))
  const first = await decideWith(world, 'k1')
  t.equal(first.headers['idempotency-replayed'], undefined)
  const again = await decideWith(world, 'k1')
  t.match(again, { status: 200, headers: { etag: '"2"', 'idempotency-replayed': 'true' } })
  t.strictSame(again.json, first.json)
  t.strictSame(world.desk.calls, ['decide A1 allow'])
  t.equal(world.called.length, 2, 'each call is an event')
})

t.test('the same key with another request is refused', async (t) => {
  const world = await openWorld(t)
  world.desk.put(approvalOf('A1'))
  world.desk.put(approvalOf('A2'))
  await decideWith(world, 'k1')
  t.match(await decideWith(world, 'k1', { verdict: 'deny' }), { status: 422, json: { code: 'key_reused' } })
  t.match(await decideWith(world, 'k1', { verdict: 'allow' }, 'sp_reviewer', 'A2'), { status: 422, json: { code: 'key_reused' } })
})

t.test('the key of one actor is nothing to another', async (t) => {
  const world = await openWorld(t)
  world.desk.put(approvalOf('A1'))
  await decideWith(world, 'k1')
  t.equal((await decideWith(world, 'k1', { verdict: 'deny' }, 'sp_admin')).status, 409)
})

t.test('a refusal is not kept', async (t) => {
  const world = await openWorld(t)
  t.equal((await decideWith(world, 'k1')).status, 404)
  world.desk.put(approvalOf('A1'))
  t.equal((await decideWith(world, 'k1')).status, 200)
})

t.test('the same key at the same time is done once', async (t) => {
  const world = await openWorld(t)
  world.desk.put(approvalOf('A1'))
  const answers = await Promise.all([decideWith(world, 'k1'), decideWith(world, 'k1'), decideWith(world, 'k1')])
  t.strictSame(world.desk.calls, ['decide A1 allow'])
  for (const { status, json } of answers) t.ok(status === 200 || json.code === 'in_progress', String(status))
})

t.test('an answer is kept for 24 h', async (t) => {
  const world = await openWorld(t)
  world.desk.put(approvalOf('A1'))
  await decideWith(world, 'k1')
  world.clock.move(86_400_000 - 1)
  t.equal((await decideWith(world, 'k1')).headers['idempotency-replayed'], 'true')
  world.clock.move(1)
  t.equal((await decideWith(world, 'k1')).status, 409)
})

t.test('a secret is not kept: a replay has null in its place', async (t) => {
  const world = await openWorld(t)
  const create = () => call(world.url, '/v1/sessions', { method: 'POST', token: 'sp_admin', headers: { 'idempotency-key': 'k1' }, body: { agent: 'codex' } })
  t.equal((await create()).json.token, agentToken)
  t.match(await create(), { status: 201, json: { session: { agent: 'codex' }, token: null, proxy_url: null } })
  t.equal(world.sessions.list().length, 2)
  const mint = () => call(world.url, '/v1/tokens', { method: 'POST', token: 'sp_admin', headers: { 'idempotency-key': 'k2' }, body: { kind: 'person', name: 'new', role: 'viewer' } })
  t.equal((await mint()).json.secret, 'sp_new')
  t.match(await mint(), { status: 201, json: { token: { name: 'new' }, secret: null } })
})

t.test('a key is visible ASCII of some length', async (t) => {
  const world = await openWorld(t)
  world.desk.put(approvalOf('A1'))
  for (const key of ['', 'a b', 'x'.repeat(129), 'é']) t.match(await decideWith(world, key), { status: 400 }, key)
  t.strictSame(world.desk.calls, [])
})

t.test('answers that are older than a day leave the store', async (t) => {
  const store = openSqliteStore(':memory:', migrations)
  let now = 1_000
  const answers = new KeptAnswers(store, { now: () => now, monotonic: () => now })
  answers.keep('person:a', 'k1', { requestHash: 'h', status: 200, body: '{}' })
  now += 86_400_000
  t.equal(answers.find('person:a', 'k1'), undefined)
  answers.keep('person:a', 'k2', { requestHash: 'h', status: 200, body: '{}' })
  t.strictSame(store.all('SELECT key FROM idempotency'), [{ key: 'k2' }])
  store.close()
})
