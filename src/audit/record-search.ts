// Answers a question about the journal: the newest records that fit, the first ones past a number, or how many there are.
// What is indexed is looked for in the index, the rest is read from the segments; the answer is the same either way,
// for each record that is told was read from the journal and held against the question.
import { dirname } from 'node:path'
import { systemClock } from '../clock.ts'
import { isInPlace } from './index-builder.ts'
import { plannedCount, plannedRows, planOf, type IndexPlan, type SearchScope } from './index-plan.ts'
import { segmentsIn } from './journal-query.ts'
import { PlacedReader } from './record-at.ts'
import type { JournalRecord } from './record.ts'
import { RecordOpener } from './record-opener.ts'
import type { IndexedSegment, RecordIndex } from './record-index.ts'
import { RecordFilter, type RecordQuestion } from './record-filter.ts'
import { placeOf } from './segment-place.ts'
import { readLines, readLinesBackward, type SegmentFile, type SegmentLine } from './segments.ts'

export interface Search {
  readonly question: RecordQuestion
  /** `newest`: the last ones that fit; `oldest`: the first ones */
  readonly from: 'newest' | 'oldest'
  readonly limit: number
  /** only records past this number */
  readonly afterSeq?: number | undefined
  /** only records before this number */
  readonly beforeSeq?: number | undefined
  /** undefined: everything may be told */
  readonly scope?: SearchScope | undefined
  /** when it takes longer it tells what it has; default: as long as it takes */
  readonly budgetMs?: number | undefined
}

export interface SearchAnswer {
  /** oldest first */
  readonly records: readonly JournalRecord[]
  /** there may be more: number of the last record that was looked at, to go on from; undefined: all were */
  readonly lookedTo: number | undefined
  /** lines that are no valid record, among those that were looked at; what is indexed was valid when it was */
  readonly invalid: number
  readonly segments: number
  /** records that were found by the index, and lines that were read one by one */
  readonly byIndex: number
  readonly byReading: number
}

/** A part of the journal, and how it is searched. */
type Stretch =
  | { readonly firstSeq: number; readonly lastSeq: number; readonly segment?: undefined; readonly indexed: readonly IndexedSegment[] }
  | { readonly firstSeq: number; readonly segment: SegmentFile; readonly from: number }

/** What the index says and what the journal says do not agree. */
class IndexDisagrees extends Error {
  override readonly name = 'IndexDisagrees'
}

interface Sought {
  readonly search: Search
  readonly filter: RecordFilter
  readonly index: RecordIndex | undefined
  readonly plan: IndexPlan | undefined
  readonly reader: PlacedReader
  readonly endsMs: number
  /** a count of what need not be read is enough */
  readonly isCount: boolean
}

class Findings {
  readonly records: JournalRecord[] = []
  count = 0
  invalid = 0
  byIndex = 0
  byReading = 0
  /** number of the last record that was looked at */
  lookedTo: number | undefined
}

/** Throws FilterFault for a question that cannot be asked, and what reading throws. `onDisagreement`: the index is wrong
 * about the journal, and the answer comes from the segments alone. */
export async function searchJournal(dir: string, search: Search, index?: RecordIndex, onDisagreement: () => void = () => undefined): Promise<SearchAnswer> {
  const { segments, found, isCut } = await look(dir, search, false, index, onDisagreement)
  const { records, lookedTo, invalid, byIndex, byReading } = found
  return { records: search.from === 'newest' ? records.toReversed() : records, lookedTo: isCut ? lookedTo : undefined, invalid, segments, byIndex, byReading }
}

/** How many records fit. */
export async function countRecords(dir: string, question: RecordQuestion, index?: RecordIndex): Promise<Omit<SearchAnswer, 'records' | 'lookedTo'> & { readonly count: number }> {
  const { segments, found } = await look(dir, { question, from: 'oldest', limit: Number.POSITIVE_INFINITY }, true, index, () => undefined)
  const { count, invalid, byIndex, byReading } = found
  return { count, segments, invalid, byIndex, byReading }
}

async function look(dir: string, search: Search, isCount: boolean, index: RecordIndex | undefined, onDisagreement: () => void) {
  const filter = new RecordFilter(search.question)
  const { sinceMs, untilMs } = search.question
  const endsMs = systemClock.monotonic() + (search.budgetMs ?? Number.POSITIVE_INFINITY)
  const segments = await segmentsIn(dir, { sinceMs, untilMs, fromSeq: (search.afterSeq ?? 0) + 1 })
  const reader = new PlacedReader(dir)
  const through = async (used: RecordIndex | undefined) => {
    const found = new Findings()
    const stretches = stretchesOf(segments, search, used, reader)
    const sought: Sought = { search, filter, index: used, reader, endsMs, isCount, plan: used === undefined ? undefined : planOf(used, filter, search.scope) }
    for (const stretch of search.from === 'newest' ? stretches.toReversed() : stretches) {
      if (stretch.segment === undefined ? lookUp(sought, stretch, found) : await scan(sought, stretch, found)) return { segments: segments.length, found, isCut: true }
    }
    return { segments: segments.length, found, isCut: false }
  }
  try {
    return await through(index)
  } catch (error) {
    if (!(error instanceof IndexDisagrees)) throw error
    onDisagreement()
    return await through(undefined)
  } finally {
    reader.close()
  }
}

