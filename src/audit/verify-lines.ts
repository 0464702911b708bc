// Checks lines of a journal that were exported into one file, all of a stretch or chosen by a filter. What a filter left
// out cannot be told from what was taken out: that is said, and not guessed at.
import { parseLine } from './record.ts'
import { readLines } from './segments.ts'
import type { PublicKey } from './signing-key.ts'
import type { VerifyFault } from './verify.ts'
import { SignatureCheck, type KeySpan } from './verify-signatures.ts'

export interface LinesResult {
  readonly ok: boolean
  readonly records: number
  readonly firstSeq: number
  readonly lastSeq: number
  readonly lastHash: string
  /** numbers between the first and the last that are not in the file */
  readonly missing: number
  /** the last record that a checkpoint in the file covers, together with a record in the file; 0: none does */
  readonly signedThrough: number
  readonly checkpoints: number
  readonly keySpans: readonly KeySpan[]
  readonly fault: VerifyFault | undefined
}

/** Checks a file of the journal's own lines, in their order. `keys` as for `verifyJournal`. */
export async function verifyLines(path: string, keys: readonly PublicKey[] | undefined): Promise<LinesResult> {
  const check = new SignatureCheck(keys)
  let records = 0
  let firstSeq = 0
  let lastSeq = 0
  let lastHash = ''
  let fault: VerifyFault | undefined
  for await (const { text, number, complete } of readLines(path)) {
    const parsed = parseLine(text)
    if (parsed.record === undefined) {
      fault = { file: path, line: number, seq: records === 0 ? 0 : lastSeq + 1, what: complete ? parsed.fault : 'the last line is torn' }
      break
    }
    const { record } = parsed
    const wrong = judge(record, records === 0 ? undefined : { lastSeq, lastHash }) ?? check.record(record)
    if (wrong !== undefined) {
      fault = { file: path, line: number, ...wrong }
      break
    }
    if (records === 0) firstSeq = record.seq
    lastSeq = record.seq
    lastHash = record.hash
    records++
  }
  const missing = records === 0 ? 0 : lastSeq - firstSeq + 1 - records
  return { ok: fault === undefined, records, firstSeq, lastSeq, lastHash, missing, signedThrough: check.signedThrough, checkpoints: check.count, keySpans: check.spans, fault }
}

function judge({ seq, prev }: { readonly seq: number; readonly prev: string }, before: { readonly lastSeq: number; readonly lastHash: string } | undefined): { readonly seq: number; readonly what: string } | undefined {
  if (before === undefined) return undefined
  if (seq <= before.lastSeq) return { seq, what: `record ${seq} stands behind record ${before.lastSeq}: it was repeated or moved` }
  if (seq === before.lastSeq + 1 && prev !== before.lastHash) return { seq, what: 'the record does not continue the one before it: that one, or this one, was replaced' }
  return undefined
}
