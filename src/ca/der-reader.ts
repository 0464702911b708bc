// Reads DER one element after the other. Pure. What is longer than the bytes that hold it, or written in a form
// that DER forbids, is an error, never a guess.
import type { Bytes } from './der.ts'

export interface Element {
  readonly tag: number
  /** without tag and length */
  readonly content: Buffer
  /** with them */
  readonly whole: Buffer
}

/** Thrown for what is not DER, or not the DER that was expected. */
export class DerError extends Error {
  override readonly name = 'DerError'
}

export class DerReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Bytes) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length
  }

  /** The tag of what comes next; undefined at the end. */
  get nextTag(): number | undefined {
    return this.#bytes[this.#at]
  }

  /** The next element, which must have this tag if one is given. Throws DerError. */
  read(tag?: number): Element {
    const start = this.#at
    const found = this.#byte(start)
    if (tag !== undefined && found !== tag) throw new DerError(`element ${hex(found)} where ${hex(tag)} belongs`)
    if ((found & 0x1f) === 0x1f) throw new DerError('a tag of more than one byte')
    const first = this.#byte(start + 1)
    let length = first
    let head = 2
    if (first >= 0x80) {
      const size = first - 0x80
      if (size === 0 || size > 3) throw new DerError('a length that no certificate has')
      length = 0
      for (let i = 0; i < size; i += 1) length = length * 256 + this.#byte(start + 2 + i)
      head = 2 + size
      if (length < 0x80 || length < 256 ** (size - 1)) throw new DerError('a length that is not the shortest')
    }
    const end = start + head + length
    if (end > this.#bytes.length) throw new DerError('an element longer than what holds it')
    this.#at = end
    return { tag: found, content: this.#bytes.subarray(start + head, end), whole: this.#bytes.subarray(start, end) }
  }

  /** A reader of the next element's content. */
  enter(tag: number): DerReader {
    return new DerReader(this.read(tag).content)
  }

  /** The next element, if it has this tag. */
  optional(tag: number): Element | undefined {
    return this.nextTag === tag ? this.read() : undefined
  }

  /** Every element that is left. */
  rest(): Element[] {
    const elements: Element[] = []
    while (!this.isAtEnd) elements.push(this.read())
    return elements
  }

  /** Throws DerError when something is left. */
  end(): void {
    if (!this.isAtEnd) throw new DerError('more than belongs there')
  }

  #byte(at: number): number {
    const byte = this.#bytes[at]
    if (byte === undefined) throw new DerError('it breaks off')
    return byte
  }
}

function hex(tag: number): string {
  return `0x${tag.toString(16).padStart(2, '0')}`
}
