// The index of the cache: one row for each answer, one for each body, in the embedded database. It knows no files;
// a body's row goes when nobody refers to it, and whoever asked is told, so that the file can follow.
import { erasedName, isSamePerson } from '../audit/personal.ts'
import { numberOf, optionalText, textOf, type Row, type Store } from '../store/store.ts'
import { entryColumns, headText, keyOf, responseOf, varyText } from './cache-rows.ts'
import type { CacheFilter, WrittenBody } from './cache-store.ts'
import type { CachedHead, CachedResponse, CacheKey, NewCachedResponse } from './cached-response.ts'

export interface Totals {
  readonly entries: number
  readonly pinned: number
  readonly bodyBytes: number
  /** of the bodies that a pinned entry has */
  readonly pinnedBytes: number
}

export interface ListedPart {
  readonly found: readonly CachedResponse[]
  readonly next: number | undefined
}

/** What of an entry is needed to let it go. */
export interface EntryPlace {
  readonly id: number
  readonly key: CacheKey
  /** undefined: it has no content */
  readonly digest: string | undefined
}

// SQLite's own is 2 MiB, of which a lookup among a million entries would get little
const pageCacheKib = 16_384
const scanBatch = 512
// without it the planner, which has no statistics, takes an order by id for a reason to read a whole partition
const byKey = 'INDEXED BY entries_by_key WHERE'
const placeColumns = 'id, url, shelf, partition, digest'
const fullColumns = `${entryColumns}, url, shelf, partition`

