// Names and values of header fields in rules: which a rule may look at, which it may set or strip, and which never
// leave. Framing, hops and the host are the proxy's own business; no rule reaches them.
import { isToken } from '../target/field-syntax.ts'

/** Fields that ask an origin for another method than the request has. Stripped wherever methods are judged or TLS is
 * ended, and never taken for the method of a request. Lower case. */
export const methodOverrideFields: ReadonlySet<string> = new Set(['x-http-method', 'x-http-method-override', 'x-method-override'])

/** Whether the request has one of them, or what CGI takes for it; flat name, value. */
export function overridesMethod(fields: readonly string[]): boolean {
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? ''
    // most fields are told apart by their length alone
    if ((name.length === 13 || name.length === 17 || name.length === 22) && methodOverrideFields.has(name.toLowerCase().replaceAll('_', '-'))) return true
  }
  return false
}

/** Of one hop only: RFC 9110 section 7.6.1, and what proxies of old send. */
const hopFields: ReadonlySet<string> = new Set([
  'connection', 'keep-alive', 'proxy-connection', 'proxy-authenticate', 'proxy-authorization', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'http2-settings',
])
/** As long as field sections are allowed to be; lists of tenants grow. */
export const maxFieldValue = 8 * 1024

/** Why a rule may not be about this field, as the end of a sentence; undefined when it may. */
export function wrongPredicateName(name: string): string | undefined {
  const lower = name.toLowerCase()
  if (!isShortToken(name)) return 'it is no field name'
  if (hopFields.has(lower)) return 'it is of one hop and is not forwarded'
  if (lower === 'host') return 'the host is what `hosts` is about'
  if (lower === 'content-length') return 'it is framing: write `max_content`'
  if (methodOverrideFields.has(lower)) return 'it is stripped before anything is forwarded'
  return undefined
}

/** Why a rule may not set or strip this field, as the end of a sentence; undefined when it may. */
export function wrongChangeName(name: string): string | undefined {
  const lower = name.toLowerCase()
  if (name.startsWith(':')) return 'pseudo fields are the request line'
  if (!isShortToken(name)) return 'it is no field name'
  if (hopFields.has(lower) || lower.startsWith('proxy-')) return 'it is of one hop, which is the proxy\'s own'
  if (lower === 'host') return 'the host of a request is the one that was decided on'
  if (lower === 'content-length' || lower === 'expect') return 'it is framing, which is the proxy\'s own'
  if (lower === 'via' || lower === 'max-forwards') return 'it counts proxies, which is the proxy\'s own'
  if (lower.startsWith('sec-websocket-')) return 'it is the handshake of an upgrade'
  if (methodOverrideFields.has(lower)) return 'it is always stripped'
  return undefined
}

/** Why this cannot be a field's value, as the end of a sentence; undefined when it can. */
export function wrongFieldValue(value: string): string | undefined {
  if (value === '') return 'it is empty: write `strip_headers` to take a field away'
  if (!/^[\x20-\x7e]*$/.test(value)) return 'a field value is visible ASCII on one line'
  if (value.trim() !== value) return 'it starts or ends with white space'
  return value.length > maxFieldValue ? `it is longer than ${maxFieldValue} bytes` : undefined
}

/** A token, as long as names in rules may be. */
export function isShortToken(text: string): boolean {
  return text.length <= 200 && isToken(text)
}
