// The embedded database: one SQLite file in the data folder, written ahead (WAL), so that what was committed
// survives kill -9. One process has it; the journal's lock sees to that.
import { chmodSync, mkdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { Migration, Row, SqlValue, Store } from './store.ts'

/** A database that cannot be used as it is; starting over it would forget sessions and grants. */
export class StoreCorruptError extends Error {
  override readonly name = 'StoreCorruptError'
  readonly file: string

  constructor(file: string, what: string) {
    super(`database \`${file}\`: ${what}; restore a copy, or let \`sallyport audit repair\` move it aside: sessions, open questions and grants are gone then`)
    this.file = file
  }
}

/** Opens or makes the file (mode 0600) and applies the migrations it has not had. `isChecked`: every page is looked at
 * first, for a file that is small. Throws when it is damaged or was written by a later version. `:memory:` for tests. */
export function openSqliteStore(path: string, migrations: readonly Migration[], isChecked = false): Store {
  if (path !== ':memory:') mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  if (isChecked) {
    const fault = sqliteFault(path)
    if (fault !== undefined) throw new StoreCorruptError(path, fault)
  }
  const database = new DatabaseSync(path)
  if (path !== ':memory:') chmodSync(path, 0o600)
  try {
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON')
    const store = new SqliteStore(database)
    migrate(path, store, database, migrations)
    return store
  } catch (error) {
    database.close()
    throw error
  }
}

/** What is wrong with a database file; undefined when nothing is, or when there is none. */
export function sqliteFault(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false })
  if (found === undefined) return undefined
  if (!found.isFile()) return 'is not a file'
  // SQLite takes an empty file for a new database, and never leaves one
  if (found.size === 0) return 'is empty: it was truncated'
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(path)
    const said = Object.values(database.prepare('PRAGMA quick_check(1)').get() ?? {})
    return said[0] === 'ok' ? undefined : `is damaged: ${String(said[0])}`
  } catch (error) {
    const code = error instanceof Error && 'errcode' in error ? error.errcode : undefined
    // SQLITE_CORRUPT and SQLITE_NOTADB; whatever else, such as a lock, is no damage
    if (code !== 11 && code !== 26) throw error
    return `is damaged: ${error instanceof Error ? error.message : String(error)}`
  } finally {
    database?.close()
  }
}

function migrate(path: string, store: Store, database: DatabaseSync, migrations: readonly Migration[]): void {
  store.run('CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY) STRICT')
  const known = new Set(migrations.map(({ name }) => name))
  const applied = new Set(store.all('SELECT name FROM migrations').map((row) => String(row['name'])))
  for (const name of applied) {
    if (!known.has(name)) throw new Error(`database \`${path}\` was written by a later version of sallyport (migration \`${name}\`): start that version, or restore a copy made before it`)
  }
  for (const { name, sql } of migrations) {
    if (applied.has(name)) continue
    store.transaction(() => {
      database.exec(sql)
      store.run('INSERT INTO migrations (name) VALUES (?)', name)
    })
  }
}

class SqliteStore implements Store {
  readonly #database: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()
  #isOpen = true
  #isInside = false

  constructor(database: DatabaseSync) {
    this.#database = database
  }

  all(sql: string, ...values: readonly SqlValue[]): readonly Row[] {
    return this.#statement(sql).all(...values).map(rowOf)
  }

  get(sql: string, ...values: readonly SqlValue[]): Row | undefined {
    const row = this.#statement(sql).get(...values)
    return row === undefined ? undefined : rowOf(row)
  }

  run(sql: string, ...values: readonly SqlValue[]): number {
    return Number(this.#statement(sql).run(...values).changes)
  }

  transaction<T>(work: () => T): T {
    if (this.#isInside) return work()
    this.#database.exec('BEGIN IMMEDIATE')
    this.#isInside = true
    try {
      const result = work()
      this.#database.exec('COMMIT')
      return result
    } catch (error) {
      // a disk that is full ends the transaction by itself
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      throw error
    } finally {
      this.#isInside = false
    }
  }

  compact(): void {
    this.checkpoint()
    this.#database.exec('VACUUM')
    this.checkpoint()
  }

  checkpoint(): void {
    const row = this.#database.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get()
    if (row?.['busy'] !== 0) throw new Error('the database is in use by somebody else, so what was removed is still beside it')
  }

  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#statements.clear()
    this.#database.close()
  }

  /** Statements are few and written in the code: each is prepared once. */
  #statement(sql: string): StatementSync {
    const known = this.#statements.get(sql)
    if (known !== undefined) return known
    const statement = this.#database.prepare(sql)
    this.#statements.set(sql, statement)
    return statement
  }
}

/** SQLite's integers that a number cannot hold make node throw; bigints are never asked for. */
function rowOf(row: Record<string, unknown>): Row {
  const values: Record<string, SqlValue> = {}
  for (const [column, value] of Object.entries(row)) {
    if (value === null || typeof value === 'string' || typeof value === 'number' || value instanceof Uint8Array) values[column] = value
    else throw new Error(`column \`${column}\` holds a ${typeof value}`)
  }
  return values
}
