// Appends whole lines to the segment that is being written. After a failed write nothing torn stays:
// the file is cut back to its last whole line before anything else is written. Nothing is overwritten but with
// the same bytes: after a failed sync the kernel may have let go of what it could not write, and says yes to the
// next one, so what was not synced is kept and written once more before that is believed.
import { closeSync, fdatasync, fsync, ftruncateSync, fstatSync, open, openSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { segmentName } from './segments.ts'

/** The calls that can fail for want of room or a broken disk; tests put their own here. */
export interface SegmentIo {
  write(fd: number, buffer: Uint8Array, offset: number, length: number): number
  truncate(fd: number, length: number): void
  /** default: fdatasync(2) */
  sync?(fd: number): Promise<void>
  /** makes a new file's name last; default: fsync(2) of the folder */
  syncFolder?(dir: string): Promise<void>
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
const syncAll = promisify(fsync)
const openFile = promisify(open)

async function syncFolder(dir: string): Promise<void> {
  const fd = await openFile(dir, 'r')
  try {
    await syncAll(fd)
  } finally {
    closeSync(fd)
  }
}

export class SegmentWriter {
  readonly name: string
  readonly path: string
  readonly firstSeq: number
  readonly #dir: string
  readonly #fd: number
  readonly #inode: number
  readonly #io: SegmentIo
  readonly #isStrict: boolean
  #size: number
  #isTorn = false
  #syncedSize: number
  /** copies of what follows `#syncedSize`, where syncs are strict */
  #unsynced: Buffer[] = []
  #isNameSynced: boolean
  #isSuspect = false
  /** the last one that was begun */
  #syncing: Promise<void> = Promise.resolve()

  /** Opens the segment that starts with `firstSeq`, new or to go on with. `isStrict`: a sync promises that the
   * records are on the disk, and is not believed after one that failed. */
  constructor(dir: string, firstSeq: number, isStrict = false, io: SegmentIo = systemIo) {
    this.name = segmentName(firstSeq)
    this.path = join(dir, this.name)
    this.firstSeq = firstSeq
    this.#dir = dir
    this.#io = io
    this.#isStrict = isStrict
    this.#fd = openSync(this.path, 'a', 0o600)
    const { size, ino } = fstatSync(this.#fd)
    this.#size = size
    this.#inode = ino
    this.#syncedSize = size
    this.#isNameSynced = !isStrict
  }

  /** bytes of whole lines in the segment */
  get size(): number {
    return this.#size
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
    this.#took(data)
  }

  /** After a WriteFault: keeps the whole lines, with which what failed began; `cutBack` cuts off the rest. */
  keep(wholeLines: Uint8Array): void {
    this.#took(wholeLines)
  }

  #took(data: Uint8Array): void {
    this.#size += data.length
    // a copy: the caller's buffer is used again
    if (this.#isStrict && data.length > 0) this.#unsynced.push(Buffer.from(data))
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
    if (!this.#isStrict) {
      await this.#sync()
    } else {
      const count = this.#unsynced.length
      // a write that ended early is not a reason to leave the whole lines before it to chance
      if (this.#isSuspect) this.#writeAgain(this.#unsynced.slice(0, count))
      this.#isSuspect = true
      if (!this.#isNameSynced) await (this.#io.syncFolder === undefined ? syncFolder(this.#dir) : this.#io.syncFolder(this.#dir))
      this.#isNameSynced = true
      await this.#sync()
      this.#isSuspect = false
      this.#unsynced.splice(0, count)
    }
    this.#syncedSize = size
  }

  async #sync(): Promise<void> {
    await (this.#io.sync === undefined ? syncData(this.#fd) : this.#io.sync(this.#fd))
  }

  /** The same bytes at the same place: pages that the kernel dropped are made anew, the others do not change. */
  #writeAgain(chunks: readonly Buffer[]): void {
    // what is no longer in its place is told as lost
    if (statSync(this.path, { throwIfNoEntry: false })?.ino !== this.#inode) return
    const data = Buffer.concat(chunks)
    // the journal's own descriptor appends, wherever it is told to write
    const fd = openSync(this.path, 'r+')
    try {
      let written = 0
      while (written < data.length) written += writeSync(fd, data, written, data.length - written, this.#syncedSize + written)
    } finally {
      closeSync(fd)
    }
  }

  close(): void {
    closeSync(this.#fd)
  }
}
