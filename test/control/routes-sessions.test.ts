// Sessions and tokens over the API: who may start what for whom, and secrets that are told once.
import { ProxyError } from '../../src/errors.ts'
import t from 'tap'
import { call } from './caller.ts'
import { agentToken, nowMs, sessionOf } from './fakes.ts'
import { cacheWorld } from './cache-world.ts'
import { openWorld, type World } from './world.ts'

const start = (world: World, token: string, body: unknown) => call(world.url, '/v1/sessions', { method: 'POST', token, body })

t.test('a session is made with its proxy URL, and its token is told this once', async (t) => {
  const world = await openWorld(t)
  const { status, json } = await start(world, 'sp_admin', { agent: 'codex', owner: 'bob', team: 'web', hold: '4s', unattended: true, ttl: '8h' })
  t.equal(status, 201)
  t.match(json, { session: { agent: 'codex', owner: 'bob', team: 'web', hold: 4, unattended: true, created_by: 'admin', expires_at: '2026-01-02T11:04:05.678Z', ended_at: null }, token: agentToken })
  t.equal(json.proxy_url, `http://${json.session.id}:${agentToken}@127.0.0.1:3128`)
  t.equal(world.journaled.at(-1)?.attributes['sallyport.subject.id'], json.session.id)
  t.notMatch(JSON.stringify(world.journaled), agentToken)
  t.notMatch((await call(world.url, '/v1/sessions', { token: 'sp_admin' })).text, agentToken)
})

t.test('an admin\'s session has no owner unless it says so', async (t) => {
  const world = await openWorld(t)
  t.match((await start(world, 'sp_admin', { agent: 'codex' })).json.session, { owner: null, hold: 'auto', unattended: false, expires_at: null })
})

t.test('a launcher starts, sees and ends sessions of its own name only', async (t) => {
  const world = await openWorld(t)
  t.match((await start(world, 'sp_launcher', { agent: 'codex' })).json.session, { owner: 'launcher' })
  t.match((await start(world, 'sp_launcher', { agent: 'codex', owner: 'launcher' })).status, 201)
  t.match(await start(world, 'sp_launcher', { agent: 'codex', owner: 'alice' }), { status: 403, json: { code: 'scope_not_allowed' } })
  const { items } = (await call(world.url, '/v1/sessions', { token: 'sp_launcher' })).json
  t.strictSame(items.map(({ owner }: { owner: string }) => owner), ['launcher', 'launcher'])
  t.equal((await call(world.url, '/v1/sessions/s-1/end', { method: 'POST', token: 'sp_launcher', body: {} })).status, 404)
  t.equal(world.sessions.get('s-1')?.endedMs, undefined)
  t.match(await call(world.url, `/v1/sessions/${items[0].id}/end`, { method: 'POST', token: 'sp_launcher', body: {} }), { status: 200, json: { ended_at: '2026-01-02T03:04:05.678Z' } })
})

t.test('a session that reads the web trusts the certificate authority, and cannot be made without', async (t) => {
  const world = await openWorld(t)
  const { json } = await start(world, 'sp_admin', { agent: 'fetcher', web_fetch: true })
  t.match(json, { session: { web_fetch: true, trusts_ca: true }, trusted_pem: 'PEM\n' })
  t.match((await start(world, 'sp_admin', { agent: 'codex' })).json, { session: { web_fetch: false, trusts_ca: false } })
  t.match(await start(world, 'sp_admin', { agent: 'fetcher', web_fetch: true, trusts_ca: false }), { status: 400, json: { errors: [{ pointer: '/trusts_ca' }] } })
  world.caFault = new ProxyError('ca_unavailable', 'chmod 600')
  t.match(await start(world, 'sp_admin', { agent: 'fetcher', web_fetch: true }), { status: 503, json: { code: 'ca_unavailable' } })
})

