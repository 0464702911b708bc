// Approvals over the API: the queue, a decision of what was looked at, waiting, and what a caller is told when
// somebody else was faster.
import t from 'tap'
import { call, type Asked } from './caller.ts'
import { approvalOf, nowMs } from './fakes.ts'
import { openWorld, type World } from './world.ts'

const token = 'sp_reviewer'
const decideWith = (world: World, id: string, body: unknown, version = 1, more: Asked = {}) =>
  call(world.url, `/v1/approvals/${id}/decision`, { method: 'POST', token, ...more, headers: { 'if-match': `"${version}"`, ...more.headers }, body })
const ids = (items: readonly { readonly id: string }[]): string[] => items.map(({ id }) => id)

t.test('the queue comes in pages, oldest first, and a cursor goes on from where it was', async (t) => {
  const world = await openWorld(t)
  for (const id of ['A1', 'A2', 'A3', 'A4', 'A5']) world.desk.put(approvalOf(id))
  const first = (await call(world.url, '/v1/approvals?limit=2', { token })).json
  t.strictSame(ids(first.items), ['A1', 'A2'])
  const second = (await call(world.url, `/v1/approvals?limit=2&cursor=${first.next_cursor}`, { token })).json
  t.strictSame(ids(second.items), ['A3', 'A4'])
  const last = (await call(world.url, `/v1/approvals?limit=2&cursor=${second.next_cursor}`, { token })).json
  t.strictSame(ids(last.items), ['A5'])
  t.equal(last.next_cursor, null)
})

t.test('the queue is asked for by state, session and host', async (t) => {
  const world = await openWorld(t)
  world.desk.put(approvalOf('A1', { state: 'denied' }))
  world.desk.put(approvalOf('A2', { session: 's-2' }))
  world.desk.put(approvalOf('A3', { host: 'x.example' }))
  const asked = async (query: string) => ids((await call(world.url, `/v1/approvals?${query}`, { token })).json.items)
  t.strictSame(await asked('state=pending'), ['A2', 'A3'])
  t.strictSame(await asked('session=s-2'), ['A2'])
  t.strictSame(await asked('host=x.example'), ['A3'])
})

t.test('a query says exactly what is asked', async (t) => {
  const world = await openWorld(t)
  for (const [query, pointer] of [['limit=0', '/limit'], ['limit=501', '/limit'], ['limit=-1', '/limit'], ['limit=1e2', '/limit'], ['limit=', '/limit'], ['limit=1&limit=2', '/limit'], ['state=open', '/state'], ['State=pending', '/State'], ['x=1', '/x']] as const) {
    const answer = await call(world.url, `/v1/approvals?${query}`, { token })
    t.equal(answer.status, 400, query)
    t.equal(answer.json.errors[0].pointer, pointer, query)
  }
})

t.test('a card has its version as ETag, and who has it already is told so', async (t) => {
  const world = await openWorld(t)
  world.desk.put(approvalOf('A1', { version: 7, url: 'https://a1.example/x?secret=1', snoozedUntilMs: nowMs }))
  const { status, headers, json } = await call(world.url, '/v1/approvals/A1', { token })
  t.equal(status, 200)
  t.equal(headers['etag'], '"7"')
  t.match(json, { id: 'A1', version: 7, url: 'https://a1.example/x?secret=1', first_seen: '2026-01-02T03:04:05.678Z', snoozed_until: '2026-01-02T03:04:05.678Z', method: null, rules: { comment_for: ['always'] } })
  for (const has of ['"7"', 'W/"7"', '"1", "7"', '*']) {
    const same = await call(world.url, '/v1/approvals/A1', { token, headers: { 'if-none-match': has } })
    t.match(same, { status: 304, text: '', headers: { etag: '"7"' } }, has)
  }
  t.equal((await call(world.url, '/v1/approvals/A1', { token, headers: { 'if-none-match': '"6"' } })).status, 200)
  t.equal((await call(world.url, '/v1/approvals/A2', { token })).status, 404)
})

t.test('a decision is about the version that was looked at', async (t) => {
  const world = await openWorld(t)
  world.desk.put(approvalOf('A1', { version: 3 }))
  const none = await call(world.url, '/v1/approvals/A1/decision', { method: 'POST', token, body: { verdict: 'allow' } })
  t.match(none, { status: 428, json: { code: 'version_required' } })
  for (const tag of ['*', 'W/"3"', '3', '"3", "4"', '"x"', '']) {
    t.match((await call(world.url, '/v1/approvals/A1/decision', { method: 'POST', token, headers: { 'if-match': tag }, body: { verdict: 'allow' } })).status, 400, tag)
  }
  const stale = await decideWith(world, 'A1', { verdict: 'allow' }, 2)
  t.match(stale, { status: 412, headers: { etag: '"3"' }, json: { code: 'version_conflict', approval: { id: 'A1', version: 3, state: 'pending' } } })
  const done = await decideWith(world, 'A1', { verdict: 'allow', comment: 'fine' }, 3)
  t.match(done, { status: 200, headers: { etag: '"4"' }, json: { state: 'allowed', decision: { verdict: 'allow', term: 'once', by: 'reviewer', comment: 'fine', second_by: null } } })
  const late = await decideWith(world, 'A1', { verdict: 'deny' }, 4)
  t.match(late, { status: 409, json: { code: 'already_decided', approval: { state: 'allowed', decision: { by: 'reviewer' } } } })
})

