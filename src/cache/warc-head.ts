// The heads of WARC records (ISO 28500, WARC 1.0 and 1.1) and of the HTTP answers in them, read strictly. Pure. A field
// that counts and stands there twice is a fault: nobody can say which is meant.
import { isFieldValue, isToken, withoutBlanks } from '../target/field-syntax.ts'
import { quoted } from '../target/quoted.ts'

export interface RecordHead {
  /** lower case */
  readonly type: string
  /** with its angle brackets, or '' */
  readonly id: string
  /** of the block behind the head */
  readonly bytes: number
  readonly fields: ReadonlyMap<string, string>
}

export interface HttpHead {
  readonly status: number
  readonly reason: string
  /** flat name, value, name, value */
  readonly fields: readonly string[]
}

/** What could not be read; where `bytes` is there the block can be passed over all the same. */
export type HeadFault = { readonly fault: string; readonly bytes: number } | { readonly fault: string; readonly bytes: undefined }

/** A digest that a record claims; lower-case hexadecimal. */
export interface ClaimedDigest {
  readonly algorithm: 'sha1' | 'sha256'
  readonly hex: string
}

const versionLine = /^WARC\/1\.[01]$/
const digits = /^\d{1,15}$/
const statusLine = /^HTTP\/(?:1\.[01]|2|2\.0|3|3\.0) (\d{3})(?: ([\t\x20-\x7e\x80-\xff]*))?$/
const warcDate = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d{1,9})?Z$/
const base32Letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
/** of the algorithms that are checked: bytes of a digest */
const digestBytes: ReadonlyMap<string, readonly [ClaimedDigest['algorithm'], number]> = new Map([['sha1', ['sha1', 20]], ['sha-1', ['sha1', 20]], ['sha256', ['sha256', 32]], ['sha-256', ['sha256', 32]]])

/** `text` without the CRLF CRLF at its end. */
export function readRecordHead(text: string): RecordHead | HeadFault {
  const [version = '', ...lines] = text.split('\r\n')
  if (!versionLine.test(version)) return { fault: `not a WARC 1.0 or 1.1 record: it starts with ${quoted(version)}`, bytes: undefined }
  const fields = new Map<string, string>()
  const repeated = new Set<string>()
  let fault: string | undefined
  for (const line of lines) {
    const [name, value] = fieldOf(line)
    if (name === undefined || value === undefined) {
      fault ??= `a line of its head is no field: ${quoted(line)}`
      continue
    }
    const lower = name.toLowerCase()
    if (fields.has(lower)) repeated.add(lower)
    fields.set(lower, value)
  }
  const length = fields.get('content-length') ?? ''
  if (!digits.test(length) || repeated.has('content-length')) return { fault: 'its Content-Length is missing, repeated or no number', bytes: undefined }
  const bytes = Number(length)
  // the one field that may be there more than once and the one that 1.1 added
  repeated.delete('warc-concurrent-to')
  repeated.delete('warc-protocol')
  for (const name of repeated) fault ??= `${quoted(name)} stands in its head twice`
  if (fault !== undefined) return { fault, bytes }
  return { type: (fields.get('warc-type') ?? '').toLowerCase(), id: fields.get('warc-record-id') ?? '', bytes, fields }
}

/** `text` without the CRLF CRLF at its end; a sentence for what is no head of an answer. */
export function readHttpHead(text: string): HttpHead | string {
  const [first = '', ...lines] = text.split('\r\n')
  const [, status, reason = ''] = statusLine.exec(first) ?? []
  if (status === undefined) return `not an HTTP answer: it starts with ${quoted(first)}`
  const fields: string[] = []
  for (const line of lines) {
    const [name, value] = fieldOf(line)
    if (name === undefined || value === undefined) return `a line of the answer's head is no field: ${quoted(line)}`
    fields.push(name, value)
  }
  return { status: Number(status), reason, fields }
}

/** WARC-Date: UTC, to the second or finer; `ms` since the epoch. */
export function readWarcDate(text: string): number | undefined {
  const found = warcDate.exec(text)
  const ms = found === null ? Number.NaN : Date.parse(text)
  if (found === null || Number.isNaN(ms)) return undefined
  // 31 February is no day
  return new Date(ms).getUTCDate() === Number(found[3]) ? ms : undefined
}

/** `sha1:BASE32`, `sha1:HEX`, and the same of sha256. undefined: an algorithm that is not checked; `bad`: no digest of that one. */
export function readDigest(text: string): ClaimedDigest | 'bad' | undefined {
  const colon = text.indexOf(':')
  const known = digestBytes.get(text.slice(0, Math.max(0, colon)).toLowerCase())
  if (known === undefined) return undefined
  const [algorithm, bytes] = known
  const value = text.slice(colon + 1)
  if (value.length === bytes * 2 && /^[0-9a-f]+$/i.test(value)) return { algorithm, hex: value.toLowerCase() }
  const decoded = fromBase32(value)
  return decoded?.length === bytes ? { algorithm, hex: decoded.toString('hex') } : 'bad'
}

/** RFC 4648 section 6, padded or not. */
function fromBase32(text: string): Buffer | undefined {
  const bytes: number[] = []
  let bits = 0
  let value = 0
  for (const letter of text.toUpperCase().replace(/=+$/, '')) {
    const five = base32Letters.indexOf(letter)
    if (five === -1) return undefined
    value = (value << 5) | five
    bits += 5
    if (bits < 8) continue
    bits -= 8
    bytes.push(value >> bits)
    value &= (1 << bits) - 1
  }
  return bits < 5 && value === 0 ? Buffer.from(bytes) : undefined
}

function fieldOf(line: string): readonly [string, string] | readonly [undefined, undefined] {
  const colon = line.indexOf(':')
  const name = line.slice(0, Math.max(0, colon))
  const value = withoutBlanks(line, colon + 1, line.length)
  return isToken(name) && isFieldValue(value) ? [name, value] : [undefined, undefined]
}
