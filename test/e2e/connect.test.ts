// CONNECT from end to end: what is decided, what the client sees, what the origin gets.
import { once } from 'node:events'
import tls from 'node:tls'
import t from 'tap'
import { rawOrigin, tlsOrigin } from '../support/origins.ts'
import { startProxy } from '../support/proxy.ts'
import { openTunnel, rawExchange } from '../support/raw-client.ts'

function policyFor(port: number, more = ''): string {
  return `[network]
unknown = "deny"
denied_domains = ["denied.test"]
${more}
[[network.rules]]
id = "origin"
hosts = ["allowed.test:${port}", "other.test:${port}"]
local = ["127.0.0.1/32"]
verdict = "allow"
`
}

const hosts = { 'allowed.test': '127.0.0.1', 'other.test': '127.0.0.1', 'denied.test': '127.0.0.1' }

async function tlsThrough(port: number, authority: string, servername: string, ca: string): Promise<tls.TLSSocket> {
  const { socket, head } = await openTunnel(port, authority)
  if (!head.startsWith('HTTP/1.1 200')) throw new Error(head)
  const secure = tls.connect({ socket, servername, ca })
  await once(secure, 'secureConnect')
  return secure
}

t.test('an allowed host is reached through an opaque tunnel, and the journal says so', async (t) => {
  const origin = await tlsOrigin(t, ['allowed.test'])
  const proxy = await startProxy(t, { policy: policyFor(origin.port), hosts })
  const secure = await tlsThrough(proxy.port, `allowed.test:${origin.port}`, 'allowed.test', origin.ca)
  secure.end('GET /x HTTP/1.1\r\nHost: allowed.test\r\nConnection: close\r\n\r\n')
  let answer = ''
  for await (const chunk of secure) answer += String(chunk)
  t.match(answer, /GET \/x/)
  const ended = await proxy.recorded((record) => record.name === 'sallyport.exchange.ended')
  t.match(ended.attributes, { 'sallyport.outcome': 'completed', 'network.peer.address': '127.0.0.1', 'server.address': 'allowed.test' })
  t.ok(Number(ended.attributes['sallyport.bytes_from_origin']) > 100)
  const [decision, ...more] = proxy.decisions()
  t.equal(more.length, 0)
  t.match(decision?.attributes, { 'network.policy.decision': 'allow', 'security_rule.name': 'origin', 'sallyport.stage': 'policy' })
})

t.test('a denied host is refused with the reason, and nothing is dialled', async (t) => {
  const origin = await tlsOrigin(t, ['denied.test'])
  const proxy = await startProxy(t, { policy: policyFor(origin.port), hosts })
  const answer = await rawExchange(proxy.port, 'CONNECT denied.test:443 HTTP/1.1\r\nHost: denied.test:443\r\n\r\n')
  t.match(answer, /^HTTP\/1\.1 403 Denied by policy: denied\.test is on the denied list \(req [0-9A-Z]{26}\)\r\n/)
  t.equal(origin.connections(), 0)
  t.equal(proxy.decisions().length, 1)
})

t.test('a TLS hello for another name than the CONNECT host closes the tunnel before a byte is relayed', async (t) => {
  let bytes = 0
  const origin = await rawOrigin(t, (socket) => socket.on('data', (chunk) => (bytes += chunk.length)))
  const proxy = await startProxy(t, { policy: policyFor(origin.port), hosts })
  const error = await tlsThrough(proxy.port, `allowed.test:${origin.port}`, 'other.test', '').then(() => undefined, (reason: unknown) => reason)
  t.match(String(error), /unrecognized name|alert/)
  const decision = await proxy.recorded((record) => record.attributes['sallyport.stage'] === 'tls')
  t.match(decision.attributes, { 'sallyport.code': 'name_mismatch', 'network.policy.decision': 'deny' })
  t.equal(bytes, 0)
})

t.test('what is not TLS is refused inside the tunnel, and plain HTTP gets an answer it can read', async (t) => {
  let bytes = 0
  const origin = await rawOrigin(t, (socket) => socket.on('data', (chunk) => (bytes += chunk.length)))
  const proxy = await startProxy(t, { policy: policyFor(origin.port), hosts })
  for (const [name = '', first = ''] of [['ssh', 'SSH-2.0-x\r\n'], ['http', 'GET / HTTP/1.1\r\nHost: allowed.test\r\n\r\n'], ['smtp', 'EHLO x\r\n'], ['h2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n']]) {
    const { socket } = await openTunnel(proxy.port, `allowed.test:${origin.port}`)
    socket.resume()
    let answer = ''
    socket.on('data', (chunk) => (answer += String(chunk)))
    socket.end(first)
    await once(socket, 'close')
    if (name === 'http') t.match(answer, /^HTTP\/1\.1 403 .*not_tls|"code":"not_tls"/s)
  }
  t.equal(bytes, 0)
  t.equal(proxy.decisions().filter((record) => record.attributes['sallyport.code'] === 'not_tls').length, 4)
})

t.test('plain HTTP inside a tunnel to port 80 is decided request by request', async (t) => {
  const proxy = await startProxy(t, {
    policy: '[network]\nunknown = "deny"\n[[network.rules]]\nid = "read"\nhosts = ["plain.test"]\nmethods = ["GET"]\nverdict = "allow"\n',
    hosts: { 'plain.test': '127.0.0.1' },
  })
  const { socket, head } = await openTunnel(proxy.port, 'plain.test:80')
  t.match(head, /^HTTP\/1\.1 200/)
  let received = ''
  socket.on('data', (chunk) => (received += String(chunk)))
  socket.once('end', () => socket.end())
  socket.resume()
  socket.write('POST / HTTP/1.1\r\nHost: plain.test\r\nContent-Length: 0\r\n\r\n')
  socket.write('GET / HTTP/1.1\r\nHost: elsewhere.test\r\n\r\n')
  await once(socket, 'close')
  t.match(received, /^HTTP\/1\.1 403 [^]*"code":"request_not_allowed"[^]*HTTP\/1\.1 421 [^]*"code":"misdirected"/)
  t.strictSame(proxy.decisions().map((record) => record.attributes['sallyport.code'] ?? 'allowed'), ['allowed', 'request_not_allowed', 'misdirected'])
})

t.test('a destination that refuses the connection is a 502 that says so, never policy', async (t) => {
  const proxy = await startProxy(t, { policy: policyFor(9), hosts })
  const answer = await rawExchange(proxy.port, 'CONNECT allowed.test:9 HTTP/1.1\r\nHost: allowed.test:9\r\n\r\n')
  t.match(answer, /^HTTP\/1\.1 502 Destination failed: allowed\.test:9: the destination refused the connection/)
  t.match(answer, /proxy-status: sallyport; error=connection_refused/i)
})

t.test('bytes sent behind the CONNECT head reach the origin first, and a half-close passes', async (t) => {
  const origin = await tlsOrigin(t, ['allowed.test'])
  const proxy = await startProxy(t, { policy: policyFor(origin.port), hosts })
  const secure = await tlsThrough(proxy.port, `allowed.test:${origin.port}`, 'allowed.test', origin.ca)
  secure.write('GET /a HTTP/1.1\r\nHost: allowed.test\r\n\r\nGET /b HTTP/1.1\r\nHost: allowed.test\r\nConnection: close\r\n\r\n')
  let answer = ''
  for await (const chunk of secure) answer += String(chunk)
  t.match(answer, /GET \/a[^]*GET \/b/)
})
