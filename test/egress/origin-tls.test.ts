import net from 'node:net'
import tls from 'node:tls'
import t from 'tap'
import { Abandonment } from '../../src/egress/abandonment.ts'
import type { Alpn } from '../../src/egress/origin-tls.ts'
import { isNoCommonProtocol } from '../../src/egress/tls-faults.ts'
import type { OriginTrust } from '../../src/policy/decision.ts'
import { parseHost } from '../../src/target/host.ts'
import { signsCertificates, testCertificates, usage, type Issued } from '../support/certificates.ts'
import { closed, tlsPlace, tlsServer, trusted, type TlsPlace } from './tls-origin.ts'
import { connectTo, listen, readUntil } from './wire.ts'

const http1: Alpn = ['http/1.1']
const place = await tlsPlace()
const { certificates } = place
const other = await testCertificates('somebody else')

async function start(port: number, over: { host?: string; trust?: OriginTrust | undefined; alpn?: Alpn; timeoutMs?: number; at?: TlsPlace } = {}): Promise<tls.TLSSocket> {
  const socket = await connectTo(port)
  const { host = 'origin.test', at = place, alpn = http1, timeoutMs = 10_000 } = over
  return at.tls.start(socket, { host: parseHost(host), alpn, trust: 'trust' in over ? over.trust : trusted, timeoutMs })
}

async function tell(promise: Promise<tls.TLSSocket>): Promise<{ readonly code: string; readonly detail: string }> {
  return promise.then((socket) => {
    socket.destroy()
    return { code: 'taken', detail: '' }
  }, (error: Error & { code?: string; detail?: string }) => ({ code: error.code ?? error.message, detail: error.detail ?? '' }))
}

const sound: [name: string, host: string, issued: Pick<Issued, 'cert' | 'key'>, sni: string | false][] = [
  ['its name', 'origin.test', await certificates.issue(['origin.test']), 'origin.test'],
  ['its name among others', 'origin.test', await certificates.issue(['a.test', 'origin.test']), 'origin.test'],
  ['a name in capitals', 'origin.test', await certificates.issue(['ORIGIN.test']), 'origin.test'],
  ['a wildcard for its leftmost label', 'a.origin.test', await certificates.issue(['*.origin.test']), 'a.origin.test'],
  ['its address', '127.0.0.1', await certificates.issue(['127.0.0.1']), false],
  ['its IPv6 address', '[2001:db8::7]', await certificates.issue(['2001:db8:0:0::7']), false],
  ['RSA of 2048 bits', 'origin.test', await certificates.issue(['origin.test'], { key: 'RSA-2048' }), 'origin.test'],
  ['P-384', 'origin.test', await certificates.issue(['origin.test'], { key: 'P-384' }), 'origin.test'],
  ['Ed25519', 'origin.test', await certificates.issue(['origin.test'], { key: 'Ed25519' }), 'origin.test'],
  ['an intermediate authority', 'origin.test', await (await certificates.intermediate()).issue(['origin.test']), 'origin.test'],
  ['no extended usage', 'origin.test', await certificates.issue(['origin.test'], { usages: [] }), 'origin.test'],
  ['servers and clients as usage', 'origin.test', await certificates.issue(['origin.test'], { usages: [usage.clientAuth, usage.serverAuth] }), 'origin.test'],
]
for (const [name, host, issued, sni] of sound) {
  t.test(`a certificate with ${name} is taken, and SNI is the host or nothing for an address`, async (t) => {
    const server = await tlsServer(issued, { ALPNProtocols: ['http/1.1'] }, (seen) => seen.write('hello'))
    t.teardown(server.close)
    const socket = await start(server.port, { host })
    t.equal(await readUntil(socket, 'hello'), 'hello')
    t.equal(socket.authorized, true)
    t.equal(socket.alpnProtocol, 'http/1.1')
    socket.destroy()
    t.same(server.names, [sni])
  })
}

