// The matrix: every real client that is tried, how it is found on this machine, and the command line with
// which its users would reach for a host.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ask, type Program } from './client-run.ts'
import type { Scheme } from './client-world.ts'

export const clientNames = ['curl', 'wget', 'git', 'npm', 'pip', 'python-urllib', 'node-fetch', 'node-https', 'node-http'] as const
export type ClientName = (typeof clientNames)[number]

export interface Client {
  readonly schemes: readonly Scheme[]
  /** the program on this machine; undefined where there is none */
  find(): Program | undefined
  /** arguments, after the program's own, that reach for `base` (a URL without a path) */
  reach(base: string): readonly string[]
  /** the command line as the page shows it */
  shown(base: string): string
}

const both: readonly Scheme[] = ['https', 'http']

const urllibProgram = 'import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode())'
const fetchProgram = 'const r = await fetch(process.argv[1]); console.log(r.status, r.statusText); console.log(await r.text())'
const getProgram = (module: Scheme): string =>
  `import { get } from 'node:${module}'; get(process.argv[1], (r) => { console.log(r.statusCode, r.statusMessage); r.pipe(process.stdout) })`

/** without the second and third try of what failed, which come 10 s later and more */
function npmInstall(base: string): string[] {
  return ['install', '--fetch-retries=0', `--registry=${base}/`, 'harness']
}

/** fewer tries than its five, which take 9 s; over http it ignores a host that is not called trusted */
function pipDownload(base: string): string[] {
  const trusted = base.startsWith('http:') ? [`--trusted-host=${new URL(base).hostname}`] : []
  return ['download', '--retries=1', ...trusted, `--index-url=${base}/simple/`, 'harness']
}

export const clients: Readonly<Record<ClientName, Client>> = {
  curl: {
    schemes: both,
    find: () => program('curl', ['--version'], /^curl (\S+)/),
    reach: (base) => ['-sS', `${base}/`],
    shown: (base) => `curl -sS ${base}/`,
  },
  wget: {
    schemes: both,
    find: () => program('wget', ['--version'], /^GNU Wget (\S+)/),
    reach: (base) => ['-O', '-', `${base}/`],
    shown: (base) => `wget -O - ${base}/`,
  },
  git: {
    schemes: both,
    find: () => program('git', ['--version'], /^git version (\d[\d.]*\d)/),
    reach: (base) => ['clone', `${base}/repo.git`],
    shown: (base) => `git clone ${base}/repo.git`,
  },
  npm: {
    schemes: both,
    find: () => program('npm', ['--version'], /^(\d\S*)/),
    reach: npmInstall,
    shown: (base) => `npm ${npmInstall(base).join(' ')}`,
  },
  pip: {
    schemes: both,
    find: findPip,
    reach: pipDownload,
    shown: (base) => `pip ${pipDownload(base).join(' ')}`,
  },
  'python-urllib': {
    schemes: both,
    find: findPython,
    reach: (base) => ['-c', urllibProgram, `${base}/`],
    shown: (base) => `python3 -c '… urllib.request.urlopen("${base}/") …'`,
  },
  'node-fetch': {
    schemes: both,
    find: findNode,
    reach: (base) => ['--input-type=module', '-e', fetchProgram, `${base}/`],
    shown: (base) => `node -e '… await fetch("${base}/") …'`,
  },
  'node-https': {
    schemes: ['https'],
    find: findNode,
    reach: (base) => ['--input-type=module', '-e', getProgram('https'), `${base}/`],
    shown: (base) => `node -e '… https.get("${base}/", …) …'`,
  },
  'node-http': {
    schemes: ['http'],
    find: findNode,
    reach: (base) => ['--input-type=module', '-e', getProgram('http'), `${base}/`],
    shown: (base) => `node -e '… http.get("${base}/", …) …'`,
  },
}

export interface FoundClient {
  readonly program: Program
  /** for a test that needs it: skipped by name where the client is not on this machine */
  readonly options: { readonly skip?: string }
}

export function findClient(name: ClientName): FoundClient {
  const found = clients[name].find()
  if (found !== undefined) return { program: found, options: {} }
  return { program: { command: name, args: [], version: '' }, options: { skip: `${name} is not on this machine` } }
}

/** git's own server program, where this machine's git has one. */
export function gitHttpBackend(): string | undefined {
  const folder = ask('git', ['--exec-path'])
  const path = folder === undefined ? undefined : join(folder, 'git-http-backend')
  return path !== undefined && existsSync(path) ? path : undefined
}

function program(command: string, args: readonly string[], versionLine: RegExp): Program | undefined {
  const version = versionLine.exec(ask(command, args) ?? '')?.[1]
  return version === undefined ? undefined : { command, args: [], version }
}

function findNode(): Program {
  return { command: process.execPath, args: [], version: process.versions.node }
}

/** The interpreter itself: a version manager's shim would look for its files in the clients' HOME. */
function findPython(): Program | undefined {
  const [command, version] = (ask('python3', ['-c', 'import sys, platform; print(sys.executable, platform.python_version(), sep="\\n")']) ?? '').split('\n')
  return command === undefined || version === undefined ? undefined : { command, args: [], version }
}

function findPip(): Program | undefined {
  for (const python of [findPython()?.command, '/usr/bin/python3']) {
    const version = python === undefined ? undefined : /^pip (\S+)/.exec(ask(python, ['-m', 'pip', '--version']) ?? '')?.[1]
    if (python !== undefined && version !== undefined) return { command: python, args: ['-m', 'pip'], version }
  }
  return undefined
}
