// Builds the events about where records go: a destination that changed, and the heartbeat that makes silence
// visible. Pure. A change of destination is on record before anything is sent to the new place.
import { escapeText } from './escape.ts'
import type { AuditEvent } from './event.ts'
import { scrubText } from './redaction.ts'

/** `untold`: the old place could not be told of its end */
export type DestinationChange = 'added' | 'removed' | 'moved' | 'filtered' | 'untold'

const changeWords: Record<DestinationChange, string> = {
  added: 'is new',
  removed: 'is gone, and records that it has not taken are not held back for it any more',
  moved: 'is another place now',
  filtered: 'is sent other records now',
  untold: 'was changed, and the old place could not be told',
}

/** The settings name another destination than at the last start. `was` and `is` say where, and what is sent there. */
export function destinationChangedEvent(changed: { readonly name: string; readonly change: DestinationChange; readonly was: string | undefined; readonly is: string | undefined; readonly detail?: string | undefined }): AuditEvent {
  const { name, change, was, is, detail } = changed
  return {
    name: 'sallyport.destination.changed',
    severity: change === 'added' ? 'INFO' : 'WARN',
    body: escapeText(`destination ${name} ${changeWords[change]}${detail === undefined ? '' : `: ${detail}`}`),
    attributes: {
      'sallyport.destination': name,
      'sallyport.destination.change': change,
      'sallyport.destination.was': was === undefined ? undefined : scrubText(was, 1024),
      'sallyport.destination.is': is === undefined ? undefined : scrubText(is, 1024),
      'sallyport.reason': detail?.slice(0, 1024),
    },
  }
}

export function destinationUntoldEvent(name: string, detail: string): AuditEvent {
  return destinationChangedEvent({ name, change: 'untold', was: undefined, is: undefined, detail })
}

export interface HeartbeatFigures {
  /** since the last heartbeat, or since the start */
  readonly sinceMs: number
  readonly records: number
  readonly allowed: number
  readonly denied: number
  readonly asked: number
  readonly destinations: readonly { readonly name: string; readonly undelivered: number }[]
  /** age of the oldest record that some destination has not taken; 0 when there is none */
  readonly oldestUndeliveredMs: number
  readonly uptimeMs: number
}

/** The proxy is alive, and this is what it did: a collector that hears none of these has lost it. */
export function heartbeatEvent(figures: HeartbeatFigures): AuditEvent {
  const { sinceMs, records, allowed, denied, asked, destinations, oldestUndeliveredMs, uptimeMs } = figures
  const most = destinations.reduce((max, { undelivered }) => Math.max(max, undelivered), 0)
  return {
    name: 'sallyport.audit.heartbeat',
    severity: 'INFO',
    body: `alive: ${allowed} allowed, ${denied} denied, ${asked} asked about in ${Math.round(sinceMs / 1000)} s, ${most} records undelivered at most`,
    attributes: {
      'sallyport.heartbeat.interval_ms': Math.round(sinceMs),
      'sallyport.heartbeat.records': records,
      'sallyport.heartbeat.allowed': allowed,
      'sallyport.heartbeat.denied': denied,
      'sallyport.heartbeat.asked': asked,
      'sallyport.undelivered': most,
      'sallyport.undelivered.by_destination': destinations.map(({ name, undelivered }) => `${name} ${undelivered}`),
      'sallyport.undelivered.oldest_ms': Math.round(oldestUndeliveredMs),
      'sallyport.duration_ms': Math.round(uptimeMs),
    },
  }
}
