// Certificates of the interception benchmarks: roots on P-256, one for the origin and one for each proxy that
// does not make its own, and leaves of the origin's.
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import { webcrypto } from 'node:crypto'

x509.cryptoProvider.set(webcrypto as Crypto)

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const hourMs = 3_600_000

/** PEM; the key as PKCS #8. */
export interface CertificateFiles {
  readonly cert: string
  readonly key: string
}

export interface BenchRoot extends CertificateFiles {
  /** A certificate for these DNS names, good for a day. */
  issue(names: readonly string[]): Promise<CertificateFiles>
}

async function keyPair(): Promise<webcrypto.CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']) as webcrypto.CryptoKeyPair
}

async function pemOf({ privateKey }: webcrypto.CryptoKeyPair): Promise<string> {
  const body = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', privateKey)).toString('base64')
  return `-----BEGIN PRIVATE KEY-----\n${body.replaceAll(/(.{64})/g, '$1\n')}\n-----END PRIVATE KEY-----\n`
}

/** A root of this name, good for a day. */
export async function benchRoot(name: string): Promise<BenchRoot> {
  const keys = await keyPair()
  const life = { notBefore: new Date(Date.now() - hourMs), notAfter: new Date(Date.now() + 24 * hourMs), signingAlgorithm: algorithm }
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    ...life, serialNumber: '01', name: `CN=${name}`, keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return {
    cert: `${root.toString('pem')}\n`,
    key: await pemOf(keys),
    issue: async (names) => {
      const leafKeys = await keyPair()
      const leaf = await x509.X509CertificateGenerator.create({
        ...life, serialNumber: '02', subject: `CN=${names[0]}`, issuer: root.subject, publicKey: leafKeys.publicKey, signingKey: keys.privateKey,
        extensions: [
          new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: 'dns', value }))),
          new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          await x509.AuthorityKeyIdentifierExtension.create(keys.publicKey),
          await x509.SubjectKeyIdentifierExtension.create(leafKeys.publicKey),
        ],
      })
      return { cert: `${leaf.toString('pem')}\n`, key: await pemOf(leafKeys) }
    },
  }
}
