// What an isolated command sees of the file system: a plan of mounts, outermost first, so that the nearest one says
// what a place is. What is the proxy's is hidden whatever else is asked for. Pure: the system is looked at elsewhere.
import { basename, dirname, join, resolve, sep } from 'node:path'

/** `bind`: as outside; `read`: as outside, not to be written; `private`: empty, writable, gone with the command; `hide`: empty. */
export type Kind = 'bind' | 'read' | 'private' | 'hide'

export interface Mount {
  readonly kind: Kind
  /** absolute, without links */
  readonly path: string
}

/** `open`: everything as outside but what is hidden; `workspace`: these folders alone may be written; `read`: none. */
export type FileMode = { readonly kind: 'open' } | { readonly kind: 'workspace'; readonly folders: readonly string[] } | { readonly kind: 'read' }

export interface Wanted {
  readonly mode: FileMode
  /** seen as outside wherever it is: the working folder first, home, our program, what is asked for */
  readonly shown: readonly string[]
  /** the proxy's: hidden, and the way to them fixed */
  readonly keepOut: readonly string[]
  /** credentials and the like */
  readonly secrets: readonly string[]
  /** unix sockets of programs outside */
  readonly sockets: readonly string[]
  /** empty and writable: folders for temporary files and of sockets */
  readonly privates: readonly string[]
}

/** A wish that cannot be granted; `message` is for the person at the terminal. */
export class PlaceError extends Error {
  override readonly name = 'PlaceError'
}

/** All paths absolute and without links. The first mount is the root's. Throws PlaceError. */
export function planMounts({ mode, shown, keepOut, secrets, sockets, privates }: Wanted): readonly Mount[] {
  const folders = mode.kind === 'workspace' ? mode.folders : []
  for (const place of [...folders, ...shown]) refuseOwned(place, keepOut)
  // a way to what is in another of them would be a way into that one
  const own = keepOut.filter((path, at) => keepOut.indexOf(path) === at && !keepOut.some((other) => other !== path && isWithin(path, other)))
  const root: Mount = { kind: mode.kind === 'open' ? 'bind' : 'read', path: '/' }
  const byPath = new Map<string, Kind>()
  // what is said later counts where two speak of one place
  const put = (kind: Kind, paths: readonly string[]): void => {
    for (const path of paths) byPath.set(path, kind)
  }
  put('private', privates)
  put('hide', secrets)
  put('bind', folders)
  for (const path of shown.toSorted(byDepth)) if (!isVisible(path, [root, ...outermostFirst(byPath)])) put(root.kind, [path])
  const said = [root, ...outermostFirst(byPath)]
  put('bind', own.flatMap((path) => wayTo(path, said)).filter((path) => !byPath.has(path)))
  put('hide', [...own, ...sockets].filter((path) => isVisible(path, said)))
  const mounts = outermostFirst(byPath)
  return [root, ...mounts.filter((mount) => !isLost(mount, mounts))]
}

/** Below what is the proxy's there is nothing to be seen. */
function refuseOwned(place: string, keepOut: readonly string[]): void {
  const owner = keepOut.find((path) => isWithin(place, path))
  if (owner !== undefined) throw new PlaceError(`\`${place}\` is in \`${owner}\`, which is the proxy's own and hidden from the command: choose another folder`)
}

function outermostFirst(byPath: ReadonlyMap<string, Kind>): Mount[] {
  return Array.from(byPath, ([path, kind]) => ({ path, kind })).toSorted((one, other) => byDepth(one.path, other.path))
}

function byDepth(one: string, other: string): number {
  return depthOf(one) - depthOf(other) || (one < other ? -1 : 1)
}

/** What is hidden below something that is hidden or private needs no mount of its own, and there is nothing to mount it on. */
function isLost({ kind, path }: Mount, mounts: readonly Mount[]): boolean {
  if (kind !== 'hide') return false
  const nearest = mounts.findLast((other) => other.path !== path && isWithin(path, other.path))
  return nearest?.kind === 'hide' || nearest?.kind === 'private'
}

function isVisible(path: string, mounts: readonly Mount[]): boolean {
  const nearest = mounts.findLast((mount) => isWithin(path, mount.path))
  return nearest?.kind === 'bind' || nearest?.kind === 'read'
}

/**
 * The folders on the way to a place, where those may be written: mounted on themselves they cannot be moved away, so
 * that nobody puts another place where the proxy looks for its own.
 */
function wayTo(path: string, mounts: readonly Mount[]): readonly string[] {
  const way: string[] = []
  for (let at = dirname(path); at !== '/'; at = dirname(at)) {
    if (mounts.findLast((mount) => isWithin(at, mount.path))?.kind === 'bind') way.push(at)
  }
  return way
}

/** Places outside that act on what is written in them. */
export interface Trusted {
  /** the proxy, its program and settings, and where shells and desktops look for programs; whether or not they exist */
  readonly places: readonly string[]
  readonly home: string
}

/** Whether the command can write nothing that makes the proxy, or the user's shell and desktop, act for it. */
export function isContained(mode: FileMode, { places, home }: Trusted): boolean {
  if (mode.kind !== 'workspace') return mode.kind === 'read'
  return !mode.folders.some((folder) => isWithin(home, folder) || places.some((place) => isWithin(place, folder) || isWithin(folder, place)))
}

