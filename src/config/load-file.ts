// Reads sallyport.toml into values by setting, with the place of each. Unknown keys are errors: a
// misspelt limit that is silently ignored is a limit that does not hold.
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { Positions, type Path } from '../policy/positions.ts'
import { nearestWord } from '../policy/suggestion.ts'
import { isTable, parseToml, type TomlTable, type TomlValue } from '../policy/toml.ts'
import { readCredentials } from './load-credentials.ts'
import { placed, SettingError } from './schema-kinds.ts'
import { settingList, type SettingName } from './schema.ts'
import { readDestinations, type WrittenDestination } from './load-destinations.ts'
import type { CredentialSettings } from './settings.ts'

export interface SettingsProblem {
  /** `FILE:LINE:COLUMN`, the flag or the variable */
  readonly where: string
  readonly message: string
}

export interface Given {
  readonly value: unknown
  readonly where: string
}

export interface SettingsFile {
  readonly values: ReadonlyMap<SettingName, Given>
  readonly credentials: readonly CredentialSettings[]
  readonly destinations: readonly WrittenDestination[]
  readonly problems: readonly SettingsProblem[]
  readonly notices: readonly string[]
}

/** Keys of Codex's `[otel]` that say nothing about exporting log records. */
const ignoredOtelKeys = new Set(
  [
    'trace_exporter',
    'metrics_exporter',
    'log_user_prompt',
    'log_agent_responses',
    'log_guardian_assessments',
    'log_sse_deltas',
    'span_attributes',
    'tracestate',
  ].map((key) => `otel.${key}`),
)

/** What is right elsewhere, and where. */
const misplaced: Readonly<Record<string, string>> = {
  network: 'policy stands in files of the policies folder, not here',
  experimental_network: 'policy stands in files of the policies folder or the managed layer, not here',
  allowed_web_search_modes: 'policy stands in files of the policies folder or the managed layer, not here',
  web_fetch: 'policy stands in files of the policies folder, not here',
  'otel.exporter.otlp-grpc': 'records are exported over otlp-http only',
}

/** `shown` is the path as the operator wrote it, for messages. */
export function readSettingsFile(file: string, shown: string): SettingsFile {
  let source: string
  try {
    source = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(file))
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return { values: new Map(), credentials: [], destinations: [], problems: [{ where: shown, message: `cannot be read: ${reason}` }], notices: [] }
  }
  const parsed = parseToml(source)
  if ('fault' in parsed) {
    const { line, column, message } = parsed.fault
    const where = `${shown}:${line}:${column}`
    return { values: new Map(), credentials: [], destinations: [], problems: [{ where, message }], notices: [] }
  }
  return new FileReader(source, shown, dirname(file)).read(parsed.table)
}

class FileReader {
  readonly #positions: Positions
  readonly #shown: string
  readonly #folder: string
  readonly #values = new Map<SettingName, Given>()
  #credentials: readonly CredentialSettings[] = []
  #destinations: readonly WrittenDestination[] = []
  readonly #problems: SettingsProblem[] = []
  readonly #notices: string[] = []
  readonly #known = new Map(settingList.flatMap((setting) => [
    [setting.key, setting] as const,
    ...(setting.alias === undefined ? [] : [[setting.alias, setting] as const]),
  ]))

  constructor(source: string, shown: string, folder: string) {
    this.#positions = new Positions(source)
    this.#shown = shown
    this.#folder = folder
  }

  read(document: TomlTable): SettingsFile {
    const { credentials, ...rest } = document
    this.#table(rest, '')
    if (credentials !== undefined) {
      this.#credentials = readCredentials(credentials, this.#folder, (path, message) => this.#problems.push({ where: this.#whereIs(path), message }))
    }
    return { values: this.#values, credentials: this.#credentials, destinations: this.#destinations, problems: this.#problems, notices: this.#notices }
  }

  #table(table: TomlTable, prefix: string): void {
    for (const [name, value] of Object.entries(table)) {
      const key = prefix === '' ? name : `${prefix}.${name}`
      if (ignoredOtelKeys.has(key)) this.#notices.push(`${this.#where(key)}: \`${key}\` is ignored`)
      else if (key === 'audit.destinations') this.#destinations = readDestinations(value, this.#folder, (path) => this.#whereIs(path), (path, message) => this.#problems.push({ where: this.#whereIs(path), message }))
      else if (Object.hasOwn(misplaced, key)) this.#problem(key, `\`${key}\`: ${misplaced[key]}`)
      else this.#entry(key, value)
    }
  }

  #entry(key: string, value: TomlValue): void {
    const setting = this.#known.get(key)
    // `otel.exporter` is both a word and a table
    const isSection = [...this.#known.keys()].some((known) => known.startsWith(`${key}.`))
    if (isSection && isTable(value)) {
      this.#table(value, key)
      return
    }
    if (setting === undefined) {
      this.#unknown(key, isSection)
      return
    }
    if (this.#values.has(setting.name)) {
      this.#problem(key, `\`${key}\` is another spelling of a key that is also set`)
      return
    }
    try {
      const read = setting.kind.fromToml(value)
      this.#values.set(setting.name, { value: placed(setting.kind, read, this.#folder), where: this.#where(key) })
    } catch (error) {
      if (!(error instanceof SettingError)) throw error
      this.#problem(key, `\`${key}\`: ${error.message}`)
    }
  }

  #unknown(key: string, isSection: boolean): void {
    if (isSection) {
      this.#problem(key, `\`${key}\` wants a table`)
      return
    }
    const candidates = [...[...this.#known.keys()].flatMap((known) => [known, ...sections(known)]), 'credentials', 'audit.destinations']
    const last = key.slice(key.lastIndexOf('.') + 1)
    const elsewhere = candidates.find((known) => known.endsWith(`.${last}`))
    const near = nearestWord(key, candidates) ?? elsewhere
    const hint = near === undefined ? '' : `, did you mean \`${near}\`?`
    this.#problem(key, `there is no setting \`${key}\`${hint}`)
  }

  #problem(key: string, message: string): void {
    this.#problems.push({ where: this.#where(key), message })
  }

  #where(key: string): string {
    return this.#whereIs(key.split('.'))
  }

  #whereIs(path: Path): string {
    const { line, column } = this.#positions.place(path, 'key')
    return `${this.#shown}:${line}:${column}`
  }
}

/** `a.b.c` stands in the sections `a` and `a.b`. */
function sections(key: string): string[] {
  const parts = key.split('.')
  return parts.slice(1).map((_, at) => parts.slice(0, at + 1).join('.'))
}
