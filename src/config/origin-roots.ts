// Files of further roots that rules name in `origin_ca`, read where feeds are: one that is gone or holds no certificate
// makes the policy invalid, so that a host is never trusted by less than its rule says. Nothing is kept of a bad file.
import { X509Certificate } from 'node:crypto'
import { dirname, resolve } from 'node:path'
import { caPaths } from '../policy/compile.ts'
import type { SourceFile } from '../policy/compile.ts'

/** No bundle of roots is longer. */
export const maxRootsBytes = 4 * 1024 * 1024

export interface RootsFile {
  /** absolute */
  readonly path: string
  /** the policy file that names it */
  readonly file: string
  /** as `caPaths` spells it */
  readonly key: string
}

/** The files that the sources name, each once. */
export function rootsFiles(sources: readonly SourceFile[]): readonly RootsFile[] {
  const seen = new Set<string>()
  return caPaths(sources).flatMap(({ file, path, key }) => {
    if (seen.has(key)) return []
    seen.add(key)
    return [{ path: resolve(dirname(file), path), file, key }]
  })
}

/** What is wrong with the bytes as PEM certificates; undefined when nothing is. */
export function wrongRoots(bytes: Buffer): string | undefined {
  const blocks = bytes.toString('latin1').match(/-----BEGIN [^-]*-----[^-]*-----END [^-]*-----/g) ?? []
  if (blocks.length === 0) return 'it holds no PEM certificate'
  const other = blocks.find((block) => !/^-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----/.test(block))
  if (other !== undefined) return 'it holds something else than certificates; keys have no place here'
  return blocks.every(isCertificate) ? undefined : 'one of its certificates cannot be parsed'
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).serialNumber !== ''
  } catch (error) {
    if (error instanceof Error) return false
    throw error
  }
}
