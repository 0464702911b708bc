// The index of the journal: one SQLite file beside the segments that says of each record what can be asked about it and
// where its line stands. The record itself is always read from the journal, and its hash checked: the index chooses
// where to look and proves nothing. It may be thrown away at any time, and is made again from the segments.
//
// INVARIANT: nobody is named in it. An owner stands as 48 bits of an HMAC under a key of this file, and `forget` takes
// even those away; all other words of people (comments, reviewers, bodies) are not in it at all.
import { createHmac, randomBytes } from 'node:crypto'
import { chmodSync, existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { LRUCache } from 'lru-cache'
import type { JournalRecord } from './record.ts'
import { namesPort, valueOf, wordOf, type GlobField } from './record-filter.ts'

/** What an index knows of one segment. */
export interface IndexedSegment {
  readonly firstSeq: number
  /** the last record that is indexed, the byte where its line starts, and its hash */
  readonly lastSeq: number
  readonly lastOffset: number
  readonly lastHash: string
  /** byte behind the last line that was read */
  readonly endOffset: number
  /** nothing more comes into it: a later segment exists */
  readonly isComplete: boolean
}

export interface IndexEntry {
  readonly record: JournalRecord
  /** byte where its line starts */
  readonly offset: number
}

/** Columns that hold numbers of terms. The order is the number of the field in `terms`. */
export const termFields = ['event', 'code', 'rule', 'host', 'agent', 'session', 'team'] as const satisfies readonly GlobField[]
export type TermField = (typeof termFields)[number]

export const verdictNumber: Readonly<Record<string, number>> = { allow: 1, deny: 2, ask: 3 }

const version = 1
const busyMs = 5000
const knownTerms = 20_000

const schema = `
CREATE TABLE owner_key (key BLOB NOT NULL) STRICT;
CREATE TABLE segments (
  first_seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL, last_offset INTEGER NOT NULL, last_hash TEXT NOT NULL,
  end_offset INTEGER NOT NULL, is_complete INTEGER NOT NULL
) STRICT;
CREATE TABLE terms (field INTEGER NOT NULL, text TEXT NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (field, text)) STRICT, WITHOUT ROWID;
CREATE TABLE records (
  seq INTEGER PRIMARY KEY, offset INTEGER NOT NULL, time_ms INTEGER NOT NULL, verdict INTEGER,
  ${termFields.map((field) => `${field} INTEGER`).join(', ')}, owner INTEGER, request INTEGER, approval INTEGER
) STRICT;
CREATE INDEX records_host ON records (host) WHERE host IS NOT NULL;
CREATE INDEX records_session ON records (session) WHERE session IS NOT NULL;
CREATE INDEX records_request ON records (request) WHERE request IS NOT NULL;
CREATE INDEX records_approval ON records (approval) WHERE approval IS NOT NULL;
PRAGMA user_version = ${version};
`

const insertRecord = `INSERT OR IGNORE INTO records (seq, offset, time_ms, verdict, ${termFields.join(', ')}, owner, request, approval)
  VALUES (${Array.from({ length: termFields.length + 7 }, () => '?').join(', ')})`

export function indexPath(dir: string): string {
  return join(dir, 'index.db')
}

/** Removes the index of the journal in `dir`, if there is one. Nothing else is lost with it. */
export function removeIndex(dir: string): void {
  for (const end of ['', '-wal', '-shm']) rmSync(indexPath(dir) + end, { force: true })
}

/** The file is no index that this program reads: it is to be thrown away. */
export class UnusableIndex extends Error {
  override readonly name = 'UnusableIndex'
}

// SQLITE_CORRUPT and SQLITE_NOTADB
const damageCodes: readonly number[] = [11, 26]

/** Whether what was thrown says that the file itself is at fault. */
export function isDamage(error: unknown): boolean {
  if (error instanceof UnusableIndex) return true
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number' && damageCodes.includes(error.errcode & 0xff)
}

export class RecordIndex {
  readonly #database: DatabaseSync
  readonly #ownerKey: Uint8Array
  readonly #insert: StatementSync | undefined
  readonly #findTerm: StatementSync
  readonly #insertTerm: StatementSync | undefined
  readonly #ids = new LRUCache<string, number>({ max: knownTerms })
  readonly #owners = new LRUCache<string, number>({ max: 1000 })
  #lastId: number

  /** Opens the index of the journal in `dir`; with `isReadOnly` it has to be there, else it is made. Throws what the
   * database throws, and where the file is another version's. */
  constructor(dir: string, { isReadOnly }: { readonly isReadOnly: boolean }) {
    const path = indexPath(dir)
    this.#database = new DatabaseSync(path, { readOnly: isReadOnly, timeout: busyMs })
    try {
      if (!isReadOnly) this.#prepare(path)
      const found = this.#get('PRAGMA user_version')['user_version']
      if (found !== version) throw new UnusableIndex(`the index has version ${String(found)}, and this program reads ${version}`)
      const key = this.#get('SELECT key FROM owner_key')['key']
      if (!(key instanceof Uint8Array)) throw new UnusableIndex('the index has no key')
      this.#ownerKey = key
      this.#lastId = Number(this.#get('SELECT max(id) AS id FROM terms')['id'] ?? 0)
      this.#insert = isReadOnly ? undefined : this.#database.prepare(insertRecord)
      this.#findTerm = this.#database.prepare('SELECT id FROM terms WHERE field = ? AND text = ?')
      this.#insertTerm = isReadOnly ? undefined : this.#database.prepare('INSERT INTO terms (field, text, id) VALUES (?, ?, ?)')
    } catch (error) {
      this.#database.close()
      throw error
    }
  }

  #prepare(path: string): void {
    chmodSync(path, 0o600)
    // what is taken out is overwritten; what was committed is whole after a power cut, if not the newest
    this.#database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA secure_delete = ON')
    if (this.#get('PRAGMA user_version')['user_version'] === 0) {
      this.transaction(() => {
        this.#database.exec(schema)
        this.#database.prepare('INSERT INTO owner_key (key) VALUES (?)').run(randomBytes(32))
      })
    }
  }

  /** Reads the whole file; undefined: it is sound. */
  check(): string | undefined {
    const { quick_check: said } = this.#get('PRAGMA quick_check(1)')
    return said === 'ok' ? undefined : String(said)
  }

  /** By the number of the first record. */
  segments(): ReadonlyMap<number, IndexedSegment> {
    const rows = this.#database.prepare('SELECT * FROM segments ORDER BY first_seq').all()
    return new Map(rows.map((row) => [Number(row['first_seq']), {
      firstSeq: Number(row['first_seq']),
      lastSeq: Number(row['last_seq']),
      lastOffset: Number(row['last_offset']),
      lastHash: String(row['last_hash']),
      endOffset: Number(row['end_offset']),
      isComplete: row['is_complete'] === 1,
    }]))
  }

  /** Adds records of one segment, and where that stands after them, in one step. */
  add(segment: IndexedSegment, entries: readonly IndexEntry[]): void {
    this.transaction(() => {
      for (const entry of entries) this.#insert?.run(...this.#valuesOf(entry))
      const { firstSeq, lastSeq, lastOffset, lastHash, endOffset, isComplete } = segment
      this.#database.prepare('INSERT OR REPLACE INTO segments (first_seq, last_seq, last_offset, last_hash, end_offset, is_complete) VALUES (?, ?, ?, ?, ?, ?)')
        .run(firstSeq, lastSeq, lastOffset, lastHash, endOffset, isComplete ? 1 : 0)
    })
  }

  /** Takes out a segment that is gone or is another one now. */
  drop({ firstSeq, lastSeq }: IndexedSegment): void {
    this.transaction(() => {
      this.#database.prepare('DELETE FROM records WHERE seq BETWEEN ? AND ?').run(firstSeq, lastSeq)
      this.#database.prepare('DELETE FROM segments WHERE first_seq = ?').run(firstSeq)
    })
  }

  /** Takes out the hosts and sessions that no record names any more. */
  dropUnusedTerms(): void {
    this.transaction(() => {
      for (const field of ['host', 'session'] as const) {
        this.#database.prepare(`DELETE FROM terms WHERE field = ? AND NOT EXISTS (SELECT 1 FROM records WHERE ${field} = terms.id)`).run(termFields.indexOf(field))
      }
    })
    this.#ids.clear()
  }

  /** Takes away what tells that records are of one owner: nobody can find them by a guess of the name. */
  forget(owner: string): void {
    const number = this.ownerNumber(owner)
    this.transaction(() => this.#database.prepare('UPDATE records SET owner = NULL WHERE owner = ?').run(number))
    this.#database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  }

  /** What stands for an owner here; however the name is written, as the review rules compare them. */
  ownerNumber(owner: string): number {
    const known = this.#owners.get(owner)
    if (known !== undefined) return known
    const number = createHmac('sha256', this.#ownerKey).update(owner.normalize('NFKC').trim().toLowerCase()).digest().readUIntBE(0, 6)
    this.#owners.set(owner, number)
    return number
  }

  /** The terms of a field with their numbers; with `glob` at least those that fit it. */
  *terms(field: TermField, glob?: string): Generator<{ readonly text: string; readonly id: number }> {
    const like = glob === undefined ? undefined : likeOf(field === 'host' && !namesPort(glob) ? `${glob}:*` : glob)
    const sql = `SELECT text, id FROM terms WHERE field = $field${like === undefined ? '' : ` AND (text LIKE $like ESCAPE '\\' OR text LIKE '"%')`}`
    for (const row of this.#database.prepare(sql).iterate({ field: termFields.indexOf(field), ...(like === undefined ? {} : { like }) })) {
      yield { text: decoded(String(row['text'])), id: Number(row['id']) }
    }
  }

  /** Rows of a statement, as they are taken. */
  rows(sql: string, values: Readonly<Record<string, SQLInputValue>>): NodeJS.Iterator<Readonly<Record<string, unknown>>> {
    return this.#database.prepare(sql).iterate({ ...values })
  }

  transaction(work: () => void): void {
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      work()
      this.#database.exec('COMMIT')
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      this.#ids.clear()
      throw error
    }
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close()
  }

  #get(sql: string): Readonly<Record<string, unknown>> {
    return this.#database.prepare(sql).get() ?? {}
  }

  #valuesOf({ record, offset }: IndexEntry): SQLInputValue[] {
    const { attributes } = record
    const owner = attributes['user.name']
    return [
      record.seq, offset, Date.parse(record.time), verdictNumber[wordOf(record, 'verdict') ?? ''] ?? null,
      ...termFields.map((field) => this.#idOf(field, valueOf(record, field))),
      typeof owner === 'string' ? this.ownerNumber(owner) : null, wordNumber(wordOf(record, 'request')), wordNumber(wordOf(record, 'approval')),
    ]
  }

  /** The number of a term, given to it on first need. */
  #idOf(field: TermField, text: string | undefined): number | null {
    if (text === undefined) return null
    const number = termFields.indexOf(field)
    const kept = encoded(text)
    const key = `${number}${kept}`
    const known = this.#ids.get(key)
    if (known !== undefined) return known
    const row = this.#findTerm.get(number, kept)
    const id = row === undefined ? ++this.#lastId : Number(row['id'])
    if (row === undefined) this.#insertTerm?.run(number, kept, id)
    this.#ids.set(key, id)
    return id
  }
}

