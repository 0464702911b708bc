// `sallyport audit erase`: destroys the keys of a person, and takes the rest of what the data folder holds of it out.
// The running proxy does it; where none runs, the instance that `start` would have started does, and is never opened.
import { parseArgs } from 'node:util'
import { escapeText } from '../audit/escape.ts'
import type { Environment } from '../config/environment.ts'
import type { CreateApp, ErasedThings } from '../config/listening.ts'
import { loadSettings } from '../config/load.ts'
import { asciiJson } from './ascii-json.ts'
import { ControlFault } from './control-fault.ts'
import { connectControl, controlOptions, controlOptionsHelp, type ControlFlags } from './control-options.ts'
import { Members } from './members.ts'
import { plural } from './plural.ts'
import { type CommandIo, UsageError, version } from './run.ts'
import { createOperatorLog } from './start.ts'
import { processTerminal, type Terminal } from './terminal.ts'

export const eraseUsage = `usage: sallyport audit erase PERSON [--dry-run] [--yes] [OPTIONS]

Destroys the key that everything about PERSON in the journal is sealed with: names, client addresses, paths
and comments cannot be read any more by anybody, and the chain of the journal stays intact. Sessions of
PERSON are ended and its tokens revoked, and its name is taken out of sessions, approvals, grants,
notifications and the cache. It cannot be undone; once more does no harm.

PERSON is a name as it stands in the journal: the owner of sessions, or the name on a token. Who has two
names is erased twice. What was sent elsewhere (a SIEM, webhooks, backups of the key folder) is not reached:
docs/security.md.

It takes an admin. With a running proxy that does it; without one this command does, on the data folder.

  --dry-run          only say what there is
  --yes              do not ask
${controlOptionsHelp}
examples:
  sallyport audit erase alice@example.com --dry-run
  sallyport audit erase alice@example.com --yes --json

exit codes: 0 ok, 1 error, 2 wrong command line
`

const options = { ...controlOptions, 'dry-run': { type: 'boolean', default: false }, yes: { type: 'boolean', default: false } } as const

export interface EraseDeps {
  readonly createApp: CreateApp
  readonly env: Environment
  readonly terminal?: Terminal
}

/** Whoever does it. */
interface Eraser {
  look(person: string): Promise<ErasedThings>
  erase(person: string): Promise<{ readonly keys: readonly string[]; readonly counts: ErasedThings }>
  close(): Promise<void>
}

export async function erase(argv: readonly string[], io: CommandIo, deps: EraseDeps): Promise<number> {
  const { values, positionals } = parseArgs({ args: [...argv], options, allowPositionals: true })
  const [person, ...extra] = positionals
  if (person === undefined || person.trim() === '' || extra.length > 0) throw new UsageError('name one person, as the owner of a session or the name on a token')
  const terminal = deps.terminal ?? processTerminal()
  if (!values['dry-run'] && !values.yes && !terminal.isInteractive) throw new UsageError('nobody is here to be asked: say --yes, or --dry-run')
  let eraser: Eraser | undefined
  try {
    eraser = await openEraser(values, io, deps)
    if (eraser === undefined) return 1
    if (values['dry-run']) {
      const found = await eraser.look(person)
      io.out(values.json ? `${asciiJson({ keys: [], ...found })}\n` : `${thingsText(found)}\nnothing was erased\n`)
      return 0
    }
    if (!values.yes && !(await agrees(eraser, person, io, terminal))) return 1
    const { keys, counts } = await eraser.erase(person)
    io.out(values.json ? `${asciiJson({ keys, ...counts })}\n` : `erased: key ${keys.join(', ')}\n${thingsText(counts)}\n`)
    return 0
  } catch (error) {
    if (!(error instanceof Error) || error instanceof UsageError) throw error
    io.err(`sallyport audit erase: ${escapeText(error.message)}\n`)
    return 1
  } finally {
    await eraser?.close()
  }
}

async function agrees(eraser: Eraser, person: string, io: CommandIo, terminal: Terminal): Promise<boolean> {
  io.err(`${thingsText(await eraser.look(person))}\n`)
  const answer = await terminal.ask(`erase ${escapeText(person)} for good? [y/N] `, io.signal)
  if (/^y(?:es)?$/i.test(answer.trim())) return true
  io.err('nothing was erased\n')
  return false
}

function thingsText({ records, unsealed, sessions, approvals, grants, tokens, others }: ErasedThings): string {
  const lines = [`${plural(records, 'sealed record')}, ${plural(sessions, 'session')}, ${plural(approvals, 'approval')}, ${plural(grants, 'grant')}, ${plural(tokens, 'token')}, and ${plural(others, 'other thing')}`]
  if (unsealed > 0) lines.push(`${plural(unsealed, 'record')} of before, or of when \`audit.seal_personal\` was off, ${unsealed === 1 ? 'names' : 'name'} the person in the clear and cannot be erased: ${unsealed === 1 ? 'it goes' : 'they go'} with retention`)
  return lines.join('\n')
}

/** Undefined when the settings are wrong, which has then been said. Throws ControlFault and what opening the folder throws. */
async function openEraser(flags: ControlFlags, io: CommandIo, deps: EraseDeps): Promise<Eraser | undefined> {
  const client = connectControl(flags, io, deps.env)
  if (client === undefined) return undefined
  const call = async (person: string, isDry: boolean) => {
    // it reads the whole journal
    const { body } = await client.call('POST', '/v1/people/erase', { body: { person, dry_run: isDry }, patienceMs: 600_000 })
    return readErased(body)
  }
  const remote: Eraser = { look: async (person) => (await call(person, true)).counts, erase: (person) => call(person, false), close: async () => client.close() }
  try {
    await client.call('GET', '/v1/tokens')
    return remote
  } catch (error) {
    client.close()
    if (!(error instanceof ControlFault) || error.code !== 'unreachable' || flags.url !== undefined) throw error
    return openFolder(flags, io, deps)
  }
}

/** The lock of the journal keeps it from a folder whose proxy runs after all. */
async function openFolder({ config, data }: ControlFlags, io: CommandIo, deps: EraseDeps): Promise<Eraser | undefined> {
  const { settings, problems } = loadSettings({ flags: { config, data }, env: deps.env, cwd: io.cwd })
  if (settings === undefined) {
    for (const { where, message } of problems) io.err(`${where}: error: ${message}\n`)
    return undefined
  }
  const app = await deps.createApp(settings, { log: createOperatorLog('warn', (line) => io.err(line)), version: version() })
  return { look: (person) => app.erasure.look(person), erase: (person) => app.erasure.erase(person, undefined), close: () => app.stop(false) }
}

function readErased(body: unknown): { readonly keys: readonly string[]; readonly counts: ErasedThings } {
  const answer = new Members(body, 'answer')
  const [records, unsealed, sessions, approvals] = [answer.number('records'), answer.number('unsealed'), answer.number('sessions'), answer.number('approvals')]
  return { keys: answer.texts('keys'), counts: { records, unsealed, sessions, approvals, grants: answer.number('grants'), tokens: answer.number('tokens'), others: answer.number('others') } }
}
