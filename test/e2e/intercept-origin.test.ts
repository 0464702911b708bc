// What is inside TLS that ended here, on its way to an origin: decided, forwarded over TLS of our own, and answered.
import t, { type Test } from 'tap'
import { testCertificates } from '../support/certificates.ts'
import { insideRequest, openInside } from '../support/inside.ts'
import { tlsOrigin, type HttpOrigin } from '../support/origins.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'
import { openTunnel } from '../support/raw-client.ts'
import type http from 'node:http'

interface World {
  readonly proxy: TestProxy
  readonly origin: HttpOrigin
  readonly authority: string
}

async function start(t: Test, rule: string, answer?: http.RequestListener): Promise<World> {
  const certificates = await testCertificates()
  const origin = await tlsOrigin(t, ['api.test'], certificates, answer)
  const authority = `api.test:${origin.port}`
  const policy = `[network]\n[[network.rules]]\nid = "read"\nhosts = ["${authority}"]\nlocal = ["127.0.0.1/32"]\nverdict = "allow"\norigin_ca = ["roots.pem"]\n${rule}`
  const proxy = await startProxy(t, { policy, hosts: { 'api.test': '127.0.0.1' }, policies: { 'roots.pem': certificates.ca } })
  await openTunnel(proxy.port, authority)
  return { proxy, origin, authority }
}

t.test('an allowed request inside reaches the origin over TLS, a refused one does not', async (t) => {
  const { proxy, origin, authority } = await start(t, 'methods = ["GET"]\npaths = ["/open/**"]\n')
  const client = await openInside(t, proxy, authority)
  client.send(insideRequest(authority, '/open/it?a=b'))
  t.match(await client.next(), { status: 200, body: 'GET /open/it?a=b\n' })
  client.send(insideRequest(authority, '/closed'))
  t.match(await client.next(), { status: 403 })
  client.send(insideRequest(authority, '/open/more'))
  t.match(await client.next(), { status: 200, body: 'GET /open/more\n' })
  t.same(origin.requests.map(({ url }) => url), ['/open/it?a=b', '/open/more'])
})