t.test('a decision says exactly what is done', async (t) => {
  const world = await openWorld(t)
  world.desk.put(approvalOf('A1'))
  const soon = new Date(nowMs + 60_000).toISOString()
  const wrong: readonly (readonly [unknown, string])[] = [
    [{}, '/verdict'], [{ verdict: 'ask' }, '/verdict'], [{ verdict: true }, '/verdict'], [{ verdict: 'allow', Term: 'once' }, '/Term'], [{ verdict: 'allow', 'a/b~c': 1 }, '/a~1b~0c'],
    [{ verdict: 'allow', subdomains: 'true' }, '/subdomains'], [{ verdict: 'allow', all_ports: 1 }, '/all_ports'], [{ verdict: 'allow', who: 'everyone' }, '/who'],
    [{ verdict: 'allow', term: 'until' }, '/until'], [{ verdict: 'allow', term: 'until', until: soon, duration: '1h' }, '/until'], [{ verdict: 'allow', term: 'once', duration: '1h' }, '/until'],
    [{ verdict: 'allow', term: 'until', until: '2020-01-01T00:00:00Z' }, '/until'], [{ verdict: 'allow', term: 'until', until: 'tomorrow' }, '/until'], [{ verdict: 'allow', term: 'until', duration: '0m' }, '/duration'],
    [{ verdict: 'allow', term: 'until', duration: '1 h' }, '/duration'], [{ verdict: 'allow', comment: '' }, '/comment'], [{ verdict: 'allow', comment: 'x\u202ey' }, '/comment'], [[], ''], [null, ''], ['allow', ''],
  ]
  for (const [body, pointer] of wrong) {
    const answer = await decideWith(world, 'A1', JSON.stringify(body))
    t.equal(answer.status, 400, JSON.stringify(body))
    if (answer.json.code === 'invalid') t.equal(answer.json.errors[0].pointer, pointer, JSON.stringify(body))
  }
  for (const body of ['', '{', '{"verdict":"allow"}{', '{"__proto__":{"verdict":"allow"}}', '{"verdict":"allow","__proto__":{"term":"always"}}', '{"verdict":"allow","constructor":{"prototype":{}}}']) {
    t.equal((await decideWith(world, 'A1', body)).status, 400, body)
  }
  t.strictSame(world.desk.calls, [], 'nothing of it reached the desk')
})

t.test('a time is given as such or as a duration from now', async (t) => {
  const world = await openWorld(t)
  const decided: (number | undefined)[] = []
  const original = world.desk.decide.bind(world.desk)
  world.desk.decide = async (id, answer, actor) => {
    decided.push(answer.untilMs)
    return original(id, answer, actor)
  }
  for (const id of ['A1', 'A2', 'A3']) world.desk.put(approvalOf(id))
  await decideWith(world, 'A1', { verdict: 'allow', term: 'until', duration: '15m' })
  await decideWith(world, 'A2', { verdict: 'allow', term: 'until', until: '2026-01-02T04:04:05+01:00' })
  await decideWith(world, 'A2', { verdict: 'allow', term: 'until', until: '2026-01-02T05:04:05.5+01:00' })
  await decideWith(world, 'A3', { verdict: 'deny' })
  t.strictSame(decided, [nowMs + 900_000, Date.UTC(2026, 0, 2, 4, 4, 5, 500), undefined], 'the second was in the past')
})

t.test('what the desk refuses is told with its own status', async (t) => {
  const world = await openWorld(t)
  const own = world.tokens.add('reviewer', 'alice')
  world.desk.put(approvalOf('A1'))
  world.desk.put(approvalOf('A2', { host: 'comment.example' }))
  t.match(await decideWith(world, 'A1', { verdict: 'allow' }, 1, { token: own }), { status: 403, json: { code: 'self_approval' } })
  t.match(await decideWith(world, 'A2', { verdict: 'allow' }), { status: 422, json: { code: 'comment_required' } })
  t.match(await decideWith(world, 'A9', { verdict: 'allow' }), { status: 404, json: { code: 'not_found' } })
  t.strictSame(world.journaled.map(({ attributes }) => attributes['sallyport.code']), ['self_approval', 'comment_required', 'not_found'], 'and stands in the event of the call')
})