const leaf = await certificates.issue(['origin.test'])
const intermediate = await certificates.intermediate()
const below = await intermediate.issue(['origin.test'])
const refused: [name: string, code: string, issued: Pick<Issued, 'cert' | 'key'>, detail: RegExp, host?: string][] = [
  ['that has expired', 'tls_certificate_expired', await certificates.issue(['origin.test'], { fromHours: -3, untilHours: -2 }), /CERT_HAS_EXPIRED/],
  ['of the future', 'tls_certificate_not_yet_valid', await certificates.issue(['origin.test'], { fromHours: 2 }), /CERT_NOT_YET_VALID/],
  ['signed by itself', 'tls_certificate_untrusted', await certificates.selfSigned(['origin.test']), /DEPTH_ZERO_SELF_SIGNED_CERT/],
  ['of an unknown authority', 'tls_certificate_untrusted', await other.issue(['origin.test']), /UNABLE_TO_VERIFY_LEAF_SIGNATURE/],
  ['whose intermediate authority is not shown', 'tls_certificate_untrusted', { cert: below.cert.slice(0, below.cert.indexOf('-----END CERTIFICATE-----') + 26), key: below.key }, /UNABLE_TO_VERIFY_LEAF_SIGNATURE/],
  ['for another name', 'tls_certificate_name', await certificates.issue(['elsewhere.test']), /elsewhere\.test/],
  ['for a name below', 'tls_certificate_name', await certificates.issue(['a.origin.test']), /a\.origin\.test/],
  ['for `*.test`', 'tls_certificate_name', await certificates.issue(['*.test']), /\*\.test/],
  ['for `*`', 'tls_certificate_name', await certificates.issue(['*']), /\*/],
  ['for part of a label', 'tls_certificate_name', await certificates.issue(['o*.origin.test']), /o\*/, 'one.origin.test'],
  ['for a wildcard that is not leftmost', 'tls_certificate_name', await certificates.issue(['a.*.test']), /a\.\*/, 'a.origin.test'],
  ['for a wildcard one label short', 'tls_certificate_name', await certificates.issue(['*.origin.test']), /\*\.origin/, 'a.b.origin.test'],
  ['for the address as a name', 'tls_certificate_name', await certificates.issue(['origin.test']), /origin\.test/, '127.0.0.1'],
  ['for another address', 'tls_certificate_name', await certificates.issue(['127.0.0.2']), /127\.0\.0\.2/, '127.0.0.1'],
  ['for an address where a name is meant', 'tls_certificate_name', await certificates.issue(['127.0.0.1']), /127\.0\.0\.1/],
  ['without SAN, its name in the subject', 'tls_certificate_name', await certificates.issue(['origin.test'], { hasNames: false }), /no subjectAltName/],
  ['for clients', 'tls_certificate_invalid', await certificates.issue(['origin.test'], { usages: [usage.clientAuth] }), /INVALID_PURPOSE/],
  ['for signing code', 'tls_certificate_invalid', await certificates.issue(['origin.test'], { usages: [usage.codeSigning] }), /INVALID_PURPOSE/],
  ['for any usage but not for servers', 'tls_certificate_invalid', await certificates.issue(['origin.test'], { usages: ['2.5.29.37.0'] }), /INVALID_PURPOSE|2\.5\.29\.37\.0/],
  ['whose key may only sign certificates', 'tls_certificate_invalid', await certificates.issue(['origin.test'], { keyUsage: signsCertificates }), /INVALID_PURPOSE/],
  ['issued by a leaf', 'tls_certificate_invalid', await leaf.issue(['origin.test']), /certificate signing|INVALID_CA/],
  ['with an unknown critical extension', 'tls_certificate_invalid', await certificates.issue(['origin.test'], { hasUnknownCritical: true }), /unhandled critical extension/],
  ['that is an authority\'s own', 'tls_certificate_invalid', await certificates.issue(['origin.test'], { isCa: true }), /CA:TRUE/],
  ['with RSA of 1024 bits', 'tls_certificate_weak', await certificates.issue(['origin.test'], { key: 'RSA-1024' }), /too weak|1024/],
]
for (const [name, code, issued, detail, host = 'origin.test'] of refused) {
  t.test(`a certificate ${name} is ${code}, with its cause, and the connection is closed`, async (t) => {
    const open: net.Socket[] = []
    const server = await tlsServer(issued, {}, (socket) => open.push(socket))
    t.teardown(server.close)
    const told = await tell(start(server.port, { host }))
    t.equal(told.code, code, told.detail)
    t.match(told.detail, detail)
    t.ok(told.detail.startsWith(host.replaceAll(/[[\]]/g, '')))
    await Promise.all(open.map(closed))
  })
}

t.test('the usual roots alone trust no authority of ours, and a rule that says insecure takes all and is told each time', async (t) => {
  const server = await tlsServer(await other.issue(['elsewhere.test']))
  t.teardown(server.close)
  t.match(await tell(start(server.port, { trust: undefined })), { code: 'tls_certificate_untrusted' })
  t.same(place.insecure, [])
  for (const count of [1, 2]) {
    const socket = await start(server.port, { trust: { insecure: true, caFiles: [] } })
    t.equal(socket.authorized, false)
    socket.destroy()
    t.equal(place.insecure.length, count)
  }
  t.same(place.insecure, ['origin.test', 'origin.test'])
})

