import { X509Certificate } from 'node:crypto'
import t from 'tap'
import { checkCertificate } from '../../src/egress/certificate-checks.ts'
import { isNoCommonProtocol, tlsFault } from '../../src/egress/tls-faults.ts'
import { ProxyError } from '../../src/errors.ts'
import { parseHost } from '../../src/target/host.ts'
import { signsCertificates, testCertificates } from '../support/certificates.ts'

const certificates = await testCertificates()

t.test('keys of less than P-256 are weak, whatever TLS would have negotiated', async (t) => {
  const check = async (key: 'P-224' | 'P-256' | 'P-384' | 'RSA-1024' | 'RSA-2048' | 'Ed25519') => {
    const { cert } = await certificates.issue(['a.test'], { key })
    return checkCertificate(new X509Certificate(cert), parseHost('a.test'))?.code
  }
  t.equal(await check('P-224'), 'tls_certificate_weak')
  t.equal(await check('RSA-1024'), 'tls_certificate_weak')
  for (const key of ['P-256', 'P-384', 'RSA-2048', 'Ed25519'] as const) t.equal(await check(key), undefined, key)
})

t.test('an authority is no server, whether its key usage lets it sign or not', async (t) => {
  for (const keyUsage of [signsCertificates, undefined]) {
    const { cert } = await certificates.issue(['a.test'], { isCa: true, ...(keyUsage === undefined ? {} : { keyUsage }) })
    t.match(checkCertificate(new X509Certificate(cert), parseHost('a.test')), { code: 'tls_certificate_invalid' })
  }
})

t.test('a hostile name in a certificate is shown as visible ASCII and cut', async (t) => {
  const { cert } = await certificates.issue([`evil\u001b[31m\n${'x'.repeat(300)}.test`])
  const fault = checkCertificate(new X509Certificate(cert), parseHost('a.test'))
  t.match(fault, { code: 'tls_certificate_name' })
  t.match(fault?.detail ?? '', /^a\.test: [\x20-\x7e]{1,400}$/)
})

t.test('a code that the table does not know is a failed handshake, and what is a fault already stays it', async (t) => {
  const strange = Object.assign(new Error('0123:error:x\n'), { code: 'ERR_SSL_SOMETHING_NEW', reason: 'something new' })
  t.match(tlsFault('a.test', strange), { code: 'tls_handshake_failed', detail: 'a.test: ERR_SSL_SOMETHING_NEW: `something new`', cause: strange })
  t.match(tlsFault('a.test', new Error('plain')), { code: 'tls_handshake_failed', detail: 'a.test: no code: `plain`' })
  t.match(tlsFault('a.test', 'no error at all'), { code: 'tls_handshake_failed' })
  const known = new ProxyError('connection_reset', 'x')
  t.equal(tlsFault('a.test', known), known)
  for (const [code, want] of [
    ['CERT_HAS_EXPIRED', 'tls_certificate_expired'], ['PATH_LENGTH_EXCEEDED', 'tls_certificate_invalid'],
    ['CA_MD_TOO_WEAK', 'tls_certificate_weak'], ['HOSTNAME_MISMATCH', 'tls_certificate_name'], ['SELF_SIGNED_CERT_IN_CHAIN', 'tls_certificate_untrusted'],
  ] as const) t.equal(tlsFault('a.test', Object.assign(new Error('x'), { code })).code, want, code)
  t.equal(tlsFault('a.test', Object.assign(new Error('CA signature digest algorithm too weak'), { code: 'UNSPECIFIED' })).code, 'tls_certificate_weak')
  t.equal(tlsFault('a.test', Object.assign(new Error('permitted subtree violation'), { code: 'UNSPECIFIED' })).code, 'tls_certificate_invalid')
  t.equal(isNoCommonProtocol(tlsFault('a.test', Object.assign(new Error('x'), { code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL' }))), true)
  t.equal(isNoCommonProtocol(tlsFault('a.test', strange)), false)
})
