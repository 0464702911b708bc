// What an event says of the exchange it is about. The value matched is the value logged.
import type { EventSubject } from '../audit/decision-event.ts'
import type { Exchange, Malformed } from './exchange.ts'

const nobody = { session: 'anonymous', agent: 'unknown', team: undefined, owner: undefined }
const outsider = { ...nobody, session: 'outsider' }

export function subjectOf(about: Exchange | Malformed, mode: 'enforce' | 'monitor'): EventSubject {
  const common = {
    requestId: about.id,
    advisory: about.client.advisory,
    clientAddress: about.client.address,
    protocol: about.protocol,
    userAgent: about.userAgent,
    mode,
  }
  if (!('facts' in about)) {
    const scheme = about.protocol === 'http' ? 'http' : 'https'
    const host = about.authority?.host.text ?? about.rawTarget
    return { ...common, principal: about.isOutsider === true ? outsider : nobody, host, port: about.authority?.port ?? 0, method: about.method, scheme, path: undefined, query: undefined }
  }
  const { principal, host, port, method, scheme, path, query } = about.facts
  return { ...common, principal, host: host.text, port, method, scheme, path, query }
}
