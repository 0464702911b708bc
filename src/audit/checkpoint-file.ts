// `checkpoints.jsonl` beside the segments: the journal's own lines, unchanged, that must outlive them. Checkpoints, and
// the gap records that say where records went. It is append-only and never ahead of the disk: a line is added after the
// record it copies was synced. It bounds itself: of each kind the newest are kept.
import { open, readFile, rename, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { isAbsent } from './absent.ts'
import { checkpointOf } from './checkpoint.ts'
import { JournalCorruptError } from './journal-corrupt.ts'
import { parseLine, type JournalRecord } from './record.ts'

export interface KeptLine {
  readonly record: JournalRecord
  /** as it stands in the journal, without its newline */
  readonly line: string
}

/** Records that are missing, and the journal's own word for why. */
export interface ExplainedGap {
  readonly firstSeq: number
  readonly lastSeq: number
  readonly cause: string
}

const fileName = 'checkpoints.jsonl'
/** of each kind; twice as many may stand in the file */
const keptOfKind = 500

export function checkpointPath(dir: string): string {
  return join(dir, fileName)
}

/** Whether a record is one that is kept in this file. */
export function isKept(record: Pick<JournalRecord, 'name' | 'attributes'>): boolean {
  return checkpointOf(record) !== undefined || gapOf(record) !== undefined
}

/** A gap that explains why records are missing within the journal. */
export function gapOf({ name, attributes }: Pick<JournalRecord, 'name' | 'attributes'>): ExplainedGap | undefined {
  const cause = attributes['sallyport.gap.cause']
  if (name !== 'sallyport.audit.gap' || (cause !== 'segment_lost' && cause !== 'set_aside')) return undefined
  const firstSeq = attributes['sallyport.gap.first_seq']
  const lastSeq = attributes['sallyport.gap.last_seq']
  return typeof firstSeq === 'number' && typeof lastSeq === 'number' ? { firstSeq, lastSeq, cause } : undefined
}

export interface KeptLines {
  readonly lines: readonly KeptLine[]
  /** bytes up to the last whole line; what follows is a write that was broken off */
  readonly wholeBytes: number
  readonly tornBytes: number
}

/** Reads the file of the journal in `dir`; undefined when there is none. Throws JournalCorruptError at the first line
 * that is not a whole record of the kind that stands here, in the order of their numbers. */
export async function readCheckpoints(dir: string): Promise<KeptLines | undefined> {
  const path = checkpointPath(dir)
  let text: string
  try {
    text = await readFile(path, 'latin1')
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
  const wholeBytes = text.lastIndexOf('\n') + 1
  const lines: KeptLine[] = []
  for (const [at, line] of text.slice(0, wholeBytes).split('\n').slice(0, -1).entries()) {
    const { record, fault } = parseLine(line)
    if (record === undefined) throw new JournalCorruptError(path, at + 1, fault)
    if (!isKept(record)) throw new JournalCorruptError(path, at + 1, `record ${record.seq} is neither a signed checkpoint nor a gap`)
    const before = lines.at(-1)?.record.seq ?? 0
    if (record.seq <= before) throw new JournalCorruptError(path, at + 1, `record ${record.seq} stands behind record ${before}`)
    lines.push({ record, line })
  }
  return { lines, wholeBytes, tornBytes: text.length - wholeBytes }
}

/** Replaces the file in one step. */
export async function writeCheckpoints(dir: string, lines: readonly KeptLine[]): Promise<void> {
  const path = checkpointPath(dir)
  const file = await open(`${path}.tmp`, 'w', 0o600)
  try {
    await file.writeFile(lines.map(({ line }) => `${line}\n`).join(''), 'latin1')
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(`${path}.tmp`, path)
  const folder = await open(dir, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

export class CheckpointFile {
  readonly #dir: string
  readonly #sync: () => Promise<void>
  readonly #onFault: (error: unknown) => void
  #lines: KeptLine[]
  #waiting: KeptLine[] = []
  #writing: Promise<void> | undefined
  #prunedSeq: number
  #onPruned: { readonly seq: number; readonly resolve: (isKept: boolean) => void }[] = []

  /** `lines`: what stands in the file; `sync`: brings what was written to the journal to the disk. */
  constructor(dir: string, lines: readonly KeptLine[], sync: () => Promise<void>, onFault: (error: unknown) => void) {
    this.#dir = dir
    this.#lines = [...lines]
    this.#sync = sync
    this.#onFault = onFault
    this.#prunedSeq = Math.max(0, ...lines.map(({ record }) => prunedSeq(record)))
  }

  /** A record that was just written to the journal. */
  add(line: KeptLine): void {
    this.#waiting.push(line)
    this.#writing ??= this.#write()
  }

  /** All up to this record may have left: a checkpoint on the disk says so. */
  get prunedSeq(): number {
    return this.#prunedSeq
  }

  /** Resolves to true when a checkpoint that says that all up to record `seq` may have left is on the disk, and to
   * false when there will be none for now. */
  async hasPruned(seq: number): Promise<boolean> {
    if (seq <= this.#prunedSeq) return true
    return new Promise((resolve) => this.#onPruned.push({ seq, resolve }))
  }

  /** Whoever waits for a checkpoint is told that it does not come. */
  release(): void {
    for (const { resolve } of this.#onPruned.splice(0)) resolve(false)
  }

  /** Resolves when nothing is being written. */
  async settled(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing
  }

  async #write(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        // a copy: what is added meanwhile is not in this write
        const batch = [...this.#waiting]
        await this.#sync()
        await this.#append(batch)
        this.#waiting = this.#waiting.slice(batch.length)
        this.#lines.push(...batch)
        this.#tell(Math.max(...batch.map(({ record }) => prunedSeq(record))))
        await this.#bound()
      }
    } catch (error) {
      // what waits is tried again with the next one
      this.#onFault(error)
    } finally {
      this.#writing = undefined
    }
  }

  #tell(seq: number): void {
    this.#prunedSeq = Math.max(this.#prunedSeq, seq)
    for (const { resolve } of this.#onPruned.filter((waiting) => waiting.seq <= this.#prunedSeq)) resolve(true)
    this.#onPruned = this.#onPruned.filter((waiting) => waiting.seq > this.#prunedSeq)
  }

  async #append(batch: readonly KeptLine[]): Promise<void> {
    const path = checkpointPath(this.#dir)
    const file = await open(path, 'a', 0o600)
    const { size } = await file.stat()
    try {
      await file.appendFile(batch.map(({ line }) => `${line}\n`).join(''), 'latin1')
      await file.sync()
    } catch (error) {
      await truncate(path, size)
      throw error
    } finally {
      await file.close()
    }
  }

  async #bound(): Promise<void> {
    const counts = new Map<string, number>()
    for (const { record } of this.#lines) counts.set(kindOf(record), (counts.get(kindOf(record)) ?? 0) + 1)
    if (Math.max(...counts.values()) <= 2 * keptOfKind) return
    const kept = this.#lines.filter(({ record }) => {
      const later = (counts.get(kindOf(record)) ?? 0) - 1
      counts.set(kindOf(record), later)
      return later < keptOfKind
    })
    await writeCheckpoints(this.#dir, kept)
    this.#lines = kept
  }
}

function kindOf(record: JournalRecord): string {
  if (gapOf(record) !== undefined) return 'gap'
  return checkpointOf(record)?.reason === 'pruned' ? 'pruned' : 'recent'
}

function prunedSeq(record: JournalRecord): number {
  const checkpoint = checkpointOf(record)
  return checkpoint?.reason === 'pruned' ? checkpoint.lastSeq : 0
}
