// What signs leaves: the first certificate of root.pem with its key, judged before it signs anything. A root that
// clients would refuse, or whose key does not fit, is refused here, with what to do about it.
import { createPrivateKey, type KeyObject } from 'node:crypto'
import { ProxyError } from '../errors.ts'
import { type Certificate, readCertificate } from './certificate.ts'
import { ecdsaSha256, ecdsaSha384, rsaSha256, type SignatureAlgorithm } from './extensions.ts'
import type { NameLimits } from './name-limits.ts'
import { holdsKey, pemBlocks } from './pem.ts'

export interface Signer {
  readonly certificate: Certificate
  readonly key: KeyObject
  readonly algorithm: SignatureAlgorithm
  /** `EC P-256`, `EC P-384`, `RSA 2048` … */
  readonly keyKind: string
  /** the signer first, then what it was given with */
  readonly chain: readonly Certificate[]
  /** PEM of what a client needs between a leaf and the root that it trusts */
  readonly intermediatesPem: string
  /** latest begin and earliest end in the chain, `ms` */
  readonly notBeforeMs: number
  readonly notAfterMs: number
  readonly limits: readonly NameLimits[]
  readonly origin: 'made' | 'supplied'
}

/** The texts of a pair of files, and where they are, for messages. */
export interface PairText {
  readonly certPath: string
  readonly keyPath: string
  readonly certText: string
  readonly keyText: string
}

/** One of the two files is missing or is not the other's: what a pair looks like while it is made or replaced. */
export class UnsettledError extends ProxyError {}

const minRsaBits = 2048
/** Subject of the roots that this program makes; also how they are known again. */
export const madeSubject = /^CN=sallyport [0-9a-f]{4}-[0-9a-f]{4}$/

/** Judges a pair. Throws ProxyError `ca_unavailable`; UnsettledError when the key is another certificate's. */
export function readSigner(pair: PairText, nowMs: number): Signer {
  const { certPath, keyPath } = pair
  const chain = readChain(pair)
  const [certificate] = chain
  if (certificate === undefined) throw unavailable(`${certPath}: holds no certificate; put the CA certificate in it as PEM, or restore it from a copy`)
  const key = readKey(pair)
  if (!certificate.x509.checkPrivateKey(key)) {
    throw new UnsettledError('ca_unavailable', `${keyPath} is not the key of the first certificate in ${certPath}: put the two files back that belong together, or run \`sallyport ca rotate\` if a rotation was broken off`)
  }
  const { algorithm, keyKind } = algorithmOf(key, keyPath)
  judgeAuthority(certificate, certPath)
  judgeChain(chain, certPath)
  for (const each of chain) judgeTime(each, certPath, nowMs)
  return {
    certificate,
    key,
    algorithm,
    keyKind,
    chain,
    intermediatesPem: chain.filter((each) => !each.isSelfIssued).map(({ pem }) => pem).join(''),
    notBeforeMs: Math.max(...chain.map(({ notBeforeMs }) => notBeforeMs)),
    notAfterMs: Math.min(...chain.map(({ notAfterMs }) => notAfterMs)),
    limits: chain.flatMap(({ nameLimits }) => nameLimits ?? []),
    origin: madeSubject.test(certificate.subject) && certificate.isSelfIssued ? 'made' : 'supplied',
  }
}

export function unavailable(detail: string, cause?: unknown): ProxyError {
  return new ProxyError('ca_unavailable', detail, cause === undefined ? undefined : { cause })
}

function readChain({ certPath, certText, keyPath }: PairText): Certificate[] {
  if (holdsKey(certText)) throw unavailable(`${certPath}: holds a private key, and this file is for everybody to read; move the key to ${keyPath} (mode 0600), and consider it known if others could read it`)
  return certificatesIn(certText, certPath)
}

/** The certificates of a PEM text. Throws ProxyError `ca_unavailable`. */
export function certificatesIn(text: string, path: string): Certificate[] {
  return pemBlocks(text).filter(({ label }) => label === 'CERTIFICATE' || label === 'X509 CERTIFICATE').map(({ der }, at) => {
    try {
      return readCertificate(der)
    } catch (error) {
      throw unavailable(`${path}: certificate ${at + 1} cannot be read (${messageOf(error)}); restore it from a copy`, error)
    }
  })
}

function readKey({ keyPath, keyText }: PairText): KeyObject {
  try {
    return createPrivateKey(keyText)
  } catch (error) {
    const encrypted = keyText.includes('ENCRYPTED')
    throw unavailable(encrypted ? `${keyPath}: the key is encrypted, and nobody is there to type a passphrase; store it without one, mode 0600` : `${keyPath}: is no private key in PEM; restore it from a copy`, error)
  }
}

function algorithmOf(key: KeyObject, keyPath: string): { readonly algorithm: SignatureAlgorithm; readonly keyKind: string } {
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {}
  if (key.asymmetricKeyType === 'ec' && namedCurve === 'prime256v1') return { algorithm: ecdsaSha256, keyKind: 'EC P-256' }
  if (key.asymmetricKeyType === 'ec' && namedCurve === 'secp384r1') return { algorithm: ecdsaSha384, keyKind: 'EC P-384' }
  if (key.asymmetricKeyType === 'rsa' && modulusLength >= minRsaBits) return { algorithm: rsaSha256, keyKind: `RSA ${modulusLength}` }
  const found = key.asymmetricKeyType === 'rsa' ? `RSA ${modulusLength}` : `${key.asymmetricKeyType ?? 'unknown'}${namedCurve === undefined ? '' : ` ${namedCurve}`}`
  throw unavailable(`${keyPath}: the key is ${found}, and it has to be EC P-256, EC P-384 or RSA of ${minRsaBits} bits or more; supply such a CA`)
}

function judgeAuthority(certificate: Certificate, path: string): void {
  const wrong = !certificate.isCa
    ? 'is not a CA (basicConstraints CA:TRUE is missing)'
    : !certificate.maySignCertificates
        ? 'may not sign certificates (keyUsage keyCertSign is missing)'
        : !certificate.mayServe
            ? 'may not sign for servers (extendedKeyUsage is without serverAuth)'
            : undefined
  if (wrong !== undefined) throw unavailable(`${path}: \`${certificate.subject}\` ${wrong}; supply a CA certificate that may`)
}

/** Each certificate signed by the next, and every one of them free to have those above the leaf below it. */
function judgeChain(chain: readonly Certificate[], path: string): void {
  chain.forEach((each, at) => {
    judgeAuthority(each, path)
    if (each.pathLength !== undefined && each.pathLength < at) throw unavailable(`${path}: \`${each.subject}\` allows ${each.pathLength} CA certificates below it and there are ${at}; supply a chain that clients accept`)
    const next = chain[at + 1]
    if (next === undefined) return
    if (!each.x509.checkIssued(next.x509) || !each.x509.verify(next.x509.publicKey)) {
      throw unavailable(`${path}: certificate ${at + 1} is not signed by certificate ${at + 2}; put the signer first and each issuer after what it signed`)
    }
  })
}

function judgeTime({ subject, notBeforeMs, notAfterMs }: Certificate, path: string, nowMs: number): void {
  if (nowMs > notAfterMs) throw unavailable(`${path}: \`${subject}\` has expired on ${day(notAfterMs)}; make a new root with \`sallyport ca rotate\` or supply one, and give it to the clients`)
  if (nowMs < notBeforeMs) throw unavailable(`${path}: \`${subject}\` is not valid before ${day(notBeforeMs)}; is the clock right?`)
}

export function day(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10)
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
