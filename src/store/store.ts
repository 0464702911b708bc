// What rooms know of the embedded database: statements, rows, transactions. It knows no domain; each room
// that keeps something brings its own migrations and its own SQL.

export type SqlValue = string | number | null | Uint8Array

export type Row = Readonly<Record<string, SqlValue>>

export interface Migration {
  /** unique, never changed once released */
  readonly name: string
  readonly sql: string
}

/** Synchronous: low-rate things only. Every method throws what the database throws. */
export interface Store {
  all(sql: string, ...values: readonly SqlValue[]): readonly Row[]
  get(sql: string, ...values: readonly SqlValue[]): Row | undefined
  /** Returns the number of rows that changed. */
  run(sql: string, ...values: readonly SqlValue[]): number
  /** All of `work` or nothing of it; what is thrown rolls back. Within another transaction it joins that one. */
  transaction<T>(work: () => T): T
  /** Nothing of what was deleted or overwritten stays in the file or beside it. Rewrites all of it, so only for small ones. */
  compact(): void
  /** What was committed stands in the file itself, and nowhere beside it. */
  checkpoint(): void
  close(): void
}

/** A column that holds text. */
export function textOf(row: Row, column: string): string {
  const value = row[column]
  if (typeof value !== 'string') throw new Error(`column \`${column}\` holds no text`)
  return value
}

/** A column that holds text or NULL. */
export function optionalText(row: Row, column: string): string | undefined {
  return row[column] === null || row[column] === undefined ? undefined : textOf(row, column)
}

/** A column that holds a number. */
export function numberOf(row: Row, column: string): number {
  const value = row[column]
  if (typeof value !== 'number') throw new Error(`column \`${column}\` holds no number`)
  return value
}

/** A column that holds a number or NULL. */
export function optionalNumber(row: Row, column: string): number | undefined {
  return row[column] === null || row[column] === undefined ? undefined : numberOf(row, column)
}
