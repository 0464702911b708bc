// The bytes of an archive in the order they stand there: heads whole and bounded, everything else in pieces. It never
// holds more than one head and one piece.

/** What is wrong with an archive, and where. Match on the class; the message is for people. */
export class ArchiveFault extends Error {
  /** the archive and the record, or the byte of the uncompressed archive */
  readonly where: string

  constructor(where: string, what: string, options?: { readonly cause?: unknown }) {
    super(`${where}: ${what}`, options)
    this.name = 'ArchiveFault'
    this.where = where
  }
}

const endOfHead = [0x0d, 0x0a, 0x0d, 0x0a]
const carriageReturn = 0x0d
const noBytes = new Uint8Array(0)

export class ArchiveBytes {
  readonly #source: AsyncIterator<Uint8Array>
  #chunk: Uint8Array = noBytes
  #offset = 0
  #isEnded = false
  #loading: Promise<void> | undefined

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]()
  }

  /** bytes taken so far */
  get offset(): number {
    return this.#offset
  }

  async isAtEnd(): Promise<boolean> {
    while (this.#chunk.length === 0 && !this.#isEnded) await (this.#loading ??= this.#load())
    return this.#chunk.length === 0
  }

  /**
   * The next bytes before `end`, an offset; undefined where there are none. A reader that was given up may still wait in
   * here while the next one reads on: it never takes what is behind its own end.
   */
  async take(end: number): Promise<Uint8Array | undefined> {
    if (this.#offset >= end || (await this.isAtEnd()) || this.#offset >= end) return undefined
    return this.#cut(Math.min(end - this.#offset, this.#chunk.length))
  }

  /** Exactly so many, fewer at the end; for small numbers. */
  async exactly(bytes: number): Promise<Buffer> {
    const pieces: Uint8Array[] = []
    const end = this.#offset + bytes
    let piece: Uint8Array | undefined
    while ((piece = await this.take(end)) !== undefined) pieces.push(piece)
    return Buffer.concat(pieces)
  }

  /** Up to the first CRLF CRLF, which is left out, as Latin-1; undefined where none comes within `most` bytes, which are gone then. */
  async head(most: number): Promise<string | undefined> {
    const pieces: Uint8Array[] = []
    let left = most
    let matched = 0
    while (left > 0 && !(await this.isAtEnd())) {
      const end = Math.min(left, this.#chunk.length)
      let at = 0
      while (at < end && matched < endOfHead.length) {
        const byte = this.#chunk[at++]
        matched = byte === endOfHead[matched] ? matched + 1 : byte === carriageReturn ? 1 : 0
      }
      pieces.push(this.#cut(at))
      left -= at
      if (matched === endOfHead.length) return Buffer.concat(pieces).toString('latin1').slice(0, -endOfHead.length)
    }
    return undefined
  }

  /** Passes over everything before `offset`; false where the end comes first. */
  async skipTo(offset: number): Promise<boolean> {
    while (!(this.#offset >= offset || (await this.isAtEnd()))) await this.take(offset)
    return this.#offset >= offset
  }

  /** Nothing more is wanted. */
  async close(): Promise<void> {
    await this.#source.return?.()
  }

  async #load(): Promise<void> {
    const next = await this.#source.next()
    this.#loading = undefined
    if (next.done === true) this.#isEnded = true
    else this.#chunk = next.value
  }

  #cut(bytes: number): Uint8Array {
    const piece = this.#chunk.subarray(0, bytes)
    this.#chunk = this.#chunk.subarray(bytes)
    this.#offset += bytes
    return piece
  }
}
