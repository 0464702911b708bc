// The answer to a request that was read without node's parser, written on its connection's bare socket: what
// node's ServerResponse does of it, byte for byte. It frames by Content-Length or chunked (RFC 9112 section 6),
// sends a head and a small body in one write, and ends once. Must never write a field that could end its line,
// nor a byte after its end.
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { ClientResponse, KnownHead } from '../egress/client-leg.ts'
import { isFieldValue, isToken } from '../target/field-syntax.ts'

/** The connection that an answer is written on. */
export interface AnswerPlace {
  readonly socket: Socket
  /** what says that the connection stays open, whole lines */
  readonly keptLines: string
  /** nothing is answered on the connection after this */
  isLast: boolean
  /** value of Date, now */
  date(): string
  /** everything of `answer` is with the kernel */
  finished(answer: PlainAnswer): void
}

/** An answer that was written once, whole: good for every connection that stays open, as long as Date is the same. */
export interface RenderedAnswer {
  /** one character for each byte */
  readonly text: string
  readonly date: string
  readonly keptLines: string
}

// what is this small is joined to its head, as one text
const oneWriteBytes = 16 * 1024

export class PlainAnswer implements ClientResponse {
  headersSent = false
  chunkedEncoding = false
  closed = false
  readonly #place: AnswerPlace
  readonly #isHead: boolean
  /** the head, until it is written */
  #head = ''
  #hasBody = true
  #ended = false
  #isOut = false
  #isCorked = false
  #trailers = ''
  readonly #onClose: (() => void)[] = []
  #onDrain: (() => void)[] | undefined

  constructor(place: AnswerPlace, isHead: boolean) {
    this.#place = place
    this.#isHead = isHead
  }

  /** null when it is over: the connection is another answer's */
  get socket(): Socket | null {
    return this.closed ? null : this.#place.socket
  }

  get destroyed(): boolean {
    return this.closed || this.#place.socket.destroyed
  }

  get writableFinished(): boolean {
    return this.#isOut
  }

  get writableLength(): number {
    return this.#head.length + this.#place.socket.writableLength
  }

  /** Throws where node would: on a field whose name is no token or whose value holds a control character. */
  writeHead(status: number, reason: string, fields: readonly string[]): void {
    this.writeKnownHead(knownHead(status, reason, fields), [])
  }

  /** As `writeHead`, of what was looked at before; `fields` are looked at now, and say nothing of framing, Date or Connection. */
  writeKnownHead(known: KnownHead, fields: readonly string[]): void {
    if (this.headersSent) throw new Error('the head was written already')
    const place = this.#place
    const { status, isFramed, saysClose } = known
    let head = linesOf(known, fields, place.date())
    if (saysClose) place.isLast = true
    else head += place.isLast ? 'Connection: close\r\n' : place.keptLines
    this.#hasBody = !this.#isHead && status !== 204 && status !== 304
    if (this.#hasBody && !isFramed) {
      this.chunkedEncoding = true
      head += 'Transfer-Encoding: chunked\r\n'
    }
    this.#head = `${head}\r\n`
    this.headersSent = true
  }

  /** A whole answer as it would be written now, with `body`, of at least a byte; undefined: there is none that others could
   * be given as well. Throws as `writeHead` does. */
  render(known: KnownHead, fields: readonly string[], body: Uint8Array): RenderedAnswer | undefined {
    const { keptLines, isLast } = this.#place
    const hasBody = !this.#isHead && known.status !== 204 && known.status !== 304
    if (isLast || known.saysClose || !known.isFramed || !hasBody) return undefined
    const date = this.#place.date()
    return { text: `${linesOf(known, fields, date)}${keptLines}\r\n${bytesOf(body, undefined).toString('latin1')}`, date, keptLines }
  }

