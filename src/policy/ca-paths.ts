// Where files of further roots lie: `origin_ca` of rules, relative to the folder of the file that names them.
import { feedKey } from './feed-paths.ts'
import { parsePolicyToml } from './policy-toml.ts'
import type { SourceFile } from './problem.ts'
import { isTable } from './toml.ts'

export interface CaPath {
  /** the file that names it */
  readonly file: string
  /** as written */
  readonly path: string
  /** below the folder of `file`: what obligations name, and the key under which its bytes are handed to compilePolicy */
  readonly key: string
}

/** The files that the sources name; sources that cannot be parsed name none. */
export function caPaths(sources: readonly SourceFile[]): readonly CaPath[] {
  return sources.flatMap(({ path: file, text }) => {
    if (!text.includes('origin_ca')) return []
    const parsed = parsePolicyToml(text)
    if ('fault' in parsed) return []
    return ['network', 'experimental_network'].flatMap((name) => {
      const table = parsed.table[name]
      const rules = isTable(table) ? table['rules'] : undefined
      if (!Array.isArray(rules)) return []
      return rules.flatMap((rule) => {
        const paths: unknown = isTable(rule) ? rule['origin_ca'] : undefined
        if (!Array.isArray(paths)) return []
        return paths.flatMap((path: unknown) => (typeof path === 'string' && path !== '' ? [{ file, path, key: feedKey(file, path) }] : []))
      })
    })
  })
}
