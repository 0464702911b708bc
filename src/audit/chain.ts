// Gives encoded events their place: number, time, uid, and the hash that ties each to the one before.
// Sealing does not move the chain; only what is really in the file does (`advance`).
import { randomBytes } from 'node:crypto'
import { base32, coveredText, hashOfLine, lineLength, maxFrameBytes, recordUid, stampText, writeLine } from './record.ts'

export interface ChainEntry {
  /** from encodeEvent */
  readonly encoded: string
}

/** Lines that follow the last record, not yet in the file. */
export interface SealedBatch {
  /** whole lines, ASCII; good until the next `seal` */
  readonly data: Buffer
  readonly count: number
  readonly lastHash: string
}

const bufferBytes = 1024 * 1024
const newline = 10

export class Chain {
  /** part of every uid: tells this opening of the journal from all others */
  readonly #opening = base32(randomBytes(5).readUIntBE(0, 5), 8)
  readonly #instance: string
  readonly #buffer = Buffer.allocUnsafeSlow(bufferBytes)
  #lastSeq: number
  #lastHash: string

  constructor(lastSeq: number, lastHash: string, instanceId: string) {
    this.#lastSeq = lastSeq
    this.#lastHash = lastHash
    this.#instance = JSON.stringify(instanceId).slice(1, -1).replace(/[^\x20-\x7e]/g, '?')
  }

  get lastSeq(): number {
    return this.#lastSeq
  }

  get lastHash(): string {
    return this.#lastHash
  }

  /** Lines for `entries`, as they follow the last record; all have one time, `ms` since the epoch. */
  seal(entries: readonly ChainEntry[], timeMs: number): SealedBatch {
    const stamp = stampText(new Date(timeMs).toISOString(), this.#instance)
    const timePart = base32(timeMs, 10)
    const into = this.#bufferFor(entries)
    let at = 0
    let seq = this.#lastSeq
    let prev = this.#lastHash
    for (const { encoded } of entries) {
      seq++
      const covered = coveredText(encoded, seq, prev, recordUid(timePart, this.#opening, seq), stamp)
      prev = writeLine(into, at, covered)
      at += lineLength(covered)
    }
    return { data: into.subarray(0, at), count: entries.length, lastHash: prev }
  }

  /** A batch is in the journal. */
  advance(batch: SealedBatch): void {
    this.#lastSeq += batch.count
    this.#lastHash = batch.lastHash
  }

  #bufferFor(entries: readonly ChainEntry[]): Buffer {
    let bytes = 0
    for (const { encoded } of entries) bytes += encoded.length + this.#instance.length + maxFrameBytes
    return bytes <= this.#buffer.length ? this.#buffer : Buffer.allocUnsafe(bytes)
  }
}

/** The whole lines in the first `written` bytes of a batch that `chain` has not advanced over. */
export function wholeLines(chain: Chain, batch: SealedBatch, written: number): SealedBatch {
  const data = batch.data.subarray(0, batch.data.subarray(0, written).lastIndexOf(newline) + 1)
  let count = 0
  for (let at = data.indexOf(newline); at !== -1; at = data.indexOf(newline, at + 1)) count++
  return { data, count, lastHash: count === 0 ? chain.lastHash : hashOfLine(data) }
}
