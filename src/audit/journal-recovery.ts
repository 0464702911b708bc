// Opens what an earlier process left: reads the last segment, moves a torn end aside, and says where
// the chain goes on. What is wrong beyond a torn end is never repaired: the caller must not start.
import { open, truncate, unlink } from 'node:fs/promises'
import { writeFileSync } from 'node:fs'
import { checkpointOf } from './checkpoint.ts'
import { gapOf, isKept, readCheckpoints, checkpointPath, type ExplainedGap, type KeptLine } from './checkpoint-file.ts'
import { readCursor } from './export-cursor.ts'
import { ExportReader } from './export-reader.ts'
import { JournalCorruptError } from './journal-corrupt.ts'
import { parseLine, zeroHash, type JournalRecord } from './record.ts'
import type { ClosedSegment } from './retention.ts'
import type { SegmentFile } from './segments.ts'
import { listSegments, readLines, readLinesBackward, segmentStat } from './segments.ts'

export interface TornTail {
  readonly segment: string
  readonly bytes: number
  /** file the bytes were moved to */
  readonly movedTo: string
}

export interface Recovered {
  readonly lastSeq: number
  readonly lastHash: string
  readonly closed: readonly ClosedSegment[]
  /** the segment to go on with */
  readonly active: { readonly firstSeq: number; readonly startedMs: number; readonly endedMs: number } | undefined
  readonly torn: readonly TornTail[]
  /** the last record that every destination has; 0 when that is not known for sure */
  readonly deliveredSeq: number
  /** what stands in checkpoints.jsonl; undefined: there is no such file */
  readonly kept: readonly KeptLine[] | undefined
  /** what must be added to it: its process ended between the record and the copy */
  readonly unkept: readonly KeptLine[]
  /** of the journal; undefined when no checkpoint says */
  readonly journalId: string | undefined
  /** the oldest record that is kept */
  readonly oldest: Pick<JournalRecord, 'seq' | 'prev'> | undefined
}

/** What `sallyport audit repair` found and moved. */
export interface Repaired {
  /** what is missing now; `firstSeq` and `lastSeq` of each stretch */
  readonly gaps: readonly ExplainedGap[]
  /** above every number that was ever given */
  readonly nextSeq: number
  /** what was done, in words, for the journal */
  readonly detail: string
}

interface LastSegment {
  readonly lastSeq: number
  readonly lastHash: string
  readonly startedMs: number
  readonly endedMs: number
  readonly torn: { readonly offset: number; readonly text: string } | undefined
  readonly first: JournalRecord | undefined
  /** of its records, those that checkpoints.jsonl keeps */
  readonly kept: readonly KeptLine[]
}

/**
 * Reads the end of the journal in `dir`, and of every segment before it where it begins and ends, and repairs a torn
 * tail. `nowMs` names the moved file. `isToSync`: what the process before wrote last is on the disk before anything
 * follows on it. `repaired`: what was set aside just now, and is not in the journal yet. Throws JournalCorruptError.
 */
export async function recoverJournal(dir: string, nowMs: number, destinations: readonly string[], isToSync = false, repaired?: Repaired): Promise<Recovered> {
  const segments = [...(await listSegments(dir))]
  const torn: TornTail[] = []
  const kept = await readKept(dir)
  const gaps = [...(kept ?? []).flatMap(({ record }) => gapOf(record) ?? []), ...(repaired?.gaps ?? [])]
  const skipped = (repaired?.nextSeq ?? 0) - 1
  for (let segment = segments.pop(); segment !== undefined; segment = segments.pop()) {
    const last = await readLast(segment)
    if (last.torn !== undefined) torn.push(await moveAside(segment, last.torn, nowMs))
    if (last.lastSeq === 0) {
      // nothing whole was ever written to it
      await unlink(segment.path)
      continue
    }
    if (isToSync) for (const path of [...segments.slice(-1).map((before) => before.path), segment.path, dir]) await syncPath(path)
    const { lastSeq, lastHash, startedMs, endedMs, first } = last
    const unkept = reconcile(segment, last, kept ?? [], skipped)
    // numbers that were given before are not given again: what follows a hole at the end begins a segment
    const isSkipping = skipped > lastSeq
    const closed = isSkipping
      ? await closedSegments([...segments, segment], { firstSeq: skipped + 1 }, undefined, gaps)
      : await closedSegments(segments, segment, first, gaps)
    return {
      lastSeq: isSkipping ? skipped : lastSeq, lastHash, torn, closed, kept, unkept, deliveredSeq: await findDelivered(dir, destinations),
      active: isSkipping ? undefined : { firstSeq: segment.firstSeq, startedMs, endedMs },
      journalId: checkpointIdIn([...(kept ?? []), ...unkept]),
      oldest: closed[0]?.first ?? first,
    }
  }
  const [first] = kept ?? []
  if (first !== undefined && first.record.seq > skipped) throw new JournalCorruptError(checkpointPath(dir), 1, `the journal has no record, and record ${first.record.seq} is said to be in it or before it`)
  return { lastSeq: Math.max(0, skipped), lastHash: zeroHash, torn, deliveredSeq: 0, closed: [], active: undefined, kept, unkept: [], journalId: checkpointIdIn(kept ?? []), oldest: undefined }
}

