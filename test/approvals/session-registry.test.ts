import { join } from 'node:path'
import t from 'tap'
import type { NewSession } from '../../src/approvals/session.ts'
import { ProxyError } from '../../src/errors.ts'
import { migrations } from '../../src/approvals/migrations.ts'
import { openSqliteStore } from '../../src/store/sqlite-store.ts'
import { databaseFile, HandClock, here, sessionRegistry, wanted } from './fixture.ts'

const hour = 3_600_000

t.test('a session is found by its id and token, and by nothing else', async (t) => {
  const clock = new HandClock()
  const { registry } = sessionRegistry(t, databaseFile(t).open(), clock)
  const { session, token } = await registry.create(wanted, 'root')
  const other = await registry.create(wanted, 'root')
  t.match(session.id, /^s[a-z0-9]{12}$/)
  t.match(token, /^[A-Za-z0-9_-]{43}$/)
  t.equal(registry.authenticate(session.id, token, here), session)
  t.equal(registry.live(session.id), session)
  t.strictSame({ ...session.principal }, { session: session.id, agent: 'codex', team: 'web', owner: 'alice' })
  for (const [id, wrong] of [
    [session.id, other.token], [other.session.id, token], [session.id, `${token}x`], [session.id, token.slice(1)], [session.id, ''],
    ['', token], ['', ''], ['anonymous', ''], ['__proto__', token], [session.id.toUpperCase(), token],
  ] as const) t.equal(registry.authenticate(id, wrong, here), undefined, `${id}:${wrong}`)
})

t.test('all exchanges of a session have one principal', async (t) => {
  const { registry } = sessionRegistry(t, databaseFile(t).open(), new HandClock())
  const { session: { id, principal }, token } = await registry.create(wanted, 'root')
  t.equal(registry.authenticate(id, token, here)?.principal, principal)
  t.equal(registry.authenticate(id, token, here)?.principal, principal)
  t.equal(registry.live(id)?.principal, principal)
  t.throws(() => Object.assign(principal, { agent: 'other' }))
})

t.test('a session is in the journal before it is usable, and not usable when it cannot be', async (t) => {
  const clock = new HandClock()
  let journaled: () => void = () => {}
  const names: string[] = []
  const store = databaseFile(t).open()
  const { registry } = sessionRegistry(t, store, clock, {
    audit: {
      append: (event) => {
        names.push(event.name)
        return new Promise((resolve) => {
          journaled = resolve
        })
      },
    },
  })
  const creating = registry.create(wanted, 'root')
  t.strictSame(names, ['sallyport.session.started'])
  t.strictSame(registry.list(), [])
  t.notOk(registry.credentialsNeeded())
  journaled()
  await creating
  t.equal(registry.list().length, 1)

  const failing = sessionRegistry(t, store, clock, { audit: { append: async () => Promise.reject(new ProxyError('audit_unavailable', 'disk full')) } })
  await t.rejects(failing.registry.create(wanted, 'root'), { name: 'ReviewFault', code: 'audit_unavailable' })
  t.equal(failing.registry.list().length, 1, 'only the one from before')
})

t.test('sessions survive a restart, with the hash of their token and without the token', async (t) => {
  const file = databaseFile(t)
  const clock = new HandClock()
  const first = file.open()
  const before = sessionRegistry(t, first, clock)
  const { session, token } = await before.registry.create({ agent: 'codex', owner: undefined, team: undefined, hold: 7_000, unattended: true, ttlMs: hour }, 'root')
  const ended = await before.registry.create(wanted, 'root')
  await before.registry.end(ended.session.id, 'root')
  clock.pass(1_000)
  before.registry.authenticate(session.id, token, here)
  t.equal(file.bytes().includes(token), false, 'while it is open')
  before.registry.close()
  first.close()
  t.equal(file.bytes().includes(token), false)
  t.equal(file.bytes().includes(Buffer.from(token, 'base64url')), false, 'nor its bits')
  t.ok(file.bytes().includes(session.id), 'what was looked through is the database')

  const after = sessionRegistry(t, file.open(), clock)
  const again = after.registry.authenticate(session.id, token, here)
  t.strictSame({ ...again, principal: { ...again?.principal } }, { ...session, principal: { ...session.principal } })
  t.equal(after.registry.authenticate(ended.session.id, ended.token, here), undefined, 'what has ended stays so')
  t.equal(after.registry.list().length, 2)
  t.equal(after.registry.get(ended.session.id)?.endedMs, ended.session.endedMs)
})

