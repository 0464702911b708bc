// What is wrong with an origin's TLS, as the client inside TLS that ended here hears it: the cause is in the 502 and in the
// journal, no byte of the request has left, and the connection of the client goes on.
import type net from 'node:net'
import { renameSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import tls from 'node:tls'
import t from 'tap'
import type { Settings } from '../../src/config/settings.ts'
import { listen } from '../egress/wire.ts'
import { testCertificates, usage, type Issued } from '../support/certificates.ts'
import { ask, codeOf, question } from '../support/fetch-world.ts'
import { insideRequest, openInside } from '../support/inside.ts'
import { startWith } from '../support/issued-sessions.ts'
import { tlsOrigin } from '../support/origins.ts'
import { startProxy } from '../support/proxy.ts'
import { secureHost, startSecureProxy } from '../support/secure-world.ts'

const rules = { read: 'methods = ["GET"]' }
// application data of 32 bytes that no key of theirs has made
const brokenRecord = Buffer.concat([Buffer.from('1703030020', 'hex'), Buffer.alloc(32, 7)])

t.test('a certificate that is refused is a 502 with its cause, recorded, and no request of the origin\'s', async (t) => {
  const certificates = await testCertificates()
  const cases: [code: string, issued: Pick<Issued, 'cert' | 'key'>][] = [
    ['tls_certificate_expired', await certificates.issue([secureHost], { fromHours: -3, untilHours: -2 })],
    ['tls_certificate_not_yet_valid', await certificates.issue([secureHost], { fromHours: 2 })],
    ['tls_certificate_untrusted', await certificates.selfSigned([secureHost])],
    ['tls_certificate_untrusted', await (await testCertificates('another root')).issue([secureHost])],
    ['tls_certificate_name', await certificates.issue(['elsewhere.test'])],
    ['tls_certificate_name', await certificates.issue([secureHost], { hasNames: false })],
    ['tls_certificate_invalid', await certificates.issue([secureHost], { usages: [usage.clientAuth] })],
    ['tls_certificate_invalid', await certificates.issue([secureHost], { hasUnknownCritical: true })],
    ['tls_certificate_invalid', await certificates.issue([secureHost], { isCa: true })],
    ['tls_certificate_weak', await certificates.issue([secureHost], { key: 'RSA-1024' })],
  ]
  for (const [code, issued] of cases) {
    let heard = 0
    const server = tls.createServer({ cert: issued.cert, key: issued.key, ciphers: 'DEFAULT@SECLEVEL=0' }, (socket) => {
      socket.on('error', () => socket.destroy())
      socket.on('data', (chunk) => (heard += chunk.length))
    })
    server.on('tlsClientError', (_error, socket) => socket.destroy())
    const { port, close } = await listen(server)
    t.teardown(close)
    const { proxy, authority } = await startSecureProxy(t, certificates, { port }, { rules })
    const client = await openInside(t, proxy, authority)
    for (const path of ['/1', '/2']) {
      client.send(insideRequest(authority, path))
      const refused = await client.next()
      t.equal(refused?.status, 502)
      t.match(JSON.parse(refused?.body ?? ''), { code, host: secureHost })
    }
    t.equal(heard, 0, 'nothing was said to it')
    await proxy.recorded(() => proxy.records().filter(({ name, attributes }) => name === 'sallyport.exchange.ended' && attributes['sallyport.code'] === code).length === 2)
  }
})

t.test('records of an origin that cannot be read are its fault, before its answer and within it', async (t) => {
  const certificates = await testCertificates()
  let carrier: net.Socket | undefined
  const server = tls.createServer(await certificates.issue([secureHost]), (socket) => {
    socket.on('error', () => socket.destroy())
    socket.once('data', (request) => {
      if (String(request).startsWith('GET /before ')) carrier?.write(brokenRecord)
      else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes.', () => carrier?.write(brokenRecord))
    })
  })
  server.on('connection', (socket) => (carrier = socket))
  const { port, close } = await listen(server)
  t.teardown(close)
  const { proxy, authority } = await startSecureProxy(t, certificates, { port }, { rules })
  const client = await openInside(t, proxy, authority)
  client.send(insideRequest(authority, '/before'))
  const refused = await client.next()
  t.equal(refused?.status, 502)
  t.match(JSON.parse(refused?.body ?? ''), { code: 'origin_protocol_error' })
  client.send(insideRequest(authority, '/within'))
  t.match(await client.closed(), /^HTTP\/1\.1 200 OK\r\n[^]*ten bytes\.$/, 'what came is cut off, not ended')
  t.match(await proxy.recorded(({ attributes }) => attributes['sallyport.code'] === 'origin_incomplete'), { name: 'sallyport.exchange.ended' })
})

t.test('a revoked certificate is a 502 inside TLS and at the fetch service, from the moment that a list names it, on kept-alive connections too', async (t) => {
  const certificates = await testCertificates()
  const dir = await mkdtemp(join(tmpdir(), 'sallyport-lists-'))
  t.teardown(() => rm(dir, { recursive: true }))
  const list = join(dir, 'root.crl')
  writeFileSync(list, await certificates.revoke([]))
  const issued = await certificates.issue([secureHost])
  const origin = await tlsOrigin(t, [secureHost], { ...certificates, issue: async () => issued })
  const change = (settings: Settings): Settings => ({ ...settings, originTls: { crlFiles: [list], crlDir: undefined } })
  const { proxy, authority } = await startSecureProxy(t, certificates, origin, { rules, change })
  const client = await openInside(t, proxy, authority)
  for (const path of ['/1', '/2']) {
    client.send(insideRequest(authority, path))
    t.equal((await client.next())?.status, 200)
  }
  t.equal(origin.connections(), 1, 'it is kept alive')
  writeFileSync(`${list}.new`, await certificates.revoke([issued.serial]))
  renameSync(`${list}.new`, list)
  while (!proxy.log.some((line) => line.startsWith('other revocation lists are in force'))) await delay(20)
  client.send(insideRequest(authority, '/3'))
  const refused = await client.next()
  t.equal(refused?.status, 502)
  t.match(JSON.parse(refused?.body ?? ''), { code: 'tls_certificate_revoked', host: secureHost })
  t.notMatch(refused?.body, dir, 'where the list is does not concern the client')
  t.same(origin.requests.map(({ url }) => url), ['/1', '/2'])
  await proxy.recorded(({ name, attributes }) => name === 'sallyport.exchange.ended' && attributes['sallyport.code'] === 'tls_certificate_revoked')

  const { proxy: fetching, sessions: [session] } = await startWith(t, [{}], {
    policy: `[network]\nunknown = "deny"\n[[network.rules]]\nid = "site"\nhosts = ["${authority}"]\nlocal = ["127.0.0.1/32"]\norigin_ca = ["roots.pem"]\nverdict = "allow"\n`,
    policies: { 'roots.pem': certificates.ca }, hosts: { [secureHost]: '127.0.0.1' }, change,
  })
  const answer = await ask(fetching, question(`https://${authority}/4`), `Proxy-Authorization: ${session?.field}\r\n`)
  t.equal(answer.status, 502)
  t.equal(codeOf(answer), 'tls_certificate_revoked')
  t.same(origin.requests.map(({ url }) => url), ['/1', '/2'])

  await t.rejects(startProxy(t, { change: (settings) => ({ ...settings, originTls: { crlFiles: [], crlDir: join(dir, 'gone') } }) }), /revocation lists cannot be used: .*gone`: ENOENT.*origin_tls/)
})
