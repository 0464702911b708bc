// The certificate files of a command that `run` starts, written into a folder of its own: what the proxy signs with
// is added to what the command would trust without it. It changes no file of anybody else's, and copies no keys.
import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { getCACertificates } from 'node:tls'
import type { Environment } from '../config/environment.ts'
import type { Settings } from '../config/settings.ts'
import { type CaFiles, caVariables } from './run-environment.ts'

/** Files with certificates in PEM: `bundleFile` has the system's roots and ours, `rootFile` ours alone. */
export interface CaBundle {
  readonly bundleFile: string
  readonly rootFile: string
}

/** Undefined where there is no certificate authority: then nothing is signed by it, and nobody has to trust it. */
export type FindCaBundle = (settings: Settings) => Promise<CaBundle | undefined>

/**
 * STAND-IN, for the integrator: the CA room has a bundle of its own, and this is to be replaced by a call of it. It
 * uses `root.pem` of the certificate folder if there is one, and keeps the merged bundle in the data folder.
 */
export const standInCaBundle: FindCaBundle = async ({ certsDir, dataDir }) => {
  const rootFile = join(certsDir, 'root.pem')
  if (!existsSync(rootFile) || !existsSync(dataDir)) return undefined
  const bundleFile = join(dataDir, 'ca-bundle.pem')
  // whole or not at all: another run may be reading it
  writeFileSync(`${bundleFile}.${process.pid}`, [...systemRoots(), ...certificatesIn(readFileSync(rootFile, 'utf8'))].join('\n'), { mode: 0o644 })
  renameSync(`${bundleFile}.${process.pid}`, bundleFile)
  return { bundleFile, rootFile }
}

/** Those of the system; Node's own where it has none. */
function systemRoots(): readonly string[] {
  const system = getCACertificates('system')
  return system.length > 0 ? system : getCACertificates('bundled')
}

/**
 * Writes `bundle.pem`, `root.pem` and a file for each that the environment names already. `shownAs`: the folder as the
 * command sees it. A named file that cannot be read is passed over: the program would not trust anything by it either.
 */
export function writeCaFiles({ bundleFile, rootFile }: CaBundle, base: Environment, folder: string, shownAs: string): CaFiles {
  const root = certificatesIn(readFileSync(rootFile, 'utf8'))
  const write = (name: string, certificates: readonly string[]): string => {
    writeFileSync(join(folder, name), `${[...new Set(certificates)].join('\n')}\n`, { mode: 0o644 })
    return join(shownAs, name)
  }
  const named = [...new Set(caVariables.map((name) => base[name] ?? ''))].filter((path) => path !== '' && path !== bundleFile && path !== rootFile)
  const merged = named.flatMap((path, at): [string, string][] => {
    const before = certificatesOf(path)
    return before.length === 0 ? [] : [[path, write(`merged-${at}.pem`, [...before, ...root])]]
  })
  return {
    bundle: write('bundle.pem', certificatesIn(readFileSync(bundleFile, 'utf8'))),
    root: write('root.pem', root),
    merged: new Map(merged),
  }
}

function certificatesOf(path: string): readonly string[] {
  try {
    return statSync(path).isFile() ? certificatesIn(readFileSync(path, 'utf8')) : []
  } catch (error) {
    if (error instanceof Error && 'code' in error) return []
    throw error
  }
}

/** The certificates of a PEM file and nothing else that is in it. */
function certificatesIn(pem: string): readonly string[] {
  return pem.match(/-----BEGIN (?:TRUSTED )?CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END (?:TRUSTED )?CERTIFICATE-----/g) ?? []
}