/** checkpoints.jsonl, without what a broken-off write left at its end. */
async function readKept(dir: string): Promise<readonly KeptLine[] | undefined> {
  const found = await readCheckpoints(dir)
  if (found !== undefined && found.tornBytes > 0) await truncate(checkpointPath(dir), found.wholeBytes)
  return found?.lines
}

function checkpointIdIn(lines: readonly KeptLine[]): string | undefined {
  return lines.map(({ record }) => checkpointOf(record)?.journal).findLast((id) => id !== undefined)
}

/** The journal's end against the copies of its checkpoints; returns those that are not copied yet. */
function reconcile(segment: SegmentFile, { lastSeq, kept: found }: LastSegment, kept: readonly KeptLine[], skipped: number): readonly KeptLine[] {
  const lines = new Map(found.map(({ record, line }) => [record.seq, line]))
  for (const { record, line } of kept) {
    if (record.seq > lastSeq) {
      if (record.seq <= skipped) continue
      throw new JournalCorruptError(segment.path, lastSeq + 1 - segment.firstSeq, `records ${lastSeq + 1} to ${record.seq} are missing at the end: checkpoints.jsonl has a copy of the last of them`)
    }
    if (record.seq >= segment.firstSeq && lines.get(record.seq) !== line) {
      throw new JournalCorruptError(segment.path, record.seq + 1 - segment.firstSeq, `record ${record.seq} is not the one that checkpoints.jsonl has a copy of`)
    }
  }
  const newest = kept.at(-1)?.record.seq ?? 0
  return found.filter(({ record }) => record.seq > newest)
}

/** The exporter says again what it finds at its cursor; until then nothing it may need is removed. */
async function findDelivered(dir: string, destinations: readonly string[]): Promise<number> {
  const delivered: number[] = []
  for (const destination of destinations) {
    const reader = new ExportReader(dir, { isForExport: false, onNotice: () => undefined })
    delivered.push(await reader.seek(await readCursor(dir, destination)))
  }
  return delivered.length === 0 ? 0 : Math.min(...delivered)
}

async function readLast(segment: SegmentFile): Promise<LastSegment> {
  let lastSeq = 0
  let lastHash = zeroHash
  let startedMs = 0
  let endedMs = 0
  let first: JournalRecord | undefined
  const kept: KeptLine[] = []
  // a line is judged when the next one is seen, for only the last may be torn
  let suspect: { readonly number: number; readonly offset: number; readonly text: string; readonly fault: string } | undefined
  for await (const { text, number, offset, complete } of readLines(segment.path)) {
    if (suspect !== undefined) throw new JournalCorruptError(segment.path, suspect.number, suspect.fault)
    const { record, fault } = complete ? parseLine(text) : { fault: 'the line has no end' }
    if (record === undefined) {
      // a write that was broken off begins as every write does
      if (number === 1 && !text.startsWith('{')) throw new JournalCorruptError(segment.path, 1, 'it does not begin with a record: the file was zeroed, or is something else')
      if (complete && fault !== 'the line is not JSON') throw new JournalCorruptError(segment.path, number, fault)
      suspect = { number, offset, fault, text: complete ? `${text}\n` : text }
      continue
    }
    const expectedSeq = lastSeq === 0 ? segment.firstSeq : lastSeq + 1
    if (record.seq !== expectedSeq) throw new JournalCorruptError(segment.path, number, `record ${record.seq} stands where record ${expectedSeq} must`)
    const expectedPrev = lastSeq === 0 && record.seq > 1 ? record.prev : lastHash
    if (record.prev !== expectedPrev) throw new JournalCorruptError(segment.path, number, `record ${record.seq} does not continue the record before it`)
    endedMs = Date.parse(record.time)
    if (lastSeq === 0) {
      first = record
      startedMs = endedMs
    }
    if (isKept(record)) kept.push({ record, line: text })
    lastSeq = record.seq
    lastHash = record.hash
  }
  return { lastSeq, lastHash, startedMs, endedMs, first, kept, torn: suspect === undefined ? undefined : { offset: suspect.offset, text: suspect.text } }
}