t.test('when it was last seen is known after a restart', async (t) => {
  const file = databaseFile(t)
  const clock = new HandClock()
  const first = file.open()
  const before = sessionRegistry(t, first, clock)
  const { session, token } = await before.registry.create(wanted, 'root')
  clock.pass(5_000)
  before.registry.authenticate(session.id, token, here)
  before.registry.close()
  first.close()
  t.equal(sessionRegistry(t, file.open(), clock).registry.get(session.id)?.lastSeenMs, session.createdMs + 5_000)
})

t.test('what a session was made with holds after a restart', async (t) => {
  const file = databaseFile(t)
  const clock = new HandClock()
  const first = file.open()
  const before = sessionRegistry(t, first, clock)
  const { session } = await before.registry.create({ ...wanted, trustsCa: true, hasSocket: true, isIsolated: true }, 'root')
  const plain = await before.registry.create(wanted, 'root')
  t.match(before.events.find(({ attributes }) => attributes['session.id'] === session.id)?.attributes, { 'sallyport.session.trusts_ca': true, 'sallyport.session.socket': true, 'sallyport.session.isolated': true })
  before.registry.close()
  first.close()
  const { registry } = sessionRegistry(t, file.open(), clock)
  t.match(registry.get(session.id), { hasSocket: true, isIsolated: true, principal: { trustsCa: true } })
  t.match(registry.get(plain.session.id), { hasSocket: false, isIsolated: false })
  t.equal(registry.get(plain.session.id)?.principal.trustsCa, undefined)
  t.throws(() => Object.assign(session.principal, { trustsCa: false }))
})

t.test('a session that reads the web trusts the certificate authority, also after a restart', async (t) => {
  const file = databaseFile(t)
  const clock = new HandClock()
  const first = file.open()
  const before = sessionRegistry(t, first, clock)
  const { session } = await before.registry.create({ ...wanted, webFetch: true }, 'root')
  t.match(session.principal, { trustsCa: true, webFetch: true })
  t.match(before.events[0]?.attributes, { 'sallyport.session.trusts_ca': true, 'sallyport.session.web_fetch': true })
  const plain = await before.registry.create(wanted, 'root')
  before.registry.close()
  first.close()
  const { registry } = sessionRegistry(t, file.open(), clock)
  t.match(registry.get(session.id)?.principal, { trustsCa: true, webFetch: true })
  t.equal(registry.get(plain.session.id)?.principal.webFetch, undefined)
})

t.test('a session that records trusts the certificate authority, also after a restart, and is short', async (t) => {
  const file = databaseFile(t)
  const clock = new HandClock()
  const first = file.open()
  const before = sessionRegistry(t, first, clock)
  const { session } = await before.registry.create({ ...wanted, record: true, ttlMs: 86_400_000 }, 'root')
  t.match(session.principal, { trustsCa: true, record: true })
  t.match(before.events[0]?.attributes, { 'sallyport.session.trusts_ca': true, 'sallyport.session.record': true })
  await t.rejects(before.registry.create({ ...wanted, record: true, ttlMs: undefined }, 'root'), { code: 'invalid' })
  await t.rejects(before.registry.create({ ...wanted, record: true, ttlMs: 86_400_001 }, 'root'), { code: 'invalid' })
  await t.rejects(before.registry.create({ ...wanted, record: true, ttlMs: 1, webFetch: true }, 'root'), { code: 'invalid' })
  before.registry.close()
  first.close()
  const { registry } = sessionRegistry(t, file.open(), clock)
  t.match(registry.get(session.id)?.principal, { trustsCa: true, record: true })
})

