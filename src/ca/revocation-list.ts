// Reads certificate revocation lists (RFC 5280 section 5): which serial numbers an authority has taken back. What a list
// says in a way that is not understood here makes the whole list unreadable, never part of it. It asks nobody whether the
// list is current, and trusts no list by itself: who judges a certificate asks `isSignedBy` with the key of its issuer.
import { verify, type KeyObject } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { DerError, DerReader, type Element } from './der-reader.ts'

export interface RevocationList {
  /** as `nameKey` spells it */
  readonly issuer: string
  /** `ms`; undefined: it does not say when the next one is due */
  readonly nextUpdateMs: number | undefined
  /** how many certificates it names */
  readonly size: number
  /** `serial` as `readIssued` spells it */
  names(serial: string): boolean
  /** Whether the holder of this key has signed it. */
  isSignedBy(key: KeyObject): boolean
}

/** Who a certificate is, and who says so; the names as `nameKey` spells them. */
export interface Issued {
  readonly issuer: string
  readonly subject: string
  readonly serial: string
}

// a large list must not hold up what else there is to do
const entriesPerTurn = 500
const maxKnownKeys = 8

interface Algorithm {
  /** node's name of the keys that it is for */
  readonly keyType: string
  readonly digest: string | null
}

/** By object identifier, without tag and length; RSASSA-PSS and SHA-1 are not among them. */
const algorithms: ReadonlyMap<string, Algorithm> = new Map([
  ['2a864886f70d01010b', { keyType: 'rsa', digest: 'sha256' }],
  ['2a864886f70d01010c', { keyType: 'rsa', digest: 'sha384' }],
  ['2a864886f70d01010d', { keyType: 'rsa', digest: 'sha512' }],
  ['2a8648ce3d040302', { keyType: 'ec', digest: 'sha256' }],
  ['2a8648ce3d040303', { keyType: 'ec', digest: 'sha384' }],
  ['2a8648ce3d040304', { keyType: 'ec', digest: 'sha512' }],
  ['2b6570', { keyType: 'ed25519', digest: null }],
  ['2b6571', { keyType: 'ed448', digest: null }],
])
const deltaIndicator = '551d1b'
const distributionPoint = '551d1c'
const certificateIssuer = '551d1d'
// number, scope, key of the issuer, other names of the issuer, where a fresher one is
const knownExtensions: ReadonlySet<string> = new Set(['551d14', distributionPoint, '551d23', '551d12', '551d2e'])
// reason, since when it is invalid, what to do with one on hold: a certificate is refused for none of them less
const knownEntryExtensions: ReadonlySet<string> = new Set(['551d15', '551d17', '551d18'])

/** Reads a list from DER, some hundred entries at a time. Rejects with DerError for what is none. */
export async function readRevocationList(der: Uint8Array): Promise<RevocationList> {
  const outer = new DerReader(der)
  const list = outer.enter(0x30)
  outer.end()
  const signed = list.read(0x30)
  const algorithm = list.read(0x30)
  const signature = list.read(0x03).content
  list.end()
  if (signature[0] !== 0) throw new DerError('a signature that is not whole bytes')
  const fields = new DerReader(signed.content)
  const version = fields.optional(0x02)
  if (version !== undefined && !version.content.equals(Buffer.of(1))) throw new DerError('a version that no list has')
  if (!fields.read(0x30).whole.equals(algorithm.whole)) throw new DerError('two algorithms for one signature')
  const { keyType, digest } = algorithmOf(algorithm)
  const issuer = nameKey(fields.read(0x30))
  readTime(fields.read())
  const nextUpdateMs = isTime(fields.nextTag) ? readTime(fields.read()) : undefined
  const entries = fields.optional(0x30)
  const serials = entries === undefined ? new Set<string>() : await readEntries(entries)
  const extensions = fields.optional(0xa0)
  fields.end()
  if (extensions !== undefined) checkExtensions(extensions)
  const known = new Map<string, boolean>()
  return {
    issuer,
    nextUpdateMs,
    size: serials.size,
    names: (serial) => serials.has(serial),
    isSignedBy(key) {
      if (key.asymmetricKeyType !== keyType) return false
      const id = key.export({ type: 'spki', format: 'der' }).toString('latin1')
      const before = known.get(id)
      if (before !== undefined) return before
      if (known.size >= maxKnownKeys) known.clear()
      const isSigned = verify(digest, signed.whole, key, signature.subarray(1))
      known.set(id, isSigned)
      return isSigned
    },
  }
}

function algorithmOf({ content }: Element): Algorithm {
  const found = algorithms.get(new DerReader(content).read(0x06).content.toString('hex'))
  if (found === undefined) throw new DerError('a signature that is neither RSA nor ECDSA with SHA-2, nor Ed25519 or Ed448')
  return found
}

