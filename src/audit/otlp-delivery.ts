// Delivers the journal to a collector, at least once, in order, for as long as it takes. INVARIANT: the
// cursor moves only past records that a collector accepted or that stand in the poison file. An outage
// is waited out; a record that a collector refuses is set aside and never stalls the ones behind it.
import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { readCursor, writeCursor } from './export-cursor.ts'
import type { ReadBatch } from './export-reader.ts'
import { ExportReader } from './export-reader.ts'
import type { OtlpEncoding, PartialSuccess } from './otlp-encoding.ts'
import type { Sender, SendOutcome } from './otlp-sender.ts'
import type { JournalRecord } from './record.ts'
import { RecordOpener } from './record-opener.ts'

export interface DeliveryOptions {
  readonly dir: string
  readonly encoding: OtlpEncoding
  readonly sender: Sender
  readonly flushMs: number
  readonly minBackoffMs: number
  readonly maxBackoffMs: number
  report(report: DeliveryReport): void
}

export type DeliveryReport =
  | { readonly kind: 'progress'; readonly deliveredSeq: number; readonly exported: number; readonly rejected: number; readonly retries: number; readonly trouble: string | undefined }
  | { readonly kind: 'rejected'; readonly count: number; readonly firstSeq: number; readonly lastSeq: number; readonly detail: string; readonly ownReportsOnly: boolean }
  | { readonly kind: 'missing'; readonly firstSeq: number; readonly lastSeq: number }
  | { readonly kind: 'log'; readonly level: 'info' | 'warn' | 'error'; readonly message: string }

type Verdict = { readonly kind: 'accepted'; readonly partial: PartialSuccess } | { readonly kind: 'refused' | 'unencodable'; readonly detail: string } | { readonly kind: 'stopped' }

interface Refused {
  readonly record: JournalRecord
  readonly detail: string
}

export const poisonFile = 'export.poison.jsonl'
const limits = { maxRecords: 512, maxBytes: 1024 * 1024 }
const maxRetryAfterMs = 10 * 60_000
/** a server fault that may be the batch's own doing is tried this often before the batch is split */
const faultTries = 5
/** so many refusals and no acceptance: is it the records or the collector? */
const refusalsBeforeDoubt = 16
const compress = promisify(gzip)

export class Delivery {
  readonly #options: DeliveryOptions
  readonly #reader: ExportReader
  readonly #opener: RecordOpener
  readonly #stop = new AbortController()
  #wake = new AbortController()
  #isDraining = false
  #failures = 0
  #lastAccepted: JournalRecord | undefined
  #progress = { deliveredSeq: 0, exported: 0, rejected: 0, retries: 0, trouble: undefined as string | undefined }

  constructor(options: DeliveryOptions) {
    this.#options = options
    this.#opener = RecordOpener.beside(options.dir)
    this.#reader = new ExportReader(options.dir, { isForExport: true, onNotice: (message) => this.#log('warn', message) })
  }

