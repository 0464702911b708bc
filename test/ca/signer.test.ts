// Which roots are taken: supplied pairs of every kind, and what is wrong with those that are refused.
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import t from 'tap'
import { LeafMaker, makeLeafKey } from '../../src/ca/leaf.ts'
import { makeRoot } from '../../src/ca/root.ts'
import { readSigner, type Signer } from '../../src/ca/signer.ts'
import { parseHost } from '../../src/target/host.ts'
import { dayMs, foreign, nodeVerdict, serve, x509 } from './fixture.ts'

const nowMs = Date.now()

const refusal = (detail: RegExp): { code: string; detail: RegExp } => ({ code: 'ca_unavailable', detail })

function signerOf(certText: string, keyText: string): Signer {
  return readSigner({ certPath: '/c/root.pem', keyPath: '/c/root-key.pem', certText, keyText }, nowMs)
}

t.test('a root of our own is known again', async (t) => {
  const { certPem, keyPem } = makeRoot(nowMs, ['example.com'])
  const signer = signerOf(certPem, keyPem)
  t.match(signer, { origin: 'made', keyKind: 'EC P-256', intermediatesPem: '' })
  t.same(signer.limits[0]?.permittedNames, ['example.com'])
  t.match(signer.certificate.fingerprint, /^[0-9a-f]{64}$/)
})

for (const [algorithm, keyKind, named] of [['P-256', 'EC P-256', 'SHA-256'], ['P-384', 'EC P-384', 'SHA-384'], ['RSA-2048', 'RSA 2048', 'SHA-256']] as const) {
  t.test(`a supplied root with a key of ${keyKind} signs leaves that Node trusts`, async (t) => {
    const root = await foreign({ algorithm })
    const signer = signerOf(root.certPem, root.keyPem)
    t.match(signer, { origin: 'supplied', keyKind })
    const leaf = new LeafMaker(signer, makeLeafKey()).make(parseHost('api.example.com'), nowMs)
    t.match(new x509.X509Certificate(leaf.chainPem).signatureAlgorithm, { hash: { name: named } })
    t.equal(await nodeVerdict(await serve(t, leaf), root.certPem, 'api.example.com'), undefined)
    t.match(await nodeVerdict(await serve(t, leaf), root.certPem, 'other.example.com'), 'ERR_TLS_CERT_ALTNAME_INVALID')
  })
}

t.test('with an intermediate the client gets what lies between leaf and root, and the root not', async (t) => {
  const root = await foreign({ name: 'CN=Top' })
  const middle = await foreign({ name: 'CN=Middle', pathLength: 1, issuer: root })
  const signing = await foreign({ name: 'CN=Signing', pathLength: 0, issuer: middle, algorithm: 'RSA-2048' })
  const signer = signerOf(signing.certPem + middle.certPem + root.certPem, signing.keyPem)
  const leaf = new LeafMaker(signer, makeLeafKey()).make(parseHost('api.example.com'), nowMs)
  t.same(leaf.chainPem.match(/BEGIN CERTIFICATE/g)?.length, 3)
  t.equal(await nodeVerdict(await serve(t, leaf), root.certPem, 'api.example.com'), undefined)
  const alone = new LeafMaker(signerOf(signing.certPem + middle.certPem, signing.keyPem), makeLeafKey()).make(parseHost('api.example.com'), nowMs)
  t.equal(await nodeVerdict(await serve(t, alone), root.certPem, 'api.example.com'), undefined)
})

t.test('the first end in a chain is the end of its leaves', async (t) => {
  const root = await foreign({ name: 'CN=Top', notAfterMs: nowMs + dayMs })
  const signing = await foreign({ name: 'CN=Signing', issuer: root })
  const signer = signerOf(signing.certPem + root.certPem, signing.keyPem)
  t.equal(signer.notAfterMs, Math.floor((nowMs + dayMs) / 1000) * 1000)
  t.equal(new LeafMaker(signer, makeLeafKey()).make(parseHost('a.test'), nowMs).notAfterMs, signer.notAfterMs)
})

