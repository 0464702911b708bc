// The bundle that clients are pointed at whose setting replaces the system's roots: those roots, what the user's
// environment named already, and ours, in one file that never changes under its name.
import { hash, randomBytes } from 'node:crypto'
import type { Stats } from 'node:fs'
import { readFile, rename, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../clock.ts'
import { ProxyError } from '../errors.ts'
import { readCertificate } from './certificate.ts'
import { pemBlocks, toPem } from './pem.ts'
import { codeOf, entryOf, namesIn, removeIfThere, writeNew } from './root-files.ts'
import { messageOf, unavailable } from './signer.ts'

export interface BundleParts {
  /** PEM, one certificate or more in each: `tls.getCACertificates('system')` or `('default')` */
  readonly systemRoots: readonly string[]
  /** text of the bundle that the user's environment named; what is no certificate in it is left out */
  readonly extra?: string | undefined
  /** PEM: those of this installation */
  readonly ours: readonly string[]
}

export interface Bundle {
  readonly text: string
  /** SHA-256 of the text, hexadecimal */
  readonly digest: string
  readonly count: number
  /** blocks of the extra bundle that are no certificate */
  readonly skipped: number
}

const keepUnusedMs = 7 * 86_400_000

/** Every certificate once, by its fingerprint. Pure. */
export function mergeBundle({ systemRoots, extra, ours }: BundleParts): Bundle {
  const seen = new Set<string>()
  const pems: string[] = []
  let skipped = 0
  const add = (text: string, isForeign: boolean): void => {
    for (const { label, der } of pemBlocks(text)) {
      if (label !== 'CERTIFICATE') continue
      const fingerprint = hash('sha256', der)
      if (seen.has(fingerprint)) continue
      if (isForeign && !isCertificate(der)) {
        skipped += 1
        continue
      }
      seen.add(fingerprint)
      pems.push(toPem('CERTIFICATE', der))
    }
  }
  for (const text of systemRoots) add(text, false)
  if (extra !== undefined) add(extra, true)
  for (const text of ours) add(text, false)
  const text = pems.join('')
  return { text, digest: hash('sha256', text), count: pems.length, skipped }
}

function isCertificate(der: Uint8Array): boolean {
  try {
    readCertificate(der)
    return true
  } catch {
    // what it is instead does not matter: one bad block would make clients refuse the whole file
    return false
  }
}

/** Writes `bundle-<16 digits>.pem` and resolves to its path. Throws ProxyError `ca_unavailable`. */
export async function writeBundle(dir: string, parts: BundleParts, clock: Clock): Promise<string> {
  const { text, digest } = mergeBundle(parts)
  const name = `bundle-${digest.slice(0, 16)}.pem`
  const path = join(dir, name)
  try {
    if (await isWhole(path, digest)) {
      const now = new Date(clock.now())
      await utimes(path, now, now)
    } else {
      const temp = join(dir, `.${name}-${randomBytes(6).toString('hex')}`)
      try {
        await writeNew(temp, text, 0o644)
        await rename(temp, path)
      } finally {
        await removeIfThere(temp)
      }
    }
    await prune(dir, name, clock.now())
  } catch (error) {
    if (error instanceof ProxyError) throw error
    throw unavailable(`${path}: the bundle cannot be written (${messageOf(error)}); let the user of the proxy write to the folder`, error)
  }
  return path
}

async function isWhole(path: string, digest: string): Promise<boolean> {
  const stats = await entryOf(path)
  return stats !== undefined && (stats.mode & 0o777) === 0o644 && (await digestOf(path, stats)) === digest
}

/** Bundles that nobody has read or asked for in a week; only files that are what their name says. */
async function prune(dir: string, current: string, nowMs: number): Promise<void> {
  for (const name of await namesIn(dir)) {
    const mark = /^bundle-([0-9a-f]{16})\.pem$/.exec(name)?.[1]
    if (mark === undefined || name === current) continue
    const path = join(dir, name)
    const stats = await entryOf(path)
    if (stats === undefined || Math.max(stats.atimeMs, stats.mtimeMs) > nowMs - keepUnusedMs) continue
    if ((await digestOf(path, stats))?.startsWith(mark) === true) await removeIfThere(path)
  }
}

/** Undefined for what is no file, and for one that another process has just removed. */
async function digestOf(path: string, stats: Stats): Promise<string | undefined> {
  if (!stats.isFile()) return undefined
  try {
    return hash('sha256', await readFile(path))
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}
