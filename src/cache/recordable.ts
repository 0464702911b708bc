// Which requests of a session that records may have their answers kept. Pure. What may carry somebody's credentials, or
// asks for a part or a change, must never be one: unsure is no.
import type { Obligations } from '../policy/decision.ts'

const conditional: ReadonlySet<string> = new Set(['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since', 'if-range', 'range'])
/** Names of fields that credentials come in, beside those that have a standard. */
const secretive = /auth|cookie|token|secret|session|credential|passw|signature|csrf|xsrf|jwt|(?:^|[-_.])sid$|api[-_]?key|[-_]key$/
/** of the way to the proxy; it goes no further (RFC 9110 section 7.6.1) */
const ours: ReadonlySet<string> = new Set(['proxy-authorization', 'proxy-connection'])

/**
 * Fields of a GET as it leaves, flat, if its answer may be kept; undefined: it may not. `fields`: as the client sent them. A
 * rule that sets a field, or judges no certificate, keeps nothing; what a client was not to send counts as sent.
 */
export function recordableFields(fields: readonly string[], { fieldChanges = [], originTrust }: Pick<Obligations, 'fieldChanges' | 'originTrust'>): readonly string[] | undefined {
  if (originTrust?.insecure === true || fieldChanges.some(({ set }) => set.length > 0)) return undefined
  const stripped = new Set(fieldChanges.flatMap(({ strip }) => strip))
  const left: string[] = []
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = fields[i] ?? ''
    const lower = name.toLowerCase()
    if (ours.has(lower)) continue
    if (conditional.has(lower) || secretive.test(lower)) return undefined
    if (!stripped.has(lower)) left.push(name, fields[i + 1] ?? '')
  }
  return left
}
