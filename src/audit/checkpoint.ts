// What a checkpoint says and how that is signed: the head of the chain at a moment, so that whoever holds the public
// key can tell that nothing before it was changed, moved or taken away. Pure but for Ed25519. The text that is signed
// is made from the fields alone; no other encoding of them is ever accepted.
import { verify, type KeyObject } from 'node:crypto'
import type { AttributeValue } from './event.ts'
import type { JournalRecord } from './record.ts'

/**
 * Why there is one: a segment is complete (`closed`) or is about to leave by age or size (`pruned`), the process
 * starts or stops, or something was written since the last one (`interval`).
 */
export type CheckpointReason = 'closed' | 'pruned' | 'started' | 'stopped' | 'interval'

/** The head of the chain that a checkpoint vouches for. */
export interface CheckpointHead {
  /** number and hash of the last record it covers */
  readonly lastSeq: number
  readonly lastHash: string
  /** name of the segment that record stands in, and its bytes so far */
  readonly segment: string
  readonly bytes: number
}

export interface Checkpoint extends Omit<CheckpointHead, 'bytes'> {
  /** id of the journal: a checkpoint of another one says nothing of this */
  readonly journal: string
  readonly reason: string
  /** RFC 3339, UTC */
  readonly time: string
  readonly keyId: string
}

export interface SignedCheckpoint extends Checkpoint {
  /** Ed25519, base64 */
  readonly signature: string
}

/** Who signs. */
export interface CheckpointSigner {
  /** first 16 hex digits of the SHA-256 of the public key's SubjectPublicKeyInfo (DER) */
  readonly keyId: string
  /** Ed25519 over the UTF-8 of `text`, base64 */
  sign(text: string): string
}

/** The text that is signed: domain separation, then a field a line. docs/events.md has it word for word. */
export function checkpointText({ journal, reason, lastSeq, lastHash, segment, time, keyId }: Checkpoint): string {
  return `sallyport.audit.checkpoint/1\njournal ${journal}\nreason ${reason}\nrecord ${lastSeq}\nhash ${lastHash}\nsegment ${segment}\ntime ${time}\nkey ${keyId}\n`
}

/** The checkpoint that a record holds; undefined when it is no checkpoint or one that is not signed. A field that is
 * missing or could be read as two is empty, and no signature fits it. */
export function checkpointOf({ name, attributes }: Pick<JournalRecord, 'name' | 'attributes'>): SignedCheckpoint | undefined {
  if (name !== 'sallyport.audit.checkpoint' || attributes['sallyport.checkpoint.signature'] === undefined) return undefined
  const text = (key: string): string => plain(attributes[`sallyport.checkpoint.${key}`])
  const lastSeq = attributes['sallyport.checkpoint.last_seq']
  return {
    journal: text('journal'), reason: text('reason'), segment: text('segment'), lastHash: text('last_hash'), time: text('time'),
    lastSeq: typeof lastSeq === 'number' && Number.isSafeInteger(lastSeq) ? lastSeq : -1,
    keyId: text('key_id'), signature: text('signature'),
  }
}

function plain(value: AttributeValue | null | undefined): string {
  return typeof value === 'string' && /^[\x21-\x7e]+$/.test(value) ? value : ''
}

/** Whether `key` signed it. */
export function isSignedBy(checkpoint: SignedCheckpoint, key: KeyObject): boolean {
  return verify(null, Buffer.from(checkpointText(checkpoint)), key, Buffer.from(checkpoint.signature, 'base64'))
}
