// The journal's files as one log: gives each record its place, writes whole lines to the open segment, begins the
// next one, and lets old ones go. It says how much of a batch is in the file, whatever happened; who may hear of
// that is the journal's to say. What it writes about itself goes before everything else.
import { randomBytes } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { Chain, wholeLines, type ChainEntry, type SealedBatch } from './chain.ts'
import { CheckpointFile, isKept } from './checkpoint-file.ts'
import { checkpointOf, checkpointText, type CheckpointHead, type CheckpointReason, type CheckpointSigner } from './checkpoint.ts'
import type { AuditEvent } from './event.ts'
import type { Recovered, Repaired } from './journal-recovery.ts'
import { encodeEvent, parseLine } from './record.ts'
import { Retention, type ClosedSegment } from './retention.ts'
import { SegmentWriter, WriteFault, type SegmentIo } from './segment-writer.ts'
import { checkpointEvent, gapEvent } from './service-events.ts'

/** `process`: a record is safe from the end of this process; `power`: from the end of the machine's power too. */
export type Durability = 'process' | 'power'

export interface SegmentLogOptions {
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
  /** default: `process` */
  readonly durability?: Durability
  /** names of what records are exported to: nothing is removed that `delivered` has not named */
  readonly destinations?: readonly string[]
  /** who signs checkpoints, and how often at least while something is written, `ms`; absent: only complete segments
   * have one, and none is signed or kept */
  readonly checkpoints?: { readonly signer: CheckpointSigner & { readonly isNew: boolean }; readonly intervalMs: number } | undefined
  /** what was set aside before this opening, to be journaled first */
  readonly repaired?: Repaired | undefined
  readonly io?: SegmentIo
}

/** How many entries of a batch are in the file, from its start; `fault`: why not all. */
export interface Written {
  readonly written: number
  readonly fault?: { readonly cause: unknown }
}

const placeCheckMs = 1000
const minuteMs = 60_000
const dayMs = 86_400_000

export class SegmentLog {
  readonly #options: SegmentLogOptions
  readonly #isPower: boolean
  readonly #chain: Chain
  readonly #retention: Retention
  readonly #segmentBytes: number
  readonly #segmentAgeMs: number
  #writer: SegmentWriter
  /** closed segments, oldest first, whose end is not known to be on the disk yet */
  #unfinished: SegmentWriter[] = []
  #segmentStartedMs: number
  #lastRecordMs: number
  /** the journal's own events, written before all others */
  #own: AuditEvent[] = []
  #placeCheckedMs: number
  #prunedMs: number
  #writes = 0
  readonly #journalId: string
  readonly #kept: CheckpointFile | undefined
  /** something was written that no checkpoint covers */
  #isUncovered = false
  #checkpointTimer: NodeJS.Timeout | undefined
  #isDown = false
  #isClosing = false
  /** called when there is something of the log's own to write */
  onOwn: () => void = () => undefined

