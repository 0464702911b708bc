// A file as a destination: lines appended, and on the disk before they count as delivered. Whoever rotates the file
// renames it: a file that is not the one that was opened is made anew, and lines that may have gone to the old one
// while it was being moved are written again. The file ends in a whole line at all times but those of a write.
import { open, stat, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isAbsent } from './absent.ts'
import type { JournalRecord } from './record.ts'
import type { Sink, SinkOutcome } from './sink.ts'

const newline = 10
const tailBytes = 1024 * 1024

export function createFileSink(path: string, line: (record: JournalRecord) => string): Sink {
  let file: FileHandle | undefined
  const forget = async (): Promise<void> => {
    const closing = file
    file = undefined
    await closing?.close()
  }
  const append = async (body: Uint8Array): Promise<SinkOutcome> => {
    if (file !== undefined && !(await isAt(path, file))) await forget()
    file ??= await openEnd(path)
    const { size } = await file.stat()
    try {
      await writeAll(file, body)
      await file.datasync()
    } catch (error) {
      // no half line stays, and none that will be written again
      await file.truncate(size)
      throw error
    }
    // whoever moved it meanwhile may have been done with reading it
    return (await isAt(path, file)) ? { fate: 'accepted' } : { fate: 'again', detail: 'the file was moved while it was written' }
  }
  return {
    encode: async (records) => Buffer.from(records.map((record) => `${line(record)}\n`).join(''), 'latin1'),
    send: async (body) => {
      try {
        return await append(body)
      } catch (error) {
        await forget().catch(() => undefined)
        return { fate: 'again', detail: error instanceof Error ? error.message : String(error) }
      }
    },
    close: () => void forget().catch(() => undefined),
  }
}

async function writeAll(file: FileHandle, body: Uint8Array): Promise<void> {
  for (let at = 0; at < body.length; ) at += (await file.write(body, at)).bytesWritten
}

async function isAt(path: string, file: FileHandle): Promise<boolean> {
  try {
    const [there, opened] = await Promise.all([stat(path), file.stat()])
    return there.ino === opened.ino && there.dev === opened.dev
  } catch (error) {
    if (isAbsent(error)) return false
    throw error
  }
}

/** Opens the file to append to, without the torn line that a crash may have left at its end. */
async function openEnd(path: string): Promise<FileHandle> {
  const file = await open(path, 'a+', 0o600)
  try {
    const found = await file.stat()
    if (!found.isFile()) throw new Error(`${path} is not a regular file`)
    if (found.size === 0) await syncFolder(dirname(path))
    else await cutTornLine(file, found.size, path)
    return file
  } catch (error) {
    await file.close()
    throw error
  }
}

async function cutTornLine(file: FileHandle, size: number, path: string): Promise<void> {
  const length = Math.min(size, tailBytes)
  const tail = Buffer.alloc(length)
  await file.read(tail, 0, length, size - length)
  if (tail[length - 1] === newline) return
  const last = tail.lastIndexOf(newline)
  if (last === -1 && length < size) throw new Error(`${path} does not end in a line`)
  await file.truncate(size - length + last + 1)
}

/** A new name is on the disk when its folder is. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
