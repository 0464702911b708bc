// `sallyport start`: settings in, the running proxy out, until a signal ends it. It refuses to run in
// an environment that would undo what the proxy promises. It builds nothing itself: that is app.ts.
import { parseArgs, type ParseArgsOptionDescriptor } from 'node:util'
import { pino } from 'pino'
import { environmentDangers } from '../config/environment.ts'
import type { App, Listening, OperatorLog, ReloadOutcome } from '../config/listening.ts'
import { loadSettings, type SettingsProblem } from '../config/load.ts'
import { formatHostPort } from '../config/load-rules.ts'
import { nearestWord } from '../policy/suggestion.ts'
import { settingList, variableOf } from '../config/schema.ts'
import type { LogLevel, Settings } from '../config/settings.ts'
import { banner, startLine } from './banner.ts'
import { type Command, type CommandIo, type RunDeps, UsageError, version } from './run.ts'

export type { App, AppDeps, CreateApp, Listening, OperatorLog } from '../config/listening.ts'

export function startCommand(deps: RunDeps): Command {
  return {
    name: 'start',
    summary: 'run the proxy',
    usage: usage(),
    run: (argv, io) => start(argv, io, deps),
  }
}

async function start(argv: readonly string[], io: CommandIo, deps: RunDeps): Promise<number> {
  const flags = settingFlags(argv)
  const dangers = environmentDangers(deps.env, deps.execArgv)
  for (const danger of dangers) io.err(`sallyport start: refused: ${danger}\n`)
  if (dangers.length > 0) return 1
  const { settings, problems, warnings } = loadSettings({ flags, env: deps.env, cwd: io.cwd })
  if (settings === undefined) {
    io.err(`sallyport start: ${problems.length === 1 ? 'a setting is' : 'settings are'} wrong\n`)
    for (const { where, message } of problems) io.err(`  ${where}: ${message}\n`)
    return problems.some(isUsage) ? 2 : 1
  }
  const log = createOperatorLog(settings.log.level, (line) => io.err(line))
  const app = await open(settings, warnings, log, io, deps)
  if (app === undefined) return 1
  deps.signals.onReload(() => {
    app.reload().then(
      (outcome) => log[outcome === 'rejected' ? 'error' : 'info']({ outcome }, reloadTexts[outcome]),
      (error: unknown) => log.error({ error: messageOf(error) }, 'the reload failed'),
    )
  })
  return untilStopped(app, log, io, deps)
}

const reloadTexts = {
  reloaded: 'read the policies again on request: a new policy is in force',
  unchanged: 'read the policies again on request: they are unchanged',
  rejected: 'read the policies again on request: they are not valid, and the last good policy stays; run `sallyport check`',
} as const satisfies Record<ReloadOutcome, string>

function isUsage({ where }: SettingsProblem): boolean {
  return where.startsWith('--')
}

/** Opens the app and says so; undefined when it could not be opened, which has then been said. */
async function open(
  settings: Settings,
  warnings: readonly string[],
  log: OperatorLog,
  io: CommandIo,
  deps: RunDeps,
): Promise<App | undefined> {
  let app: App | undefined
  try {
    app = await deps.createApp(settings, { log, version: version() })
    const opened = await app.start()
    const listening: Listening = { ...opened, warnings: [...warnings, ...opened.warnings] }
    io.out(settings.json ? startLine(listening, version()) : banner(listening, version()))
    return app
  } catch (error) {
    io.err(`sallyport start: ${startFailure(error, settings)}\n`)
    if (settings.log.level === 'debug' || settings.log.level === 'trace') {
      io.err(`${error instanceof Error ? error.stack : String(error)}\n`)
    }
    await app?.stop(false).catch((second: unknown) => {
      log.warn({ error: messageOf(second) }, 'what was opened could not be closed')
    })
    return undefined
  }
}

