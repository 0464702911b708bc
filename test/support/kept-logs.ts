// Copies of what a test's proxies wrote down, journals and operator logs, into the folder that SALLYPORT_KEEP_LOGS names:
// tests remove their folders, and `test/scripts/scan-logs.ts` reads all of it for secrets afterwards. Without the
// variable nothing is done.
import { constants, copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'

const folder = process.env['SALLYPORT_KEEP_LOGS'] ?? ''
const maxDepth = 4

/** Keeps the journals below `dir`, with what stands beside them, and these texts, by name. */
export function keepLogs(dir: string | undefined, texts: Readonly<Record<string, string>> = {}): void {
  if (folder !== '') keepIn(folder, dir, texts)
}

/** As `keepLogs`, in a folder of its own below this one. */
export function keepIn(keptIn: string, dir: string | undefined, texts: Readonly<Record<string, string>> = {}): void {
  mkdirSync(keptIn, { recursive: true })
  const into = mkdtempSync(join(keptIn, `${basename(process.argv[1] ?? 'test', '.test.ts')}-`))
  for (const [name, text] of Object.entries(texts)) writeFileSync(join(into, name), text)
  if (dir === undefined || !existsSync(dir)) return
  for (const path of written(dir, maxDepth)) {
    const to = join(into, relative(dir, path))
    mkdirSync(dirname(to), { recursive: true })
    copyIfThere(path, to)
  }
}

/** Segments, what a crash left of one, what the exporter set aside, and logs. */
function* written(dir: string, depth: number): Generator<string> {
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name)
    if (entry.isDirectory()) {
      if (depth > 0 && entry.name !== 'node_modules') yield* written(path, depth - 1)
    } else if (entry.isFile() && /\.(?:jsonl|torn|log|corrupt)(?:\.\w+)?$/.test(entry.name)) {
      yield path
    }
  }
}

/** A proxy that runs on may remove a segment meanwhile. */
function copyIfThere(from: string, to: string): void {
  try {
    copyFileSync(from, to, constants.COPYFILE_FICLONE)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
  }
}
