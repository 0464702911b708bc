// DNS messages (RFC 1035): one question out, one answer read. The reader is bounded and never throws:
// whatever a name server sends becomes one of five kinds of reply. It never guesses, and it never reads
// more of a message than the answer to the question that was asked.
import { parseIp } from '../target/address.ts'
import type { IpAddress } from '../target/address.ts'

export type RecordType = 'A' | 'AAAA'

export interface Question {
  /** absolute, lower case, without the final dot */
  readonly name: string
  readonly type: RecordType
  readonly id: number
}

export type Reply =
  /** not an answer to this question (RFC 5452 section 9.1): to be ignored, the real one may still come */
  | { readonly kind: 'stray' }
  /** ask again over TCP */
  | { readonly kind: 'truncated' }
  /** the server could not answer, or what it sent is no valid answer */
  | { readonly kind: 'failed'; readonly detail: string }
  | { readonly kind: 'not_found'; readonly ttlSeconds: number }
  /** `addresses` is empty when the name exists without an address of this family */
  | { readonly kind: 'answer'; readonly addresses: readonly IpAddress[]; readonly chain: readonly string[]; readonly ttlSeconds: number }

interface ResourceRecord {
  readonly owner: string
  readonly type: number
  readonly ttlSeconds: number
  readonly start: number
  readonly end: number
}

interface Name {
  readonly text: string
  readonly next: number
}

const headerBytes = 12
const typeCodes = { A: 1, AAAA: 28 } as const
const typeCname = 5
const typeSoa = 6
const classIn = 1
// no honest name has so many; more is an attempt to make one lookup cost a thousand checks
const maxRecords = 256
const maxChain = 16
const maxNameBytes = 255
const maxPointers = 64
const errorNames = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED']

/**
 * A query with recursion desired. No EDNS: every server knows the plain form, its 512 bytes over UDP are
 * never fragmented, and what is longer comes over TCP. `undefined`: the name cannot be a DNS name.
 */
export function encodeQuery(question: Question): Uint8Array | undefined {
  const labels = question.name.split('.')
  const length = question.name.length + 2
  if (length > maxNameBytes || labels.some((label) => label.length === 0 || label.length > 63)) return undefined
  const message = Buffer.alloc(headerBytes + length + 4)
  message.writeUInt16BE(question.id, 0)
  message.writeUInt16BE(0x0100, 2)
  message.writeUInt16BE(1, 4)
  let at = headerBytes
  for (const label of labels) {
    at = message.writeUInt8(label.length, at)
    for (let i = 0; i < label.length; i++) {
      const code = label.charCodeAt(i)
      if (code <= 0x20 || code >= 0x7f || code === 0x5c) return undefined
      at = message.writeUInt8(code, at)
    }
  }
  at = message.writeUInt8(0, at)
  message.writeUInt16BE(classIn, message.writeUInt16BE(typeCodes[question.type], at))
  return message
}

/** What `message`, whoever sent it, says to `question`. */
export function decodeReply(message: Uint8Array, question: Question): Reply {
  const bytes = Buffer.from(message.buffer, message.byteOffset, message.byteLength)
  if (bytes.length < headerBytes || bytes.readUInt16BE(0) !== question.id) return { kind: 'stray' }
  const flags = bytes.readUInt16BE(2)
  const isQueryResponse = (flags & 0xf800) === 0x8000
  if (!isQueryResponse) return { kind: 'stray' }
  const code = flags & 0x0f
  const questions = bytes.readUInt16BE(4)
  // some servers leave the question out of an error
  if (questions === 0 && code !== 0 && code !== 3) return failedReply(errorName(code))
  const afterQuestion = questions === 1 ? matchQuestion(bytes, question) : undefined
  if (afterQuestion === undefined) return { kind: 'stray' }
  if (code !== 0 && code !== 3) return failedReply(errorName(code))
  const isTruncated = (flags & 0x0200) !== 0
  if (isTruncated) return { kind: 'truncated' }
  return readAnswer(bytes, afterQuestion, question, code === 3)
}

function readAnswer(bytes: Buffer, start: number, question: Question, notFound: boolean): Reply {
  const count = bytes.readUInt16BE(6)
  if (count > maxRecords) return failedReply(`an answer of ${count} records`)
  const answers = readRecords(bytes, start, count)
  if (answers === undefined) return failedReply('a malformed answer')
  const chain = followAliases(bytes, answers.records, question.name)
  if (chain === undefined) return failedReply('a chain of aliases that loops or cannot be followed')
  const last = chain.at(-1) ?? question.name
  const wanted = answers.records.filter((record) => record.type === typeCodes[question.type] && record.owner === last)
  if (notFound || wanted.length === 0) {
    const ttlSeconds = negativeTtl(bytes, answers.next)
    return notFound ? { kind: 'not_found', ttlSeconds } : { kind: 'answer', addresses: [], chain, ttlSeconds }
  }
  const addresses: IpAddress[] = []
  for (const record of wanted) {
    const ip = readAddress(bytes, record, question.type)
    if (ip === undefined) return failedReply('an address record of the wrong length')
    if (!addresses.some((seen) => seen.bits === ip.bits)) addresses.push(ip)
  }
  const owners = new Set([question.name, ...chain])
  const used = answers.records.filter((record) => record.type === typeCname && owners.has(record.owner))
  const ttlSeconds = Math.min(...[...wanted, ...used].map((record) => record.ttlSeconds))
  return { kind: 'answer', addresses, chain, ttlSeconds }
}

