// The journal: an append-only, hash-chained record of every decision, on this machine, before anybody
// hears of it. INVARIANT: `append` resolves only after write(2) took the whole line; when it cannot, it
// rejects, and the caller must allow nothing. A record is never dropped, reordered or rewritten.
import { chmodSync, mkdirSync } from 'node:fs'
import type { Clock } from '../clock.ts'
import { ProxyError } from '../errors.ts'
import { Chain, wholeLines, type ChainEntry } from './chain.ts'
import type { AuditEvent, AuditSink } from './event.ts'
import { lockJournal, type JournalLock } from './journal-lock.ts'
import { recoverJournal, type Recovered } from './journal-recovery.ts'
import { encodeEvent } from './record.ts'
import { Retention } from './retention.ts'
import { SegmentWriter, WriteFault, type SegmentIo } from './segment-writer.ts'
import { checkpointEvent, gapEvent } from './service-events.ts'
import { SessionQuota, type QuotaExcess } from './session-quota.ts'

export interface JournalOptions {
  /** DATA/journal */
  readonly dir: string
  /** `service.instance.id` of this process */
  readonly instanceId: string
  readonly clock: Clock
  /** a segment is closed when it is this long; an eighth of `maxBytes` at most */
  readonly segmentBytes: number
  readonly maxBytes: number
  readonly maxAgeMs: number
  /** for the operator log */
  readonly onFault: (error: unknown) => void
  /** decisions of one session per minute; 0 or absent: no limit */
  readonly recordsPerSessionPerMinute?: number
  /** an exporter is configured: nothing is removed that `delivered` has not named */
  readonly exporting?: boolean
  /** how often written records are forced to the disk itself; 0 leaves that to the system */
  readonly syncIntervalMs?: number
  readonly io?: SegmentIo
}

/** `near_full`: 80 % of `maxBytes` may not be removed yet. */
export type JournalState = 'ok' | 'near_full' | 'unavailable'

export interface JournalStats {
  readonly state: JournalState
  /** records that are in the journal now */
  readonly records: number
  readonly segments: number
  readonly bytes: number
  /** age of the oldest record, about; `ms` */
  readonly oldestAgeMs: number
  /** records that the exporter has still to deliver; 0 without one */
  readonly undelivered: number
  /** appends that were refused because the journal could not be written, since this process started */
  readonly refused: number
  /** write(2) calls since this process started */
  readonly writes: number
}

export interface Journal extends AuditSink {
  readonly lastSeq: number
  readonly lastHash: string
  /** Whether this session's decisions must be refused for the rest of the minute; a yes counts as one refusal. */
  overQuota(session: string): boolean
  /** The exporter delivered everything up to `seq`. */
  delivered(seq: number): void
  /** Writes what is waiting and forces it to the disk. */
  flush(): Promise<void>
  /** The last flush; later appends are refused. */
  close(): Promise<void>
  stats(): JournalStats
  state(): JournalState
}

/** Opens the journal in `options.dir`; throws when another process has it or its end is not consistent. */
export async function openJournal(options: JournalOptions): Promise<Journal> {
  mkdirSync(options.dir, { recursive: true, mode: 0o700 })
  chmodSync(options.dir, 0o700)
  const lock = lockJournal(options.dir, options.onFault)
  try {
    const recovered = await recoverJournal(options.dir, options.clock.now())
    return new FileJournal(options, recovered, lock)
  } catch (error) {
    lock.release()
    throw error
  }
}

interface Entry extends ChainEntry {
  readonly resolve?: () => void
  readonly reject?: (error: Error) => void
}

interface Outage {
  readonly sinceMs: number
  readonly cause: unknown
  refused: number
}

const windowMs = 1
const maxBatch = 256
const retryMs = 250
const placeCheckMs = 1000
const minutely = 60_000
const dayMs = 86_400_000
const defaultSyncMs = 100

