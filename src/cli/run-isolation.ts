// The isolation of a command: Linux namespaces by way of bubblewrap, without privileges. No network but a bridge to the
// session's socket, no processes and no sockets of others, and a view of the file system in which the proxy is missing.
// What cannot be had is an error; nothing is ever left out in silence.
import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, lstatSync, readdirSync, readFileSync, readlinkSync, realpathSync, statSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, extname, join, resolve } from 'node:path'
import type { Environment } from '../config/environment.ts'
import { aliasesOf, type FileMode, isContained, isWithin, type Mount, otherProcs, planMounts, readMounts, relativeSockets, secretsOf, socketPaths, startPlaces } from './run-places.ts'
import { filteredArchitectures } from './run-seccomp.ts'

/** Where the bridge listens in the namespace of the command. */
export const insidePort = 3128
/** What is ours inside. */
export const insideFolder = '/run/sallyport'
export const insideCa = `${insideFolder}/ca`
export const insideSocket = `${insideFolder}/session/proxy.sock`

/** Said to the person at the terminal: what is missing, and what to do about it. */
export class IsolationError extends Error {
  override readonly name = 'IsolationError'
}

export interface IsolationWish {
  readonly mode: FileMode
  /** of credentials, nothing is hidden */
  readonly allowHome: boolean
  /** folders and files that stay to be seen */
  readonly show: readonly string[]
  readonly cwd: string
  readonly home: string
  readonly env: Environment
  /** the proxy's own, by what it says */
  readonly keepOut: readonly string[]
}

export interface IsolationPlan {
  readonly mounts: readonly Mount[]
  /** what is hidden and is no folder */
  readonly files: ReadonlySet<string>
}

/** What the sandbox is made of beside its mounts. */
export interface Furniture {
  /** ours, of this run: `empty`, and `ca` if there is one */
  readonly folder: string
  /** holds the session's socket */
  readonly socketFolder: string
  readonly cwd: string
  /** the command gets the terminal, and is not given a session without one */
  readonly hasTerminal: boolean
  /** descriptor that the filter of system calls is read from */
  readonly filterFd: number
}

/** The program in this folder that runs inside; `.mts` and `.mjs` need no package.json beside them. */
const inside = `run-inside${extname(import.meta.filename)}`
const insideProgram = `${insideFolder}/${inside.replace(/\.(?=[jt]s$)/, '.m')}`
const programRoot = resolve(import.meta.dirname, '../..')
const emptyFile = 'empty'
/** of every sandbox, the probe's too */
const namespaces = ['--unshare-user', '--unshare-ipc', '--unshare-pid', '--unshare-net', '--unshare-uts', '--unshare-cgroup-try', '--cap-drop', 'ALL', '--die-with-parent']

/** Below /proc, of the whole machine: where we are root the kernel asks for no capability, and bubblewrap 0.8 leaves them writable. */
const kernelSwitches = ['sys', 'sysrq-trigger', 'fs', 'mtrr', 'scsi', 'acpi', 'dynamic_debug']

/** What a machine is, for a test to say otherwise. */
export interface Machine {
  readonly platform: string
  readonly architecture: string
  /** where programs are looked for before PATH */
  readonly folders: readonly string[]
}

const thisMachine: Machine = { platform: process.platform, architecture: process.arch, folders: ['/usr/bin'] }

/** The path of bubblewrap. Throws IsolationError where this machine cannot isolate, with what to do. */
export function findBubblewrap(env: Environment, { platform, architecture, folders }: Machine = thisMachine): string {
  if (platform !== 'linux') throw new IsolationError('--isolate is for Linux: here run the agent in a container (docs/deployment.md), or without --isolate, where the proxy is only advice to it')
  if (!filteredArchitectures.includes(architecture)) throw new IsolationError(`--isolate is for ${filteredArchitectures.join(' and ')}, not for ${architecture}: run the agent in a container (docs/deployment.md)`)
  const bwrap = [...folders, ...(env['PATH'] ?? '').split(delimiter)].map((folder) => join(folder, 'bwrap')).find((path) => path.startsWith('/') && existsSync(path))
  if (bwrap === undefined) throw new IsolationError('--isolate needs bubblewrap, and there is no `bwrap` here: install the package `bubblewrap` (apt, dnf, pacman, zypper and apk have it by that name)')
  const probe = spawnSync(bwrap, [...namespaces, '--ro-bind', '/', '/', '--dev', '/dev', '--proc', '/proc', '/bin/sh', '-c', ':'], { encoding: 'utf8', env: {}, stdio: ['ignore', 'ignore', 'pipe'] })
  if (probe.error !== undefined) throw new IsolationError(`${bwrap} cannot be started (${probe.error.message}): install the package \`bubblewrap\` anew`)
  if (probe.status !== 0) throw new IsolationError(forbiddenText(probe.stderr.trim(), readSwitch))
  return bwrap
}