/** The aliases from `name` on, in order; undefined for a loop, a fork, or a chain longer than 16. */
function followAliases(bytes: Buffer, records: readonly ResourceRecord[], name: string): readonly string[] | undefined {
  const aliases = new Map<string, string>()
  for (const record of records) {
    if (record.type !== typeCname) continue
    const target = readName(bytes, record.start)
    if (target === undefined || target.next !== record.end) return undefined
    const known = aliases.get(record.owner)
    if (known !== undefined && known !== target.text) return undefined
    aliases.set(record.owner, target.text)
  }
  const chain: string[] = []
  for (let next = aliases.get(name); next !== undefined; next = aliases.get(next)) {
    if (next === name || chain.includes(next) || chain.length === maxChain) return undefined
    chain.push(next)
  }
  return chain
}

function readRecords(bytes: Buffer, start: number, count: number): { readonly records: readonly ResourceRecord[]; readonly next: number } | undefined {
  const records: ResourceRecord[] = []
  let at = start
  for (let i = 0; i < count; i++) {
    const owner = readName(bytes, at)
    if (owner === undefined || owner.next + 10 > bytes.length) return undefined
    const dataStart = owner.next + 10
    const end = dataStart + bytes.readUInt16BE(owner.next + 8)
    if (end > bytes.length) return undefined
    at = end
    if (bytes.readUInt16BE(owner.next + 2) !== classIn) continue
    const ttl = bytes.readUInt32BE(owner.next + 4)
    // RFC 2181 section 8: with the top bit set it counts as zero
    const ttlSeconds = ttl > 0x7fffffff ? 0 : ttl
    records.push({ owner: owner.text, type: bytes.readUInt16BE(owner.next), ttlSeconds, start: dataStart, end })
  }
  return { records, next: at }
}

function readAddress(bytes: Buffer, record: ResourceRecord, type: RecordType): IpAddress | undefined {
  const data = bytes.subarray(record.start, record.end)
  if (type === 'A') return data.length === 4 ? parseIp(data.join('.')) : undefined
  if (data.length !== 16) return undefined
  const groups = Array.from({ length: 8 }, (_, i) => data.readUInt16BE(i * 2).toString(16))
  return parseIp(groups.join(':'))
}

/** How long "no" may be remembered (RFC 2308 section 5): from the SOA of the authority section; without one, not. */
function negativeTtl(bytes: Buffer, start: number): number {
  const authority = readRecords(bytes, start, Math.min(bytes.readUInt16BE(8), maxRecords))
  const soa = authority?.records.find((record) => record.type === typeSoa)
  if (soa === undefined || soa.end - soa.start < 22) return 0
  return Math.min(soa.ttlSeconds, bytes.readUInt32BE(soa.end - 4))
}

function matchQuestion(bytes: Buffer, question: Question): number | undefined {
  const name = readName(bytes, headerBytes)
  if (name === undefined || name.text !== question.name || name.next + 4 > bytes.length) return undefined
  if (bytes.readUInt16BE(name.next) !== typeCodes[question.type]) return undefined
  return bytes.readUInt16BE(name.next + 2) === classIn ? name.next + 4 : undefined
}

/** A name, lower case; pointers may only lead backwards, so no loop stands; at most 255 bytes. */
function readName(bytes: Buffer, start: number): Name | undefined {
  const labels: string[] = []
  let at = start
  let next: number | undefined
  let lowest = start
  let total = 1
  let pointers = 0
  for (;;) {
    const length = bytes[at]
    if (length === undefined) return undefined
    if (length >= 0xc0) {
      const low = bytes[at + 1]
      if (low === undefined) return undefined
      const target = ((length & 0x3f) << 8) | low
      if (target >= lowest || ++pointers > maxPointers) return undefined
      next ??= at + 2
      lowest = target
      at = target
      continue
    }
    if (length > 63) return undefined
    if (length === 0) return { text: labels.join('.'), next: next ?? at + 1 }
    total += length + 1
    if (total > maxNameBytes || at + 1 + length > bytes.length) return undefined
    labels.push(labelText(bytes, at + 1, at + 1 + length))
    at += 1 + length
  }
}

/** A dot, a NUL or anything else that no host name has is written `\ddd`, so that it never looks like one. */
function labelText(bytes: Buffer, start: number, end: number): string {
  let text = ''
  for (const byte of bytes.subarray(start, end)) {
    const lower = byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte
    const isPlain = lower > 0x20 && lower < 0x7f && lower !== 0x2e && lower !== 0x5c
    text += isPlain ? String.fromCharCode(lower) : `\\${String(byte).padStart(3, '0')}`
  }
  return text
}

function errorName(code: number): string {
  return errorNames[code] ?? `response code ${code}`
}

function failedReply(detail: string): Reply {
  return { kind: 'failed', detail }
}
