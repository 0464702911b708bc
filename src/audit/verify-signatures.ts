// The part of verifying that needs the public key: whether each checkpoint is signed, is about this journal, and covers
// the records that are here. It only judges what it is shown, in the order of the records.
import { checkpointOf, isSignedBy, type SignedCheckpoint } from './checkpoint.ts'
import type { JournalRecord } from './record.ts'
import type { PublicKey } from './signing-key.ts'

/** A stretch of the journal that one key signed. */
export interface KeySpan {
  readonly keyId: string
  /** first checkpoint under it */
  readonly firstSeq: number
}

/** Records in a row, whose chain does not go on before or behind them. */
interface Stretch {
  readonly firstSeq: number
  lastSeq: number
  /** up to here a checkpoint covers it; before `firstSeq`: none does */
  coveredTo: number
}

/** A checkpoint is made with the next write, or with the one that service resumes with: this many records at most lie
 * between it and what it covers; the ends of segments are remembered besides. */
const rememberedRecords = 10_000

export interface SignatureFault {
  /** first record that is in doubt */
  readonly seq: number
  readonly what: string
}

export class SignatureCheck {
  readonly #keys: readonly PublicKey[] | undefined
  readonly #hashes = new Map<number, string>()
  readonly #ends = new Map<number, string>()
  readonly #spans: KeySpan[] = []
  readonly #stretches: Stretch[] = []
  #journal: string | undefined
  #signedThrough = 0
  #count = 0

  /** `keys`: undefined when there is none to check with. */
  constructor(keys: readonly PublicKey[] | undefined) {
    this.#keys = keys
  }

  /** the last record that a checkpoint here covers; 0: none does */
  get signedThrough(): number {
    return this.#signedThrough
  }

  get spans(): readonly KeySpan[] {
    return this.#spans
  }

  /** Records before a break of the chain that no checkpoint covers: what is signed behind the break says nothing of them. */
  get unsigned(): readonly { readonly firstSeq: number; readonly lastSeq: number }[] {
    return this.#stretches.slice(0, -1).flatMap(({ firstSeq, lastSeq, coveredTo }) => (coveredTo >= lastSeq ? [] : [{ firstSeq: Math.max(firstSeq, coveredTo + 1), lastSeq }]))
  }

  /** Whether a checkpoint covers this record. */
  isSigned(seq: number): boolean {
    return this.#stretches.some(({ firstSeq, coveredTo }) => firstSeq <= seq && seq <= coveredTo)
  }

  /** signed checkpoints seen */
  get count(): number {
    return this.#count
  }

  /** A record of the journal, whose own hash and place were found good. `follows`: on the one that was shown before it. */
  record(record: JournalRecord, follows = true): SignatureFault | undefined {
    const stretch = this.#stretches.at(-1)
    if (stretch !== undefined && follows) stretch.lastSeq = record.seq
    else this.#stretches.push({ firstSeq: record.seq, lastSeq: record.seq, coveredTo: 0 })
    const checkpoint = checkpointOf(record)
    const fault = checkpoint === undefined ? undefined : this.checkpoint(checkpoint, record.seq)
    this.#hashes.set(record.seq, record.hash)
    this.#hashes.delete(record.seq - rememberedRecords)
    return fault
  }

  /** The records of a segment end here. */
  segmentEnd(seq: number, hash: string): void {
    this.#ends.set(seq, hash)
  }

  /** A checkpoint, and whether it fits the record that it covers, where that was shown. */
  checkpoint(checkpoint: SignedCheckpoint, seq: number): SignatureFault | undefined {
    return this.#signature(checkpoint, seq) ?? this.#covers(checkpoint, seq)
  }

  /** A checkpoint by itself: its signature, and the journal it is about. `seq`: of its record. */
  #signature(checkpoint: SignedCheckpoint, seq: number): SignatureFault | undefined {
    this.#count++
    const fault = (what: string): SignatureFault => ({ seq, what })
    this.#journal ??= checkpoint.journal
    if (checkpoint.journal !== this.#journal) return fault(`the checkpoint is of another journal (${checkpoint.journal}, and the ones before it are of ${this.#journal})`)
    if (checkpoint.lastSeq >= seq) return fault('the checkpoint says that it covers records that come after it')
    if (this.#keys === undefined) return undefined
    const key = this.#keys.find(({ keyId }) => keyId === checkpoint.keyId)
    if (key === undefined) {
      const given = this.#keys.map(({ keyId }) => keyId).join(', ')
      return fault(`the checkpoint says that it is signed with key ${checkpoint.keyId}, and the keys to check with are ${given === '' ? 'none' : given}: if the key was changed, give the public halves of both with --key; if not, it is forged`)
    }
    if (!isSignedBy(checkpoint, key.key)) return fault('the signature of the checkpoint does not fit what it says: it was changed or forged')
    if (this.#spans.at(-1)?.keyId !== checkpoint.keyId) this.#spans.push({ keyId: checkpoint.keyId, firstSeq: seq })
    return undefined
  }

  #covers({ lastSeq, lastHash }: SignedCheckpoint, seq: number): SignatureFault | undefined {
    const hash = this.#hashes.get(lastSeq) ?? this.#ends.get(lastSeq)
    if (hash !== undefined && hash !== lastHash) {
      const first = Math.min(this.#signedThrough + 1, lastSeq)
      return { seq: first, what: `records ${first} to ${lastSeq} are not those that the checkpoint in record ${seq} covers: of these, one or more were changed, moved or taken out, and the hashes made anew` }
    }
    if (hash === undefined) return undefined
    this.#signedThrough = Math.max(this.#signedThrough, lastSeq)
    const stretch = this.#stretches.findLast(({ firstSeq }) => firstSeq <= lastSeq)
    if (stretch !== undefined) stretch.coveredTo = Math.max(stretch.coveredTo, lastSeq)
    return undefined
  }
}