/** Why the kernel gives this user no namespaces, as far as its switches say. `read`: value of a file of /proc/sys. */
export function forbiddenText(said: string, read: (name: string) => string | undefined): string {
  const remedies = [
    ...(read('kernel/apparmor_restrict_unprivileged_userns') === '1' ? ['AppArmor keeps namespaces from programs without a profile (Ubuntu 23.10 and later): an admin adds a profile for bwrap (docs/run.md), or sets `sysctl kernel.apparmor_restrict_unprivileged_userns=0`'] : []),
    ...(read('kernel/unprivileged_userns_clone') === '0' ? ['an admin sets `sysctl kernel.unprivileged_userns_clone=1`'] : []),
    ...(read('user/max_user_namespaces') === '0' ? ['an admin sets `sysctl user.max_user_namespaces=15000`'] : []),
  ]
  const what = remedies.length > 0 ? remedies.join('; ') : 'in a container, start that one with user namespaces allowed; elsewhere see docs/run.md'
  return `this user may not make the namespaces that --isolate is made of (${said === '' ? 'bwrap said nothing' : said}): ${what}`
}

function readSwitch(name: string): string | undefined {
  return existsSync(`/proc/sys/${name}`) ? readFileSync(`/proc/sys/${name}`, 'latin1').trim() : undefined
}

/** Looks at the system and decides what the command will see. Throws PlaceError or IsolationError. */
export function planIsolation(wish: IsolationWish): IsolationPlan {
  const { mode, show, cwd, home, env } = wish
  const table = readMounts(readFileSync('/proc/self/mountinfo', 'utf8'))
  const keepOut = realPaths(wish.keepOut).flatMap((path) => [path, ...realPaths(aliasesOf(path, table))])
  const program = [programRoot, realpathSync(process.execPath)]
  const shown = [...new Set([realpathSync(cwd), ...realPaths([home]), ...program, ...show])]
  const runtime = env['XDG_RUNTIME_DIR'] ?? ''
  const privates = realPaths(['/tmp', '/var/tmp', '/run', '/var/run', ...(runtime.startsWith('/') ? [runtime] : [])])
  const open = readFileSync('/proc/net/unix', 'utf8')
  const mounts = planMounts({
    mode,
    // a home that is the root, as services have it, is everything
    shown: shown.filter((path) => path !== '/'),
    keepOut,
    secrets: wish.allowHome ? [] : realPaths(secretsOf(home)),
    sockets: [...realPaths(socketPaths(open, foldersOfSockets(new Set(relativeSockets(open))))), ...realPaths(otherProcs(table))],
    privates: privates.filter((path) => path !== '/'),
  })
  refuseLinks(wish.keepOut, mounts)
  const hidden = mounts.filter(({ kind }) => kind === 'hide').map(({ path }) => ({ path, found: statSync(path, { throwIfNoEntry: false }) }))
  // a socket may be gone again
  const gone = new Set(hidden.filter(({ found }) => found === undefined).map(({ path }) => path))
  return {
    mounts: mounts.filter(({ path }) => !gone.has(path)),
    files: new Set(hidden.filter(({ found }) => found?.isDirectory() === false).map(({ path }) => path)),
  }
}

/** A link on the way to the proxy's own cannot be fixed as a folder can: whoever may write beside it leads the proxy elsewhere. */
function refuseLinks(keepOut: readonly string[], mounts: readonly Mount[]): void {
  for (const path of keepOut) {
    for (let at = path; at !== '/'; at = dirname(at)) {
      if (lstatSync(at, { throwIfNoEntry: false })?.isSymbolicLink() !== true) continue
      const folder = realPathOf(dirname(at))
      const isOpen = folder !== undefined && mounts.findLast((mount) => isWithin(folder, mount.path))?.kind === 'bind' && isWritable(folder)
      if (isOpen) throw new IsolationError(`\`${at}\` is a link on the way to what is the proxy's own, in a folder that the command may write: start the proxy with the path that it leads to`)
    }
  }
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error) return false
    throw error
  }
}