/** The first signal drains, the second cuts. Resolves to the exit code once everything is closed. */
async function untilStopped(
  app: App,
  log: OperatorLog,
  io: CommandIo,
  deps: RunDeps,
): Promise<number> {
  await new Promise<void>((resolve) => {
    if (io.signal === undefined || io.signal.aborted) resolve()
    else io.signal.addEventListener('abort', () => resolve(), { once: true })
  })
  log.info({ signal: String(io.signal?.reason) }, 'stopping: what is in flight may finish')
  const insisted = new Promise<'insisted'>((resolve) => {
    deps.signals.onInsist(() => resolve('insisted'))
  })
  try {
    const drained = app.stop(true)
    const first = await Promise.race([drained, insisted])
    if (first === 'insisted') {
      log.warn({}, 'stopping at once')
      await app.stop(false)
    }
    // a fault of the graceful stop must not go unseen when the second signal overtook it
    await drained
    log.info({}, 'stopped')
    return 0
  } catch (error) {
    log.error({ error: messageOf(error) }, 'the proxy did not stop cleanly')
    return 1
  }
}

/** One sentence and what to do, for the faults that an operator can mend. */
export function startFailure(error: unknown, settings: Settings): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  const port = error instanceof Error && 'port' in error ? error.port : undefined
  const listeners = [
    { flag: '--listen', name: 'proxy', at: settings.listen },
    { flag: '--ops', name: 'ops', at: settings.ops },
    { flag: '--control', name: 'control', at: settings.control },
  ]
  const found = listeners.find(({ at }) => at !== 'off' && at.port === port)
  if (found === undefined || found.at === 'off') return messageOf(error)
  const where = `\`${formatHostPort(found.at)}\` (${found.name})`
  if (code === 'EADDRINUSE') {
    return (
      `${where} is in use: is sallyport running already? choose another with ` +
      `\`${found.flag} HOST:PORT\`; port 0 picks a free one`
    )
  }
  if (code === 'EACCES') return `${where} may not be opened by this user: choose a port above 1023`
  if (code === 'EADDRNOTAVAIL') return `${where} is not an address of this machine`
  return messageOf(error)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** JSON lines of allow-listed plain fields; the redaction is a second net and must find nothing. */
export function createOperatorLog(level: LogLevel, write: (line: string) => void): OperatorLog {
  const secret = ['authorization', 'proxy_authorization', 'cookie', 'password', 'token', 'headers']
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: secret,
    },
    { write },
  )
}

/** Values of the command line by flag name; throws UsageError for what is not a flag of `start`. */
export function settingFlags(argv: readonly string[]): Record<string, string | boolean | undefined> {
  const options: Record<string, ParseArgsOptionDescriptor> = { config: { type: 'string' } }
  for (const { flag, default: fallback } of settingList) {
    if (flag !== undefined) options[flag] = { type: isSwitch(fallback) ? 'boolean' : 'string' }
  }
  for (const word of argv) {
    const name = /^--(?:no-)?([^=]+)/.exec(word)?.[1]
    if (name === undefined || options[name] !== undefined) continue
    const near = nearestWord(name, Object.keys(options))
    throw new UsageError(
      `there is no option \`--${name}\`${near === undefined ? '' : `, did you mean \`--${near}\`?`}`,
    )
  }
  const { values } = parseArgs({ args: [...argv], options, allowNegative: true, strict: true })
  const flags: Record<string, string | boolean | undefined> = {}
  for (const [name, value] of Object.entries(values)) {
    if (!Array.isArray(value)) flags[name] = value
  }
  return flags
}

function isSwitch(fallback: string | undefined): boolean {
  return fallback === 'true' || fallback === 'false'
}

function usage(): string {
  const rows = [
    ['--config FILE', 'sallyport.toml to read; default `sallyport.toml` here, if it exists'],
    ...settingList.flatMap(({ flag, kind, default: fallback, doc }) => {
      if (flag === undefined) return []
      if (isSwitch(fallback)) return [[`--${flag}`, doc]]
      const shown = fallback === undefined || fallback === '' ? '' : `; default ${fallback}`
      return [[`--${flag} ${kind.placeholder}`, `${doc}${shown}`]]
    }),
  ]
  const width = Math.max(...rows.map(([left = '']) => left.length))
  const table = rows.map(([left = '', right = '']) => `  ${left.padEnd(width)}  ${right}\n`)
  return `usage: sallyport start [OPTIONS]

Runs the proxy until SIGTERM or SIGINT, which let what is in flight finish (a second one does not
wait); SIGHUP reads the policies again.

${table.join('')}
Each option is also a variable (\`--listen\` is ${variableOf('listen')}) and a key of sallyport.toml; the
option wins over the variable, and the variable over the file. docs/configuration.md has them all.
`
}
