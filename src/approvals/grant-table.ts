// Grants on disk. Those in force are read back at the start; the others stay for the record.
import { grantTerms, grantWhos, type Grant } from '../policy/grant.ts'
import { numberOf, optionalNumber, optionalText, textOf, type Row, type Store } from '../store/store.ts'

/** Why a grant is no longer in force. */
export type GrantEnd = 'expired' | 'revoked' | 'used' | 'session_ended'

export class GrantTable {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  insert(grant: Grant): void {
    const { id, approvalId, verdict, term, who, holder, scheme, host, subdomains, port, requestDigest, by, createdMs, expiresMs, comment } = grant
    this.#store.run(
      `INSERT INTO grants (id, approval_id, verdict, term, who, holder, scheme, host, subdomains, port, request_digest, made_by, created_ms, expires_ms, comment)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      id, approvalId, verdict, term, who, holder, scheme, host, subdomains ? 1 : 0, port ?? null, requestDigest ?? null, by, createdMs, expiresMs ?? null, comment ?? null,
    )
  }

  used(id: string, usedMs: number, expiresMs: number | undefined): void {
    this.#store.run('UPDATE grants SET used_ms = coalesce(used_ms, ?), expires_ms = ? WHERE id = ?', usedMs, expiresMs ?? null, id)
  }

  end(id: string, endedMs: number, how: GrantEnd): void {
    this.#store.run('UPDATE grants SET ended_ms = ?, ended_how = ? WHERE id = ? AND ended_ms IS NULL', endedMs, how, id)
  }

  inForce(): readonly { readonly grant: Grant; readonly isUsed: boolean }[] {
    return this.#store.all('SELECT * FROM grants WHERE ended_ms IS NULL ORDER BY id').map((row) => ({ grant: grantOf(row), isUsed: row['used_ms'] !== null }))
  }
}

function grantOf(row: Row): Grant {
  const term = grantTerms.find((each) => each === row['term'])
  const who = grantWhos.find((each) => each === row['who'])
  if (term === undefined || who === undefined) throw new Error(`grant ${textOf(row, 'id')} cannot be read`)
  return {
    id: textOf(row, 'id'),
    approvalId: textOf(row, 'approval_id'),
    verdict: row['verdict'] === 'allow' ? 'allow' : 'deny',
    term,
    who,
    holder: textOf(row, 'holder'),
    scheme: row['scheme'] === 'http' ? 'http' : 'https',
    host: textOf(row, 'host'),
    subdomains: row['subdomains'] === 1,
    port: optionalNumber(row, 'port'),
    requestDigest: optionalText(row, 'request_digest'),
    by: textOf(row, 'made_by'),
    createdMs: numberOf(row, 'created_ms'),
    expiresMs: optionalNumber(row, 'expires_ms'),
    comment: optionalText(row, 'comment'),
  }
}
