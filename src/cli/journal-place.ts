// Where the commands that read the journal look: `--data`, else what `start` would use.
import { join, resolve } from 'node:path'
import { journalDir } from '../audit/segments.ts'
import { processEnvironment } from '../config/environment.ts'
import { loadSettings } from '../config/load.ts'
import type { Settings } from '../config/settings.ts'
import { type CommandIo, UsageError } from './run.ts'

/** Options that every command takes that reads the journal, for node:util parseArgs. */
export const journalOptions = {
  data: { type: 'string' },
  config: { type: 'string' },
  json: { type: 'boolean', default: false },
} as const

export const journalOptionsHelp = `  --data DIR      the proxy's data folder (default: as for \`start\`, var/)
  --config FILE   settings file that may name it (default: sallyport.toml, if it exists)
`

/** The journal's folder; undefined when the settings are wrong: said on stderr, and the command ends with 1. */
export function findJournal(flags: { readonly data?: string | undefined; readonly config?: string | undefined }, io: CommandIo): string | undefined {
  if (flags.data !== undefined) return journalDir(resolve(io.cwd, flags.data))
  const settings = readSettings(flags, io)
  return settings === undefined ? undefined : resolve(io.cwd, join(journalDir(settings.dataDir)))
}

/** `[otel] environment`, as exported records have it; undefined as for `findJournal`. */
export function readEnvironment(flags: { readonly config?: string | undefined }, io: CommandIo): string | undefined {
  return readSettings(flags, io)?.otel.environment
}

function readSettings(flags: { readonly config?: string | undefined }, io: CommandIo): Settings | undefined {
  const loaded = loadSettings({ flags: { config: flags.config }, env: processEnvironment(), cwd: io.cwd, secrets: 'unused' })
  if (loaded.settings === undefined) for (const { where, message } of loaded.problems) io.err(`${where}: error: ${message}\n`)
  return loaded.settings
}

/** A count given on the command line. */
export function readCount(name: string, text: string): number {
  const count = Number(text)
  if (!/^\d{1,7}$/.test(text) || count === 0) throw new UsageError(`\`${name} ${text}\` is not a number from 1 to 9999999`)
  return count
}

/** Said when there is nothing to read, so that an empty answer is never mistaken for a quiet proxy. */
export function missingJournal(dir: string): string {
  return `there is no journal in \`${dir}\`: no proxy has run with this data folder, or --data names another one\n`
}