/** Oldest first; neighbours that are indexed are one. */
function stretchesOf(segments: readonly SegmentFile[], { afterSeq = 0, beforeSeq = Number.MAX_SAFE_INTEGER }: Search, index: RecordIndex | undefined, reader: PlacedReader): readonly Stretch[] {
  const known = index?.segments() ?? new Map<number, IndexedSegment>()
  const stretches: Stretch[] = []
  for (const segment of segments) {
    const indexed = known.get(segment.firstSeq)
    const isUsable = indexed !== undefined && isInPlace(reader, indexed)
    if (isUsable) {
      const last = stretches.at(-1)
      const isNext = last !== undefined && last.segment === undefined
      const lastSeq = Math.min(indexed.lastSeq, beforeSeq - 1)
      if (isNext) stretches[stretches.length - 1] = { firstSeq: last.firstSeq, lastSeq, indexed: [...last.indexed, indexed] }
      else stretches.push({ firstSeq: Math.max(indexed.firstSeq, afterSeq + 1), lastSeq, indexed: [indexed] })
    }
    if (isUsable ? !indexed.isComplete : true) stretches.push({ segment, firstSeq: isUsable ? indexed.lastSeq + 1 : segment.firstSeq, from: isUsable ? indexed.endOffset : 0 })
  }
  return stretches.filter(({ firstSeq }) => firstSeq < beforeSeq)
}

/** Looks through what is indexed; true: that is enough. */
function lookUp(sought: Sought, { indexed, ...range }: Extract<Stretch, { segment?: undefined }>, found: Findings): boolean {
  const { index, plan, isCount, search } = sought
  if (index === undefined || plan === undefined) return false
  if (isCount && plan.isExact) {
    const count = plannedCount(index, plan, range)
    found.count += count
    found.byIndex += count
    return false
  }
  for (const row of plannedRows(index, plan, range, search.from)) {
    found.byIndex++
    found.lookedTo = row.seq
    const record = readRow(sought, indexed, row)
    if (record !== undefined) take(sought, record, found)
    if (isEnough(sought, found)) return true
  }
  return false
}

/** Reads what is not indexed; true: that is enough. */
async function scan(sought: Sought, { segment, from }: Extract<Stretch, { segment: SegmentFile }>, found: Findings): Promise<boolean> {
  const { filter, search: { afterSeq = 0, beforeSeq = Number.MAX_SAFE_INTEGER, from: end } } = sought
  const start = segment.firstSeq <= afterSeq ? Math.max(from, await placeOf(segment, afterSeq)) : from
  const opener = RecordOpener.beside(dirname(segment.path))
  for await (const { text, offset, complete = true } of linesOf(segment, start, end)) {
    if (offset < start) break
    if (!complete) continue
    found.byReading++
    const seq = seqOf(text)
    if (seq !== undefined && (seq <= afterSeq || seq >= beforeSeq)) continue
    found.lookedTo = seq ?? found.lookedTo
    if (filter.mayMatch(text)) {
      const { record } = opener.parse(text)
      if (record === undefined) found.invalid++
      else take(sought, record, found)
    }
    if (isEnough(sought, found)) return true
  }
  return false
}

type Line = Pick<SegmentLine, 'text' | 'offset'> & Partial<Pick<SegmentLine, 'complete'>>

function linesOf({ path }: SegmentFile, start: number, end: Search['from']): AsyncIterable<Line> {
  return end === 'newest' ? readLinesBackward(path) : readLines(path, start)
}

/** As the line itself says; nothing is told of a record that has not been checked. */
function seqOf(line: string): number | undefined {
  const [, digits] = /^\{"v":1,"seq":(\d{1,16}),/.exec(line) ?? []
  return digits === undefined ? undefined : Number(digits)
}

function take({ filter, isCount, search: { afterSeq = 0, beforeSeq = Number.MAX_SAFE_INTEGER, scope } }: Sought, record: JournalRecord, found: Findings): void {
  if (record.seq <= afterSeq || record.seq >= beforeSeq || !filter.matches(record) || !isInScope(record, scope)) return
  found.count++
  if (!isCount) found.records.push(record)
}

/** The clock is looked at now and then: it costs more than a line that does not fit. */
function isEnough({ search: { limit }, endsMs }: Sought, found: Findings): boolean {
  return found.records.length >= limit || ((found.byReading + found.byIndex) % 64 === 0 && systemClock.monotonic() >= endsMs)
}

/** The record that a row of the index stands for; undefined: retention took it meanwhile. */
function readRow({ reader }: Sought, indexed: readonly IndexedSegment[], { seq, offset }: { readonly seq: number; readonly offset: number }): JournalRecord | undefined {
  const segment = indexed.findLast(({ firstSeq }) => firstSeq <= seq)
  const read = segment === undefined ? { why: 'other' as const } : reader.read(segment.firstSeq, offset)
  if (read.record === undefined) {
    if (read.why === 'gone') return undefined
    throw new IndexDisagrees(`record ${seq} is not where the index says`)
  }
  if (read.record.seq !== seq) throw new IndexDisagrees(`record ${read.record.seq} is where the index says that record ${seq} is`)
  return read.record
}

export function isInScope({ attributes }: JournalRecord, scope: SearchScope | undefined): boolean {
  if (scope === undefined) return true
  const { 'sallyport.team': team, 'session.id': session } = attributes
  return (typeof team === 'string' && scope.teams.includes(team)) || (typeof session === 'string' && scope.sessions.includes(session))
}
