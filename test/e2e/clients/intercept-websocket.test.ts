// WebSockets inside TLS that ends at the proxy, with a client and a server of the `ws` package: every byte both ways,
// compressed or not, both ends of the connection, and nothing where no rule allows the upgrade.
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { testCertificates } from '../../support/certificates.ts'
import { effort } from '../../support/effort.ts'
import { secureTunnel } from '../../support/inside.ts'
import { secureHost, startSecureProxy, type SecureProxy } from '../../support/secure-world.ts'

const messages = effort(3_000, 10_000)
const mebibytes = effort(24, 64)
const half = (mebibytes / 2) * 1024 * 1024

const rules = { page: 'methods = ["GET"]', socket: 'upgrades = ["websocket"]\npaths = ["/echo"]' }

interface Sockets extends SecureProxy {
  readonly server: WebSocketServer
  connect(path?: string, options?: WebSocket.ClientOptions): Promise<WebSocket>
}

/** A server that echoes, with permessage-deflate where the client offers it. */
async function start(t: Test, given: Readonly<Record<string, string>> = rules): Promise<Sockets> {
  const certificates = await testCertificates()
  const tlsServer = https.createServer(await certificates.issue([secureHost]), (_request, response) => response.end('a page\n'))
  const server = new WebSocketServer({ server: tlsServer, perMessageDeflate: { threshold: 64 }, maxPayload: 128 * 1024 * 1024 })
  server.on('connection', (socket) => socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary })))
  tlsServer.listen(0, '127.0.0.1')
  await once(tlsServer, 'listening')
  t.teardown(() => {
    for (const client of server.clients) client.terminate()
    tlsServer.closeAllConnections()
    tlsServer.close()
  })
  const world = await startSecureProxy(t, certificates, tlsServer.address() as AddressInfo, { rules: given })
  const connect = async (path = '/echo', options: WebSocket.ClientOptions = {}): Promise<WebSocket> => {
    const secured = await secureTunnel(t, world.proxy, world.authority)
    const socket = new WebSocket(`wss://${world.authority}${path}`, { createConnection: () => secured, maxPayload: 128 * 1024 * 1024, ...options })
    t.teardown(() => socket.terminate())
    return socket
  }
  return { ...world, server, connect }
}

t.test(`${messages} messages come back as they went, compressed`, async (t) => {
  const { connect, proxy } = await start(t)
  const socket = await connect()
  await once(socket, 'open')
  t.match(socket.extensions, /permessage-deflate/)
  const sent = createHash('sha256')
  const received = createHash('sha256')
  const { promise: all, resolve } = Promise.withResolvers<void>()
  let count = 0
  socket.on('message', (data) => {
    received.update(data as Buffer)
    count += 1
    if (count === messages) resolve()
  })
  for (let at = 0; at < messages; at++) {
    const message = Buffer.from(`${at} ${'sallyport '.repeat(at % 40)}`)
    sent.update(message)
    socket.send(message)
  }
  await all
  t.equal(received.digest('hex'), sent.digest('hex'))
  socket.close(1000, 'enough')
  const [code, reason] = await once(socket, 'close')
  t.same([code, String(reason)], [1000, 'enough'])
  const ended = await proxy.recorded(({ name, attributes }) => name === 'sallyport.exchange.ended' && attributes['http.response.status_code'] === 101)
  t.match(ended.attributes, { 'sallyport.outcome': 'completed' })
  t.ok(Number(ended.attributes['sallyport.bytes_from_client']) > messages * 10)
})

for (const perMessageDeflate of [true, false]) {
  t.test(`a message of ${mebibytes} MiB comes back whole, ${perMessageDeflate ? 'compressed' : 'as it is'}`, async (t) => {
    const { connect } = await start(t)
    const socket = await connect('/echo', { perMessageDeflate })
    await once(socket, 'open')
    t.equal(/permessage-deflate/.test(socket.extensions), perMessageDeflate)
    // half of it can be compressed
    const message = Buffer.concat([randomBytes(half), Buffer.alloc(half, 'sallyport')])
    socket.send(message)
    const [data] = await once(socket, 'message')
    t.ok(message.equals(data as Buffer))
    socket.terminate()
  })
}

t.test('what the server ends the client hears, and the other way round, with code and reason', async (t) => {
  const { connect, server } = await start(t)
  const far = once(server, 'connection')
  const socket = await connect()
  const [peer] = (await far) as [WebSocket]
  peer.close(4001, 'the server has had enough')
  const [code, reason] = await once(socket, 'close')
  t.same([code, String(reason)], [4001, 'the server has had enough'])
  const next = once(server, 'connection')
  const other = await connect()
  const [otherPeer] = (await next) as [WebSocket]
  const closed = once(otherPeer, 'close')
  await once(other, 'open')
  other.close(4002, 'the client has had enough')
  const [otherCode, otherReason] = await closed
  t.same([otherCode, String(otherReason)], [4002, 'the client has had enough'])
})

t.test('a client that breaks off ends the connection of the origin, and the other way round', async (t) => {
  const { connect, server } = await start(t)
  for (const side of ['client', 'origin']) {
    const far = once(server, 'connection')
    const socket = await connect()
    await once(socket, 'open')
    const [peer] = (await far) as [WebSocket]
    const [breaks, hears] = side === 'client' ? [socket, peer] : [peer, socket]
    const closed = once(hears, 'close')
    breaks.terminate()
    t.equal((await closed)[0], 1006, side)
  }
})

t.test('without `upgrades` a WebSocket is refused, also where GET is allowed, and so is another path', async (t) => {
  for (const [given, path] of [[{ page: 'methods = ["GET"]' }, '/echo'], [rules, '/other']] as const) {
    const { connect, server, proxy } = await start(t, given)
    const socket = await connect(path)
    const [error] = await once(socket, 'error')
    t.match(error, { message: 'Unexpected server response: 403' })
    t.equal(server.clients.size, 0)
    const { attributes } = proxy.decisions().at(-1) ?? { attributes: {} }
    t.match(attributes, { 'network.policy.decision': 'deny', 'url.path': path })
  }
})

t.test('a WebSocket is closed when its rule goes away at a reload', async (t) => {
  const { connect, proxy, policyWith } = await start(t)
  const socket = await connect()
  await once(socket, 'open')
  socket.send('before')
  t.equal(String((await once(socket, 'message'))[0]), 'before')
  const closed = once(socket, 'close')
  socket.on('error', () => socket.terminate())
  writeFileSync(proxy.policyFile, policyWith({ rules: { page: 'methods = ["GET"]' } }))
  t.equal((await closed)[0], 1006)
  const ended = await proxy.recorded(({ name, attributes }) => name === 'sallyport.exchange.ended' && attributes['http.response.status_code'] === 101)
  t.match(ended.attributes, { 'sallyport.outcome': 'expired', 'sallyport.code': 'policy_changed' })
})