t.test('of many decisions at once exactly one is made', async (t) => {
  const world = await openWorld(t)
  for (let round = 0; round < 100; round++) {
    const id = `R${String(round).padStart(3, '0')}`
    world.desk.put(approvalOf(id))
    const answers = await Promise.all([
      decideWith(world, id, { verdict: 'allow' }),
      decideWith(world, id, { verdict: 'deny' }, 1, { token: 'sp_admin' }),
    ])
    const statuses = answers.map(({ status }) => status).toSorted((a, b) => a - b)
    t.strictSame(statuses, [200, 409], id)
    const [done, late] = answers.toSorted((a, b) => a.status - b.status)
    t.equal(late?.json.approval.state, done?.json.state)
  }
})

t.test('a snooze says until when', async (t) => {
  const world = await openWorld(t)
  world.desk.put(approvalOf('A1'))
  const snooze = (body: unknown, headers = {}) => call(world.url, '/v1/approvals/A1/snooze', { method: 'POST', token, headers, body })
  t.equal((await snooze({ duration: '1h' })).status, 428)
  t.equal((await snooze({}, { 'if-match': '"1"' })).status, 400)
  t.match(await snooze({ duration: '1h' }, { 'if-match': '"1"' }), { status: 200, headers: { etag: '"2"' }, json: { snoozed_until: '2026-01-02T04:04:05.678Z', state: 'pending' } })
})

t.test('an empty queue is waited for', async (t) => {
  const world = await openWorld(t)
  const waiting = call(world.url, '/v1/approvals?state=pending', { token, headers: { prefer: 'respond-async, wait=20' } })
  await until(() => world.desk.listeners === 1)
  world.desk.put(approvalOf('A0', { state: 'denied' }))
  world.desk.put(approvalOf('A1'))
  const { status, headers, json } = await waiting
  t.equal(status, 200)
  t.equal(headers['preference-applied'], 'wait=20')
  t.strictSame(ids(json.items), ['A1'])
  t.equal(world.desk.listeners, 0)
})

t.test('a version is waited for, and a wait is 30 s at most', async (t) => {
  const world = await openWorld(t)
  world.desk.put(approvalOf('A1'))
  const waiting = call(world.url, '/v1/approvals/A1', { token, headers: { prefer: 'wait=600', 'if-none-match': '"1"' } })
  await until(() => world.desk.listeners === 1)
  await decideWith(world, 'A1', { verdict: 'deny' })
  t.match(await waiting, { status: 200, headers: { etag: '"2"', 'preference-applied': 'wait=30' }, json: { state: 'denied' } })
})

t.test('a wait that brings nothing is 304, or an empty page', async (t) => {
  const world = await openWorld(t, { limits: { ...(await openWorld(t)).deps.limits, maxWaitMs: 5 } })
  t.strictSame((await call(world.url, '/v1/approvals', { token, headers: { prefer: 'wait=9' } })).json, { items: [], next_cursor: null })
  world.desk.put(approvalOf('A1'))
  t.equal((await call(world.url, '/v1/approvals/A1', { token, headers: { prefer: 'wait=9', 'if-none-match': '"1"' } })).status, 304)
})

t.test('a wait ends when the client leaves', async (t) => {
  const world = await openWorld(t)
  const leaving = new AbortController()
  const waiting = call(world.url, '/v1/approvals', { token, headers: { prefer: 'wait=30' }, signal: leaving.signal })
  await until(() => world.desk.listeners === 1)
  leaving.abort()
  await t.rejects(waiting)
  await until(() => world.desk.listeners === 0)
  t.equal(world.desk.listeners, 0)
})

t.test('who loses its token while it waits is told nothing', async (t) => {
  const world = await openWorld(t)
  const waiting = call(world.url, '/v1/approvals', { token, headers: { prefer: 'wait=30' } })
  await until(() => world.desk.listeners === 1)
  world.tokens.revoke('t-reviewer')
  world.desk.put(approvalOf('A1'))
  t.match(await waiting, { status: 401 })
})

t.test('one actor waits in so many places and no more', async (t) => {
  const world = await openWorld(t, { limits: { ...(await openWorld(t)).deps.limits, waitsPerActor: 1 } })
  const waiting = call(world.url, '/v1/approvals', { token, headers: { prefer: 'wait=30' } })
  await until(() => world.desk.listeners === 1)
  t.match(await call(world.url, '/v1/approvals', { token, headers: { prefer: 'wait=30' } }), { status: 429, json: { code: 'too_many_waits' } })
  world.desk.put(approvalOf('A1'))
  t.equal((await waiting).status, 200)
})

t.test('stopping ends what waits', async (t) => {
  const world = await openWorld(t)
  const waiting = call(world.url, '/v1/approvals', { token, headers: { prefer: 'wait=30' } })
  await until(() => world.desk.listeners === 1)
  const ended = waiting.then(({ status }) => status, () => 'cut')
  await world.control.stop()
  t.match(await ended, /cut|200/)
  t.equal(world.desk.listeners, 0)
})

/** Resolves once it is so: looked at each turn of the loop, as nobody tells of it. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise<void>((resolve) => { setImmediate(resolve) })
}
