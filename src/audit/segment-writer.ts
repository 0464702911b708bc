// Appends whole lines to the segment that is being written. After a failed write nothing torn stays:
// the file is cut back to its last whole line before anything else is written. It never overwrites.
import { closeSync, fdatasync, ftruncateSync, fstatSync, openSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { segmentName } from './segments.ts'

/** The calls that can fail for want of room or a broken disk; tests put their own here. */
export interface SegmentIo {
  write(fd: number, buffer: Uint8Array, offset: number, length: number): number
  truncate(fd: number, length: number): void
  /** default: fdatasync(2) */
  sync?(fd: number): Promise<void>
}

/** A write that ended early: `written` bytes of it are in the file. */
export class WriteFault extends Error {
  override readonly name = 'WriteFault'
  readonly written: number

  constructor(written: number, cause: unknown) {
    super(`journal write failed: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
    this.written = written
  }
}

const systemIo: SegmentIo = {
  write: (fd, buffer, offset, length) => writeSync(fd, buffer, offset, length),
  truncate: (fd, length) => ftruncateSync(fd, length),
}
const syncData = promisify(fdatasync)

export class SegmentWriter {
  readonly name: string
  readonly path: string
  readonly firstSeq: number
  readonly #fd: number
  readonly #inode: number
  readonly #io: SegmentIo
  #size: number
  #isTorn = false
  #syncedSize: number
  /** the last one that was begun */
  #syncing: Promise<void> = Promise.resolve()

  /** Opens the segment that starts with `firstSeq`, new or to go on with. */
  constructor(dir: string, firstSeq: number, io: SegmentIo = systemIo) {
    this.name = segmentName(firstSeq)
    this.path = join(dir, this.name)
    this.firstSeq = firstSeq
    this.#io = io
    this.#fd = openSync(this.path, 'a', 0o600)
    const { size, ino } = fstatSync(this.#fd)
    this.#size = size
    this.#inode = ino
    this.#syncedSize = size
  }

  /** bytes of whole lines in the segment */
  get size(): number {
    return this.#size
  }

  /** The next segment, with the same io. */
  next(dir: string, firstSeq: number): SegmentWriter {
    return new SegmentWriter(dir, firstSeq, this.#io)
  }

  /** Writes whole lines; on failure throws WriteFault and leaves what was written to `cutBack`. */
  write(data: Uint8Array): void {
    const { length } = data
    let written = 0
    try {
      while (written < length) {
        const count = this.#io.write(this.#fd, data, written, length - written)
        if (count <= 0) throw new Error('the file took no bytes')
        written += count
      }
    } catch (error) {
      this.#isTorn = true
      throw new WriteFault(written, error)
    }
    this.#size += length
  }

  /** After a WriteFault: keeps the first `wholeBytes` of what failed, the whole lines, and cuts off the rest. */
  keep(wholeBytes: number): void {
    this.#size += wholeBytes
  }

  /** Cuts a torn end off, if there is one; throws when that fails, and then nothing may be written. */
  cutBack(): void {
    if (!this.#isTorn) return
    this.#io.truncate(this.#fd, this.#size)
    this.#isTorn = false
  }

  /** Whether the file is still where and what it was; someone may have removed or changed it. */
  isInPlace(): boolean {
    const found = statSync(this.path, { throwIfNoEntry: false })
    return found !== undefined && found.ino === this.#inode && found.size === this.#size
  }

  /** Hands what is written to the disk itself, off the main thread. One at a time: when it is done none is under
   * way that a close would pull the file from under. */
  sync(): Promise<void> {
    this.#syncing = this.#syncAfter(this.#syncing)
    return this.#syncing
  }

  /** Whoever began `before` is told how that ended. */
  async #syncAfter(before: Promise<void>): Promise<void> {
    await Promise.allSettled([before])
    const size = this.#size
    if (size === this.#syncedSize) return
    await (this.#io.sync === undefined ? syncData(this.#fd) : this.#io.sync(this.#fd))
    this.#syncedSize = size
  }

  /** Forces the rest to the disk and closes, in the background. */
  finish(onFault: (error: unknown) => void): void {
    this.sync()
      .catch(onFault)
      .finally(() => this.close())
      .catch(onFault)
  }

  close(): void {
    closeSync(this.#fd)
  }
}
