// Reads what a policy is made of: the managed file, policies/*.toml, 90-approved.toml and the feed
// files they name. What cannot be read is an error problem, never skipped: a layer that is silently
// missing would open what it denied. Nothing is compiled here and nothing is cached.
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { access, open, readdir, stat } from 'node:fs/promises'
import { isUtf8 } from 'node:buffer'
import { basename, dirname, join, resolve } from 'node:path'
import { feedPaths } from '../policy/compile.ts'
import type { Problem, SourceFile } from '../policy/compile.ts'
import { maxRootsBytes, rootsFiles, wrongRoots } from './origin-roots.ts'

/** Where sallyport looks for a managed layer when no `--requirements` names one. */
export const managedDefault = '/etc/sallyport/requirements.toml'
/** The one file of the policy folder that sallyport writes itself. */
export const approvedFileName = '90-approved.toml'
const maxFileBytes = 512 * 1024 * 1024

export interface PolicyPlaces {
  readonly policiesDir: string
  /** the managed layer; `mustExist` where it was named by the operator or was there before */
  readonly managed: { readonly path: string; readonly mustExist: boolean }
  /** text to read in place of `90-approved.toml`, whether that exists or not */
  readonly approved?: string | undefined
}

export interface Reading {
  readonly sources: readonly SourceFile[]
  /** keyed as `feedPaths` spells them, so that compile finds them */
  readonly feeds: ReadonlyMap<string, Uint8Array>
  /** keyed as `caPaths` spells them */
  readonly caFiles: ReadonlyMap<string, Uint8Array>
  readonly problems: readonly Problem[]
  /** the managed file, the feed files and those of roots: what to watch outside the listing of the policy folder */
  readonly files: readonly string[]
  readonly managedFound: boolean
  /** what `stampOf(policiesDir, files)` was just before each file was read */
  readonly stamp: string
  /** SHA-256 over everything read and everything missed, hex */
  readonly fingerprint: string
}

/** Reads all layers. Never throws for what is on the disk: that is in `problems`. */
export async function readPolicy(places: PolicyPlaces): Promise<Reading> {
  const problems: Problem[] = []
  const sources: SourceFile[] = []
  const { path: managedPath, mustExist } = places.managed
  const managedStamp = await stampFile(managedPath)
  const managed = await readSource(managedPath, 'managed', mustExist ? problems : undefined, problems)
  if (managed !== undefined) {
    sources.push(managed)
    problems.push(...(await warnIfWritable(managedPath)))
  }
  const { approved } = places
  const listed = await listPolicyFiles(places.policiesDir, problems)
  const names = approved === undefined || listed.includes(approvedFileName) ? listed : inByteOrder([...listed, approvedFileName])
  const stamps: string[] = [names.join('/')]
  for (const name of names) {
    const path = join(places.policiesDir, name)
    stamps.push(await stampFile(path))
    const isApproved = name === approvedFileName
    const source = isApproved && approved !== undefined
      ? { path, layer: 'approved' as const, text: approved }
      : await readSource(path, isApproved ? 'approved' : 'policy', problems, problems)
    if (source !== undefined) sources.push(source)
  }
  if (sources.length === 0 && problems.length === 0) {
    problems.push(problem(places.policiesDir, 'no policy file here (`*.toml`)'))
  }
  stamps.push(managedStamp)
  const feeds = await readFeeds(sources, problems)
  const roots = await readRoots(sources, problems)
  stamps.push(...feeds.stamps, ...roots.stamps)
  return {
    sources,
    feeds: feeds.bytes,
    caFiles: roots.bytes,
    problems,
    files: [managedPath, ...feeds.files, ...roots.files],
    managedFound: managed !== undefined,
    stamp: stamps.join('\n'),
    fingerprint: fingerprintOf(sources, new Map([...feeds.bytes, ...roots.bytes]), problems),
  }
}

/** Reads the given files alone, as `sallyport check FILES` does. */
export async function readFiles(paths: readonly string[], managedPath: string | undefined): Promise<Pick<Reading, 'sources' | 'feeds' | 'caFiles' | 'problems'>> {
  const problems: Problem[] = []
  const sources: SourceFile[] = []
  if (managedPath !== undefined && !paths.includes(managedPath)) {
    const managed = await readSource(managedPath, 'managed', problems, problems)
    if (managed !== undefined) sources.push(managed)
  }
  for (const path of paths) {
    const source = await readSource(path, layerOf(path, managedPath), problems, problems)
    if (source !== undefined) sources.push(source)
  }
  const feeds = await readFeeds(sources, problems)
  const roots = await readRoots(sources, problems)
  return { sources, feeds: feeds.bytes, caFiles: roots.bytes, problems }
}

function layerOf(path: string, managedPath: string | undefined): SourceFile['layer'] {
  if (path === managedPath || basename(path) === 'requirements.toml') return 'managed'
  return basename(path) === approvedFileName ? 'approved' : 'policy'
}

/**
 * One string that changes when the listing of the policy folder, or the identity, size or times of
 * any file in it or in `files` change. Symbolic links are followed, so a swapped mount shows.
 */
export async function stampOf(policiesDir: string, files: readonly string[]): Promise<string> {
  const names = await listPolicyFiles(policiesDir, [])
  const paths = [...names.map((name) => join(policiesDir, name)), ...files]
  return [names.join('/'), ...(await Promise.all(paths.map(stampFile)))].join('\n')
}

async function stampFile(path: string): Promise<string> {
  try {
    const stats = await stat(path, { bigint: true })
    return `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeNs}:${stats.ctimeNs}`
  } catch (error) {
    return errnoOf(error)
  }
}

