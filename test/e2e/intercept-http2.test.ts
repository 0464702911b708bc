// HTTP/2 inside TLS that ends in the proxy: every stream is judged by itself, forwarded, and recorded once, and
// no refusal of one ends the others.
import http2, { type ClientHttp2Session } from 'node:http2'
import type http from 'node:http'
import t, { type Test } from 'tap'
import { testCertificates } from '../support/certificates.ts'
import { FrameReader, headers, preface, replyTo, requestFields, settings } from '../support/http2-frames.ts'
import { answerOf, type Answer } from '../support/http2-world.ts'
import { secureTunnel } from '../support/inside.ts'
import { tlsOrigin, type HttpOrigin } from '../support/origins.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'
import { openTunnel } from '../support/raw-client.ts'

interface World {
  readonly proxy: TestProxy
  readonly origin: HttpOrigin
  readonly authority: string
}

async function start(t: Test, answer?: http.RequestListener): Promise<World> {
  const certificates = await testCertificates()
  const origin = await tlsOrigin(t, ['api.test'], certificates, answer)
  const authority = `api.test:${origin.port}`
  const policy = `[network]
[[network.rules]]
id = "read"
hosts = ["${authority}"]
local = ["127.0.0.1/32"]
methods = ["GET", "POST"]
paths = ["/open/**"]
verdict = "allow"
origin_ca = ["roots.pem"]
`
  const proxy = await startProxy(t, { policy, hosts: { 'api.test': '127.0.0.1' }, policies: { 'roots.pem': certificates.ca } })
  // makes the root that clients trust
  const { socket } = await openTunnel(proxy.port, authority)
  socket.destroy()
  return { proxy, origin, authority }
}

async function speak(t: Test, { proxy, authority }: World): Promise<ClientHttp2Session> {
  const socket = await secureTunnel(t, proxy, authority, { protocols: ['h2'] })
  t.equal(socket.alpnProtocol, 'h2')
  const session = http2.connect(`https://${authority}`, { createConnection: () => socket })
  session.on('error', () => session.destroy())
  t.teardown(() => session.destroy())
  return session
}

function ask(session: ClientHttp2Session, fields: http2.OutgoingHttpHeaders, body?: Uint8Array): Promise<Answer> {
  const stream = session.request(fields, { endStream: body === undefined })
  if (body !== undefined) stream.end(body)
  return answerOf(stream)
}

function decided(proxy: TestProxy): string[] {
  return proxy.decisions().map(({ attributes }) => String(attributes['sallyport.code'])).slice(2)
}

t.test('allowed streams reach the origin, others are refused, and the connection goes on', async (t) => {
  const world = await start(t)
  const session = await speak(t, world)
  const answers = await Promise.all(['/open/a?b=%2f', '/closed', '/open/c'].map((path) => ask(session, { ':path': path })))
  t.same(answers.map(({ status }) => status), [200, 403, 200])
  t.equal(answers[0]?.body.toString(), 'GET /open/a?b=%2f\n')
  t.same(world.origin.requests.map(({ url }) => String(url)).toSorted((a, b) => a.localeCompare(b)), ['/open/a?b=%2f', '/open/c'])
  t.equal((await ask(session, { ':path': '/open/', ':authority': 'evil.test' })).status, 421)
  t.equal((await ask(session, { ':path': '/open/' })).status, 200)
  t.same(decided(world.proxy).toSorted((a, b) => a.localeCompare(b)), ['allowed', 'allowed', 'allowed', 'misdirected', 'request_not_allowed'])
})

t.test('a large body goes up and comes down', async (t) => {
  const world = await start(t, (request, response) => request.pipe(response))
  const session = await speak(t, world)
  const body = Buffer.alloc(8 * 1024 * 1024, 'x')
  const answer = await ask(session, { ':method': 'POST', ':path': '/open/' }, body)
  t.ok(answer.body.equals(body))
  const end = await world.proxy.recorded(({ name, attributes }) => name === 'sallyport.exchange.ended' && attributes['http.request.method'] === 'POST')
  t.equal(end.attributes['sallyport.outcome'], 'completed')
})

t.test('a malformed stream is reset, recorded, and never reaches the origin', async (t) => {
  const world = await start(t)
  const socket = await secureTunnel(t, world.proxy, world.authority, { protocols: ['h2'] })
  const reader = new FrameReader(socket, (frame) => {
    const reply = replyTo(frame)
    if (reply !== undefined && socket.writable) socket.write(reply)
  })
  socket.write(Buffer.concat([preface, settings(), headers(1, [...requestFields(world.authority, '/open/'), ['X-Up', '1']])]))
  t.equal(await reader.reset(1), 'PROTOCOL_ERROR')
  await world.proxy.recorded(({ name, attributes }) => name === 'sallyport.decision' && attributes['sallyport.code'] === 'framing')
  t.equal(world.origin.requests.length, 0)
})

t.test('a graceful stop lets a stream finish and closes the connection', async (t) => {
  const held = Promise.withResolvers<http.ServerResponse>()
  const world = await start(t, (_request, response) => held.resolve(response))
  const session = await speak(t, world)
  const answer = ask(session, { ':path': '/open/' })
  const response = await held.promise
  const goaway = new Promise((resolve) => session.once('goaway', resolve))
  const stopped = world.proxy.stop(true)
  t.equal(await goaway, 0)
  response.end('late')
  t.equal((await answer).body.toString(), 'late')
  await stopped
})
