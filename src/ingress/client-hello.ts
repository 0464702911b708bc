// The TLS ClientHello, read from the bytes of a tunnel as they arrive: reassembled across TCP segments and
// TLS records, judged once, strictly. It never throws, never opens a socket, and never lets a hello pass
// that two TLS stacks could read differently.
import { ProxyError } from '../errors.ts'
import { parseHost } from '../target/host.ts'
import type { Host } from '../target/host.ts'

/**
 * What the bytes so far turned out to be. `serverName` is the SNI as sent, undefined when there is none;
 * `hasEch` says that extension 0xfe0d is there, real or GREASE, which is no reason to refuse.
 */
export type HelloResult =
  | { readonly kind: 'need-more' }
  | {
      readonly kind: 'hello'
      readonly serverName: string | undefined
      readonly alpn: readonly string[]
      readonly hasEch: boolean
    }
  | {
      readonly kind: 'refused'
      readonly code: 'not_tls' | 'hello_malformed' | 'hello_too_large'
      readonly detail: string
    }

const recordHeader = 5
const handshakeHeader = 4
const maxRecord = 16384
const handshakeRecord = 0x16
const clientHello = 1
const extension = { serverName: 0, alpn: 16, encryptedClientHello: 0xfe0d } as const
// what OpenSSL takes at most; no host name is longer
const maxServerName = 255
// clients send some twenty, GREASE included; each is compared with those before it
const maxExtensions = 128

const nothing = new Uint8Array(0)
const needMore: HelloResult = { kind: 'need-more' }

/**
 * Takes the first bytes of a tunnel until they are a whole hello or cannot become one. The hello, record
 * headers included, may take `maxBytes` bytes. Work and memory are linear in the bytes pushed, whatever
 * their pieces. RFC 8446 sections 4.1.2 and 5.1, RFC 6066 section 3.
 */
