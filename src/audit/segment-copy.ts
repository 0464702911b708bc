// Whole segments of the journal into a folder of their own, as they stand, with what is needed to check them on
// another machine. It only reads the journal; of the segment that is being written it takes the whole lines.
import { createReadStream } from 'node:fs'
import { constants, copyFile, mkdir, open, readdir, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { isAbsent } from './absent.ts'
import { segmentsIn, type RecordWindow } from './journal-query.ts'
import type { SegmentFile } from './segments.ts'

export interface CopiedFile {
  readonly name: string
  readonly bytes: number
}

/** Beside the segments, where it is there. */
const checkpoints = 'checkpoints.jsonl'
/** In the data folder: the key that signs now, and those before it. */
const publicKey = /^audit-signing(?:-[\w.-]+)?\.pub$/

const newline = 10

/** Copies the segments of `dir` that can hold a record of the window into `into`, which is made; no file that is there
 * is written over. */
export async function copySegments(dir: string, into: string, window: RecordWindow, onCopied: (file: CopiedFile) => void): Promise<readonly CopiedFile[]> {
  await mkdir(into, { recursive: true, mode: 0o700 })
  const copied: CopiedFile[] = []
  const add = (file: CopiedFile): void => {
    copied.push(file)
    onCopied(file)
  }
  for (const segment of await segmentsIn(dir, window)) add(await copyLines(segment, into))
  // after the segments, so that no checkpoint among them is missing here
  const data = dirname(dir)
  const keys = (await readdir(data)).filter((name) => publicKey.test(name)).toSorted()
  for (const path of [join(dir, checkpoints), ...keys.map((name) => join(data, name))]) {
    const name = basename(path)
    const bytes = await copyIfThere(path, join(into, name))
    if (bytes !== undefined) add({ name, bytes })
  }
  return copied
}

/** Up to the last newline that is there: what follows it is a write under way. */
async function copyLines({ name, path }: SegmentFile, into: string): Promise<CopiedFile> {
  const file = await open(join(into, name), 'wx', 0o600)
  try {
    let written = 0
    let whole = 0
    for await (const chunk of createReadStream(path)) {
      const bytes: Buffer = chunk
      const last = bytes.lastIndexOf(newline)
      if (last !== -1) whole = written + last + 1
      await writeAll(file, bytes)
      written += bytes.length
    }
    await file.truncate(whole)
    await file.sync()
    return { name, bytes: whole }
  } finally {
    await file.close()
  }
}

async function writeAll(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length;) at += (await file.write(bytes, at)).bytesWritten
}

async function copyIfThere(from: string, to: string): Promise<number | undefined> {
  try {
    await copyFile(from, to, constants.COPYFILE_EXCL)
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
  const file = await open(to, 'r')
  try {
    return (await file.stat()).size
  } finally {
    await file.close()
  }
}
