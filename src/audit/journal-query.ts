// Reads records back: a stretch of the journal in order, the newest that fit a question, and what is appended from
// then on. It never locks, repairs or changes the journal; a line that is no valid record is counted, not hidden.
import { dirname } from 'node:path'
import type { ExportCursor } from './export-cursor.ts'
import { ExportReader } from './export-reader.ts'
import { pause } from './pause.ts'
import type { JournalRecord } from './record.ts'
import { parseLine } from './record.ts'
import { RecordOpener } from './record-opener.ts'
import { placeOf } from './segment-place.ts'
import { listSegments, readLines, readLinesBackward, type SegmentFile } from './segments.ts'

/** A stretch of the journal; what is absent bounds nothing. */
export interface RecordWindow {
  /** number of the first record */
  readonly fromSeq?: number | undefined
  /** wall clock, `ms`: not before */
  readonly sinceMs?: number | undefined
  /** wall clock, `ms`: before */
  readonly untilMs?: number | undefined
}

export interface LineChoice {
  /** looks at a line before it is parsed and checked; it may say yes too often */
  readonly mayMatch?: (line: string) => boolean
  /** told of each whole line that is no valid record, among those that were looked at: the byte behind it */
  readonly onInvalid?: (end: number) => void
}

/** A record and the line it stands on. */
export interface PlacedRecord {
  readonly record: JournalRecord
  /** byte where its line starts in its segment, and the one behind it */
  readonly offset: number
  readonly end: number
}

/** Records are in the order in which they were written; the clock may have been set back by this much meanwhile. */
const clockStepMs = 3_600_000

/** Every record of the window, oldest first, as the journal is now. */
export async function* journalRecords(dir: string, window: RecordWindow = {}, choice: LineChoice = {}): AsyncGenerator<JournalRecord> {
  const { fromSeq = 1, sinceMs = Number.NEGATIVE_INFINITY, untilMs = Number.POSITIVE_INFINITY } = window
  const opener = RecordOpener.beside(dir)
  for (const segment of await segmentsIn(dir, window)) {
    const from = segment.firstSeq < fromSeq ? await placeOf(segment, fromSeq - 1) : 0
    for await (const { record } of segmentRecords(segment, from, choice, opener)) {
      const timeMs = Date.parse(record.time)
      if (record.seq >= fromSeq && timeMs >= sinceMs && timeMs < untilMs) yield record
    }
  }
}

/** The records of one segment that start at byte `from` of it or later. */
export async function* segmentRecords({ path }: SegmentFile, from: number, { mayMatch, onInvalid }: LineChoice = {}, opener = RecordOpener.beside(dirname(path))): AsyncGenerator<PlacedRecord> {
  for await (const { text, offset, complete } of readLines(path, from)) {
    if (!complete || mayMatch?.(text) === false) continue
    const { record } = opener.parse(text)
    const end = offset + text.length + 1
    if (record === undefined) onInvalid?.(end)
    else yield { record, offset, end }
  }
}

/** The segments that can hold a record of the window, oldest first, by their names and the time of their first record. */
export async function segmentsIn(dir: string, { fromSeq = 1, sinceMs, untilMs }: RecordWindow): Promise<readonly SegmentFile[]> {
  const segments = await listSegments(dir)
  const oldest = Math.max(0, segments.findLastIndex(({ firstSeq }) => firstSeq <= fromSeq))
  const first = sinceMs === undefined ? oldest : Math.max(oldest, await firstSince(segments, oldest, sinceMs - clockStepMs))
  return segments.slice(first, untilMs === undefined ? segments.length : await endBefore(segments, first, untilMs + clockStepMs))
}

// a segment without a readable time tells nothing, and its neighbours do

async function firstSince(segments: readonly SegmentFile[], oldest: number, ms: number): Promise<number> {
  let first = segments.length - 1
  while (first > oldest && !((await startedMs(segments[first])) <= ms)) first--
  return first
}

async function endBefore(segments: readonly SegmentFile[], first: number, ms: number): Promise<number> {
  let end = first
  while (end < segments.length && !((await startedMs(segments[end])) >= ms)) end++
  return end
}

/** Time of a segment's first record; NaN, which decides nothing, where that cannot be read. */
async function startedMs(segment: SegmentFile | undefined): Promise<number> {
  if (segment === undefined) return Number.NaN
  for await (const { text } of readLines(segment.path)) return Date.parse(parseLine(text).record?.time ?? '')
  return Number.NaN
}

export interface Found {
  /** oldest first */
  readonly records: readonly JournalRecord[]
  /** lines that are no valid record, among those that were looked at */
  readonly invalid: number
  /** the newest record of all, to follow from */
  readonly newest: ExportCursor | undefined
  readonly segments: number
}

/** The newest `limit` records that `matches` says yes to. `mayMatch` looks at the line before it is parsed
 * and checked, so that a question about a rare thing does not parse the whole journal; it may say yes too often. */
export async function findRecords(
  dir: string,
  limit: number,
  matches: (record: JournalRecord) => boolean,
  mayMatch: (line: string) => boolean = () => true,
): Promise<Found> {
  const records: JournalRecord[] = []
  let invalid = 0
  let newest: ExportCursor | undefined
  const opener = RecordOpener.beside(dir)
  const segments = await listSegments(dir)
  for (const segment of segments.toReversed()) {
    if (records.length >= limit && newest !== undefined) break
    for await (const { text, offset } of readLinesBackward(segment.path)) {
      if (newest !== undefined && !mayMatch(text)) continue
      const { record } = opener.parse(text)
      if (record === undefined) {
        invalid++
        continue
      }
      newest ??= { seq: record.seq, hash: record.hash, segment: segment.name, offset }
      if (records.length >= limit) break
      if (matches(record)) records.push(record)
    }
  }
  return { records: records.toReversed(), invalid, newest, segments: segments.length }
}

const pollMs = 200

/** Records after `from` as they are appended, until `signal` is aborted. */
export async function* followRecords(dir: string, from: ExportCursor | undefined, signal: AbortSignal): AsyncGenerator<JournalRecord> {
  const reader = new ExportReader(dir, { isForExport: false, onNotice: () => undefined })
  const opener = RecordOpener.beside(dir)
  await reader.seek(from)
  while (!signal.aborted) {
    const batch = await reader.read({ maxRecords: 512, maxBytes: 1024 * 1024 })
    if (batch === undefined) {
      await pause(pollMs, signal)
    } else {
      for (const record of batch.records) yield opener.open(record)
      reader.accept(batch)
    }
  }
}
