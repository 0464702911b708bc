// Checks the whole journal: every line, every hash, every number, every segment, in order, against the signed
// checkpoints and their copies, and stops at the first thing that is wrong. It only reads, and says nothing it has not
// computed itself.
import { checkpointOf } from './checkpoint.ts'
import { checkpointPath, gapOf, readCheckpoints, type KeptLine } from './checkpoint-file.ts'
import { readCursors } from './export-cursor.ts'
import { JournalCorruptError } from './journal-corrupt.ts'
import { parseLine, zeroHash, type JournalRecord } from './record.ts'
import type { SegmentFile } from './segments.ts'
import { listSegments, readLines, segmentStat } from './segments.ts'
import type { PublicKey } from './signing-key.ts'
import { SignatureCheck, type KeySpan } from './verify-signatures.ts'

export interface VerifyOptions {
  /** public keys to check signatures with; absent: they are not checked */
  readonly keys?: readonly PublicKey[] | undefined
  /** only part of a journal was copied: neither its beginning nor its end is looked for */
  readonly isRange?: boolean
  /** `bytes` of `total` have been read */
  readonly onProgress?: (bytes: number, total: number) => void
}

export interface VerifyFault {
  readonly file: string
  /** 1-based */
  readonly line: number
  /** number the record has, or should have */
  readonly seq: number
  readonly what: string
}

interface SeqRange {
  readonly firstSeq: number
  readonly lastSeq: number
}

/** Missing records, and the gap records with a copy that explain them. */
interface KnownGap extends SeqRange {
  readonly explainedBy: readonly number[]
  /** where they are missing */
  readonly file: string
}

export interface VerifyResult {
  readonly ok: boolean
  readonly records: number
  readonly segments: number
  readonly firstSeq: number
  readonly lastSeq: number
  /** compare it with the collector's copy of record `lastSeq`: that is what proves that nothing was cut off */
  readonly lastHash: string
  /** records before `firstSeq` were removed by retention */
  readonly isPruned: boolean
  /** bytes after the last whole line of the last segment: a write under way, or a torn end */
  readonly tornBytes: number
  /** the last record that a checkpoint covers; 0: none does */
  readonly signedThrough: number
  /** signed checkpoints; whether their signatures were checked is the caller's to know */
  readonly checkpoints: number
  /** the keys they are signed with, in their order; empty when signatures were not checked */
  readonly keySpans: readonly KeySpan[]
  /** missing records that `sallyport audit repair` set aside, as the journal itself tells */
  readonly knownGaps: readonly SeqRange[]
  /** records before such a gap that no checkpoint covers: nothing proves that they are as they were journaled */
  readonly unsigned: readonly SeqRange[]
  readonly fault: VerifyFault | undefined
}

interface Standing {
  records: number
  firstSeq: number
  firstPrev: string
  lastSeq: number
  /** undefined after a gap: whatever comes next is taken to follow */
  lastHash: string | undefined
  /** hash of the last record before the gap that was just passed */
  hashBeforeGap: string | undefined
  tornBytes: number
}

const progressRecords = 5000

/** Verifies every segment in `dir`. A journal that is being written to may be verified. */
export async function verifyJournal(dir: string, options: VerifyOptions = {}): Promise<VerifyResult> {
  return new Verification(dir, options).run()
}

class Verification {
  readonly #dir: string
  readonly #options: VerifyOptions
  readonly #check: SignatureCheck
  readonly #standing: Standing = { records: 0, firstSeq: 0, firstPrev: zeroHash, lastSeq: 0, lastHash: zeroHash, hashBeforeGap: undefined, tornBytes: 0 }
  readonly #knownGaps: KnownGap[] = []
  /** records with a copy that are in the journal */
  readonly #found = new Set<number>()
  /** checkpoints in the journal, those that are to have a copy */
  readonly #signed: number[] = []
  readonly #judged = new Set<number>()
  #kept: ReadonlyMap<number, KeptLine> = new Map()
  #readBytes = 0
  #totalBytes = 0

  constructor(dir: string, options: VerifyOptions) {
    this.#dir = dir
    this.#options = options
    this.#check = new SignatureCheck(options.keys)
  }

  async run(): Promise<VerifyResult> {
    // before the segments: what it has a copy of by now, they must have
    const before = await this.#readKept()
    if ('fault' in before) return this.#result(0, before.fault)
    this.#kept = new Map(before.lines?.map((line) => [line.record.seq, line]))
    const segments = await listSegments(this.#dir)
    const left = before.lines?.filter(({ record }) => record.seq < (segments[0]?.firstSeq ?? 0)) ?? []
    const old = this.#judgeCopies(left)
    if (old !== undefined) return this.#result(segments.length, old)
    for (const { path } of segments) this.#totalBytes += (await segmentStat(path))?.size ?? 0
    let fault: VerifyFault | undefined
    for (const [at, segment] of segments.entries()) {
      fault = await this.#segment(segment, at === segments.length - 1)
      if (fault !== undefined) break
    }
    const standing = this.#standing
    const start = standing.records === 0 ? undefined : await this.#checkStart(segments)
    fault = start ?? fault ?? this.#checkGaps() ?? (await this.#checkEnd(segments)) ?? (await this.#checkCopies())
    return this.#result(segments.length, fault)
  }

  #result(segments: number, fault: VerifyFault | undefined): VerifyResult {
    const { records, firstSeq, lastSeq, lastHash, tornBytes } = this.#standing
    return {
      ok: fault === undefined, records, segments, firstSeq, lastSeq, lastHash: lastHash ?? '', isPruned: firstSeq > 1, tornBytes,
      signedThrough: this.#check.signedThrough, checkpoints: this.#check.count, keySpans: this.#check.spans, knownGaps: this.#knownGaps.map(({ firstSeq: first, lastSeq: last }) => ({ firstSeq: first, lastSeq: last })), unsigned: this.#check.unsigned, fault,
    }
  }

