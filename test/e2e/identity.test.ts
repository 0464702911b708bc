// Whose request it is, on the wire: credentials that are right, wrong, over, missing, repeated or somebody else's.
import { readdirSync, readFileSync } from 'node:fs'
import net from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { basicField, startWith, type Issued, type Wanted } from '../support/issued-sessions.ts'
import { plainHosts, plainPolicy, request } from '../support/plain-world.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'
import { strictOrigin, type StrictOrigin } from '../support/strict-origin.ts'
import { readAnswers, say, WireClient } from '../support/wire-client.ts'

/** One origin behind `allowed.test` and a proxy with these sessions; the first one by itself too. */
async function plainWorld(t: Test, wanted: readonly Wanted[] = [{}], more = ''): Promise<{ readonly proxy: TestProxy; readonly sessions: readonly Issued[]; readonly session: Issued; readonly origin: StrictOrigin }> {
  const origin = await strictOrigin(t)
  const { proxy, sessions } = await startWith(t, wanted, { policy: plainPolicy(origin.port, more), hosts: plainHosts })
  const [session = { id: 'snobody', token: 'x', field: basicField('snobody', 'x'), url: (url: string) => url }] = sessions
  return { proxy, sessions, session, origin }
}

const withCredentials = (field: string): string => `Proxy-Authorization: ${field}\r\n`

function connect(authority: string, fields = ''): string {
  return `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${fields}\r\n`
}

function codesOf(proxy: TestProxy): unknown[] {
  return proxy.decisions().map(({ attributes }) => attributes['sallyport.code'])
}

/** 407 as git needs it, on CONNECT, on a plain request and on an upgrade; all of these end the connection. */
async function refused(t: Test, proxy: TestProxy, port: number, fields: string, code: string, what: string): Promise<void> {
  const before = proxy.decisions().length
  const asked = [
    connect(`allowed.test:${port}`, fields),
    request(port, '/', fields),
    request(port, '/', fields, 'HEAD'),
    request(port, '/', `${fields}Content-Length: 5\r\n`, 'POST', 'hello'),
    request(port, '/', `${fields}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n`),
  ]
  for (const bytes of asked) {
    const [answer, ...more] = readAnswers(await say(proxy.port, bytes), [bytes.slice(0, bytes.indexOf(' '))])
    const about = `${what}: ${bytes.slice(0, bytes.indexOf('\r'))}`
    t.equal(answer?.status, 407, about)
    t.equal(answer?.body, '', about)
    t.equal(answer?.fields.get('content-length'), '0', about)
    t.equal(answer?.fields.get('content-type'), undefined, about)
    t.equal(answer?.fields.get('connection'), 'close', about)
    t.equal(answer?.fields.get('proxy-authenticate'), 'Basic realm="sallyport"', about)
    t.strictSame(more, [], about)
  }
  t.strictSame(codesOf(proxy).slice(before), asked.map(() => code), what)
}

t.test('a wrong token, a session that nobody knows and one that has ended are 407', async (t) => {
  const { proxy, sessions, session, origin } = await plainWorld(t, [{}, {}, { isEnded: true }])
  const [, other, ended] = sessions
  const wrong = {
    'another token': basicField(session.id, 'A'.repeat(43)),
    'the token of another session': basicField(session.id, other?.token ?? ''),
    'nobody': basicField('saaaaaaaaaaaa', session.token),
    'an ended session': ended?.field ?? '',
    'no Basic': `Bearer ${session.token}`,
    'a token alone': `Basic ${Buffer.from(session.token).toString('base64')}`,
    'nothing': '',
  }
  for (const [what, field] of Object.entries(wrong)) await refused(t, proxy, origin.port, withCredentials(field), 'credentials_invalid', what)
  t.equal(origin.connections(), 0)
})

t.test('the field is valid once only, wherever the second one comes from', async (t) => {
  const { proxy, session, origin } = await plainWorld(t)
  const own = withCredentials(session.field)
  await refused(t, proxy, origin.port, own + own, 'credentials_invalid', 'the same twice')
  await refused(t, proxy, origin.port, own + withCredentials('Basic eDp5'), 'credentials_invalid', 'right and wrong')
  await refused(t, proxy, origin.port, `proxy-authorization: Basic eDp5\r\n${own}`, 'credentials_invalid', 'wrong and right')
  await refused(t, proxy, origin.port, withCredentials(`${session.field}, ${session.field}`), 'credentials_invalid', 'in one line')
  t.match(await say(proxy.port, request(origin.port, '/', `${own}Connection: close\r\n`)), /^HTTP\/1\.1 200 /)
})

