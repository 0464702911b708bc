// A certificate authority of the test's own, and leaves for the names its origins go by: sound ones, and
// every kind that a careful client refuses.
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import { generateKeyPairSync, webcrypto, type KeyObject } from 'node:crypto'

x509.cryptoProvider.set(webcrypto as Crypto)

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const hourMs = 3_600_000

/** object identifiers of extended usages */
export const usage = x509.ExtendedKeyUsage
export const signsCertificates = x509.KeyUsageFlags.keyCertSign

export type KeyKind = 'P-256' | 'P-384' | 'P-224' | 'RSA-2048' | 'RSA-1024' | 'Ed25519'

/** What is unlike a sound leaf. */
export interface LeafShape {
  /** hours from now; default an hour ago */
  readonly fromHours?: number
  /** hours from now; default in a day */
  readonly untilHours?: number
  readonly key?: KeyKind
  /** extended key usages; empty: the extension is left out; default serverAuth */
  readonly usages?: readonly string[]
  /** default digitalSignature */
  readonly keyUsage?: x509.KeyUsageFlags
  readonly isCa?: boolean
  /** false: the names stand in the subject alone */
  readonly hasNames?: boolean
  /** an extension that nobody knows, marked critical */
  readonly hasUnknownCritical?: boolean
}

export interface Issued {
  /** PEM, the certificates between it and the root behind it */
  readonly cert: string
  readonly key: string
  /** hexadecimal */
  readonly serial: string
  /** signs with this certificate's key, whether it may or not */
  issue(names: readonly string[], shape?: LeafShape): Promise<Issued>
  /** the list of what it took back, likewise */
  revoke(serials: readonly string[], shape?: ListShape): Promise<string>
}

/** What is unlike a sound list. */
export interface ListShape {
  /** hours from now; default in a day */
  readonly untilHours?: number
  readonly extensions?: readonly x509.Extension[]
}

export interface TestCertificates {
  readonly ca: string
  issue(names: readonly string[], shape?: LeafShape): Promise<Issued>
  /** another certificate for the key and the name of an authority */
  crossSign(authority: Pick<Issued, 'cert'>): Promise<Pick<Issued, 'cert' | 'serial'>>
  /** an authority below the root */
  intermediate(): Promise<Issued>
  /** not signed by the root but by itself */
  selfSigned(names: readonly string[]): Promise<{ readonly cert: string; readonly key: string }>
  /** PEM: the root's list of what it took back */
  revoke(serials: readonly string[], shape?: ListShape): Promise<string>
}

interface Signer {
  readonly subject: string
  readonly signingKey: webcrypto.CryptoKey
  readonly publicKey: x509.PublicKey
  /** PEM of what goes behind what it issues */
  readonly chain: string
}

export async function testCertificates(name = 'sallyport test root'): Promise<TestCertificates> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01', name: `CN=${name}`, notBefore: hoursFromNow(-48), notAfter: hoursFromNow(72), signingAlgorithm: algorithm, keys: keys as webcrypto.CryptoKeyPair,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey as webcrypto.CryptoKey),
    ],
  })
  let serial = 1
  const signer: Signer = { subject: root.subject, signingKey: keys.privateKey as webcrypto.CryptoKey, publicKey: root.publicKey, chain: '' }
  const nextSerial = (): string => {
    serial += 1
    return serial.toString(16).padStart(4, '0')
  }
  return {
    ca: root.toString('pem'),
    issue: (names, shape = {}) => issueUnder(signer, nextSerial, names, shape),
    intermediate: () => issueUnder(signer, nextSerial, ['sallyport test intermediate'], {
      isCa: true, hasNames: false, usages: [], keyUsage: x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
    }),
    crossSign: async ({ cert }) => {
      const { subject, publicKey } = new x509.X509Certificate(cert)
      const serialNumber = nextSerial()
      const made = await x509.X509CertificateGenerator.create({
        serialNumber, subject, issuer: signer.subject, notBefore: hoursFromNow(-1), notAfter: hoursFromNow(24), signingAlgorithm: algorithm, publicKey, signingKey: signer.signingKey,
        extensions: [new x509.BasicConstraintsExtension(true, undefined, true), new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true), await x509.SubjectKeyIdentifierExtension.create(publicKey)],
      })
      return { cert: `${made.toString('pem')}\n`, serial: serialNumber }
    },
    selfSigned,
    revoke: (serials, shape = {}) => revokeUnder(signer, serials, shape),
  }
}

