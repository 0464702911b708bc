// WebSockets on one leg: an action of their own, of which nothing is relayed behind the handshake unless the origin
// agreed to it, and then every byte and both ends of the connection.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { Test } from 'tap'
import type { Leg, RawLegWorld } from './legs.ts'
import { ok } from './strict-origin.ts'
import { readAnswers } from './wire-client.ts'

const key = 'dGhlIHNhbXBsZSBub25jZQ=='
const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
/** fields of a client's handshake */
export const handshake = `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n`
const agreed = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`

interface EchoWorld extends RawLegWorld {
  readonly origin: RawLegWorld['origin'] & {
    readonly heads: readonly string[]
    /** what came behind each handshake */
    readonly behind: readonly string[]
  }
}

/** An origin that answers the handshake with `answer` and echoes what follows. */
async function startEcho(t: Test, leg: Leg, answer: string): Promise<EchoWorld> {
  const heads: string[] = []
  const behind: string[] = []
  const world = await leg.startRaw(t, (socket) => {
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
  return { ...world, origin: { ...world.origin, heads, behind } }
}

export function checkUpgrades(t: Test, leg: Leg): void {
  t.test(`${leg.name}: a WebSocket carries every byte both ways and both ends of it`, async (t) => {
    const { origin, proxy, open, request } = await startEcho(t, leg, agreed)
    const client = await open()
    client.send(request('/chat', `${handshake}X-Own: 1\r\n`))
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
    const ended = await proxy.recorded(({ name, attributes }) => name === 'sallyport.exchange.ended' && attributes['http.response.status_code'] === 101)
    t.match(ended.attributes, { 'sallyport.outcome': 'completed', 'http.response.status_code': 101, 'sallyport.bytes_from_client': bytes.length, 'sallyport.bytes_from_origin': bytes.length })
  })

  t.test(`${leg.name}: of a WebSocket each side ends when it has sent all, and still hears the other`, async (t) => {
    const total = 2_000_000
    let heard = 0
    const { open, request, proxy } = await leg.startRaw(t, (socket) => {
      let isOpen = false
      socket.on('data', (chunk) => {
        if (isOpen) heard += chunk.length
        else socket.write(agreed)
        isOpen = true
      })
      // only when the client has ended does the origin begin
      socket.on('end', () => socket.end(Buffer.alloc(total, 'x')))
    })
    const client = await open()
    client.send(request('/chat', handshake))
    await client.until((received) => received.includes('\r\n\r\n'))
    const at = client.received.length
    client.socket.end(Buffer.alloc(total, 'y'))
    await once(client.socket, 'close')
    t.equal(client.received.length - at, total)
    t.equal(heard, total)
    const ended = await proxy.recorded(({ name, attributes }) => name === 'sallyport.exchange.ended' && attributes['http.response.status_code'] === 101)
    t.match(ended.attributes, { 'sallyport.outcome': 'completed', 'sallyport.bytes_from_client': total, 'sallyport.bytes_from_origin': total })
  })

  t.test(`${leg.name}: without the agreement of the origin no byte behind the handshake is relayed`, async (t) => {
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
        const { origin, open, request } = await startEcho(t, leg, answer)
        const client = await open()
        client.send(`${request('/chat', handshake)}EARLY-BYTES`)
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

  t.test(`${leg.name}: a handshake that is none is refused and not forwarded as one`, async (t) => {
    const { origin, open, say, request, denied } = await startEcho(t, leg, agreed)
    const bad: readonly string[] = [
      request('/', handshake, 'POST'),
      request('/', handshake.replace('13', '8')),
      request('/', handshake.replace(key, 'short')),
      request('/', `${handshake}Sec-WebSocket-Key: ${key}\r\n`),
      request('/', `${handshake}Content-Length: 5\r\n`, 'GET', 'hello'),
      request('/', `${handshake}Transfer-Encoding: chunked\r\n`, 'GET', '0\r\n\r\n'),
      request('/', `${handshake}Expect: 100-continue\r\n`),
      request('/', handshake).replace('Host: allowed.test', 'Host: other.test'),
    ]
    for (const bytes of bad) {
      const client = await open()
      client.send(bytes)
      const [first] = readAnswers(await client.closed())
      t.ok(first !== undefined && first.status >= 400 && first.status < 500, `${first?.status}`)
    }
    t.equal(origin.connections(), 0)
    t.match(await say(denied(handshake, 'GET', 'EARLY')), /^HTTP\/1\.1 403 /)
  })
}
