// What we ask of an origin's certificate beyond a chain that OpenSSL has verified: the name in the SAN and
// nowhere else, a key that is worth something, and a leaf that is one. Pure.
import type { X509Certificate } from 'node:crypto'
import { ProxyError } from '../errors.ts'
import type { Host } from '../target/host.ts'
import { quoted } from '../target/quoted.ts'

const minRsaBits = 2048
// the curves of 256 bits and more that OpenSSL has names for and TLS has a use for
const strongCurves: ReadonlySet<string> = new Set([
  'prime256v1', 'secp384r1', 'secp521r1', 'secp256k1',
  'brainpoolP256r1', 'brainpoolP256t1', 'brainpoolP384r1', 'brainpoolP384t1', 'brainpoolP512r1', 'brainpoolP512t1',
])
const strongTypes: ReadonlySet<string> = new Set(['ed25519', 'ed448', 'ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87'])
const serverAuth = '1.3.6.1.5.5.7.3.1'
const basicConstraints = Buffer.from('0603551d13', 'hex')
// no chain is longer; what a peer sends can go round
const maxChain = 12

/** Codes `tls_certificate_name`, `tls_certificate_weak`, `tls_certificate_invalid`. */
export function checkCertificate(leaf: X509Certificate, host: Host): ProxyError | undefined {
  return checkName(leaf, host) ?? checkLeaf(leaf, host) ?? checkKeys(leaf, host)
}

/** RFC 9525: names of the SAN alone, `*` only as the whole leftmost label and never over a top-level name. */
function checkName(leaf: X509Certificate, host: Host): ProxyError | undefined {
  const { subjectAltName } = leaf
  if (subjectAltName === undefined) return wrong('tls_certificate_name', host, 'the certificate has no subjectAltName; a name in its subject counts for nothing')
  const matched = host.kind === 'ip'
    ? leaf.checkIP(host.text)
    : leaf.checkHost(host.text, { subject: 'never', wildcards: true, partialWildcards: false, multiLabelWildcards: false, singleLabelSubdomains: false })
  return matched === undefined ? wrong('tls_certificate_name', host, `the certificate is for ${quoted(subjectAltName)}`) : undefined
}

function checkLeaf(leaf: X509Certificate, host: Host): ProxyError | undefined {
  if (leaf.ca || saysAuthority(leaf.raw)) return wrong('tls_certificate_invalid', host, 'the certificate is an authority\'s own (CA:TRUE)')
  // node gives the extended usages under this name
  const usages: readonly string[] | undefined = leaf.keyUsage
  if (usages !== undefined && !usages.includes(serverAuth)) {
    return wrong('tls_certificate_invalid', host, `the certificate is for ${quoted(usages.join(' '))} and not for servers`)
  }
  return undefined
}

/**
 * node's `ca` is false where the key usage forbids signing, whatever basicConstraints says. A certificate in
 * DER says CA:TRUE in these bytes only (RFC 5280 section 4.2.1.9): OID, perhaps critical, OCTET STRING, SEQUENCE, TRUE.
 */
function saysAuthority(der: Buffer): boolean {
  for (let at = der.indexOf(basicConstraints); at !== -1; at = der.indexOf(basicConstraints, at + 1)) {
    let value = at + basicConstraints.length
    if (der[value] === 0x01) value += 3
    if (der[value] === 0x04 && der[value + 2] === 0x30 && der[value + 4] === 0x01 && der[value + 5] === 0x01 && der[value + 6] !== 0) return true
  }
  return false
}

function checkKeys(leaf: X509Certificate, host: Host): ProxyError | undefined {
  let certificate: X509Certificate | undefined = leaf
  for (let depth = 0; certificate !== undefined && depth < maxChain; depth += 1) {
    const weakness = weaknessOf(certificate)
    if (weakness !== undefined) return wrong('tls_certificate_weak', host, `certificate ${depth} of the chain has ${weakness}`)
    certificate = certificate.issuerCertificate
  }
  return undefined
}

function weaknessOf({ publicKey }: X509Certificate): string | undefined {
  const { asymmetricKeyType: type = 'unknown', asymmetricKeyDetails: details = {} } = publicKey
  if (type === 'rsa' || type === 'rsa-pss') {
    const { modulusLength = 0 } = details
    return modulusLength < minRsaBits ? `an RSA key of ${modulusLength} bits` : undefined
  }
  if (type === 'ec') return strongCurves.has(details.namedCurve ?? '') ? undefined : `a key on the curve ${quoted(details.namedCurve ?? 'unknown')}`
  return strongTypes.has(type) ? undefined : `a key of type ${quoted(type)}`
}

function wrong(code: 'tls_certificate_name' | 'tls_certificate_weak' | 'tls_certificate_invalid', host: Host, detail: string): ProxyError {
  return new ProxyError(code, `${host.text}: ${detail}`)
}
