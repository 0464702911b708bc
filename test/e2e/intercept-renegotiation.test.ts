// Who has shaken hands does it once: neither a client inside TLS that ends here nor an origin has a second handshake,
// which costs a signature each time and might end with another certificate than the one that was judged.
import { once } from 'node:events'
import tls from 'node:tls'
import t, { type Test } from 'tap'
import { listen } from '../egress/wire.ts'
import { testCertificates } from '../support/certificates.ts'
import { insideRequest, openInside, rootOf } from '../support/inside.ts'
import { openTunnel } from '../support/raw-client.ts'
import { rawTlsOrigin } from '../support/origins.ts'
import { secureHost, startSecureProxy, startSecureWorld, type SecureWorld } from '../support/secure-world.ts'
import { WireClient } from '../support/wire-client.ts'

const rules = { read: 'methods = ["GET"]' }
const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

interface Secured {
  readonly client: WireClient
  readonly secured: tls.TLSSocket
  /** writes below TLS */
  readonly carrier: Awaited<ReturnType<typeof openTunnel>>['socket']
}

async function secure(t: Test, { proxy, authority }: SecureWorld, maxVersion: tls.SecureVersion): Promise<Secured> {
  const { socket: carrier } = await openTunnel(proxy.port, authority)
  t.teardown(() => carrier.destroy())
  const secured = tls.connect({ socket: carrier, ca: rootOf(proxy), servername: secureHost, maxVersion, ALPNProtocols: ['http/1.1'] })
  const client = WireClient.over(secured, carrier)
  await once(secured, 'secureConnect')
  return { client, secured, carrier }
}

t.test('a client that shakes hands again is cut, and what it says then is no request', async (t) => {
  for (const isUsed of [false, true]) {
    const world = await startSecureWorld(t, { rules })
    const { client, secured } = await secure(t, world, 'TLSv1.2')
    if (isUsed) {
      client.send(insideRequest(world.authority, '/first'))
      t.match(await client.next(), { status: 200 })
    }
    let hasRenegotiated = false
    secured.renegotiate({}, (error) => {
      hasRenegotiated = error === null
      client.send(insideRequest(world.authority, '/second'))
    })
    await client.closed()
    t.notOk(hasRenegotiated, isUsed ? 'behind a request' : 'before any')
    t.strictSame(world.said(), isUsed ? ['GET /first allowed'] : [])
    t.equal(world.origin.requests.length, isUsed ? 1 : 0)
    await world.proxy.recorded(({ name, attributes }) => name === 'sallyport.exchange.ended' && attributes['http.request.method'] === 'none')
    const other = await openInside(t, world.proxy, world.authority)
    other.send(insideRequest(world.authority, '/other'))
    t.match(await other.next(), { status: 200 }, 'others are served')
  }
})

t.test('a client whose records cannot be read any more is cut', async (t) => {
  const world = await startSecureWorld(t, { rules })
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const { client, carrier } = await secure(t, world, version)
    client.send(insideRequest(world.authority, `/${version}`))
    t.match(await client.next(), { status: 200 }, version)
    // application data of 32 bytes that no key of theirs has made
    carrier.write(Buffer.concat([Buffer.from('1703030020', 'hex'), Buffer.alloc(32, 7)]))
    await client.closed()
    t.pass(`${version}: cut`)
  }
  t.strictSame(world.said(), ['GET /TLSv1.2 allowed', 'GET /TLSv1.3 allowed'])
})

t.test('an origin that asks for another handshake gets none, and is a failed handshake when it insists', async (t) => {
  const certificates = await testCertificates()
  const issued = await certificates.issue([secureHost])
  const faults: string[] = []
  const server = tls.createServer({ ...issued, maxVersion: 'TLSv1.2' }, (socket) => {
    socket.on('error', (error) => {
      faults.push(String(Reflect.get(error, 'code')))
      socket.destroy()
    })
    socket.once('data', () => socket.renegotiate({ requestCert: false }, (error) => {
      if (error === null) socket.end(answer)
    }))
  })
  const { port, close } = await listen(server)
  t.teardown(close)
  const world = await startSecureProxy(t, certificates, { port }, { rules })
  const client = await openInside(t, world.proxy, world.authority)
  client.send(insideRequest(world.authority, '/'))
  const refused = await client.next()
  t.match(refused, { status: 502 })
  t.match(JSON.parse(refused?.body ?? ''), { code: 'tls_handshake_failed', host: secureHost })
  t.strictSame(faults, ['ERR_SSL_NO_RENEGOTIATION'], 'as the origin sees it')
  const { attributes } = await world.proxy.recorded(({ name, attributes: each }) => name === 'sallyport.exchange.ended' && each['http.request.method'] === 'GET')
  t.match(attributes, { 'sallyport.outcome': 'failed', 'sallyport.code': 'tls_handshake_failed' })
})

t.test('an origin that answers before it asks is heard, and its connection is not used again', async (t) => {
  const certificates = await testCertificates()
  let connections = 0
  const origin = await rawTlsOrigin(t, [secureHost], certificates, (socket) => {
    connections += 1
    socket.once('data', () => {
      socket.write(answer)
      if (socket instanceof tls.TLSSocket && socket.getProtocol() === 'TLSv1.2') socket.renegotiate({ requestCert: false }, () => {})
    })
  }, { maxVersion: 'TLSv1.2' })
  const world = await startSecureProxy(t, certificates, origin, { rules })
  const client = await openInside(t, world.proxy, world.authority)
  for (const path of ['/1', '/2', '/3']) {
    client.send(insideRequest(world.authority, path))
    t.match(await client.next(), { status: 200, body: 'ok' }, path)
  }
  t.ok(connections >= 2, `${connections} connections`)
})
