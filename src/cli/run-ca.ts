// The certificate files of a command that `run` starts, written into a folder of its own: what the proxy signs with
// is added to what the command would trust without it. It changes no file of anybody else's, and copies no keys.
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CertificateAuthority } from '../ca/certificate-authority.ts'
import { systemClock } from '../clock.ts'
import type { Environment } from '../config/environment.ts'
import type { Settings } from '../config/settings.ts'
import { systemRoots } from '../egress/system-roots.ts'
import { ControlFault } from './control-fault.ts'
import { type CaFiles, caVariables } from './run-environment.ts'

/** The files of the certificate authority itself, for a command that is started by somebody else; undefined where it has no root yet. */
export async function storedCaFiles({ certsDir }: Settings): Promise<CaFiles | undefined> {
  const authority = new CertificateAuthority({ certsDir, clock: systemClock, constraints: () => undefined })
  const status = await authority.status()
  if (status.state === 'absent') return undefined
  return { bundle: await authority.bundle({ systemRoots: systemRoots() }), root: status.path, merged: new Map() }
}

/** The proxy makes no session that trusts its root, for the root cannot be used. */
export function isCaFault(error: unknown): error is ControlFault {
  return error instanceof ControlFault && error.code === 'ca_unavailable'
}

/** By what the running proxy says; a proxy that does not say it may look inside. */
export function canDoWithoutCa({ problem }: ControlFault): boolean {
  return problem?.['looks_inside'] === false
}

/** what no new root would mend counts too */
const saysCommand = /`(?:chmod|chown|sallyport ca) |a root cannot be made there/

/** What is wrong with the root, and the command that mends it: the fault's own, or the one that makes a new root. */
export function caRemedy({ message }: ControlFault): string {
  return saysCommand.test(message) ? message : `${message}; or make a new root with \`sallyport ca rotate\`, where the proxy was started`
}

/**
 * Writes `bundle.pem`, `root.pem` and a file for each that the environment names already. `shownAs`: the folder as the
 * command sees it. A named file that cannot be read is passed over: the program would not trust anything by it either.
 */
export function writeCaFiles(trustedPem: string, base: Environment, folder: string, shownAs: string): CaFiles {
  const root = certificatesIn(trustedPem)
  const write = (name: string, certificates: readonly string[]): string => {
    writeFileSync(join(folder, name), `${[...new Set(certificates)].join('\n')}\n`, { mode: 0o644 })
    return join(shownAs, name)
  }
  const named = [...new Set(caVariables.map((name) => base[name] ?? ''))].filter((path) => path !== '')
  const merged = named.flatMap((path, at): [string, string][] => {
    const before = certificatesOf(path)
    return before.length === 0 ? [] : [[path, write(`merged-${at}.pem`, [...before, ...root])]]
  })
  return {
    bundle: write('bundle.pem', [...systemRoots(), ...root]),
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
