// Where a command finds the control API, and as whom it speaks: the options that all of them share.
import { readFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { controlToken, type Environment } from '../config/environment.ts'
import { loadSettings } from '../config/load.ts'
import { isLoopback } from '../config/load-rules.ts'
import { ControlClient, type ControlPlace } from './control-client.ts'
import { type CommandIo, UsageError } from './run.ts'

/** For node:util parseArgs. */
export const controlOptions = {
  data: { type: 'string' },
  config: { type: 'string' },
  url: { type: 'string' },
  token: { type: 'string' },
  'token-file': { type: 'string' },
  json: { type: 'boolean', default: false },
} as const

export const controlOptionsHelp = `  --data DIR         data folder of the running proxy (default: as for \`start\`, var/)
  --config FILE      settings file that may name it (default: sallyport.toml, if it exists)
  --url URL          a control listener instead of the data folder's socket; https off this machine
  --token-file FILE  file with the token to speak with; or the variable SALLYPORT_TOKEN
  --token TOKEN      the token itself; others on this machine may see it while the command starts
  --json             what the API says, as JSON
`

export interface ControlFlags {
  readonly data?: string | undefined
  readonly config?: string | undefined
  readonly url?: string | undefined
  readonly token?: string | undefined
  readonly 'token-file'?: string | undefined
}

/** A client for where the command line points; undefined when the settings are wrong: said on stderr, and the command ends with 1. */
export function connectControl(flags: ControlFlags, io: CommandIo, env: Environment): ControlClient | undefined {
  const token = readToken(flags, io, env)
  if (flags.url !== undefined) {
    if (flags.data !== undefined) throw new UsageError('give --url or --data, not both')
    return new ControlClient({ kind: 'url', url: readUrl(flags.url, token !== undefined), token })
  }
  const folder = dataFolder(flags, io, env)
  if (folder === undefined) return undefined
  const path = join(folder, 'control.sock')
  return new ControlClient({ kind: 'socket', path: shortest(path), shownPath: shown(path, io.cwd), shownFolder: shown(folder, io.cwd), token } satisfies ControlPlace)
}

function dataFolder({ data, config }: ControlFlags, io: CommandIo, env: Environment): string | undefined {
  if (data !== undefined) return resolve(io.cwd, data)
  const { settings, problems } = loadSettings({ flags: { config }, env, cwd: io.cwd, secrets: 'unused' })
  if (settings !== undefined) return resolve(io.cwd, settings.dataDir)
  for (const { where, message } of problems) io.err(`${where}: error: ${message}\n`)
  return undefined
}

function readToken(flags: ControlFlags, io: CommandIo, env: Environment): string | undefined {
  const { token, 'token-file': file } = flags
  if (token !== undefined && file !== undefined) throw new UsageError('give --token or --token-file, not both')
  // what was on the command line is not left there for `ps`
  if (token !== undefined) process.title = 'sallyport'
  const text = token ?? (file === undefined ? controlToken(env) : readTokenFile(resolve(io.cwd, file), file))
  if (text === undefined) return undefined
  const trimmed = text.trim()
  if (!/^[\w.~+/=-]{1,512}$/.test(trimmed)) throw new UsageError('the token holds characters that no token has')
  return trimmed
}

function readTokenFile(path: string, shownPath: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : undefined
    if (code === undefined) throw error
    throw new UsageError(`the token file \`${shownPath}\` cannot be read (${code})`)
  }
}

/** Never quoted when it may hold a secret. */
function readUrl(text: string, hasToken: boolean): URL {
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) throw new UsageError('--url wants a URL of http or https, such as `https://sallyport.example:3129`')
  if (url.username !== '' || url.password !== '') throw new UsageError('--url may hold no user name and no password: the token goes into SALLYPORT_TOKEN or --token-file')
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (url.protocol === 'http:' && hasToken && host !== 'localhost' && !isLoopback(host)) {
    throw new UsageError(`a token is not sent in the clear to \`${url.host}\`: use https`)
  }
  return url
}

/** A socket's path may have a hundred bytes or so: the shorter way to the same file. */
function shortest(path: string): string {
  const near = relative(process.cwd(), path)
  return near.length < path.length ? near : path
}

/** Relative to where the person is, when that is shorter. */
function shown(path: string, cwd: string): string {
  const near = relative(cwd, path)
  return near !== '' && !near.startsWith('..') ? near : path
}
