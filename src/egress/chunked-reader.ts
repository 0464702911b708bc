// The chunked coding of an origin's answer (RFC 9112 section 7.1), read strictly: sizes are hexadecimal digits,
// lines end in CRLF, and what is behind a chunk is CRLF. Extensions are dropped. Pure. It must never guess: what
// is not exactly the coding throws, and the bytes behind the last line belong to nobody.
import { ProxyError } from '../errors.ts'
import { isFieldValue, isToken, withoutBlanks } from '../target/field-syntax.ts'

// a size, and extensions as RFC 9112 section 7.1.1 has them
const sizeLine = /^0*([0-9A-Fa-f]{1,12})(?:;[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:=(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+|"[\t\x20\x21\x23-\x5b\x5d-\x7e]*"))?)*\r\n$/
const maxSizeLine = 4096
const carriageReturn = 0x0d
const lineFeed = 0x0a

export class ChunkedReader {
  readonly #maxTrailerBytes: number
  readonly #trailers: string[] = []
  #part: 'size' | 'data' | 'cr' | 'lf' | 'trailers' | 'done' = 'size'
  #left = 0
  /** of a line that is not whole */
  #line = ''
  #trailerBytes = 0

  constructor(maxTrailerBytes: number) {
    this.#maxTrailerBytes = maxTrailerBytes
  }

  get isDone(): boolean {
    return this.#part === 'done'
  }

  /** flat name, value, name, value; latin1 */
  get trailers(): readonly string[] {
    return this.#trailers
  }

  /** Reads on from `at`, content goes to `take`, whose bytes are good until it returns; returns where it stopped:
   * the end of `bytes`, or the first byte behind the message. Throws ProxyError `origin_protocol_error`. */
  read(bytes: Buffer, at: number, take: (content: Buffer) => void): number {
    let from = at
    while (from < bytes.length && this.#part !== 'done') {
      if (this.#part === 'data') {
        const end = Math.min(bytes.length, from + this.#left)
        take(bytes.subarray(from, end))
        this.#left -= end - from
        from = end
        if (this.#left === 0) this.#part = 'cr'
      } else if (this.#part === 'cr' || this.#part === 'lf') {
        if (bytes[from] !== (this.#part === 'cr' ? carriageReturn : lineFeed)) throw fault('a chunk does not end in CRLF')
        this.#part = this.#part === 'cr' ? 'lf' : 'size'
        from++
      } else {
        from = this.#readLine(bytes, from)
      }
    }
    return from
  }

  #readLine(bytes: Buffer, at: number): number {
    const feed = bytes.indexOf(lineFeed, at)
    const end = feed === -1 ? bytes.length : feed + 1
    const isSize = this.#part === 'size'
    if (this.#line.length + end - at > (isSize ? maxSizeLine : this.#maxTrailerBytes - this.#trailerBytes)) {
      throw fault(isSize ? 'a chunk size without an end' : 'too many trailer fields')
    }
    this.#line += bytes.toString('latin1', at, end)
    if (feed === -1) return end
    const line = this.#line
    this.#line = ''
    if (isSize) this.#size(line)
    else this.#trailer(line)
    return end
  }

  #size(line: string): void {
    const [, size] = sizeLine.exec(line) ?? []
    if (size === undefined) throw fault('a chunk size that is none')
    this.#left = Number.parseInt(size, 16)
    this.#part = this.#left === 0 ? 'trailers' : 'data'
  }

  #trailer(line: string): void {
    if (line === '\r\n') {
      this.#part = 'done'
      return
    }
    this.#trailerBytes += line.length
    const colon = line.indexOf(':')
    const name = line.slice(0, Math.max(0, colon))
    const value = withoutBlanks(line, colon + 1, line.length - 2)
    if (!line.endsWith('\r\n') || !isToken(name) || !isFieldValue(value)) throw fault('a trailer that is no field')
    // as llhttp has it; any other that frames stops in field-rules.ts
    if (name.toLowerCase() === 'content-length') throw fault('Content-Length behind the content')
    this.#trailers.push(name, value)
  }
}

function fault(what: string): ProxyError {
  return new ProxyError('origin_protocol_error', what)
}
