// The command frame: finds the command, loads it only then, and turns every ending into an exit code
// (0 ok, 1 error, 2 usage, 3 denied, 4 timed out). It knows no command's business.
import { readFileSync } from 'node:fs'
import type { Environment } from '../config/environment.ts'
import type { CreateApp } from '../config/listening.ts'
import { nearestWord } from '../policy/suggestion.ts'

export interface CommandIo {
  /** data, for people or programs; newlines are the caller's */
  out(text: string): void
  /** notes and errors */
  err(text: string): void
  /** data as it is, for files and programs */
  bytes?(content: Uint8Array): void
  /** stdout is a terminal and NO_COLOR is not set: colour and marks are welcome */
  readonly isTty: boolean
  readonly cwd: string
  /** aborted on the first SIGINT or SIGTERM */
  readonly signal?: AbortSignal
}

export interface Command {
  readonly name: string
  /** one line for `sallyport --help` */
  readonly summary: string
  /** whole text of `sallyport NAME --help`, ending in a newline */
  readonly usage: string
  /** of one of its words; undefined: that has none of its own */
  usageOf?(argv: readonly string[]): string | undefined
  /** resolves to the exit code; `argv` starts after the command's name */
  run(argv: readonly string[], io: CommandIo): Promise<number>
}

/** Thrown by a command for a wrong command line; ends in exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export interface Signals {
  /** second and later SIGINT or SIGTERM; the first aborts `CommandIo.signal` */
  onInsist(listener: () => void): void
  onReload(listener: () => void): void
}

/** What only the process itself can hand over. */
export interface RunDeps {
  readonly createApp: CreateApp
  readonly signals: Signals
  readonly env: Environment
  /** options that Node itself was started with */
  readonly execArgv: readonly string[]
}

interface CommandEntry {
  readonly name: string
  readonly summary: string
  load(deps: RunDeps): Promise<Command>
}

/** Every command, in the order of `--help`. */
export const commands: readonly CommandEntry[] = [
  {
    name: 'start',
    summary: 'run the proxy',
    load: async (deps) => (await import('./start.ts')).startCommand(deps),
  },
  {
    name: 'run',
    summary: 'start a command behind the proxy, with a session of its own',
    load: async (deps) => (await import('./run-command.ts')).runCommand(deps),
  },
  {
    name: 'check',
    summary: 'compile policy files and say what is wrong with them',
    load: async () => (await import('./check.ts')).checkCommand,
  },
  {
    name: 'explain',
    summary: 'say what the policy answers to a URL, and which line says so',
    load: async () => (await import('./explain.ts')).explainCommand,
  },
  {
    name: 'replay',
    summary: 'say what a changed policy would have answered to the requests of the journal',
    load: async () => (await import('./replay.ts')).replayCommand,
  },
  {
    name: 'test',
    summary: "run the policies' own match and not_match cases",
    load: async () => (await import('./test.ts')).testCommand,
  },
  {
    name: 'why',
    summary: 'say why requests were refused lately',
    load: async () => (await import('./why.ts')).whyCommand,
  },
  {
    name: 'approvals',
    summary: 'see, answer and watch the questions that agents wait on',
    load: async (deps) => (await import('./approvals.ts')).approvalsCommand(deps),
  },
  {
    name: 'grants',
    summary: 'list and revoke what approvals opened',
    load: async (deps) => (await import('./grants.ts')).grantsCommand(deps),
  },
  {
    name: 'sessions',
    summary: 'give agents their proxy URL, list and end their runs',
    load: async (deps) => (await import('./sessions.ts')).sessionsCommand(deps),
  },
  {
    name: 'tokens',
    summary: 'make and revoke the tokens of reviewers and programs',
    load: async (deps) => (await import('./tokens.ts')).tokensCommand(deps),
  },
  {
    name: 'cache',
    summary: 'see and fill the web cache that agents read from',
    load: async (deps) => (await import('./cache.ts')).cacheCommand(deps),
  },
  {
    name: 'ca',
    summary: 'show, hand out and replace the root that clients are to trust',
    load: async (deps) => (await import('./ca.ts')).caCommand(deps),
  },
  {
    name: 'audit',
    summary: 'read, search and verify the journal, and erase people from it',
    load: async (deps) => (await import('./audit.ts')).auditCommand(deps),
  },
  {
    name: 'report',
    summary: 'sum up the journal: verdicts, questions, suggestions; as a page with --html',
    load: async () => (await import('./report.ts')).reportCommand,
  },
  {
    name: 'doctor',
    summary: 'check the set-up, and whether anything gets past the proxy from here',
    load: async (deps) => (await import('./doctor.ts')).doctorCommand(deps),
  },
  {
    name: 'demo',
    summary: 'see allow, deny and approvals at work, on this machine alone',
    load: async (deps) => (await import('./demo.ts')).demoCommand(deps),
  },
]

