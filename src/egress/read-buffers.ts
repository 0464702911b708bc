// The memory that tunnels read into. One shared buffer is armed on every quiet socket, so an idle tunnel
// holds no buffer at all; a busy flow borrows a private one and gives it back when the flow thins out.
// Must never hand one private buffer to two holders.

// larger ones gain no system calls worth having and fall out of the second-level cache
const largest = 256 * 1024
const smallest = 64 * 1024

export interface ReadBuffersOptions {
  /** bytes of private buffers lent out before further borrowers get small ones; default 32 MiB */
  readonly maxLentBytes?: number
  /** bytes kept for reuse once given back; what exceeds it is left to the garbage collector; default 8 MiB */
  readonly maxIdleBytes?: number
}

export class ReadBuffers {
  /** what quiet sockets read into; its bytes are valid only until the read callback returns */
  readonly shared: Buffer<ArrayBuffer> = Buffer.allocUnsafeSlow(largest)
  readonly #idle = new Map<number, Buffer<ArrayBuffer>[]>()
  readonly #maxLentBytes: number
  readonly #maxIdleBytes: number
  #idleBytes = 0
  #lentBytes = 0

  constructor(options: ReadBuffersOptions = {}) {
    this.#maxLentBytes = options.maxLentBytes ?? 32 * 1024 * 1024
    this.#maxIdleBytes = options.maxIdleBytes ?? 8 * 1024 * 1024
  }

  /** bytes of private buffers now in the hands of tunnels */
  get lentBytes(): number {
    return this.#lentBytes
  }

  /** bytes of private buffers kept for the next tunnel */
  get idleBytes(): number {
    return this.#idleBytes
  }

  /** A private buffer: 256 KiB while few are out, 64 KiB when many are. */
  borrow(): Buffer<ArrayBuffer> {
    const size = this.#lentBytes + largest <= this.#maxLentBytes ? largest : smallest
    this.#lentBytes += size
    const kept = this.#idle.get(size)?.pop()
    if (kept === undefined) return Buffer.allocUnsafeSlow(size)
    this.#idleBytes -= size
    return kept
  }

  /** Takes a private buffer back. `reusable` is false while the kernel may still be reading from it. */
  giveBack(buffer: Buffer<ArrayBuffer>, reusable: boolean): void {
    this.#lentBytes -= buffer.length
    if (!reusable || this.#idleBytes + buffer.length > this.#maxIdleBytes) return
    this.#idleBytes += buffer.length
    const kept = this.#idle.get(buffer.length)
    if (kept === undefined) this.#idle.set(buffer.length, [buffer])
    else kept.push(buffer)
  }
}
