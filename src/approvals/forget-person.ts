// What the database of this room holds of one person, counted and taken out: rows that are the person's go or lose what
// is personal, and where the person only did something for others `[erased]` stands in the place of the name. It knows
// the tables alone; who is live is for the registries to forget first.
import { setImmediate as nextTurn } from 'node:timers/promises'
import { reasonWithoutPath } from '../audit/label-text.ts'
import { erasedName, isSamePerson, namesPerson } from '../audit/personal.ts'
import { numberOf, optionalText, textOf, type Row, type SqlValue, type Store } from '../store/store.ts'

/** How many things of this room are about a person. */
export interface PersonCounts {
  /** of which the person is the owner */
  readonly sessions: number
  /** that the person's sessions asked, or that the person answered */
  readonly approvals: number
  /** that the person gave */
  readonly grants: number
  /** that bear the person's name */
  readonly tokens: number
  /** proposals, notifications that wait, kept answers, and names of who made or ended something */
  readonly others: number
}

const page = 200

/** A table whose columns name people who did something. */
const nameColumns: readonly { readonly table: string; readonly columns: readonly string[]; readonly counts: 'grants' | 'others' }[] = [
  { table: 'grants', columns: ['made_by'], counts: 'grants' },
  { table: 'sessions', columns: ['created_by', 'ended_by'], counts: 'others' },
  { table: 'control_tokens', columns: ['created_by'], counts: 'others' },
  { table: 'proposals', columns: ['made_by', 'decided_by'], counts: 'others' },
]

/** Counts what there is of `person`, and with `isScrubbing` takes it out. Throws what the store throws. */
export async function forgetPerson(store: Store, person: string, isScrubbing: boolean): Promise<PersonCounts> {
  const counts = { sessions: 0, approvals: 0, grants: 0, tokens: 0, others: 0 }
  const is = (row: Row, column: string): boolean => isSamePerson(optionalText(row, column), person)
  const each = (table: string, columns: string, change: (row: Row) => void): Promise<void> => walk(store, `SELECT rowid AS row, ${columns} FROM ${table}`, change)
  const run = (sql: string, ...values: readonly SqlValue[]): void => {
    if (isScrubbing) store.run(sql, ...values)
  }
  await each('sessions', 'owner', (row) => {
    if (!is(row, 'owner')) return
    counts.sessions++
    run('DELETE FROM sessions WHERE rowid = ?', numberOf(row, 'row'))
  })
  const tokens = new Set<string>()
  await each('control_tokens', 'id, name', (row) => {
    if (!is(row, 'name')) return
    counts.tokens++
    tokens.add(textOf(row, 'id'))
    run('DELETE FROM control_tokens WHERE rowid = ?', numberOf(row, 'row'))
  })
  await each('grants', 'made_by, comment', (row) => {
    if (is(row, 'made_by')) run('UPDATE grants SET comment = NULL WHERE rowid = ?', numberOf(row, 'row'))
  })
  for (const { table, columns, counts: kind } of nameColumns) {
    await each(table, columns.join(', '), (row) => {
      for (const column of columns) {
        if (!is(row, column)) continue
        counts[kind]++
        run(`UPDATE ${table} SET ${column} = ? WHERE rowid = ?`, erasedName, numberOf(row, 'row'))
      }
    })
  }
  await each('approvals', 'id, data', (row) => {
    const changed = approvalWithout(textOf(row, 'data'), person)
    if (changed === undefined) return
    counts.approvals++
    run('UPDATE approvals SET data = ? WHERE rowid = ?', changed.data, numberOf(row, 'row'))
    // what a pending one is found by is not told to anybody any more
    if (changed.isOwn) run(`UPDATE approvals SET key = id WHERE rowid = ? AND state <> 'pending'`, numberOf(row, 'row'))
  })
  await each('outbox', 'body', (row) => {
    if (!namesPerson(textOf(row, 'body'), person)) return
    counts.others++
    run('DELETE FROM outbox WHERE rowid = ?', numberOf(row, 'row'))
  })
  await each('idempotency', 'actor, body', (row) => {
    const actor = textOf(row, 'actor')
    if (!tokens.has(actor) && !isSamePerson(actor.slice(actor.indexOf(':') + 1), person) && !namesPerson(textOf(row, 'body'), person)) return
    counts.others++
    run('DELETE FROM idempotency WHERE rowid = ?', numberOf(row, 'row'))
  })
  if (isScrubbing) store.compact()
  return counts
}

/** A page at a time, so that a long table holds up nobody. */
async function walk(store: Store, select: string, change: (row: Row) => void): Promise<void> {
  for (let behind = 0; ;) {
    const rows = store.all(`${select} WHERE rowid > ? ORDER BY rowid LIMIT ${page}`, behind)
    for (const row of rows) change(row)
    const last = rows.at(-1)
    if (last === undefined) return
    behind = numberOf(last, 'row')
    await nextTurn()
  }
}

/** The JSON of an approval without the person; undefined where it holds nothing of it. */
function approvalWithout(text: string, person: string): { readonly data: string; readonly isOwn: boolean } | undefined {
  const data: unknown = JSON.parse(text)
  if (typeof data !== 'object' || data === null) throw new Error('an approval cannot be read')
  const fields: Record<string, unknown> = { ...data }
  const isOwn = isSamePerson(fields['owner'], person)
  if (isOwn) {
    for (const name of ['owner', 'url', 'requestDigest', 'statedReason', 'userAgent']) delete fields[name]
    fields['clientAddress'] = ''
    fields['reason'] = reasonWithoutPath(String(fields['reason']))
  }
  const { firstYes, decision } = fields
  const isFirst = isSamePerson(member(firstYes, 'by'), person) || isSamePerson(member(firstYes, 'mintedBy'), person)
  // an answer without a name would be a first yes that anybody could join
  if (isFirst) delete fields['firstYes']
  const isBy = isSamePerson(member(decision, 'by'), person)
  const isSecond = isSamePerson(member(decision, 'secondBy'), person)
  if ((isBy || isSecond) && typeof decision === 'object' && decision !== null) {
    const hasSecond = member(decision, 'secondBy') !== undefined
    fields['decision'] = {
      ...decision,
      ...(isBy ? { by: erasedName } : {}),
      ...(isSecond ? { secondBy: erasedName } : {}),
      // the comment is of whoever answered last
      ...(isSecond || !hasSecond ? { comment: undefined } : {}),
    }
  }
  return isOwn || isFirst || isBy || isSecond ? { data: JSON.stringify(fields), isOwn } : undefined
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? new Map<string, unknown>(Object.entries(value)).get(name) : undefined
}
