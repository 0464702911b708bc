// Builds the event that closes an exchange: how it went, how much went each way, to which address.
// Pure. Every decision that let something through, or refused it, is followed by exactly one of these.
import type { ErrorCode } from '../errors.ts'
import { isOwnFault } from './decision-event.ts'
import { escapeText } from './escape.ts'
import type { AuditEvent, Severity } from './event.ts'
import type { EventSubject } from './event-subject.ts'
import { requestAttributes, shownHost, subjectAttributes } from './event-subject.ts'
import type { Redaction } from './redaction.ts'

export interface Ending {
  /** `refused`: the answer was ours; `failed`: the origin's or our fault; `expired`: closed by a limit or a change of policy */
  readonly outcome: 'completed' | 'refused' | 'failed' | 'expired'
  readonly code?: ErrorCode | undefined
  /** status the client was sent */
  readonly status?: number | undefined
  readonly bytesFromClient: number
  readonly bytesFromOrigin: number
  readonly durationMs: number
  /** the vetted address that was dialled */
  readonly peerAddress?: string | undefined
}

/** The end of an exchange; with `redaction` it also says which URL, as far as that may be said. */
export function endedEvent(subject: EventSubject, ending: Ending, redaction?: Redaction): AuditEvent {
  const { code, outcome } = ending
  const bytes = `${ending.bytesFromClient} bytes out, ${ending.bytesFromOrigin} bytes in, ${Math.round(ending.durationMs)} ms`
  return {
    name: 'sallyport.exchange.ended',
    severity: severityOf(ending),
    body: escapeText(`${outcome} ${shownHost(subject.host)}:${subject.port}${code === undefined ? '' : ` (${code})`}: ${bytes}`),
    attributes: {
      ...subjectAttributes(subject),
      ...(redaction === undefined ? undefined : requestAttributes(subject, redaction)),
      'sallyport.outcome': outcome,
      'sallyport.code': code,
      'http.response.status_code': ending.status,
      'network.peer.address': ending.peerAddress,
      'sallyport.bytes_from_client': ending.bytesFromClient,
      'sallyport.bytes_from_origin': ending.bytesFromOrigin,
      'sallyport.duration_ms': Math.round(ending.durationMs * 1000) / 1000,
    },
  }
}

function severityOf({ code, outcome }: Ending): Severity {
  if (isOwnFault(code)) return 'ERROR'
  return outcome === 'completed' || outcome === 'expired' ? 'INFO' : 'WARN'
}