t.test('the anonymous agent is there while there is no session and no rule about agents', async (t) => {
  const plain = 'Connection: close\r\n'
  const nobody = await plainWorld(t, [])
  t.match(await say(nobody.proxy.port, request(nobody.origin.port, '/', plain)), /^HTTP\/1\.1 200 /)
  t.match(nobody.proxy.decisions()[0]?.attributes, { 'session.id': 'anonymous', 'gen_ai.agent.name': 'local' })
  await refused(t, nobody.proxy, nobody.origin.port, withCredentials(basicField('snobody', 'x')), 'credentials_invalid', 'shown and wrong, though none are needed')

  const over = await plainWorld(t, [{ isEnded: true }])
  t.match(await say(over.proxy.port, request(over.origin.port, '/', plain)), /^HTTP\/1\.1 200 /, 'one that has ended counts for nothing')

  const some = await plainWorld(t)
  await refused(t, some.proxy, some.origin.port, '', 'credentials_required', 'a session exists')

  for (const label of ['agents = ["codex"]', 'teams = ["web"]']) {
    const named = await plainWorld(t, [], `[[network.rules]]\nid = "named"\nhosts = ["other.example"]\nverdict = "allow"\n${label}\n`)
    await refused(t, named.proxy, named.origin.port, '', 'credentials_required', label)
  }

  const { port } = nobody.origin
  const asked = await startProxy(t, { policy: plainPolicy(port), hosts: plainHosts, change: (settings) => ({ ...settings, requireSession: true }) })
  await refused(t, asked, port, '', 'credentials_required', 'settings say so')
})

t.test('rules for agents and teams are for the sessions that have these labels', async (t) => {
  const origin = await strictOrigin(t)
  const rule = (id: string, host: string, label: string): string =>
    `[[network.rules]]\nid = "${id}"\nhosts = ["${host}.test:${origin.port}"]\nlocal = ["127.0.0.1/32"]\nverdict = "allow"\n${label}\n`
  const policy = `[network]\nunknown = "deny"\n${rule('codex', 'codex', 'agents = ["codex"]')}${rule('web', 'web', 'teams = ["web"]')}`
  const hosts = { 'codex.test': '127.0.0.1', 'web.test': '127.0.0.1' }
  const { proxy, sessions } = await startWith(t, [{ agent: 'codex', team: 'web' }, { agent: 'codex' }, { agent: 'claude', team: 'web' }, { agent: 'claude' }], { policy, hosts })
  const expected = [[200, 200], [200, 403], [403, 200], [403, 403]]
  for (const [at, { field, id }] of sessions.entries()) {
    const statuses: unknown[] = []
    // all of them over one connection: who asks is what each request shows
    const client = await WireClient.open(proxy.port)
    for (const name of ['codex', 'web']) {
      const host = `${name}.test:${origin.port}`
      client.send(`GET http://${host}/ HTTP/1.1\r\nHost: ${host}\r\n${withCredentials(field)}\r\n`)
      statuses.push((await client.next())?.status)
    }
    client.socket.destroy()
    t.strictSame(statuses, expected[at], id)
  }
  t.strictSame(proxy.decisions().map(({ attributes }) => attributes['session.id']), sessions.flatMap(({ id }) => [id, id]))
})

t.test('each request on a connection is of the session that it shows', async (t) => {
  const { proxy, sessions, session, origin } = await plainWorld(t, [{ agent: 'one' }, { agent: 'two' }])
  const client = await WireClient.open(proxy.port)
  for (const { field } of [...sessions, session]) {
    client.send(request(origin.port, '/', withCredentials(field)))
    t.equal((await client.next())?.status, 200)
  }
  client.send(request(origin.port, '/'))
  t.equal((await client.next())?.status, 407, 'and of none when it shows none')
  await client.closed()
  t.strictSame(proxy.decisions().map(({ attributes }) => attributes['session.id']), [...sessions, session].map(({ id }) => id).concat('anonymous'))
})

t.test('a session that expires is refused on the connection that it has open', async (t) => {
  const hour = 3_600_000
  const { proxy, session, origin } = await plainWorld(t, [{ ttlMs: hour }, {}])
  const client = await WireClient.open(proxy.port)
  const bytes = request(origin.port, '/', withCredentials(session.field))
  client.send(bytes)
  t.equal((await client.next())?.status, 200)
  const { now } = Date
  t.teardown(() => Object.assign(Date, { now }))
  Object.assign(Date, { now: () => now.call(Date) + hour })
  const ended = await proxy.recorded(({ name }) => name === 'sallyport.session.ended')
  t.equal(ended.attributes['session.id'], session.id)
  client.send(bytes)
  const answer = await client.next()
  t.equal(answer?.status, 407)
  t.equal(answer?.fields.get('connection'), 'close')
  await client.closed()
  t.equal(codesOf(proxy).at(-1), 'credentials_invalid')
})

