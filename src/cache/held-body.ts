// A body that comes from elsewhere and is in no file: held whole in memory, counted against what all of them may take,
// or handed on as it comes. It never ends early in silence.
import { ProxyError } from '../errors.ts'
import { DecodingFault } from './decoding.ts'
import type { ByteRange } from './cache-store.ts'

/** Bytes that all bodies together may take. */
export class Budget {
  #left: number

  constructor(bytes: number) {
    this.#left = bytes
  }

  /** False, and nothing taken: it would be too much. */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false
    this.#left -= bytes
    return true
  }

  give(bytes: number): void {
    this.#left += bytes
  }
}

export interface WholeBodyOptions {
  /** bytes that the head promises, before codings are undone */
  readonly contentLength: number | undefined
  /** undoes the codings, within limits; throws DecodingFault */
  readonly decode: (coded: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>
  readonly budget: Budget
  /** for all of it to come, and then for its reading */
  readonly timeoutMs: number
  /** ends `content` with an error */
  readonly onLate: () => void
}

/** A body in memory. It is let go after `release`, or after a time: whoever reads too slowly must not hold it. */
export class HeldBytes {
  readonly length: number
  readonly #budget: Budget
  readonly #timer: NodeJS.Timeout
  #bytes: Uint8Array | undefined

  /** `bytes` are taken from the budget already. */
  constructor(bytes: Uint8Array, budget: Budget, heldMs: number) {
    this.length = bytes.length
    this.#bytes = bytes
    this.#budget = budget
    this.#timer = setTimeout(() => this.release(), heldMs).unref()
  }

  /** A small part at once; of a large one each piece when it is asked for. */
  read({ first, last }: ByteRange = { first: 0, last: this.length - 1 }): AsyncIterable<Uint8Array> | Uint8Array {
    return last - first < pieceBytes ? this.#part(first, last) : this.#pieces(first, last)
  }

  release(): void {
    if (this.#bytes === undefined) return
    this.#bytes = undefined
    clearTimeout(this.#timer)
    this.#budget.give(this.length)
  }

  async *#pieces(first: number, last: number): AsyncGenerator<Uint8Array> {
    for (let at = first; at <= last; at += pieceBytes) yield this.#part(at, Math.min(at + pieceBytes - 1, last))
  }

  /** A copy: what waits in a socket must not keep the whole. */
  #part(first: number, last: number): Uint8Array {
    if (this.#bytes === undefined) throw new ProxyError('cache_failed', 'a page of the parent cache was read too slowly, and is held no longer')
    return this.#bytes.slice(first, last + 1)
  }
}

const pieceBytes = 64 * 1024

/** All of it, or undefined: it is too large, too late, or not whole. */
export async function wholeBody(content: AsyncIterable<Uint8Array>, options: WholeBodyOptions): Promise<HeldBytes | undefined> {
  const { contentLength, decode, budget, timeoutMs, onLate } = options
  const chunks: Uint8Array[] = []
  let taken = 0
  const came = { bytes: 0 }
  const timer = setTimeout(onLate, timeoutMs)
  try {
    for await (const chunk of decode(counted(content, came))) {
      if (!budget.take(chunk.length)) throw new BrokenBody('there is no memory for it now')
      taken += chunk.length
      chunks.push(chunk)
    }
    if (contentLength !== undefined && came.bytes !== contentLength) throw new BrokenBody('it is not as long as its head says')
    return new HeldBytes(Buffer.concat(chunks), budget, timeoutMs)
  } catch (error) {
    budget.give(taken)
    if (isBroken(error)) return undefined
    throw error
  } finally {
    clearTimeout(timer)
  }
}

/** A part of a body as it comes; what is before it is passed over. Throws ProxyError `cache_failed` where it ends early. */
export async function* partOfStream(content: AsyncIterable<Uint8Array>, { first, last }: ByteRange): AsyncGenerator<Uint8Array> {
  let at = 0
  try {
    for await (const chunk of content) {
      const from = Math.max(first - at, 0)
      const to = Math.min(last + 1 - at, chunk.length)
      if (to > from) yield chunk.subarray(from, to)
      at += chunk.length
      if (at > last) return
    }
  } catch (error) {
    throw new ProxyError('cache_failed', `the rest of a page did not come from the parent cache: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
  throw new ProxyError('cache_failed', 'a page of the parent cache ended early')
}

class BrokenBody extends Error {}

/** Of the sender, not of this program: its connection broke, fell silent, or brought what is no content. */
function isBroken(error: unknown): boolean {
  return error instanceof BrokenBody || error instanceof DecodingFault || (error instanceof Error && 'code' in error)
}

async function* counted(content: AsyncIterable<Uint8Array>, came: { bytes: number }): AsyncGenerator<Uint8Array> {
  for await (const chunk of content) {
    came.bytes += chunk.length
    yield chunk
  }
}
