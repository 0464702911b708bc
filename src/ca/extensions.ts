// The certificate extensions that this room writes and reads (RFC 5280 section 4.2), and algorithm identifiers.
// Pure: no key, no file.
import { hash } from 'node:crypto'
import { boolean, type Bytes, bits, implicit, integer, nothing, octets, oid, sequence } from './der.ts'

export const oids = {
  commonName: oid('2.5.4.3'),
  subjectKeyId: oid('2.5.29.14'),
  keyUsage: oid('2.5.29.15'),
  subjectAltName: oid('2.5.29.17'),
  basicConstraints: oid('2.5.29.19'),
  nameConstraints: oid('2.5.29.30'),
  authorityKeyId: oid('2.5.29.35'),
  extKeyUsage: oid('2.5.29.37'),
  serverAuth: oid('1.3.6.1.5.5.7.3.1'),
  anyExtKeyUsage: oid('2.5.29.37.0'),
} as const

/** How a key signs: the digest for node:crypto, and the identifier that goes into the certificate. */
export interface SignatureAlgorithm {
  readonly digest: 'sha256' | 'sha384'
  readonly identifier: Buffer
}

export const ecdsaSha256: SignatureAlgorithm = { digest: 'sha256', identifier: sequence(oid('1.2.840.10045.4.3.2')) }
export const ecdsaSha384: SignatureAlgorithm = { digest: 'sha384', identifier: sequence(oid('1.2.840.10045.4.3.3')) }
// RFC 4055 section 5: with RSA the parameters are NULL, and present
export const rsaSha256: SignatureAlgorithm = { digest: 'sha256', identifier: sequence(oid('1.2.840.113549.1.1.11'), nothing()) }

export function extension(id: Bytes, critical: boolean, value: Bytes): Buffer {
  return critical ? sequence(id, boolean(true), octets(value)) : sequence(id, octets(value))
}

/** `pathLength` undefined: not a CA. */
export function basicConstraints(pathLength: number | undefined): Buffer {
  const value = pathLength === undefined ? sequence() : sequence(boolean(true), integer(Uint8Array.of(pathLength)))
  return extension(oids.basicConstraints, true, value)
}

export const digitalSignature = extension(oids.keyUsage, true, bits(Uint8Array.of(0x80), 7))
export const certAndCrlSign = extension(oids.keyUsage, true, bits(Uint8Array.of(0x06), 1))
export const serverAuth = extension(oids.extKeyUsage, false, sequence(oids.serverAuth))

export function subjectKeyId(id: Bytes): Buffer {
  return extension(oids.subjectKeyId, false, octets(id))
}

export function authorityKeyId(id: Bytes): Buffer {
  return extension(oids.authorityKeyId, false, sequence(implicit(0, id)))
}

/** Key identifier by RFC 7093 section 2 method 1: the first 160 bits of SHA-256 over the key's bits. */
export function keyIdOf(keyBits: Bytes): Buffer {
  return hash('sha256', keyBits, 'buffer').subarray(0, 20)
}
