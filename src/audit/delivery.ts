// Delivers the journal to one destination, at least once, in order, for as long as it takes. INVARIANT: the
// cursor moves only past records that the destination accepted, that its filter keeps from it, or that stand in
// its poison file. An outage is waited out; a record that is refused is set aside and never stalls those behind it.
import { readCursor, writeCursor, type ExportCursor } from './export-cursor.ts'
import type { ReadBatch } from './export-reader.ts'
import { ExportReader } from './export-reader.ts'
import { pause } from './pause.ts'
import { PoisonFile, type Refused } from './poison-file.ts'
import type { JournalRecord } from './record.ts'
import { RecordOpener } from './record-opener.ts'
import { sealedAttribute } from './sealed-text.ts'
import { wordedDetail, type PartialSuccess, type Sink, type SinkOutcome } from './sink.ts'

export interface DeliveryOptions {
  readonly dir: string
  /** of the destination: it has a cursor and a poison file of its own */
  readonly name: string
  readonly sink: Sink
  /** its filter */
  readonly passes: (record: JournalRecord) => boolean
  readonly flushMs: number
  readonly minBackoffMs: number
  readonly maxBackoffMs: number
  report(report: DeliveryReport): void
}

export interface DeliveryProgress {
  readonly deliveredSeq: number
  readonly exported: number
  readonly rejected: number
  readonly retries: number
  /** what the last try met, while tries fail */
  readonly trouble: string | undefined
  /** time of the oldest record that is being delivered, `ms` since the epoch; undefined: it has caught up */
  readonly pendingSinceMs: number | undefined
}

export type DeliveryReport =
  | ({ readonly kind: 'progress' } & DeliveryProgress)
  | { readonly kind: 'rejected'; readonly count: number; readonly firstSeq: number; readonly lastSeq: number; readonly detail: string; readonly ownReportsOnly: boolean }
  | { readonly kind: 'missing'; readonly firstSeq: number; readonly lastSeq: number }
  | { readonly kind: 'log'; readonly level: 'info' | 'warn' | 'error'; readonly message: string }

/** `left`: told to stop, or begun again further back */
type Verdict = { readonly kind: 'accepted' } | { readonly kind: 'left' } | { readonly kind: 'refused' | 'unencodable'; readonly detail: string }

/** What a sink without acknowledgements has written, and not yet been told that it was read. */
interface Open {
  readonly cursor: ExportCursor
  readonly records: number
  readonly sinceMs: number
}

const limits = { maxRecords: 512, maxBytes: 1024 * 1024 }
const maxRetryAfterMs = 10 * 60_000
/** a server fault that may be the batch's own doing is tried this often before the batch is split */
const faultTries = 5
/** so many refusals and no acceptance: is it the records or the destination? */
const refusalsBeforeDoubt = 16

export class Delivery {
  readonly #options: DeliveryOptions
  readonly #poison: PoisonFile
  readonly #opener: RecordOpener
  #reader: ExportReader
  readonly #stop = new AbortController()
  #wake = new AbortController()
  #isDraining = false
  #failures = 0
  #lastAccepted: JournalRecord | undefined
  #open: Open | undefined
  #progress: DeliveryProgress = { deliveredSeq: 0, exported: 0, rejected: 0, retries: 0, trouble: undefined, pendingSinceMs: undefined }

  constructor(options: DeliveryOptions) {
    this.#options = options
    this.#poison = new PoisonFile(options.dir, options.name)
    this.#opener = RecordOpener.beside(options.dir)
    this.#reader = this.#newReader()
  }

