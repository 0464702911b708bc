import { createHash } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import { Deadlines } from '../../src/deadlines.ts'
import { ReadBuffers } from '../../src/egress/read-buffers.ts'
import { ReadPump } from '../../src/egress/read-pump.ts'
import { checkHandshake, upgrade, type UpgradeResult } from '../../src/egress/upgrade.ts'
import { connectTo, listen, rawOrigin, readAll, readUntil, type Closable } from './wire.ts'

const key = 'dGhlIHNhbXBsZSBub25jZQ=='
const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
const handshake = `GET ws://ignored/chat HTTP/1.1\r\nHost: elsewhere.test\r\nConnection: Upgrade, X-Hop\r\nX-Hop: 1\r\nUpgrade: websocket\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat, superchat\r\nProxy-Authorization: Basic x\r\nOrigin: http://a.test\r\n\r\n`
const switching = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n`

async function upgrader(originPort: number, timeoutMs = 20_000): Promise<{ readonly port: number; readonly next: Promise<UpgradeResult> } & Closable> {
  const { promise, resolve } = Promise.withResolvers<UpgradeResult>()
  const server = http.createServer()
  server.on('upgrade', (request, socket, head) => {
    if (!(socket instanceof net.Socket)) throw new Error('not a socket')
    const answer = (result: UpgradeResult): void => {
      if (result.kind === 'failed') socket.end(`HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\n\r\n${result.error.code}`)
      resolve(result)
    }
    const buffers = new ReadBuffers()
    void upgrade({
      request, client: socket, head, path: '/chat', authority: 'origin.test', connect: () => connectTo(originPort), pseudonym: 'sally-test',
      originTimeoutMs: timeoutMs, maxResponseHeaderBytes: 16_384, idleTimeoutMs: 0, idleDeadlines: new Deadlines(systemClock), upload: new ReadPump(buffers), buffers,
    }).then(answer)
  })
  const { port, close } = await listen(server)
  return { port, close, next: promise }
}

t.test('a handshake with the right answer becomes a tunnel, byte for byte both ways, half-close included', async (t) => {
  let atOrigin = ''
  const origin = await rawOrigin((socket) => {
    // the first frame of the origin comes in the same segment as its 101
    socket.write(`${switching}Sec-WebSocket-Protocol: chat\r\n\r\nhello`)
    socket.removeAllListeners('data')
    socket.on('data', (chunk) => {
      atOrigin += chunk.toString()
      socket.write(chunk)
    })
  })
  const proxy = await upgrader(origin.port)
  t.teardown(() => {
    proxy.close()
    origin.close()
  })
  const client = await connectTo(proxy.port)
  client.write(handshake)
  const head = await readUntil(client, 'hello')
  t.match(head, /^HTTP\/1\.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: [^]*Sec-WebSocket-Protocol: chat\r\n[^]*\r\n\r\nhello$/)
  const echoed = readAll(client)
  client.write('frame')
  client.end()
  t.equal((await echoed).toString(), 'frame')
  t.equal(atOrigin, 'frame')
  const result = await proxy.next
  t.equal(result.kind, 'tunnel')
  if (result.kind === 'tunnel') t.match(await result.handle.done, { end: 'closed', bytesFromClient: 5, bytesFromOrigin: 10 })
  const sent = origin.received().slice(0, origin.received().indexOf('\r\n\r\n'))
  t.match(sent, /^GET \/chat HTTP\/1\.1\r\nhost: origin\.test\r\nconnection: upgrade\r\nupgrade: websocket\r\n/)
  t.match(sent, /Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n/)
  t.notMatch(sent, /X-Hop|Proxy-Authorization|elsewhere/i)
})

const refused: [name: string, answer: string, code: string][] = [
  ['a wrong Accept', switching.replace(accept, 'AAAAAAAAAAAAAAAAAAAAAAAAAAA=') + '\r\n', 'origin_protocol_error'],
  ['no Accept', switching.replace(/Sec-.*\r\n/, '') + '\r\n', 'origin_protocol_error'],
  ['Accept twice', `${switching}Sec-WebSocket-Accept: ${accept}\r\n\r\n`, 'origin_protocol_error'],
  ['another protocol', switching.replace('websocket', 'h2c') + '\r\n', 'origin_protocol_error'],
  ['no Connection', switching.replace('Connection: Upgrade\r\n', '') + '\r\n', 'origin_protocol_error'],
  ['a subprotocol not offered', `${switching}Sec-WebSocket-Protocol: admin\r\n\r\n`, 'origin_protocol_error'],
  ['an ambiguous length', `${switching}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`, 'origin_protocol_error'],
]
for (const [name, answer, code] of refused) {
  t.test(`a 101 with ${name} opens no tunnel, and early bytes never reach the origin`, async (t) => {
    const origin = await rawOrigin(answer)
    const proxy = await upgrader(origin.port)
    t.teardown(() => {
      proxy.close()
      origin.close()
    })
    const client = await connectTo(proxy.port)
    client.write(`${handshake}GET /smuggled HTTP/1.1\r\nHost: origin.test\r\n\r\n`)
    const text = (await readAll(client)).toString()
    t.match(text, new RegExp(`^HTTP/1\\.1 502 [^]*${code}$`))
    t.match(await proxy.next, { kind: 'failed', error: { code } })
    t.notMatch(origin.received(), /smuggled/)
  })
}

for (const [name, answer, want] of [
  ['200 with a length', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', /^HTTP\/1\.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n[^]*\r\n\r\nok$/],
  ['426', 'HTTP/1.1 426 Upgrade Required\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n', /^HTTP\/1\.1 426 Upgrade Required\r\nConnection: close\r\n(?![^]*h2c)[^]*\r\n\r\n$/],
  ['403 in chunks', 'HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n', /^HTTP\/1\.1 403 (?![^]*Transfer-Encoding)[^]*\r\n\r\nno$/],
] as const) {
  t.test(`${name} is passed on as an answer, the connection closes, and early bytes never reach the origin`, async (t) => {
    const origin = await rawOrigin(answer)
    const proxy = await upgrader(origin.port)
    t.teardown(() => {
      proxy.close()
      origin.close()
    })
    const client = await connectTo(proxy.port)
    client.write(`${handshake}GET /smuggled HTTP/1.1\r\nHost: origin.test\r\n\r\n`)
    t.match((await readAll(client)).toString(), want)
    t.match(await proxy.next, { kind: 'answered', error: undefined })
    client.write('GET /smuggled HTTP/1.1\r\nHost: origin.test\r\n\r\n')
    client.end()
    await once(client, 'close')
    t.notMatch(origin.received(), /smuggled/)
  })
}

t.test('an origin that never answers is origin_timeout, and a client that leaves closes the origin', async (t) => {
  const asked = Promise.withResolvers<net.Socket>()
  const origin = await rawOrigin((socket) => asked.resolve(socket))
  const impatient = await upgrader(origin.port, 100)
  const proxy = await upgrader(origin.port)
  t.teardown(() => {
    for (const each of [proxy, impatient, origin]) each.close()
  })
  const first = await connectTo(impatient.port)
  first.write(handshake)
  t.match((await readAll(first)).toString(), /origin_timeout$/)
  const second = await connectTo(proxy.port)
  second.write(handshake)
  const socket = await asked.promise
  second.resetAndDestroy()
  if (!socket.closed) await once(socket, 'close')
  t.match(await proxy.next, { kind: 'client_closed' })
})

t.test('a handshake that is not one is refused before anything is dialled', async (t) => {
  const good = ['Connection', 'Upgrade', 'Upgrade', 'WebSocket', 'Sec-WebSocket-Key', key, 'Sec-WebSocket-Version', '13']
  t.equal(checkHandshake('GET', '1.1', good), undefined)
  const bad: [string, string, string[]][] = [
    ['POST', '1.1', good], ['GET', '1.0', good],
    ['GET', '1.1', [...good, 'Upgrade', 'websocket']],
    ['GET', '1.1', good.map((each) => (each === 'WebSocket' ? 'websocket, h2c' : each))],
    ['GET', '1.1', good.map((each) => (each === key ? 'c2hvcnQ=' : each))],
    ['GET', '1.1', good.map((each) => (each === '13' ? '8' : each))],
    ['GET', '1.1', [...good, 'Content-Length', '3']],
    ['GET', '1.1', [...good, 'Transfer-Encoding', 'chunked']],
    ['GET', '1.1', []],
  ]
  for (const [method, version, fields] of bad) t.match(checkHandshake(method, version, fields), { code: 'upgrade_unsupported' })
})
