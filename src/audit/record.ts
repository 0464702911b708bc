// One journal record as one line of JSON: how it is written, sealed into the hash chain, read and
// checked. Pure but for SHA-256. A line is ASCII only, so a raw `cat` of the journal is safe to look at.
import { hash } from 'node:crypto'
import type { AttributeValue, AuditEvent, Severity } from './event.ts'

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
  readonly attributes: Readonly<Record<string, AttributeValue>>
  /** SHA-256, hex, of the line up to and without `,"hash":` */
  readonly hash: string
}

export const zeroHash = '0'.repeat(64)

const hashField = ',"hash":"'
const tailLength = hashField.length + 64 + 2
const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/** The part of a line that does not depend on its place in the chain. */
export function encodeEvent(event: AuditEvent): string {
  const body = JSON.stringify(event.body)
  const attributes = JSON.stringify(event.attributes)
  const text = `","name":"${event.name}","severity":"${event.severity}","body":${body},"attributes":${attributes}`
  // JSON has escaped C0 already; comparing lengths finds what is not ASCII without looking at each character
  return Buffer.byteLength(text) !== text.length || text.includes('\x7f') ? text.replace(/[^\x20-\x7e]/g, escapeUnit) : text
}

export interface SealedLine {
  /** ends in a newline; every character is one byte */
  readonly line: string
  readonly hash: string
}

/** Puts an encoded event in its place. `time` and `uid` hold nothing that JSON would have to escape. */
export function sealLine(encoded: string, seq: number, prev: string, uid: string, time: string, instance: string): SealedLine {
  const covered = `{"v":1,"seq":${seq},"prev":"${prev}","uid":"${uid}","time":"${time}","instance":"${instance}${encoded}`
  const digest = hash('sha256', covered, 'hex')
  return { line: `${covered}${hashField}${digest}"}\n`, hash: digest }
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
  if (value.v !== 1) return { fault: `record version ${JSON.stringify(value.v)} is not known` }
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
  for (let at = 0; at < length; at++) {
    text = alphabet.charAt(rest % 32) + text
    rest = Math.floor(rest / 32)
  }
  return text
}

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
}
