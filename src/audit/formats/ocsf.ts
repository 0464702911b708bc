// A record as one event of the Open Cybersecurity Schema Framework, version 1.9.0, as one line of JSON. Pure. Which
// class an event is of stands in `builders`; what the schema has no attribute for is in `unmapped`, by the names of
// docs/events.md. It must never say more than the record does, and no attribute that the schema does not know.
import { escapeNonAscii } from '../json-text.ts'
import type { JournalRecord } from '../record.ts'
import type { FormatContext } from './formatter.ts'
import { classOf, type OcsfBuilder, type Json, type OcsfEvent } from './ocsf-classes.ts'
import { entityEvent } from './ocsf-entities.ts'
import { cacheEvent, decisionEvent, endedEvent } from './ocsf-network.ts'
import { callEvent, lifecycleEvent } from './ocsf-application.ts'
import { RecordFields } from './record-fields.ts'

const ocsfVersion = '1.9.0'

const severities = {
  INFO: [1, 'Informational'],
  INFO2: [2, 'Low'],
  WARN: [3, 'Medium'],
  ERROR: [4, 'High'],
} as const

const builders: Readonly<Record<string, OcsfBuilder>> = {
  'sallyport.decision': decisionEvent,
  'sallyport.exchange.ended': endedEvent,
  'sallyport.approval.requested': entityEvent('Approval', 'sallyport.approval.id', 'Create'),
  'sallyport.approval.decided': entityEvent('Approval', 'sallyport.approval.id', 'Update'),
  'sallyport.approval.expired': entityEvent('Approval', 'sallyport.approval.id', 'Deactivate'),
  'sallyport.approval.withdrawn': entityEvent('Approval', 'sallyport.approval.id', 'Deactivate'),
  'sallyport.grant.created': entityEvent('Grant', 'sallyport.grant.id', 'Create'),
  'sallyport.grant.used': entityEvent('Grant', 'sallyport.grant.id', 'Activate'),
  'sallyport.grant.revoked': entityEvent('Grant', 'sallyport.grant.id', 'Delete'),
  'sallyport.grant.expired': entityEvent('Grant', 'sallyport.grant.id', 'Deactivate'),
  'sallyport.session.started': entityEvent('Session', 'session.id', 'Create'),
  'sallyport.session.shared': entityEvent('Session', 'session.id', 'Share'),
  'sallyport.session.ended': entityEvent('Session', 'session.id', 'Delete'),
  'sallyport.policy.loaded': entityEvent('Policy', 'sallyport.policy.revision', 'Update'),
  'sallyport.policy.rejected': entityEvent('Policy', 'sallyport.policy.revision', 'Update'),
  'sallyport.cache.hit': cacheEvent('Cache Hit'),
  'sallyport.cache.missed': cacheEvent('Cache Miss'),
  'sallyport.cache.filled': cacheEvent('Cache Fill'),
  'sallyport.control.called': callEvent,
  'sallyport.process.started': lifecycleEvent('Start'),
  'sallyport.process.stopped': lifecycleEvent('Stop'),
}

/** What no class is for, the journal's events about itself among it. */
const otherEvent: OcsfBuilder = ({ record }) => ({ className: 'base_event', activity: record.name.slice(record.name.lastIndexOf('.') + 1), attributes: {} })

export function ocsfLine(record: JournalRecord, context: FormatContext): string {
  const fields = new RecordFields(record)
  const event = (Object.hasOwn(builders, record.name) ? builders[record.name] : undefined) ?? otherEvent
  return escapeNonAscii(JSON.stringify(whole(fields, event(fields, context), context)))
}

function whole(fields: RecordFields, event: OcsfEvent, context: FormatContext): Readonly<Record<string, Json | undefined>> {
  const { record } = fields
  const [severityId, severity] = severities[record.severity]
  const correlation = fields.peek('sallyport.request.id')
  return {
    ...classOf(event),
    time: fields.timeMs,
    severity_id: severityId,
    severity,
    message: record.body,
    metadata: {
      version: ocsfVersion,
      product: { name: 'sallyport', vendor_name: 'sallyport', version: context.version },
      ...(event.profiles === undefined ? {} : { profiles: event.profiles }),
      uid: record.uid,
      sequence: record.seq,
      event_code: record.name,
      original_time: record.time,
      log_name: 'journal',
      log_provider: 'sallyport',
      ...(correlation === undefined ? {} : { correlation_uid: correlation }),
      labels: [`environment: ${context.environment}`],
    },
    ...event.attributes,
    unmapped: {
      ...Object.fromEntries(fields.rest()),
      'service.instance.id': record.instance,
      'sallyport.prev_hash': record.prev,
      'sallyport.hash': record.hash,
    },
  }
}
