// Keeps the index of the journal up, behind the writer's back: it reads the segments as any reader does, a bounded step at
// a time, and never waits for the writer or makes it wait. What the index says of a segment that is not as it was is
// thrown away and made again.
import { segmentRecords } from './journal-query.ts'
import { PlacedReader } from './record-at.ts'
import type { IndexedSegment, IndexEntry, RecordIndex } from './record-index.ts'
import { listSegments, segmentStat, type SegmentFile } from './segments.ts'

const maxRecords = 1000
const maxBytes = 1024 * 1024

/** Whether the last record that is indexed of a segment still stands where the index says. */
export function isInPlace(reader: PlacedReader, { firstSeq, lastSeq, lastOffset, lastHash }: IndexedSegment): boolean {
  // nothing of it was a record
  if (lastHash === '') return true
  const { record } = reader.read(firstSeq, lastOffset)
  return record?.seq === lastSeq && record.hash === lastHash
}

export class IndexBuilder {
  readonly #dir: string
  readonly #index: RecordIndex
  readonly #onNotice: (message: string) => void

  constructor(dir: string, index: RecordIndex, onNotice: (message: string) => void) {
    this.#dir = dir
    this.#index = index
    this.#onNotice = onNotice
  }

  /** Takes out every segment that is not what was indexed; then the next steps index it again. */
  check(): void {
    const reader = new PlacedReader(this.#dir)
    try {
      for (const segment of this.#index.segments().values()) {
        if (isInPlace(reader, segment)) continue
        this.#index.drop(segment)
        this.#onNotice(`the segment that begins with record ${segment.firstSeq} is gone, or not the one that was indexed: what the index knew of it is thrown away`)
      }
    } finally {
      reader.close()
    }
  }

  /** One bounded piece of work; false: the index is where the journal is. */
  async step(): Promise<boolean> {
    const segments = await listSegments(this.#dir)
    const known = this.#index.segments()
    const names = new Set(segments.map(({ firstSeq }) => firstSeq))
    const gone = [...known.values()].find(({ firstSeq }) => !names.has(firstSeq))
    if (gone !== undefined) {
      this.#index.drop(gone)
      this.#index.dropUnusedTerms()
      return true
    }
    for (const [at, segment] of segments.entries()) {
      const indexed = known.get(segment.firstSeq)
      if (indexed?.isComplete === true) continue
      // the list was made before this read, so that a segment with a successor in it is complete
      const hasNext = at < segments.length - 1
      if (await this.#read(segment, indexed, hasNext)) return true
    }
    return false
  }

  /** Bytes of the journal that are not indexed. */
  async lagBytes(): Promise<number> {
    const known = this.#index.segments()
    let lag = 0
    for (const { firstSeq, path } of await listSegments(this.#dir)) {
      const indexed = known.get(firstSeq)
      if (indexed?.isComplete !== true) lag += Math.max(0, ((await segmentStat(path))?.size ?? 0) - (indexed?.endOffset ?? 0))
    }
    return lag
  }

  /** Indexes what comes next in a segment; false: nothing did. */
  async #read(segment: SegmentFile, indexed: IndexedSegment | undefined, hasNext: boolean): Promise<boolean> {
    const from = indexed?.endOffset ?? 0
    const size = (await segmentStat(segment.path))?.size ?? 0
    if (indexed !== undefined && size < from) {
      this.#index.drop(indexed)
      this.#onNotice(`${segment.name} is shorter than it was: what the index knew of it is thrown away`)
      return true
    }
    let { lastSeq, lastOffset, lastHash } = indexed ?? { lastSeq: segment.firstSeq - 1, lastOffset: 0, lastHash: '' }
    let endOffset = from
    const entries: IndexEntry[] = []
    let isFull = false
    for await (const { record, offset, end } of segmentRecords(segment, from, { onInvalid: (behind) => { endOffset = behind } })) {
      endOffset = end
      if (record.seq > lastSeq) {
        entries.push({ record, offset })
        ;({ seq: lastSeq, hash: lastHash } = record)
        lastOffset = offset
      }
      isFull = entries.length >= maxRecords || endOffset - from >= maxBytes
      if (isFull) break
    }
    const isComplete = hasNext && !isFull
    if (endOffset === from && !isComplete) return false
    this.#index.add({ firstSeq: segment.firstSeq, lastSeq, lastOffset, lastHash, endOffset, isComplete }, entries)
    return true
  }
}
