// Bodies that are kept in memory, small ones and large ones apart, so that a few large ones do not take the place of
// many small ones. It reads nothing: whoever puts a body here has checked its digest. INVARIANT: what large bodies
// take is bounded, those that slow clients still hold included.
import { LRUCache } from 'lru-cache'

export interface HotBodiesOptions {
  /** of small bodies; 0: none are kept */
  readonly hotBytes: number
  /** of large bodies, and no single one has more than a quarter; 0: none are kept */
  readonly hotLargeBytes: number
}

/** a larger body is read as a stream unless it is hot; reading it whole takes more than a moment */
export const smallBodyBytes = 1_048_576
const maxHotBodyBytes = 16_777_216
/** of large bodies that are being read, or were dropped and are still being sent */
const maxPassingBytes = 67_108_864
/** an entry of a map, beside the bytes themselves */
const entryBytes = 256
/** one that was dropped is read whole again when it was streamed this often since */
const streamsBeforeReturn = 3
const maxStreamed = 4_096

export class HotBodies {
  readonly #small: LRUCache<string, Buffer> | undefined
  readonly #large: LRUCache<string, Buffer> | undefined
  readonly #largestBytes: number
  readonly #maxLargeBytes: number
  /** of large bodies that somebody has still, whoever it is */
  #largeBytes = 0
  readonly #released = new FinalizationRegistry<number>((bytes) => {
    this.#largeBytes -= bytes
  })
  /** how often bodies were streamed that could be here */
  readonly #streamed = new LRUCache<string, number>({ max: maxStreamed })

  constructor({ hotBytes, hotLargeBytes }: HotBodiesOptions) {
    this.#small = bounded(hotBytes)
    this.#large = bounded(hotLargeBytes)
    this.#largestBytes = Math.min(maxHotBodyBytes, Math.floor(hotLargeBytes / 4))
    this.#maxLargeBytes = hotLargeBytes + Math.min(maxPassingBytes, hotLargeBytes)
  }

  get(digest: string, bytes: number): Buffer | undefined {
    return bytes <= smallBodyBytes ? this.#small?.get(digest) : this.#large?.get(digest)
  }

  /** Room for a large body that is to be read whole; undefined: it is to be streamed. `isChecked`: its digest is known to
   * be right, so that only what is read again and again is worth hashing once more. */
  roomFor(digest: string, bytes: number, isChecked: boolean): Buffer | undefined {
    if (bytes > this.#largestBytes || this.#largeBytes + bytes > this.#maxLargeBytes) return undefined
    const streamed = this.#streamed.get(digest) ?? 0
    if (isChecked && streamed < streamsBeforeReturn) {
      this.#streamed.set(digest, streamed + 1)
      return undefined
    }
    this.#streamed.delete(digest)
    const room = Buffer.allocUnsafeSlow(bytes)
    this.#largeBytes += bytes
    // parts of it hold the memory, not this object
    this.#released.register(room.buffer, bytes)
    return room
  }

  set(digest: string, body: Buffer): void {
    const hot = body.byteLength <= smallBodyBytes ? this.#small : this.#large
    hot?.set(digest, body)
  }

  delete(digest: string): void {
    this.#small?.delete(digest)
    this.#large?.delete(digest)
    this.#streamed.delete(digest)
  }

  clear(): void {
    this.#small?.clear()
    this.#large?.clear()
  }
}

function bounded(maxSize: number): LRUCache<string, Buffer> | undefined {
  return maxSize === 0 ? undefined : new LRUCache({ maxSize, sizeCalculation: (body) => body.byteLength + entryBytes })
}
