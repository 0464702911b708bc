// WebSockets over plain HTTP: an action of its own, by absolute-form and inside CONNECT to port 80; nothing
// is relayed behind the handshake unless the origin agreed to it.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import t from 'tap'
import { rawOrigin } from '../support/origins.ts'
import { request, startPlain } from '../support/plain-world.ts'
import { startProxy } from '../support/proxy.ts'
import { openTunnel } from '../support/raw-client.ts'
import { ok } from '../support/strict-origin.ts'
import { readAnswers, WireClient } from '../support/wire-client.ts'
import type { Test } from 'tap'

const key = 'dGhlIHNhbXBsZSBub25jZQ=='
const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
const handshake = `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n`
const agreed = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`

interface EchoOrigin {
  readonly port: number
  readonly connections: () => number
  readonly heads: readonly string[]
  /** what came behind each handshake */
  readonly behind: readonly string[]
}

/** Answers the handshake with `answer` and echoes what follows. */
async function echoOrigin(t: Test, answer: string): Promise<EchoOrigin> {
  const heads: string[] = []
  const behind: string[] = []
  const origin = await rawOrigin(t, (socket) => {
    const at = heads.push('') - 1
    behind.push('')
    let isOpen = false
    socket.on('data', (chunk) => {
      if (isOpen) {
        behind[at] += chunk.toString('latin1')
        socket.write(chunk)
        return
      }
      heads[at] += chunk.toString('latin1')
      const end = heads[at]?.indexOf('\r\n\r\n') ?? -1
      if (end < 0) return
      behind[at] = heads[at]?.slice(end + 4) ?? ''
      isOpen = true
      socket.write(answer)
    })
    socket.on('end', () => socket.end())
  })
  return { ...origin, heads, behind }
}

t.test('a WebSocket by absolute-form carries every byte both ways and both ends of it', async (t) => {
  const origin = await echoOrigin(t, agreed)
  const proxy = await startPlain(t, origin.port)
  const client = await WireClient.open(proxy.port)
  client.send(request(origin.port, '/chat', `${handshake}X-Own: 1\r\n`))
  await client.until((received) => received.includes('\r\n\r\n'))
  t.match(client.received, /^HTTP\/1\.1 101 /)
  t.match(client.received, new RegExp(`Sec-WebSocket-Accept: ${accept.replaceAll('+', '\\+')}`, 'i'))
  const at = client.received.length
  const bytes = Buffer.alloc(1_000_000, 'sallyport')
  for (let from = 0; from < bytes.length; from += 997) client.send(bytes.subarray(from, from + 997))
  await client.until((received) => received.length === at + bytes.length)
  t.ok(client.received.slice(at) === bytes.toString('latin1'))
  client.socket.end()
  await client.closed()
  t.match(origin.heads[0], /^GET \/chat HTTP\/1\.1\r\n/)
  t.match(origin.heads[0], /\r\nx-own: 1\r\n/i)
  const ended = await proxy.recorded((record) => record.name === 'sallyport.exchange.ended')
  t.match(ended.attributes, { 'sallyport.outcome': 'completed', 'http.response.status_code': 101, 'sallyport.bytes_from_client': bytes.length, 'sallyport.bytes_from_origin': bytes.length })
})

t.test('a handshake inside CONNECT to port 80 is an exchange of its own', async (t) => {
  const proxy = await startProxy(t, {
    policy: '[network]\nunknown = "deny"\n[[network.rules]]\nid = "ws"\nhosts = ["ws.test", "get.test"]\nmethods = ["GET"]\nverdict = "allow"\n[[network.rules]]\nid = "up"\nhosts = ["ws.test"]\nupgrades = ["websocket"]\nverdict = "allow"\n',
    hosts: { 'ws.test': '127.0.0.1', 'get.test': '127.0.0.1' },
  })
  for (const [host, code] of [['ws.test', 'ip_denied'], ['get.test', '']] as const) {
    const { socket, head } = await openTunnel(proxy.port, `${host}:80`)
    t.match(head, /^HTTP\/1\.1 200/)
    let received = ''
    socket.on('data', (chunk) => (received += String(chunk)))
    socket.resume()
    socket.write(`GET /chat HTTP/1.1\r\nHost: ${host}\r\n${handshake}\r\n`)
    socket.once('end', () => socket.end())
    await once(socket, 'close')
    const decision = proxy.decisions().at(-1)
    if (code === '') t.match(decision?.attributes['sallyport.code'], /^(?:upgrade_not_allowed|request_not_allowed)$/, 'an allowed GET allows no upgrade')
    else t.equal(decision?.attributes['sallyport.code'], code, 'allowed, and refused for its address')
    t.match(received, /^HTTP\/1\.1 403 /)
  }
})

t.test('without the agreement of the origin no byte behind the handshake is relayed', async (t) => {
  const answers: Readonly<Record<string, string>> = {
    '200': ok('no'),
    '426': 'HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno',
    'a 101 with another accept': agreed.replace(accept, 'AAAAAAAAAAAAAAAAAAAAAAAAAAA='),
    'a 101 without accept': agreed.replace(/Sec-WebSocket-Accept[^\r]*\r\n/, ''),
    'a 101 to something else': agreed.replace('Upgrade: websocket', 'Upgrade: h2c'),
    'a 101 without Connection': agreed.replace('Connection: Upgrade\r\n', ''),
    'a 101 with an extra subprotocol': agreed.replace('\r\n\r\n', '\r\nSec-WebSocket-Protocol: smuggle\r\n\r\n'),
    'no HTTP at all': 'SSH-2.0-x\r\n',
  }
  for (const [what, answer] of Object.entries(answers)) {
    t.test(what, async (t) => {
      const origin = await echoOrigin(t, answer)
      const proxy = await startPlain(t, origin.port)
      const client = await WireClient.open(proxy.port)
      client.send(`${request(origin.port, '/chat', handshake)}EARLY-BYTES`)
      const received = await client.closed()
      t.notMatch(received, /^HTTP\/1\.1 101/)
      const [first, ...more] = readAnswers(received)
      t.equal(first?.status, /^[24]/.test(what) ? Number(what) : 502)
      t.equal(more.length, 0)
      t.strictSame(origin.behind, [''], 'nothing early reached the origin')
      t.notMatch(origin.heads.join(''), /EARLY/)
    })
  }
})

t.test('a handshake that is none is refused and not forwarded as one', async (t) => {
  const origin = await echoOrigin(t, agreed)
  const proxy = await startPlain(t, origin.port)
  const bad: readonly string[] = [
    request(origin.port, '/', handshake, 'POST'),
    request(origin.port, '/', handshake.replace('13', '8')),
    request(origin.port, '/', handshake.replace(key, 'short')),
    request(origin.port, '/', `${handshake}Sec-WebSocket-Key: ${key}\r\n`),
    request(origin.port, '/', `${handshake}Content-Length: 5\r\n`, 'GET', 'hello'),
    request(origin.port, '/', `${handshake}Transfer-Encoding: chunked\r\n`, 'GET', '0\r\n\r\n'),
    request(origin.port, '/', `${handshake}Expect: 100-continue\r\n`),
    request(origin.port, '/', handshake).replace('Host: allowed.test', 'Host: other.test'),
  ]
  for (const bytes of bad) {
    const client = await WireClient.open(proxy.port)
    client.send(bytes)
    const [first] = readAnswers(await client.closed())
    t.ok(first !== undefined && first.status >= 400 && first.status < 500, `${first?.status}`)
  }
  t.equal(origin.connections(), 0)
  const denied = await WireClient.open(proxy.port)
  denied.send(`GET http://denied.test/ HTTP/1.1\r\nHost: denied.test\r\n${handshake}\r\nEARLY`)
  t.match(await denied.closed(), /^HTTP\/1\.1 403 /)
})