/** 32 bits that stand for an id (FNV-1a): enough to find it by, and whoever finds it looks at the record. */
export function wordNumber(word: string): number
export function wordNumber(word: string | undefined): number | null
export function wordNumber(word: string | undefined): number | null {
  if (word === undefined) return null
  let sum = 0x811c9dc5
  for (let at = 0; at < word.length; at++) sum = Math.imul(sum ^ word.charCodeAt(at), 0x01000193)
  return sum | 0
}

/** A glob of plain characters, `*` and `?` as SQLite looks for it, which knows no case among ASCII either; undefined: another one. */
function likeOf(glob: string): string | undefined {
  return /^[\w.:@ *?-]+$/.test(glob) ? glob.replace(/_/g, '\\_').replace(/\*+/g, '%').replace(/\?/g, '_') : undefined
}

/** SQLite keeps UTF-8: what that cannot say, and what could be taken for it, stands as JSON. */
function encoded(text: string): string {
  return /^(?!")[\x20-\x7e]*$/.test(text) ? text : JSON.stringify(text)
}

function decoded(kept: string): string {
  if (!kept.startsWith('"')) return kept
  const text: unknown = JSON.parse(kept)
  return typeof text === 'string' ? text : kept
}

/** Erases what the index of the journal in `dir` knows of an owner, also while a proxy is running; what it indexes from
 * then on can name the owner only if the journal still does. */
export function forgetOwner(dir: string, owner: string): void {
  if (!existsSync(indexPath(dir))) return
  let index: RecordIndex | undefined
  try {
    index = new RecordIndex(dir, { isReadOnly: false })
    index.forget(owner)
  } catch (error) {
    if (!isDamage(error)) throw error
    removeIndex(dir)
  } finally {
    index?.close()
  }
}

/** The index of the journal in `dir` to read from; undefined where there is none that can be read: the journal says the same. */
export function readIndex(dir: string): RecordIndex | undefined {
  if (!existsSync(indexPath(dir))) return undefined
  try {
    return new RecordIndex(dir, { isReadOnly: true })
  } catch {
    // damaged, another version's, or not for this user
    return undefined
  }
}