  async #readKept(): Promise<{ readonly lines: readonly KeptLine[] | undefined } | { readonly fault: VerifyFault }> {
    try {
      return { lines: (await readCheckpoints(this.#dir))?.lines }
    } catch (error) {
      if (!(error instanceof JournalCorruptError)) throw error
      return { fault: { file: error.file, line: error.line, seq: 0, what: error.what } }
    }
  }

  async #segment(segment: SegmentFile, isLast: boolean): Promise<VerifyFault | undefined> {
    const standing = this.#standing
    const faultAt = (line: number, seq: number, what: string): VerifyFault => ({ file: segment.path, line, seq, what })
    if (standing.records > 0 && segment.firstSeq !== standing.lastSeq + 1) {
      const from = standing.lastSeq + 1
      if (!this.#isKnownGap(from, segment.firstSeq - 1, segment.path)) return faultAt(1, from, `records ${from} to ${segment.firstSeq - 1} are missing between the segment before and this one`)
      standing.hashBeforeGap = standing.lastHash
      standing.lastHash = undefined
    }
    let expected = segment.firstSeq
    for await (const { text, number, complete } of readLines(segment.path)) {
      if (!complete) {
        if (!isLast) return faultAt(number, expected, 'the segment ends in a torn record and is not the last one')
        standing.tornBytes = text.length
        break
      }
      const { record, fault } = parseLine(text)
      if (record === undefined) return faultAt(number, expected, fault)
      const wrong = this.#record(record, text, expected)
      if (wrong !== undefined) return faultAt(number, wrong.seq, wrong.what)
      expected++
      this.#progress(text.length + 1)
    }
    if (expected > segment.firstSeq) this.#check.segmentEnd(standing.lastSeq, standing.lastHash ?? '')
    else if (!isLast && (standing.records > 0 || (await segmentStat(segment.path)) !== undefined)) return faultAt(1, expected, 'the segment is empty and is not the last one')
    return undefined
  }

  #record(record: JournalRecord, text: string, expected: number): { readonly seq: number; readonly what: string } | undefined {
    const standing = this.#standing
    const { seq } = record
    const fault = (what: string): { readonly seq: number; readonly what: string } => ({ seq, what })
    if (seq !== expected) return fault(misplaced(seq, expected))
    if (standing.records === 0) {
      standing.firstSeq = seq
      standing.firstPrev = record.prev
      if (seq > 1) standing.lastHash = undefined
    }
    if (standing.lastHash !== undefined && record.prev !== standing.lastHash) return fault('the record does not continue the one before it: that one, or this one, was replaced')
    // what a repair leaves at the end goes on behind it: only the numbers are missing
    const wrong = this.#check.record(record, standing.lastHash !== undefined || record.prev === standing.hashBeforeGap)
    standing.hashBeforeGap = undefined
    if (wrong !== undefined) return wrong
    const kept = this.#kept.get(seq)
    if (kept !== undefined && kept.line !== text) return fault('the record is not the one that checkpoints.jsonl has a copy of')
    if (kept !== undefined) this.#found.add(seq)
    if (checkpointOf(record) !== undefined) {
      this.#signed.push(seq)
      this.#judged.add(seq)
    }
    standing.lastSeq = seq
    standing.lastHash = record.hash
    standing.records++
    return undefined
  }

  /** Checkpoints whose records are not here, by themselves; `lines` are the first of the file. */
  #judgeCopies(lines: readonly KeptLine[]): VerifyFault | undefined {
    for (const [at, { record }] of lines.entries()) {
      const checkpoint = checkpointOf(record)
      if (checkpoint === undefined || this.#judged.has(record.seq)) continue
      this.#judged.add(record.seq)
      const fault = this.#check.checkpoint(checkpoint, record.seq)
      if (fault !== undefined) return { file: checkpointPath(this.#dir), line: at + 1, ...fault }
    }
    return undefined
  }

  #progress(bytes: number): void {
    this.#readBytes += bytes
    if (this.#standing.records % progressRecords === 0) this.#options.onProgress?.(this.#readBytes, this.#totalBytes)
  }

  /** Whether a copy says so; whether that is the journal's own word shows at the end. */
  #isKnownGap(firstSeq: number, lastSeq: number, file: string): boolean {
    const explainedBy: number[] = []
    for (const { record } of this.#kept.values()) {
      const gap = gapOf(record)
      if (gap?.cause === 'set_aside' && gap.firstSeq <= firstSeq && gap.lastSeq >= lastSeq) explainedBy.push(record.seq)
    }
    if (explainedBy.length > 0) this.#knownGaps.push({ firstSeq, lastSeq, explainedBy, file })
    return explainedBy.length > 0
  }

  /** A gap record is not signed itself, and a copy of one anybody can write: what explains a gap stands in the chain, and
   * a checkpoint covers it. */
  #checkGaps(): VerifyFault | undefined {
    const isRange = this.#options.isRange === true
    for (const { firstSeq, lastSeq, explainedBy, file } of this.#knownGaps) {
      if (explainedBy.some((seq) => (this.#found.has(seq) ? this.#options.keys === undefined || isRange || this.#check.isSigned(seq) : isRange && seq > this.#standing.lastSeq))) continue
      return { file, line: 1, seq: firstSeq, what: `records ${firstSeq} to ${lastSeq} are missing before this one, and what is to explain it (record ${explainedBy.join(', ')}) ${explainedBy.some((seq) => this.#found.has(seq)) ? 'is covered by no signed checkpoint' : 'is not in the journal'}` }
    }
    return undefined
  }

  /** Whether what came before the oldest record left by retention: a signed checkpoint says so. */
  async #checkStart([first]: readonly SegmentFile[]): Promise<VerifyFault | undefined> {
    const { firstSeq, firstPrev } = this.#standing
    if (firstSeq <= 1 || this.#options.isRange === true) return undefined
    // segments may have left since the copies were read
    const now = await this.#readKept()
    if ('fault' in now) return now.fault
    if (now.lines === undefined && this.#options.keys === undefined && this.#signed.length === 0) return undefined
    let pruned = 0
    for (const { record } of now.lines ?? []) {
      const checkpoint = checkpointOf(record)
      if (checkpoint?.reason !== 'pruned') continue
      if (checkpoint.lastSeq === firstSeq - 1 && checkpoint.lastHash !== firstPrev) continue
      pruned = Math.max(pruned, checkpoint.lastSeq)
    }
    if (pruned >= firstSeq - 1 || this.#isKnownGap(pruned + 1, firstSeq - 1, first?.path ?? this.#dir)) return undefined
    return { file: first?.path ?? this.#dir, line: 1, seq: pruned + 1, what: `records ${pruned + 1} to ${firstSeq - 1} are missing before the oldest that is here, and no signed checkpoint says that retention removed them${hint}` }
  }

  /** Whether the exporter delivered more than is here, or a checkpoint has a copy and is gone: then the end is missing. */
  async #checkEnd(segments: readonly SegmentFile[]): Promise<VerifyFault | undefined> {
    const { lastSeq, lastHash } = this.#standing
    const last = segments.at(-1)
    const at = { file: last?.path ?? this.#dir, line: Math.max(1, lastSeq + 1 - (last?.firstSeq ?? 1)) }
    if (this.#options.isRange === true) return undefined
    const newest = Math.max(0, ...this.#kept.keys())
    if (newest > lastSeq) return { ...at, seq: lastSeq + 1, what: `records ${lastSeq + 1} to ${newest} are missing at the end: checkpoints.jsonl has a copy of the last of them${hint}` }
    for (const cursor of await readCursors(this.#dir)) {
      if (cursor.seq > lastSeq) return { ...at, seq: lastSeq + 1, what: `records ${lastSeq + 1} to ${cursor.seq} were exported and are missing at the end` }
      if (cursor.seq === lastSeq && cursor.hash !== lastHash) return { ...at, seq: cursor.seq, what: 'the last record is not the one that was exported' }
    }
    return undefined
  }

  /** checkpoints.jsonl itself: what stands in it of records that left, and whether anything was taken out at its end. */
  async #checkCopies(): Promise<VerifyFault | undefined> {
    const file = checkpointPath(this.#dir)
    const now = await this.#readKept()
    if ('fault' in now) return now.fault
    const [firstSigned] = this.#signed
    if (now.lines === undefined) {
      if (firstSigned === undefined || this.#options.isRange === true) return undefined
      return { file, line: 1, seq: firstSigned, what: `the file is missing, and record ${firstSigned} is a checkpoint that it must have a copy of${hint}` }
    }
    const fault = this.#judgeCopies(now.lines)
    if (fault !== undefined) return fault
    const newest = now.lines.at(-1)?.record.seq ?? 0
    // the newest may be on its way into the file, or a crash came in between
    const [uncopied, another] = this.#signed.filter((seq) => seq > newest)
    if (uncopied === undefined || another === undefined || this.#options.isRange === true) return undefined
    return { file, line: now.lines.length + 1, seq: uncopied, what: `copies were taken out: records ${uncopied} and ${another} are checkpoints, and the file ends with that of record ${newest}` }
  }
}

const hint = ' (where only part of the journal was copied, say --range)'

function misplaced(found: number, expected: number): string {
  return found > expected
    ? `records ${expected} to ${found - 1} are missing before this one`
    : `record ${found} stands where record ${expected} must: it was repeated or moved`
}
