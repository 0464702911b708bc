// One journal record as one line of JSON: how it is written, sealed into the hash chain, read and
// checked. Pure but for SHA-256. A line is ASCII only, so a raw `cat` of the journal is safe to look at.
import { hash } from 'node:crypto'
import { eventNames, type AttributeValue, type AuditEvent, type EventName, type Severity } from './event.ts'
import { escapeNonAscii, inOnePiece } from './json-text.ts'
import { PreparedEvent } from './prepared-event.ts'

/** A record as it stands in a segment, and as the exporter sends it. */
export interface JournalRecord {
  readonly v: 1
  /** from 1, no gaps, one counter for the life of the journal */
  readonly seq: number
  /** `hash` of the record before it; 64 zeros before record 1 */
  readonly prev: string
  /** 26 characters, ULID form: stable over every delivery of this record */
  readonly uid: string
  /** RFC 3339, UTC, ms */
  readonly time: string
  /** `service.instance.id` of the process that wrote it */
  readonly instance: string
  readonly name: string
  readonly severity: Severity
  readonly body: string
  /** null: a number that was not finite */
  readonly attributes: Readonly<Record<string, AttributeValue | null>>
  /** SHA-256, hex, of the line up to and without `,"hash":` */
  readonly hash: string
}

export const zeroHash = '0'.repeat(64)

const hashField = ',"hash":"'
const tailLength = hashField.length + 64 + 2
const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const pairs = Array.from(alphabet).flatMap((high) => Array.from(alphabet, (low) => high + low))

/** The part of a line that does not depend on its place in the chain: ASCII, from the end of `instance` on. What belongs
 * to people is sealed by `sealer`; without one it is written as it is. Throws what that throws. */
export function encodeEvent(event: AuditEvent, sealer?: { encode(event: AuditEvent): string | undefined }): string {
  const json = sealer?.encode(event) ?? plainJson(event)
  return (headings.get(event.name) ?? headingsOf(event.name))[event.severity] + json
}

function plainJson(event: AuditEvent): string {
  return event instanceof PreparedEvent ? event.json : escapeNonAscii(`"body":${JSON.stringify(event.body)},"attributes":${JSON.stringify(event.attributes)}`)
}

const headings: ReadonlyMap<EventName, Readonly<Record<Severity, string>>> = new Map(eventNames.map((name) => [name, headingsOf(name)]))

function headingsOf(name: EventName): Readonly<Record<Severity, string>> {
  const text = (severity: Severity): string => inOnePiece(`","name":"${name}","severity":"${severity}",`)
  return { INFO: text('INFO'), INFO2: text('INFO2'), WARN: text('WARN'), ERROR: text('ERROR') }
}

/** Bytes that a line has beside its encoded event and `instance`, at most. */
export const maxFrameBytes = 320

/** What the hash of a line covers. `uid` holds nothing that JSON would have to escape; `stamp` is from `stampText`. */
export function coveredText(encoded: string, seq: number, prev: string, uid: string, stamp: string): string {
  return `{"v":1,"seq":${seq},"prev":"${prev}","uid":"${uid}${stamp}${encoded}`
}

/** Time and instance, as they stand in every line of one write. Both hold nothing that JSON would have to escape. */
export function stampText(time: string, instance: string): string {
  return inOnePiece(`","time":"${time}","instance":"${instance}`)
}

/** Writes a whole line at `at`; returns its hash. `covered` is ASCII, one byte for each character. */
export function writeLine(into: Buffer, at: number, covered: string): string {
  const end = at + covered.length
  into.write(covered, at, 'latin1')
  // the bytes and not the string: hashing that would have to make UTF-8 of it first
  const digest = hash('sha256', into.subarray(at, end), 'hex')
  into.write(`${hashField}${digest}"}\n`, end, 'latin1')
  return digest
}

/** Bytes of the line that `writeLine` makes of `covered`. */
export function lineLength(covered: string): number {
  return covered.length + tailLength + 1
}

/** Hash of the last line in `data`, which ends in that line's newline. */
export function hashOfLine(data: Buffer): string {
  const end = data.length - 3
  return data.toString('latin1', end - 64, end)
}

export interface SealedLine {
  /** ends in a newline; every character is one byte */
  readonly line: string
  readonly hash: string
}

/** One line by itself: an encoded event in its place. */
export function sealLine(encoded: string, seq: number, prev: string, uid: string, time: string, instance: string): SealedLine {
  const covered = coveredText(encoded, seq, prev, uid, stampText(time, instance))
  const line = Buffer.allocUnsafe(lineLength(covered))
  const digest = writeLine(line, 0, covered)
  return { line: line.toString('latin1'), hash: digest }
}

/** What is wrong with a line, or the record. The chain (`seq`, `prev`) is the caller's to check. */
export type ParsedLine = { readonly record: JournalRecord; readonly fault?: undefined } | { readonly record?: undefined; readonly fault: string }

/** Reads one line (without its newline) and checks its own hash. */
export function parseLine(line: string): ParsedLine {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return { fault: 'the line is not JSON' }
  }
  if (typeof value !== 'object' || value === null || !('v' in value)) return { fault: 'the line is not a record' }
  if (value.v !== 1) return { fault: `record version ${JSON.stringify(value.v)} is not known: a later version of sallyport wrote it` }
  if (!isRecord(value)) return { fault: 'a field of the record is missing or of the wrong type' }
  const covered = line.slice(0, -tailLength)
  if (line !== `${covered}${hashField}${value.hash}"}`) return { fault: 'the hash is not the last field of the line' }
  if (hash('sha256', covered, 'hex') !== value.hash) return { fault: 'the hash does not match the record: it was changed' }
  return { record: value }
}

function isRecord(value: object): value is JournalRecord {
  const record: Partial<Record<keyof JournalRecord, unknown>> = value
  return (
    Number.isSafeInteger(record.seq) &&
    isHash(record.prev) &&
    isHash(record.hash) &&
    typeof record.uid === 'string' &&
    typeof record.time === 'string' &&
    !Number.isNaN(Date.parse(record.time)) &&
    typeof record.instance === 'string' &&
    typeof record.name === 'string' &&
    typeof record.severity === 'string' &&
    typeof record.body === 'string' &&
    typeof record.attributes === 'object' &&
    record.attributes !== null
  )
}

function isHash(value: unknown): boolean {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)
}

/** Unique id in ULID form: 10 characters of time, 8 of this opening of the journal, 8 of the record's number. */
export function recordUid(timePart: string, opening: string, seq: number): string {
  return timePart + opening + base32(seq, 8)
}

/** `value` in Crockford's base 32, `length` characters, the lowest that fit. */
export function base32(value: number, length: number): string {
  let text = ''
  let rest = value
  for (let at = 0; at < length; at += 2) {
    text = `${pairs[rest % 1024]}${text}`
    rest = Math.floor(rest / 1024)
  }
  return text.slice(-length)
}
