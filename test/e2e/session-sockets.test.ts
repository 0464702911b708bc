// A session's own unix socket: whoever connects there is that session, whatever else is going on.
import { once } from 'node:events'
import { existsSync, lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { dirname, join } from 'node:path'
import tls from 'node:tls'
import t from 'tap'
import { connectBytes, problemIn, requestBytes, startAsking, switching, webSocketFields } from '../support/ask-world.ts'
import { ControlClient } from '../support/control.ts'
import { httpOrigin, rawOrigin, tlsOrigin } from '../support/origins.ts'
import { plainHosts, plainPolicy, request, startPlain } from '../support/plain-world.ts'
import { startProxy } from '../support/proxy.ts'
import type { Scope } from '../support/scope.ts'
import { WireClient } from '../support/wire-client.ts'

async function at(t: Scope, path: string): Promise<WireClient> {
  const client = await WireClient.openPath(path)
  t.teardown(() => client.socket.destroy())
  return client
}

async function answered(t: Scope, path: string, bytes: string): Promise<string> {
  const client = await at(t, path)
  client.send(bytes)
  return client.until((text) => text.includes('\r\n\r\n'))
}

const modeOf = (path: string): string => (lstatSync(path).mode & 0o777).toString(8)

t.test('what comes by the socket is the session, and is as advisory as who made it says', async (t) => {
  const origin = await httpOrigin(t)
  const proxy = await startPlain(t, origin.port)
  const control = new ControlClient(proxy.controlSocket)
  const [open, isolated] = [await control.createSession({ socket: true, agent: 'one' }), await control.createSession({ socket: true, isolated: true, agent: 'two' })]
  t.strictSame([modeOf(dirname(dirname(open.socket))), modeOf(dirname(open.socket)), modeOf(open.socket)], ['700', '700', '600'])
  for (const { socket } of [open, isolated]) t.match(await answered(t, socket, request(origin.port, '/one')), /^HTTP\/1\.1 200 /)
  t.match(await answered(t, open.socket, request(origin.port, '/two', open.line)), /^HTTP\/1\.1 200 /, 'its own credentials change nothing')
  const told = proxy.decisions().map(({ attributes }) => ['session.id', 'gen_ai.agent.name', 'client.address', 'sallyport.advisory'].map((name) => attributes[name]))
  t.strictSame(told, [[open.id, 'one', 'unix', true], [isolated.id, 'two', 'unix', false], [open.id, 'one', 'unix', true]])
  t.match((await control.call('GET', '/v1/sessions')).body, { items: [{ id: isolated.id, last_seen: String }, { id: open.id, last_seen: String }] })
  const started = proxy.records().filter(({ name }) => name === 'sallyport.session.started')
  t.strictSame(started.map(({ attributes }) => attributes['sallyport.session.isolated']), [false, true])
})

t.test('an isolated session is advisory where its credentials are used and not its socket', async (t) => {
  const origin = await httpOrigin(t)
  const proxy = await startPlain(t, origin.port)
  const session = await new ControlClient(proxy.controlSocket).createSession({ socket: true, isolated: true })
  const client = await WireClient.open(proxy.port)
  t.teardown(() => client.socket.destroy())
  client.send(request(origin.port, '/', session.line))
  await client.answers(1)
  t.equal(proxy.decisions()[0]?.attributes['sallyport.advisory'], true)
})

t.test('credentials of another session, or of none, are refused on a socket, and no credentials are on TCP', async (t) => {
  const origin = await httpOrigin(t)
  const proxy = await startPlain(t, origin.port)
  const control = new ControlClient(proxy.controlSocket)
  const [one, other] = [await control.createSession({ socket: true }), await control.createSession()]
  for (const fields of [other.line, 'Proxy-Authorization: Basic eDp5\r\n', `${one.line}${other.line}`]) {
    t.match(await answered(t, one.socket, request(origin.port, '/', fields)), /^HTTP\/1\.1 407 /)
    t.match(await answered(t, one.socket, connectBytes(`allowed.test:${origin.port}`, fields)), /^HTTP\/1\.1 407 /)
  }
  t.equal(origin.requests.length, 0)
  const client = await WireClient.open(proxy.port)
  t.teardown(() => client.socket.destroy())
  client.send(request(origin.port, '/'))
  t.equal((await client.answers(1))[0]?.status, 407)
})

t.test('tunnels, upgrades, refusals, questions and the page of the proxy are what they are on TCP', async (t) => {
  const origin = await httpOrigin(t)
  const { proxy, control } = await startAsking(t, origin.port, { holdMs: 0 })
  const session = await control.createSession({ socket: true })
  t.match(await answered(t, session.socket, connectBytes('denied.test:443')), /^HTTP\/1\.1 403 Denied by policy/)
  const asked = await answered(t, session.socket, requestBytes(`one.ask.test:${origin.port}`, '/'))
  t.match(asked, /^HTTP\/1\.1 403 Waiting for approval/)
  const [approval] = await control.approvals()
  t.match(approval, { session: session.id, client_address: 'unix', advisory: true })
  const own = await answered(t, session.socket, `GET /approvals/${approval?.id} HTTP/1.1\r\nHost: 127.0.0.1:3128\r\n\r\n`)
  t.match(own, /^HTTP\/1\.1 200 /)
  t.equal(problemIn(own.slice(own.indexOf('\r\n\r\n')))['state'], 'pending')
  const page = await answered(t, session.socket, 'GET / HTTP/1.1\r\nHost: 127.0.0.1:3128\r\nConnection: close\r\n\r\n')
  t.match(page, /HTTPS_PROXY=http:\/\/127\.0\.0\.1:3128\n/, 'it names the proxy as the client does')
  t.match(page, /This session's last refusals:[^]*denied\.test/)
  if (approval !== undefined) await control.answer(approval, { verdict: 'allow', term: 'session' })
  t.match(await answered(t, session.socket, requestBytes(`one.ask.test:${origin.port}`, '/')), /^HTTP\/1\.1 200 /)
  t.match((await control.call('GET', '/v1/sessions')).body, { items: [{ id: session.id, refused: 1 }] }, 'what waits for an answer is not counted as refused')
  t.equal(proxy.records().filter(({ name }) => name === 'sallyport.session.shared').length, 0)
})

t.test('TLS in a tunnel and WebSockets come through a socket', async (t) => {
  const secure = await tlsOrigin(t, ['allowed.test'])
  const sockets = await rawOrigin(t, (socket) => {
    socket.once('data', (head: Buffer) => socket.write(`${switching(/sec-websocket-key: (\S+)/i.exec(head.toString('latin1'))?.[1])}frames`))
  })
  const proxy = await startProxy(t, {
    policy: `[network]\n[[network.rules]]\nid = "a"\nhosts = ["allowed.test:${secure.port}", "allowed.test:${sockets.port}"]\nlocal = ["127.0.0.1/32"]\nverdict = "allow"\n`,
    hosts: plainHosts,
  })
  const { socket } = await new ControlClient(proxy.controlSocket).createSession({ socket: true })
  const tunnel = await at(t, socket)
  tunnel.send(connectBytes(`allowed.test:${secure.port}`))
  t.match(await tunnel.until((text) => text.includes('\r\n\r\n')), /^HTTP\/1\.1 200 /)
  const inside = await overTls(tunnel.socket, secure.ca)
  inside.write('GET /inside HTTP/1.1\r\nHost: allowed.test\r\nConnection: close\r\n\r\n')
  const [chunk] = await once(inside, 'data')
  t.match(String(chunk), /^HTTP\/1\.1 200 /)
  inside.destroy()
  const upgraded = await at(t, socket)
  upgraded.send(requestBytes(`allowed.test:${sockets.port}`, '/ws', { fields: webSocketFields }))
  t.match(await upgraded.until((text) => text.endsWith('frames')), /^HTTP\/1\.1 101 /)
})

async function overTls(socket: net.Socket, ca: string): Promise<tls.TLSSocket> {
  socket.removeAllListeners('data')
  const secure = tls.connect({ socket, ca, servername: 'allowed.test' })
  await once(secure, 'secureConnect')
  return secure
}

t.test('a session that ends takes its socket with it, and what is connected there is nobody', async (t) => {
  const origin = await httpOrigin(t)
  const proxy = await startPlain(t, origin.port)
  const control = new ControlClient(proxy.controlSocket)
  const session = await control.createSession({ socket: true })
  const kept = await at(t, session.socket)
  kept.send(request(origin.port, '/before'))
  t.equal((await kept.answers(1))[0]?.status, 200)
  await control.endSession(session.id)
  t.notOk(existsSync(dirname(session.socket)))
  const [error] = await once(net.connect({ path: session.socket }), 'error')
  t.equal(error.code, 'ENOENT')
  kept.send(request(origin.port, '/after'))
  const [, after] = await kept.answers(2)
  t.equal(after?.status, 407, 'though the anonymous agent is back')
  const expiring = await control.createSession({ socket: true, ttl: '1s' })
  await proxy.recorded(({ name, attributes }) => name === 'sallyport.session.ended' && attributes['session.id'] === expiring.id)
  t.notOk(existsSync(expiring.socket))
})

t.test('each socket has the connections of one client, and takes none from others', async (t) => {
  const origin = await httpOrigin(t)
  const proxy = await startPlain(t, origin.port, { change: (settings) => ({ ...settings, limits: { ...settings.limits, connectionsPerClient: 2 } }) })
  const control = new ControlClient(proxy.controlSocket)
  const [one, two] = [await control.createSession({ socket: true }), await control.createSession({ socket: true })]
  const held = [await at(t, one.socket), await at(t, one.socket)]
  for (const client of held) client.send(request(origin.port, '/'))
  for (const client of held) t.equal((await client.answers(1))[0]?.status, 200)
  t.match(await answered(t, one.socket, ''), /^HTTP\/1\.1 503 .*connections/)
  t.match(await answered(t, two.socket, request(origin.port, '/')), /^HTTP\/1\.1 200 /)
  const turned = proxy.decisions().find(({ attributes }) => attributes['sallyport.code'] === 'too_many_connections')
  t.match(turned?.attributes, { 'client.address': 'unix' })
  held[0]?.socket.destroy()
  for (;;) if ((await answered(t, one.socket, request(origin.port, '/'))).startsWith('HTTP/1.1 200 ')) break
})

t.test('a proxy that stops closes its sockets and finishes what is under way; the next one opens them where they were', async (t) => {
  const go = Promise.withResolvers<void>()
  const origin = await httpOrigin(t, (_request, response) => void go.promise.then(() => response.end('done')))
  const proxy = await startPlain(t, origin.port)
  const control = new ControlClient(proxy.controlSocket)
  const [kept, ended] = [await control.createSession({ socket: true, trusts_ca: true }), await control.createSession({ socket: true })]
  const busy = await at(t, kept.socket)
  busy.send(request(origin.port, '/slow'))
  while (origin.requests.length < 1) await new Promise((resolve) => setTimeout(resolve, 5))
  const folder = lstatSync(dirname(kept.socket)).ino
  await control.endSession(ended.id)
  const stopped = proxy.stop(true)
  while (existsSync(kept.socket)) await new Promise((resolve) => setTimeout(resolve, 5))
  go.resolve()
  t.equal((await busy.answers(1))[0]?.body, 'done')
  await stopped

  // what a process that was killed leaves behind
  const left = join(proxy.dir, 'var/run/sgone00000000')
  mkdirSync(left)
  writeFileSync(join(left, 'proxy.sock'), '')
  writeFileSync(kept.socket, '')
  const next = await startProxy(t, { policy: plainPolicy(origin.port), hosts: plainHosts, flags: { data: join(proxy.dir, 'var') } })
  t.strictSame(readdirSync(join(proxy.dir, 'var/run')), [kept.id])
  t.equal(lstatSync(dirname(kept.socket)).ino, folder, 'who was shown the folder finds the new socket in it')
  t.match(await answered(t, kept.socket, request(origin.port, '/again')), /^HTTP\/1\.1 200 /)
  t.match((await new ControlClient(next.controlSocket).call('GET', '/v1/sessions')).body, { items: [{}, { id: kept.id, trusts_ca: true, socket: true }] })
})
