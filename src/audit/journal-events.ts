// The journal by number: pages of records after a number, the newest ones, and what is appended from then on.
// It only reads.
import type { ExportCursor } from './export-cursor.ts'
import { findRecords, followRecords } from './journal-query.ts'
import type { JournalRecord } from './record.ts'
import { parseLine } from './record.ts'
import { RecordOpener } from './record-opener.ts'
import { placeOf } from './segment-place.ts'
import { listSegments, readLines } from './segments.ts'

export interface JournalEvents {
  /** The first `limit` records past number `after`, oldest first; what retention removed is not there. */
  read(after: number, limit: number): Promise<readonly JournalRecord[]>
  /** The newest `limit` records, oldest first. */
  latest(limit: number): Promise<readonly JournalRecord[]>
  /** Records past `after` (undefined: those appended from now on) until `signal` is aborted, as fast as they are taken. */
  follow(after: number | undefined, signal: AbortSignal): AsyncIterable<JournalRecord>
}

export function journalEvents(dir: string): JournalEvents {
  return {
    read: (after, limit) => readAfter(dir, after, limit),
    latest: async (limit) => (await findRecords(dir, limit, () => true)).records,
    follow: (after, signal) => follow(dir, after, signal),
  }
}

async function readAfter(dir: string, after: number, limit: number): Promise<readonly JournalRecord[]> {
  const records: JournalRecord[] = []
  const opener = RecordOpener.beside(dir)
  const segments = await listSegments(dir)
  const first = segments.findLastIndex(({ firstSeq }) => firstSeq <= after + 1)
  for (const [index, segment] of segments.slice(Math.max(first, 0)).entries()) {
    const from = index === 0 ? await placeOf(segment, after) : 0
    for await (const { text, complete } of readLines(segment.path, from)) {
      const { record } = complete ? opener.parse(text) : {}
      if (record === undefined || record.seq <= after) continue
      records.push(record)
      if (records.length >= limit) return records
    }
  }
  return records
}

async function* follow(dir: string, after: number | undefined, signal: AbortSignal): AsyncGenerator<JournalRecord> {
  const from = after === undefined ? (await findRecords(dir, 0, () => false)).newest : await cursorOf(dir, after)
  const isPast = after ?? from?.seq ?? 0
  for await (const record of followRecords(dir, from, signal)) {
    if (record.seq > isPast) yield record
  }
}

/** Where record `seq` stands, or what is right before it of what is kept. */
async function cursorOf(dir: string, seq: number): Promise<ExportCursor | undefined> {
  const segment = (await listSegments(dir)).findLast(({ firstSeq }) => firstSeq <= seq)
  if (segment === undefined) return undefined
  let found: ExportCursor | undefined
  for await (const { text, offset, complete } of readLines(segment.path, await placeOf(segment, seq - 1))) {
    const { record } = complete ? parseLine(text) : {}
    if (record === undefined) continue
    if (record.seq > seq) break
    found = { seq: record.seq, hash: record.hash, segment: segment.name, offset }
    if (record.seq === seq) break
  }
  return found
}