  /** Writes and ends it; false: it is not what this connection would be given now, and nothing was written. */
  endRendered({ text, date, keptLines }: RenderedAnswer): boolean {
    const place = this.#place
    if (this.headersSent || this.destroyed || this.#isHead || place.isLast || keptLines !== place.keptLines || date !== place.date()) return false
    this.headersSent = true
    this.#head = text
    this.end('', 'latin1')
    return true
  }

  flushHeaders(): void {
    const head = this.#head
    if (head === '' || this.destroyed) return
    this.#head = ''
    this.#place.socket.write(head, 'latin1')
  }

  writeContinue(): void {
    if (!this.headersSent && !this.destroyed) this.#place.socket.write('HTTP/1.1 100 Continue\r\n\r\n', 'latin1')
  }

  /** False while the client should not be sent more. */
  write(chunk: Uint8Array | string): boolean {
    if (this.#ended || this.destroyed) return false
    if (!this.#hasBody) return true
    this.#cork()
    return this.#put(bytesOf(chunk, undefined), '')
  }

  end(chunk?: Uint8Array | string, encoding?: 'latin1'): void {
    if (this.#ended || this.destroyed) return
    if (!this.headersSent) throw new Error('an answer ends without a head')
    this.#ended = true
    const tail = this.chunkedEncoding ? `0\r\n${this.#trailers}\r\n` : ''
    const isText = this.#hasBody && typeof chunk === 'string' && encoding === 'latin1' && !this.chunkedEncoding
    if (isText || !this.#hasBody || chunk === undefined) {
      this.#last(isText ? chunk : tail)
      return
    }
    this.#put(bytesOf(chunk, encoding), tail)
    this.uncork()
    this.#settle()
  }

  addTrailers(trailers: readonly (readonly [string, string])[]): void {
    for (const [name, value] of trailers) {
      if (!isToken(name) || !isFieldValue(value)) throw new Error(`the trailer ${JSON.stringify(name)} is not valid`)
      this.#trailers += `${name}: ${value}\r\n`
    }
  }

  /** Breaks off what is not over; what is over is let be. */
  destroy(): void {
    if (!this.closed) this.#place.socket.destroy()
  }

  on(event: 'close' | 'drain', listener: () => void): this {
    if (event === 'close') this.#onClose.push(listener)
    else (this.#onDrain ??= []).push(listener)
    return this
  }

  once(event: 'close' | 'drain', listener: () => void): this {
    const first = (): void => {
      this.off(event, first)
      listener()
    }
    return this.on(event, first)
  }

  off(event: 'close' | 'drain', listener: () => void): this {
    const listeners = event === 'close' ? this.#onClose : (this.#onDrain ?? [])
    const at = listeners.indexOf(listener)
    if (at >= 0) listeners.splice(at, 1)
    return this
  }

  /** The socket takes more. */
  drained(): void {
    for (const listener of this.#onDrain?.slice() ?? []) listener()
  }

  /** The socket is closed. */
  cut(): void {
    if (!this.closed) this.#close()
  }

  /** What is written within one turn leaves in one go. */
  #cork(): void {
    if (this.#isCorked) return
    this.#isCorked = true
    this.#place.socket.cork()
    process.nextTick(uncork, this)
  }

  uncork(): void {
    if (!this.#isCorked) return
    this.#isCorked = false
    this.#place.socket.uncork()
  }

  /** A chunk, framed, behind the head if that still waits and before `tail`. */
  #put(chunk: Buffer, tail: string): boolean {
    if (chunk.length === 0) return this.#text(tail)
    const before = this.chunkedEncoding ? `${this.#head}${chunk.length.toString(16)}\r\n` : this.#head
    const after = this.chunkedEncoding ? `\r\n${tail}` : ''
    if (before === '' || chunk.length <= oneWriteBytes) {
      if (before === '') return this.#place.socket.write(chunk)
      this.#head = ''
      return this.#place.socket.write(`${before}${chunk.toString('latin1')}${after}`, 'latin1')
    }
    const { socket } = this.#place
    this.#head = ''
    socket.cork()
    socket.write(before, 'latin1')
    let mayGoOn = socket.write(chunk)
    if (after !== '') mayGoOn = socket.write(after, 'latin1')
    socket.uncork()
    return mayGoOn
  }

  #text(text: string): boolean {
    const whole = this.#head + text
    this.#head = ''
    return whole === '' || this.#place.socket.write(whole, 'latin1')
  }

  /** All that is left of it. */
  #last(text: string): void {
    const { socket } = this.#place
    const whole = this.#head + text
    // within TLS no write is done at once: to wait for this one is cheaper than to wait for one behind it
    if (whole !== '' && socket instanceof TLSSocket) {
      this.#head = ''
      socket.write(whole, 'latin1', this.#written)
      this.uncork()
      return
    }
    this.#text(text)
    this.uncork()
    this.#settle()
  }

  /** It is over when the kernel has all of it. */
  #settle(): void {
    const { socket } = this.#place
    if (socket.writableLength > 0) socket.write('', this.#written)
    else this.#finish()
  }

  readonly #written = (error?: Error | null): void => {
    if (error === undefined || error === null) this.#finish()
  }

  #finish(): void {
    const { socket } = this.#place
    if (this.closed || socket.destroyed || socket.errored !== null) return
    this.#isOut = true
    this.#close()
    this.#place.finished(this)
  }

  #close(): void {
    this.closed = true
    for (const listener of this.#onClose.splice(0)) listener()
  }
}

/** A head that is written many times. Throws as `writeHead` does. */
export function knownHead(status: number, reason: string, fields: readonly string[]): KnownHead {
  if (!Number.isInteger(status) || status < 200 || status > 999 || !isFieldValue(reason)) throw new Error(`no status line: ${status}`)
  let text = `HTTP/1.1 ${status} ${reason}\r\n`
  let isFramed = false
  let isDated = false
  let saysClose = false
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = fields[i] ?? ''
    const value = fields[i + 1] ?? ''
    text += lineOf(name, value)
    if (name.length === 14) isFramed ||= name.toLowerCase() === 'content-length'
    else if (name.length === 4) isDated ||= name.toLowerCase() === 'date'
    else if (name.length === 10) saysClose ||= name.toLowerCase() === 'connection' && value.toLowerCase() === 'close'
  }
  return { status, reason, fields, text, isFramed, isDated, saysClose }
}

/** Status line and field lines, up to what the connection says. */
function linesOf({ text, isDated }: KnownHead, fields: readonly string[], date: string): string {
  let lines = text
  for (let i = 0; i + 1 < fields.length; i += 2) lines += lineOf(fields[i] ?? '', fields[i + 1] ?? '')
  return isDated ? lines : `${lines}Date: ${date}\r\n`
}

function lineOf(name: string, value: string): string {
  if (!isToken(name) || !isFieldValue(value)) throw new Error(`the field ${JSON.stringify(name)} is not valid`)
  return `${name}: ${value}\r\n`
}

function uncork(answer: PlainAnswer): void {
  answer.uncork()
}

function bytesOf(chunk: Uint8Array | string, encoding: 'latin1' | undefined): Buffer {
  if (typeof chunk === 'string') return Buffer.from(chunk, encoding ?? 'utf8')
  return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
}
