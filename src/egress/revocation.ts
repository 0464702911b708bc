// Whether a chain that OpenSSL has verified runs through a certificate that its authority has taken back. Asked of our
// own lists and nobody else, so it is soft: an authority without a list here has revoked nothing. node's own `crl` cannot
// do it: with one list every authority of a chain needs one, and the fault that one is missing covers a revocation.
import { X509Certificate } from 'node:crypto'
import { pemBlocks } from '../ca/pem.ts'
import { readIssued, type Issued } from '../ca/revocation-list.ts'
import type { FiledList, RevocationLists } from './revocation-lists.ts'

interface Judged extends Issued {
  readonly x509: X509Certificate
  readonly isTrusted: boolean
}

/** The roots of one context, and what else stands among them, by the name of whom it is for. */
export type TrustedCertificates = ReadonlyMap<string, readonly Judged[]>

export interface Revoked {
  readonly serial: string
  /** of the list */
  readonly path: string
}

/** `pems`: what the context trusts, each text with one certificate or more. Throws for what is none. */
export function readTrusted(pems: readonly string[]): TrustedCertificates {
  const trusted = new Map<string, Judged[]>()
  for (const { der } of pems.flatMap((pem) => pemBlocks(pem))) {
    const each = judgedOf(new X509Certificate(der), true)
    trusted.set(each.subject, [...(trusted.get(each.subject) ?? []), each])
  }
  return trusted
}

/**
 * `leaf`: with what the peer sent behind it, in whatever order. Undefined where a way from the leaf to a root exists on
 * which nothing is revoked. Throws DerError for a certificate that is not DER.
 */
export function revokedIn(leaf: X509Certificate, trusted: TrustedCertificates, lists: RevocationLists): Revoked | undefined {
  const sent: Judged[] = []
  for (let each: X509Certificate | undefined = leaf; each !== undefined; each = each.issuerCertificate) sent.push(judgedOf(each, false))
  return new Walk(sent, trusted, lists).revoked()
}

function judgedOf(x509: X509Certificate, isTrusted: boolean): Judged {
  return { ...readIssued(x509.raw), x509, isTrusted }
}

class Walk {
  readonly #sent: readonly Judged[]
  readonly #trusted: TrustedCertificates
  readonly #lists: RevocationLists

  constructor(sent: readonly Judged[], trusted: TrustedCertificates, lists: RevocationLists) {
    this.#sent = sent
    this.#trusted = trusted
    this.#lists = lists
  }

  /** OpenSSL does not say which way it went, and a peer can send what leads nowhere: every way is gone. */
  revoked(): Revoked | undefined {
    const seen = new Set<string>()
    const open = this.#sent.slice(0, 1)
    let first: Revoked | undefined
    for (let each = open.pop(); each !== undefined; each = open.pop()) {
      if (seen.has(each.x509.fingerprint256)) continue
      seen.add(each.x509.fingerprint256)
      // a root is trusted because it stands there, whatever a list says
      if (this.#isRoot(each)) return undefined
      const issuers = this.#issuersOf(each)
      const list = this.#listNaming(each, issuers)
      if (list === undefined) open.push(...issuers)
      else first ??= { serial: each.serial, path: list.path }
    }
    return first
  }

  #isRoot({ issuer, subject, x509: { fingerprint256 } }: Judged): boolean {
    return issuer === subject && (this.#trusted.get(subject) ?? []).some(({ x509 }) => x509.fingerprint256 === fingerprint256)
  }

  /** Those whose key has signed it; more than one where an authority is certified by several. */
  #issuersOf({ issuer, x509 }: Judged): readonly Judged[] {
    const named = [...(this.#trusted.get(issuer) ?? []), ...this.#sent.filter(({ subject }) => subject === issuer)]
    return named.filter((each) => x509.verify(each.x509.publicKey))
  }

  #listNaming({ issuer, serial }: Judged, issuers: readonly Judged[]): FiledList | undefined {
    return this.#lists.of(issuer).find((list) => {
      const isSigned = issuers.some(({ x509 }) => list.isSignedBy(x509.publicKey))
      if (isSigned) this.#lists.trust(list)
      else this.#lists.doubt(list)
      return isSigned && list.names(serial)
    })
  }
}
