// Reads records back for people: the newest that fit a question, and what is appended from then on. It
// never locks, repairs or changes the journal; a line that is no valid record is counted, not hidden.
import type { ExportCursor } from './export-cursor.ts'
import { ExportReader } from './export-reader.ts'
import type { JournalRecord } from './record.ts'
import { parseLine } from './record.ts'
import { listSegments, readLinesBackward } from './segments.ts'

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
  const segments = await listSegments(dir)
  for (const segment of segments.toReversed()) {
    if (records.length >= limit && newest !== undefined) break
    for await (const { text, offset } of readLinesBackward(segment.path)) {
      if (newest !== undefined && !mayMatch(text)) continue
      const { record } = parseLine(text)
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
  await reader.seek(from)
  while (!signal.aborted) {
    const batch = await reader.read({ maxRecords: 512, maxBytes: 1024 * 1024 })
    if (batch === undefined) {
      await pause(pollMs, signal)
    } else {
      yield* batch.records
      reader.accept(batch)
    }
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener('abort', end)
  })
}
