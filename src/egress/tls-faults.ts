// What went wrong between us and an origin's TLS, as a code of the error table: one table over the names that
// node and OpenSSL give. Pure. Whatever the table does not know is a failed handshake, never a good one.
import { ProxyError, type ErrorCode } from '../errors.ts'
import { quoted } from '../target/quoted.ts'

type TlsCode = Extract<ErrorCode, `tls_${string}`>

// node's names of X509_V_ERR_*, https://docs.openssl.org/3.5/man3/X509_STORE_CTX_get_error/
const codes: ReadonlyMap<string, TlsCode> = new Map<string, TlsCode>([
  ['CERT_HAS_EXPIRED', 'tls_certificate_expired'],
  ['CERT_NOT_YET_VALID', 'tls_certificate_not_yet_valid'],
  ['HOSTNAME_MISMATCH', 'tls_certificate_name'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'tls_certificate_name'],
  ['ERR_TLS_CERT_ALTNAME_FORMAT', 'tls_certificate_name'],
  ...among('tls_certificate_untrusted', [
    'DEPTH_ZERO_SELF_SIGNED_CERT', 'SELF_SIGNED_CERT_IN_CHAIN', 'UNABLE_TO_GET_ISSUER_CERT', 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'CERT_UNTRUSTED', 'CERT_REJECTED', 'CERT_SIGNATURE_FAILURE', 'UNABLE_TO_DECRYPT_CERT_SIGNATURE',
    'UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY', 'CERT_CHAIN_TOO_LONG',
  ]),
  ...among('tls_certificate_invalid', [
    'INVALID_CA', 'PATH_LENGTH_EXCEEDED', 'INVALID_PURPOSE', 'ERROR_IN_CERT_NOT_BEFORE_FIELD', 'ERROR_IN_CERT_NOT_AFTER_FIELD',
    // node has no name for the others: an unknown critical extension, an issuer that may not sign, name constraints
    'UNSPECIFIED',
  ]),
  ...among('tls_certificate_weak', ['EE_KEY_TOO_SMALL', 'CA_KEY_TOO_SMALL', 'CA_MD_TOO_WEAK', 'ERR_SSL_EE_KEY_TOO_SMALL', 'ERR_SSL_CA_KEY_TOO_SMALL', 'ERR_SSL_CA_MD_TOO_WEAK']),
])

function among(code: TlsCode, names: readonly string[]): [string, TlsCode][] {
  return names.map((name) => [name, code])
}

/** The fault of a handshake with `host`; the cause stays in `cause` and its name in the detail. */
export function tlsFault(host: string, error: unknown): ProxyError {
  if (error instanceof ProxyError) return error
  const name = textOf(error, 'code') ?? 'no code'
  // OpenSSL's own message ends in a source file, node's in advice for its own users
  const reason = textOf(error, 'reason') ?? (error instanceof Error ? error.message.split(';', 1)[0] ?? '' : String(error))
  // the one family that node gives no name of its own and that is not about what a certificate is for
  const isWeak = name === 'UNSPECIFIED' && /too weak|too small/.test(reason)
  const code = isWeak ? 'tls_certificate_weak' : codes.get(name) ?? 'tls_handshake_failed'
  return new ProxyError(code, `${host}: ${name}: ${quoted(reason)}`, { cause: error })
}

/** The origin speaks none of the protocols that were offered by ALPN (RFC 7301 section 3.2). */
export function isNoCommonProtocol(error: unknown): boolean {
  return error instanceof ProxyError && (textOf(error.cause, 'code')?.endsWith('_NO_APPLICATION_PROTOCOL') ?? false)
}

/** On a connection that stands: an alert of the peer's, or a record that nobody can read. */
export function isTlsFault(error: Error): boolean {
  const code = textOf(error, 'code') ?? ''
  return code.startsWith('ERR_SSL_') || code === 'EPROTO'
}

/**
 * Of these, an alert. In TLS 1.3 our side of a handshake is through before the origin says that it refuses it, such as
 * for want of a client certificate (RFC 8446 section 4.4.2.4). Where a write meets it node says EPROTO.
 */
export function isTlsAlert(error: Error): boolean {
  return /^ERR_SSL_.*_ALERT_|^EPROTO$/.test(textOf(error, 'code') ?? '')
}

function textOf(error: unknown, member: 'code' | 'reason'): string | undefined {
  const value: unknown = error instanceof Error ? Reflect.get(error, member) : undefined
  return typeof value === 'string' ? value : undefined
}