/** Where a user's shell and desktop look for what they run. */
export function startPlaces(home: string): readonly string[] {
  return ['.config', '.local', 'bin', '.ssh', '.gnupg'].map((name) => join(home, name))
}

/** Folders and files of a home that hold what proves who somebody is, by names that programs have for them. */
const secretNames = [
  '.ssh', '.gnupg', '.aws', '.azure', '.config/gcloud', '.config/gh', '.config/glab-cli', '.config/op', '.config/hub', '.config/rclone', '.config/doctl', '.config/heroku', '.kube', '.docker', '.config/containers',
  '.netrc', '.git-credentials', '.config/git/credentials', '.npmrc', '.yarnrc.yml', '.pypirc', '.gem/credentials', '.cargo/credentials', '.cargo/credentials.toml', '.m2/settings.xml', '.m2/settings-security.xml',
  '.gradle/gradle.properties', '.terraform.d', '.terraformrc', '.vault-token', '.password-store', '.local/share/keyrings', '.local/share/kwalletd', '.pgpass', '.my.cnf', '.s3cfg', '.boto', '.oci', '.fly', '.wrangler',
  '.databrickscfg', '.snowflake', '.mozilla', '.config/google-chrome', '.config/chromium', '.config/BraveSoftware', '.config/microsoft-edge', '.thunderbird', '.1password', '.config/1Password', '.config/Bitwarden',
  '.bash_history', '.zsh_history', '.python_history', '.node_repl_history', '.psql_history', '.lesshst', '.local/share/fish/fish_history',
] as const

export function secretsOf(home: string): readonly string[] {
  return secretNames.map((name) => join(home, name))
}

interface MountLine {
  readonly device: string
  /** path of the mounted folder in its own file system */
  readonly root: string
  readonly path: string
  readonly type: string
}

/** Lines of proc_pid_mountinfo(5). */
export function readMounts(mountinfo: string): readonly MountLine[] {
  return mountinfo.split('\n').flatMap((line) => {
    const words = line.split(' ')
    const [device = '', root = '', path = ''] = words.slice(2, 5)
    const type = words[words.indexOf('-') + 1] ?? ''
    return words.length < 10 ? [] : [{ device, root: unescaped(root), path: unescaped(path), type }]
  })
}

/** Spaces and backslashes are written in octal. */
function unescaped(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCodePoint(Number.parseInt(octal, 8)))
}

/** Other paths to the same place, where its file system is mounted more than once. */
export function aliasesOf(path: string, mounts: readonly MountLine[]): readonly string[] {
  // a later mount on the same place covers the earlier one
  const own = mounts.reduce<MountLine | undefined>((best, mount) => (isWithin(path, mount.path) && (best === undefined || mount.path.length >= best.path.length) ? mount : best), undefined)
  if (own === undefined) return []
  const inside = resolve(own.root, `.${sep}${path.slice(own.path === '/' ? 1 : own.path.length + 1)}`)
  return mounts
    .filter((mount) => mount !== own && mount.device === own.device && isWithin(inside, mount.root))
    .map((mount) => resolve(mount.path, `.${sep}${inside.slice(mount.root === '/' ? 1 : mount.root.length + 1)}`))
    .filter((alias) => alias !== path)
}

/** Processes of everybody, where `/proc` is mounted a second time. */
export function otherProcs(mounts: readonly MountLine[]): readonly string[] {
  return mounts.filter(({ type, path }) => type === 'proc' && path !== '/proc').map(({ path }) => path)
}

/** A line of /proc/net/unix with a path. */
const socketLine = /^[0-9a-f]+: (?:\S+ +){5}(\d+) ([^@].*)$/i

/** Inodes of the sockets whose path is relative: to where their program was when it opened them. */
export function relativeSockets(table: string): readonly string[] {
  return table.split('\n').flatMap((line) => {
    const [, inode, path = '/'] = socketLine.exec(line) ?? []
    return inode === undefined || path.startsWith('/') ? [] : [inode]
  })
}

/** Paths of the unix sockets that programs have open, from the text of /proc/net/unix. `foldersOf`: by a socket's inode. */
export function socketPaths(table: string, foldersOf: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const paths = table.split('\n').flatMap((line) => {
    const [, inode = '', path = ''] = socketLine.exec(line) ?? []
    if (path === '' || path.startsWith('/')) return path === '' ? [] : [path]
    return (foldersOf.get(inode) ?? []).map((folder) => join(folder, path))
  })
  return [...new Set(paths)]
}

/** Whether `path` is `folder` or something in it. */
export function isWithin(path: string, folder: string): boolean {
  return path === folder || folder === '/' || path.startsWith(`${folder}${sep}`)
}

function depthOf(path: string): number {
  return path === '/' ? 0 : path.split(sep).length
}

/** What a command is called: the agent's name, where none is given. */
export function nameOf(command: string): string {
  return basename(command).replace(/\.(?:exe|cmd|sh|js|mjs|ts|py)$/i, '')
}