t.test('inside a tunnel to port 80 requests are of the session that opened it', async (t) => {
  const policy = '[network]\nunknown = "deny"\n[[network.rules]]\nid = "inside"\nhosts = ["inside.test"]\nmethods = ["GET"]\npaths = ["/yes"]\nverdict = "allow"\n'
  const { proxy, sessions } = await startWith(t, [{ agent: 'one' }, { agent: 'two' }], { policy })
  const [one, two] = sessions
  const enter = async (): Promise<WireClient> => {
    const client = await WireClient.open(proxy.port)
    client.send(connect('inside.test:80', withCredentials(one?.field ?? '')))
    await client.until((received) => received.includes('\r\n\r\n'))
    t.match(client.received, /^HTTP\/1\.1 200 /)
    return client
  }
  const inside = (fields: string): string => `GET /no HTTP/1.1\r\nHost: inside.test\r\n${fields}\r\n`
  const statusOf = async (client: WireClient, fields: string): Promise<unknown> => {
    client.send(inside(fields))
    // the answer to CONNECT has no body, as one to HEAD
    const answers = (text: string) => readAnswers(text, ['HEAD', 'GET'])
    return answers(await client.until((text) => answers(text).length > 1))[1]?.status
  }
  t.equal(await statusOf(await enter(), ''), 403, 'nothing shown')
  t.equal(await statusOf(await enter(), withCredentials(one?.field ?? '')), 403, 'the same shown')
  t.equal(await statusOf(await enter(), withCredentials(two?.field ?? '')), 407, 'those of another session')
  t.equal(await statusOf(await enter(), withCredentials('Basic eDp5')), 407, 'wrong ones')
  const decided = proxy.decisions().map(({ attributes }) => [attributes['network.transport.protocol'], attributes['session.id'], attributes['sallyport.code']])
  const tunnel = ['https_connect', one?.id, 'allowed']
  t.strictSame(decided, [
    tunnel, ['http', one?.id, 'request_not_allowed'], tunnel, ['http', one?.id, 'request_not_allowed'],
    tunnel, ['http', 'anonymous', 'credentials_invalid'], tunnel, ['http', 'anonymous', 'credentials_invalid'],
  ])
})

t.test('a token is seen by no origin, and stands in no file and no log', async (t) => {
  const { proxy, session, origin } = await plainWorld(t)
  const fields = withCredentials(session.field)
  const wrong = basicField(session.id, 'hunter2'.repeat(6))
  const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n'
  t.match(await say(proxy.port, request(origin.port, '/', `${fields}Connection: close\r\n`)), /^HTTP\/1\.1 200 /)
  await say(proxy.port, request(origin.port, '/', fields + upgrade))
  for (const broken of [withCredentials(wrong), `${fields}Host: x\r\n`, `${fields}Bad Name: x\r\n`, `${fields}Transfer-Encoding: x\r\n`, `${fields}${fields}`]) {
    t.match(await say(proxy.port, request(origin.port, '/', broken)), /^HTTP\/1\.1 4/)
    t.match(await say(proxy.port, connect(`allowed.test:${origin.port}`, broken)), /^HTTP\/1\.1 4/)
  }
  const seen = JSON.stringify(origin.requests)
  t.equal(origin.requests.length, 2)
  t.notMatch(seen, /proxy-authorization/i)
  await proxy.stop(true)
  const files = readdirSync(proxy.dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  t.ok(files.some(({ name }) => name === 'sallyport.db'))
  const written = Buffer.concat([...files.map(({ parentPath, name }) => readFileSync(join(parentPath, name))), Buffer.from(proxy.log.join('\n') + seen)])
  for (const secret of [session.token, session.field.slice(6), wrong.slice(6), 'hunter2hunter2']) t.equal(written.includes(secret), false)
  t.ok(written.includes(session.id), 'what was looked through is what was written')
})

t.test('a session that is seen from a second address is an event, once', async (t) => {
  const { proxy, session, origin } = await plainWorld(t)
  const from = async (localAddress: string): Promise<void> => {
    const socket = net.connect({ host: '127.0.0.1', port: proxy.port, localAddress })
    socket.resume()
    socket.end(request(origin.port, '/', `${withCredentials(session.field)}Connection: close\r\n`))
    await once(socket, 'close')
  }
  for (const address of ['127.0.0.1', '127.0.0.1', '127.0.0.2', '127.0.0.1', '127.0.0.2']) await from(address)
  await proxy.stop(true)
  const shared = proxy.records().filter(({ name }) => name === 'sallyport.session.shared')
  t.strictSame(shared.map(({ attributes }) => [attributes['session.id'], attributes['client.address']]), [[session.id, '127.0.0.2']])
})
