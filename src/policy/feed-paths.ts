// Where feeds lie: their paths are relative to the folder of the file that names them.
import { parsePolicyToml } from './policy-toml.ts'
import { isTable } from './toml.ts'
import type { SourceFile } from './problem.ts'

export interface FeedPath {
  /** the file that names the feed */
  readonly file: string
  /** as written */
  readonly path: string
  /** as written, below the folder of `file`: under this the feed's bytes are handed to compilePolicy */
  readonly key: string
}

/** The feeds that the sources name; sources that cannot be parsed name none. */
export function feedPaths(sources: readonly SourceFile[]): readonly FeedPath[] {
  return sources.flatMap(({ path: file, text }) => {
    // parsing a list of a million names only to find no feed is dear
    if (!text.includes('denied_domains_files')) return []
    const parsed = parsePolicyToml(text)
    if ('fault' in parsed) return []
    return ['network', 'experimental_network'].flatMap((name) => {
      const table = parsed.table[name]
      const feeds = isTable(table) ? table['denied_domains_files'] : undefined
      if (!Array.isArray(feeds)) return []
      return feeds.flatMap((feed) => {
        const path: unknown = isTable(feed) ? feed['path'] : undefined
        return typeof path === 'string' && path !== '' ? [{ file, path, key: feedKey(file, path) }] : []
      })
    })
  })
}

/** A file within its folder. */
export function fileName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

/** The key of a feed in the map that compilePolicy takes. */
export function feedKey(file: string, path: string): string {
  if (path.startsWith('/')) return path
  const folder = file.slice(0, file.length - fileName(file).length)
  const steps: string[] = []
  for (const step of `${folder}${path}`.split('/')) {
    if (step === '.') continue
    if (step === '..' && steps.length > 0 && steps.at(-1) !== '..' && steps.at(-1) !== '') steps.pop()
    else steps.push(step)
  }
  return steps.join('/')
}