class FileJournal implements Journal {
  readonly #options: JournalOptions
  readonly #lock: JournalLock
  readonly #chain: Chain
  readonly #retention: Retention
  readonly #quota: SessionQuota
  readonly #segmentBytes: number
  readonly #segmentAgeMs: number
  readonly #syncMs: number
  #writer: SegmentWriter
  #segmentStartedMs: number
  #lastRecordMs: number
  #pending: Entry[] = []
  /** the journal's own events, written before what is pending */
  #own: AuditEvent[] = []
  #isScheduled = false
  #isClosed = false
  #outage: Outage | undefined
  #lastWriteMs = Number.NEGATIVE_INFINITY
  #placeCheckedMs: number
  #prunedMs: number
  #refused = 0
  #writes = 0
  #quotaTimer: NodeJS.Timeout | undefined
  #retryTimer: NodeJS.Timeout | undefined
  #syncTimer: NodeJS.Timeout | undefined

  constructor(options: JournalOptions, recovered: Recovered, lock: JournalLock) {
    const { clock, dir, maxBytes, maxAgeMs } = options
    this.#options = options
    this.#lock = lock
    this.#chain = new Chain(recovered.lastSeq, recovered.lastHash, options.instanceId)
    this.#segmentBytes = Math.min(options.segmentBytes, Math.floor(maxBytes / 8))
    this.#segmentAgeMs = Math.max(minutely, Math.min(dayMs, maxAgeMs / 4))
    this.#syncMs = options.syncIntervalMs ?? defaultSyncMs
    this.#quota = new SessionQuota(options.recordsPerSessionPerMinute ?? 0)
    this.#retention = new Retention({
      limits: { maxBytes, maxAgeMs, segmentBytes: this.#segmentBytes },
      closed: recovered.closed,
      deliveredSeq: options.exporting === true ? recovered.deliveredSeq : undefined,
      onRemoved: ({ name, firstSeq, lastSeq }, wasDelivered) => {
        if (wasDelivered) return
        this.#emit(gapEvent({ cause: 'pruned', count: lastSeq - firstSeq + 1, detail: `segment ${name} left the journal by age or size, and no exporter had it`, firstSeq, lastSeq }))
      },
      onFault: options.onFault,
    })
    this.#writer = new SegmentWriter(dir, recovered.active?.firstSeq ?? recovered.lastSeq + 1, options.io)
    this.#segmentStartedMs = recovered.active?.startedMs ?? clock.now()
    this.#lastRecordMs = recovered.active?.endedMs ?? clock.now()
    this.#placeCheckedMs = clock.monotonic()
    this.#prunedMs = clock.monotonic()
    this.#quota.turn(clock.monotonic())
    this.#retention.prune(clock.now(), this.#writer.size)
    for (const { segment, bytes, movedTo } of recovered.torn) {
      this.#emit(gapEvent({ cause: 'torn_tail', count: 1, detail: `${bytes} bytes at the end of ${segment} were no whole record and are now in ${movedTo}` }))
    }
  }

  get lastSeq(): number {
    return this.#chain.lastSeq
  }

  get lastHash(): string {
    return this.#chain.lastHash
  }

  append(event: AuditEvent): Promise<void> {
    if (this.#outage !== undefined || this.#isClosed) return Promise.reject(this.#refuse())
    this.#schedule()
    if (event.session !== undefined) this.#quota.count(event.session)
    return new Promise((resolve, reject) => {
      this.#pending.push({ encoded: encodeEvent(event), resolve, reject })
      if (this.#pending.length >= maxBatch) this.#flush()
    })
  }

  overQuota(session: string): boolean {
    // with a write under way the minute was looked at within this millisecond
    if (!this.#isScheduled) this.#turnQuota(this.#options.clock.monotonic())
    if (!this.#quota.isOver(session)) return false
    if (this.#quotaTimer === undefined) {
      const remaining = this.#quota.remainingMs(this.#options.clock.monotonic())
      this.#quotaTimer = setTimeout(() => {
        this.#quotaTimer = undefined
        this.#turnQuota(this.#options.clock.monotonic())
      }, remaining + 1).unref()
    }
    return true
  }

  delivered(seq: number): void {
    this.#retention.deliver(seq)
    this.#retention.prune(this.#options.clock.now(), this.#writer.size)
  }

  async flush(): Promise<void> {
    this.#flush()
    await this.#writer.sync()
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#reportExcess(this.#quota.turn(this.#options.clock.monotonic(), true))
    this.#retry()
    this.#flush()
    this.#isClosed = true
    clearTimeout(this.#quotaTimer)
    clearTimeout(this.#retryTimer)
    clearTimeout(this.#syncTimer)
    try {
      await this.#writer.sync()
    } finally {
      await this.#retention.settled()
      this.#writer.close()
      this.#lock.release()
    }
  }

  state(): JournalState {
    if (this.#outage !== undefined || this.#isClosed) return 'unavailable'
    return this.#retention.heldBytes(this.#writer.size) >= this.#options.maxBytes * 0.8 ? 'near_full' : 'ok'
  }

  stats(): JournalStats {
    const { oldest, deliveredSeq, closedBytes, segments } = this.#retention
    return {
      state: this.state(),
      records: this.#chain.lastSeq + 1 - (oldest?.firstSeq ?? this.#writer.firstSeq),
      segments: segments + 1,
      bytes: closedBytes + this.#writer.size,
      oldestAgeMs: Math.max(0, this.#options.clock.now() - (oldest?.startedMs ?? this.#segmentStartedMs)),
      undelivered: deliveredSeq === undefined ? 0 : Math.max(0, this.#chain.lastSeq - deliveredSeq),
      refused: this.#refused,
      writes: this.#writes,
    }
  }

  #emit(event: AuditEvent): void {
    this.#own.push(event)
    this.#schedule()
  }

  /** One write per window: at once when the last one is long past, else when its millisecond is over. */
  #schedule(): void {
    if (this.#isScheduled || this.#isClosed) return
    this.#isScheduled = true
    const monotonic = this.#options.clock.monotonic()
    this.#turnQuota(monotonic)
    if (monotonic - this.#lastWriteMs >= windowMs) setImmediate(this.#flush)
    else setTimeout(this.#flush, windowMs)
  }

  readonly #flush = (): void => {
    this.#isScheduled = false
    if (this.#isClosed) return
    const batch = this.#pending
    this.#pending = []
    if (this.#outage !== undefined) {
      for (const { reject } of batch) reject?.(this.#refuse())
      return
    }
    if (batch.length === 0 && this.#own.length === 0) return
    const { written, fault } = this.#write(batch)
    for (let at = 0; at < written; at++) batch[at]?.resolve?.()
    if (fault !== undefined) {
      this.#beginOutage(fault.cause)
      for (const { reject } of batch.slice(written)) reject?.(this.#refuse())
    } else if (this.#retention.isFull(this.#writer.size)) {
      this.#beginOutage(new Error(`the journal holds ${this.#options.maxBytes} bytes that the exporter has not delivered`))
    }
  }

  /** Writes the journal's own events and then `batch`; says how many of `batch` are in the file. */
  #write(batch: readonly Entry[]): { readonly written: number; readonly fault?: { readonly cause: unknown } } {
    const { clock } = this.#options
    const timeMs = clock.now()
    const monotonic = clock.monotonic()
    try {
      // first of all: a torn end must not be taken for somebody's change, and no segment is left with one
      this.#writer.cutBack()
      this.#prepareSegment(timeMs, monotonic)
    } catch (error) {
      return { written: 0, fault: { cause: error } }
    }
    const own = this.#own
    this.#own = []
    const sealed = this.#chain.seal(own.length === 0 ? batch : [...own.map((event) => ({ encoded: encodeEvent(event) })), ...batch], timeMs)
    this.#writes++
    this.#lastWriteMs = monotonic
    try {
      this.#writer.write(sealed.data)
    } catch (error) {
      // lines that are whole are in the journal, and may have been read already
      const whole = wholeLines(this.#chain, sealed, error instanceof WriteFault ? error.written : 0)
      this.#writer.keep(whole.data.length)
      this.#chain.advance(whole)
      this.#own = [...own.slice(whole.count), ...this.#own]
      return { written: Math.max(0, whole.count - own.length), fault: { cause: error } }
    }
    this.#chain.advance(sealed)
    this.#lastRecordMs = timeMs
    this.#scheduleSync()
    return { written: batch.length }
  }

  /** Starts the next segment when this one is long or old, or is not there any more. */
  #prepareSegment(nowMs: number, monotonic: number): void {
    if (monotonic - this.#placeCheckedMs >= placeCheckMs) {
      if (!this.#writer.isInPlace()) {
        const { path, firstSeq } = this.#writer
        this.#nextSegment()
        this.#own.push(gapEvent({ cause: 'segment_lost', count: this.#chain.lastSeq + 1 - firstSeq, detail: `${path} was removed, replaced or changed while it was being written`, firstSeq, lastSeq: this.#chain.lastSeq }))
      }
      this.#placeCheckedMs = monotonic
    }
    const isOld = nowMs - this.#segmentStartedMs > this.#segmentAgeMs
    if (this.#writer.size > 0 && (this.#writer.size >= this.#segmentBytes || isOld)) this.#closeSegment()
    else if (monotonic - this.#prunedMs >= minutely) {
      this.#prunedMs = monotonic
      this.#retention.prune(nowMs, this.#writer.size)
    }
  }

  #closeSegment(): void {
    const { name, path, firstSeq, size } = this.#writer
    const nowMs = this.#options.clock.now()
    const startedMs = this.#segmentStartedMs
    this.#writer.cutBack()
    this.#nextSegment()
    this.#retention.add({ name, path, firstSeq, lastSeq: this.#chain.lastSeq, bytes: size, startedMs, endedMs: this.#lastRecordMs })
    this.#own.push(checkpointEvent({ segment: name, lastSeq: this.#chain.lastSeq, lastHash: this.#chain.lastHash, bytes: size }))
    this.#retention.prune(nowMs, this.#writer.size)
  }

  #nextSegment(): void {
    const old = this.#writer
    this.#writer = old.next(this.#options.dir, this.#chain.lastSeq + 1)
    this.#segmentStartedMs = this.#options.clock.now()
    old.finish(this.#options.onFault)
  }

  #beginOutage(cause: unknown): void {
    this.#outage = { sinceMs: this.#options.clock.now(), cause, refused: 0 }
    this.#options.onFault(cause)
    this.#retryTimer = setTimeout(this.#retry, retryMs).unref()
  }

  /** The gap event is the test: when it can be written, service resumes. */
  readonly #retry = (): void => {
    const outage = this.#outage
    if (outage === undefined || this.#isClosed) return
    const { clock } = this.#options
    this.#retention.prune(clock.now(), this.#writer.size)
    if (!this.#retention.isFull(this.#writer.size)) {
      const { sinceMs, refused, cause } = outage
      const detail = `the journal could not be written: ${cause instanceof Error ? cause.message : String(cause)}`
      const untilMs = clock.now()
      const gap = gapEvent({ cause: 'journal_unavailable', count: refused, detail, sinceMs, untilMs })
      if (this.#write([{ encoded: encodeEvent(gap) }]).fault === undefined) {
        this.#outage = undefined
        return
      }
    }
    this.#retryTimer = setTimeout(this.#retry, retryMs).unref()
  }

  #refuse(): ProxyError {
    this.#refused++
    if (this.#outage !== undefined) this.#outage.refused++
    const cause = this.#outage?.cause
    return new ProxyError('audit_unavailable', this.#isClosed ? 'the journal is closed' : 'the journal cannot be written', { cause })
  }

  #turnQuota(monotonic: number): void {
    this.#reportExcess(this.#quota.turn(monotonic))
  }

  #reportExcess(excess: readonly QuotaExcess[]): void {
    for (const { session, refused } of excess) {
      const limit = this.#options.recordsPerSessionPerMinute ?? 0
      this.#emit(gapEvent({ cause: 'session_quota', count: refused, detail: `session ${session} went beyond ${limit} decisions in a minute; the rest was refused`, session }))
    }
  }

  #scheduleSync(): void {
    if (this.#syncMs === 0 || this.#syncTimer !== undefined) return
    this.#syncTimer = setTimeout(() => {
      this.#syncTimer = undefined
      this.#writer.sync().catch(this.#options.onFault)
    }, this.#syncMs).unref()
  }
}
