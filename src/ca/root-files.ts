// The files of the root: read with care, made once. A file that is there is never replaced here, whatever is wrong
// with it: only what is certainly absent is made, and of several processes that make it at once one wins.
import { randomBytes } from 'node:crypto'
import { constants, type Stats } from 'node:fs'
import { copyFile, link, lstat, mkdir, open, readdir, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { Clock } from '../clock.ts'
import { ProxyError } from '../errors.ts'
import type { Certificate } from './certificate.ts'
import type { RootText } from './root.ts'
import { certificatesIn, messageOf, readSigner, type Signer, unavailable, UnsettledError } from './signer.ts'

export interface RootPaths {
  readonly dir: string
  readonly cert: string
  readonly key: string
}

export interface FileText {
  readonly text: string
  readonly mtimeMs: number
}

/** A root that has been replaced, or is to come: clients are to trust it beside the one that signs. */
export interface KeptRoot {
  readonly path: string
  readonly certificate: Certificate
  readonly role: 'previous' | 'next'
}

const maxBytes = 1_048_576
// another process makes or replaces the pair: it takes milliseconds, and is given a second
const freshMs = 5_000
const stepMs = 25
const maxSteps = 40

export function rootPaths(dir: string): RootPaths {
  return { dir, cert: join(dir, 'root.pem'), key: join(dir, 'root-key.pem') }
}

/** Where a root is prepared before it takes the place of the other. */
export function nextPaths(dir: string): RootPaths {
  return { dir, cert: join(dir, 'root-next.pem'), key: join(dir, 'root-key-next.pem') }
}

/** What changes when either file does. Throws ProxyError `ca_unavailable`. */
export async function stampOf({ cert, key }: RootPaths): Promise<string> {
  const stamps = await Promise.all([cert, key].map(async (path) => {
    try {
      const { dev, ino, size, mode, mtimeNs, ctimeNs } = await stat(path, { bigint: true })
      return [dev, ino, size, mode, mtimeNs, ctimeNs].join(':')
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return 'none'
      throw unreadable(path, error)
    }
  }))
  return stamps.join(' ')
}

/**
 * The pair, judged; undefined when neither file exists. `alsoOwner`: a user who may own the key besides us and root.
 * Throws ProxyError `ca_unavailable`.
 */
export async function loadSigner(paths: RootPaths, clock: Clock, alsoOwner?: number): Promise<Signer | undefined> {
  for (let step = 0; ; step += 1) {
    const key = await readOwn(paths.key, (path, stats) => judgeKeyFile(path, stats, alsoOwner))
    const cert = await readOwn(paths.cert)
    if (cert === undefined && key === undefined) return undefined
    try {
      return readPair(paths, cert, key, clock.now())
    } catch (error) {
      const ageMs = Math.abs(clock.now() - Math.max(cert?.mtimeMs ?? 0, key?.mtimeMs ?? 0))
      if (!(error instanceof UnsettledError) || step >= maxSteps || ageMs > freshMs) throw error
    }
    await wait(stepMs)
  }
}

function readPair(paths: RootPaths, cert: FileText | undefined, key: FileText | undefined, nowMs: number): Signer {
  if (cert === undefined) {
    throw new UnsettledError('ca_unavailable', `${paths.key} is there without ${paths.cert}: restore the certificate from a copy; if there was none yet, because making it was broken off, remove the key and a new root is made`)
  }
  if (key === undefined) {
    throw new UnsettledError('ca_unavailable', `${paths.cert} is there without ${paths.key}: restore the key from a copy, or make a new root with \`sallyport ca rotate\``)
  }
  return readSigner({ certPath: paths.cert, keyPath: paths.key, certText: cert.text, keyText: key.text }, nowMs)
}

/**
 * The text of a regular file of sane size; undefined when it does not exist. Everything else, a link to nothing
 * included, is a ProxyError `ca_unavailable`. `judge` looks at the very file that is read, wherever a link led.
 */
export async function readOwn(path: string, judge?: (path: string, stats: Stats) => void, tries = 5): Promise<FileText | undefined> {
  try {
    // a named pipe must not hold us up
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const stats = await file.stat()
      if (!stats.isFile()) throw unavailable(`${path}: is not a file; move it away, and put the right one there`)
      if (stats.size > maxBytes) throw unavailable(`${path}: has ${stats.size} bytes, which no PEM file of a CA has; put the right file there`)
      judge?.(path, stats)
      return { text: await file.readFile('utf8'), mtimeMs: stats.mtimeMs }
    } finally {
      await file.close()
    }
  } catch (error) {
    if (error instanceof ProxyError) throw error
    if (codeOf(error) !== 'ENOENT') throw unreadable(path, error)
  }
  const entry = await entryOf(path)
  if (entry === undefined) return undefined
  if (entry.isSymbolicLink() || tries === 0) throw unavailable(`${path}: is a link to a file that does not exist; restore that file, or remove the link`)
  // it was placed between the two looks
  return readOwn(path, judge, tries - 1)
}

