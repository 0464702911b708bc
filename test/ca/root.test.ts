// The root that is made: what another reader finds in it.
import { X509Certificate } from 'node:crypto'
import t from 'tap'
import { makeRoot } from '../../src/ca/root.ts'
import { madeSubject } from '../../src/ca/signer.ts'
import { dayMs, hourMs, x509 } from './fixture.ts'

const nowMs = Date.now()

t.test('another reader finds in a root what belongs there', async (t) => {
  const { certPem, keyPem } = makeRoot(nowMs, undefined)
  const root = new x509.X509Certificate(certPem)
  t.match(root.subject, madeSubject)
  t.equal(root.issuer, root.subject)
  t.match(root.publicKey.algorithm, { name: 'ECDSA', namedCurve: 'P-256' })
  t.same(root.extensions.map(({ type, critical }) => [type, critical]), [['2.5.29.19', true], ['2.5.29.15', true], ['2.5.29.14', false], ['2.5.29.35', false]])
  t.match(root.getExtension(x509.BasicConstraintsExtension), { ca: true, pathLength: 0 })
  t.equal(root.getExtension(x509.KeyUsagesExtension)?.usages, x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign)
  t.equal(root.getExtension(x509.AuthorityKeyIdentifierExtension)?.keyId, root.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId)
  t.equal(await root.verify(), true)
  t.equal(root.notBefore.getTime(), Math.floor((nowMs - hourMs) / 1000) * 1000)
  t.equal(root.notAfter.getTime() - root.notBefore.getTime() + 1000, 365 * dayMs)
  t.match(keyPem, /^-----BEGIN PRIVATE KEY-----\n/)
  t.ok(new X509Certificate(certPem).verify(new X509Certificate(certPem).publicKey))
})

t.test('two roots have names, serial numbers and keys of their own', async (t) => {
  const [a, b] = [makeRoot(nowMs, undefined), makeRoot(nowMs, undefined)].map(({ certPem }) => new X509Certificate(certPem))
  t.not(a?.subject, b?.subject)
  t.not(a?.serialNumber, b?.serialNumber)
  t.not(a?.fingerprint256, b?.fingerprint256)
})

t.test('constraints are critical, permit these names and no address', async (t) => {
  const root = new x509.X509Certificate(makeRoot(nowMs, ['Example.com', 'pkg.test']).certPem)
  const constraints = root.getExtension('2.5.29.30')
  t.equal(constraints?.critical, true)
  const value = Buffer.from(constraints?.value ?? new ArrayBuffer())
  t.ok(value.includes(Buffer.from('\x82\x0bexample.com', 'latin1')))
  t.ok(value.includes(Buffer.from('\x82\x08pkg.test', 'latin1')))
  t.ok(value.includes(Buffer.concat([Buffer.of(0x87, 8), Buffer.alloc(8)])))
  t.ok(value.includes(Buffer.concat([Buffer.of(0x87, 32), Buffer.alloc(32)])))
})

t.test('an empty list permits nothing, and what is no name is refused', async (t) => {
  const value = Buffer.from(new x509.X509Certificate(makeRoot(nowMs, []).certPem).getExtension('2.5.29.30')?.value ?? new ArrayBuffer())
  t.ok(value.includes(Buffer.from('\x82\x07invalid', 'latin1')))
  for (const name of ['192.0.2.7', '*.example.com', 'a b', '']) {
    t.throws(() => makeRoot(nowMs, [name]), { code: 'ca_unavailable', detail: /no DNS name/ }, name)
  }
})
