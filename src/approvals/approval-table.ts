// Approvals on disk: what survives a restart. One row each; what is searched for has columns, the rest is JSON.
import { registrableDomain } from '../target/registrable-domain.ts'
import { numberOf, textOf, type Row, type SqlValue, type Store } from '../store/store.ts'
import type { Approval, ApprovalState } from './approval.ts'
import type { ApprovalFilter } from './desk.ts'

type Stored = Omit<Approval, 'waiting'>

const states: readonly ApprovalState[] = ['pending', 'allowed', 'denied', 'expired', 'withdrawn']

export class ApprovalTable {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  insert(approval: Approval, key: string): void {
    const { id, version, state, firstSeenMs, lastSeenMs, expiresMs, attempts, session, host } = approval
    this.#store.run(
      `INSERT INTO approvals (id, key, version, state, first_seen_ms, last_seen_ms, expires_ms, attempts, session, host, registrable, data)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      id, key, version, state, firstSeenMs, lastSeenMs, expiresMs, attempts, session, host, registrableDomain(host) ?? null, dataOf(approval),
    )
  }

  update(approval: Approval): void {
    const { id, version, state, lastSeenMs, expiresMs, attempts } = approval
    this.#store.run(
      'UPDATE approvals SET version = ?, state = ?, last_seen_ms = ?, expires_ms = ?, attempts = ?, data = ? WHERE id = ?',
      version, state, lastSeenMs, expiresMs, attempts, dataOf(approval), id,
    )
  }

  remove(id: string): void {
    this.#store.run('DELETE FROM approvals WHERE id = ?', id)
  }

  get(id: string): Approval | undefined {
    const row = this.#store.get('SELECT * FROM approvals WHERE id = ?', id)
    return row === undefined ? undefined : approvalOf(row)
  }

  /** Oldest first, behind `after`; with `within`, those of an owner (in lower case) or of teams. */
  list({ state, session, host }: ApprovalFilter, after: string | undefined, limit: number, within?: { readonly owner: string; readonly teams: readonly string[] }): readonly Approval[] {
    const wanted: SqlValue[] = [after ?? '']
    let where = 'id > ?'
    for (const [column, value] of [['state', state], ['session', session], ['host', host]] as const) {
      if (value === undefined) continue
      where += ` AND ${column} = ?`
      wanted.push(value)
    }
    if (within !== undefined) {
      where += ` AND (lower(json_extract(data, '$.owner')) = ? OR json_extract(data, '$.team') IN (SELECT value FROM json_each(?)))`
      wanted.push(within.owner, JSON.stringify(within.teams))
    }
    return this.#store.all(`SELECT * FROM approvals WHERE ${where} ORDER BY id LIMIT ?`, ...wanted, limit).map(approvalOf)
  }

  /** Decided ones of the same host or registrable domain, newest first. */
  similar(host: string, limit: number): readonly Approval[] {
    const sql = `SELECT * FROM approvals WHERE (host = ? OR registrable = ?) AND state IN ('allowed', 'denied') ORDER BY id DESC LIMIT ?`
    return this.#store.all(sql, host, registrableDomain(host) ?? '', limit).map(approvalOf)
  }

  /** Whether anybody ever asked for the host or its registrable domain before `id` did. */
  isKnown(host: string, id: string): boolean {
    const sql = 'SELECT id FROM approvals WHERE (host = ? OR registrable = ?) AND id <> ? LIMIT 1'
    return this.#store.get(sql, host, registrableDomain(host) ?? '', id) !== undefined
  }

  /** Removes what ended before `beforeMs`. */
  prune(beforeMs: number): number {
    return this.#store.run(`DELETE FROM approvals WHERE state <> 'pending' AND last_seen_ms < ?`, beforeMs)
  }
}

/** Who waits now, and who has it fetched, is nothing that outlives the process. */
function dataOf(approval: Approval): string {
  return JSON.stringify({ ...approval, waiting: undefined, fetching: undefined })
}

function approvalOf(row: Row): Approval {
  const data: unknown = JSON.parse(textOf(row, 'data'))
  if (!isStored(data)) throw new Error(`approval ${textOf(row, 'id')} cannot be read`)
  const state = states.find((each) => each === row['state'])
  if (state === undefined) throw new Error(`approval ${data.id} is in no known state`)
  return {
    ...absent, ...data, waiting: 0, state, version: numberOf(row, 'version'), attempts: numberOf(row, 'attempts'),
    lastSeenMs: numberOf(row, 'last_seen_ms'), expiresMs: numberOf(row, 'expires_ms'),
  }
}

// JSON leaves out what is undefined
const absent = {
  owner: undefined, team: undefined, method: undefined, url: undefined, requestDigest: undefined, upgrade: undefined, rule: undefined,
  statedReason: undefined, userAgent: undefined, snoozedUntilMs: undefined, firstYes: undefined, decision: undefined,
} as const

/** Written by this room alone; only what all else depends on is looked at. */
function isStored(data: unknown): data is Stored {
  return typeof data === 'object' && data !== null && 'id' in data && 'host' in data && 'session' in data && 'port' in data && 'scheme' in data
}
