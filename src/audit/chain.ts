// Gives encoded events their place: number, time, uid, and the hash that ties each to the one before.
// Sealing does not move the chain; only what is really in the file does (`advance`).
import { randomBytes } from 'node:crypto'
import { base32, recordUid, sealLine } from './record.ts'

export interface ChainEntry {
  /** from encodeEvent */
  readonly encoded: string
  /** `ms` since the epoch */
  readonly timeMs: number
}

export interface SealedBatch {
  /** whole lines, ASCII */
  readonly text: string
  readonly lengths: readonly number[]
  readonly hashes: readonly string[]
}

export class Chain {
  /** part of every uid: tells this opening of the journal from all others */
  readonly #opening = base32(randomBytes(5).readUIntBE(0, 5), 8)
  readonly #instance: string
  #lastSeq: number
  #lastHash: string
  #timeMs = Number.NaN
  #timeText = ''
  #timePart = ''

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

  /** Lines for `entries`, as they follow the last record. */
  seal(entries: readonly ChainEntry[]): SealedBatch {
    const lengths: number[] = []
    const hashes: string[] = []
    let text = ''
    let seq = this.#lastSeq
    let prev = this.#lastHash
    for (const { encoded, timeMs } of entries) {
      seq++
      if (timeMs !== this.#timeMs) this.#setTime(timeMs)
      const sealed = sealLine(encoded, seq, prev, recordUid(this.#timePart, this.#opening, seq), this.#timeText, this.#instance)
      prev = sealed.hash
      lengths.push(sealed.line.length)
      hashes.push(prev)
      text += sealed.line
    }
    return { text, lengths, hashes }
  }

  /** The first `count` lines of a sealed batch are in the journal. */
  advance(batch: SealedBatch, count: number): void {
    this.#lastSeq += count
    this.#lastHash = batch.hashes[count - 1] ?? this.#lastHash
  }

  #setTime(timeMs: number): void {
    this.#timeMs = timeMs
    this.#timeText = new Date(timeMs).toISOString()
    this.#timePart = base32(timeMs, 10)
  }
}

/** How many whole lines, and bytes of them, the first `written` bytes of a batch hold. */
export function wholeLines(batch: SealedBatch, written: number): { readonly count: number; readonly bytes: number } {
  let count = 0
  let bytes = 0
  for (const length of batch.lengths) {
    if (bytes + length > written) break
    bytes += length
    count++
  }
  return { count, bytes }
}
