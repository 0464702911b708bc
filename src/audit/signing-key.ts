// The key that signs checkpoints: Ed25519, made once, kept with the data, mode 0600, beside its public half. A file
// that is there is never replaced, whatever is wrong with it: only what is certainly absent is made. The key never
// leaves the machine; the public half is meant to, for it proves nothing while it lies beside the journal.
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto'
import { closeSync, constants, fstatSync, linkSync, mkdirSync, openSync, readdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CheckpointSigner } from './checkpoint.ts'

/** A signing key, or its public half, that cannot be used; the message names the file and what to do. */
export class SigningKeyError extends Error {
  override readonly name = 'SigningKeyError'
  readonly file: string

  constructor(file: string, what: string) {
    super(`${file}: ${what}`)
    this.file = file
  }
}

export interface SigningKey extends CheckpointSigner {
  /** it was made just now: nothing older can have been signed with it */
  readonly isNew: boolean
}

/** A public half, as `audit verify` takes it. */
export interface PublicKey {
  readonly keyId: string
  readonly key: KeyObject
}

const maxBytes = 65_536

export function signingKeyPaths(dataDir: string): { readonly key: string; readonly pub: string } {
  return { key: join(dataDir, 'audit-signing.key'), pub: join(dataDir, 'audit-signing.pub') }
}

/** What is wrong with the key in `dataDir`, if anything is; makes nothing. */
export function signingKeyFault(dataDir: string): SigningKeyError | undefined {
  const paths = signingKeyPaths(dataDir)
  try {
    if (readIfThere(paths.key, judgeMode) !== undefined || readIfThere(paths.pub) !== undefined) loadSigningKey(dataDir)
    return undefined
  } catch (error) {
    if (error instanceof SigningKeyError) return error
    throw error
  }
}

/** Reads the key in `dataDir`, or makes it. Throws SigningKeyError when what is there cannot be used. */
export function loadSigningKey(dataDir: string): SigningKey {
  const paths = signingKeyPaths(dataDir)
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const pubText = readIfThere(paths.pub)
  let keyText = readIfThere(paths.key, judgeMode)
  const isNew = keyText === undefined
  if (keyText === undefined) {
    if (pubText !== undefined) {
      throw new SigningKeyError(paths.key, `is not there, and its public half \`${paths.pub}\` is: restore the key from a copy, or start with a new one by \`sallyport audit repair\`, which keeps the public half under another name`)
    }
    placeNew(paths.key, generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }), 0o600)
    keyText = readIfThere(paths.key, judgeMode) ?? ''
  }
  const key = readKey(paths.key, keyText)
  const publicKey = createPublicKey(key)
  if (pubText === undefined) placeNew(paths.pub, publicKey.export({ type: 'spki', format: 'pem' }), 0o600)
  const keyId = keyIdOf(publicKey)
  const pub = parsePublicKey(paths.pub, readIfThere(paths.pub) ?? '')
  if (pub.keyId !== keyId) throw new SigningKeyError(paths.pub, `is not the public half of \`${paths.key}\`: put the two files back that belong together`)
  return { keyId, isNew, sign: (text) => sign(null, Buffer.from(text), key).toString('base64') }
}

/** A public key from a PEM file. Throws SigningKeyError. */
export function readPublicKey(path: string): PublicKey {
  const text = readIfThere(path)
  if (text === undefined) throw new SigningKeyError(path, 'is not there')
  return parsePublicKey(path, text)
}

/** The public half in `dataDir` and those of former keys, `audit-signing-….pub`. Throws SigningKeyError. */
export function readPublicKeys(dataDir: string): readonly PublicKey[] {
  const names = namesIn(dataDir).filter((name) => /^audit-signing(?:-[\w.-]+)?\.pub$/.test(name)).toSorted()
  return names.map((name) => readPublicKey(join(dataDir, name)))
}

function parsePublicKey(path: string, text: string): PublicKey {
  // node would derive it from a private key, which does not belong where this is read from
  if (text.includes('PRIVATE KEY')) throw new SigningKeyError(path, 'holds a private key: give the public half, `audit-signing.pub`')
  try {
    const key = createPublicKey(text)
    if (key.asymmetricKeyType === 'ed25519') return { key, keyId: keyIdOf(key) }
  } catch {
    throw new SigningKeyError(path, 'holds no public key: put the PEM of `audit-signing.pub` there, from a copy')
  }
  throw new SigningKeyError(path, 'holds a key of another kind than Ed25519')
}

function readKey(path: string, text: string): KeyObject {
  const advice = 'restore it from a copy, or start with a new key by `sallyport audit repair`, which moves this one aside'
  try {
    const key = createPrivateKey(text)
    if (key.asymmetricKeyType === 'ed25519') return key
  } catch {
    throw new SigningKeyError(path, `holds no private key (it is truncated, zeroed or something else): ${advice}`)
  }
  throw new SigningKeyError(path, `holds a key of another kind than Ed25519: ${advice}`)
}

function keyIdOf(publicKey: KeyObject): string {
  return createHash('sha256').update(publicKey.export({ type: 'spki', format: 'der' })).digest('hex').slice(0, 16)
}

function judgeMode(path: string, { uid, mode }: { readonly uid: number; readonly mode: number }): void {
  const own = process.getuid?.()
  if (own === undefined) return
  if (uid !== own && uid !== 0) throw new SigningKeyError(path, `belongs to another user (uid ${uid}, and this is ${own}): \`chown ${own} ${path}\` if it is the right file`)
  if ((mode & 0o077) !== 0) {
    throw new SigningKeyError(path, `other users may open it (mode ${(mode & 0o777).toString(8).padStart(4, '0')}): \`chmod 600 ${path}\`, and if others may have read it start with a new key by \`sallyport audit repair --new-key\``)
  }
}

/** The text of a regular file of sane size; undefined when there certainly is none. */
function readIfThere(path: string, judge?: (path: string, stats: { readonly uid: number; readonly mode: number }) => void): string | undefined {
  let fd: number
  try {
    // a named pipe must not hold us up
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw new SigningKeyError(path, `cannot be read (${messageOf(error)}): let the proxy's user read it; it is not replaced`)
  }
  try {
    const stats = fstatSync(fd)
    if (!stats.isFile()) throw new SigningKeyError(path, 'is not a file: move it away, and put the right one there')
    if (stats.size > maxBytes) throw new SigningKeyError(path, `has ${stats.size} bytes, which no key has: put the right file there`)
    judge?.(path, stats)
    return readFileSync(fd, 'latin1')
  } finally {
    closeSync(fd)
  }
}

/** Whole on the disk before it has its name; whoever was first has it. */
function placeNew(path: string, text: string, mode: number): void {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
  try {
    writeFileSync(temporary, text, { flag: 'wx', mode, flush: true })
    try {
      linkSync(temporary, path)
    } finally {
      unlinkSync(temporary)
    }
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw new SigningKeyError(path, `cannot be made (${messageOf(error)}): let the proxy's user write to its folder`)
  }
}

function namesIn(dir: string): readonly string[] {
  try {
    return readdirSync(dir)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return []
    throw error
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
