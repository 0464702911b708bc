// The command line of `sallyport run`: what of it is ours, up to `--`, and what is the command's. Pure.
import { parseArgs } from 'node:util'
import { controlOptions, controlOptionsHelp, type ControlFlags } from './control-options.ts'
import { nameOf } from './run-places.ts'
import { UsageError } from './run.ts'
import { isDuration, readDuration } from './time-words.ts'

export const usage = `usage: sallyport run [OPTIONS] -- COMMAND [ARGS]

Starts a command, such as an agent, with a session of its own on the running proxy, tells it of the proxy
and its certificates by the variables that programs read, and ends the session with it. What policy asks
about is answered with \`sallyport approvals\`. The variables are advice: with --isolate there is no other
way out for the command, and the proxy's own files are not there for it (Linux, with bubblewrap).

  --agent NAME       the agent, as rules name it (default: the name of the command)
  --owner NAME       the person it works for
  --team NAME        a label that rules and reviewers can go by
  --hold auto|TIME   how long a request waits for an answer, such as 4s (default: auto)
  --ttl TIME         the session ends by itself after this, such as 8h, if nothing else ends it
  --unattended       nobody is there to answer: what would be asked is refused at once
  --web-fetch        the command reads the web and does nothing else: GET and HEAD, from the web cache unless
                     policy has the web read live
  --env-only NAMES   of this environment the command gets PATH, HOME, TERM and the like, and these; comma
                     between them, may be given again; empty for no more
  --no-proxy LIST    hosts that the command speaks to directly (default: localhost,127.0.0.1,::1, and the
                     collector of OTEL_EXPORTER_OTLP_ENDPOINT; with --isolate nothing)
  --print-env        print the variables as shell lines, start nothing and make no session
  --quiet            no line before and after

  --isolate          no network, no other processes, no sockets of other programs: only the proxy
  --workspace DIR    with --isolate: of this machine's files only those in DIR may be changed; may be given
                     again; /tmp is the command's own
  --read-only        with --isolate: none may be changed
  --show PATH        with --isolate: this stays visible though it holds credentials; may be given again
  --allow-home       with --isolate: all credentials in the home folder stay visible
${controlOptionsHelp.replace(/ {2}--json .*\n/, '')}  --json             one JSON object on stderr at the end, and no other line

examples:
  sallyport run -- codex
  sallyport run --isolate --workspace . -- claude
  sallyport run --unattended --env-only GITHUB_TOKEN --isolate --read-only -- npm test
  sallyport run --isolate -- sallyport doctor

exit codes: that of the command, 128 and the signal's number where one ended it, 126 and 127 where it cannot
be started or found; 1 error before it started, 2 wrong command line
`

const options = {
  ...controlOptions,
  agent: { type: 'string' },
  owner: { type: 'string' },
  team: { type: 'string' },
  hold: { type: 'string' },
  ttl: { type: 'string' },
  unattended: { type: 'boolean' },
  'web-fetch': { type: 'boolean' },
  'env-only': { type: 'string', multiple: true },
  'no-proxy': { type: 'string' },
  'print-env': { type: 'boolean', default: false },
  quiet: { type: 'boolean', default: false },
  isolate: { type: 'boolean', default: false },
  workspace: { type: 'string', multiple: true },
  'read-only': { type: 'boolean', default: false },
  show: { type: 'string', multiple: true },
  'allow-home': { type: 'boolean', default: false },
} as const

/** As it was written; paths are not looked at yet. */
export interface IsolationOptions {
  readonly workspaces: readonly string[]
  readonly readOnly: boolean
  readonly show: readonly string[]
  readonly allowHome: boolean
}

export interface RunOptions {
  readonly control: ControlFlags
  /** empty only with `printEnv` */
  readonly command: string
  readonly args: readonly string[]
  /** body of the call that makes the session */
  readonly session: { readonly agent: string; readonly owner?: string | undefined; readonly team?: string | undefined; readonly hold?: string | undefined; readonly ttl?: string | undefined; readonly unattended?: boolean | undefined; readonly web_fetch?: boolean | undefined }
  /** undefined: the whole environment */
  readonly envOnly: readonly string[] | undefined
  /** undefined: the default */
  readonly noProxy: string | undefined
  readonly printEnv: boolean
  readonly quiet: boolean
  readonly json: boolean
  readonly isolation: IsolationOptions | undefined
}

/** Throws UsageError, or what `parseArgs` of node:util throws. */
export function readRunOptions(argv: readonly string[]): RunOptions {
  const end = argv.indexOf('--')
  const { values, positionals } = parseArgs({ args: argv.slice(0, end === -1 ? argv.length : end), options, allowPositionals: true })
  const [stray] = positionals
  if (stray !== undefined) throw new UsageError(`put \`--\` before the command: sallyport run [OPTIONS] -- ${stray} …`)
  const [command = '', ...args] = end === -1 ? [] : argv.slice(end + 1)
  if (command === '' && !values['print-env']) throw new UsageError('a command is needed, behind `--`: sallyport run -- codex')
  const { owner, team, hold, ttl, unattended } = values
  if (hold !== undefined && hold !== 'auto' && !isDuration(hold)) throw new UsageError(`\`--hold ${hold}\` is neither auto nor a time such as 4s`)
  if (ttl !== undefined) readDuration('--ttl', ttl)
  return {
    control: values,
    command,
    args,
    session: { agent: agentOf(values.agent, command), owner, team, hold, ttl, unattended, web_fetch: values['web-fetch'] },
    envOnly: values['env-only']?.flatMap((names) => readNames(names)),
    noProxy: values['no-proxy'],
    printEnv: values['print-env'],
    quiet: values.quiet || values.json,
    json: values.json,
    isolation: readIsolation(values),
  }
}

function agentOf(agent: string | undefined, command: string): string {
  if (agent === '') throw new UsageError('--agent wants a name')
  // what cannot be a name is none: the person is asked for one by the answer of the proxy
  return agent ?? nameOf(command)
}

function readNames(text: string): readonly string[] {
  const names = text.split(/[\s,]+/).filter((name) => name !== '')
  const wrong = names.find((name) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
  if (wrong !== undefined) throw new UsageError(`\`--env-only ${wrong}\` is no name of a variable`)
  return names
}

interface IsolationValues {
  readonly isolate: boolean
  readonly workspace?: readonly string[] | undefined
  readonly 'read-only': boolean
  readonly show?: readonly string[] | undefined
  readonly 'allow-home': boolean
}

function readIsolation(values: IsolationValues): IsolationOptions | undefined {
  const { isolate, workspace: workspaces = [], 'read-only': readOnly, show = [], 'allow-home': allowHome } = values
  const given = [...(workspaces.length > 0 ? ['--workspace'] : []), ...(readOnly ? ['--read-only'] : []), ...(show.length > 0 ? ['--show'] : []), ...(allowHome ? ['--allow-home'] : [])]
  if (!isolate && given[0] !== undefined) throw new UsageError(`${given[0]} is of use with --isolate only: without it the command may do what you may`)
  if (readOnly && workspaces.length > 0) throw new UsageError('give --workspace or --read-only, not both')
  return isolate ? { workspaces, readOnly, show, allowHome } : undefined
}