t.test('the file of a further root that is missing fails the connection before a byte is sent, though the usual roots might do', async (t) => {
  let bytes = 0
  const { port, close } = await listen(net.createServer((socket) => {
    socket.on('data', (chunk) => {
      bytes += chunk.length
    })
    socket.on('end', () => socket.destroy())
  }))
  t.teardown(close)
  const socket = await connectTo(port)
  const told = await tell(place.tls.start(socket, { host: parseHost('origin.test'), alpn: http1, trust: { insecure: false, caFiles: ['gone.pem'] }, timeoutMs: 10_000 }))
  t.match(told, { code: 'tls_certificate_untrusted', detail: /gone\.pem.*there is no gone\.pem/ })
  t.equal(socket.destroyed, true)
  await closed(socket)
  t.equal(bytes, 0)
})

t.test('a changed file of a further root is trusted from then on, and what it trusted before is not', async (t) => {
  let current = { pem: certificates.ca, stamp: '1' }
  const changing = await tlsPlace({ readPem: () => current })
  const ours = await tlsServer(leaf)
  const theirs = await tlsServer(await other.issue(['origin.test']))
  t.teardown(() => [ours, theirs].map(({ close }) => close()))
  t.match(await tell(start(ours.port, { at: changing })), { code: 'taken' })
  t.match(await tell(start(theirs.port, { at: changing })), { code: 'tls_certificate_untrusted' })
  current = { pem: other.ca, stamp: '2' }
  t.match(await tell(start(ours.port, { at: changing })), { code: 'tls_certificate_untrusted' })
  t.match(await tell(start(theirs.port, { at: changing })), { code: 'taken' })
})

t.test('no session is resumed: each connection shakes hands anew', async (t) => {
  const reused: boolean[] = []
  const server = await tlsServer(leaf, {}, (socket) => {
    reused.push(socket.isSessionReused())
    socket.end('x')
  })
  t.teardown(server.close)
  for (let i = 0; i < 3; i += 1) {
    const socket = await start(server.port)
    socket.resume()
    await closed(socket)
  }
  t.same(reused, [false, false, false])
})

t.test('what is offered by ALPN is what the origin chooses from, and without a common protocol the fault says so', async (t) => {
  const both = await tlsServer(leaf, { ALPNProtocols: ['http/1.1', 'h2'] })
  const two = await tlsServer(leaf, { ALPNProtocols: ['h2'] })
  const none = await tlsServer(leaf)
  t.teardown(() => [both, two, none].map(({ close }) => close()))
  const chosen = async (port: number, alpn: Alpn): Promise<string | false | null> => {
    const socket = await start(port, { alpn })
    socket.destroy()
    return socket.alpnProtocol
  }
  t.equal(await chosen(both.port, ['http/1.1']), 'http/1.1')
  t.equal(await chosen(two.port, ['h2', 'http/1.1']), 'h2')
  t.equal(await chosen(two.port, ['h2']), 'h2')
  t.equal(await chosen(none.port, ['http/1.1']), false)
  const fault = await start(two.port).catch((error: unknown) => error)
  t.match(fault, { code: 'tls_handshake_failed', detail: /NO_APPLICATION_PROTOCOL/ })
  t.equal(isNoCommonProtocol(fault), true)
  t.equal(isNoCommonProtocol(new Error('another')), false)
})

t.test('an old TLS version, another protocol, a close and silence are tls_handshake_failed', async (t) => {
  const old = await tlsServer(leaf, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1' })
  const plain = await listen(net.createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')))
  const closes = await listen(net.createServer((socket) => {
    socket.once('data', () => socket.destroy())
  }))
  const silent = await listen(net.createServer(() => {}))
  t.teardown(() => [old, plain, closes, silent].map(({ close }) => close()))
  t.match(await tell(start(old.port)), { code: 'tls_handshake_failed', detail: /PROTOCOL/ })
  t.match(await tell(start(plain.port)), { code: 'tls_handshake_failed', detail: /WRONG_VERSION_NUMBER|PACKET_LENGTH/ })
  t.match(await tell(start(closes.port)), { code: 'tls_handshake_failed', detail: /ECONNRESET|closed within/ })
  t.match(await tell(start(silent.port, { timeoutMs: 50 })), { code: 'tls_handshake_failed', detail: /no handshake within 50 ms/ })
})

t.test('a client that leaves stops the handshake', async (t) => {
  const silent = await listen(net.createServer(() => {}))
  t.teardown(silent.close)
  const socket = await connectTo(silent.port)
  const abandonment = new Abandonment()
  const started = tell(place.tls.start(socket, { host: parseHost('origin.test'), alpn: http1, trust: trusted, timeoutMs: 60_000, abandonment }))
  abandonment.abandon()
  t.match(await started, { code: 'connection_reset' })
  t.equal(socket.destroyed, true)
})
