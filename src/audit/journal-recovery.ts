// Opens what an earlier process left: reads the last segment, moves a torn end aside, and says where
// the chain goes on. What is wrong beyond a torn end is never repaired: the caller must not start.
import { open, truncate, unlink } from 'node:fs/promises'
import { writeFileSync } from 'node:fs'
import { readCursor } from './export-cursor.ts'
import { ExportReader } from './export-reader.ts'
import { parseLine, zeroHash } from './record.ts'
import type { ClosedSegment } from './retention.ts'
import type { SegmentFile } from './segments.ts'
import { listSegments, readLines, segmentStat } from './segments.ts'

/** The journal on disk contradicts itself; starting over it would hide that. */
export class JournalCorruptError extends Error {
  override readonly name = 'JournalCorruptError'
  readonly file: string
  /** 1-based */
  readonly line: number

  constructor(file: string, line: number, what: string) {
    super(`journal segment \`${file}\` line ${line}: ${what}; run \`sallyport audit verify\`, keep a copy, and move the journal folder aside to start anew`)
    this.file = file
    this.line = line
  }
}

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
  /** the last record an exporter delivered; 0 when that is not known for sure */
  readonly deliveredSeq: number
}

interface LastSegment {
  readonly lastSeq: number
  readonly lastHash: string
  readonly startedMs: number
  readonly endedMs: number
  readonly torn: { readonly offset: number; readonly text: string } | undefined
}

/** Reads the end of the journal in `dir` and repairs a torn tail. `nowMs` names the moved file. `isToSync`: what the
 * process before wrote last is on the disk before anything follows on it. */
export async function recoverJournal(dir: string, nowMs: number, isToSync = false): Promise<Recovered> {
  const segments = [...(await listSegments(dir))]
  const torn: TornTail[] = []
  for (let segment = segments.pop(); segment !== undefined; segment = segments.pop()) {
    const last = await readLast(segment)
    if (last.torn !== undefined) torn.push(await moveAside(segment, last.torn, nowMs))
    if (last.lastSeq === 0) {
      // nothing whole was ever written to it
      await unlink(segment.path)
      continue
    }
    const { lastSeq, lastHash, startedMs, endedMs } = last
    if (isToSync) for (const path of [...segments.slice(-1).map((before) => before.path), segment.path, dir]) await syncPath(path)
    const deliveredSeq = await findDelivered(dir)
    return { lastSeq, lastHash, torn, deliveredSeq, closed: await closedSegments(segments, segment), active: { firstSeq: segment.firstSeq, startedMs, endedMs } }
  }
  return { lastSeq: 0, lastHash: zeroHash, torn, deliveredSeq: 0, closed: [], active: undefined }
}

/** The exporter says again what it finds at its cursor; until then nothing it may need is removed. */
async function findDelivered(dir: string): Promise<number> {
  const reader = new ExportReader(dir, { isForExport: false, onNotice: () => undefined })
  return reader.seek(await readCursor(dir))
}

async function readLast(segment: SegmentFile): Promise<LastSegment> {
  let lastSeq = 0
  let lastHash = zeroHash
  let startedMs = 0
  let endedMs = 0
  // a line is judged when the next one is seen, for only the last may be torn
  let suspect: { readonly number: number; readonly offset: number; readonly text: string; readonly fault: string } | undefined
  for await (const { text, number, offset, complete } of readLines(segment.path)) {
    if (suspect !== undefined) throw new JournalCorruptError(segment.path, suspect.number, suspect.fault)
    const { record, fault } = complete ? parseLine(text) : { fault: 'the line has no end' }
    if (record === undefined) {
      if (complete && fault !== 'the line is not JSON') throw new JournalCorruptError(segment.path, number, fault)
      suspect = { number, offset, fault, text: complete ? `${text}\n` : text }
      continue
    }
    const expectedSeq = lastSeq === 0 ? segment.firstSeq : lastSeq + 1
    if (record.seq !== expectedSeq) throw new JournalCorruptError(segment.path, number, `record ${record.seq} stands where record ${expectedSeq} must`)
    const expectedPrev = lastSeq === 0 && record.seq > 1 ? record.prev : lastHash
    if (record.prev !== expectedPrev) throw new JournalCorruptError(segment.path, number, `record ${record.seq} does not continue the record before it`)
    endedMs = Date.parse(record.time)
    if (lastSeq === 0) startedMs = endedMs
    lastSeq = record.seq
    lastHash = record.hash
  }
  return { lastSeq, lastHash, startedMs, endedMs, torn: suspect === undefined ? undefined : { offset: suspect.offset, text: suspect.text } }
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

async function closedSegments(segments: readonly SegmentFile[], active: SegmentFile): Promise<readonly ClosedSegment[]> {
  const closed: ClosedSegment[] = []
  for (const [at, segment] of segments.entries()) {
    const found = await segmentStat(segment.path)
    if (found === undefined) continue
    const startedMs = closed.at(-1)?.endedMs ?? (await firstRecordMs(segment)) ?? found.mtimeMs
    const lastSeq = (segments[at + 1] ?? active).firstSeq - 1
    closed.push({ ...segment, lastSeq, bytes: found.size, startedMs, endedMs: found.mtimeMs })
  }
  return closed
}

async function firstRecordMs(segment: SegmentFile): Promise<number | undefined> {
  for await (const { text } of readLines(segment.path)) {
    const { record } = parseLine(text)
    return record === undefined ? undefined : Date.parse(record.time)
  }
  return undefined
}