/** Names of the policy files in byte order. Hidden files (editors' locks, kubelet's links) are not policies. */
async function listPolicyFiles(dir: string, problems: Problem[]): Promise<string[]> {
  try {
    const entries = await readdir(dir, { withFileTypes: true })
    const files = entries.filter((entry) => entry.name.endsWith('.toml') && !entry.name.startsWith('.') && !entry.isDirectory())
    return inByteOrder(files.map((entry) => entry.name))
  } catch (error) {
    problems.push(problem(dir, `the policy folder cannot be read: ${whyNot(error)}`))
    return []
  }
}

function inByteOrder(names: readonly string[]): string[] {
  return names.toSorted((a, b) => (a < b ? -1 : 1))
}

async function readSource(
  path: string,
  layer: SourceFile['layer'],
  whenMissing: Problem[] | undefined,
  problems: Problem[],
): Promise<SourceFile | undefined> {
  try {
    const { bytes } = await readRegularFile(path)
    if (!isUtf8(bytes)) {
      problems.push(notUtf8(path, bytes))
      return undefined
    }
    return { path, layer, text: new TextDecoder().decode(bytes) }
  } catch (error) {
    const missing = ['ENOENT', 'ENOTDIR'].includes(errnoOf(error))
    if (missing && whenMissing === undefined) return undefined
    const what = layer === 'managed' ? 'the managed policy' : 'this policy file'
    problems.push(problem(path, `${what} cannot be read: ${whyNot(error)}`))
    return undefined
  }
}

interface Beside {
  readonly bytes: Map<string, Uint8Array>
  readonly files: string[]
  readonly stamps: string[]
}

async function readRoots(sources: readonly SourceFile[], problems: Problem[]): Promise<Beside> {
  const read: Beside = { bytes: new Map(), files: [], stamps: [] }
  for (const { path, file, key } of rootsFiles(sources)) {
    read.files.push(path)
    read.stamps.push(await stampFile(path))
    try {
      const { bytes } = await readRegularFile(path, maxRootsBytes)
      const wrong = wrongRoots(bytes)
      if (wrong === undefined) read.bytes.set(key, bytes)
      else problems.push(problem(path, `the file of roots named in \`${file}\` is none: ${wrong}`))
    } catch (error) {
      problems.push(problem(path, `the file of roots named in \`${file}\` cannot be read: ${whyNot(error)}`))
    }
  }
  return read
}

async function readFeeds(sources: readonly SourceFile[], problems: Problem[]): Promise<Beside> {
  const bytes = new Map<string, Uint8Array>()
  const stamps = new Map<string, string>()
  for (const { file, path: written, key } of feedPaths(sources)) {
    const path = resolve(dirname(file), written)
    if (bytes.has(key)) continue
    stamps.set(path, await stampFile(path))
    try {
      bytes.set(key, (await readRegularFile(path)).bytes)
    } catch (error) {
      problems.push(problem(path, `the feed file named in \`${file}\` cannot be read: ${whyNot(error)}`))
    }
  }
  return { bytes, files: [...stamps.keys()], stamps: [...stamps.values()] }
}

/** A pipe or a device in the place of a policy would block or never end, so only regular files are read. */
export async function readRegularFile(path: string, maxBytes = maxFileBytes): Promise<{ readonly bytes: Buffer; readonly mode: number }> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const stats = await handle.stat()
    if (!stats.isFile()) throw new NotReadable('it is not a regular file')
    if (stats.size > maxBytes) throw new NotReadable(`it is larger than ${maxBytes} bytes`)
    return { bytes: await handle.readFile(), mode: stats.mode }
  } finally {
    await handle.close()
  }
}

class NotReadable extends Error {}

/** Who can write the managed file can lift it; the proxy's own user should not be able to. */
async function warnIfWritable(path: string): Promise<Problem[]> {
  for (const [target, what] of [[path, 'this managed file'], [dirname(path), 'the folder of this managed file']] as const) {
    try {
      await access(target, constants.W_OK)
      return [problem(path, `${what} can be written by the proxy's own user, who is not meant to change it`, 'warning')]
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return []
    }
  }
  return []
}

function notUtf8(path: string, bytes: Buffer): Problem {
  let line = 1
  let start = 0
  for (let end = bytes.indexOf(10); end !== -1 && isUtf8(bytes.subarray(start, end)); end = bytes.indexOf(10, start)) {
    start = end + 1
    line += 1
  }
  return { ...problem(path, 'the file is not UTF-8'), line }
}

function fingerprintOf(sources: readonly SourceFile[], feeds: ReadonlyMap<string, Uint8Array>, problems: readonly Problem[]): string {
  const hash = createHash('sha256')
  for (const { path, layer, text } of sources) hash.update(`${layer}\0${path}\0${Buffer.byteLength(text)}\0`).update(text)
  for (const [path, bytes] of feeds) hash.update(`feed\0${path}\0${bytes.byteLength}\0`).update(bytes)
  for (const { file, message } of problems) hash.update(`problem\0${file}\0${message}\0`)
  return hash.digest('hex')
}

function problem(file: string, message: string, severity: Problem['severity'] = 'error'): Problem {
  return { severity, file, line: 1, column: 1, message, text: '' }
}

function errnoOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
}

/** Why a file could not be read or written, for a message. */
export function whyNot(error: unknown): string {
  if (error instanceof NotReadable) return error.message
  const code = errnoOf(error)
  if (code === 'ENOENT') return 'there is no such file'
  if (code === 'EACCES') return 'permission denied'
  return code === 'unknown' ? String(error) : code
}
