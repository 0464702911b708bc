// The journal by number: pages of records after a number, the newest ones, and what is appended from then on.
// It only reads. A place is found by halving a segment, so that a page costs the same anywhere in it.
import { open, type FileHandle } from 'node:fs/promises'
import type { ExportCursor } from './export-cursor.ts'
import { findRecords, followRecords } from './journal-query.ts'
import type { JournalRecord } from './record.ts'
import { parseLine } from './record.ts'
import { listSegments, readLines, type SegmentFile } from './segments.ts'

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
  const segments = await listSegments(dir)
  const first = segments.findLastIndex(({ firstSeq }) => firstSeq <= after + 1)
  for (const [index, segment] of segments.slice(Math.max(first, 0)).entries()) {
    const from = index === 0 ? await placeOf(segment, after) : 0
    for await (const { text, complete } of readLines(segment.path, from)) {
      const { record } = complete ? parseLine(text) : {}
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

const nearBytes = 128 * 1024
const probeBytes = 64 * 1024

/** Byte of a line's start at or before the first record past `after`, at most `nearBytes` too early. */
async function placeOf({ path }: SegmentFile, after: number): Promise<number> {
  const file = await openReadable(path)
  if (file === undefined) return 0
  try {
    let low = 0
    let high = (await file.stat()).size
    while (high - low > nearBytes) {
      const middle = Math.floor((low + high) / 2)
      const line = await lineAfter(file, middle)
      if (line !== undefined && line.at < high && line.seq <= after) low = line.at
      else high = middle
    }
    return low
  } finally {
    await file.close()
  }
}

/** The first whole line that starts past `position`. Numbers stand near the start of a line. */
async function lineAfter(file: FileHandle, position: number): Promise<{ readonly at: number; readonly seq: number } | undefined> {
  const chunk = Buffer.allocUnsafe(probeBytes)
  const { bytesRead } = await file.read(chunk, 0, probeBytes, position)
  const newline = chunk.subarray(0, bytesRead).indexOf(10)
  if (newline === -1) return undefined
  const [, digits] = /^\{"v":1,"seq":(\d{1,16}),/.exec(chunk.toString('latin1', newline + 1, Math.min(newline + 65, bytesRead))) ?? []
  return digits === undefined ? undefined : { at: position + newline + 1, seq: Number(digits) }
}

async function openReadable(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}