export class ClientHelloReader {
  readonly #maxBytes: number
  #buffer: Uint8Array = nothing
  #filled = 0
  /** where the record being read starts */
  #record = 0
  /** handshake bytes in the records before it */
  #before = 0
  /** type and length of the handshake message, and how many bytes of them have been seen */
  #header = 0
  #headerSeen = 0
  #result: HelloResult = needMore

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Every byte pushed so far, in order, also those after the hello: what the relay must send first. */
  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#filled)
  }

  /** Says what the bytes are now; once it has judged, the answer stays. The chunk is the reader's from here on. */
  push(chunk: Uint8Array): HelloResult {
    this.#append(chunk)
    if (this.#result.kind === 'need-more') this.#result = this.#advance()
    return this.#result
  }

  #append(chunk: Uint8Array): void {
    const needed = this.#filled + chunk.length
    if (this.#filled === 0) {
      // nearly every hello comes in one piece
      this.#buffer = chunk
      this.#filled = needed
      return
    }
    if (needed > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(needed, this.#buffer.length * 2))
      grown.set(this.bytes)
      this.#buffer = grown
    }
    this.#buffer.set(chunk, this.#filled)
    this.#filled = needed
  }

  #advance(): HelloResult {
    for (;;) {
      const fault = this.#recordFault()
      if (fault !== undefined) return fault
      const payload = this.#record + recordHeader
      if (this.#filled < payload) return this.#waitFor(payload)
      const length = uint16(this.#buffer, this.#record + 3)
      const end = payload + length
      // known from the record's header, so said before anything that needs more of it
      if (end > this.#maxBytes) return this.#tooLarge()
      const message = this.#readMessageLength(payload, Math.min(end, this.#filled))
      if (message !== undefined) {
        if (this.#header >>> 24 !== clientHello) return malformed('the first handshake message is no hello')
        // the hello's own bytes and one record header are the least it can take
        if (message + recordHeader > this.#maxBytes) return this.#tooLarge()
        if (this.#before + length > message) return malformed('more than the hello in its record')
        if (this.#before + length === message && this.#filled >= end) return parseHello(this.#assemble(end, message))
      }
      if (this.#filled < end) return this.#waitFor(end)
      this.#before += length
      this.#record = end
    }
  }

  /** Judges as much of the record header as is there. */
  #recordFault(): HelloResult | undefined {
    const at = this.#record
    const available = this.#filled - at
    if (available > 0 && this.#buffer[at] !== handshakeRecord) {
      if (at > 0) return malformed('another kind of record inside the hello')
      return refused('not_tls', 'the first byte is not that of a TLS handshake record')
    }
    if (available > 1 && this.#buffer[at + 1] !== 3) return malformed('record version')
    if (available < recordHeader) return undefined
    const length = uint16(this.#buffer, at + 3)
    return length === 0 || length > maxRecord ? malformed('record length') : undefined
  }

  /** The length of the handshake message with its header, once its four header bytes are there. */
  #readMessageLength(payload: number, end: number): number | undefined {
    let at = payload + this.#headerSeen - this.#before
    while (this.#headerSeen < handshakeHeader && at < end) {
      this.#header = (this.#header << 8) | (this.#buffer[at++] ?? 0)
      this.#headerSeen++
    }
    if (this.#headerSeen < handshakeHeader) return undefined
    return handshakeHeader + (this.#header & 0xffffff)
  }

  #waitFor(end: number): HelloResult {
    return end > this.#maxBytes || this.#filled >= this.#maxBytes ? this.#tooLarge() : needMore
  }

  #tooLarge(): HelloResult {
    return refused('hello_too_large', `more than ${this.#maxBytes} bytes`)
  }

  /** The handshake message without its header and without record headers. */
  #assemble(end: number, message: number): Uint8Array {
    if (this.#before === 0) return this.#buffer.subarray(recordHeader + handshakeHeader, end)
    const whole = new Uint8Array(message)
    let filled = 0
    for (let at = 0; at < end; ) {
      const payload = at + recordHeader
      const next = payload + uint16(this.#buffer, at + 3)
      whole.set(this.#buffer.subarray(payload, next), filled)
      filled += next - payload
      at = next
    }
    return whole.subarray(handshakeHeader)
  }
}

/**
 * Whether the SNI names this host: both read by the same parser, so case and one trailing dot do not count.
 * An address in SNI equals nothing (RFC 6066 section 3 forbids it).
 */
export function sniEquals(serverName: string, host: Host): boolean {
  if (host.kind !== 'name') return false
  if (serverName === host.text) return true
  try {
    const named = parseHost(serverName)
    return named.kind === 'name' && named.text === host.text
  } catch (error) {
    if (error instanceof ProxyError) return false
    throw error
  }
}

function parseHello(body: Uint8Array): HelloResult {
  const cursor = new Cursor(body, 0, body.length)
  const version = cursor.uint(2)
  cursor.skip(32)
  const sessionId = cursor.vector(1).length
  const ciphers = cursor.vector(2).length
  const compression = cursor.vector(1).length
  if (!cursor.ok || version >>> 8 !== 3) return malformed('fields before the extensions')
  if (sessionId > 32) return malformed('session id longer than 32 bytes')
  if (ciphers === 0 || ciphers % 2 === 1) return malformed('list of cipher suites')
  if (compression === 0) return malformed('no compression method')
  // before TLS 1.3 a hello may end here
  if (cursor.atEnd) return { kind: 'hello', serverName: undefined, alpn: [], hasEch: false }
  const extensions = cursor.vector(2)
  if (!cursor.ok || !cursor.atEnd) return malformed('length of the extensions')
  return parseExtensions(extensions)
}

function parseExtensions(cursor: Cursor): HelloResult {
  const seen: number[] = []
  let serverName: string | undefined
  let alpn: readonly string[] = []
  while (!cursor.atEnd) {
    const type = cursor.uint(2)
    const data = cursor.vector(2)
    if (!cursor.ok) return malformed('length of an extension')
    if (seen.length >= maxExtensions) return malformed(`more than ${maxExtensions} extensions`)
    if (seen.includes(type)) return malformed(`extension ${type} twice`)
    seen.push(type)
    if (type === extension.serverName) {
      serverName = readServerName(data)
      if (serverName === undefined) return malformed('server_name')
    } else if (type === extension.alpn) {
      const protocols = readAlpn(data)
      if (protocols === undefined) return malformed('application_layer_protocol_negotiation')
      alpn = protocols
    }
  }
  return { kind: 'hello', serverName, alpn, hasEch: seen.includes(extension.encryptedClientHello) }
}

/** Exactly one entry of type host_name, visible ASCII, as sent. */
function readServerName(data: Cursor): string | undefined {
  const list = data.vector(2)
  const type = list.uint(1)
  const name = list.vector(2)
  if (!data.ok || !data.atEnd || !list.ok || !list.atEnd || type !== 0) return undefined
  return name.length === 0 || name.length > maxServerName ? undefined : name.visibleText()
}

function readAlpn(data: Cursor): readonly string[] | undefined {
  const list = data.vector(2)
  if (!data.ok || !data.atEnd || list.atEnd) return undefined
  const protocols: string[] = []
  while (!list.atEnd) {
    const name = list.vector(1)
    if (!list.ok || name.length === 0) return undefined
    protocols.push(name.text())
  }
  return protocols
}

/** A range of bytes that is read from its start. Reads past the end yield zeros and empty ranges, and `ok` is
 * false from then on. */
class Cursor {
  readonly #bytes: Uint8Array
  #at: number
  #end: number
  ok = true

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.#bytes = bytes
    this.#at = at
    this.#end = end
  }

  get atEnd(): boolean {
    return this.#at === this.#end
  }

  /** bytes that are left */
  get length(): number {
    return this.#end - this.#at
  }

  uint(size: 1 | 2): number {
    const at = this.#at
    if (!this.skip(size)) return 0
    return size === 1 ? (this.#bytes[at] ?? 0) : uint16(this.#bytes, at)
  }

  /** A vector with a length field of `size` bytes in front. */
  vector(size: 1 | 2): Cursor {
    const length = this.uint(size)
    const at = this.#at
    return this.skip(length) ? new Cursor(this.#bytes, at, at + length) : new Cursor(this.#bytes, at, at)
  }

  /** False when there are not that many bytes. */
  skip(length: number): boolean {
    const end = this.#at + length
    if (this.ok && end <= this.#end) {
      this.#at = end
      return true
    }
    this.ok = false
    this.#at = this.#end
    return false
  }

  /** What is left, one character for each byte. */
  text(): string {
    let text = ''
    for (let at = this.#at; at < this.#end; at++) text += String.fromCharCode(this.#bytes[at] ?? 0)
    return text
  }

  /** What is left, undefined unless all of it is visible ASCII. */
  visibleText(): string | undefined {
    for (let at = this.#at; at < this.#end; at++) {
      const byte = this.#bytes[at] ?? 0
      if (byte <= 0x20 || byte >= 0x7f) return undefined
    }
    return this.text()
  }
}

function uint16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
}

function malformed(detail: string): HelloResult {
  return refused('hello_malformed', detail)
}

function refused(code: 'not_tls' | 'hello_malformed' | 'hello_too_large', detail: string): HelloResult {
  return { kind: 'refused', code, detail }
}