  /** Delivers until `drain` has emptied the journal or `stop` is called. */
  async run(): Promise<void> {
    this.#progress.deliveredSeq = await this.#reader.seek(await readCursor(this.#options.dir))
    this.#report()
    while (!this.#stop.signal.aborted) {
      const batch = await this.#reader.read(limits)
      if (batch === undefined) {
        if (this.#isDraining) return
        await this.#sleep(this.#options.flushMs)
      } else if (await this.#deliver(batch)) {
        this.#reader.accept(batch)
        if (batch.cursor !== undefined) {
          await writeCursor(this.#options.dir, batch.cursor)
          this.#progress.deliveredSeq = batch.cursor.seq
        }
        this.#report()
        if (!batch.isMore && batch.records.length < limits.maxRecords / 2 && !this.#isDraining) await this.#sleep(this.#options.flushMs)
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

  /** True when every record is accepted or set aside. */
  async #deliver(batch: ReadBatch): Promise<boolean> {
    const { records } = batch
    const refused: Refused[] = []
    const unencodable: Refused[] = []
    const parts: (readonly JournalRecord[])[] = records.length === 0 ? [] : [records]
    let acceptedHere = false
    for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
      const verdict = await this.#send(part)
      if (verdict.kind === 'stopped') return false
      if (verdict.kind === 'accepted') {
        acceptedHere = true
      } else if (part.length > 1) {
        const middle = part.length >> 1
        parts.push(part.slice(middle), part.slice(0, middle))
      } else if (verdict.kind === 'unencodable') {
        for (const record of part) unencodable.push({ record, detail: verdict.detail })
      } else {
        for (const record of part) refused.push({ record, detail: verdict.detail })
        if (!acceptedHere && refused.length === refusalsBeforeDoubt && !(await this.#isWorking(records.at(-1)))) return this.#hold(verdict.detail)
      }
    }
    const [first] = refused
    // before and after the second try the collector must take what it took before
    if (first !== undefined && !(await this.#isWorking(undefined))) return this.#hold(first.detail)
    const confirmed = await this.#confirm(refused)
    if (confirmed.length > 0 && !(await this.#isWorking(undefined))) return this.#hold(first?.detail ?? '')
    await this.#setAside([...unencodable, ...confirmed])
    await this.#setCorruptAside(batch.corrupt)
    if (batch.missing !== undefined) this.#reportMissing(batch.missing)
    return true
  }

  /** Tries once more what was refused: the collector may have been out of order then. */
  async #confirm(refused: readonly Refused[]): Promise<readonly Refused[]> {
    const confirmed: Refused[] = []
    for (const { record } of refused) {
      const verdict = await this.#send([record])
      if (verdict.kind !== 'accepted') confirmed.push({ record, detail: verdict.kind === 'stopped' ? 'stopped' : verdict.detail })
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
    await this.#backOff(`the collector refuses what it should take, so nothing is set aside: ${detail}`, undefined)
    return false
  }

  async #send(records: readonly JournalRecord[]): Promise<Verdict> {
    const verdict = await this.#sendUntilJudged(records)
    if (verdict.kind !== 'accepted') return verdict
    this.#lastAccepted = records.at(-1)
    this.#progress.exported += records.length
    if (verdict.partial.rejected > 0) await this.#keepPartial(records, verdict.partial)
    return verdict
  }

  /** Tries until the collector takes the records or refuses these very records. */
  async #sendUntilJudged(records: readonly JournalRecord[]): Promise<Verdict> {
    const { encoding, sender } = this.#options
    for (let tries = 1; !this.#stop.signal.aborted; tries++) {
      let body: Uint8Array
      try {
        // anew for each try: a person may have been erased since, and what waits or is set aside stays sealed
        body = await compress(encoding.encode(records.map((record) => this.#opener.open(record))))
      } catch (error) {
        // no collector is at fault here, and no second try helps
        return { kind: 'unencodable', detail: `cannot be encoded: ${String(error)}` }
      }
      const outcome = await sender.send(body)
      const fate = fateOf(outcome)
      if (fate === 'accepted' && outcome.kind === 'answered') {
        this.#recovered()
        return { kind: 'accepted', partial: this.#decode(outcome.body, outcome.contentType) }
      }
      const detail = describe(outcome)
      if (fate === 'refused' || (fate === 'fault' && tries >= faultTries)) return { kind: 'refused', detail }
      await this.#backOff(detail, outcome.kind === 'answered' ? outcome.retryAfterMs : undefined)
    }
    return { kind: 'stopped' }
  }

  #decode(body: Uint8Array, contentType: string): PartialSuccess {
    try {
      return this.#options.encoding.decode(body, contentType)
    } catch (error) {
      this.#log('warn', `the collector accepted records with an answer that cannot be read: ${String(error)}`)
      return { rejected: 0, message: '' }
    }
  }

  async #backOff(detail: string, retryAfterMs: number | undefined): Promise<void> {
    const { minBackoffMs, maxBackoffMs } = this.#options
    this.#failures++
    this.#progress.retries++
    this.#progress.trouble = detail
    // loud at first, then at 2, 4, 8 … failures
    if ((this.#failures & (this.#failures - 1)) === 0) this.#log('error', `export failed ${this.#failures} times in a row, nothing is lost, trying again: ${detail}`)
    this.#report()
    const exponential = Math.min(maxBackoffMs, minBackoffMs * 2 ** Math.min(this.#failures - 1, 20)) * (0.8 + Math.random() * 0.2)
    await this.#sleep(retryAfterMs === undefined ? exponential : Math.min(Math.max(retryAfterMs, minBackoffMs), maxRetryAfterMs))
  }

  #recovered(): void {
    if (this.#failures > 0) this.#log('info', `export works again after ${this.#failures} failures`)
    this.#failures = 0
    this.#progress.trouble = undefined
  }

  async #setAside(refused: readonly Refused[]): Promise<void> {
    const [first] = refused
    if (first === undefined) return
    await this.#appendPoison(refused.map(({ record, detail }) => ({ reason: detail, record })))
    this.#reject(refused.map(({ record }) => record), refused.length, first.detail)
  }

  /** The answer does not say which records were rejected, so a copy of all is kept. */
  async #keepPartial(records: readonly JournalRecord[], { rejected, message }: PartialSuccess): Promise<void> {
    const detail = `partial success, ${rejected} of ${records.length} rejected: ${message.slice(0, 512)}`
    await this.#appendPoison(records.map((record) => ({ reason: detail, record })))
    this.#reject(records, rejected, detail)
  }

  async #setCorruptAside(corrupt: ReadBatch['corrupt']): Promise<void> {
    const [first] = corrupt
    if (first === undefined) return
    const reasons = corrupt.map(({ segment, line, fault, text }) => ({ reason: `${segment} line ${line} of this reading: ${fault}`, text }))
    await this.#appendPoison(reasons)
    this.#progress.rejected += corrupt.length
    this.#log('error', `${corrupt.length} lines of ${first.segment} are no valid records and were not exported: ${first.fault}`)
    this.#options.report({ kind: 'rejected', count: corrupt.length, firstSeq: 0, lastSeq: 0, detail: `lines of ${first.segment} are no valid records: ${first.fault}`, ownReportsOnly: false })
  }

  #reject(records: readonly JournalRecord[], count: number, detail: string): void {
    this.#progress.rejected += count
    this.#log('error', `${count} records were refused or could not be sent and are kept in ${poisonFile}: ${detail}`)
    const ownReportsOnly = records.every(({ name, attributes }) => name === 'sallyport.audit.gap' && attributes['sallyport.gap.cause'] === 'export_rejected')
    this.#options.report({ kind: 'rejected', count, firstSeq: records[0]?.seq ?? 0, lastSeq: records.at(-1)?.seq ?? 0, detail, ownReportsOnly })
  }

  #reportMissing({ firstSeq, lastSeq }: { readonly firstSeq: number; readonly lastSeq: number }): void {
    this.#log('error', `records ${firstSeq} to ${lastSeq} were gone from the journal before they could be exported`)
    this.#options.report({ kind: 'missing', firstSeq, lastSeq })
  }

  async #appendPoison(entries: readonly object[]): Promise<void> {
    const time = new Date().toISOString()
    const text = entries.map((entry) => `${JSON.stringify({ v: 1, time, ...entry })}\n`).join('')
    await appendFile(join(this.#options.dir, poisonFile), text, { mode: 0o600, flush: true })
  }

  #sleep(ms: number): Promise<void> {
    if (this.#stop.signal.aborted) return Promise.resolve()
    this.#wake = new AbortController()
    const { signal } = this.#wake
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      signal.addEventListener('abort', () => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  #report(): void {
    this.#options.report({ kind: 'progress', ...this.#progress })
  }

  #log(level: 'info' | 'warn' | 'error', message: string): void {
    this.#options.report({ kind: 'log', level, message })
  }
}

/** `again`: the collector or the way to it is at fault; `refused`: these records are; `fault`: unclear. */
function fateOf(outcome: SendOutcome): 'accepted' | 'again' | 'refused' | 'fault' {
  if (outcome.kind === 'broken') return outcome.wasReached ? 'fault' : 'again'
  const { status } = outcome
  if (status >= 200 && status < 300) return 'accepted'
  // wrong credentials, address or media type: a setting to mend, no reason to give events up
  if (status < 400 || [401, 403, 404, 405, 407, 408, 415, 421, 425, 426, 429, 502, 503, 504].includes(status)) return 'again'
  return status < 500 ? 'refused' : 'fault'
}

function describe(outcome: SendOutcome): string {
  if (outcome.kind === 'broken') return outcome.reason
  const text = Buffer.from(outcome.body).toString('latin1').replace(/[^\x20-\x7e]+/g, ' ').trim().slice(0, 200)
  return text === '' ? `status ${outcome.status}` : `status ${outcome.status}: ${text}`
}
