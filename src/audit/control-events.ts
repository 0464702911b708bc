// Builds the event of one authenticated call of the control plane. Pure. It names the route by its template:
// a raw path, a query or a body never stands in it.
import type { AuditEvent, Severity } from './event.ts'
import { labelText, optionalLabel } from './label-text.ts'
import { personalEvent, type Say } from './personal.ts'

export interface ControlCall {
  /** name of whoever called */
  readonly actor: string
  readonly kind: string
  readonly role: string
  readonly method: string
  /** template of the route: `/v1/approvals/{id}` */
  readonly route: string
  readonly status: number
  readonly requestId: string
  readonly clientAddress: string
  /** id of the approval, grant, session or token that it was about */
  readonly subjectId: string | undefined
  /** of the control API, where the call was refused */
  readonly code?: string | undefined
  /** what it asked for that stands out: a file, a filter, that robots.txt is ignored */
  readonly detail?: string | undefined
}

const maxMethod = 64

/** Somebody with credentials called, whatever came of it. */
export function controlCalledEvent(call: ControlCall): AuditEvent {
  const subject = call.subjectId === undefined ? '' : ` on ${labelText(call.subjectId)}`
  const code = call.code === undefined ? '' : ` (${labelText(call.code)})`
  const body = (say: Say): string =>
    `${say('sallyport.actor.name', labelText(call.actor))} (${labelText(call.role)}) called ${call.method.slice(0, maxMethod)} ${labelText(call.route)}${subject}: ${call.status}${code}${call.detail === undefined ? '' : `; ${say('sallyport.control.detail', labelText(call.detail))}`}`
  // who could not be told is nobody whose key there could be
  const person = call.kind === 'none' ? undefined : call.actor
  return personalEvent({
    name: 'sallyport.control.called',
    severity: severityOf(call.status),
    attributes: {
      'sallyport.request.id': labelText(call.requestId),
      'sallyport.actor.name': labelText(call.actor),
      'sallyport.actor.kind': labelText(call.kind),
      'sallyport.actor.role': labelText(call.role),
      'client.address': call.clientAddress === '' ? 'unknown' : labelText(call.clientAddress),
      'http.request.method': call.method.slice(0, maxMethod),
      'http.route': labelText(call.route),
      'http.response.status_code': call.status,
      'sallyport.code': optionalLabel(call.code),
      'sallyport.subject.id': optionalLabel(call.subjectId),
      'sallyport.control.detail': optionalLabel(call.detail),
    },
  }, body, [{ person, attributes: ['sallyport.actor.name', 'client.address', 'sallyport.control.detail'] }])
}

function severityOf(status: number): Severity {
  if (status >= 500) return 'ERROR'
  return status >= 400 ? 'WARN' : 'INFO'
}
