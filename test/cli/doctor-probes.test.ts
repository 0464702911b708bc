// The probes against servers on loopback: what counts as reached, and that silence is an outcome.
import { createSocket } from 'node:dgram'
import { createServer as createHttpServer } from 'node:http'
import { createServer, type Server } from 'node:net'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { createProbes } from '../../src/cli/doctor-probes.ts'
import type { HostPort } from '../../src/config/settings.ts'

const probes = createProbes(5000)
const hasty = createProbes(50)

async function listen(t: Test, server: Server): Promise<HostPort> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const port = portOf(server)
  return { host: '127.0.0.1', port }
}

function portOf(server: Server): number {
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('the server is not open')
  return address.port
}

/** A port that was just free and has nobody on it. */
async function deserted(): Promise<HostPort> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const port = portOf(server)
  server.close()
  await once(server, 'close')
  return { host: '127.0.0.1', port }
}

async function nameServer(t: Test, answers: boolean): Promise<string> {
  const socket = createSocket('udp4')
  socket.on('message', (query, from) => {
    if (answers) socket.send(noSuchName(query), from.port, from.address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  t.teardown(() => socket.close())
  return `127.0.0.1:${socket.address().port}`
}

/** NXDOMAIN to whatever was asked. */
function noSuchName(query: Buffer): Buffer {
  const reply = Buffer.from(query)
  reply.writeUInt16BE(0x8183, 2)
  return reply
}

t.test('a TCP connection that opens is reached, and is closed without a byte', async (t) => {
  const closed = Promise.withResolvers<number>()
  const at = await listen(t, createServer((socket) => {
    socket.resume()
    socket.on('close', () => closed.resolve(socket.bytesRead))
    socket.on('error', () => closed.resolve(socket.bytesRead))
  }))
  t.same(await probes.tcp(at), { kind: 'reached' })
  t.equal(await closed.promise, 0)
})

t.test('a TCP connection that is refused is blocked, with the reason', async (t) => {
  t.same(await probes.tcp(await deserted()), { kind: 'blocked', reason: 'ECONNREFUSED' })
})

t.test('any answer of a name server is reached, over UDP', async (t) => {
  t.same(await probes.dnsUdp(await nameServer(t, true), 'example.com'), { kind: 'reached' })
})

t.test('a name server that is silent, not there or not one is blocked', async (t) => {
  t.same(await hasty.dnsUdp(await nameServer(t, false), 'example.com'), { kind: 'blocked', reason: 'no answer' })
  const { port } = await deserted()
  t.match(await probes.dnsUdp(`127.0.0.1:${port}`, 'example.com'), { kind: 'blocked' })
  t.match(await probes.dnsUdp('dns.example', 'example.com'), { kind: 'blocked' })
})

t.test('over TCP a name server is reached when it answers, not when it accepts', async (t) => {
  const answering = await listen(t, createServer((socket) => {
    socket.once('data', (query: Buffer) => socket.end(query))
    socket.on('error', () => socket.destroy())
  }))
  const closing = await listen(t, createServer((socket) => socket.end()))
  t.same(await probes.dnsTcp(`127.0.0.1:${answering.port}`, 'example.com'), { kind: 'reached' })
  t.same(await probes.dnsTcp(`127.0.0.1:${closing.port}`, 'example.com'), { kind: 'blocked', reason: 'closed without an answer' })
  t.match(await probes.dnsTcp(`127.0.0.1:${closing.port}`, 'a..b'), { kind: 'blocked' })
})

t.test('CONNECT through a proxy gives back what it said, with credentials where there are any', async (t) => {
  const seen: (string | undefined)[] = []
  const server = createHttpServer()
  server.on('connect', (request, socket) => {
    seen.push(request.url, request.headers['proxy-authorization'])
    const isDenied = request.url === 'denied.example:443'
    socket.end(isDenied ? 'HTTP/1.1 403 Denied by policy\r\ncontent-length: 2\r\n\r\nno' : 'HTTP/1.1 200 OK\r\n\r\n')
  })
  const at = await listen(t, server)
  t.match(await probes.connectThrough(at, 'open.example:443', undefined), { status: 200 })
  t.match(await probes.connectThrough(at, 'denied.example:443', 's:t'), { status: 403, reason: 'Denied by policy' })
  t.same(seen, ['open.example:443', undefined, 'denied.example:443', 'Basic czp0'])
})

t.test('a page is read up to 4 KiB, and who does not speak HTTP is nobody', async (t) => {
  const at = await listen(t, createHttpServer((_request, response) => response.end('sallyport' + 'x'.repeat(10_000))))
  const answer = await probes.get(at, '/')
  t.equal(answer?.status, 200)
  t.equal(answer?.body.length, 4096)
  const mute = await listen(t, createServer((socket) => socket.end('SSH-2.0-x\r\n')))
  t.equal(await probes.get(mute, '/'), undefined)
  t.equal(await probes.get(await deserted(), '/'), undefined)
})
