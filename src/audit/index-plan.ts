// A question about the journal as a question to its index: which rows can be records that fit. Pure but for what it asks
// the index about terms. It may choose too many, for the record decides; it must never leave one out.
import type { SQLInputValue } from 'node:sqlite'
import { termFields, verdictNumber, wordNumber, type RecordIndex, type TermField } from './record-index.ts'
import type { RecordFilter } from './record-filter.ts'

/** What a reader may see at all: records of these teams, and of these sessions. Undefined: everything. */
export interface SearchScope {
  readonly teams: readonly string[]
  readonly sessions: readonly string[]
}

export interface IndexPlan {
  /** conditions, joined by AND; `$name` stands for a value */
  readonly where: string
  readonly values: Readonly<Record<string, SQLInputValue>>
  /** the column that rows are found by, and what it is to be; undefined: all rows are looked at */
  readonly driver: { readonly column: string; readonly ids: readonly number[] } | undefined
  /** each row is a record that fits, and need not be read to know so */
  readonly isExact: boolean
}

/** Rows in order. */
export interface SeqRange {
  readonly firstSeq: number
  readonly lastSeq: number
}

/** As many terms are found one by one; where there are more, all rows are looked at. */
const maxBranches = 32

/** Undefined: no record that is indexed fits. */
export function planOf(index: RecordIndex, filter: RecordFilter, scope: SearchScope | undefined): IndexPlan | undefined {
  const { question, globs, words } = filter
  const conditions: string[] = []
  const values: Record<string, SQLInputValue> = {}
  const found = new Map<TermField, readonly number[]>()
  for (const field of termFields) {
    if (!globs.has(field)) continue
    const ids = termIds(index, field, (text) => filter.fits(field, text), globs.get(field)?.text)
    if (ids.length === 0) return undefined
    found.set(field, ids)
  }
  const driver = driverOf(words.get('request'), words.get('approval'), found)
  for (const [field, ids] of found) if (field !== driver?.column) conditions.push(isOneOf(field, ids, values))
  const verdict = words.get('verdict')
  if (verdict !== undefined) conditions.push(`+verdict = ${verdictNumber[verdict] ?? 0}`)
  for (const field of ['request', 'approval'] as const) {
    const word = words.get(field)
    if (word !== undefined && driver?.column !== field) conditions.push(`+${field} = ${wordNumber(word)}`)
  }
  const { sinceMs, untilMs, owner } = question
  if (sinceMs !== undefined) conditions.push(`time_ms >= ${Math.ceil(sinceMs)}`)
  if (untilMs !== undefined) conditions.push(`time_ms < ${Math.ceil(untilMs)}`)
  // a glob that stands for more than one name cannot be looked for: names are not in the index
  if (owner !== undefined && globs.get('owner')?.isLiteral === true && isAscii(owner)) conditions.push(`owner = ${index.ownerNumber(owner)}`)
  if (scope !== undefined) conditions.push(scopeCondition(index, scope, values))
  return { where: ['TRUE', ...conditions].join(' AND '), values, driver, isExact: owner === undefined && !words.has('request') && !words.has('approval') }
}

function driverOf(request: string | undefined, approval: string | undefined, found: ReadonlyMap<TermField, readonly number[]>): IndexPlan['driver'] {
  if (request !== undefined) return { column: 'request', ids: [wordNumber(request)] }
  if (approval !== undefined) return { column: 'approval', ids: [wordNumber(approval)] }
  for (const column of ['session', 'host'] as const) {
    const ids = found.get(column)
    if (ids !== undefined && ids.length <= maxBranches) return { column, ids }
  }
  return undefined
}

function termIds(index: RecordIndex, field: TermField, isWanted: (text: string) => boolean, glob?: string): readonly number[] {
  const ids: number[] = []
  for (const { text, id } of index.terms(field, glob)) if (isWanted(text)) ids.push(id)
  return ids
}

/** The plus keeps SQLite from finding rows by this column: how they are found is decided here. */
function isOneOf(column: string, ids: readonly number[], values: Record<string, SQLInputValue>): string {
  const name = `of_${Object.keys(values).length}`
  values[name] = JSON.stringify(ids)
  return `+${column} IN (SELECT value FROM json_each($${name}))`
}

function scopeCondition(index: RecordIndex, { teams, sessions }: SearchScope, values: Record<string, SQLInputValue>): string {
  const teamIds = termIds(index, 'team', (text) => teams.includes(text))
  const known = new Set(sessions)
  const sessionIds = termIds(index, 'session', (text) => known.has(text))
  return `(${isOneOf('team', teamIds, values)} OR ${isOneOf('session', sessionIds, values)})`
}

/** Case folds as in the index only there. */
function isAscii(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text)
}

/** Number and byte of each row that is chosen, in order. Rows are found as they are taken: whoever has enough stops. */
export function* plannedRows(index: RecordIndex, plan: IndexPlan, range: SeqRange, order: 'newest' | 'oldest'): Generator<{ readonly seq: number; readonly offset: number }> {
  const direction = order === 'newest' ? 'DESC' : 'ASC'
  for (const row of index.rows(`${selectOf(plan, 'seq, offset')} ORDER BY seq ${direction}`, valuesOf(plan, range))) {
    yield { seq: Number(row['seq']), offset: Number(row['offset']) }
  }
}

export function plannedCount(index: RecordIndex, plan: IndexPlan, range: SeqRange): number {
  let count = 0
  for (const row of index.rows(`SELECT count(*) AS count FROM (${selectOf(plan, 'seq')})`, valuesOf(plan, range))) count += Number(row['count'])
  return count
}

/** One search by the driving column for each of its terms: SQLite merges them in order without reading them all. */
function selectOf({ where, driver }: IndexPlan, columns: string): string {
  const select = `SELECT ${columns} FROM records WHERE seq BETWEEN $first AND $last AND ${where}`
  return driver === undefined ? select : driver.ids.map((id) => `${select} AND ${driver.column} = ${id}`).join(' UNION ALL ')
}

function valuesOf({ values }: IndexPlan, { firstSeq, lastSeq }: SeqRange): Readonly<Record<string, SQLInputValue>> {
  return { ...values, first: firstSeq, last: lastSeq }
}
