// Leaves: certificates for one host each, by a hand-written DER template and one signature. They are accepted by
// strict verifiers (RFC 5280 with AKI and SKI), last three days at most, and never longer than what signed them.
import { generateKeyPairSync, randomFillSync, sign } from 'node:crypto'
import { ProxyError } from '../errors.ts'
import { formatHost, type Host } from '../target/host.ts'
import type { Leaf } from './authority.ts'
import { bits, type Bytes, explicit, implicit, integer, sequence, time } from './der.ts'
import { authorityKeyId, basicConstraints, digitalSignature, extension, keyIdOf, oids, serverAuth, subjectKeyId } from './extensions.ts'
import { permits } from './name-limits.ts'
import { toPem } from './pem.ts'
import type { Signer } from './signer.ts'

const hourMs = 3_600_000
/** clocks of clients may be behind ours */
const backdateMs = hourMs
/** RFC 5280 section 4.1.2.5 counts both ends, so a second less than 72 hours after the begin */
const lifeMs = 72 * hourMs - 1000
const serialBytes = 16
const version3 = explicit(0, integer(Uint8Array.of(2)))

/** The one key of all leaves of a process. */
export interface LeafKey {
  /** SubjectPublicKeyInfo, DER */
  readonly publicKey: Buffer
  /** PKCS #8 */
  readonly keyPem: string
}

export function makeLeafKey(): LeafKey {
  const { publicKey, privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  return { publicKey, keyPem: privateKey }
}

/** The root is bound to other hosts. Its detail names nothing but the host. */
export class UnsignableHost extends ProxyError {
  constructor(host: Host) {
    super('ca_unavailable', `the root may not sign for ${formatHost(host)}: \`sallyport ca rotate\``)
  }
}

export class LeafMaker {
  readonly #signer: Signer
  readonly #keyPem: string
  /** between serial number and validity: algorithm and issuer */
  readonly #head: Buffer
  /** between validity and extensions: no subject, public key */
  readonly #middle: Buffer
  /** all extensions but the name */
  readonly #extensions: Buffer
  // a call for random bytes costs as much as the rest of the template, and so does a date: both are shared
  readonly #random = Buffer.alloc(serialBytes * 128)
  #randomAt = this.#random.length
  #validity: { readonly beginMs: number; readonly der: Buffer } | undefined

  constructor(signer: Signer, key: LeafKey) {
    this.#signer = signer
    this.#keyPem = key.keyPem
    this.#head = Buffer.concat([signer.algorithm.identifier, signer.certificate.subjectDer])
    this.#middle = Buffer.concat([sequence(), key.publicKey])
    // an uncompressed point of 65 bytes is the end of a P-256 key
    const keyId = keyIdOf(key.publicKey.subarray(-65))
    this.#extensions = Buffer.concat([
      serverAuth,
      digitalSignature,
      basicConstraints(undefined),
      authorityKeyId(signer.certificate.keyId),
      subjectKeyId(keyId),
    ])
  }

  /** When a leaf that is made now would end, `ms`, whole seconds. */
  endOf(nowMs: number): number {
    const begin = beginOf(nowMs, this.#signer.notBeforeMs)
    return Math.min(begin + lifeMs, this.#signer.notAfterMs)
  }

  /** A new leaf. Throws ProxyError `ca_unavailable` when the signer has ended or may not sign for the host. */
  make(host: Host, nowMs: number): Leaf {
    const { key, algorithm, notAfterMs: rootEndMs, limits, intermediatesPem } = this.#signer
    if (nowMs > rootEndMs) throw new ProxyError('ca_unavailable', 'the root has expired: `sallyport ca rotate`')
    if (!permits(limits, host)) throw new UnsignableHost(host)
    const notAfterMs = this.endOf(nowMs)
    const body = sequence(
      version3,
      integer(this.#serialNumber()),
      this.#head,
      this.#validityFrom(beginOf(nowMs, this.#signer.notBeforeMs), notAfterMs),
      this.#middle,
      explicit(3, sequence(this.#extensions, alternativeName(host))),
    )
    const certificate = sequence(body, algorithm.identifier, bits(sign(algorithm.digest, body, key)))
    return { chainPem: toPem('CERTIFICATE', certificate) + intermediatesPem, keyPem: this.#keyPem, notAfterMs }
  }

  /** The end follows from the begin. */
  #validityFrom(beginMs: number, endMs: number): Buffer {
    if (this.#validity?.beginMs !== beginMs) this.#validity = { beginMs, der: sequence(time(beginMs), time(endMs)) }
    return this.#validity.der
  }

  /** 128 random bits, each time others, never all zero. */
  #serialNumber(): Bytes {
    if (this.#randomAt === this.#random.length) {
      randomFillSync(this.#random)
      this.#randomAt = 0
    }
    const serial = this.#random.subarray(this.#randomAt, this.#randomAt + serialBytes)
    this.#randomAt += serialBytes
    if (serial.every((byte) => byte === 0)) serial[serialBytes - 1] = 1
    return serial
  }
}

function beginOf(nowMs: number, rootBeginMs: number): number {
  return Math.max(Math.floor((nowMs - backdateMs) / 1000) * 1000, rootBeginMs)
}

/** Critical, because the subject is empty (RFC 5280 section 4.2.1.6). */
function alternativeName(host: Host): Buffer {
  const name = host.kind === 'name' ? implicit(2, Buffer.from(host.text, 'latin1')) : implicit(7, addressBytes(host.ip))
  return extension(oids.subjectAltName, true, sequence(name))
}

function addressBytes({ family, bits: value }: { readonly family: 4 | 6; readonly bits: bigint }): Buffer {
  return Buffer.from(value.toString(16).padStart(family === 4 ? 8 : 32, '0'), 'hex')
}
