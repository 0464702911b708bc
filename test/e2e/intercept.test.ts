// TLS that ends in the proxy, because a rule looks inside the requests of the host: who is let in, under which
// name, and that every request inside is judged by itself. What reaches origins is in intercept-origin.test.ts.
import { once } from 'node:events'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import tls from 'node:tls'
import t, { type Test } from 'tap'
import { fetch, ProxyAgent } from 'undici'
import { alpn, hello, serverNames } from '../ingress/hello-bytes.ts'
import { insideRequest, openInside, rootOf, secureTunnel } from '../support/inside.ts'
import { startProxy, type JournalRecord, type TestProxy, type TestProxyOptions } from '../support/proxy.ts'
import { openTunnel, rawExchange } from '../support/raw-client.ts'
import { WireClient } from '../support/wire-client.ts'

const policy = `[network]
allow_local_binding = true
unknown = "deny"
denied_domains = ["denied.test"]
never_intercept = ["opaque.test"]

[[network.rules]]
id = "read"
hosts = ["api.test", "api.test:8443", "127.0.0.1"]
methods = ["GET"]
paths = ["/open"]
verdict = "allow"
`
const hosts = { 'api.test': '127.0.0.1', 'opaque.test': '127.0.0.1' }

function start(t: Test, options: TestProxyOptions = {}): Promise<TestProxy> {
  return startProxy(t, { policy, hosts, ...options })
}

t.test('TLS ends here under the name of the CONNECT host, and each request inside is judged', async (t) => {
  const proxy = await start(t)
  await openTunnel(proxy.port, 'api.test:443')
  const secured = await secureTunnel(t, proxy, 'api.test:443')
  t.equal(secured.authorized, true)
  t.match(secured.getPeerX509Certificate()?.subjectAltName, /^DNS:api\.test$/)
  t.equal(secured.alpnProtocol, 'http/1.1')
  const client = WireClient.over(secured)
  for (const path of ['/closed', '/closed?a=b']) {
    client.send(insideRequest('api.test', path))
    const answer = await client.next()
    t.equal(answer?.status, 403)
    t.match(JSON.parse(answer?.body ?? ''), { code: 'request_not_allowed', host: 'api.test', rule: 'read' })
  }
  client.socket.end()
  await proxy.recorded(({ name, attributes }) => name === 'sallyport.exchange.ended' && attributes['http.request.method'] === 'none' && attributes['sallyport.outcome'] === 'completed')
  const said = proxy.decisions().map(({ attributes }) => [attributes['http.request.method'], attributes['url.path'], attributes['sallyport.code']])
  t.same(said.slice(-3), [['none', undefined, 'allowed'], ['GET', '/closed', 'request_not_allowed'], ['GET', '/closed', 'request_not_allowed']])
})

t.test('nothing is resolved or dialled for the CONNECT itself', async (t) => {
  const proxy = await start(t, { hosts: {} })
  await openTunnel(proxy.port, 'api.test:443')
  const client = await openInside(t, proxy, 'api.test:443')
  client.send(insideRequest('api.test', '/closed'))
  t.equal((await client.next())?.status, 403, 'a name that does not exist is answered by the policy')
})

t.test('Host is the CONNECT authority on request 1, 2 and 50, or 421 and the end of the connection', async (t) => {
  const proxy = await start(t)
  await openTunnel(proxy.port, 'api.test:443')
  for (const nth of [1, 2, 50]) {
    for (const wrong of ['evil.test', 'api.test:8443', '127.0.0.1']) {
      const client = await openInside(t, proxy, 'api.test:443')
      for (let at = 1; at < nth; at += 1) {
        client.send(insideRequest('api.test', '/closed'))
        t.equal((await client.next())?.status, 403)
      }
      client.send(insideRequest(wrong, '/open'))
      const answer = await client.next()
      t.match(answer, { status: 421 }, `${wrong} on request ${nth}`)
      t.equal(JSON.parse(answer?.body ?? '').code, 'misdirected')
      client.send(insideRequest('api.test', '/open'))
      await client.closed()
      t.equal(await client.next(), undefined, 'nothing more is served')
    }
  }
  const client = await openInside(t, proxy, 'api.test:443')
  client.send(insideRequest('API.test:443', '/closed'))
  t.equal((await client.next())?.status, 403, 'another spelling of the same authority is the same')
})

t.test('what came inside TLS is asked for over TLS: a target that names http is misdirected', async (t) => {
  const proxy = await start(t)
  await openTunnel(proxy.port, 'api.test:443')
  const client = await openInside(t, proxy, 'api.test:443')
  client.send(insideRequest('api.test', 'http://api.test:443/open'))
  t.match(await client.next(), { status: 421 })
  t.same(proxy.decisions().map(({ attributes }) => attributes['sallyport.code']).slice(-1), ['misdirected'])
})

