// Leaves: what is in them, how long they last, and that nobody but their host can use them.
import { X509Certificate, createPublicKey } from 'node:crypto'
import t from 'tap'
import { LeafMaker, makeLeafKey } from '../../src/ca/leaf.ts'
import { LeafCache } from '../../src/ca/leaf-cache.ts'
import { pemBlocks } from '../../src/ca/pem.ts'
import { ProxyError } from '../../src/errors.ts'
import { parseHost, type Host } from '../../src/target/host.ts'
import { assert, array, constantFrom, ipV4, ipV6, oneof, property, stringMatching } from '../support/property.ts'
import { dayMs, hourMs, madeSigner, setClock, x509 } from './fixture.ts'

const nowMs = Date.now()
const signer = madeSigner(nowMs)
const maker = new LeafMaker(signer, makeLeafKey())

const read = (pem: string): x509.X509Certificate => new x509.X509Certificate(pem)
const names = (pem: string): { type: string; value: string }[] => {
  const found = read(pem).getExtension(x509.SubjectAlternativeNameExtension)?.names.items ?? []
  return found.map(({ type, value }) => ({ type, value }))
}

t.test('another reader finds in a leaf what belongs there, and nothing else', async (t) => {
  const { chainPem, keyPem, notAfterMs } = maker.make(parseHost('api.example.com'), nowMs)
  const leaf = read(chainPem)
  t.equal(leaf.subject, '')
  t.equal(leaf.issuer, signer.certificate.subject)
  t.match(leaf.publicKey.algorithm, { name: 'ECDSA', namedCurve: 'P-256' })
  t.match(leaf.signatureAlgorithm, { name: 'ECDSA', hash: { name: 'SHA-256' } })
  t.same(leaf.extensions.map(({ type, critical }) => [type, critical]), [
    ['2.5.29.37', false], ['2.5.29.15', true], ['2.5.29.19', true], ['2.5.29.35', false], ['2.5.29.14', false], ['2.5.29.17', true],
  ])
  t.same(leaf.getExtension(x509.ExtendedKeyUsageExtension)?.usages, [x509.ExtendedKeyUsage.serverAuth])
  t.equal(leaf.getExtension(x509.KeyUsagesExtension)?.usages, x509.KeyUsageFlags.digitalSignature)
  t.equal(leaf.getExtension(x509.BasicConstraintsExtension)?.ca, false)
  t.equal(leaf.getExtension(x509.AuthorityKeyIdentifierExtension)?.keyId, signer.certificate.keyId.toString('hex'))
  t.match(leaf.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId, /^[0-9a-f]{40}$/)
  t.same(names(chainPem), [{ type: 'dns', value: 'api.example.com' }])
  t.equal(await leaf.verify({ publicKey: signer.certificate.x509.publicKey.toCryptoKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['verify']) }), true)
  t.equal(leaf.notBefore.getTime(), Math.floor((nowMs - hourMs) / 1000) * 1000)
  t.equal(leaf.notAfter.getTime(), notAfterMs)
  t.equal(leaf.notAfter.getTime() - leaf.notBefore.getTime() + 1000, 72 * hourMs, 'both ends count')
  t.ok(createPublicKey(keyPem).equals(new X509Certificate(chainPem).publicKey))
  t.match(chainPem, /^-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/=]{1,64}\n)+-----END CERTIFICATE-----\n$/)
})

t.test('serial numbers are positive, random and of at most 128 bits', async (t) => {
  const serials = Array.from({ length: 500 }, () => {
    const { der } = pemBlocks(maker.make(parseHost('a.test'), nowMs).chainPem)[0] ?? { der: Buffer.of() }
    return new X509Certificate(der).serialNumber
  })
  t.equal(new Set(serials).size, serials.length)
  t.ok(serials.every((serial) => BigInt(`0x${serial}`) > 0n && serial.length <= 32))
  t.ok(serials.some((serial) => serial.startsWith('F')) && serials.some((serial) => serial.startsWith('1')), 'the first bit is random too')
})

t.test('an address is named as an address', async (t) => {
  for (const [text, value] of [['192.0.2.7', '192.0.2.7'], ['[2001:db8::1]', '2001:db8::1'], ['0.0.0.1', '0.0.0.1'], ['[::]', '::'], ['255.255.255.255', '255.255.255.255']] as const) {
    const { chainPem } = maker.make(parseHost(text), nowMs)
    t.equal(names(chainPem).length, 1)
    t.equal(names(chainPem)[0]?.type, 'ip', text)
    t.equal(new X509Certificate(chainPem).checkIP(value), value, text)
    t.equal(new X509Certificate(chainPem).checkHost(value), undefined, `${text} is no name`)
  }
})

