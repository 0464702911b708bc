// A disk as a power cut finds it: what was written and not synced is gone, a file whose name was never synced
// too, and after a sync that failed so is what it was to write, though the next one says yes.
import { closeSync, fstatSync, ftruncateSync, openSync, readdirSync, statSync, truncateSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { SegmentIo } from '../../src/audit/segment-writer.ts'

export interface PowerDisk extends SegmentIo {
  /** syncs that were begun */
  syncs: number
  /** what the next sync fails with */
  failure: Error | undefined
  /** set: syncs begin and stay under way until `release` */
  isHeld: boolean
  release(): void
  /** Leaves in `dir` what is on the disk. */
  cut(dir: string): void
}

export function powerDisk(): PowerDisk {
  /** bytes on the disk, by inode */
  const safe = new Map<number, number>()
  const named = new Set<number>()
  const held: (() => void)[] = []
  const disk: PowerDisk = {
    syncs: 0,
    failure: undefined,
    isHeld: false,
    write: writeSync,
    truncate: ftruncateSync,
    sync: async (fd) => {
      disk.syncs++
      const { ino, size } = fstatSync(fd)
      if (disk.isHeld) await new Promise<void>((resolve) => held.push(resolve))
      const { failure } = disk
      disk.failure = undefined
      if (failure === undefined) {
        safe.set(ino, size)
        return
      }
      throw failure
    },
    syncFolder: async (dir) => {
      for (const name of readdirSync(dir)) named.add(statSync(join(dir, name)).ino)
    },
    release: () => {
      disk.isHeld = false
      for (const resolve of held.splice(0)) resolve()
    },
    cut: (dir) => {
      for (const name of readdirSync(dir).filter((file) => file.startsWith('segment-'))) {
        const path = join(dir, name)
        const { ino } = statSync(path)
        if (named.has(ino)) truncateSync(path, safe.get(ino) ?? 0)
        else unlinkSync(path)
      }
    },
  }
  return disk
}

/** What the kernel drops after a sync that failed: from byte `from` on the file reads as zeros. */
export function dropPages(path: string, from: number): void {
  const fd = openSync(path, 'r+')
  try {
    const zeros = Buffer.alloc(fstatSync(fd).size - from)
    writeSync(fd, zeros, 0, zeros.length, from)
  } finally {
    closeSync(fd)
  }
}