  constructor(options: SegmentLogOptions, recovered: Recovered) {
    const { clock, maxBytes, maxAgeMs } = options
    this.#options = options
    this.#isPower = options.durability === 'power'
    this.#chain = new Chain(recovered.lastSeq, recovered.lastHash, options.instanceId)
    this.#segmentBytes = Math.min(options.segmentBytes, Math.floor(maxBytes / 8))
    this.#segmentAgeMs = Math.max(minuteMs, Math.min(dayMs, maxAgeMs / 4))
    this.#retention = new Retention({
      limits: { maxBytes, maxAgeMs, segmentBytes: this.#segmentBytes },
      closed: recovered.closed,
      deliveredSeq: (options.destinations ?? []).length > 0 ? recovered.deliveredSeq : undefined,
      beforeRemoval: (segment) => this.#leaveBehind(segment),
      onRemoved: ({ name, firstSeq, lastSeq }, wasDelivered) => {
        if (wasDelivered) return
        this.tell(gapEvent({ cause: 'pruned', count: lastSeq - firstSeq + 1, detail: `segment ${name} left the journal by age or size, and no exporter had it`, firstSeq, lastSeq }))
      },
      onFault: options.onFault,
    })
    this.#writer = this.#open(recovered.active?.firstSeq ?? recovered.lastSeq + 1)
    this.#segmentStartedMs = recovered.active?.startedMs ?? clock.now()
    this.#lastRecordMs = recovered.active?.endedMs ?? clock.now()
    this.#placeCheckedMs = clock.monotonic()
    this.#prunedMs = clock.monotonic()
    for (const { segment, bytes, movedTo } of recovered.torn) {
      this.tell(gapEvent({ cause: 'torn_tail', count: 1, detail: `${bytes} bytes at the end of ${segment} were no whole record and are now in ${movedTo}` }))
    }
    for (const { firstSeq, lastSeq } of options.repaired?.gaps ?? []) {
      this.tell(gapEvent({ cause: 'set_aside', count: lastSeq - firstSeq + 1, detail: options.repaired?.detail ?? '', firstSeq, lastSeq }))
    }
    if (options.repaired?.gaps.length === 0) this.tell(gapEvent({ cause: 'set_aside', count: 0, detail: options.repaired.detail }))
    this.#tellLostCopies(recovered)
    this.#journalId = recovered.journalId ?? randomBytes(8).toString('hex')
    if (options.checkpoints !== undefined) {
      this.#kept = new CheckpointFile(options.dir, recovered.kept ?? [], () => this.sync(), options.onFault)
      for (const line of recovered.unkept) this.#kept.add(line)
      this.#checkpointAtStart(recovered, options.checkpoints.signer.isNew)
    }
    this.prune()
  }

  /** Every journal with signed checkpoints has copies of them: where there are none, somebody took them away. */
  #tellLostCopies({ kept, unkept }: Recovered): void {
    const signed = unkept.find(({ record }) => checkpointOf(record) !== undefined)
    if (this.#options.checkpoints === undefined || kept !== undefined || signed === undefined) return
    const detail = `checkpoints.jsonl was taken away: what it proved of the journal before record ${signed.record.seq}, and of its end, is not proven any more`
    this.tell(gapEvent({ cause: 'segment_lost', count: 0, detail }))
    this.#options.onFault(new Error(detail))
  }

  get lastSeq(): number {
    return this.#chain.lastSeq
  }

  get lastHash(): string {
    return this.#chain.lastHash
  }

  /** write(2) calls so far */
  get writes(): number {
    return this.#writes
  }

  get hasOwn(): boolean {
    return this.#own.length > 0
  }

  /** bytes that may not be removed */
  get heldBytes(): number {
    return this.#retention.heldBytes(this.#writer.size)
  }

  /** No room is left and none may be made. */
  get isFull(): boolean {
    return this.#retention.isFull(this.#writer.size)
  }

  stats(): { readonly records: number; readonly segments: number; readonly bytes: number; readonly oldestAgeMs: number; readonly undelivered: number } {
    const { oldest, deliveredSeq, closedBytes, segments } = this.#retention
    return {
      records: this.#chain.lastSeq + 1 - (oldest?.firstSeq ?? this.#writer.firstSeq),
      segments: segments + 1,
      bytes: closedBytes + this.#writer.size,
      oldestAgeMs: Math.max(0, this.#options.clock.now() - (oldest?.startedMs ?? this.#segmentStartedMs)),
      undelivered: deliveredSeq === undefined ? 0 : Math.max(0, this.#chain.lastSeq - deliveredSeq),
    }
  }

  /** An event of the journal about itself: it is written with the next batch, before it. */
  tell(event: AuditEvent): void {
    this.#own.push(event)
    this.onOwn()
  }

  delivered(seq: number): void {
    this.#retention.deliver(seq)
    this.prune()
  }

  prune(): void {
    this.#retention.prune(this.#options.clock.now(), this.#writer.size)
  }

  /** Whether it can be written. While it cannot, room is made without waiting for what ought to be written first. */
  set isDown(isDown: boolean) {
    this.#isDown = isDown
    if (isDown) this.#kept?.release()
  }

  /** A checkpoint of what is written so far, where no other covers it, to be written next. */
  checkpoint(reason: CheckpointReason): void {
    if (!this.#isUncovered || this.#options.checkpoints === undefined) return
    this.#isUncovered = false
    this.tell(this.#checkpointEvent(reason, this.#head()))
  }

  /** Writes what the log has to say about itself, and then `batch`. */
  write(batch: readonly ChainEntry[]): Written {
    const { clock } = this.#options
    const timeMs = clock.now()
    try {
      // first of all: a torn end must not be taken for somebody's change, and no segment is left with one
      this.#writer.cutBack()
      this.#prepareSegment(timeMs, clock.monotonic())
    } catch (error) {
      return { written: 0, fault: { cause: error } }
    }
    const own = this.#own
    this.#own = []
    const sealed = this.#chain.seal(own.length === 0 ? batch : [...own.map((event) => ({ encoded: encodeEvent(event) })), ...batch], timeMs)
    this.#writes++
    try {
      this.#writer.write(sealed.data)
    } catch (error) {
      // lines that are whole are in the journal, and may have been read already
      const whole = wholeLines(this.#chain, sealed, error instanceof WriteFault ? error.written : 0)
      this.#writer.keep(whole.data)
      this.#chain.advance(whole)
      this.#keepCopies(own, whole)
      this.#own = [...own.slice(whole.count), ...this.#own]
      return { written: Math.max(0, whole.count - own.length), fault: { cause: error } }
    }
    this.#chain.advance(sealed)
    this.#lastRecordMs = timeMs
    if (own.length > 0) this.#keepCopies(own, sealed)
    if (batch.length > 0 || own.some(({ name }) => name !== 'sallyport.audit.checkpoint')) this.#leaveUncovered()
    return { written: batch.length }
  }

  /**
   * Hands everything that is written to the disk itself, in the order in which it was written: what is on the disk
   * never follows on something that is not.
   */
  async sync(): Promise<void> {
    for (let old = this.#unfinished[0]; old !== undefined; old = this.#unfinished[0]) {
      try {
        await old.sync()
      } catch (error) {
        // with `power` it is written again; else nobody was promised more
        if (!this.#isPower) this.#finish(old)
        throw error
      }
      this.#finish(old)
    }
    await this.#writer.sync()
  }

  /** The last sync, and everything closed. */
  async close(): Promise<void> {
    clearTimeout(this.#checkpointTimer)
    try {
      await this.sync()
    } finally {
      this.#isClosing = true
      this.#kept?.release()
      await this.#kept?.settled()
      await this.#retention.settled()
      for (const old of this.#unfinished.splice(0)) old.close()
      this.#writer.close()
    }
  }

  #open(firstSeq: number): SegmentWriter {
    return new SegmentWriter(this.#options.dir, firstSeq, this.#isPower, this.#options.io)
  }

  #finish(old: SegmentWriter): void {
    if (this.#unfinished[0] !== old) return
    this.#unfinished.shift()
    old.close()
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
    else if (monotonic - this.#prunedMs >= minuteMs) {
      this.#prunedMs = monotonic
      this.#retention.prune(nowMs, this.#writer.size)
    }
  }

  #closeSegment(): void {
    const { name, path, firstSeq, size } = this.#writer
    const startedMs = this.#segmentStartedMs
    this.#writer.cutBack()
    this.#nextSegment()
    this.#retention.add({ name, path, firstSeq, lastSeq: this.#chain.lastSeq, lastHash: this.#chain.lastHash, bytes: size, startedMs, endedMs: this.#lastRecordMs })
    this.#own.push(this.#checkpointEvent('closed', { segment: name, lastSeq: this.#chain.lastSeq, lastHash: this.#chain.lastHash, bytes: size }))
    this.#isUncovered = false
    this.prune()
  }

  #nextSegment(): void {
    const old = this.#writer
    this.#writer = this.#open(this.#chain.lastSeq + 1)
    this.#segmentStartedMs = this.#options.clock.now()
    this.#unfinished.push(old)
    // with `power` the appends that wait for it see to that, and to what it fails with
    if (!this.#isPower) this.sync().catch(this.#options.onFault)
  }

  #head(): CheckpointHead {
    return { lastSeq: this.#chain.lastSeq, lastHash: this.#chain.lastHash, segment: this.#writer.name, bytes: this.#writer.size }
  }

  #checkpointEvent(reason: CheckpointReason, head: CheckpointHead): AuditEvent {
    const signer = this.#options.checkpoints?.signer
    if (signer === undefined) return checkpointEvent(reason, head)
    const signed = { journal: this.#journalId, time: new Date(this.#options.clock.now()).toISOString(), keyId: signer.keyId }
    return checkpointEvent(reason, head, { ...signed, signature: signer.sign(checkpointText({ ...head, ...signed, reason })) })
  }

  /** What an earlier process wrote last; and, with a key that is new, where a journal begins that is older than it. */
  #checkpointAtStart({ oldest, lastSeq }: Recovered, isNewKey: boolean): void {
    if (isNewKey && oldest !== undefined && oldest.seq > 1 && (this.#kept?.prunedSeq ?? 0) < oldest.seq - 1) {
      this.tell(this.#checkpointEvent('pruned', { lastSeq: oldest.seq - 1, lastHash: oldest.prev, segment: 'unknown', bytes: 0 }))
    }
    if (lastSeq > 0) this.tell(this.#checkpointEvent('started', this.#head()))
  }

  /** A checkpoint follows within the interval, also when nothing else does. */
  #leaveUncovered(): void {
    this.#isUncovered = true
    const { checkpoints } = this.#options
    if (checkpoints === undefined || this.#checkpointTimer !== undefined) return
    this.#checkpointTimer = setTimeout(() => {
      this.#checkpointTimer = undefined
      this.checkpoint('interval')
    }, checkpoints.intervalMs).unref()
  }

  /** Of the log's own events that are in the file now, those that outlive it: `batch` begins with `own`. */
  #keepCopies(own: readonly AuditEvent[], batch: SealedBatch): void {
    if (this.#kept === undefined) return
    const lines = batch.data.toString('latin1').split('\n', Math.min(own.length, batch.count))
    for (const line of lines) {
      const { record } = parseLine(line)
      if (record !== undefined && isKept(record)) this.#kept.add({ record, line })
    }
  }

  /** Before segments leave, a checkpoint of the last record of the last of them is in the journal and in checkpoints.jsonl. */
  async #leaveBehind({ name, lastSeq, lastHash, bytes }: ClosedSegment): Promise<boolean> {
    if (this.#kept === undefined || this.#kept.prunedSeq >= lastSeq) return true
    if (this.#isClosing) return false
    this.tell(this.#checkpointEvent('pruned', { segment: name, lastSeq, lastHash, bytes }))
    if (this.#isDown) return true
    const isThere = await this.#kept.hasPruned(lastSeq)
    return isThere || (this.#isDown && !this.#isClosing)
  }
}
