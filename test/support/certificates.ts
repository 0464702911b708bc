// A certificate authority of the test's own, and leaves for the names its origins go by.
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import { webcrypto } from 'node:crypto'

x509.cryptoProvider.set(webcrypto as Crypto)

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const hourMs = 3_600_000

export interface TestCertificates {
  readonly ca: string
  issue(names: readonly string[]): Promise<{ readonly cert: string; readonly key: string }>
}

export async function testCertificates(): Promise<TestCertificates> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const notBefore = new Date(Date.now() - hourMs)
  const notAfter = new Date(Date.now() + 24 * hourMs)
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01', name: 'CN=sallyport test root', notBefore, notAfter, signingAlgorithm: algorithm, keys: keys as webcrypto.CryptoKeyPair,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey as webcrypto.CryptoKey),
    ],
  })
  let serial = 1
  return {
    ca: root.toString('pem'),
    issue: async (names) => {
      const leafKeys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
      serial += 1
      const leaf = await x509.X509CertificateGenerator.create({
        serialNumber: serial.toString(16).padStart(4, '0'), subject: `CN=${names[0]}`, issuer: root.subject, notBefore, notAfter,
        signingAlgorithm: algorithm, publicKey: leafKeys.publicKey as webcrypto.CryptoKey, signingKey: keys.privateKey as webcrypto.CryptoKey,
        extensions: [
          new x509.SubjectAlternativeNameExtension(names.map((name) => ({ type: /^[\d.]+$|:/.test(name) ? 'ip' : 'dns', value: name }))),
          new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          await x509.AuthorityKeyIdentifierExtension.create(keys.publicKey as webcrypto.CryptoKey),
          await x509.SubjectKeyIdentifierExtension.create(leafKeys.publicKey as webcrypto.CryptoKey),
        ],
      })
      const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', leafKeys.privateKey as webcrypto.CryptoKey))
      const keyPem = `-----BEGIN PRIVATE KEY-----\n${key.toString('base64').replaceAll(/(.{64})/g, '$1\n')}\n-----END PRIVATE KEY-----\n`
      return { cert: `${leaf.toString('pem')}\n`, key: keyPem }
    },
  }
}
