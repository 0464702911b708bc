// What a destination is to its delivery: bytes made of records, and what became of them. Which fate an answer is
// stands in each sink; what follows from a fate stands in the delivery, once for all of them.
import type { JournalRecord } from './record.ts'

export interface PartialSuccess {
  readonly rejected: number
  readonly message: string
}

export type SinkOutcome =
  /** it has them; `partial`: not all of them, and it does not say which; `note`: for the operator log */
  | { readonly fate: 'accepted'; readonly partial?: PartialSuccess; readonly note?: string }
  /** `again`: it, or the way to it, is at fault; `refused`: these records are; `fault`: unclear; `lost`: so may be
   * what was written since the last `settle`; `isBroken`: there was no answer at all; `words`:
   * what it says itself, which may repeat what it was sent */
  | { readonly fate: 'again' | 'refused' | 'fault' | 'lost'; readonly detail: string; readonly words?: string | undefined; readonly retryAfterMs?: number | undefined; readonly isBroken?: boolean }

/** A sink without acknowledgements finds out now and then whether what it wrote has been read. */
export interface Settling {
  /** as many records may be open at most, and none for longer */
  readonly maxRecords: number
  readonly maxAgeMs: number
  /** undefined: all that was written has been read; else why that is in doubt */
  settle(): Promise<string | undefined>
}

export interface Sink {
  /** Rejects when the records themselves cannot be written down. */
  encode(records: readonly JournalRecord[]): Promise<Uint8Array>
  send(body: Uint8Array): Promise<SinkOutcome>
  readonly settling?: Settling
  close(): void
}

export function wordedDetail(detail: string, words: string | undefined): string {
  return words === undefined ? detail : `${detail}: ${words}`
}
