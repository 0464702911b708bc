// Checks the whole journal: every line, every hash, every number, every segment, in order, and stops at
// the first thing that is wrong. It only reads, and says nothing it has not computed itself.
import { readCursor } from './export-cursor.ts'
import { parseLine, zeroHash } from './record.ts'
import type { SegmentFile } from './segments.ts'
import { listSegments, readLines } from './segments.ts'

export interface VerifyFault {
  readonly file: string
  /** 1-based */
  readonly line: number
  /** number the record has, or should have */
  readonly seq: number
  readonly what: string
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
  readonly fault: VerifyFault | undefined
}

interface Standing {
  records: number
  firstSeq: number
  lastSeq: number
  lastHash: string
  isPruned: boolean
  tornBytes: number
}

/** Verifies every segment in `dir`. A journal that is being written to may be verified. */
export async function verifyJournal(dir: string): Promise<VerifyResult> {
  const segments = await listSegments(dir)
  const standing: Standing = { records: 0, firstSeq: 0, lastSeq: 0, lastHash: zeroHash, isPruned: false, tornBytes: 0 }
  let fault: VerifyFault | undefined
  for (const [at, segment] of segments.entries()) {
    fault = await verifySegment(segment, standing, at === segments.length - 1)
    if (fault !== undefined) break
  }
  fault ??= await checkEnd(dir, segments, standing)
  return { ok: fault === undefined, segments: segments.length, ...standing, fault }
}

async function verifySegment(segment: SegmentFile, standing: Standing, isLast: boolean): Promise<VerifyFault | undefined> {
  const faultAt = (line: number, seq: number, what: string): VerifyFault => ({ file: segment.path, line, seq, what })
  const isFirst = standing.records === 0
  let expected = isFirst ? segment.firstSeq : standing.lastSeq + 1
  if (segment.firstSeq !== expected) {
    return faultAt(1, expected, `records ${expected} to ${segment.firstSeq - 1} are missing between the segment before and this one`)
  }
  let lines = 0
  for await (const { text, number, complete } of readLines(segment.path)) {
    if (!complete) {
      if (!isLast) return faultAt(number, expected, 'the segment ends in a torn record and is not the last one')
      standing.tornBytes = text.length
      break
    }
    const { record, fault } = parseLine(text)
    if (record === undefined) return faultAt(number, expected, fault)
    if (record.seq !== expected) return faultAt(number, record.seq, misplaced(record.seq, expected))
    const isOldest = isFirst && lines === 0
    if (isOldest) {
      standing.firstSeq = record.seq
      standing.isPruned = record.seq > 1
    }
    const expectedPrev = isOldest && record.seq > 1 ? record.prev : standing.lastHash
    if (record.prev !== expectedPrev) {
      return faultAt(number, record.seq, 'the record does not continue the one before it: that one, or this one, was replaced')
    }
    standing.lastSeq = record.seq
    standing.lastHash = record.hash
    standing.records++
    lines++
    expected++
  }
  if (lines === 0 && !isLast) return faultAt(1, expected, 'the segment is empty and is not the last one')
  return undefined
}

function misplaced(found: number, expected: number): string {
  return found > expected
    ? `records ${expected} to ${found - 1} are missing before this one`
    : `record ${found} stands where record ${expected} must: it was repeated or moved`
}

/** Whether the exporter delivered more than is here: then the end of the journal is missing. */
async function checkEnd(dir: string, segments: readonly SegmentFile[], standing: Standing): Promise<VerifyFault | undefined> {
  const cursor = await readCursor(dir)
  if (cursor === undefined) return undefined
  const last = segments.at(-1)
  const file = last?.path ?? dir
  const line = Math.max(1, standing.lastSeq + 1 - (last?.firstSeq ?? 1))
  if (cursor.seq > standing.lastSeq) {
    return { file, line, seq: standing.lastSeq + 1, what: `records ${standing.lastSeq + 1} to ${cursor.seq} were exported and are missing at the end` }
  }
  if (cursor.seq === standing.lastSeq && cursor.hash !== standing.lastHash) {
    return { file, line, seq: cursor.seq, what: 'the last record is not the one that was exported' }
  }
  return undefined
}
