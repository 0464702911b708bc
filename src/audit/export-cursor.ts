// Where each destination stands: the last record it has accepted. Replaced whole and synced, so a crash
// leaves the old one or the new one. When in doubt it is forgotten and everything kept is sent
// again: a record delivered twice has the same uid, a record skipped is lost.
import { open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { isAbsent, namesIn } from './absent.ts'
import { otelName } from './destination.ts'

export interface ExportCursor {
  /** the last delivered record */
  readonly seq: number
  readonly hash: string
  /** segment it stands in, and the byte where its line starts */
  readonly segment: string
  readonly offset: number
}

/** The file beside the segments that holds something of a destination; that of `otel` has no name in it. */
export function destinationFile(destination: string, ending: string): string {
  return destination === otelName ? `export.${ending}` : `export-${destination}.${ending}`
}

/** The saved cursor; undefined when there is none or it cannot be read as one. */
export async function readCursor(dir: string, destination: string): Promise<ExportCursor | undefined> {
  return readCursorFile(join(dir, destinationFile(destination, 'cursor')))
}

/** Every saved cursor, also of destinations that are not in the settings any more. */
export async function readCursors(dir: string): Promise<readonly ExportCursor[]> {
  const cursors: ExportCursor[] = []
  for (const name of await namesIn(dir)) {
    if (!/^export(?:-[\w-]+)?\.cursor$/.test(name)) continue
    const cursor = await readCursorFile(join(dir, name))
    if (cursor !== undefined) cursors.push(cursor)
  }
  return cursors
}

/** Saves the cursor in one step; resolves when it is on the disk. */
export async function writeCursor(dir: string, destination: string, cursor: ExportCursor): Promise<void> {
  await replaceFile(join(dir, destinationFile(destination, 'cursor')), `${JSON.stringify({ v: 1, ...cursor })}\n`)
}

/** Writes a file of the proxy's own whole, or leaves what was there. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.tmp`
  const file = await open(temporary, 'w', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, path)
}

async function readCursorFile(path: string): Promise<ExportCursor | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
  return parseCursor(text)
}

function parseCursor(text: string): ExportCursor | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null) return undefined
    const { v, seq, hash, segment, offset }: Record<string, unknown> = { ...value }
    if (v !== 1 || typeof seq !== 'number' || typeof offset !== 'number') return undefined
    if (typeof hash !== 'string' || typeof segment !== 'string') return undefined
    return { seq, hash, segment, offset }
  } catch {
    return undefined
  }
}
