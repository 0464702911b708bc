// Builds the events about the proxy itself: its policy, its process, and its journal. Pure. A gap event
// says that records are missing and why; it must never be left out because it looks bad.
import type { CheckpointHead, CheckpointReason, SignedCheckpoint } from './checkpoint.ts'
import { escapeText } from './escape.ts'
import type { AuditEvent } from './event.ts'
import { isoTime } from './label-text.ts'
import { scrubText } from './redaction.ts'

/** A policy became the one that decides. */
export function policyLoadedEvent(loaded: {
  readonly revision: string
  readonly previousRevision: string | undefined
  readonly mode: 'enforce' | 'monitor'
  readonly ruleCount: number
  readonly feedNames: number
  readonly files: readonly string[]
  readonly warnings: number
}): AuditEvent {
  return {
    name: 'sallyport.policy.loaded',
    severity: 'INFO',
    body: escapeText(`policy ${loaded.revision} loaded: ${loaded.ruleCount} rules from ${loaded.files.length} files, mode ${loaded.mode}`),
    attributes: {
      'sallyport.policy.revision': loaded.revision,
      'sallyport.policy.previous_revision': loaded.previousRevision,
      'sallyport.mode': loaded.mode,
      'sallyport.policy.rules': loaded.ruleCount,
      'sallyport.policy.feed_names': loaded.feedNames,
      'sallyport.policy.files': loaded.files.slice(0, 64),
      'sallyport.policy.warnings': loaded.warnings,
    },
  }
}

/** A changed policy was invalid; the last good one (`revision`, if there is any) goes on deciding. */
export function policyRejectedEvent(rejected: {
  readonly revision: string | undefined
  readonly problems: readonly { readonly file: string; readonly line: number; readonly message: string }[]
}): AuditEvent {
  const problems = rejected.problems.map(({ file, line, message }) => `${file}:${line}: ${message}`.slice(0, 512))
  const kept = rejected.revision === undefined ? 'nothing is allowed' : `policy ${rejected.revision} stays`
  return {
    name: 'sallyport.policy.rejected',
    severity: 'ERROR',
    body: escapeText(`policy rejected, ${kept}: ${problems[0] ?? 'unknown problem'}${problems.length > 1 ? ` and ${problems.length - 1} more` : ''}`),
    attributes: {
      'sallyport.policy.revision': rejected.revision,
      'sallyport.policy.problem_count': problems.length,
      'sallyport.policy.problems': problems.slice(0, 16),
    },
  }
}

/** The process opened its listeners. */
export function processStartedEvent(started: {
  readonly version: string
  readonly pid: number
  readonly listeners: readonly string[]
  readonly revision: string | undefined
  readonly mode: 'enforce' | 'monitor'
  readonly advisory: boolean
  /** what the proxy itself reports to; a change of it is thus on record */
  readonly exporterEndpoint: string | undefined
  /** each as `describeDestination` says it */
  readonly destinations: readonly string[]
}): AuditEvent {
  return {
    name: 'sallyport.process.started',
    severity: 'INFO',
    body: escapeText(`sallyport ${started.version} started, listening on ${started.listeners.join(', ')}`),
    attributes: {
      'service.version': started.version,
      'process.pid': started.pid,
      'sallyport.listeners': started.listeners,
      'sallyport.policy.revision': started.revision,
      'sallyport.mode': started.mode,
      'sallyport.advisory': started.advisory,
      'sallyport.exporter.endpoint': started.exporterEndpoint === undefined ? undefined : scrubText(started.exporterEndpoint, 1024),
      'sallyport.exporter.destinations': started.destinations.map((destination) => scrubText(destination, 1024)),
    },
  }
}

/** The process stops in good order; a start without this before it followed a crash. */
export function processStoppedEvent(stopped: { readonly version: string; readonly pid: number; readonly reason: string; readonly uptimeMs: number }): AuditEvent {
  return {
    name: 'sallyport.process.stopped',
    severity: 'INFO',
    body: escapeText(`sallyport ${stopped.version} stopped: ${stopped.reason}`),
    attributes: {
      'service.version': stopped.version,
      'process.pid': stopped.pid,
      'sallyport.reason': stopped.reason.slice(0, 1024),
      'sallyport.duration_ms': Math.round(stopped.uptimeMs),
    },
  }
}

/** Why records are missing, or are not where they should be. */
export type GapCause =
  /** the journal could not be written; the refused appends are counted */
  | 'journal_unavailable'
  /** a session wrote more than its quota; the decisions refused for it are counted */
  | 'session_quota'
  /** a partly written record was found at the end of the journal and moved aside */
  | 'torn_tail'
  /** a segment was removed, replaced or changed from outside, while it was written or before it was exported */
  | 'segment_lost'
  /** files of the journal were damaged, and `sallyport audit repair` moved them aside */
  | 'set_aside'
  /** records left the journal by retention and no exporter ever had them */
  | 'pruned'
  /** a destination refused records for good; they are kept in its poison file */
  | 'export_rejected'

