// What is wrong with, or worth knowing of, a policy file: collected, so that everything is told at once.
import type { LongList } from './long-lists.ts'
import type { Path, Positions } from './positions.ts'
import type { Layer } from './policy.ts'
import type { TomlValue } from './toml.ts'

export interface SourceFile {
  /** as the admin knows it */
  readonly path: string
  readonly text: string
  readonly layer: Layer
}

export interface Problem {
  readonly severity: 'error' | 'warning' | 'notice'
  readonly file: string
  /** 1-based */
  readonly line: number
  readonly column: number
  /** lower case, no final stop */
  readonly message: string
  /** the offending text as written, at most 100 characters */
  readonly text: string
}

const maxPerSeverity = 200

/** Collects the problems of all files, at most 200 of each severity per file, and counts the rest. */
export class Problems {
  readonly #list: Problem[] = []
  readonly #counts = new Map<string, number>()
  readonly #order = new Map<string, number>()
  #errors = 0

  /** `files` in the order in which their problems are to be told; others follow. */
  constructor(files: readonly string[]) {
    for (const file of files) this.#order.set(file, this.#order.size)
  }

  get hasErrors(): boolean {
    return this.#errors > 0
  }

  add(problem: Problem): void {
    if (problem.severity === 'error') this.#errors++
    const key = `${problem.severity} ${problem.file}`
    const count = (this.#counts.get(key) ?? 0) + 1
    this.#counts.set(key, count)
    if (count <= maxPerSeverity) this.#list.push(problem)
  }

  /** Whether a problem of this severity in this file would still be told, not only counted. */
  wants(severity: Problem['severity'], file: string): boolean {
    return (this.#counts.get(`${severity} ${file}`) ?? 0) < maxPerSeverity
  }

  /** In the order of the files, then of the lines. */
  list(): readonly Problem[] {
    const order = this.#order
    for (const { file } of this.#list) if (!order.has(file)) order.set(file, order.size)
    const rest: Problem[] = []
    for (const [key, count] of this.#counts) {
      if (count <= maxPerSeverity) continue
      const last = this.#list.findLast(({ severity, file }) => `${severity} ${file}` === key)
      if (last !== undefined) {
        rest.push({ ...last, message: `and ${count - maxPerSeverity} more of this file`, text: '' })
      }
    }
    return [...this.#list, ...rest].toSorted(
      (a, b) => (order.get(a.file) ?? 0) - (order.get(b.file) ?? 0) || a.line - b.line || a.column - b.column,
    )
  }
}

/** One file while it is read: its text, its positions, and where its problems go. */
export class SourceReader {
  readonly source: SourceFile
  readonly positions: Positions
  readonly problems: Problems
  /** lists by the arrays that stand for them */
  readonly longLists: ReadonlyMap<TomlValue, LongList>

  constructor(source: SourceFile, positions: Positions, problems: Problems, longLists: ReadonlyMap<TomlValue, LongList>) {
    this.source = source
    this.positions = positions
    this.problems = problems
    this.longLists = longLists
  }

  /** The value at `path` is not what it has to be. */
  error(path: Path, message: string, part: 'key' | 'value' = 'value'): void {
    this.report('error', path, message, part)
  }

  warning(path: Path, message: string, part: 'key' | 'value' = 'value'): void {
    this.report('warning', path, message, part)
  }

  notice(path: Path, message: string, part: 'key' | 'value' = 'value'): void {
    this.report('notice', path, message, part)
  }

  line(path: Path, part: 'key' | 'value' = 'key'): number {
    return this.positions.place(path, part).line
  }

  report(severity: Problem['severity'], path: Path, message: string, part: 'key' | 'value'): void {
    const { problems, source } = this
    // a million bad entries are counted, not looked up
    const place = problems.wants(severity, source.path) ? this.positions.place(path, part) : { line: 0, column: 0, text: '' }
    problems.add({ severity, file: source.path, ...place, message })
  }
}