/** Runs one command line (without node and script) and resolves to its exit code. */
export async function runCli(
  argv: readonly string[],
  io: CommandIo,
  deps: RunDeps,
): Promise<number> {
  const [name, ...rest] = argv
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    return help(rest[0], name, io, deps)
  }
  if (name === '--version' || name === '-V') {
    io.out(`sallyport ${version()}\n`)
    return 0
  }
  const entry = commands.find((known) => known.name === name)
  if (entry === undefined) return unknownCommand(name, io)
  const command = await entry.load(deps)
  const end = rest.indexOf('--')
  const own = end === -1 ? rest : rest.slice(0, end)
  if (own.includes('--help') || own.includes('-h')) {
    io.out(command.usageOf?.(own) ?? command.usage)
    return 0
  }
  try {
    return await command.run(rest, io)
  } catch (error) {
    if (!isUsageError(error)) throw error
    io.err(`sallyport ${name}: ${usageText(error, command.usageOf?.(own) ?? command.usage)}\nsee \`sallyport ${name} --help\`\n`)
    return 2
  }
}

/** Options that nobody knows are told in our words, with the one of the usage that was meant. */
function usageText(error: Error, usage: string): string {
  const word = 'code' in error && error.code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION' ? /'(-[^']*)'/.exec(error.message)?.[1] : undefined
  if (word === undefined) return error.message
  const known = new Set([...usage.matchAll(/(?<=[\s,])--[a-z][a-z-]*/g)].map(([option]) => option))
  if (known.has(word)) return `\`${word}\` is not for this part of the command`
  const near = nearestWord(word, known)
  return `there is no option \`${word}\`${near === undefined ? '' : `, did you mean \`${near}\`?`}`
}

async function help(
  topic: string | undefined,
  asked: string | undefined,
  io: CommandIo,
  deps: RunDeps,
): Promise<number> {
  if (asked === 'help' && topic !== undefined) {
    const entry = commands.find((known) => known.name === topic)
    if (entry === undefined) return unknownCommand(topic, io)
    io.out((await entry.load(deps)).usage)
    return 0
  }
  if (asked === undefined) {
    io.err(overview())
    return 2
  }
  io.out(overview())
  return 0
}

function overview(): string {
  const width = Math.max(...commands.map((entry) => entry.name.length))
  const table = commands.map((entry) => `  ${entry.name.padEnd(width)}  ${entry.summary}\n`)
  return `sallyport: the guarded way out for software agents

usage: sallyport COMMAND [OPTIONS]

commands:
${table.join('')}
\`sallyport COMMAND --help\` says what a command takes; \`sallyport --version\` says which version this is.
exit codes: 0 ok, 1 error, 2 wrong command line, 3 denied, 4 timed out
`
}

function unknownCommand(name: string, io: CommandIo): number {
  const near = nearestWord(
    name,
    commands.map((entry) => entry.name),
  )
  const hint = near === undefined ? '' : `, did you mean \`${near}\`?`
  io.err(`sallyport: there is no command \`${name}\`${hint}\nsee \`sallyport --help\`\n`)
  return 2
}

/** A wrong command line, whether a command said so or `node:util` parseArgs did. */
function isUsageError(error: unknown): error is Error {
  if (error instanceof UsageError) return true
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' && code.startsWith('ERR_PARSE_ARGS_')
}

/** The version in package.json. */
export function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  const manifest: unknown = JSON.parse(text)
  if (typeof manifest === 'object' && manifest !== null && 'version' in manifest) {
    return String(manifest.version)
  }
  return 'unknown'
}
