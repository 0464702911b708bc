// One answer on its way into the store, beside its way to the client, which it never holds up. INVARIANT: what is put is
// whole and nobody has changed it meanwhile; anything else leaves nothing behind.
import type { CachedHead, CacheKey } from '../cached-response.ts'
import type { BodyWriter, CacheStore } from '../cache-store.ts'

export interface FillOptions {
  readonly store: CacheStore
  readonly key: CacheKey
  /** whose request it was */
  readonly by: string
  readonly maxBodyBytes: number
  /** kept or not, it is over */
  readonly settled: (fill: Fill) => void
  readonly onFault: (error: unknown) => void
}

// what the disk may be behind the client
const maxPendingBytes = 8 * 1024 * 1024
// answers under one key: an origin that varies by all it can name must not fill the index
const maxVariants = 32

export class Fill {
  readonly #options: FillOptions
  #isReleased = false
  #waiting: (() => void)[] = []
  #head: CachedHead | undefined
  #writer: BodyWriter | undefined
  #chunks: Uint8Array[] = []
  #pendingBytes = 0
  #bytes = 0
  #isWhole = false
  #isPumping = false
  #isOver = false

  constructor(options: FillOptions) {
    this.#options = options
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** Calls `listener` once it is over, or worth no waiting. */
  onRelease(listener: () => void): void {
    if (this.#isReleased) listener()
    else this.#waiting.push(listener)
  }

  /** Its content follows. Whoever waits goes on by himself where `isWaitedFor` is false. */
  open(head: CachedHead, isWaitedFor: boolean): void {
    if (this.#isOver) return
    this.#head = head
    if (!isWaitedFor) this.#release()
    try {
      this.#writer = this.#options.store.writeBody()
    } catch (error) {
      this.#fail(error)
    }
  }

  /** `chunk` is kept until it is written, and must not change. */
  write(chunk: Uint8Array): void {
    if (this.#isOver || chunk.length === 0) return
    this.#bytes += chunk.length
    this.#pendingBytes += chunk.length
    if (this.#bytes > this.#options.maxBodyBytes || this.#pendingBytes > maxPendingBytes) {
      this.abort()
      return
    }
    this.#chunks.push(chunk)
    this.#pump()
  }

  /** All of the content has come, as its framing says. */
  end(): void {
    if (this.#isOver) return
    this.#isWhole = true
    this.#pump()
  }

  /** Nothing of it is kept. */
  abort(): void {
    if (this.#isOver) return
    this.#writer?.abort()
    this.#finish()
  }

  #pump(): void {
    if (this.#isPumping) return
    this.#isPumping = true
    this.#write().catch((error: unknown) => this.#fail(error))
  }

  async #write(): Promise<void> {
    const writer = this.#writer
    if (writer === undefined) return
    for (;;) {
      const chunk = this.#chunks.shift()
      if (this.#isOver) return
      if (chunk === undefined) break
      await writer.write(chunk)
      this.#pendingBytes -= chunk.length
    }
    this.#isPumping = false
    if (this.#isWhole) await this.#put(writer)
  }

  async #put(writer: BodyWriter): Promise<void> {
    const head = this.#head
    const body = await writer.finish()
    // what it answers was changed or given up while the disk was busy
    if (this.#isOver || head === undefined) {
      writer.abort()
      return
    }
    const { store, key, by } = this.#options
    const variants = store.find(key)
    for (const old of variants.slice(maxVariants - 1)) if (!old.pinned) store.remove(old.id)
    store.put({ ...head, key, source: 'live', by, pinned: false, capturedMs: undefined }, body)
    this.#finish()
  }

  #fail(error: unknown): void {
    this.#options.onFault(error)
    this.abort()
  }

  #release(): void {
    this.#isReleased = true
    for (const listener of this.#waiting.splice(0)) listener()
  }

  #finish(): void {
    this.#isOver = true
    this.#chunks = []
    this.#release()
    this.#options.settled(this)
  }
}