async function syncPath(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

async function moveAside(segment: SegmentFile, torn: { readonly offset: number; readonly text: string }, nowMs: number): Promise<TornTail> {
  const movedTo = `${segment.path}.${nowMs}.torn`
  // the copy is on the disk before the original is cut
  writeFileSync(movedTo, torn.text, { encoding: 'latin1', mode: 0o600, flush: true })
  await truncate(segment.path, torn.offset)
  return { segment: segment.name, bytes: torn.text.length, movedTo }
}

interface RecoveredSegment extends ClosedSegment {
  readonly first: JournalRecord
}

/** Segments before the last, each with its first and last record: they follow one on the other, but where the journal
 * itself has said that something is missing. What is in between is `audit verify`'s to look at. */
async function closedSegments(segments: readonly SegmentFile[], active: Pick<SegmentFile, 'firstSeq'>, activeFirst: JournalRecord | undefined, gaps: readonly ExplainedGap[]): Promise<readonly RecoveredSegment[]> {
  const closed: RecoveredSegment[] = []
  let next = { firstSeq: active.firstSeq, prev: activeFirst?.prev }
  for (const segment of segments.toReversed()) {
    const isExplained = (from: number): boolean => gaps.some(({ firstSeq, lastSeq }) => firstSeq <= from && lastSeq >= next.firstSeq - 1)
    const ends = await readEnds(segment)
    if (ends === undefined) continue
    const { first, last, fault } = ends
    if (first === undefined || last === undefined) {
      if (isExplained(segment.firstSeq)) continue
      throw new JournalCorruptError(segment.path, ends.line, fault)
    }
    if (first.seq !== segment.firstSeq) throw new JournalCorruptError(segment.path, 1, `record ${first.seq} stands where record ${segment.firstSeq} must`)
    if ((last.seq + 1 !== next.firstSeq || last.hash !== next.prev) && !isExplained(last.seq + 1)) {
      throw new JournalCorruptError(segment.path, last.seq + 1 - segment.firstSeq, last.seq + 1 < next.firstSeq
        ? `records ${last.seq + 1} to ${next.firstSeq - 1} are missing between this segment and the next`
        : `record ${next.firstSeq}, with which the next segment begins, does not continue record ${last.seq}, the last of this one`)
    }
    closed.push({ ...segment, first, lastSeq: last.seq, lastHash: last.hash, bytes: ends.bytes, startedMs: Date.parse(first.time), endedMs: Date.parse(last.time) })
    next = { firstSeq: segment.firstSeq, prev: first.prev }
  }
  return closed.toReversed()
}

/** First and last record; `fault` and `line` where either is none. Undefined when the file is gone by now. */
async function readEnds(segment: SegmentFile): Promise<{ readonly first?: JournalRecord; readonly last?: JournalRecord; readonly bytes: number; readonly line: number; readonly fault: string } | undefined> {
  const found = await segmentStat(segment.path)
  if (found === undefined) return undefined
  const bytes = found.size
  if (bytes === 0) return { bytes, line: 1, fault: 'the segment is empty and is not the last one' }
  for await (const { text, complete } of readLines(segment.path)) {
    const { record: first, fault } = complete ? parseLine(text) : { fault: 'the line has no end' }
    if (first === undefined) return { bytes, line: 1, fault }
    for await (const end of readLinesBackward(segment.path)) {
      const { record: last, fault: lastFault } = parseLine(end.text)
      const line = last === undefined ? 1 : last.seq + 1 - segment.firstSeq
      if (end.offset + end.text.length + 1 !== bytes) return { bytes, line: line + 1, fault: 'the segment ends in a torn record and is not the last one' }
      return last === undefined ? { bytes, line, fault: `the last record: ${lastFault}` } : { bytes, line, fault: '', first, last }
    }
  }
  return undefined
}
