// Node's own clients inside TLS that ends at the proxy: fetch and https, which find the proxy by the environment, and
// node:http2, which has to be given the tunnel.
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import http2 from 'node:http2'
import { join } from 'node:path'
import tls from 'node:tls'
import t from 'tap'
import { findClient } from '../../support/clients.ts'
import { answerOf, type Answer } from '../../support/http2-world.ts'
import { rootOf } from '../../support/inside.ts'
import { openTunnel } from '../../support/raw-client.ts'
import { startSecureWorld, type SecureWorld } from '../../support/secure-world.ts'
import type http from 'node:http'

const { program: { command }, options } = findClient('node-fetch')

const rules = { read: 'methods = ["GET"]\npaths = ["/open/**"]', write: 'methods = ["POST"]\npaths = ["/inbox"]' }

const sizes: http.RequestListener = (request, response) => {
  let bytes = 0
  request.on('data', (chunk: Buffer) => (bytes += chunk.length))
  request.on('end', () => response.end(`${request.method} ${request.url} ${bytes}\n`))
}

const fetchProgram = `
const [base] = process.argv.slice(2)
const big = Buffer.alloc(3_000_000, 'x')
const stream = new ReadableStream({ start(controller) { for (let i = 0; i < 50; i++) controller.enqueue(new Uint8Array(10_000)); controller.close() } })
for (const [path, init] of [['/open/a?b=c'], ['/closed'], ['/inbox', { method: 'POST', body: big }], ['/inbox', { method: 'POST', body: stream, duplex: 'half' }], ['/inbox', { method: 'PUT', body: 'x' }]]) {
  const answer = await fetch(base + path, init)
  const text = await answer.text()
  console.log(answer.status, answer.ok ? text.trim() : JSON.parse(text).code)
}
`

t.test('node-fetch: what is allowed is answered, streams included, and a refusal is an answer with a body', options, async (t) => {
  const world = await startSecureWorld(t, { rules }, sizes)
  writeFileSync(join(world.dir, 'program.mjs'), fetchProgram)
  const { exitCode, output } = await world.run(command, ['program.mjs', world.base])
  t.equal(exitCode, 0, output)
  t.same(output.trim().split('\n'), ['200 GET /open/a?b=c 0', '403 request_not_allowed', '200 POST /inbox 3000000', '200 POST /inbox 500000', '403 request_not_allowed'])
})

const httpsProgram = `
import https from 'node:https'
const [base] = process.argv.slice(2)
const ask = (path, method, body) => new Promise((resolve, reject) => {
  const request = https.request(base + path, { method }, (response) => {
    let text = ''
    response.on('data', (chunk) => (text += chunk)).on('end', () => resolve([response.statusCode, response.statusMessage, text]))
  })
  request.on('error', reject).end(body)
})
for (const [path, method, body] of [['/open/a', 'GET'], ['/closed', 'GET'], ['/inbox', 'POST', 'abc']]) {
  const [status, message, text] = await ask(path, method, body)
  console.log(status, message.replace(/ \\(req.*/, ''), status === 200 ? text.trim() : JSON.parse(text).code)
}
`

t.test('node-https: what is allowed is answered, and a refusal is an answer whose status message says why', options, async (t) => {
  const world = await startSecureWorld(t, { rules }, sizes)
  writeFileSync(join(world.dir, 'program.mjs'), httpsProgram)
  const { exitCode, output } = await world.run(command, ['program.mjs', world.base])
  t.equal(exitCode, 0, output)
  t.same(output.trim().split('\n'), ['200 OK GET /open/a 0', '403 Denied by policy: no rule of origin.test allows GET /closed request_not_allowed', '200 OK POST /inbox 3'])
})

async function http2Client(world: SecureWorld): Promise<http2.ClientHttp2Session> {
  const { socket } = await openTunnel(world.proxy.port, world.authority)
  const secured = tls.connect({ socket, ca: rootOf(world.proxy), servername: 'origin.test', ALPNProtocols: ['h2'] })
  await once(secured, 'secureConnect')
  return http2.connect(world.base, { createConnection: () => secured })
}

async function asked(session: http2.ClientHttp2Session, fields: http2.OutgoingHttpHeaders, body?: Buffer): Promise<Answer> {
  const stream = session.request(fields, { endStream: body === undefined })
  if (body !== undefined) stream.end(body)
  return answerOf(stream)
}

t.test('node:http2 through a CONNECT: streams beside each other, each with its own decision', options, async (t) => {
  const world = await startSecureWorld(t, { rules }, sizes)
  const session = await http2Client(world)
  t.teardown(() => session.destroy())
  const answers = await Promise.all(Array.from({ length: 90 }, (_, at) => {
    if (at % 3 === 0) return asked(session, { ':path': `/open/${at}` })
    if (at % 3 === 1) return asked(session, { ':path': `/closed/${at}` })
    return asked(session, { ':path': '/inbox', ':method': 'POST' }, Buffer.alloc(at * 1000))
  }))
  for (const [at, { status, body, isBroken }] of answers.entries()) {
    t.notOk(isBroken)
    if (at % 3 === 1) t.match(JSON.parse(body.toString()), { status: 403, code: 'request_not_allowed' })
    else t.equal(`${status} ${body.toString()}`, at % 3 === 0 ? `200 GET /open/${at} 0\n` : `200 POST /inbox ${at * 1000}\n`)
  }
  t.equal(world.decisions().length, 90)
  t.equal(world.origin.requests.length, 60, 'decisions that allowed = origin requests')
})

t.test('node:http2: what names another authority is misdirected, and the streams beside it go on', options, async (t) => {
  const world = await startSecureWorld(t, { rules }, sizes)
  const session = await http2Client(world)
  t.teardown(() => session.destroy())
  const [first, other, scheme] = await Promise.all([
    asked(session, { ':path': '/open/1' }),
    asked(session, { ':path': '/open/2', ':authority': 'evil.test' }),
    asked(session, { ':path': '/open/3', ':scheme': 'http' }),
  ])
  t.equal(first.status, 200)
  t.equal(other.status, 421)
  t.ok(scheme.isBroken || scheme.status >= 400, `${scheme.status}`)
  t.same(world.origin.requests.map(({ url }) => url), ['/open/1'])
})