t.test('a session of an older database reads what it read before', async (t) => {
  const path = join(t.testdir(), 'old.db')
  const old = openSqliteStore(path, migrations.slice(0, 1))
  old.run("INSERT INTO sessions (id, token_hash, agent, unattended, trusts_ca, has_socket, is_isolated, created_ms, created_by) VALUES ('s1', x'00', 'codex', 0, 1, 0, 0, 1, 'root')")
  old.close()
  const store = openSqliteStore(path, migrations)
  t.teardown(() => store.close())
  const { registry } = sessionRegistry(t, store, new HandClock())
  t.match(registry.get('s1')?.principal, { trustsCa: true, webFetch: undefined, record: undefined })
})

t.test('only a session with a socket may vouch for what is at it', async (t) => {
  const { registry } = sessionRegistry(t, databaseFile(t).open(), new HandClock())
  await t.rejects(registry.create({ ...wanted, isIsolated: true }, 'root'), { code: 'invalid' })
  t.strictSame(registry.list(), [])
})

t.test('an ended session is over at once, also when its end cannot be recorded', async (t) => {
  const clock = new HandClock()
  let isBroken = false
  const { registry, faults } = sessionRegistry(t, databaseFile(t).open(), clock, {
    audit: { append: async () => (isBroken ? Promise.reject(new ProxyError('audit_unavailable', 'disk full')) : undefined) },
  })
  const { session, token } = await registry.create(wanted, 'root')
  const told: string[] = []
  registry.onEnded(() => {
    throw new Error('a listener that fails')
  })
  registry.onEnded(({ id }) => told.push(id))
  isBroken = true
  const ending = registry.end(session.id, 'root')
  t.equal(registry.authenticate(session.id, token, here), undefined)
  t.equal(registry.live(session.id), undefined)
  t.strictSame(told, [session.id])
  t.equal(await ending, true)
  t.equal(faults.length, 2)
  t.equal(await registry.end(session.id, 'root'), false)
  t.equal(await registry.end('snobody', 'root'), false)
  t.strictSame(told, [session.id], 'once')
})

t.test('a session expires by the clock that was handed in, to the millisecond, and its end is an event', async (t) => {
  const clock = new HandClock()
  const { registry, events } = sessionRegistry(t, databaseFile(t).open(), clock)
  const told: string[] = []
  registry.onEnded(({ id }) => told.push(id))
  const { session, token } = await registry.create({ ...wanted, ttlMs: hour }, 'root')
  clock.pass(hour - 1)
  registry.sweep()
  t.equal(registry.authenticate(session.id, token, here), session)
  clock.pass(1)
  t.equal(registry.authenticate(session.id, token, here), undefined)
  t.equal(registry.live(session.id), undefined)
  t.equal(await registry.end(session.id, 'root'), false, 'there is nothing left to end')
  t.strictSame(told, [])
  registry.sweep()
  registry.sweep()
  t.strictSame(told, [session.id])
  t.strictSame(events.map(({ name }) => name), ['sallyport.session.started', 'sallyport.session.ended'])
  t.equal(events.at(-1)?.attributes['session.id'], session.id)
  t.equal(session.endedMs, session.expiresMs)
  t.notOk(registry.credentialsNeeded())
})

t.test('what expired while nothing ran is ended after the start', async (t) => {
  const file = databaseFile(t)
  const clock = new HandClock()
  const first = file.open()
  const { session, token } = await sessionRegistry(t, first, clock).registry.create({ ...wanted, ttlMs: hour }, 'root')
  first.close()
  clock.pass(2 * hour)
  const { registry, events } = sessionRegistry(t, file.open(), clock)
  t.equal(registry.authenticate(session.id, token, here), undefined)
  registry.sweep()
  t.strictSame(events.map(({ name }) => name), ['sallyport.session.ended'])
  t.equal(registry.get(session.id)?.endedMs, session.expiresMs)
})