t.test('only an admin makes a session that records, and only where there is a cache', async (t) => {
  const { world } = await cacheWorld(t)
  const wanted = { agent: 'recorder', record: true, ttl: '24h' }
  t.match(await start(world, 'sp_admin', wanted), { status: 201, json: { session: { record: true, trusts_ca: true, web_fetch: false }, trusted_pem: 'PEM\n' } })
  t.match(await start(world, 'sp_launcher', wanted), { status: 403, json: { code: 'not_permitted' } })
  t.match(await start(world, 'sp_admin', { ...wanted, ttl: undefined }), { status: 400, json: { errors: [{ pointer: '/ttl' }] } })
  t.match(await start(world, 'sp_admin', { ...wanted, ttl: '25h' }), { status: 400, json: { errors: [{ pointer: '/ttl' }] } })
  t.match(await start(world, 'sp_admin', { ...wanted, web_fetch: true }), { status: 400, json: { errors: [{ pointer: '/web_fetch' }] } })
  t.match(await start(world, 'sp_admin', { ...wanted, trusts_ca: false }), { status: 400, json: { errors: [{ pointer: '/trusts_ca' }] } })
  t.match(await start(await openWorld(t), 'sp_admin', wanted), { status: 400, json: { errors: [{ pointer: '/record' }] } })
})

t.test('a session with a socket is answered with its path and with what an isolated agent must not see', async (t) => {
  const world = await openWorld(t)
  const plain = await start(world, 'sp_admin', { agent: 'codex', trusts_ca: true })
  t.match(plain.json, { session: { trusts_ca: true, socket: false, isolated: false, refused: 13 }, socket_path: null })
  t.strictSame(plain.json.keep_out, [])
  const { status, json } = await start(world, 'sp_admin', { agent: 'codex', socket: true, isolated: true })
  t.equal(status, 201)
  t.match(json, { session: { trusts_ca: false, socket: true, isolated: true }, socket_path: `/run/sessions/${json.session.id}/proxy.sock` })
  t.strictSame(json.keep_out, ['/srv/var', '/srv/certs'])
  t.strictSame(world.sockets.opened, [json.session.id])
})

t.test('a session that trusts the root is told what that is, and there is none without it', async (t) => {
  const world = await openWorld(t)
  t.equal((await start(world, 'sp_admin', { agent: 'codex', trusts_ca: true })).json.trusted_pem, 'PEM\n')
  t.equal((await start(world, 'sp_admin', { agent: 'codex' })).json.trusted_pem, null)
  const before = world.sessions.byId.size
  world.caFault = new ProxyError('ca_unavailable', 'root-key.pem can be read by others: chmod 600')
  t.match(await start(world, 'sp_admin', { agent: 'codex', trusts_ca: true }), { status: 503, json: { code: 'ca_unavailable', detail: /chmod 600/, looks_inside: false } })
  world.looksInside = true
  t.match(await start(world, 'sp_admin', { agent: 'codex', trusts_ca: true }), { status: 503, json: { code: 'ca_unavailable', looks_inside: true } })
  t.equal(world.sessions.byId.size, before)
  t.equal((await start(world, 'sp_admin', { agent: 'codex' })).status, 201, 'who does not ask for it needs none')
})

t.test('nothing is vouched for without a socket, and no session is made whose socket cannot be', async (t) => {
  const world = await openWorld(t)
  t.match(await start(world, 'sp_admin', { agent: 'codex', isolated: true }), { status: 400, json: { code: 'invalid', errors: [{ pointer: '/isolated' }] } })
  world.sockets.isPossible = false
  t.match(await start(world, 'sp_admin', { agent: 'codex', socket: true }), { status: 400, json: { code: 'invalid', errors: [{ pointer: '/socket' }] } })
  t.equal(world.sessions.byId.size, 1, 'only the one from before')
  world.sockets.isPossible = true
  world.sockets.fault = new Error('no space left')
  t.match(await start(world, 'sp_admin', { agent: 'codex', socket: true }), { status: 500, json: { code: 'internal_error' } })
  t.strictSame(world.sessions.list().map(({ endedMs }) => endedMs), [undefined, nowMs], 'the one that was begun has ended')
})