/** Records are missing: how many, since when, and why. Times in `ms` since the epoch. */
export function gapEvent(gap: {
  readonly cause: GapCause
  readonly count: number
  readonly detail: string
  readonly sinceMs?: number | undefined
  readonly untilMs?: number | undefined
  readonly session?: string | undefined
  readonly firstSeq?: number | undefined
  readonly lastSeq?: number | undefined
  /** that does not have the records */
  readonly destination?: string | undefined
}): AuditEvent {
  const ownFault = gap.cause === 'journal_unavailable' || gap.cause === 'segment_lost' || gap.cause === 'set_aside'
  return {
    name: 'sallyport.audit.gap',
    severity: ownFault ? 'ERROR' : 'WARN',
    body: escapeText(`audit gap (${gap.cause}), ${gap.count} affected: ${gap.detail}`),
    attributes: {
      'sallyport.gap.cause': gap.cause,
      'sallyport.gap.count': gap.count,
      'sallyport.gap.since': isoTime(gap.sinceMs),
      'sallyport.gap.until': isoTime(gap.untilMs),
      'sallyport.gap.first_seq': gap.firstSeq,
      'sallyport.gap.last_seq': gap.lastSeq,
      'session.id': gap.session,
      'sallyport.destination': gap.destination,
      'sallyport.reason': gap.detail.slice(0, 1024),
    },
  }
}

const checkpointTexts: Readonly<Record<CheckpointReason, (head: CheckpointHead) => string>> = {
  closed: ({ segment, lastSeq }) => `segment ${segment} is complete with record ${lastSeq}`,
  pruned: ({ segment, lastSeq }) => `what the journal holds up to record ${lastSeq}, the last of ${segment}, is about to leave it by age or size`,
  started: ({ lastSeq }) => `the journal is opened behind record ${lastSeq}`,
  stopped: ({ lastSeq }) => `the journal is closed behind record ${lastSeq}`,
  interval: ({ lastSeq }) => `the journal stands at record ${lastSeq}`,
}

/** Where the chain stands. `signed`: absent in a journal without a signing key. */
export function checkpointEvent(reason: CheckpointReason, head: CheckpointHead, signed?: Pick<SignedCheckpoint, 'journal' | 'time' | 'keyId' | 'signature'>): AuditEvent {
  return {
    name: 'sallyport.audit.checkpoint',
    severity: 'INFO',
    body: escapeText(checkpointTexts[reason](head)),
    attributes: {
      'sallyport.checkpoint.reason': reason,
      'sallyport.checkpoint.segment': head.segment,
      'sallyport.checkpoint.last_seq': head.lastSeq,
      'sallyport.checkpoint.last_hash': head.lastHash,
      'sallyport.checkpoint.bytes': head.bytes,
      'sallyport.checkpoint.journal': signed?.journal,
      'sallyport.checkpoint.time': signed?.time,
      'sallyport.checkpoint.key_id': signed?.keyId,
      'sallyport.checkpoint.signature': signed?.signature,
    },
  }
}

/** What an erasure destroyed and removed; counts of what it was found in. */
export interface ErasureCounts {
  /** records of the journal that are sealed with the destroyed keys */
  readonly records: number
  /** records that name the person in the clear: they were written before sealing, or without it */
  readonly unsealed: number
  readonly sessions: number
  readonly approvals: number
  readonly grants: number
  readonly tokens: number
  /** proposals, notifications, kept answers, cached pages, lines and files that were set aside */
  readonly others: number
}

/** What belonged to a person cannot be read any more. It names the keys, and nobody. */
export function erasedEvent(keys: readonly string[], counts: ErasureCounts): AuditEvent {
  return {
    name: 'sallyport.audit.erased',
    severity: 'INFO',
    body: escapeText(`the data of a person was erased: ${keys.length === 1 ? 'key' : 'keys'} ${keys.join(', ')} destroyed, ${counts.records} records sealed with it`),
    attributes: {
      'sallyport.erasure.keys': keys,
      'sallyport.erasure.records': counts.records,
      'sallyport.erasure.unsealed': counts.unsealed,
      'sallyport.erasure.sessions': counts.sessions,
      'sallyport.erasure.approvals': counts.approvals,
      'sallyport.erasure.grants': counts.grants,
      'sallyport.erasure.tokens': counts.tokens,
      'sallyport.erasure.others': counts.others,
    },
  }
}