  /** Delivers until `drain` has emptied the journal or `stop` is called. */
  async run(): Promise<void> {
    await this.#rewind()
    while (!this.#stop.signal.aborted) {
      const batch = await this.#reader.read(limits)
      if (batch === undefined) {
        if (this.#progress.pendingSinceMs !== this.#open?.sinceMs) this.#tell({ pendingSinceMs: this.#open?.sinceMs })
        if (await this.#settleWhenDue()) {
          if (this.#isDraining) return
          await this.#sleep(this.#options.flushMs)
        }
      } else if (await this.#deliver(batch)) {
        this.#reader.accept(batch)
        if (batch.cursor !== undefined) await this.#advance(batch.cursor, batch.records)
        if (await this.#settleWhenDue() && !batch.isMore && batch.records.length < limits.maxRecords / 2 && !this.#isDraining) await this.#sleep(this.#options.flushMs)
      }
    }
  }

  /** Delivers what is there and then ends; a wait for the next try is cut short. */
  drain(): void {
    this.#isDraining = true
    this.#wake.abort()
  }

  stop(): void {
    this.#stop.abort()
    this.#wake.abort()
  }

  #newReader(): ExportReader {
    return new ExportReader(this.#options.dir, { isForExport: true, onNotice: (message) => this.#log('warn', message) })
  }

  /** Begins after the saved cursor, at the start and whenever what was written may be lost. */
  async #rewind(): Promise<void> {
    const { dir, name } = this.#options
    this.#open = undefined
    this.#reader = this.#newReader()
    const deliveredSeq = await this.#reader.seek(await readCursor(dir, name))
    const { found } = this.#reader
    if (found !== undefined && this.#options.passes(found)) this.#lastAccepted = found
    this.#tell({ deliveredSeq })
  }

  async #advance(cursor: ExportCursor, records: readonly JournalRecord[]): Promise<void> {
    if (this.#options.sink.settling === undefined) return this.#save(cursor)
    this.#open = { cursor, records: records.length + (this.#open?.records ?? 0), sinceMs: this.#open?.sinceMs ?? Date.now() }
  }

  async #save(cursor: ExportCursor): Promise<void> {
    await writeCursor(this.#options.dir, this.#options.name, cursor)
    this.#tell({ deliveredSeq: cursor.seq })
  }

  /** False when what was written has to be written again. */
  async #settleWhenDue(): Promise<boolean> {
    const { settling } = this.#options.sink
    const open = this.#open
    if (settling === undefined || open === undefined) return true
    if (!this.#isDraining && open.records < settling.maxRecords && Date.now() - open.sinceMs < settling.maxAgeMs) return true
    const doubt = await settling.settle()
    if (doubt !== undefined) {
      await this.#backOff(`what was written may not have been read and is written again: ${doubt}`, undefined)
      await this.#rewind()
      return false
    }
    this.#open = undefined
    this.#recovered()
    await this.#save(open.cursor)
    return true
  }

  /** True when every record is accepted, kept back by the filter, or set aside. */
  async #deliver(batch: ReadBatch): Promise<boolean> {
    const records = batch.records.filter(this.#options.passes)
    const [oldest] = batch.records
    if (oldest !== undefined) this.#tell({ pendingSinceMs: Date.parse(oldest.time) })
    const aside: Refused[] = []
    /** nothing was ever taken, so whether these are at fault shows when something is */
    const deferred: Refused[] = []
    const parts: (readonly JournalRecord[])[] = records.length === 0 ? [] : [records]
    let acceptedHere = false
    for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
      const verdict = await this.#send(part)
      if (verdict.kind === 'accepted') {
        acceptedHere = true
      } else if (verdict.kind === 'left') {
        return false
      } else if (part.length > 1) {
        const middle = part.length >> 1
        parts.push(part.slice(middle), part.slice(0, middle))
      } else if (verdict.kind === 'unencodable') {
        for (const record of part) aside.push({ record, detail: verdict.detail })
      } else if (this.#lastAccepted !== undefined && deferred.length === 0) {
        for (const record of part) {
          const judged = await this.#judgeAlone(record)
          if (judged === 'held') return this.#hold(verdict.detail)
          if (judged === 'refused') aside.push({ record, detail: verdict.detail })
        }
      } else {
        for (const record of part) deferred.push({ record, detail: verdict.detail })
        if (!acceptedHere && deferred.length === refusalsBeforeDoubt && !(await this.#isWorking(records.at(-1)))) return this.#hold(verdict.detail)
      }
    }
    const [first] = deferred
    // before and after the second try the destination must take what it took before
    if (first !== undefined && !(await this.#isWorking(undefined))) return this.#hold(first.detail)
    const confirmed = await this.#confirm(deferred)
    if (confirmed.length > 0 && !(await this.#isWorking(undefined))) return this.#hold(first?.detail ?? '')
    await this.#setAside([...confirmed, ...aside])
    await this.#setCorruptAside(batch.corrupt)
    if (batch.missing !== undefined) this.#reportMissing(batch.missing)
    return true
  }

  /** Tries a refused record once more, at once, so that it arrives in its place where the refusal was no more than an
   * outage; before and after that the destination must take what it took before. */
  async #judgeAlone(record: JournalRecord): Promise<'taken' | 'refused' | 'held'> {
    if (!(await this.#isWorking(undefined))) return 'held'
    if ((await this.#send([record])).kind === 'accepted') return 'taken'
    return (await this.#isWorking(undefined)) ? 'refused' : 'held'
  }

  /** Tries once more what was refused: the destination may have been out of order then. */
  async #confirm(refused: readonly Refused[]): Promise<readonly Refused[]> {
    const confirmed: Refused[] = []
    for (const { record } of refused) {
      const verdict = await this.#send([record])
      if (verdict.kind !== 'accepted') confirmed.push({ record, detail: 'detail' in verdict ? verdict.detail : verdict.kind })
    }
    return confirmed
  }

  /** Whether the collector takes what it took before, or, when it never took anything, `other`. A record
   * that is sent twice has the same uid; a record set aside because of an outage would be lost to them. */
  async #isWorking(other: JournalRecord | undefined): Promise<boolean> {
    const record = this.#lastAccepted ?? other
    return record !== undefined && (await this.#send([record])).kind === 'accepted'
  }

  async #hold(detail: string): Promise<boolean> {
    await this.#backOff(`it refuses what it should take, so nothing is set aside: ${detail}`, undefined)
    return false
  }

  async #send(records: readonly JournalRecord[]): Promise<Verdict> {
    const outcome = await this.#sendUntilJudged(records)
    if (outcome === undefined) return { kind: 'left' }
    if ('unencodable' in outcome) return { kind: 'unencodable', detail: outcome.unencodable }
    if (outcome.fate === 'lost') return { kind: 'left' }
    if (outcome.fate !== 'accepted') return { kind: 'refused', detail: this.#keepable(records, outcome.detail, outcome.words) }
    this.#lastAccepted = records.at(-1)
    this.#progress = { ...this.#progress, exported: this.#progress.exported + records.length }
    if (outcome.partial !== undefined) await this.#keepPartial(records, outcome.partial)
    return { kind: 'accepted' }
  }

  /** Tries until the destination takes the records or refuses these very ones; undefined when told to stop. */
  async #sendUntilJudged(records: readonly JournalRecord[]): Promise<SinkOutcome | { readonly unencodable: string } | undefined> {
    const { sink } = this.#options
    for (let tries = 1; !this.#stop.signal.aborted; tries++) {
      let body: Uint8Array
      try {
        // anew for each try: a person may have been erased since, and what waits or is set aside stays sealed
        body = await sink.encode(records.map((record) => this.#opener.open(record)))
      } catch (error) {
        // no destination is at fault here, and no second try helps
        return { unencodable: `cannot be encoded: ${String(error)}` }
      }
      const outcome = await sink.send(body)
      if (outcome.fate === 'accepted') {
        if (outcome.note !== undefined) this.#log('warn', outcome.note)
        if (sink.settling === undefined) this.#recovered()
        return outcome
      }
      // a destination that never took anything and breaks off is at fault itself
      const isOutage = outcome.isBroken === true && this.#lastAccepted === undefined
      if (outcome.fate === 'refused' || (outcome.fate === 'fault' && tries >= faultTries && !isOutage)) return outcome
      await this.#backOff(wordedDetail(outcome.detail, outcome.words), outcome.retryAfterMs)
      if (outcome.fate === 'lost') {
        await this.#rewind()
        return outcome
      }
    }
    return undefined
  }

  /** The reason as the journal and the poison file may keep it, from which no erasure takes anything: what a destination
   * says of records in which something was sealed may repeat it, and is for the operator log alone. */
  #keepable(records: readonly JournalRecord[], detail: string, words: string | undefined): string {
    if (words === undefined || records.every(({ attributes }) => attributes[sealedAttribute] === undefined)) return wordedDetail(detail, words)
    this.#log('warn', `records ${records[0]?.seq ?? 0} to ${records.at(-1)?.seq ?? 0}: ${wordedDetail(detail, words)}`)
    return detail
  }

  async #backOff(detail: string, retryAfterMs: number | undefined): Promise<void> {
    const { minBackoffMs, maxBackoffMs } = this.#options
    this.#failures++
    // loud at first, then at 2, 4, 8 … failures
    if ((this.#failures & (this.#failures - 1)) === 0) this.#log('error', `export failed ${this.#failures} times in a row, nothing is lost, trying again: ${detail}`)
    this.#tell({ retries: this.#progress.retries + 1, trouble: detail })
    const exponential = Math.min(maxBackoffMs, minBackoffMs * 2 ** Math.min(this.#failures - 1, 20)) * (0.8 + Math.random() * 0.2)
    await this.#sleep(retryAfterMs === undefined ? exponential : Math.min(Math.max(retryAfterMs, minBackoffMs), maxRetryAfterMs))
  }

  #recovered(): void {
    if (this.#failures > 0) this.#log('info', `export works again after ${this.#failures} failures`)
    this.#failures = 0
    this.#progress = { ...this.#progress, trouble: undefined }
  }

  async #setAside(refused: readonly Refused[]): Promise<void> {
    const [first] = refused
    if (first === undefined) return
    await this.#poison.addRefused(refused)
    this.#reject(refused.map(({ record }) => record), refused.length, first.detail)
  }

  /** The answer does not say which records were rejected, so a copy of all is kept. */
  async #keepPartial(records: readonly JournalRecord[], { rejected, message }: PartialSuccess): Promise<void> {
    const detail = this.#keepable(records, `partial success, ${rejected} of ${records.length} rejected`, message.slice(0, 512))
    await this.#poison.addRefused(records.map((record) => ({ detail, record })))
    this.#reject(records, rejected, detail)
  }

  async #setCorruptAside(corrupt: ReadBatch['corrupt']): Promise<void> {
    const [first] = corrupt
    if (first === undefined) return
    await this.#poison.add(corrupt.map(({ segment, line, fault, text }) => ({ reason: `${segment} line ${line} of this reading: ${fault}`, text })))
    this.#countRejected(corrupt.length)
    this.#log('error', `${corrupt.length} lines of ${first.segment} are no valid records and were not exported: ${first.fault}`)
    this.#options.report({ kind: 'rejected', count: corrupt.length, firstSeq: 0, lastSeq: 0, detail: `lines of ${first.segment} are no valid records: ${first.fault}`, ownReportsOnly: false })
  }

  #reject(records: readonly JournalRecord[], count: number, detail: string): void {
    this.#countRejected(count)
    this.#log('error', `${count} records were refused or could not be sent and are kept in ${this.#poison.name}: ${detail}`)
    const ownReportsOnly = records.every(({ name, attributes }) => name === 'sallyport.audit.gap' && attributes['sallyport.gap.cause'] === 'export_rejected')
    this.#options.report({ kind: 'rejected', count, firstSeq: records[0]?.seq ?? 0, lastSeq: records.at(-1)?.seq ?? 0, detail, ownReportsOnly })
  }

  #countRejected(count: number): void {
    this.#progress = { ...this.#progress, rejected: this.#progress.rejected + count }
  }

  #reportMissing({ firstSeq, lastSeq }: { readonly firstSeq: number; readonly lastSeq: number }): void {
    this.#log('error', `records ${firstSeq} to ${lastSeq} were gone from the journal before they could be exported`)
    this.#options.report({ kind: 'missing', firstSeq, lastSeq })
  }

  #sleep(ms: number): Promise<void> {
    if (this.#stop.signal.aborted) return Promise.resolve()
    this.#wake = new AbortController()
    return pause(ms, this.#wake.signal)
  }

  #tell(changed: Partial<DeliveryProgress>): void {
    this.#progress = { ...this.#progress, ...changed }
    this.#options.report({ kind: 'progress', ...this.#progress })
  }

  #log(level: 'info' | 'warn' | 'error', message: string): void {
    this.#options.report({ kind: 'log', level, message })
  }
}