t.test('the port of the CONNECT is part of the authority inside', async (t) => {
  const proxy = await start(t)
  await openTunnel(proxy.port, 'api.test:8443')
  const client = await openInside(t, proxy, 'api.test:8443')
  client.send(insideRequest('api.test:8443', '/closed'))
  t.equal((await client.next())?.status, 403)
  client.send(insideRequest('api.test', '/closed'))
  t.equal((await client.next())?.status, 421)
})

t.test('a hello that names no server is TLS for the CONNECT host, one that names another is refused', async (t) => {
  const proxy = await start(t)
  await openTunnel(proxy.port, 'api.test:443')
  const unnamed = await openInside(t, proxy, 'api.test:443', { servername: '' })
  unnamed.send(insideRequest('api.test', '/closed'))
  t.equal((await unnamed.next())?.status, 403)
  await t.rejects(openInside(t, proxy, 'api.test:443', { servername: 'evil.test' }))
  await proxy.recorded(({ attributes }) => attributes['sallyport.code'] === 'name_mismatch' && attributes['sallyport.outcome'] === 'refused')
})

t.test('an address has a leaf of its own', async (t) => {
  const proxy = await start(t)
  await openTunnel(proxy.port, '127.0.0.1:443')
  const secured = await secureTunnel(t, proxy, '127.0.0.1:443')
  t.equal(secured.getPeerX509Certificate()?.subjectAltName, 'IP Address:127.0.0.1')
})

t.test('what is not TLS is refused and never relayed: plain HTTP, a nested CONNECT, noise', async (t) => {
  const proxy = await start(t)
  const connect = 'CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n'
  t.match(await rawExchange(proxy.port, `${connect}GET /open HTTP/1.1\r\nHost: api.test\r\n\r\n`), /^HTTP\/1\.1 200 .*\r\n\r\nHTTP\/1\.1 403 .*not_tls/s)
  t.match(await rawExchange(proxy.port, `${connect}CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n`), /not_tls/)
  t.equal(await rawExchange(proxy.port, `${connect}\u0000\u0001noise\r\n`), 'HTTP/1.1 200 Connection established\r\n\r\n')
  t.equal(await rawExchange(proxy.port, Buffer.concat([Buffer.from(connect), Buffer.from(hello(serverNames({ name: 'api.test' }), alpn('h3'))).fill(0xff, 60)]), (received) => received.length > 60) !== '', true)
})

t.test('a CONNECT inside TLS is refused as a method', async (t) => {
  const proxy = await start(t)
  await openTunnel(proxy.port, 'api.test:443')
  const client = await openInside(t, proxy, 'api.test:443')
  client.send('CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n')
  t.equal((await client.next())?.status, 405)
})

t.test('a client that does not trust the root is a failed exchange, with its cause', async (t) => {
  const proxy = await start(t, { change: (settings) => ({ ...settings, limits: { ...settings.limits, headersTimeoutMs: 500 } }) })
  const failed = ({ attributes }: JournalRecord): boolean => attributes['sallyport.outcome'] === 'failed' && attributes['sallyport.code'] === 'client_handshake_failed'
  await t.rejects(fetch('https://api.test/', { dispatcher: new ProxyAgent(proxy.url) }), 'a client that leaves its connection as it is')
  await proxy.recorded(failed)
  const { socket } = await openTunnel(proxy.port, 'api.test:443')
  const secured = tls.connect({ socket, servername: 'api.test', maxVersion: 'TLSv1.2' })
  await new Promise((resolve) => secured.once('error', resolve))
  socket.resetAndDestroy()
  t.equal(proxy.records().filter(failed).length > 0, true)
  await proxy.recorded((record) => failed(record) && proxy.records().filter(failed).length === 2)
})

t.test('hosts that are denied, and hosts that are never intercepted, are as they were', async (t) => {
  const proxy = await start(t)
  t.match((await rawExchange(proxy.port, 'CONNECT denied.test:443 HTTP/1.1\r\nHost: denied.test:443\r\n\r\n')), /^HTTP\/1\.1 403 /)
  t.match((await rawExchange(proxy.port, 'CONNECT opaque.test:443 HTTP/1.1\r\nHost: opaque.test:443\r\n\r\n')), /^HTTP\/1\.1 403 /)
})

t.test('a change of the rules acts on the next request of an open connection', async (t) => {
  const proxy = await start(t)
  await openTunnel(proxy.port, 'api.test:443')
  const client = await openInside(t, proxy, 'api.test:443')
  client.send(insideRequest('api.test', '/later'))
  t.equal(JSON.parse((await client.next())?.body ?? '').code, 'request_not_allowed')
  writeFileSync(proxy.policyFile, policy.replace('"/open"', '"/other"').replace('id = "read"', 'id = "second"'))
  await proxy.recorded(({ name, attributes }) => name === 'sallyport.policy.loaded' && attributes['sallyport.policy.previous_revision'] !== undefined)
  client.send(insideRequest('api.test', '/later'))
  t.equal(JSON.parse((await client.next())?.body ?? '').rule, 'second')
})

