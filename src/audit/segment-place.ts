// Where in a segment a record stands, found by halving it, so that a page costs the same anywhere in the journal.
// It only reads.
import { open, type FileHandle } from 'node:fs/promises'
import { isAbsent } from './absent.ts'
import type { SegmentFile } from './segments.ts'

const nearBytes = 128 * 1024
const probeBytes = 64 * 1024

/** Byte of a line's start at or before the first record past number `after`, at most `nearBytes` too early. */
export async function placeOf({ path }: SegmentFile, after: number): Promise<number> {
  const file = await openReadable(path)
  if (file === undefined) return 0
  try {
    let low = 0
    let high = (await file.stat()).size
    while (high - low > nearBytes) {
      const middle = Math.floor((low + high) / 2)
      const line = await lineAfter(file, middle)
      if (line !== undefined && line.at < high && line.seq <= after) low = line.at
      else high = middle
    }
    return low
  } finally {
    await file.close()
  }
}

/** The first whole line that starts past `position`. Numbers stand near the start of a line. */
async function lineAfter(file: FileHandle, position: number): Promise<{ readonly at: number; readonly seq: number } | undefined> {
  const chunk = Buffer.allocUnsafe(probeBytes)
  const { bytesRead } = await file.read(chunk, 0, probeBytes, position)
  const newline = chunk.subarray(0, bytesRead).indexOf(10)
  if (newline === -1) return undefined
  const [, digits] = /^\{"v":1,"seq":(\d{1,16}),/.exec(chunk.toString('latin1', newline + 1, Math.min(newline + 65, bytesRead))) ?? []
  return digits === undefined ? undefined : { at: position + newline + 1, seq: Number(digits) }
}

async function openReadable(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r')
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}
