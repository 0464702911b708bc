// The files of the journal: their names, their order, and reading their lines from either end. It only
// reads; who writes, cuts or removes a segment is the journal itself.
import { open, stat, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { isAbsent, namesIn } from './absent.ts'

export interface SegmentFile {
  readonly name: string
  readonly path: string
  /** number of its first record, as its name says */
  readonly firstSeq: number
}

export interface SegmentLine {
  readonly text: string
  /** 1-based */
  readonly number: number
  /** byte where the line starts in its segment */
  readonly offset: number
  /** false for what follows the last newline */
  readonly complete: boolean
}

const namePattern = /^segment-(\d{12,16})\.jsonl$/
const chunkBytes = 256 * 1024

/** Name of the segment whose first record has this number; names sort as numbers do. */
export function segmentName(firstSeq: number): string {
  return `segment-${String(firstSeq).padStart(12, '0')}.jsonl`
}

/** Folder of the journal under the data folder. */
export function journalDir(dataDir: string): string {
  return join(dataDir, 'journal')
}

/** Every segment, oldest first. A folder that does not exist has none. */
export async function listSegments(dir: string): Promise<readonly SegmentFile[]> {
  const segments: SegmentFile[] = []
  for (const name of await namesIn(dir)) {
    const digits = namePattern.exec(name)?.[1]
    if (digits !== undefined) segments.push({ name, path: join(dir, name), firstSeq: Number(digits) })
  }
  return segments.toSorted((a, b) => a.firstSeq - b.firstSeq)
}

/** Lines of a segment from byte `from` on, as it is now; what follows the last newline comes last, marked. */
export async function* readLines(path: string, from = 0): AsyncGenerator<SegmentLine> {
  const file = await openExisting(path)
  // removed since it was listed
  if (file === undefined) return
  try {
    let rest: Buffer = Buffer.alloc(0)
    let offset = from
    let position = from
    let number = 1
    for (;;) {
      const chunk = Buffer.allocUnsafe(chunkBytes)
      const { bytesRead } = await file.read(chunk, 0, chunkBytes, position)
      if (bytesRead === 0) break
      position += bytesRead
      const read = chunk.subarray(0, bytesRead)
      const data = rest.length === 0 ? read : Buffer.concat([rest, read])
      let start = 0
      for (let end = data.indexOf(10); end !== -1; end = data.indexOf(10, start)) {
        yield { text: data.toString('latin1', start, end), number: number++, offset, complete: true }
        offset += end + 1 - start
        start = end + 1
      }
      rest = data.subarray(start)
    }
    if (rest.length > 0) yield { text: rest.toString('latin1'), number, offset, complete: false }
  } finally {
    await file.close()
  }
}

/** Complete lines of a segment, newest first, with the byte where each starts; a torn end is left out. */
export async function* readLinesBackward(path: string): AsyncGenerator<Pick<SegmentLine, 'text' | 'offset'>> {
  const file = await openExisting(path)
  if (file === undefined) return
  try {
    let position = (await file.stat()).size
    let rest: Buffer = Buffer.alloc(0)
    let seenEnd = false
    while (position > 0) {
      const length = Math.min(chunkBytes, position)
      position -= length
      const chunk = Buffer.allocUnsafe(length)
      const { bytesRead } = await file.read(chunk, 0, length, position)
      const data = Buffer.concat([chunk.subarray(0, bytesRead), rest])
      let end = data.length
      for (let newline = data.lastIndexOf(10, end - 1); newline !== -1; newline = end === 0 ? -1 : data.lastIndexOf(10, end - 1)) {
        if (seenEnd) yield { text: data.toString('latin1', newline + 1, end), offset: position + newline + 1 }
        seenEnd = true
        end = newline
      }
      rest = data.subarray(0, end)
    }
    if (seenEnd) yield { text: rest.toString('latin1'), offset: 0 }
  } finally {
    await file.close()
  }
}

async function openExisting(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r')
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}

/** Size and time of last change, or undefined when the file is gone. */
export async function segmentStat(path: string): Promise<{ readonly size: number; readonly mtimeMs: number } | undefined> {
  try {
    const { size, mtimeMs } = await stat(path)
    return { size, mtimeMs }
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}