t.test('sessions are listed newest first, and ended ones for a day', async (t) => {
  const file = databaseFile(t)
  const clock = new HandClock()
  const { registry } = sessionRegistry(t, file.open(), clock)
  const one = await registry.create(wanted, 'root')
  clock.pass(1)
  const two = await registry.create(wanted, 'root')
  t.strictSame(registry.list().map(({ id }) => id), [two.session.id, one.session.id])
  await registry.end(two.session.id, 'root')
  t.strictSame(registry.list().map(({ id }) => id), [two.session.id, one.session.id])
  clock.pass(24 * hour)
  t.strictSame(registry.list().map(({ id }) => id), [one.session.id])
  registry.sweep()
  t.equal(registry.get(two.session.id), undefined)
  t.strictSame(file.open().all('SELECT id FROM sessions'), [{ id: one.session.id }])
})

t.test('a second address and a second user are each an event, once', async (t) => {
  const { registry, events } = sessionRegistry(t, databaseFile(t).open(), new HandClock())
  const { session, token } = await registry.create(wanted, 'root')
  const from = (address: string, uid?: number): void => void registry.authenticate(session.id, token, { address, uid })
  const shared = () => events.filter(({ name }) => name === 'sallyport.session.shared')
  registry.authenticate(session.id, 'wrong', { address: '192.0.2.99', uid: 7 })
  from('127.0.0.1')
  from('127.0.0.1', 1000)
  from('127.0.0.1')
  t.strictSame(shared(), [], 'whose process it was is only known now')
  from('192.0.2.1')
  from('192.0.2.1')
  t.equal(shared().length, 1)
  t.match(shared()[0], { severity: 'WARN', attributes: { 'session.id': session.id, 'client.address': '192.0.2.1' } })
  from('127.0.0.1', 1001)
  from('127.0.0.1', 1001)
  from('127.0.0.1', 1000)
  t.equal(shared().length, 2)
  for (let host = 0; host < 250; host += 1) from(`192.0.2.${host}`)
  t.ok(shared().length < 40, 'whoever moves all the time does not fill the journal')
})

t.test('credentials are needed while a session lives, and where settings or policy say so', async (t) => {
  const store = databaseFile(t).open()
  const clock = new HandClock()
  const { registry } = sessionRegistry(t, store, clock)
  t.equal(registry.credentialsNeeded(), false)
  const { session } = await registry.create(wanted, 'root')
  t.equal(registry.credentialsNeeded(), true)
  await registry.end(session.id, 'root')
  t.equal(registry.credentialsNeeded(), false)
  t.equal(sessionRegistry(t, store, clock, { requireSession: true }).registry.credentialsNeeded(), true)
  let names = true
  const { registry: byPolicy } = sessionRegistry(t, store, clock, { policyNamesAgents: () => names })
  t.equal(byPolicy.credentialsNeeded(), true)
  names = false
  t.equal(byPolicy.credentialsNeeded(), false)
})

t.test('labels and times that cannot be are refused, and leave nothing behind', async (t) => {
  const { registry, events } = sessionRegistry(t, databaseFile(t).open(), new HandClock())
  const cases: Partial<NewSession>[] = [
    { agent: '' }, { agent: ' x' }, { agent: 'x\n' }, { agent: 'a\u202eb' }, { agent: 'x'.repeat(129) }, { owner: '' }, { team: 'a\u0000' },
    { hold: -1 }, { hold: Number.NaN }, { ttlMs: 0 }, { ttlMs: -5 }, { ttlMs: Number.POSITIVE_INFINITY },
  ]
  for (const change of cases) await t.rejects(registry.create({ ...wanted, ...change }, 'root'), { name: 'ReviewFault', code: 'invalid' }, JSON.stringify(change))
  t.strictSame(registry.list(), [])
  t.strictSame(events, [])
})

t.test('a session that the store does not take is none', async (t) => {
  const store = databaseFile(t).open()
  const { registry } = sessionRegistry(t, store, new HandClock())
  store.run('DROP TABLE sessions')
  await t.rejects(registry.create(wanted, 'root'))
  t.strictSame(registry.list(), [])
  t.notOk(registry.credentialsNeeded())
})
