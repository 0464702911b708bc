// One X.509 certificate as this room needs it: what node:crypto reads of it, and what it does not (the name as it
// is encoded, key usage, path length, name constraints). It verifies nothing: signer.ts does.
import { X509Certificate } from 'node:crypto'
import { DerReader } from './der-reader.ts'
import { keyIdOf, oids } from './extensions.ts'
import { decodeNameLimits, type NameLimits } from './name-limits.ts'
import { toPem } from './pem.ts'

export interface Certificate {
  readonly x509: X509Certificate
  /** with its newline */
  readonly pem: string
  /** SHA-256 over the DER, 64 hexadecimal digits in lower case */
  readonly fingerprint: string
  /** `CN=…, O=…` on one line */
  readonly subject: string
  /** DER, exactly as it stands in the certificate: the issuer of what it signs */
  readonly subjectDer: Buffer
  /** its subject key identifier, or what stands in for one */
  readonly keyId: Buffer
  readonly notBeforeMs: number
  readonly notAfterMs: number
  readonly isCa: boolean
  readonly isSelfIssued: boolean
  /** undefined: as many certificates below it as one likes */
  readonly pathLength: number | undefined
  /** no key usage extension permits it too */
  readonly maySignCertificates: boolean
  /** no extended key usage permits it too */
  readonly mayServe: boolean
  readonly nameLimits: NameLimits | undefined
}

interface Fields {
  readonly issuer: Buffer
  readonly subject: Buffer
  readonly keyBits: Buffer
  /** value by hexadecimal identifier */
  readonly extensions: ReadonlyMap<string, Buffer>
}

/** Reads a certificate from DER. Throws an Error for what is none. */
export function readCertificate(der: Uint8Array): Certificate {
  const x509 = new X509Certificate(der)
  const fields = readFields(x509.raw)
  const value = (id: Buffer): Buffer | undefined => fields.extensions.get(id.toString('hex'))
  const keyUsage = value(oids.keyUsage)
  const keyId = value(oids.subjectKeyId)
  const extKeyUsage = value(oids.extKeyUsage)
  const limits = value(oids.nameConstraints)
  const constraints = basicConstraintsOf(value(oids.basicConstraints))
  return {
    x509,
    pem: toPem('CERTIFICATE', x509.raw),
    fingerprint: x509.fingerprint256.replaceAll(':', '').toLowerCase(),
    subject: x509.subject.replaceAll('\n', ', '),
    subjectDer: fields.subject,
    keyId: keyId === undefined ? keyIdOf(fields.keyBits) : new DerReader(keyId).read(0x04).content,
    notBeforeMs: x509.validFromDate.getTime(),
    notAfterMs: x509.validToDate.getTime(),
    isCa: constraints.isCa,
    isSelfIssued: fields.issuer.equals(fields.subject),
    pathLength: constraints.pathLength,
    // bit 5, keyCertSign; the first byte of a bit string says how many bits are padding
    maySignCertificates: keyUsage === undefined || ((new DerReader(keyUsage).read(0x03).content[1] ?? 0) & 0x04) !== 0,
    mayServe: extKeyUsage === undefined || namesServers(extKeyUsage),
    nameLimits: limits === undefined ? undefined : decodeNameLimits(limits),
  }
}

function readFields(der: Uint8Array): Fields {
  const tbs = new DerReader(der).enter(0x30).enter(0x30)
  tbs.optional(0xa0)
  tbs.read(0x02)
  tbs.read(0x30)
  const issuer = tbs.read(0x30).whole
  tbs.read(0x30)
  const subject = tbs.read(0x30).whole
  const key = tbs.enter(0x30)
  key.read(0x30)
  const keyBits = key.read(0x03).content.subarray(1)
  tbs.optional(0x81)
  tbs.optional(0x82)
  const extensions = new Map<string, Buffer>()
  if (!tbs.isAtEnd) {
    const list = tbs.enter(0xa3).enter(0x30)
    while (!list.isAtEnd) {
      const each = list.enter(0x30)
      const id = each.read(0x06).whole
      each.optional(0x01)
      extensions.set(id.toString('hex'), each.read(0x04).content)
    }
  }
  return { issuer, subject, keyBits, extensions }
}

/** Not `X509Certificate.ca`, which says no to a CA without keyCertSign as well: two faults, two messages. */
function basicConstraintsOf(value: Buffer | undefined): { readonly isCa: boolean; readonly pathLength: number | undefined } {
  if (value === undefined) return { isCa: false, pathLength: undefined }
  const inner = new DerReader(value).enter(0x30)
  const isCa = inner.optional(0x01)?.content[0] === 0xff
  const length = inner.optional(0x02)
  return { isCa, pathLength: length === undefined ? undefined : Number(`0x${length.content.toString('hex')}`) }
}

function namesServers(value: Buffer): boolean {
  return new DerReader(value).enter(0x30).rest().some(({ whole }) => whole.equals(oids.serverAuth) || whole.equals(oids.anyExtKeyUsage))
}
