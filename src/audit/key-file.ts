// The files of people's keys: DATA/audit-keys/ID.key holds one key and the name of whose it is, ID.erased says that it
// was destroyed. Formats and places only; who writes them is person-keys.ts, who reads them record-opener.ts.
import { dirname, join } from 'node:path'

export const keyBytes = 32

/** A file `ID.key`. */
export interface KeyFile {
  readonly id: string
  /** as it was first written */
  readonly person: string
  /** undefined: it was destroyed, and what else is kept of the person is being removed */
  readonly key: Uint8Array | undefined
}

const idPattern = '[0-9a-z]{26}'
const fileName = new RegExp(`^(${idPattern})\\.(key|erased|tmp)$`)
const start = new RegExp(`^\\{"v":1,"id":"(${idPattern})","key":"([0-9a-f]{64})","person":`)
const destroyedKey = '0'.repeat(keyBytes * 2)

/** Bytes of a file `ID.key` that hold the key, and what they are overwritten with. */
export const keyPlace = { offset: '{"v":1,"id":"","key":"'.length + 26, destroyed: destroyedKey } as const

/** The folder of the keys under the data folder. */
export function keysDir(dataDir: string): string {
  return join(dataDir, 'audit-keys')
}

/** The folder of the keys that belong to the journal in `dir`, which is beside it. */
export function keysDirOf(dir: string): string {
  return keysDir(dirname(dir))
}

export function keyFileName(id: string): string {
  return `${id}.key`
}

export function erasedFileName(id: string): string {
  return `${id}.erased`
}

/** What a file of the folder is, by its name. */
export function kindOfName(name: string): { readonly id: string; readonly kind: 'key' | 'erased' | 'tmp' } | undefined {
  const [, id, kind] = fileName.exec(name) ?? []
  return id === undefined || (kind !== 'key' && kind !== 'erased' && kind !== 'tmp') ? undefined : { id, kind }
}

/** A whole file; a `key` of undefined stands for one that was destroyed. */
export function keyFileText({ id, person, key }: KeyFile): string {
  return `{"v":1,"id":"${id}","key":"${key === undefined ? destroyedKey : Buffer.from(key).toString('hex')}","person":${JSON.stringify(person)}}\n`
}

/** Undefined for what is no whole file of that id. */
export function parseKeyFile(id: string, text: string): KeyFile | undefined {
  const [, itsId, hex] = start.exec(text) ?? []
  if (itsId !== id || hex === undefined) return undefined
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || !('person' in value) || typeof value.person !== 'string') return undefined
    return { id, person: value.person, key: hex === destroyedKey ? undefined : Buffer.from(hex, 'hex') }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    return undefined
  }
}