t.test('a new deny of the host closes the connection, and what is inside with it', async (t) => {
  const proxy = await start(t)
  await openTunnel(proxy.port, 'api.test:443')
  const client = await openInside(t, proxy, 'api.test:443')
  writeFileSync(proxy.policyFile, policy.replace('"denied.test"', '"denied.test", "api.test"'))
  await client.closed()
  await proxy.recorded(({ attributes }) => attributes['sallyport.outcome'] === 'expired' && attributes['sallyport.code'] === 'policy_changed')
  t.ok(client.isClosed)
})

t.test('a root that cannot be used is a refusal before the 200, and says what to do', async (t) => {
  const proxy = await start(t)
  mkdirSync(join(proxy.dir, 'certs'), { recursive: true })
  writeFileSync(join(proxy.dir, 'certs', 'root.pem'), 'no certificate\n')
  writeFileSync(join(proxy.dir, 'certs', 'root-key.pem'), 'no key\n')
  chmodSync(join(proxy.dir, 'certs', 'root-key.pem'), 0o600)
  const answer = await rawExchange(proxy.port, 'CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n')
  t.match(answer, /^HTTP\/1\.1 503 /)
  t.match(answer, /"code":"ca_unavailable"/)
  t.match(proxy.decisions().at(-1)?.attributes, { 'sallyport.code': 'ca_unavailable', 'sallyport.stage': 'tls' })
  t.equal(rootOf(proxy), 'no certificate\n', 'and nothing is written over it')
})

t.test('a host that the root may not sign for is refused with that reason, and with what mends it', async (t) => {
  const named = '[network]\nunknown = "deny"\n[[network.rules]]\nid = "read"\nhosts = ["api.test"]\nlocal = ["127.0.0.1/32"]\nmethods = ["GET"]\nverdict = "allow"\n'
  const proxy = await start(t, { policy: named, hosts: { ...hosts, 'other.test': '127.0.0.1' } })
  await openTunnel(proxy.port, 'api.test:443')
  writeFileSync(proxy.policyFile, named.replace('"api.test"', '"api.test", "other.test"'))
  await proxy.recorded(({ name, attributes }) => name === 'sallyport.policy.loaded' && attributes['sallyport.policy.previous_revision'] !== undefined)
  const answer = await rawExchange(proxy.port, 'CONNECT other.test:443 HTTP/1.1\r\nHost: other.test:443\r\n\r\n')
  t.match(answer, /^HTTP\/1\.1 503 [^]*"code":"ca_unavailable"/)
  const reason = proxy.decisions().at(-1)?.attributes['sallyport.reason']
  t.equal(reason, 'the certificate authority that looking inside TLS needs is not usable: the root may not sign for other.test: `sallyport ca rotate`')
  t.ok(answer.includes('the root may not sign for other.test'))
})

t.test('a client that says nothing inside TLS is let go', async (t) => {
  const proxy = await start(t, { change: (settings) => ({ ...settings, limits: { ...settings.limits, headersTimeoutMs: 300, keepAliveTimeoutMs: 300 } }) })
  await openTunnel(proxy.port, 'api.test:443')
  const silent = await openInside(t, proxy, 'api.test:443')
  const slow = await openInside(t, proxy, 'api.test:443')
  slow.send('GET /open HTTP/1.1\r\nHost: api.te')
  t.match(await slow.closed(), /^HTTP\/1\.1 408 /)
  await silent.closed()
  const { socket } = await openTunnel(proxy.port, 'api.test:443')
  socket.on('end', () => socket.end())
  socket.resume()
  socket.write(hello(serverNames({ name: 'api.test' })))
  await once(socket, 'close')
  t.pass('and one that does not finish its handshake')
})

t.test('a client that leaves within the handshake is let go at once, long before the time that a head may take', async (t) => {
  const proxy = await start(t, { change: (settings) => ({ ...settings, limits: { ...settings.limits, headersTimeoutMs: 3_600_000 } }) })
  const { socket } = await openTunnel(proxy.port, 'api.test:443')
  const secured = tls.connect({ socket, servername: 'api.test', rejectUnauthorized: false })
  // the client's last flight of the handshake is not on the wire yet
  secured.once('secureConnect', () => secured.destroy())
  const { attributes } = await proxy.recorded(({ name }) => name === 'sallyport.exchange.ended')
  t.equal(attributes['sallyport.outcome'], 'failed')
  t.equal(attributes['sallyport.code'], 'client_handshake_failed')
})