async function revokeUnder({ subject, signingKey, publicKey }: Signer, serials: readonly string[], { untilHours = 24, extensions = [] }: ListShape): Promise<string> {
  const list = await x509.X509CrlGenerator.create({
    issuer: subject, thisUpdate: hoursFromNow(-48), nextUpdate: hoursFromNow(untilHours), signingAlgorithm: algorithm, signingKey,
    entries: serials.map((serialNumber) => ({ serialNumber, revocationDate: hoursFromNow(-49), reason: x509.X509CrlReason.keyCompromise })),
    extensions: [await x509.AuthorityKeyIdentifierExtension.create(publicKey), ...extensions],
  })
  // the label that OpenSSL knows
  return `${list.toString('pem').replaceAll(' CRL-----', ' X509 CRL-----')}\n`
}

async function issueUnder(signer: Signer, nextSerial: () => string, names: readonly string[], shape: LeafShape): Promise<Issued> {
  const { publicKey: keyObject, privateKey } = keyPair(shape.key ?? 'P-256')
  const publicKey = new x509.PublicKey(keyObject.export({ type: 'spki', format: 'der' }))
  const { usages = [x509.ExtendedKeyUsage.serverAuth], isCa = false, hasNames = true } = shape
  const serial = nextSerial()
  const leaf = await x509.X509CertificateGenerator.create({
    serialNumber: serial, subject: `CN=${names[0]}`, issuer: signer.subject, notBefore: hoursFromNow(shape.fromHours ?? -1), notAfter: hoursFromNow(shape.untilHours ?? 24),
    signingAlgorithm: algorithm, publicKey, signingKey: signer.signingKey,
    extensions: [
      ...(hasNames ? [new x509.SubjectAlternativeNameExtension(names.map((each) => ({ type: /^[\d.]+$|:/.test(each) ? 'ip' : 'dns', value: each })))] : []),
      ...(usages.length > 0 ? [new x509.ExtendedKeyUsageExtension([...usages])] : []),
      ...(isCa ? [new x509.BasicConstraintsExtension(true, undefined, true)] : []),
      new x509.KeyUsagesExtension(shape.keyUsage ?? x509.KeyUsageFlags.digitalSignature, true),
      await x509.AuthorityKeyIdentifierExtension.create(signer.publicKey),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      ...(shape.hasUnknownCritical === true ? [new x509.Extension('1.2.3.4.5', true, new Uint8Array([5, 0]))] : []),
    ],
  })
  const cert = `${leaf.toString('pem')}\n${signer.chain}`
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' })
  const ownSigner = async (): Promise<Signer> => {
    const signingKey = await webcrypto.subtle.importKey('pkcs8', privateKey.export({ type: 'pkcs8', format: 'der' }), algorithm, false, ['sign'])
    return { subject: leaf.subject, signingKey, publicKey, chain: cert }
  }
  return {
    cert, key, serial,
    issue: async (below, belowShape = {}) => issueUnder(await ownSigner(), nextSerial, below, belowShape),
    revoke: async (serials, listShape = {}) => revokeUnder(await ownSigner(), serials, listShape),
  }
}

async function selfSigned(names: readonly string[]): Promise<{ readonly cert: string; readonly key: string }> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '77', name: `CN=${names[0]}`, notBefore: hoursFromNow(-1), notAfter: hoursFromNow(24), signingAlgorithm: algorithm, keys: keys as webcrypto.CryptoKeyPair,
    extensions: [new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: 'dns', value })))],
  })
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey as webcrypto.CryptoKey)).toString('base64')
  return { cert: `${cert.toString('pem')}\n`, key: `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n` }
}

function keyPair(kind: KeyKind): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } {
  if (kind === 'Ed25519') return generateKeyPairSync('ed25519')
  if (kind === 'RSA-2048' || kind === 'RSA-1024') return generateKeyPairSync('rsa', { modulusLength: Number(kind.slice(4)) })
  return generateKeyPairSync('ec', { namedCurve: kind === 'P-224' ? 'secp224r1' : kind })
}

function hoursFromNow(hours: number): Date {
  return new Date(Date.now() + hours * hourMs)
}
