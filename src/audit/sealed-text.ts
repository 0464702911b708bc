// How what belongs to a person stands in a record: encrypted under that person's key, bound to the record. AES-256-CTR and
// HMAC-SHA-256 over the ciphertext (RFC 2104), under keys that HKDF (RFC 5869) makes of the person's for each process that
// writes, so that no two of them share a counter. What does not open is said so and never guessed at.
import { createCipheriv, createDecipheriv, createHmac, hash, hkdfSync, randomBytes, timingSafeEqual, type Cipheriv } from 'node:crypto'
import type { AttributeValue } from './event.ts'

/** What a sealed text is bound to: it opens in no other record.
 * `session`: in the records of one session, which share it; `own`: in the record of one exchange, approval or grant. */
export type Bound = 'session' | 'own'

export const sealedAttribute = 'sallyport.sealed'

const saltBytes = 16
const placeBytes = 6
const headBytes = saltBytes + placeBytes
const tagBytes = 16
const blockBytes = 16
const hashBlockBytes = 64
const streamBytes = 4096
const info = 'sallyport sealed text 1'
const prefixes = { session: 'v1s', own: 'v1o' } as const
const form = /^(v1[so])\.([0-9a-v]{26})\.([A-Za-z0-9_-]{51,})$/
const zeros = Buffer.alloc(streamBytes)

export interface SealedText {
  readonly bound: Bound
  readonly keyId: string
  /** salt of the process, block of its key stream, ciphertext, tag */
  readonly data: Buffer
}

/** A person's key in the one process that seals with it. The cipher is made once: an AES-GCM object for each text, as
 * node:crypto wants it, cost more than the decision (docs/decisions/019-erasing-a-person.md). */
export class SealingKey {
  readonly id: string
  readonly #salt = randomBytes(saltBytes)
  readonly #cipher: Cipheriv
  readonly #inner: Buffer
  readonly #outer: Buffer
  #stream: Buffer = Buffer.alloc(0)
  #at = 0
  /** number of the stream's first block */
  #block = 0
  #scratch = Buffer.alloc(1024)

  constructor(id: string, key: Uint8Array) {
    this.id = id
    const { encryption, mac } = derive(key, this.#salt)
    this.#cipher = createCipheriv('aes-256-ctr', encryption, Buffer.alloc(blockBytes))
    this.#inner = padded(mac, 0x36)
    this.#outer = Buffer.concat([padded(mac, 0x5c), Buffer.alloc(32)])
  }

  /** `json`: members of an object, ASCII; `context` is what `contextOf` reads from the record. */
  seal(json: string, bound: Bound, context: string): string {
    const prefix = `${prefixes[bound]}.${this.id}.`
    const label = prefix + context
    const labelLength = Buffer.byteLength(label)
    const start = hashBlockBytes + 4 + labelLength
    const end = start + headBytes + json.length
    if (this.#scratch.length < end + tagBytes) this.#scratch = Buffer.alloc(2 * (end + tagBytes))
    const into = this.#scratch
    this.#inner.copy(into)
    into.writeUInt32BE(labelLength, hashBlockBytes)
    into.write(label, hashBlockBytes + 4)
    this.#salt.copy(into, start)
    const from = this.#take(json.length)
    into.writeUIntBE(this.#block + from / blockBytes, start + saltBytes, placeBytes)
    for (let at = 0; at < json.length; at++) into[start + headBytes + at] = json.charCodeAt(at) ^ (this.#stream[from + at] ?? 0)
    hash('sha256', into.subarray(0, end), 'buffer').copy(this.#outer, hashBlockBytes)
    hash('sha256', this.#outer, 'buffer').copy(into, end, 0, tagBytes)
    return prefix + into.toString('base64url', start, end + tagBytes)
  }

  /** Where in the stream so many bytes stand that nothing was sealed with, at the start of a block. */
  #take(length: number): number {
    if (this.#at + length > this.#stream.length) {
      this.#block += this.#stream.length / blockBytes
      const needed = Math.ceil(length / streamBytes) * streamBytes
      this.#stream = this.#cipher.update(needed === streamBytes ? zeros : Buffer.alloc(needed))
      this.#at = 0
    }
    const from = this.#at
    this.#at += Math.ceil(length / blockBytes) * blockBytes
    return from
  }
}

/** Undefined for what was not sealed by `seal`. */
export function readSealed(text: string): SealedText | undefined {
  const [, prefix, keyId = '', data = ''] = form.exec(text) ?? []
  if (prefix === undefined) return undefined
  return { bound: prefix === prefixes.session ? 'session' : 'own', keyId, data: Buffer.from(data, 'base64url') }
}

/** The attributes that were sealed; undefined when the key, the record or a bit of the text is another. */
export function unseal({ bound, keyId, data }: SealedText, context: string, key: Uint8Array): Readonly<Record<string, AttributeValue | null>> | undefined {
  const end = data.length - tagBytes
  if (end < headBytes) return undefined
  const { encryption, mac } = derive(key, data.subarray(0, saltBytes))
  const label = Buffer.from(`${prefixes[bound]}.${keyId}.${context}`)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(label.length)
  const tag = createHmac('sha256', mac).update(length).update(label).update(data.subarray(0, end)).digest().subarray(0, tagBytes)
  if (!timingSafeEqual(tag, data.subarray(end))) return undefined
  const counter = Buffer.alloc(blockBytes)
  data.copy(counter, blockBytes - placeBytes, saltBytes, headBytes)
  const text = createDecipheriv('aes-256-ctr', encryption, counter).update(data.subarray(headBytes, end)).toString('latin1')
  try {
    return attributesOf(JSON.parse(`{${text}}`))
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    return undefined
  }
}

/** The keys of one process, of one person's. */
function derive(key: Uint8Array, salt: Uint8Array): { readonly encryption: Buffer; readonly mac: Buffer } {
  const bytes = Buffer.from(hkdfSync('sha256', key, salt, info, 64))
  return { encryption: bytes.subarray(0, 32), mac: bytes.subarray(32) }
}

/** The key's block of HMAC, for hashes that are made in one call. */
function padded(key: Uint8Array, byte: number): Buffer {
  const block = Buffer.alloc(hashBlockBytes, byte)
  for (const [at, each] of key.entries()) block[at] = each ^ byte
  return block
}

type Attributes = Readonly<Record<string, AttributeValue | null | undefined>>

/** What a record's sealed texts are bound to: its session, or the first of these that it has. */
export function contextOf(attributes: Attributes, bound: Bound): string {
  if (bound === 'session') return textOf(attributes['session.id']) ?? ''
  for (const name of ownNames) {
    const id = textOf(attributes[name])
    if (id !== undefined) return id
  }
  return ''
}

const ownNames = ['sallyport.request.id', 'sallyport.approval.id', 'sallyport.grant.id', 'session.id'] as const

function textOf(value: AttributeValue | null | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function attributesOf(value: unknown): Readonly<Record<string, AttributeValue | null>> | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const attributes: Record<string, AttributeValue | null> = {}
  for (const [name, each] of Object.entries(value)) {
    if (!isAttribute(each)) return undefined
    attributes[name] = each
  }
  return attributes
}

function isAttribute(value: unknown): value is AttributeValue | null {
  if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return true
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}
