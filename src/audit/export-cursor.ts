// Where the exporter stands: the last record a collector has accepted. Replaced whole and synced, so a
// crash leaves the old one or the new one. When in doubt it is forgotten and everything kept is sent
// again: a record delivered twice has the same uid, a record skipped is lost.
import { open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'

export interface ExportCursor {
  /** the last delivered record */
  readonly seq: number
  readonly hash: string
  /** segment it stands in, and the byte where its line starts */
  readonly segment: string
  readonly offset: number
}

const fileName = 'export.cursor'

/** The saved cursor; undefined when there is none or it cannot be read as one. */
export async function readCursor(dir: string): Promise<ExportCursor | undefined> {
  let text: string
  try {
    text = await readFile(join(dir, fileName), 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
  return parseCursor(text)
}

/** Saves the cursor in one step; resolves when it is on the disk. */
export async function writeCursor(dir: string, cursor: ExportCursor): Promise<void> {
  const temporary = join(dir, `${fileName}.tmp`)
  const file = await open(temporary, 'w', 0o600)
  try {
    await file.writeFile(`${JSON.stringify({ v: 1, ...cursor })}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, join(dir, fileName))
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