/** Every method throws what the database throws. */
export class CacheIndex {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
    store.get(`PRAGMA cache_size = -${pageCacheKib}`)
    store.get('PRAGMA locking_mode = EXCLUSIVE')
  }

  transaction<T>(work: () => T): T {
    return this.#store.transaction(work)
  }

  close(): void {
    this.#store.close()
  }

  /** The newest first; of two that came in the same millisecond, the one put later. */
  find(key: CacheKey): readonly CachedResponse[] {
    const rows = this.#store.all(`SELECT ${entryColumns} FROM entries ${byKey} url = ? AND shelf = ? AND partition = ?`, key.url, key.shelf, key.partition)
    return rows.map((row) => responseOf(row, key)).toSorted((a, b) => b.storedMs - a.storedMs || b.id - a.id)
  }

  get(id: number): CachedResponse | undefined {
    const row = this.#store.get(`SELECT ${fullColumns} FROM entries WHERE id = ?`, id)
    return row === undefined ? undefined : responseOf(row, keyOf(row))
  }

  place(id: number): EntryPlace | undefined {
    return placeOf(this.#store.get(`SELECT ${placeColumns} FROM entries WHERE id = ?`, id))
  }

  /** The entry that has this key and these request fields. */
  same(key: CacheKey, vary: CachedHead['vary']): EntryPlace | undefined {
    return placeOf(this.#store.get(`SELECT ${placeColumns} FROM entries ${byKey} url = ? AND shelf = ? AND partition = ? AND vary = ?`, key.url, key.shelf, key.partition, varyText(vary)))
  }

  /** Adds the row and, where it is new, that of the body. Returns the id, which is never used again. */
  insert(entry: NewCachedResponse, body: WrittenBody | undefined, used: number): number {
    const { key, vary, pinned, source } = entry
    if (body !== undefined) this.#store.run('INSERT INTO bodies (digest, bytes, entries, pins) VALUES (?, ?, 0, 0) ON CONFLICT DO NOTHING', body.digest, body.bytes)
    const row = this.#store.get(
      'INSERT INTO entries (url, shelf, partition, vary, digest, bytes, pinned, used, source, head) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id',
      key.url, key.shelf, key.partition, varyText(vary), body?.digest ?? null, body?.bytes ?? 0, pinned ? 1 : 0, used, source, headText(entry),
    )
    if (row === undefined) throw new Error('the index gave no id to an entry')
    return numberOf(row, 'id')
  }

  refresh(entry: CachedResponse, head: CachedHead): void {
    const { status, reason, fields, vary, storedMs, initialAgeMs } = head
    const { source, by, capturedMs } = entry
    this.#store.run('UPDATE entries SET vary = ?, head = ? WHERE id = ?', varyText(vary), headText({ status, reason, fields, vary, storedMs, initialAgeMs, source, by, capturedMs }), entry.id)
  }

  /** Of the entries behind `behind`, how many this person put there, and where to go on; with `isScrubbing` nothing says
   * so any more. */
  forgetPart(person: string, isScrubbing: boolean, behind: number): { readonly count: number; readonly next: number | undefined } {
    const rows = this.#store.all(`SELECT ${fullColumns} FROM entries WHERE id > ? ORDER BY id LIMIT ${scanBatch}`, behind)
    let count = 0
    for (const row of rows) {
      const entry = responseOf(row, keyOf(row))
      if (!isSamePerson(entry.by, person)) continue
      count++
      if (isScrubbing) this.#store.run('UPDATE entries SET head = ? WHERE id = ?', headText({ ...entry, by: erasedName }), entry.id)
    }
    const last = rows.at(-1)
    return { count, next: last === undefined ? undefined : numberOf(last, 'id') }
  }

  /** What was overwritten is nowhere beside the index any more. */
  checkpoint(): void {
    this.#store.checkpoint()
  }

  remove(id: number): boolean {
    return this.#store.run('DELETE FROM entries WHERE id = ?', id) === 1
  }

  setPinned(id: number, pinned: boolean): boolean {
    return this.#store.run('UPDATE entries SET pinned = ? WHERE id = ?', pinned ? 1 : 0, id) === 1
  }

  setUsed(id: number, used: number): void {
    this.#store.run('UPDATE entries SET used = ? WHERE id = ?', used, id)
  }

  /** The highest `used` there is; 0 where there is none. */
  lastUsed(): number {
    const last = [0, 1].map((pinned) => this.#store.get('SELECT used FROM entries WHERE pinned = ? ORDER BY used DESC LIMIT 1', pinned))
    return Math.max(0, ...last.map((row) => (row === undefined ? 0 : numberOf(row, 'used'))))
  }

  /** Of those that are not pinned the one used longest ago. */
  leastUsed(): EntryPlace | undefined {
    return placeOf(this.#store.get(`SELECT ${placeColumns} FROM entries WHERE pinned = 0 ORDER BY used LIMIT 1`))
  }

  /** Of one key's that are not pinned, those beyond the `kept` that came last. */
  surplus(key: CacheKey, kept: number): readonly EntryPlace[] {
    const rows = this.#store.all(`SELECT ${placeColumns} FROM entries ${byKey} url = ? AND shelf = ? AND partition = ? AND pinned = 0 ORDER BY id DESC LIMIT -1 OFFSET ?`, key.url, key.shelf, key.partition, kept)
    return rows.flatMap((row) => placeOf(row) ?? [])
  }

  hasBody(digest: string): boolean {
    return this.#store.get('SELECT 1 AS one FROM bodies WHERE digest = ?', digest) !== undefined
  }

  isBodyPinned(digest: string): boolean {
    const row = this.#store.get('SELECT pins FROM bodies WHERE digest = ?', digest)
    return row !== undefined && numberOf(row, 'pins') > 0
  }

  /** Its size when nobody referred to it any more and its row is gone. */
  dropBody(digest: string): number | undefined {
    const row = this.#store.get('DELETE FROM bodies WHERE digest = ? AND entries = 0 RETURNING bytes', digest)
    return row === undefined ? undefined : numberOf(row, 'bytes')
  }

  totals(): Totals {
    const row = this.#store.get('SELECT entries, pinned, body_bytes, pinned_bytes FROM totals')
    if (row === undefined) throw new Error('the index of the cache has lost its totals')
    return { entries: numberOf(row, 'entries'), pinned: numberOf(row, 'pinned'), bodyBytes: numberOf(row, 'body_bytes'), pinnedBytes: numberOf(row, 'pinned_bytes') }
  }

  /** Newest first, at most `limit`, with ids below `before`: those among the next rows, and the id to go on before,
   * undefined when there are no more or enough. */
  list(filter: CacheFilter, limit: number, before: number): ListedPart {
    const { matches } = filter
    if (matches === undefined) return { found: this.#page(filter, fullColumns, limit, before).map((row) => responseOf(row, keyOf(row))), next: undefined }
    // only what is meant is read in full
    const rows = this.#page(filter, 'id, url', scanBatch, before)
    const meant = rows.filter((row) => matches(textOf(row, 'url'))).slice(0, limit)
    const last = rows.at(-1)
    return {
      found: meant.flatMap((row) => this.get(numberOf(row, 'id')) ?? []),
      next: last === undefined || rows.length < scanBatch || meant.length === limit ? undefined : numberOf(last, 'id'),
    }
  }

  #page(filter: CacheFilter, columns: string, limit: number, below: number): readonly Row[] {
    const wanted = [['shelf', filter.shelf], ['partition', filter.partition], ['source', filter.source]] as const
    const named = wanted.flatMap(([column, value]) => (value === undefined ? [] : [{ column, value }]))
    const where = ['id < ?', ...named.map(({ column }) => `${column} = ?`)].join(' AND ')
    return this.#store.all(`SELECT ${columns} FROM entries WHERE ${where} ORDER BY id DESC LIMIT ?`, below, ...named.map(({ value }) => value), limit)
  }
}

function placeOf(row: Row | undefined): EntryPlace | undefined {
  return row === undefined ? undefined : { id: numberOf(row, 'id'), key: keyOf(row), digest: optionalText(row, 'digest') }
}
