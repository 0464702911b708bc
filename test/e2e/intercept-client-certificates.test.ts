// Client certificates and TLS that ends here: an origin that requires one is a failed handshake with its cause, whenever
// its alert comes (in TLS 1.3 behind the handshake), and of our own clients none is ever asked for.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import tls from 'node:tls'
import t from 'tap'
import { listen } from '../egress/wire.ts'
import { testCertificates } from '../support/certificates.ts'
import { ask } from '../support/client-run.ts'
import { insideRequest, openInside } from '../support/inside.ts'
import { secureHost, startSecureProxy, startSecureWorld } from '../support/secure-world.ts'

const rules = { all: 'methods = ["GET", "POST"]' }
const openssl = ask('openssl', ['version'])
const skip = openssl === undefined ? 'no openssl' : false

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  for (const protocol of ['http/1.1', 'h2'] as const) {
    t.test(`${version}, ${protocol}: an origin that requires a client certificate is a failed handshake, each time, and no request of it`, async (t) => {
      const certificates = await testCertificates()
      let served = 0
      const server = tls.createServer({
        ...(await certificates.issue([secureHost])), minVersion: version, maxVersion: version, requestCert: true, rejectUnauthorized: true, ALPNProtocols: [protocol],
      }, () => (served += 1))
      server.on('tlsClientError', (_error, socket) => socket.destroy())
      const { port, close } = await listen(server)
      t.teardown(close)
      const world = await startSecureProxy(t, certificates, { port }, { rules })
      const client = await openInside(t, world.proxy, world.authority)
      const requests = [{}, { method: 'POST', body: 'some content' }, {}]
      for (const [at, request] of requests.entries()) {
        client.send(insideRequest(world.authority, `/${at}`, request))
        const refused = await client.next()
        t.equal(refused?.status, 502)
        t.match(JSON.parse(refused?.body ?? ''), { code: 'tls_handshake_failed', host: secureHost })
      }
      t.equal(served, 0)
      await world.proxy.recorded(() => world.proxy.records().filter(({ name, attributes }) => name === 'sallyport.exchange.ended' && attributes['sallyport.code'] === 'tls_handshake_failed').length === requests.length)
      t.strictSame(world.said(), ['GET /0 allowed', 'POST /1 allowed', 'GET /2 allowed'])
      t.notMatch(world.proxy.log.join('\n'), /internal/, 'no fault of ours')
    })
  }
}

/** What a client of openssl writes about a handshake with `place`; it leaves when its input ends. */
async function handshakeMessages(place: readonly string[], version: string): Promise<string> {
  const client = spawn('openssl', ['s_client', ...place, '-servername', secureHost, version, '-msg'], { stdio: ['pipe', 'pipe', 'pipe'] })
  let said = ''
  client.stderr.resume()
  client.stdout.setEncoding('latin1').on('data', (text: string) => {
    said += text
    if (said.includes('Verify return code')) client.stdin.end()
  })
  await once(client, 'close')
  return said
}

t.test('a client is asked for no certificate', { skip }, async (t) => {
  const world = await startSecureWorld(t, { rules })
  const asking = tls.createServer({ ...(await world.certificates.issue([secureHost])), requestCert: true, rejectUnauthorized: false })
  const { port, close } = await listen(asking)
  t.teardown(close)
  for (const version of ['-tls1_2', '-tls1_3']) {
    t.match(await handshakeMessages(['-connect', `127.0.0.1:${port}`], version), /CertificateRequest/, `${version}: a server that asks is seen to`)
    const said = await handshakeMessages(['-proxy', `127.0.0.1:${world.proxy.port}`, '-connect', world.authority], version)
    t.match(said, /ServerHello/, `${version}: ours shakes hands`)
    t.notMatch(said, /CertificateRequest/, `${version}: and does not ask`)
  }
})
