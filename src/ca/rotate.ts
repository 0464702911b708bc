// Replaces the root: the new one is whole on the disk before the old one gives way, and the old one is kept beside
// it, for clients that know no other. What was broken off half-way is finished by the next call.
import { hash, randomBytes } from 'node:crypto'
import { chmod, chown, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../clock.ts'
import { ProxyError } from '../errors.ts'
import { makeRoot } from './root.ts'
import { claim, codeOf, folderOwner, isThere, loadSigner, nextPaths, placePair, readOwn, type RootPaths, rootPaths } from './root-files.ts'
import { certificatesIn, messageOf, readSigner, type Signer, unavailable } from './signer.ts'

export interface RotateOptions {
  readonly certsDir: string
  readonly clock: Clock
  /** as for CertificateAuthority */
  readonly constraints: readonly string[] | undefined
  /** the old key may be known: its certificate is kept under a name that is handed out no more */
  readonly distrust?: boolean
}

export interface KeptPair {
  readonly cert: string
  readonly key: string
}

export interface Rotated {
  readonly signer: Signer
  /** where what signed before is now; undefined: there was nothing */
  readonly previous: KeptPair | undefined
}

/** Makes the root that the next rotation takes, unless there is one. Clients can be given it ahead. */
export async function prepareNext({ certsDir, clock, constraints }: RotateOptions): Promise<Signer> {
  const next = nextPaths(certsDir)
  const owner = await folderOwner(certsDir)
  const there = await loadSigner(next, clock, owner)
  if (there !== undefined) return there
  await placePair(next, makeRoot(clock.now(), constraints))
  const made = await loadSigner(next, clock, owner)
  if (made === undefined) throw unavailable(`${next.cert} is gone again: does another rotation run?`)
  return made
}

/** A new root in place of the old one, or the first. Throws ProxyError `ca_unavailable`; then the old one still stands. */
export async function rotateRoot(options: RotateOptions): Promise<Rotated> {
  const { certsDir, clock } = options
  const paths = rootPaths(certsDir)
  const next = nextPaths(certsDir)
  const old = await readOwn(paths.cert)
  const previous = await previousOf(paths, old?.text, options.distrust === true ? 'distrusted' : 'root')
  const half = await brokenOff(paths, next, clock)
  if (half !== undefined) {
    await moved(() => rename(next.cert, paths.cert), certsDir)
    return { signer: half, previous }
  }
  const signer = await prepareNext(options)
  await moved(async () => {
    if (previous !== undefined) {
      await ifThere(claim(paths.cert, previous.cert))
      await ifThere(claim(paths.key, previous.key))
      await ifThere(chmod(previous.key, 0o600))
    }
    await handOver(certsDir, [next.key, next.cert])
  }, certsDir)
  if ((await readOwn(paths.cert))?.text !== old?.text) {
    throw unavailable(`${paths.cert} was replaced meanwhile: does another rotation run? see \`sallyport ca show\`, and try again`)
  }
  await moved(async () => {
    await rename(next.key, paths.key)
    await rename(next.cert, paths.cert)
  }, certsDir)
  return { signer, previous }
}

/** What root makes in another user's folder becomes that user's, or the proxy could not read it. */
async function handOver(dir: string, paths: readonly string[]): Promise<void> {
  const owner = await folderOwner(dir)
  if (owner === undefined || owner === 0) return
  const { gid } = await stat(dir)
  for (const path of paths) await chown(path, owner, gid)
}

/** Names for what is there, whatever state it is in; undefined when nothing is. */
async function previousOf({ dir, cert, key }: RootPaths, certText: string | undefined, name: string): Promise<KeptPair | undefined> {
  if (certText === undefined && !(await isThere(key))) return undefined
  const mark = certText === undefined ? randomBytes(4).toString('hex') : markOf(certText, cert)
  return { cert: join(dir, `${name}-${mark}.pem`), key: join(dir, `root-key-${mark}.pem`) }
}

function markOf(certText: string, path: string): string {
  try {
    const [certificate] = certificatesIn(certText, path)
    if (certificate !== undefined) return certificate.fingerprint.slice(0, 8)
  } catch (error) {
    // what is no certificate is kept as well: nothing is ever thrown away here
    if (!(error instanceof ProxyError)) throw error
  }
  return hash('sha256', certText).slice(0, 8)
}

/** The new root, when its key is in its place and its certificate not yet. */
async function brokenOff(paths: RootPaths, next: RootPaths, clock: Clock): Promise<Signer | undefined> {
  const cert = await readOwn(next.cert)
  if (cert === undefined || (await isThere(next.key))) return undefined
  const key = await readOwn(paths.key)
  if (key === undefined) return undefined
  try {
    return readSigner({ certPath: next.cert, keyPath: paths.key, certText: cert.text, keyText: key.text }, clock.now())
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error
    return undefined
  }
}

async function moved(step: () => Promise<void>, dir: string): Promise<void> {
  try {
    await step()
  } catch (error) {
    if (error instanceof ProxyError) throw error
    const hint = codeOf(error) === 'ENOENT' ? 'does another rotation run? see `sallyport ca show`, and try again' : 'let the user who rotates write to the folder, and try again'
    throw unavailable(`${dir}: the root was not replaced (${messageOf(error)}); ${hint}`, error)
  }
}

async function ifThere(step: Promise<unknown>): Promise<void> {
  try {
    await step
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
}