/** Whether such a session may be called isolated: nothing that the command writes makes anything outside act for it. */
export function isVouchedFor({ mode, home, keepOut }: Pick<IsolationWish, 'mode' | 'home' | 'keepOut'>): boolean {
  const places = [...keepOut, programRoot, process.execPath, ...startPlaces(home)]
  return isContained(mode, { home: realPathOf(home) ?? home, places: [...places, ...realPaths(places)] })
}

/** The working folders of the programs that have these sockets, by inode, as far as they may be looked at. */
function foldersOfSockets(inodes: ReadonlySet<string>): ReadonlyMap<string, readonly string[]> {
  const folders = new Map<string, string[]>()
  if (inodes.size === 0) return folders
  for (const pid of entriesOf('/proc').filter((name) => /^\d+$/.test(name))) {
    for (const fd of entriesOf(`/proc/${pid}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${fd}`) ?? '')?.[1]
      const folder = inode !== undefined && inodes.has(inode) ? linkOf(`/proc/${pid}/cwd`) : undefined
      if (inode !== undefined && folder !== undefined) folders.set(inode, [...(folders.get(inode) ?? []), folder])
    }
  }
  return folders
}

/** None where it is gone, or is not for this user to see. */
function entriesOf(path: string): readonly string[] {
  return orNothing(() => readdirSync(path)) ?? []
}

function linkOf(path: string): string | undefined {
  return orNothing(() => readlinkSync(path))
}

/** Those that exist and may be looked at, without links and repeats: nobody else gets to what this user may not see. */
export function realPaths(paths: readonly string[]): readonly string[] {
  return [...new Set(paths.flatMap((path) => realPathOf(path) ?? []))]
}

function realPathOf(path: string): string | undefined {
  return orNothing(() => realpathSync(path))
}

/** Undefined for what the system refuses. */
function orNothing<Value>(look: () => Value): Value | undefined {
  try {
    return look()
  } catch (error) {
    if (error instanceof Error && 'code' in error) return undefined
    throw error
  }
}

/** The options of bubblewrap. They name what is hidden, so they are handed over where the inside does not see them. Writes an empty file into `folder`. */
export function bubblewrapOptions({ mounts, files }: IsolationPlan, furniture: Furniture): readonly string[] {
  const { folder, socketFolder, cwd, hasTerminal, filterFd } = furniture
  const empty = join(folder, emptyFile)
  writeFileSync(empty, '', { mode: 0o444 })
  const [root, ...rest] = mounts
  const resolvConf = resolvConfPath()
  return [
    ...namespaces,
    ...(hasTerminal ? [] : ['--new-session']),
    ...(root?.kind === 'bind' ? ['--bind', '/', '/'] : ['--ro-bind', '/', '/']),
    '--dev', '/dev', '--proc', '/proc', ...kernelSwitches.flatMap((name) => ['--ro-bind-try', `/proc/${name}`, `/proc/${name}`]), '--ro-bind-try', '/sys', '/sys',
    ...rest.flatMap((mount) => mountArgs(mount, files, empty)),
    // after all that is mounted below them
    ...rest.flatMap(({ kind, path }) => (kind === 'hide' && !files.has(path) ? ['--remount-ro', path] : [])),
    ...(resolvConf === undefined ? [] : ['--ro-bind', empty, resolvConf]),
    '--tmpfs', insideFolder,
    '--ro-bind', socketFolder, dirname(insideSocket),
    '--ro-bind', join(import.meta.dirname, inside), insideProgram,
    ...(existsSync(join(folder, 'ca')) ? ['--ro-bind', join(folder, 'ca'), insideCa] : []),
    '--remount-ro', insideFolder,
    '--chdir', cwd,
    '--seccomp', String(filterFd),
  ]
}

/** What bubblewrap runs: the bridge, which starts the command. */
export function insideCommand(): readonly string[] {
  return [realpathSync(process.execPath), insideProgram]
}

function mountArgs({ kind, path }: Mount, files: ReadonlySet<string>, empty: string): readonly string[] {
  if (kind === 'bind') return ['--bind', path, path]
  if (kind === 'read') return ['--ro-bind', path, path]
  if (kind === 'private') return ['--perms', '1777', '--tmpfs', path]
  return files.has(path) ? ['--ro-bind', empty, path] : ['--tmpfs', path]
}

/** Where programs read their name servers: often a link into a folder that is empty inside. */
function resolvConfPath(): string | undefined {
  const path = '/etc/resolv.conf'
  return lstatSync(path, { throwIfNoEntry: false }) === undefined ? undefined : realPathOf(path)
}
