// What an event says of the exchange it is about. The value matched is the value logged.
import type { EventSubject } from '../audit/decision-event.ts'
import type { Exchange, Malformed } from './exchange.ts'

const nobody = { session: 'anonymous', agent: 'unknown', team: undefined, owner: undefined }
const outsider = { ...nobody, session: 'outsider' }

export function subjectOf(about: Exchange | Malformed, mode: 'enforce' | 'monitor'): EventSubject {
  const { id: requestId, client: { advisory, address: clientAddress }, protocol, userAgent } = about
  if (!('facts' in about)) {
    const scheme = protocol === 'http' ? 'http' : 'https'
    const host = about.authority?.host.text ?? about.rawTarget
    const port = about.authority?.port ?? 0
    const principal = about.isOutsider === true ? outsider : nobody
    return { requestId, principal, advisory, clientAddress, host, port, method: about.method, scheme, protocol, path: undefined, query: undefined, userAgent, mode }
  }
  const { principal, host, port, method, scheme, path, query } = about.facts
  return { requestId, principal, advisory, clientAddress, host: host.text, port, method, scheme, protocol, path, query, userAgent, mode }
}
