// Whose request it is, by what it shows and the tunnel it is in; over a real registry and a connection's plain parts.
import t, { type Test } from 'tap'
import { ProxyError } from '../../src/errors.ts'
import type { ClientConnection } from '../../src/ingress/client-connections.ts'
import { anonymous } from '../../src/ingress/context.ts'
import { identify } from '../../src/ingress/identity.ts'
import type { SeenFrom, Session } from '../../src/approvals/session.ts'
import type { Principal } from '../../src/policy/facts.ts'
import { databaseFile, HandClock, sessionRegistry, wanted } from '../approvals/fixture.ts'

type Connection = Pick<ClientConnection, 'client' | 'uid' | 'verified' | 'session'> & { readonly bound: unknown }

function world(t: Test) {
  const clock = new HandClock()
  const { registry } = sessionRegistry(t, databaseFile(t).open(), clock)
  const hashed: SeenFrom[] = []
  const sessions = {
    live: (id: string): Session | undefined => registry.live(id),
    arrived: (id: string): Session | undefined => registry.arrived(id),
    credentialsNeeded: (): boolean => registry.credentialsNeeded(),
    authenticate: (id: string, token: string, from: SeenFrom): Session | undefined => {
      hashed.push(from)
      return registry.authenticate(id, token, from)
    },
  }
  const connectionOf = (bound?: Principal, session?: string): Connection => ({
    client: { address: '127.0.0.1', port: 1, advisory: true }, uid: 1000, verified: undefined, session,
    bound: bound === undefined ? undefined : { exchange: { facts: { principal: bound } } },
  })
  const ask = (connection: Connection, ...values: string[]): Principal | string => {
    try {
      return identify(values, connection as unknown as ClientConnection, { sessions, clock })
    } catch (error) {
      if (error instanceof ProxyError) return error.code
      throw error
    }
  }
  return { clock, registry, hashed, connectionOf, ask }
}

const field = (session: Session, token: string): string => `Basic ${Buffer.from(`${session.id}:${token}`).toString('base64')}`

t.test('without credentials it is the anonymous agent, until there is a session', async (t) => {
  const { registry, connectionOf, ask } = world(t)
  const connection = connectionOf()
  t.equal(ask(connection), anonymous)
  t.equal(ask(connection, 'Basic eDp5'), 'credentials_invalid', 'shown and wrong is wrong')
  const { session } = await registry.create(wanted, 'root')
  t.equal(ask(connection), 'credentials_required')
  await registry.end(session.id, 'root')
  t.equal(ask(connection), anonymous)
})

t.test('the same credentials on a connection are hashed once a while, and their session must live each time', async (t) => {
  const { clock, registry, hashed, connectionOf, ask } = world(t)
  const { session, token } = await registry.create(wanted, 'root')
  const connection = connectionOf()
  const value = field(session, token)
  for (let time = 0; time < 5; time += 1) t.equal(ask(connection, value), session.principal)
  t.strictSame(hashed, [{ address: '127.0.0.1', uid: 1000 }])
  clock.pass(10_000)
  t.equal(ask(connection, value), session.principal)
  t.equal(hashed.length, 2)
  t.equal(session.lastSeenMs, clock.ms)
  t.equal(ask(connection, value, value), 'credentials_invalid', 'twice')
  t.equal(ask(connection, value), session.principal)
  t.equal(ask(connection, value.replace('Basic', 'basic')), session.principal)
  await registry.end(session.id, 'root')
  t.equal(ask(connection, value.replace('Basic', 'basic')), 'credentials_invalid')
  t.equal(ask(connection, value), 'credentials_invalid')
})

t.test('one connection may show another session, and nothing of the last one stays', async (t) => {
  const { registry, connectionOf, ask } = world(t)
  const one = await registry.create(wanted, 'root')
  const two = await registry.create({ ...wanted, agent: 'claude' }, 'root')
  const connection = connectionOf()
  t.equal(ask(connection, field(one.session, one.token)), one.session.principal)
  t.equal(ask(connection, field(two.session, two.token)), two.session.principal)
  t.equal(ask(connection, field(one.session, two.token)), 'credentials_invalid')
  t.equal(connection.verified, undefined)
  t.equal(ask(connection), 'credentials_required', 'what was shown once does not stand for a request that shows nothing')
})

t.test('inside a tunnel a request is of the session of the tunnel', async (t) => {
  const { registry, connectionOf, ask } = world(t)
  const outside = connectionOf(anonymous)
  t.equal(ask(outside), anonymous)
  const one = await registry.create(wanted, 'root')
  const two = await registry.create(wanted, 'root')
  const inside = connectionOf(one.session.principal)
  t.equal(ask(inside), one.session.principal)
  t.equal(ask(inside, field(one.session, one.token)), one.session.principal)
  t.equal(ask(inside, field(two.session, two.token)), 'credentials_invalid')
  t.equal(ask(inside, 'Basic eDp5'), 'credentials_invalid')
  t.equal(ask(outside), 'credentials_required', 'the anonymous agent is gone')
  t.equal(ask(outside, field(one.session, one.token)), 'credentials_invalid')
  await registry.end(one.session.id, 'root')
  t.equal(ask(inside), 'credentials_invalid')
  t.equal(ask(inside, field(one.session, one.token)), 'credentials_invalid')
})

t.test('what comes by the socket of a session is that session, and shows the credentials of no other', async (t) => {
  const { clock, registry, connectionOf, ask } = world(t)
  const one = await registry.create({ ...wanted, hasSocket: true }, 'root')
  const two = await registry.create(wanted, 'root')
  const connection = connectionOf(undefined, one.session.id)
  t.equal(ask(connection), one.session.principal)
  t.equal(one.session.lastSeenMs, clock.ms)
  t.equal(ask(connection, field(one.session, one.token)), one.session.principal)
  t.equal(ask(connection, field(two.session, two.token)), 'credentials_invalid')
  t.equal(ask(connection, 'Basic eDp5'), 'credentials_invalid')
  t.equal(ask(connectionOf(one.session.principal, one.session.id)), one.session.principal, 'in a tunnel of it as well')
  t.equal(ask(connectionOf(undefined, two.session.id)), 'credentials_invalid', 'a session without a socket is reached by none')
  t.equal(ask(connectionOf(undefined, 'snobody')), 'credentials_invalid')
  await registry.end(one.session.id, 'root')
  t.equal(ask(connection), 'credentials_invalid', 'and it is nobody, least of all the anonymous agent, when it has ended')
  await registry.end(two.session.id, 'root')
  t.equal(ask(connectionOf()), anonymous)
  t.equal(ask(connection), 'credentials_invalid')
})