t.test('a CA that may not do it is refused, with what is wrong and what to do', async (t) => {
  const usages = x509.KeyUsageFlags
  const faults: readonly [string, Parameters<typeof foreign>[0], RegExp][] = [
    ['no CA', { isCa: false }, /CA:TRUE is missing.*supply/],
    ['no keyCertSign', { usages: usages.cRLSign }, /keyCertSign is missing.*supply/],
    ['only for clients', { extensions: [new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth])] }, /without serverAuth/],
    ['expired', { notAfterMs: nowMs - 1000 }, /has expired on .*`sallyport ca rotate`/],
    ['to come', { notBeforeMs: nowMs + dayMs }, /not valid before .*clock/],
    ['weak RSA', { algorithm: 'RSA-1024' }, /the key is RSA 1024, and it has to be/],
    ['another curve', { algorithm: 'P-521' }, /the key is ec secp521r1, and it has to be/],
  ]
  for (const [name, options, detail] of faults) {
    const { certPem, keyPem } = await foreign(options)
    t.throws(() => signerOf(certPem, keyPem), refusal(detail), name)
  }
})

t.test('a chain that clients would not follow is refused', async (t) => {
  const root = await foreign({ name: 'CN=Top', pathLength: 0 })
  const middle = await foreign({ name: 'CN=Middle', issuer: root })
  t.throws(() => signerOf(middle.certPem + root.certPem, middle.keyPem), refusal(/allows 0 CA certificates below it and there are 1/))
  const other = await foreign({ name: 'CN=Other' })
  t.throws(() => signerOf(middle.certPem + other.certPem, middle.keyPem), refusal(/certificate 1 is not signed by certificate 2/))
  const twin = await foreign({ name: 'CN=Top' })
  t.throws(() => signerOf(middle.certPem + twin.certPem, middle.keyPem), refusal(/certificate 1 is not signed by certificate 2/), 'the same name with another key')
})

t.test('files that hold something else are refused', async (t) => {
  const { certPem, keyPem } = makeRoot(nowMs, undefined)
  const other = makeRoot(nowMs, undefined)
  t.throws(() => signerOf(certPem, other.keyPem), refusal(/is not the key of/))
  t.throws(() => signerOf('', keyPem), refusal(/holds no certificate/))
  t.throws(() => signerOf(certPem.replace('MII', 'MIX'), keyPem), refusal(/certificate 1 cannot be read/))
  t.throws(() => signerOf(certPem, 'not a key'), refusal(/is no private key in PEM/))
  t.throws(() => signerOf(certPem, certPem), refusal(/is no private key in PEM/))
  t.throws(() => signerOf(certPem + keyPem, keyPem), refusal(/holds a private key.*for everybody to read/))
  const { privateKey: locked } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' },
  })
  t.throws(() => signerOf(certPem, locked), refusal(/is encrypted.*store it without/))
  t.throws(() => signerOf(certPem + locked, keyPem), refusal(/holds a private key/), 'an encrypted one too')
})

t.test('keys are read in the forms that tools write', async (t) => {
  const { certPem, keyPem } = makeRoot(nowMs, undefined)
  t.ok(signerOf(certPem, createPrivateKey(keyPem).export({ type: 'sec1', format: 'pem' })))
  const rsa = await foreign({ algorithm: 'RSA-2048' })
  t.ok(signerOf(rsa.certPem, createPrivateKey(rsa.keyPem).export({ type: 'pkcs1', format: 'pem' })))
  t.ok(signerOf(`a comment\r\n${certPem.replaceAll('\n', '\r\n')}`, keyPem), 'comments and CRLF')
})

t.test('constraints of a supplied chain hold for its leaves', async (t) => {
  const value = makeRoot(nowMs, ['example.com']).certPem
  const extension = new x509.X509Certificate(value).getExtension('2.5.29.30')
  const root = await foreign({ name: 'CN=Top', extensions: extension === null ? [] : [extension] })
  const signing = await foreign({ name: 'CN=Signing', issuer: root })
  const maker = new LeafMaker(signerOf(signing.certPem + root.certPem, signing.keyPem), makeLeafKey())
  t.ok(new X509Certificate(maker.make(parseHost('a.example.com'), nowMs).chainPem))
  t.throws(() => maker.make(parseHost('a.test'), nowMs), refusal(/may not sign for a\.test/))
})
