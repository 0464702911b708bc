import { createHash } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import tls from 'node:tls'
import t, { type Test } from 'tap'
import { systemClock } from '../../src/clock.ts'
import { Deadlines } from '../../src/deadlines.ts'
import type { Credentials } from '../../src/egress/field-changes.ts'
import { ReadBuffers } from '../../src/egress/read-buffers.ts'
import { ReadPump } from '../../src/egress/read-pump.ts'
import { upgrade, type UpgradeOptions, type UpgradeResult } from '../../src/egress/upgrade.ts'
import { httpsTo, overTls, tlsPlace } from './tls-origin.ts'
import { connectTo, listen, rawOrigin, readAll, readUntil, type Closable, type RawOrigin } from './wire.ts'

const place = await tlsPlace()
const issued = await place.certificates.issue(['origin.test'])
const key = 'dGhlIHNhbXBsZSBub25jZQ=='
const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
const handshake = `GET /chat HTTP/1.1\r\nHost: origin.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\nX-Tenant: theirs\r\n\r\n`
const switching = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\nAlt-Svc: h3=":443"\r\n\r\n`

type Side = 'tcp' | 'tls'
interface Between {
  readonly client: net.Socket
  readonly origin: RawOrigin
  readonly next: Promise<UpgradeResult>
  readonly offers: readonly string[]
}

/** A client, a proxy that upgrades, and a raw origin; each leg with TLS or without. */
async function between(t: Test, [clientSide, originSide]: readonly [Side, Side], answer: Parameters<typeof rawOrigin>[0], over: Partial<UpgradeOptions> = {}): Promise<Between> {
  const origin = originSide === 'tls' ? await rawOrigin(answer, 'early', overTls(issued)) : await rawOrigin(answer, 'early')
  const toOrigin = httpsTo(place, origin.port)
  const { promise, resolve } = Promise.withResolvers<UpgradeResult>()
  const server = clientSide === 'tls' ? https.createServer(issued) : http.createServer()
  server.on('upgrade', (request, socket, head) => {
    if (!(socket instanceof net.Socket)) throw new Error('not a socket')
    const buffers = new ReadBuffers()
    void upgrade({
      request, client: socket, head, path: '/chat', authority: 'origin.test', pseudonym: 'sally-test',
      connect: (offer) => (originSide === 'tls' ? toOrigin.connect(offer) : connectTo(origin.port)), ...(originSide === 'tls' ? { tls: toOrigin.tls } : {}),
      originTimeoutMs: 20_000, maxResponseHeaderBytes: 16_384, idleTimeoutMs: 0, idleDeadlines: new Deadlines(systemClock), upload: new ReadPump(buffers), buffers, ...over,
    }).then((result) => {
      if (result.kind === 'failed') socket.end(`HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\n\r\n${result.error.code}`)
      resolve(result)
    })
  })
  const proxy: { readonly port: number } & Closable = await listen(server)
  const plain = await connectTo(proxy.port)
  const client = clientSide === 'tls' ? tls.connect({ socket: plain, servername: 'origin.test', ca: place.certificates.ca }) : plain
  client.on('error', () => {})
  if (clientSide === 'tls') await once(client, 'secureConnect')
  t.teardown(() => {
    client.destroy()
    proxy.close()
    origin.close()
  })
  return { client, origin, next: promise, offers: toOrigin.offers }
}

/** Opens the tunnel and gives what reads it at the origin. */
function echoing(each: (socket: net.Socket, chunk: Buffer) => void): (socket: net.Socket) => void {
  return (socket) => {
    socket.removeAllListeners('data')
    socket.on('data', (chunk: Buffer) => each(socket, chunk))
    socket.write(switching)
  }
}

const legs = [['tls', 'tls'], ['tls', 'tcp'], ['tcp', 'tls']] as const
for (const sides of legs) {
  const name = `${sides[0]} to ${sides[1]}`
  t.test(`${name}: ten thousand messages are echoed byte by byte, and the half-close of each side passes`, async (t) => {
    const { client, next, offers } = await between(t, sides, echoing((socket, chunk) => socket.write(chunk)))
    client.write(handshake)
    t.match(await readUntil(client, '\r\n\r\n'), /^HTTP\/1\.1 101 Switching Protocols\r\n/)
    const messages = Array.from({ length: 10_000 }, (_, i) => `message ${i};`).join('')
    const echoed = readAll(client)
    for (let at = 0; at < messages.length; at += 17) client.write(messages.slice(at, at + 17))
    client.end()
    t.equal((await echoed).toString() === messages, true)
    const result = await next
    if (result.kind !== 'tunnel') throw new Error(result.kind)
    t.match(await result.handle.done, { end: 'closed', bytesFromClient: messages.length, bytesFromOrigin: messages.length })
    t.same(offers, sides[1] === 'tls' ? ['http/1.1'] : [])
  })

  t.test(`${name}: 64 MiB pass each way, and a side that does not read holds the other back`, async (t) => {
    const size = 64 * 1024 * 1024
    const block = Buffer.alloc(1024 * 1024, 97)
    let atOrigin = 0
    const reads = Promise.withResolvers<net.Socket>()
    const { client } = await between(t, sides, (socket) => {
      socket.removeAllListeners('data')
      socket.pause()
      socket.write(switching)
      reads.resolve(socket)
    })
    client.write(handshake)
    await readUntil(client, '\r\n\r\n')
    const origin = await reads.promise
    let offered = 0
    const offer = async (socket: net.Socket): Promise<void> => {
      for (offered = 0; offered < size; offered += block.length) if (!socket.write(block)) await once(socket, 'drain')
    }
    const up = offer(client)
    await settled(() => offered)
    t.ok(offered < size, `the client could write ${offered} bytes`)
    origin.on('data', (chunk) => {
      atOrigin += chunk.length
    })
    origin.resume()
    await up
    await reached(origin, () => atOrigin, size)
    client.pause()
    const down = offer(origin)
    await settled(() => offered)
    t.ok(offered < size, `the origin could write ${offered} bytes`)
    let atClient = 0
    client.on('data', (chunk) => {
      atClient += chunk.length
    })
    client.resume()
    await down
    await reached(client, () => atClient, size)
    t.equal(atClient, size)
  })

  t.test(`${name}: an idle tunnel closes on both sides, and an origin that goes is seen by the client`, async (t) => {
    const idle = await between(t, sides, echoing((socket, chunk) => socket.write(chunk)), { idleTimeoutMs: 100 })
    idle.client.write(handshake)
    await readUntil(idle.client, '\r\n\r\n')
    await readAll(idle.client)
    const first = await idle.next
    if (first.kind === 'tunnel') t.match(await first.handle.done, { end: 'idle' })
    const sockets: net.Socket[] = []
    const breaks = await between(t, sides, (socket) => {
      sockets.push(socket)
      echoing(() => {})(socket)
    })
    breaks.client.write(handshake)
    await readUntil(breaks.client, '\r\n\r\n')
    for (const socket of sockets) socket.destroy()
    await readAll(breaks.client)
    breaks.client.end()
    const second = await breaks.next
    if (second.kind !== 'tunnel') throw new Error(second.kind)
    t.match((await second.handle.done).end, /closed|origin_reset/)
  })
}

async function reached(socket: net.Socket, count: () => number, wanted: number): Promise<void> {
  while (count() < wanted) await once(socket, 'data')
}

/** Resolves when a count stands still, whatever the kernels between buffer. */
async function settled(count: () => number): Promise<void> {
  for (let still = -1; still !== count();) {
    still = count()
    await new Promise((resolve) => setTimeout(resolve, 150))
  }
}

t.test('over TLS too a 101 that is not one opens no tunnel, and early bytes never reach the origin', async (t) => {
  for (const answer of [switching.replace(accept, 'AAAAAAAAAAAAAAAAAAAAAAAAAAA='), 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', 'HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n']) {
    const { client, origin, next } = await between(t, ['tls', 'tls'], answer)
    client.write(`${handshake}GET /smuggled HTTP/1.1\r\nHost: origin.test\r\n\r\n`)
    await readAll(client)
    t.not((await next).kind, 'tunnel')
    t.notMatch(origin.received(), /smuggled/)
  }
})

t.test('what rules do to fields is done to the handshake, and Alt-Svc does not come back', async (t) => {
  const credentials: Credentials = { value: () => Promise.resolve('secret'), dummy: () => Promise.resolve('dummy') }
  const fieldChanges = [{ rule: 'r', strip: ['x-tenant'], set: [
    { name: 'X-Ours', value: { kind: 'text', text: '1' } }, { name: 'Authorization', value: { kind: 'credential', credential: 'c', prefix: 'Bearer ', placeholder: false } },
  ] }] as const
  const { client, origin } = await between(t, ['tls', 'tls'], switching, { fieldChanges, credentials })
  client.write(handshake)
  t.notMatch(await readUntil(client, '\r\n\r\n'), /alt-svc/i)
  t.match(origin.received(), /\r\nX-Ours: 1\r\nAuthorization: Bearer secret\r\n/)
  t.notMatch(origin.received(), /tenant/i)
  const plain = await between(t, ['tls', 'tcp'], switching, { fieldChanges, credentials })
  plain.client.write(handshake)
  t.match((await readAll(plain.client)).toString(), /credential_unavailable$/)
  t.equal(plain.origin.connections(), 0)
  const named = await between(t, ['tls', 'tls'], switching, { fieldChanges, credentials })
  named.client.write(handshake.replace('Connection: Upgrade', 'Connection: Upgrade, X-Ours'))
  t.match((await readAll(named.client)).toString(), /field_syntax$/)
  t.equal(named.origin.connections(), 0)
})

t.test('a fault of TLS comes back before anything is written', async (t) => {
  const { client, next } = await between(t, ['tls', 'tls'], switching, { tls: { trust: undefined } })
  client.write(handshake)
  t.match((await readAll(client)).toString(), /tls_certificate_untrusted$/)
  t.match(await next, { kind: 'failed' })
})
