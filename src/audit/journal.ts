// The journal: an append-only, hash-chained record of every decision, on this machine, before anybody
// hears of it. INVARIANT: `append` resolves only after write(2) took the whole line, and with `power` only after
// the sync that holds it; when that cannot be, it rejects, and the caller must allow nothing. A record is never
// dropped, reordered or rewritten.
import { chmodSync, mkdirSync } from 'node:fs'
import { ProxyError } from '../errors.ts'
import type { ChainEntry } from './chain.ts'
import type { AuditEvent, AuditSink } from './event.ts'
import { GroupSync } from './group-sync.ts'
import { writeCheckpoints } from './checkpoint-file.ts'
import { lockJournal, type JournalLock } from './journal-lock.ts'
import { recoverJournal } from './journal-recovery.ts'
import { encodeEvent } from './record.ts'
import { SegmentLog, type SegmentLogOptions, type Written } from './segment-log.ts'
import type { Sealer } from './sealer.ts'
import { gapEvent } from './service-events.ts'
import { SessionQuota, type QuotaExcess } from './session-quota.ts'

export interface JournalOptions extends SegmentLogOptions {
  /** decisions of one session per minute; 0 or absent: no limit */
  readonly recordsPerSessionPerMinute?: number
  /** how often written records are forced to the disk itself; 0 leaves that to the system; with `power` it says nothing */
  readonly syncIntervalMs?: number
  /** absent: what belongs to people is written as it is */
  readonly sealer?: Sealer | undefined
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
  /** records that some destination has yet to take; 0 without one */
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
  /** Every destination has everything up to `seq`. */
  delivered(seq: number): void
  /** Says where the chain stands in a checkpoint, where none covers what was written, with the next write. */
  checkpoint(): void
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
    const recovered = await recoverJournal(options.dir, options.clock.now(), options.destinations ?? [], options.durability === 'power', options.repaired)
    // from now on there is one, so that a missing one was taken away
    if (options.checkpoints !== undefined && recovered.kept === undefined) await writeCheckpoints(options.dir, [])
    return new FileJournal(options, new SegmentLog(options, recovered), lock)
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
const defaultSyncMs = 100

class FileJournal implements Journal {
  readonly #options: JournalOptions
  readonly #lock: JournalLock
  readonly #log: SegmentLog
  readonly #quota: SessionQuota
  /** where an append waits for the disk; undefined: where it waits for the operating system alone */
  readonly #group: GroupSync | undefined
  readonly #syncMs: number
  #pending: Entry[] = []
  #isScheduled = false
  #isClosed = false
  #closing: Promise<void> | undefined
  #outage: Outage | undefined
  #lastWriteMs = Number.NEGATIVE_INFINITY
  #refused = 0
  #quotaTimer: NodeJS.Timeout | undefined
  #retryTimer: NodeJS.Timeout | undefined
  #syncTimer: NodeJS.Timeout | undefined

  constructor(options: JournalOptions, log: SegmentLog, lock: JournalLock) {
    this.#options = options
    this.#lock = lock
    this.#log = log
    this.#quota = new SessionQuota(options.recordsPerSessionPerMinute ?? 0)
    if (options.durability === 'power') {
      this.#group = new GroupSync(() => log.sync(), (cause, waiting) => {
        this.#beginOutage(cause)
        for (const { reject } of waiting) reject?.(this.#refuse())
      })
    }
    this.#syncMs = this.#group === undefined ? (options.syncIntervalMs ?? defaultSyncMs) : 0
    this.#quota.turn(options.clock.monotonic())
    log.onOwn = () => this.#schedule()
    if (log.hasOwn) this.#schedule()
  }

  get lastSeq(): number {
    return this.#log.lastSeq
  }

  get lastHash(): string {
    return this.#log.lastHash
  }

