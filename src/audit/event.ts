// The shape of everything that is journaled. Pure. The names are a contract (docs/events.md).
import type { Personal } from './personal.ts'

export const eventNames = [
  'sallyport.decision',
  'sallyport.exchange.ended',
  'sallyport.approval.requested',
  'sallyport.approval.decided',
  'sallyport.approval.expired',
  'sallyport.approval.withdrawn',
  'sallyport.grant.created',
  'sallyport.grant.used',
  'sallyport.grant.revoked',
  'sallyport.grant.expired',
  'sallyport.cache.hit',
  'sallyport.cache.missed',
  'sallyport.cache.filled',
  'sallyport.session.started',
  'sallyport.session.shared',
  'sallyport.session.ended',
  'sallyport.control.called',
  'sallyport.policy.loaded',
  'sallyport.policy.rejected',
  'sallyport.audit.gap',
  'sallyport.audit.checkpoint',
  'sallyport.audit.erased',
  'sallyport.audit.heartbeat',
  'sallyport.destination.changed',
  'sallyport.process.started',
  'sallyport.process.stopped',
] as const
export type EventName = (typeof eventNames)[number]

/** allow INFO, prompt and pending INFO2, deny and refused WARN, own fault ERROR */
export type Severity = 'INFO' | 'INFO2' | 'WARN' | 'ERROR'

export type AttributeValue = string | number | boolean | readonly string[]

export interface AuditEvent {
  readonly name: EventName
  readonly severity: Severity
  /** one line for people; control characters escaped */
  readonly body: string
  /** undefined members are left out of the record */
  readonly attributes: Readonly<Record<string, AttributeValue | undefined>>
  /** session whose quota this counts against; decisions have one */
  readonly session?: string | undefined
  /** what of it belongs to whom, and is sealed under their keys; absent: nothing, or the event says so itself */
  readonly personal?: Personal | undefined
}

/** What gate and app write to. `append` resolves when the record is in the operating system's hands, with
 * `audit.durability = "power"` when it is on the disk, and rejects with ProxyError `audit_unavailable` when it
 * cannot be: then nothing may be allowed. */
export interface AuditSink {
  append(event: AuditEvent): Promise<void>
}