export async function isThere(path: string): Promise<boolean> {
  return (await entryOf(path)) !== undefined
}

/** What stands under a name, links not followed; undefined when nothing does. */
export async function entryOf(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw unreadable(path, error)
  }
}

/** For root who looks after another user's folder, as `sudo sallyport ca` does: that user. It signs nothing here. */
export async function folderOwner(dir: string): Promise<number | undefined> {
  return process.getuid?.() === 0 ? (await entryOf(dir))?.uid : undefined
}

function judgeKeyFile(path: string, stats: Stats, alsoOwner: number | undefined): void {
  judgeOwner(path, stats, alsoOwner)
  if (process.getuid !== undefined && (stats.mode & 0o077) !== 0) {
    throw unavailable(`${path}: other users may open it (mode ${(stats.mode & 0o777).toString(8).padStart(4, '0')}); \`chmod 600 ${path}\`, and if others may have read it make a new root with \`sallyport ca rotate\``)
  }
}

/** Ours or root's; where users have no numbers everybody's. */
function judgeOwner(path: string, { uid }: Pick<Stats, 'uid'>, alsoOwner: number | undefined): void {
  const ownUid = process.getuid?.()
  if (ownUid === undefined || uid === ownUid || uid === 0 || uid === alsoOwner) return
  throw unavailable(`${path}: belongs to another user (uid ${uid}, and this is ${ownUid}); \`chown ${ownUid} ${path}\` if it is the right file`)
}

/**
 * Puts a new pair where there is none, the key first: whoever places the key has won. Resolves to false, and leaves
 * everything alone, when there is a key already. Throws ProxyError `ca_unavailable`.
 */
export async function placePair({ dir, cert, key }: RootPaths, { certPem, keyPem }: RootText): Promise<boolean> {
  const mark = randomBytes(6).toString('hex')
  const tempKey = join(dir, `.root-key-${mark}.pem`)
  const tempCert = join(dir, `.root-${mark}.pem`)
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 })
    try {
      await writeNew(tempKey, keyPem, 0o600)
      await writeNew(tempCert, certPem, 0o644)
      if (!(await claim(tempKey, key))) return false
      await placeCertificate(tempCert, cert, key)
      return true
    } finally {
      await removeIfThere(tempKey)
      await removeIfThere(tempCert)
    }
  } catch (error) {
    if (error instanceof ProxyError) throw error
    throw unavailable(`${dir}: a root cannot be made there (${messageOf(error)}); let the user of the proxy write to the folder, or put root.pem and root-key.pem into it`, error)
  }
}

/** Without its certificate the key has never been used, and goes again. */
async function placeCertificate(from: string, cert: string, key: string): Promise<void> {
  let placed = false
  try {
    placed = await claim(from, cert)
  } finally {
    if (!placed) await unlink(key)
  }
  if (!placed) throw unavailable(`${cert} appeared while a root was made: put its key into ${key}, or move it away`)
}

/** Gives a file its name, if nothing has it. */
export async function claim(from: string, to: string): Promise<boolean> {
  try {
    try {
      await link(from, to)
    } catch (error) {
      // file systems without hard links
      if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(codeOf(error))) throw error
      await copyFile(from, to, constants.COPYFILE_EXCL)
    }
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
}

/** A file that is new, whole on the disk, and has exactly this mode whatever the umask. */
export async function writeNew(path: string, text: string, mode: number): Promise<void> {
  const file = await open(path, 'wx', mode)
  try {
    await file.chmod(mode)
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

export async function removeIfThere(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
}

/** Roots beside the one that signs which clients are to trust as well, and what was passed over. */
export async function keptRoots(dir: string, nowMs: number, alsoOwner?: number): Promise<{ readonly roots: readonly KeptRoot[]; readonly notices: readonly string[] }> {
  const roots: KeptRoot[] = []
  const notices: string[] = []
  for (const name of (await namesIn(dir)).toSorted()) {
    const mark = /^root-([0-9a-f]{8}|next)\.pem$/.exec(name)?.[1]
    if (mark === undefined) continue
    const path = join(dir, name)
    try {
      const file = await readOwn(path, (at, stats) => judgeOwner(at, stats, alsoOwner))
      for (const certificate of file === undefined ? [] : certificatesIn(file.text, path)) {
        const isNamed = mark === 'next' || certificate.fingerprint.startsWith(mark)
        if (isNamed && certificate.isCa && nowMs <= certificate.notAfterMs) roots.push({ path, certificate, role: mark === 'next' ? 'next' : 'previous' })
      }
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error
      notices.push(error.detail)
    }
  }
  return { roots, notices }
}

/** Names in a folder; none when there is no folder. Throws ProxyError `ca_unavailable`. */
export async function namesIn(dir: string): Promise<string[]> {
  try {
    return await readdir(dir)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return []
    throw unreadable(dir, error)
  }
}

export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

function unreadable(path: string, error: unknown): ProxyError {
  return unavailable(`${path}: cannot be read (${messageOf(error)}); mend that, and nothing is made anew meanwhile`, error)
}
