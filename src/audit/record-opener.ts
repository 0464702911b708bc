// Opens what belongs to people in a record, for whoever reads the journal: each part with its person's key, where that
// is there. It reads the key files by itself, so that it works in any thread and without a running proxy, and looks at
// the file each time, so that a destroyed key opens nothing more. INVARIANT: it never throws because of a record.
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { namesIn } from './absent.ts'
import type { AttributeValue } from './event.ts'
import { erasedFileName, keyFileName, keysDirOf, kindOfName, parseKeyFile } from './key-file.ts'
import { filledBody, personKeyOf } from './personal.ts'
import { parseLine, type JournalRecord, type ParsedLine } from './record.ts'
import { contextOf, readSealed, sealedAttribute, unseal } from './sealed-text.ts'

/** What became of a sealed text: what it holds, that its key was destroyed, or that nobody here can read it. */
type Opened = Readonly<Record<string, AttributeValue | null>> | 'erased' | 'unreadable'

interface KnownKey {
  /** undefined: the file holds none */
  readonly key: Uint8Array | undefined
  readonly isErased: boolean
  /** of the file, as it was when it was read */
  readonly changedMs: number
  readonly inode: number
  /** texts that the records of a session share, by session and text */
  readonly shared: Map<string, Opened>
}

const maxKnown = 4096
const maxShared = 64

export class RecordOpener {
  readonly #dir: string
  readonly #known = new Map<string, KnownKey>()

  /** `dir`: DATA/audit-keys; it need not exist. */
  constructor(dir: string) {
    this.#dir = dir
  }

  /** Of the journal in `dir`. */
  static beside(dir: string): RecordOpener {
    return new RecordOpener(keysDirOf(dir))
  }

  /** As `parseLine`, opened: how everybody reads a line who does not check or move the journal itself. */
  parse(line: string): ParsedLine {
    const parsed = parseLine(line)
    return parsed.record === undefined ? parsed : { record: this.open(parsed.record) }
  }

  /** The record with what is sealed in it in the clear. Of an erased person it has `sallyport.erased` instead, and
   * `sallyport.unreadable` where a key is not here. The same object where nothing is sealed. */
  open(record: JournalRecord): JournalRecord {
    const { attributes: { [sealedAttribute]: sealed, ...clear }, body } = record
    if (sealed === undefined) return clear['sallyport.erased'] === true ? { ...record, body: filledBody(body, {}, 'erased') } : record
    const texts = Array.isArray(sealed) ? sealed : [sealed]
    const own: Record<string, AttributeValue | null> = {}
    let isErased = clear['sallyport.erased'] === true
    let isUnreadable = false
    for (const text of texts) {
      const opened = this.#openText(text, clear)
      if (opened === 'erased') isErased = true
      else if (opened === 'unreadable') isUnreadable = true
      else Object.assign(own, opened)
    }
    return {
      ...record,
      body: filledBody(body, own, isErased ? 'erased' : isUnreadable ? 'unreadable' : undefined),
      // what stands in the clear was seen by all who read the record before, and nothing that is sealed may change it
      attributes: { ...own, ...clear, ...(isErased ? { 'sallyport.erased': true } : {}), ...(isUnreadable ? { 'sallyport.unreadable': true } : {}) },
    }
  }

  /** Ids of the keys that a person has: what is sealed for them names one of these. */
  async idsOf(person: string): Promise<readonly string[]> {
    const folded = personKeyOf(person)
    const ids: string[] = []
    for (const name of await namesIn(this.#dir)) {
      const found = kindOfName(name)
      if (found?.kind !== 'key') continue
      const file = readKey(join(this.#dir, name), found.id)
      if (file !== undefined && personKeyOf(file.person) === folded) ids.push(found.id)
    }
    return ids
  }

  #openText(text: unknown, clear: JournalRecord['attributes']): Opened {
    const sealed = typeof text === 'string' ? readSealed(text) : undefined
    if (sealed === undefined) return 'unreadable'
    const { key, isErased, shared } = this.#keyOf(sealed.keyId)
    if (key === undefined) return isErased ? 'erased' : 'unreadable'
    const context = contextOf(clear, sealed.bound)
    if (sealed.bound === 'own') return unseal(sealed, context, key) ?? 'unreadable'
    const place = `${context}\n${String(text)}`
    const opened = shared.get(place) ?? unseal(sealed, context, key) ?? 'unreadable'
    if (shared.size >= maxShared) shared.clear()
    shared.set(place, opened)
    return opened
  }

  #keyOf(id: string): KnownKey {
    const path = join(this.#dir, keyFileName(id))
    const known = this.#known.get(id)
    const now = statSync(path, { throwIfNoEntry: false })
    if (known !== undefined && known.inode === (now?.ino ?? 0) && known.changedMs === (now?.ctimeMs ?? 0) && (now !== undefined || known.isErased)) return known
    const file = now === undefined ? undefined : readKey(path, id)
    const isErased = file === undefined ? statSync(join(this.#dir, erasedFileName(id)), { throwIfNoEntry: false }) !== undefined : file.key === undefined
    const found = { key: file?.key, isErased, changedMs: now?.ctimeMs ?? 0, inode: now?.ino ?? 0, shared: new Map<string, Opened>() }
    if (this.#known.size >= maxKnown) this.#known.clear()
    this.#known.set(id, found)
    return found
  }
}

function readKey(path: string, id: string) {
  try {
    return parseKeyFile(id, readFileSync(path, 'utf8'))
  } catch {
    // not for this user, or gone meanwhile: nobody here can read it
    return undefined
  }
}