async function readEntries({ content }: Element): Promise<Set<string>> {
  const serials = new Set<string>()
  const entries = new DerReader(content)
  while (!entries.isAtEnd) {
    const entry = entries.enter(0x30)
    serials.add(serialOf(entry.read(0x02)))
    readTime(entry.read())
    const extensions = entry.optional(0x30)
    entry.end()
    if (extensions !== undefined) checkEntryExtensions(extensions)
    if (serials.size % entriesPerTurn === 0) await setImmediate()
  }
  return serials
}

interface Extension {
  readonly id: string
  readonly isCritical: boolean
  readonly value: Buffer
}

function* extensionsOf(list: Element): Generator<Extension> {
  for (const each of new DerReader(list.content).rest()) {
    const fields = new DerReader(each.content)
    const id = fields.read(0x06).content.toString('hex')
    const isCritical = (fields.optional(0x01)?.content[0] ?? 0) !== 0
    const value = fields.read(0x04).content
    fields.end()
    yield { id, isCritical, value }
  }
}

/** RFC 5280 section 5.2: a list with a critical extension that is not understood says nothing of any certificate. */
function checkExtensions(outer: Element): void {
  const reader = new DerReader(outer.content)
  const list = reader.read(0x30)
  reader.end()
  for (const { id, isCritical, value } of extensionsOf(list)) {
    if (id === deltaIndicator) throw new DerError('it is a delta list, which says only what has changed: give the whole one')
    if (id === distributionPoint && isIndirect(value)) throw indirect()
    if (isCritical && !knownExtensions.has(id)) throw new DerError(`a critical extension that is not known here (${id})`)
  }
}

/** RFC 5280 section 5.3: here, too, of any certificate. */
function checkEntryExtensions(list: Element): void {
  for (const { id, isCritical } of extensionsOf(list)) {
    if (id === certificateIssuer) throw indirect()
    if (isCritical && !knownEntryExtensions.has(id)) throw new DerError(`a critical extension of an entry that is not known here (${id})`)
  }
}

function isIndirect(value: Buffer): boolean {
  return new DerReader(value).enter(0x30).rest().some(({ tag, content }) => tag === 0x84 && content[0] !== 0)
}

function indirect(): DerError {
  return new DerError('it is an indirect list, which names certificates of other authorities: give the authority\'s own')
}

function isTime(tag: number | undefined): boolean {
  return tag === 0x17 || tag === 0x18
}

/** UTCTime until 2049 and GeneralizedTime, both to the second and in UTC (RFC 5280 section 4.1.2.5); `ms`. */
function readTime({ tag, content }: Element): number {
  const text = content.toString('latin1')
  const [, year = '', month = '', day = '', hour = '', minute = '', second = ''] = (tag === 0x17 ? utcTime : tag === 0x18 ? generalizedTime : undefined)?.exec(text) ?? []
  if (year === '') throw new DerError('a time that is written as none')
  const full = year.length === 4 ? Number(year) : Number(year) + (Number(year) < 50 ? 2000 : 1900)
  return Date.UTC(full, Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second))
}

const utcTime = /^(\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])([01]\d|2[0-3])([0-5]\d)([0-5]\d)Z$/
const generalizedTime = /^(\d{4})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])([01]\d|2[0-3])([0-5]\d)([0-5]\d)Z$/

/** Hexadecimal without leading zeros, however many an authority has written. */
function serialOf({ content }: Element): string {
  if (content.length === 0) throw new DerError('a number without a digit')
  return content.toString('hex').replace(/^0+(?=.)/, '')
}

/** Of a certificate in DER. Throws DerError. */
export function readIssued(der: Uint8Array): Issued {
  const fields = new DerReader(der).enter(0x30).enter(0x30)
  fields.optional(0xa0)
  const serial = serialOf(fields.read(0x02))
  fields.read(0x30)
  const issuer = nameKey(fields.read(0x30))
  fields.read(0x30)
  return { serial, issuer, subject: nameKey(fields.read(0x30)) }
}

/**
 * A name as text that is equal for names that are: authorities encode their own in one way in their certificate and in
 * another in their lists, and case and spaces do not count (RFC 5280 section 7.1).
 */
function nameKey({ content }: Element): string {
  return new DerReader(content).rest().map((set) => new DerReader(set.content).rest().map(attributeKey).toSorted().join('+')).join(',')
}

function attributeKey({ content }: Element): string {
  const fields = new DerReader(content)
  const type = fields.read(0x06).content.toString('hex')
  const value = fields.read()
  fields.end()
  return `${type}=${JSON.stringify(textOf(value).trim().replaceAll(/\s+/g, ' ').toLowerCase())}`
}

function textOf({ tag, content }: Element): string {
  switch (tag) {
    case 0x0c:
      return content.toString('utf8')
    case 0x12:
    case 0x13:
    case 0x14:
    case 0x16:
      return content.toString('latin1')
    case 0x1e:
      if (content.length % 2 !== 0) throw new DerError('a text that breaks off')
      return Buffer.from(content).swap16().toString('utf16le')
    default:
      return `#${content.toString('hex')}`
  }
}