t.test('an admin ends any session, once', async (t) => {
  const world = await openWorld(t)
  const end = () => call(world.url, '/v1/sessions/s-1/end', { method: 'POST', token: 'sp_admin', body: {} })
  t.equal((await end()).status, 200)
  t.equal((await end()).status, 404)
  t.equal((await call(world.url, '/v1/sessions/nothing/end', { method: 'POST', token: 'sp_admin', body: {} })).status, 404)
})

t.test('names are one visible line', async (t) => {
  const world = await openWorld(t)
  for (const agent of ['', ' x', 'x ', 'a\nb', 'a\u0000', 'a\u202eb', 'a\u200bb', 'x'.repeat(101), 5, null]) {
    const answer = await start(world, 'sp_admin', { agent })
    t.equal(answer.status, 400, JSON.stringify(agent))
    t.equal(answer.json.errors[0].pointer, '/agent')
  }
  for (const agent of ['codex', 'Zoë’s agent', 'a@b.example', '"><svg onload=x>']) t.equal((await start(world, 'sp_admin', { agent })).status, 201, agent)
})

t.test('holds and lives have a limit', async (t) => {
  const world = await openWorld(t)
  for (const [body, pointer] of [[{ hold: '11m' }, '/hold'], [{ hold: '4' }, '/hold'], [{ hold: 4 }, '/hold'], [{ ttl: '367d' }, '/ttl'], [{ ttl: 'forever' }, '/ttl'], [{ unattended: 'yes' }, '/unattended'], [{ token: 'x' }, '/token']] as const) {
    const answer = await start(world, 'sp_admin', { agent: 'codex', ...body })
    t.equal(answer.status, 400, JSON.stringify(body))
    t.equal(answer.json.errors[0].pointer, pointer)
  }
})

t.test('a token is made for 30 days unless it says otherwise, and lists show no secret', async (t) => {
  const world = await openWorld(t)
  const made = await call(world.url, '/v1/tokens', { method: 'POST', token: 'sp_admin', body: { kind: 'program', name: 'bot', role: 'reviewer', teams: ['web'] } })
  t.match(made, { status: 201, json: { secret: 'sp_bot', token: { id: 't-bot', kind: 'program', role: 'reviewer', teams: ['web'], created_by: 'admin', expires_at: new Date(nowMs + 30 * 86_400_000).toISOString(), revoked_at: null } } })
  const list = await call(world.url, '/v1/tokens', { token: 'sp_admin' })
  t.equal(list.json.items.length, 6)
  t.notMatch(list.text, 'sp_')
  t.notMatch(JSON.stringify(world.journaled), 'sp_bot')
  for (const body of [{ kind: 'agent' }, { role: 'owner' }, { teams: 'web' }, { teams: ['web', 'web'] }, { ttl: '400d' }]) {
    t.equal((await call(world.url, '/v1/tokens', { method: 'POST', token: 'sp_admin', body: { kind: 'person', name: 'x', role: 'viewer', ...body } })).status, 400, JSON.stringify(body))
  }
})

t.test('a token is revoked once', async (t) => {
  const world = await openWorld(t)
  const revoke = (id: string) => call(world.url, `/v1/tokens/${id}/revoke`, { method: 'POST', token: 'sp_admin', body: {} })
  t.match(await revoke('t-viewer'), { status: 200, json: { revoked_at: '2026-01-02T03:04:05.678Z' } })
  t.equal((await revoke('t-viewer')).status, 404)
  t.equal((await revoke('nothing')).status, 404)
})

t.test('a viewer without teams sees all sessions', async (t) => {
  const world = await openWorld(t)
  world.sessions.byId.set('s-2', sessionOf('s-2', undefined))
  t.equal((await call(world.url, '/v1/sessions', { token: 'sp_viewer' })).json.items.length, 2)
})
