// The keys of people, one each, as the writer of the journal has them: read at the start, made on need, destroyed for
// good. INVARIANT: a key is on the disk, with its folder, before anything is sealed with it; a destroyed one is
// overwritten there before anybody hears of it. A file that cannot be read is never replaced.
import { randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../clock.ts'
import { ProxyError } from '../errors.ts'
import { isAbsent } from './absent.ts'
import { erasedFileName, keyBytes, keyFileName, keyFileText, keyPlace, kindOfName, parseKeyFile } from './key-file.ts'
import { personKeyOf } from './personal.ts'
import { SealingKey } from './sealed-text.ts'

export interface PersonKeysOptions {
  /** DATA/audit-keys */
  readonly dir: string
  readonly clock: Clock
  /** for the operator log: a file that cannot be read, a key that is gone */
  readonly onFault: (error: unknown) => void
}

const idAlphabet = '0123456789abcdefghijklmnopqrstuv'
const lookMs = 1000
/** what was under way when a person was erased is over by then */
const goneMs = 600_000

export class PersonKeys {
  readonly #options: PersonKeysOptions
  /** by the folded name; the newest of them seals */
  readonly #keys = new Map<string, SealingKey>()
  /** every key file of a person by id: destroyed and restored ones too */
  readonly #persons = new Map<string, { readonly person: string; readonly isDestroyed: boolean }>()
  /** names as they are written, folded */
  readonly #folded = new Map<string, string>()
  /** erased in this process, by the folded name: when, monotonic */
  readonly #gone = new Map<string, number>()
  #changedMs = 0
  #lookedMs: number

  /** Without the keys on the disk until `load`. */
  constructor(options: PersonKeysOptions) {
    this.#options = options
    this.#lookedMs = options.clock.monotonic()
  }

  /** The person's key, made where there is none. Throws ProxyError `audit_unavailable` where it cannot be. */
  keyOf(person: string): SealingKey {
    this.#look()
    const folded = this.#fold(person)
    return this.#keys.get(folded) ?? this.#make(person, folded)
  }

  /** Whether this person was erased a moment ago, so that what is said of it now is a late word of before. */
  isGone(person: string): boolean {
    if (this.#gone.size === 0) return false
    const folded = this.#fold(person)
    const since = this.#gone.get(folded)
    if (since === undefined) return false
    if (this.#options.clock.monotonic() - since < goneMs) return true
    this.#gone.delete(folded)
    return false
  }

  /** Somebody of this name does something anew. */
  returned(person: string): void {
    if (this.#gone.size > 0) this.#gone.delete(this.#fold(person))
  }

  /** Ids of every key that this person has, or had and whose erasure is not through. */
  idsOf(person: string): readonly string[] {
    const folded = this.#fold(person)
    return Array.from(this.#persons).filter(([, known]) => personKeyOf(known.person) === folded).map(([id]) => id)
  }

  /** Whose keys are destroyed, while their erasure is not through: a crash came between. */
  unfinished(): readonly string[] {
    return [...new Map(Array.from(this.#persons.values()).filter(({ isDestroyed }) => isDestroyed).map(({ person }) => [personKeyOf(person), person])).values()]
  }

  /** Overwrites every key of this person. Until `forget` its name stays, so that the rest of an erasure can be done
   * again; who has no key gets the mark of a destroyed one. Returns their ids. Throws what the file system throws. */
  destroy(person: string): readonly string[] {
    const folded = this.#fold(person)
    this.#gone.set(folded, this.#options.clock.monotonic())
    this.#keys.delete(folded)
    const ids = this.idsOf(person)
    for (const id of ids) {
      overwrite(join(this.#options.dir, keyFileName(id)), keyPlace.offset, keyPlace.destroyed)
      this.#persons.set(id, { person, isDestroyed: true })
    }
    if (ids.length > 0) return ids
    const id = newId()
    this.#write(id, keyFileText({ id, person, key: undefined }))
    this.#persons.set(id, { person, isDestroyed: true })
    return [id]
  }

  /** The last of an erasure: that these keys were destroyed stays known, and whose they were does not. */
  forget(ids: readonly string[]): void {
    const { dir, clock } = this.#options
    for (const id of ids) {
      const path = join(dir, keyFileName(id))
      this.#write(id, `{"v":1,"id":"${id}","erased":"${new Date(clock.now()).toISOString()}"}\n`, erasedFileName(id))
      overwrite(path, 0, ' '.repeat(sizeOf(path)))
      rmSync(path, { force: true })
      this.#persons.delete(id)
    }
    syncFolder(dir)
    this.#folded.clear()
  }

  #fold(person: string): string {
    const known = this.#folded.get(person)
    if (known !== undefined) return known
    const folded = personKeyOf(person)
    if (this.#folded.size >= maxFolded) this.#folded.clear()
    this.#folded.set(person, folded)
    return folded
  }

  #make(person: string, folded: string): SealingKey {
    const id = newId()
    const bytes = randomBytes(keyBytes)
    try {
      this.#write(id, keyFileText({ id, person, key: bytes }))
    } catch (error) {
      this.#options.onFault(error)
      throw new ProxyError('audit_unavailable', `no key can be made for what belongs to a person: \`${this.#options.dir}\` cannot be written`, { cause: error })
    }
    const made = new SealingKey(id, bytes)
    bytes.fill(0)
    this.#keys.set(folded, made)
    this.#persons.set(id, { person, isDestroyed: false })
    return made
  }

  /** Whole and on the disk under its name when this returns, or not there at all. */
  #write(id: string, text: string, name = keyFileName(id)): void {
    const { dir } = this.#options
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    const draft = join(dir, `${id}.tmp`)
    try {
      const file = openSync(draft, 'w', 0o600)
      try {
        writeSync(file, text)
        fsyncSync(file)
      } finally {
        closeSync(file)
      }
      renameSync(draft, join(dir, name))
      syncFolder(dir)
    } catch (error) {
      rmSync(draft, { force: true })
      throw error
    }
  }

  /** Takes up what is on the disk; before the first event is journaled, and by the one process that has the journal. Throws
   * when the folder is there and cannot be listed: then who has a key already is not known. */
  load(): void {
    const { dir, onFault } = this.#options
    for (const name of readNames(dir)) {
      const found = kindOfName(name)
      const path = join(dir, name)
      try {
        // nothing was ever sealed with it
        if (found?.kind === 'tmp') rmSync(path, { force: true })
        if (found?.kind !== 'key') continue
        const file = parseKeyFile(found.id, readFileSync(path, 'utf8'))
        if (file === undefined) throw new Error('it is no whole key file')
        this.#persons.set(file.id, { person: file.person, isDestroyed: file.key === undefined })
        if (file.key !== undefined) this.#keys.set(personKeyOf(file.person), new SealingKey(file.id, file.key))
      } catch (error) {
        onFault(new Error(`the key file \`${path}\` cannot be read: what was sealed with it is unreadable, and whoever it belongs to gets a new key`, { cause: error }))
      }
    }
    this.#changedMs = changeOf(dir)
  }

  /** A key that somebody removed behind our back seals nothing more: nobody could open it after the next start. */
  #look(): void {
    const { dir, clock, onFault } = this.#options
    const nowMs = clock.monotonic()
    if (nowMs - this.#lookedMs < lookMs) return
    this.#lookedMs = nowMs
    const changedMs = changeOf(dir)
    if (changedMs === this.#changedMs) return
    this.#changedMs = changedMs
    const there = new Set(readNames(dir))
    for (const [folded, { id }] of this.#keys) {
      if (there.has(keyFileName(id))) continue
      this.#keys.delete(folded)
      this.#persons.delete(id)
      onFault(new Error(`the key file \`${join(dir, keyFileName(id))}\` is gone: what was sealed with it is unreadable, and its person gets a new key`))
    }
  }
}

const maxFolded = 4096

function newId(): string {
  return Array.from(randomBytes(26), (byte) => idAlphabet[byte & 31]).join('')
}

/** A folder that does not exist has none. */
function readNames(dir: string): readonly string[] {
  try {
    return readdirSync(dir).toSorted()
  } catch (error) {
    if (isAbsent(error)) return []
    throw new Error(`the folder of people's keys \`${dir}\` cannot be read; make it readable for the user of the proxy`, { cause: error })
  }
}

function changeOf(dir: string): number {
  return statSync(dir, { throwIfNoEntry: false })?.mtimeMs ?? 0
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

/** In its place, and forced to the disk; a file that is gone holds nothing. */
function overwrite(path: string, offset: number, text: string): void {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return
  const file = openSync(path, 'r+')
  try {
    writeSync(file, text, offset)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

function syncFolder(dir: string): void {
  const folder = openSync(dir, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}