const label = oneof(stringMatching(/^[a-z0-9]([a-z0-9_-]{0,20}[a-z0-9])?$/), constantFrom('xn--bcher-kva', '_dmarc', 'x'.repeat(63)))
const anyHost = oneof(array(label, { minLength: 1, maxLength: 6 }).map((labels) => labels.join('.')), ipV4(), ipV6().map((ip) => `[${ip}]`))

t.test('a leaf for any host names that host only, verifies, and is for no other', async (t) => {
  const rootKey = signer.certificate.x509.publicKey
  let count = 0
  assert(property(anyHost, (text) => {
    let host: Host
    try {
      host = parseHost(text)
    } catch (error) {
      return error instanceof ProxyError
    }
    const { chainPem } = maker.make(host, nowMs)
    const leaf = new X509Certificate(chainPem)
    const [name, ...more] = names(chainPem)
    count += 1
    const isFor = host.kind === 'ip'
      ? leaf.checkIP(host.text) !== undefined && name?.type === 'ip' && leaf.checkIP('192.0.2.254') === undefined
      : leaf.checkHost(host.text) !== undefined && name?.type === 'dns' && name.value === host.text && leaf.checkHost(`x.${host.text}`) === undefined
    return isFor && more.length === 0 && leaf.verify(rootKey) && leaf.checkIssued(signer.certificate.x509) && leaf.subject === undefined
  }), { numRuns: 300 })
  t.ok(count > 100, `${count} hosts`)
})

t.test('a leaf never begins before its root nor ends after it', async (t) => {
  const early = maker.make(parseHost('a.test'), signer.notBeforeMs + 5_000)
  t.equal(read(early.chainPem).notBefore.getTime(), signer.notBeforeMs)
  const late = maker.make(parseHost('a.test'), signer.notAfterMs - hourMs)
  t.equal(late.notAfterMs, signer.notAfterMs)
  t.equal(read(late.chainPem).notAfter.getTime(), signer.notAfterMs)
  t.throws(() => maker.make(parseHost('a.test'), signer.notAfterMs + 1), { code: 'ca_unavailable', detail: /expired.*`sallyport ca rotate`/ })
})

t.test('a leaf outside the constraints of its root is not made', async (t) => {
  const limited = new LeafMaker(madeSigner(nowMs, ['example.com', 'pkg.test']), makeLeafKey())
  for (const text of ['example.com', 'a.b.example.com', 'pkg.test']) t.ok(limited.make(parseHost(text), nowMs), text)
  for (const text of ['example.org', 'badexample.com', 'com', '192.0.2.7', '[2001:db8::1]']) {
    t.throws(() => limited.make(parseHost(text), nowMs), { code: 'ca_unavailable', detail: `the root may not sign for ${text}: \`sallyport ca rotate\`` }, text)
  }
})

t.test('a cached leaf is the same object until less than 12 hours are left', async (t) => {
  const clock = setClock(nowMs)
  const cache = new LeafCache(maker)
  const host = parseHost('a.test')
  const first = cache.leafFor(host, clock.now())
  clock.forward(58 * hourMs)
  t.equal(cache.leafFor(host, clock.now()), first)
  clock.forward(hourMs)
  const second = cache.leafFor(host, clock.now())
  t.not(second, first)
  t.equal(cache.leafFor(host, clock.now()), second)
  t.equal(second.keyPem, first.keyPem, 'one key for all leaves of a process')
  clock.forward(-2 * hourMs)
  t.not(cache.leafFor(host, clock.now()), second, 'a clock that was set back finds no leaf that is not valid yet')
})

t.test('near the end of the root a leaf is kept while a new one would last no longer', async (t) => {
  const clock = setClock(signer.notAfterMs - 6 * hourMs)
  const cache = new LeafCache(maker)
  const host = parseHost('a.test')
  const first = cache.leafFor(host, clock.now())
  clock.forward(5 * hourMs)
  t.equal(cache.leafFor(host, clock.now()), first)
  clock.forward(dayMs)
  t.throws(() => cache.leafFor(host, clock.now()), { code: 'ca_unavailable' })
})

t.test('the cache is bounded, and forgets what was used longest ago', async (t) => {
  const cache = new LeafCache(maker, 3)
  const leafOf = (name: string): unknown => cache.leafFor(parseHost(name), nowMs)
  const first = leafOf('a.test')
  for (const name of ['b.test', 'c.test', 'a.test', 'd.test']) leafOf(name)
  t.equal(cache.size, 3)
  t.equal(leafOf('a.test'), first)
})

t.test('what fails is not cached', async (t) => {
  const cache = new LeafCache(new LeafMaker(madeSigner(nowMs, ['example.com']), makeLeafKey()))
  t.throws(() => cache.leafFor(parseHost('other.test'), nowMs), { code: 'ca_unavailable' })
  t.equal(cache.size, 0)
})
