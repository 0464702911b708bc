// Runs a real client as a user would, behind the proxy: a folder of its own as HOME, nothing of this
// machine's environment but PATH, the proxy and the test's CA named as each client wants it, and a time
// limit. It never lets a client reach anything but the proxy it was given.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { keptModules } from './kept-modules.ts'
import type { Scope } from './scope.ts'

const timeoutMs = 40_000

/** the node of this run first, so that npm and Node's own clients are of one version everywhere */
const searchPath = [dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter)

export interface Program {
  readonly command: string
  readonly args: readonly string[]
  readonly version: string
}

export interface ClientRun {
  readonly exitCode: number
  /** standard output and standard error, in the order written */
  readonly output: string
}

export interface ClientHome {
  /** HOME and working directory of every client that runs here */
  readonly dir: string
  readonly caFile: string
  run(command: string, args: readonly string[], options?: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> }): Promise<ClientRun>
}

/** A home for clients of the proxy at `proxyUrl` that trust `ca` (PEM). */
export function clientHome(scope: Scope, proxyUrl: string, ca: string): ClientHome {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-client-'))
  scope.teardown(() => rmSync(dir, { recursive: true, force: true, maxRetries: 3 }))
  mkdirSync(join(dir, 'tmp'))
  const caFile = join(dir, 'ca.pem')
  writeFileSync(caFile, ca)
  writeFileSync(join(dir, '.wgetrc'), `ca_certificate = ${caFile}\n`)
  const environment = clientEnvironment(dir, proxyUrl, caFile)
  let runs = 0
  return {
    dir,
    caFile,
    run: (command, args, options = {}) => {
      runs += 1
      return runClient(command, args, { cwd: options.cwd ?? dir, env: { ...environment, ...options.env }, log: join(dir, 'tmp', `output-${runs}`) })
    },
  }
}

/** Whether `command` runs here, asked in this process's own environment; its output if it does. */
export function ask(command: string, args: readonly string[]): string | undefined {
  const { status, stdout } = spawnSync(command, args, { encoding: 'utf8', timeout: timeoutMs, env: { ...process.env, PATH: searchPath, NODE_OPTIONS: '' }, stdio: ['ignore', 'pipe', 'ignore'] })
  return status === 0 ? stdout.trim() : undefined
}

function clientEnvironment(dir: string, proxyUrl: string, caFile: string): Record<string, string> {
  return {
    ...keptModules,
    PATH: searchPath,
    HOME: dir,
    TMPDIR: join(dir, 'tmp'),
    LC_ALL: 'C',
    HTTPS_PROXY: proxyUrl,
    https_proxy: proxyUrl,
    HTTP_PROXY: proxyUrl,
    http_proxy: proxyUrl,
    NO_PROXY: '',
    no_proxy: '',
    NODE_USE_ENV_PROXY: '1',
    CURL_CA_BUNDLE: caFile,
    SSL_CERT_FILE: caFile,
    NODE_EXTRA_CA_CERTS: caFile,
    GIT_SSL_CAINFO: caFile,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_AUTHOR_NAME: 'tester',
    GIT_AUTHOR_EMAIL: 'tester@origin.test',
    GIT_COMMITTER_NAME: 'tester',
    GIT_COMMITTER_EMAIL: 'tester@origin.test',
    npm_config_cafile: caFile,
    npm_config_globalconfig: join(dir, 'npmrc'),
    npm_config_update_notifier: 'false',
    npm_config_fund: 'false',
    PIP_CONFIG_FILE: '/dev/null',
    PIP_CERT: caFile,
    PIP_DISABLE_PIP_VERSION_CHECK: '1',
    PIP_NO_INPUT: '1',
  }
}

interface RunOptions {
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly log: string
}

/** Both streams go to one file, as they go to one terminal: the order of the lines is the client's own. */
async function runClient(command: string, args: readonly string[], { cwd, env, log }: RunOptions): Promise<ClientRun> {
  const file = openSync(log, 'w')
  try {
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', file, file], timeout: timeoutMs, killSignal: 'SIGKILL' })
    const [exitCode] = (await once(child, 'exit')) as [number | null]
    const output = readFileSync(log, 'utf8')
    if (exitCode === null) throw new Error(`${command} ${args.join(' ')} did not end within ${timeoutMs} ms:\n${output}`)
    return { exitCode, output }
  } finally {
    closeSync(file)
  }
}
