// A part of a large body, read from its open file as it is asked for. The file may lose its name meanwhile; what
// was opened stays readable. It never ends early in silence.
import type { FileHandle } from 'node:fs/promises'
import { ProxyError } from '../errors.ts'
import { cacheFault } from './cache-fault.ts'
import type { ByteRange } from './cache-store.ts'

const pieceBytes = 262_144

/** To be iterated once, by one reader. `return` before the first piece closes the file as well. */
export class BodyStream implements AsyncIterableIterator<Uint8Array, undefined> {
  readonly #handle: FileHandle
  readonly #last: number
  readonly #onBegun: () => void
  #position: number
  #isClosed = false
  #isGivenUp = false

  /** `onBegun` is called before the first piece, or when the file is closed. */
  constructor(handle: FileHandle, range: ByteRange, onBegun: () => void) {
    this.#handle = handle
    this.#position = range.first
    this.#last = range.last
    this.#onBegun = onBegun
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** Rejects with ProxyError `cache_failed` where the disk does not give it. */
  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#onBegun()
    // to end here would be a short body that looks whole
    if (this.#isGivenUp) throw new ProxyError('cache_failed', 'a cached body was not read in time')
    const position = this.#position
    const bytes = Math.min(pieceBytes, this.#last + 1 - position)
    if (this.#isClosed || bytes <= 0) {
      await this.#close()
      return { done: true, value: undefined }
    }
    this.#position += bytes
    try {
      return { done: false, value: await readExactly(this.#handle, position, bytes) }
    } catch (error) {
      await this.#close()
      throw cacheFault('a cached body could not be read', error)
    }
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    await this.#close()
    return { done: true, value: undefined }
  }

  /** Nobody has begun to read it: whoever begins later is told. */
  async giveUp(): Promise<void> {
    this.#isGivenUp = true
    await this.#close()
  }

  async throw(error: unknown): Promise<never> {
    await this.#close()
    throw error
  }

  async #close(): Promise<void> {
    this.#onBegun()
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#handle.close()
  }
}

/** Throws ProxyError `cache_failed` when the file is shorter. */
export async function readExactly(handle: FileHandle, position: number, bytes: number): Promise<Buffer> {
  // of its own: it may wait long in a socket, and must not keep a shared slab
  const piece = Buffer.allocUnsafeSlow(bytes)
  for (let read = 0; read < bytes; ) {
    const { bytesRead } = await handle.read(piece, read, bytes - read, position + read)
    if (bytesRead === 0) throw new ProxyError('cache_failed', 'a cached body ended early')
    read += bytesRead
  }
  return piece
}
