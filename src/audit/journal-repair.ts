// What `sallyport audit repair` does to a journal that does not start: finds everything that is damaged, moves a copy of
// it aside, and leaves what is whole before the damage. Nothing is deleted or made up; what is missing then is journaled
// as a gap, and no number is given twice. It must hold the journal's lock.
import { copyFile, mkdir, truncate, unlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { checkpointPath, gapOf, isKept, readCheckpoints, writeCheckpoints, type ExplainedGap, type KeptLine } from './checkpoint-file.ts'
import { readCursors } from './export-cursor.ts'
import { parseLine, type JournalRecord } from './record.ts'
import { listSegments, readLines, type SegmentFile } from './segments.ts'

export interface Damage {
  readonly file: string
  /** 1-based, the first that is wrong */
  readonly line: number
  readonly what: string
  /** bytes before it that are whole and stay */
  readonly keptBytes: number
}

export interface RepairPlan {
  readonly damages: readonly Damage[]
  /** what is missing in the journal when they are gone, and nothing explains yet */
  readonly gaps: readonly ExplainedGap[]
  readonly nextSeq: number
  /** of checkpoints.jsonl, what stays */
  readonly copies: readonly KeptLine[]
}

interface Judged {
  readonly segment: SegmentFile
  readonly last: JournalRecord | undefined
  readonly damage: Damage | undefined
  /** the highest number in any line of it */
  readonly highestSeq: number
}

/** Reads all of the journal and changes nothing. */
export async function planRepair(dir: string): Promise<RepairPlan> {
  const segments = await listSegments(dir)
  const judged: Judged[] = []
  const records = new Map<number, string>()
  for (const [at, segment] of segments.entries()) {
    const before = judged.at(-1)
    const isContinued = before?.damage === undefined && before?.last !== undefined && before.last.seq + 1 === segment.firstSeq
    judged.push(await judgeSegment(segment, isContinued ? before.last?.hash : undefined, at === segments.length - 1, records))
  }
  const { copies, damage } = await judgeCopies(dir, records, judged)
  // what only a copy still says is said anew: by itself a copy explains nothing
  const known = copies.flatMap(({ record, line }) => (records.get(record.seq) === line ? (gapOf(record) ?? []) : []))
  const cursors = await readCursors(dir)
  const nextSeq = 1 + Math.max(0, ...cursors.map(({ seq }) => seq), copies.at(-1)?.record.seq ?? 0, ...judged.map(({ highestSeq }) => highestSeq))
  const damages = [...judged.flatMap((each) => each.damage ?? []), ...(damage === undefined ? [] : [damage])]
  return { damages, nextSeq, copies, gaps: gapsOf(judged, nextSeq).filter((gap) => !known.some(({ firstSeq, lastSeq }) => firstSeq <= gap.firstSeq && lastSeq >= gap.lastSeq)) }
}

/** Moves what is damaged into `into`, which is made; what is whole before the damage stays in its place. */
export async function applyRepair(dir: string, plan: RepairPlan, into: string): Promise<void> {
  await mkdir(into, { recursive: true, mode: 0o700 })
  for (const { file, keptBytes } of plan.damages) {
    await copyFile(file, join(into, basename(file)))
    if (file === checkpointPath(dir)) await writeCheckpoints(dir, plan.copies)
    else if (keptBytes === 0) await unlink(file)
    else await truncate(file, keptBytes)
  }
}

async function judgeSegment(segment: SegmentFile, prev: string | undefined, isLast: boolean, records: Map<number, string>): Promise<Judged> {
  let last: JournalRecord | undefined
  let damage: Damage | undefined
  let highestSeq = 0
  let lines = 0
  for await (const { text, number, offset, complete } of readLines(segment.path)) {
    lines = number
    const { record, fault } = complete ? parseLine(text) : { fault: 'the segment ends in a torn record' }
    highestSeq = Math.max(highestSeq, record?.seq ?? 0)
    if (damage !== undefined) continue
    const expected = last === undefined ? segment.firstSeq : last.seq + 1
    const before = last?.hash ?? prev
    const what = record === undefined ? fault
      : record.seq !== expected ? `record ${record.seq} stands where record ${expected} must`
      : before !== undefined && record.prev !== before ? `record ${record.seq} does not continue the record before it`
      : undefined
    if (what === undefined) {
      last = record
      if (record !== undefined && isKept(record)) records.set(record.seq, text)
    } else if (!isTornEnd(isLast, complete, text)) {
      damage = { file: segment.path, line: number, what, keptBytes: offset }
    }
  }
  if (lines === 0 && !isLast) damage = { file: segment.path, line: 1, what: 'the segment is empty', keptBytes: 0 }
  return { segment, last, damage, highestSeq }
}

/** The start moves that aside by itself. */
function isTornEnd(isLast: boolean, isComplete: boolean, text: string): boolean {
  return isLast && !isComplete && text.startsWith('{')
}

async function judgeCopies(dir: string, records: ReadonlyMap<number, string>, judged: readonly Judged[]): Promise<{ readonly copies: readonly KeptLine[]; readonly damage: Damage | undefined }> {
  const file = checkpointPath(dir)
  const copies: KeptLine[] = []
  let damage: Damage | undefined
  if ((await existingCopies(dir)) === 'whole') {
    for (const [at, copy] of ((await readCheckpoints(dir))?.lines ?? []).entries()) {
      if (isContradicted(copy, records, judged)) damage ??= { file, line: at + 1, what: `the copy of record ${copy.record.seq} is not what stands in the journal`, keptBytes: 0 }
      else copies.push(copy)
    }
    return { copies, damage }
  }
  for await (const { text, number, complete } of readLines(file)) {
    const { record, fault } = complete ? parseLine(text) : { fault: 'the line has no end' }
    const isInOrder = record !== undefined && isKept(record) && record.seq > (copies.at(-1)?.record.seq ?? 0)
    if (record !== undefined && isInOrder && !isContradicted({ record, line: text }, records, judged)) copies.push({ record, line: text })
    else damage ??= { file, line: number, what: fault ?? 'it is no copy of a checkpoint in its place', keptBytes: 0 }
  }
  return { copies, damage }
}

async function existingCopies(dir: string): Promise<'whole' | 'damaged'> {
  try {
    await readCheckpoints(dir)
    return 'whole'
  } catch {
    return 'damaged'
  }
}

/** The record it copies is in the journal, whole, and says something else. */
function isContradicted({ record, line }: KeptLine, records: ReadonlyMap<number, string>, judged: readonly Judged[]): boolean {
  const holder = judged.find(({ segment, last }) => segment.firstSeq <= record.seq && last !== undefined && record.seq <= last.seq)
  return holder !== undefined && records.get(record.seq) !== line
}

/** Stretches without a record between what stays, and at the end. */
function gapsOf(judged: readonly Judged[], nextSeq: number): readonly ExplainedGap[] {
  const gaps: ExplainedGap[] = []
  const gap = (firstSeq: number, lastSeq: number): void => void (firstSeq <= lastSeq && gaps.push({ firstSeq, lastSeq, cause: 'set_aside' }))
  const [first] = judged
  let expected = first?.segment.firstSeq ?? 1
  for (const { segment, last } of judged) {
    if (last === undefined) continue
    gap(expected, segment.firstSeq - 1)
    expected = last.seq + 1
  }
  gap(expected, nextSeq - 1)
  return gaps
}