  append(event: AuditEvent): Promise<void> {
    if (this.#outage !== undefined || this.#isClosed) return Promise.reject(this.#refuse())
    this.#schedule()
    if (event.session !== undefined) this.#quota.count(event.session)
    return new Promise((resolve, reject) => {
      this.#pending.push({ encoded: encodeEvent(event, this.#options.sealer), resolve, reject })
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
    this.#log.delivered(seq)
  }

  checkpoint(): void {
    this.#flush()
    this.#log.checkpoint('stopped')
  }

  async flush(): Promise<void> {
    this.#flush()
    await this.#log.sync()
    await this.#group?.settled()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#reportExcess(this.#quota.turn(this.#options.clock.monotonic(), true))
    clearTimeout(this.#retryTimer)
    await this.#resume()
    this.checkpoint()
    this.#flush()
    this.#isClosed = true
    clearTimeout(this.#quotaTimer)
    clearTimeout(this.#retryTimer)
    clearTimeout(this.#syncTimer)
    try {
      await this.#group?.settled()
      await this.#log.close()
    } finally {
      this.#lock.release()
    }
  }

  state(): JournalState {
    if (this.#outage !== undefined || this.#isClosed) return 'unavailable'
    return this.#log.heldBytes >= this.#options.maxBytes * 0.8 ? 'near_full' : 'ok'
  }

  stats(): JournalStats {
    return { ...this.#log.stats(), state: this.state(), refused: this.#refused, writes: this.#log.writes }
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
    if (batch.length === 0 && !this.#log.hasOwn) return
    const { written, fault } = this.#write(batch)
    this.#settle(fault === undefined ? batch : batch.slice(0, written))
    if (fault !== undefined) {
      this.#beginOutage(fault.cause)
      for (const { reject } of batch.slice(written)) reject?.(this.#refuse())
    } else if (this.#log.isFull) {
      this.#beginOutage(new Error(`the journal holds ${this.#options.maxBytes} bytes that have not been delivered`))
    }
  }

  /** What is in the file: whoever asked for it hears so, now or when it is on the disk. */
  #settle(written: readonly Entry[]): void {
    if (this.#group !== undefined) this.#group.add(written)
    else for (const { resolve } of written) resolve?.()
  }

  #write(batch: readonly Entry[]): Written {
    const result = this.#log.write(batch)
    this.#lastWriteMs = this.#options.clock.monotonic()
    if (result.fault === undefined) this.#scheduleSync()
    return result
  }

  #beginOutage(cause: unknown): void {
    if (this.#outage !== undefined) return
    this.#outage = { sinceMs: this.#options.clock.now(), cause, refused: 0 }
    this.#log.isDown = true
    this.#options.onFault(cause)
    this.#retryLater()
  }

  #retryLater(): void {
    this.#retryTimer = setTimeout(() => {
      this.#resume().catch(this.#options.onFault)
    }, retryMs).unref()
  }

  /** The gap event is the test: when it is in the file, and with `power` on the disk, service resumes. */
  async #resume(): Promise<void> {
    const outage = this.#outage
    if (outage === undefined || this.#isClosed) return
    this.#log.prune()
    if (!this.#log.isFull && (await this.#isOnDisk())) {
      const { sinceMs, refused, cause } = outage
      const detail = `the journal could not be written: ${cause instanceof Error ? cause.message : String(cause)}`
      const untilMs = this.#options.clock.now()
      const gap = (count: number): AuditEvent => gapEvent({ cause: 'journal_unavailable', count, detail, sinceMs, untilMs })
      if (this.#write([{ encoded: encodeEvent(gap(refused)) }]).fault === undefined && (await this.#isOnDisk())) {
        this.#outage = undefined
        this.#log.isDown = false
        // refused while the event that counts them was on its way to the disk
        if (outage.refused > refused) this.#log.tell(gap(outage.refused - refused))
        return
      }
    }
    if (this.#closing === undefined) this.#retryLater()
  }

  /** With `power`, whether everything written is on the disk by now; else nobody asked. */
  async #isOnDisk(): Promise<boolean> {
    if (this.#group === undefined) return true
    try {
      await this.#log.sync()
      return true
    } catch {
      // the outage goes on, and says why it began
      return false
    }
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
      this.#log.tell(gapEvent({ cause: 'session_quota', count: refused, detail: `session ${session} went beyond ${limit} decisions in a minute; the rest was refused`, session }))
    }
  }

  #scheduleSync(): void {
    if (this.#syncMs === 0 || this.#syncTimer !== undefined) return
    this.#syncTimer = setTimeout(() => {
      this.#syncTimer = undefined
      this.#log.sync().catch(this.#options.onFault)
    }, this.#syncMs).unref()
  }
}
