// Builds the event that closes an exchange: how it went, how much went each way, to which address.
// Pure. Every decision that let something through, or refused it, is followed by exactly one of these.
// It says who and where once more, so that it can be read alone; why is for the decision to say.
import type { ErrorCode } from '../errors.ts'
import { isOwnFault } from './decision-event.ts'
import type { AuditEvent, Severity } from './event.ts'
import type { EventSubject } from './event-subject.ts'
import { clientPart, showSubject, subjectStart } from './event-subject.ts'
import { jsonNumber, jsonText } from './json-text.ts'
import { eventEnd, eventStart, PreparedEvent, shownBody } from './prepared-event.ts'

export interface Ending {
  /** `refused`: the answer was ours; `pending`: the client was told to come back; `failed`: the origin's or our fault;
   * `expired`: closed by a limit or a change of policy */
  readonly outcome: 'completed' | 'refused' | 'pending' | 'failed' | 'expired'
  readonly code?: ErrorCode | undefined
  /** status the client was sent */
  readonly status?: number | undefined
  readonly bytesFromClient: number
  readonly bytesFromOrigin: number
  /** the vetted address that was dialled */
  readonly peerAddress?: string | undefined
}

const outcomeJson = {
  completed: ',"sallyport.outcome":"completed"',
  refused: ',"sallyport.outcome":"refused"',
  pending: ',"sallyport.outcome":"pending"',
  failed: ',"sallyport.outcome":"failed"',
  expired: ',"sallyport.outcome":"expired"',
} as const

/** The end of an exchange that took `durationMs`. */
export function endedEvent(subject: EventSubject, ending: Ending, durationMs: number): AuditEvent {
  const { code, outcome, status, peerAddress, bytesFromClient, bytesFromOrigin } = ending
  const { host, hostJson, json, clientJson } = showSubject(subject)
  let attributes = outcomeJson[outcome]
  if (code !== undefined) attributes += `,"sallyport.code":"${code}"`
  if (status !== undefined) attributes += `,"http.response.status_code":${jsonNumber(status)}`
  if (peerAddress !== undefined) attributes += `,"network.peer.address":"${jsonText(peerAddress)}"`
  attributes += `,"sallyport.bytes_from_client":${jsonNumber(bytesFromClient)},"sallyport.bytes_from_origin":${jsonNumber(bytesFromOrigin)}`
    + `,"sallyport.duration_ms":${jsonNumber(Math.round(durationMs * 1000) / 1000)}`
  // a refusal moves nothing that a person would want to read about
  const amount = outcome === 'refused' || outcome === 'pending' ? '' : `: ${bytesFromClient} bytes out, ${bytesFromOrigin} bytes in, ${Math.round(durationMs)} ms`
  const { body, json: bodyJson } = shownBody(`${outcome} ${host}:${subject.port}${code === undefined ? '' : ` (${code})`}${amount}`, hostJson === host)
  const { owner } = subject.principal
  const start = eventStart(bodyJson)
  const front = subjectStart + json
  const back = attributes + eventEnd
  return new PreparedEvent({
    name: 'sallyport.exchange.ended',
    severity: severityOf(ending),
    body,
    json: owner === undefined || clientJson === undefined ? start + front + back : { start, sealedStart: start, front, back, parts: [clientPart(subject, owner, clientJson)] },
    session: undefined,
  })
}

function severityOf({ code, outcome }: Ending): Severity {
  if (isOwnFault(code)) return 'ERROR'
  if (outcome === 'pending') return 'INFO2'
  return outcome === 'completed' || outcome === 'expired' ? 'INFO' : 'WARN'
}
