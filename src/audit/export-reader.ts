// Reads the journal behind the writer's back, in order, from a saved cursor on. It only reads, never
// waits for the writer, and keeps no half line: what is cut back or completed later is read again.
import { open } from 'node:fs/promises'
import type { ExportCursor } from './export-cursor.ts'
import type { JournalRecord } from './record.ts'
import { parseLine } from './record.ts'
import type { SegmentFile } from './segments.ts'
import { listSegments, readLines } from './segments.ts'

export interface BatchLimits {
  readonly maxRecords: number
  /** of journal text; one record may be longer */
  readonly maxBytes: number
}

export interface ReadBatch {
  readonly records: readonly JournalRecord[]
  /** lines of a segment that are no valid record */
  readonly corrupt: readonly { readonly segment: string; readonly line: number; readonly text: string; readonly fault: string }[]
  /** numbers that should have come before the first record and are gone from the journal */
  readonly missing: { readonly firstSeq: number; readonly lastSeq: number } | undefined
  /** a later segment is there already */
  readonly isMore: boolean
  /** what to save when all of it is delivered; undefined when the batch is empty */
  readonly cursor: ExportCursor | undefined
  /** hand back to `accept` */
  readonly position: Position
}

interface Position {
  readonly segment: SegmentFile
  readonly offset: number
}

export class ExportReader {
  readonly #dir: string
  /** what was read is on the disk itself before it is handed out */
  readonly #isForExport: boolean
  readonly #onNotice: (message: string) => void
  #position: Position | undefined
  /** the last record handed out and accepted; undefined while reading starts at whatever is oldest */
  #lastSeq: number | undefined
  #found: JournalRecord | undefined

  constructor(dir: string, options: { readonly isForExport: boolean; readonly onNotice: (message: string) => void }) {
    this.#dir = dir
    this.#isForExport = options.isForExport
    this.#onNotice = options.onNotice
  }

  /** Finds the record after the cursor; what the cursor names must be there, or reading starts at the oldest. */
  async seek(cursor: ExportCursor | undefined): Promise<number> {
    if (cursor === undefined) return 0
    const segments = await listSegments(this.#dir)
    const segment = segments.find(({ name }) => name === cursor.segment)
    if (segment !== undefined) {
      for await (const { text, offset, complete } of readLines(segment.path, cursor.offset)) {
        const { record } = complete ? parseLine(text) : {}
        if (record?.seq !== cursor.seq || record.hash !== cursor.hash) break
        this.#position = { segment, offset: offset + text.length + 1 }
        this.#lastSeq = cursor.seq
        this.#found = record
        return cursor.seq
      }
    }
    const next = segments.find(({ firstSeq }) => firstSeq === cursor.seq + 1)
    if (next !== undefined && (await followsCursor(next, cursor))) {
      this.#position = { segment: next, offset: 0 }
      this.#lastSeq = cursor.seq
      return cursor.seq
    }
    this.#onNotice(`record ${cursor.seq} that the export cursor names is not in the journal: exporting again from the oldest record kept`)
    return 0
  }

  /** The record that the cursor named, where it is still there. */
  get found(): JournalRecord | undefined {
    return this.#found
  }

  /** The next records, without moving on; empty when there is nothing new. */
  async read(limits: BatchLimits): Promise<ReadBatch | undefined> {
    const segments = await listSegments(this.#dir)
    let position = this.#position ?? startOf(segments[0])
    while (position !== undefined) {
      const { name, firstSeq } = position.segment
      const next = segments.find((segment) => segment.firstSeq > firstSeq)
      // what is gone was delivered and removed; the list was made before this read, so that a segment
      // with a successor in it is complete
      if (segments.some((segment) => segment.name === name)) {
        const batch = await readFrom(position, limits, this.#isForExport && next === undefined)
        if (batch !== undefined) return { ...batch, missing: this.#missingBefore(batch.records[0]?.seq), isMore: next !== undefined }
      }
      position = startOf(next)
      if (position !== undefined) this.#position = position
    }
    return undefined
  }

  /** Moves on past a batch. */
  accept(batch: ReadBatch): void {
    this.#position = batch.position
    this.#lastSeq = batch.cursor?.seq ?? this.#lastSeq
  }

  #missingBefore(seq: number | undefined): ReadBatch['missing'] {
    if (seq === undefined || this.#lastSeq === undefined || seq <= this.#lastSeq + 1) return undefined
    return { firstSeq: this.#lastSeq + 1, lastSeq: seq - 1 }
  }
}

function startOf(segment: SegmentFile | undefined): Position | undefined {
  return segment === undefined ? undefined : { segment, offset: 0 }
}

async function followsCursor(segment: SegmentFile, cursor: ExportCursor): Promise<boolean> {
  for await (const { text } of readLines(segment.path)) return parseLine(text).record?.prev === cursor.hash
  return false
}

async function readFrom(position: Position, limits: BatchLimits, isToSync: boolean): Promise<Omit<ReadBatch, 'missing' | 'isMore'> | undefined> {
  const { segment } = position
  const records: JournalRecord[] = []
  const corrupt: { segment: string; line: number; text: string; fault: string }[] = []
  let cursor: ExportCursor | undefined
  let bytes = 0
  let end = position.offset
  for await (const { text, number, offset, complete } of readLines(segment.path, position.offset)) {
    if (!complete || records.length + corrupt.length >= limits.maxRecords) break
    if (bytes > 0 && bytes + text.length > limits.maxBytes) break
    bytes += text.length
    end = offset + text.length + 1
    const { record, fault } = parseLine(text)
    if (record === undefined) {
      corrupt.push({ segment: segment.name, line: number, text, fault })
      continue
    }
    records.push(record)
    cursor = { seq: record.seq, hash: record.hash, segment: segment.name, offset }
  }
  if (bytes === 0) return undefined
  if (isToSync) await syncFile(segment.path)
  return { records, corrupt, cursor, position: { segment, offset: end } }
}

/** What a collector has must not be lost here by a power cut: numbers would be given twice. */
async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.datasync()
  } finally {
    await file.close()
  }
}
