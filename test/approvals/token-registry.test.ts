import t from 'tap'
import { roles, type Actor, type NewControlToken } from '../../src/approvals/actor.ts'
import { maxTokenTtlMs, TokenRegistry } from '../../src/approvals/token-registry.ts'
import type { Store } from '../../src/store/store.ts'
import { databaseFile, HandClock } from './fixture.ts'

const root: Actor = { kind: 'local', name: 'root', role: 'admin', teams: [], tokenId: undefined, mintedBy: undefined }
const wanted: NewControlToken = { kind: 'person', name: 'alice', role: 'reviewer', teams: ['web'], ttlMs: 86_400_000 }

function registryOf(store: Store, clock: HandClock, faults: unknown[] = []): TokenRegistry {
  return new TokenRegistry({ store, clock, onFault: (error) => faults.push(error) })
}

t.test('a secret is of its actor while it is in force, and of nobody else', async (t) => {
  const clock = new HandClock()
  const registry = registryOf(databaseFile(t).open(), clock)
  const { token, secret } = registry.create(wanted, root)
  t.match(secret, /^sp_[A-Za-z0-9_-]{43}$/)
  t.strictSame({ ...registry.authenticate(secret) }, { kind: 'person', name: 'alice', role: 'reviewer', teams: ['web'], tokenId: token.id, mintedBy: 'root' })
  for (const wrong of ['', 'sp_', secret.slice(3), `${secret}x`, secret.slice(0, -1), secret.toUpperCase(), ` ${secret}`, `sp_${'A'.repeat(43)}`]) {
    t.equal(registry.authenticate(wrong), undefined, wrong)
  }
  clock.pass(wanted.ttlMs - 1)
  t.ok(registry.authenticate(secret))
  clock.pass(1)
  t.equal(registry.authenticate(secret), undefined, 'expired')
  t.equal(registry.revoke(token.id), false)
})

t.test('a revoked token is nobody at once, and after a restart', async (t) => {
  const file = databaseFile(t)
  const clock = new HandClock()
  const registry = registryOf(file.open(), clock)
  const kept = registry.create({ ...wanted, name: 'bob' }, root)
  const { token, secret } = registry.create(wanted, root)
  t.equal(registry.revoke(token.id), true)
  t.equal(registry.authenticate(secret), undefined)
  t.equal(registry.revoke(token.id), false)
  t.equal(registry.revoke('tnobody'), false)
  registry.close()
  const again = registryOf(file.open(), clock)
  t.equal(again.authenticate(secret), undefined)
  t.strictSame({ ...again.authenticate(kept.secret) }, { kind: 'person', name: 'bob', role: 'reviewer', teams: ['web'], tokenId: kept.token.id, mintedBy: 'root' })
  t.equal(again.list().find(({ id }) => id === token.id)?.revokedMs, clock.ms)
})

t.test('the database holds the hash of a secret only', async (t) => {
  const file = databaseFile(t)
  const store = file.open()
  const registry = registryOf(store, new HandClock())
  const { token, secret } = registry.create(wanted, root)
  registry.authenticate(secret)
  registry.close()
  store.close()
  for (const text of [secret, secret.slice(3), Buffer.from(secret.slice(3), 'base64url')]) t.equal(file.bytes().includes(text), false)
  t.ok(file.bytes().includes(token.id), 'what was looked through is the database')
})

t.test('a name is of one token in force, however it is spelled', async (t) => {
  const clock = new HandClock()
  const registry = registryOf(databaseFile(t).open(), clock)
  const first = registry.create(wanted, root)
  t.throws(() => registry.create(wanted, root), { code: 'invalid' })
  t.throws(() => registry.create({ ...wanted, name: 'ALICE', kind: 'program' }, root), { code: 'invalid' })
  registry.revoke(first.token.id)
  const second = registry.create(wanted, root)
  t.throws(() => registry.create(wanted, root), { code: 'invalid' })
  clock.pass(wanted.ttlMs)
  registry.create(wanted, root)
  t.equal(registry.authenticate(second.secret), undefined)
  t.equal(registry.list().length, 3)
})

t.test('a program may be anything but an admin', async (t) => {
  const registry = registryOf(databaseFile(t).open(), new HandClock())
  for (const role of roles) {
    const create = () => registry.create({ ...wanted, kind: 'program', name: role, role }, root)
    if (role === 'admin') t.throws(create, { code: 'invalid' })
    else t.equal(registry.authenticate(create().secret)?.role, role)
  }
  t.equal(registry.create({ ...wanted, role: 'admin' }, root).token.role, 'admin', 'a person may')
})

t.test('only an admin makes tokens', async (t) => {
  const registry = registryOf(databaseFile(t).open(), new HandClock())
  for (const role of roles.filter((each) => each !== 'admin')) t.throws(() => registry.create(wanted, { ...root, role }), { code: 'not_permitted' }, role)
  t.strictSame(registry.list(), [])
})

t.test('names, teams and times that cannot be are refused', async (t) => {
  const registry = registryOf(databaseFile(t).open(), new HandClock())
  const cases: Partial<NewControlToken>[] = [
    { name: '' }, { name: ' a' }, { name: 'a b' }, { name: 'al\u0456ce' }, { name: '-x' }, { name: 'x'.repeat(65) }, { teams: [''] }, { teams: ['a\u202e'] },
    { teams: Array.from({ length: 65 }, (_, at) => `t${at}`) }, { ttlMs: 0 }, { ttlMs: 59_999 }, { ttlMs: 1.5e5 + 0.5 }, { ttlMs: maxTokenTtlMs + 1 }, { ttlMs: Number.NaN },
  ]
  for (const change of cases) t.throws(() => registry.create({ ...wanted, ...change }, root), { code: 'invalid' }, JSON.stringify(change))
  t.ok(registry.create({ ...wanted, ttlMs: maxTokenTtlMs }, root))
})

t.test('when it was last used is written once a minute, and at the end', async (t) => {
  const store = databaseFile(t).open()
  const clock = new HandClock()
  const registry = registryOf(store, clock)
  const { token, secret } = registry.create(wanted, root)
  const stored = () => store.get('SELECT last_used_ms FROM control_tokens WHERE id = ?', token.id)?.['last_used_ms']
  const startMs = clock.ms
  registry.authenticate(secret)
  t.equal(stored(), startMs)
  clock.pass(59_999)
  registry.authenticate(secret)
  t.equal(stored(), startMs)
  t.equal(registry.list()[0]?.lastUsedMs, clock.ms)
  clock.pass(1)
  registry.authenticate(secret)
  t.equal(stored(), clock.ms)
  clock.pass(10)
  registry.authenticate(secret)
  registry.close()
  t.equal(stored(), clock.ms)
})

t.test('a store that cannot be written keeps nobody out', async (t) => {
  const store = databaseFile(t).open()
  const faults: unknown[] = []
  const registry = registryOf(store, new HandClock(), faults)
  const { secret } = registry.create(wanted, root)
  store.run('DROP TABLE control_tokens')
  t.equal(registry.authenticate(secret)?.name, 'alice')
  t.equal(faults.length, 1)
})

t.test('a row that this version does not understand keeps the registry from opening', async (t) => {
  for (const [column, value] of [['role', 'owner'], ['kind', 'robot'], ['teams', '"web"'], ['teams', '[1]'], ['teams', 'web']] as const) {
    const store = databaseFile(t).open()
    registryOf(store, new HandClock()).create(wanted, root)
    store.run(`UPDATE control_tokens SET ${column} = ?`, value)
    t.throws(() => registryOf(store, new HandClock()), `${column} = ${value}`)
  }
})
