// The tokens of people and programs that use the control plane. A secret is kept as its hash only. What is
// revoked, expired or unknown is nobody; a token never makes an agent.
import { erasedName, isSamePerson } from '../audit/personal.ts'
import type { Clock } from '../clock.ts'
import { numberOf, optionalNumber, textOf, type Row, type Store } from '../store/store.ts'
import { roles, type Actor, type ControlToken, type ControlTokens, type NewControlToken, type Role } from './actor.ts'
import { ReviewFault } from './review-fault.ts'
import { hashOf, isSameHash, newId, newSecret } from './secret.ts'

/** for whoever names no time, `ms` */
export const defaultTokenTtlMs = 30 * 86_400_000
/** `ms` */
export const maxTokenTtlMs = 365 * 86_400_000

export interface TokenRegistryOptions {
  readonly store: Store
  readonly clock: Clock
  /** for the operator log */
  readonly onFault: (error: unknown) => void
}

interface Entry {
  readonly token: { -readonly [Member in keyof ControlToken]: ControlToken[Member] }
  readonly actor: Actor
  readonly hash: Uint8Array
  /** what the store says of `lastUsedMs` */
  storedUsedMs: number | undefined
}

const columns = 'id, secret_hash, kind, name, role, teams, created_ms, created_by, expires_ms, revoked_ms, last_used_ms'
const prefix = 'sp_'
const secretForm = /^sp_[A-Za-z0-9_-]{43}$/
const storeUsedMs = 60_000
const minTtlMs = 60_000
// what is shown to people and compared by machines has one spelling
const nameForm = /^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$/
const hidden = /[\p{C}\p{Zl}\p{Zp}]/u
const maxTeams = 64
const maxTeam = 128

export class TokenRegistry implements ControlTokens {
  readonly #options: TokenRegistryOptions
  readonly #byId = new Map<string, Entry>()
  /** by the hash, in hexadecimal: how long it takes to find one tells nothing of a secret */
  readonly #byHash = new Map<string, Entry>()

  /** Throws what the store throws. */
  constructor(options: TokenRegistryOptions) {
    this.#options = options
    for (const row of options.store.all(`SELECT ${columns} FROM control_tokens ORDER BY created_ms, id`)) this.#add(entryOf(row))
  }

  /** Throws ReviewFault `invalid` or `not_permitted`, or what the store throws. */
  create(wanted: NewControlToken, by: Actor): { readonly token: ControlToken; readonly secret: string } {
    if (by.role !== 'admin') throw new ReviewFault('not_permitted', 'only an admin makes tokens')
    check(wanted)
    const { kind, name, role } = wanted
    const lower = name.toLowerCase()
    if (Array.from(this.#byId.values()).some((entry) => this.#isInForce(entry) && entry.token.name.toLowerCase() === lower)) {
      throw new ReviewFault('invalid', `there is a token of \`${name}\` in force: revoke it first, or take another name`)
    }
    const { store, clock } = this.#options
    const secret = `${prefix}${newSecret()}`
    const createdMs = clock.now()
    const teams = [...new Set(wanted.teams)]
    const token = { id: newId('t'), kind, name, role, teams, createdMs, createdBy: by.name, expiresMs: createdMs + wanted.ttlMs, revokedMs: undefined, lastUsedMs: undefined }
    const hash = hashOf(secret)
    store.run(
      `INSERT INTO control_tokens (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)`,
      token.id, hash, kind, name, role, JSON.stringify(teams), createdMs, by.name, token.expiresMs,
    )
    this.#add({ token, actor: actorOf(token), hash, storedUsedMs: undefined })
    return { token, secret }
  }

  revoke(id: string): boolean {
    const entry = this.#byId.get(id)
    if (entry === undefined || !this.#isInForce(entry)) return false
    const { store, clock } = this.#options
    const nowMs = clock.now()
    store.run('UPDATE control_tokens SET revoked_ms = ?, last_used_ms = ? WHERE id = ?', nowMs, entry.token.lastUsedMs ?? null, id)
    entry.token.revokedMs = nowMs
    return true
  }

  /** This person's tokens are worth nothing any more, and nothing in memory names it; the rows are for `forgetPerson`. */
  forget(person: string): void {
    for (const entry of [...this.#byId.values()]) {
      if (isSamePerson(entry.token.name, person)) {
        this.#byId.delete(entry.token.id)
        this.#byHash.delete(hexOf(entry.hash))
      } else if (isSamePerson(entry.token.createdBy, person)) {
        const token = { ...entry.token, createdBy: erasedName }
        this.#add({ ...entry, token, actor: actorOf(token) })
      }
    }
  }

  /** newest first */
  list(): readonly ControlToken[] {
    return Array.from(this.#byId.values(), ({ token }) => token).toSorted((one, other) => other.createdMs - one.createdMs)
  }

  authenticate(secret: string): Actor | undefined {
    if (!secretForm.test(secret)) return undefined
    const hash = hashOf(secret)
    const entry = this.#byHash.get(hexOf(hash))
    if (entry === undefined || !isSameHash(hash, entry.hash) || !this.#isInForce(entry)) return undefined
    this.#used(entry)
    return entry.actor
  }

  /** Stores what is only in memory. The store is its owner's to close. */
  close(): void {
    for (const entry of this.#byId.values()) if (entry.token.lastUsedMs !== entry.storedUsedMs) this.#storeUsed(entry)
  }

  #add(entry: Entry): void {
    this.#byId.set(entry.token.id, entry)
    this.#byHash.set(hexOf(entry.hash), entry)
  }

  #isInForce({ token: { revokedMs, expiresMs } }: Entry): boolean {
    return revokedMs === undefined && this.#options.clock.now() < expiresMs
  }

  /** Written at most once a minute; a store that cannot be written keeps no reviewer out. */
  #used(entry: Entry): void {
    const nowMs = this.#options.clock.now()
    entry.token.lastUsedMs = nowMs
    if (entry.storedUsedMs !== undefined && Math.abs(nowMs - entry.storedUsedMs) < storeUsedMs) return
    try {
      this.#storeUsed(entry)
    } catch (error) {
      this.#options.onFault(error)
    }
  }

  #storeUsed(entry: Entry): void {
    const { id, lastUsedMs } = entry.token
    this.#options.store.run('UPDATE control_tokens SET last_used_ms = ? WHERE id = ?', lastUsedMs ?? null, id)
    entry.storedUsedMs = lastUsedMs
  }
}

function check({ kind, name, role, teams, ttlMs }: NewControlToken): void {
  if (!nameForm.test(name)) throw new ReviewFault('invalid', '`name` wants 1 to 64 letters, digits and `._@+-`, a letter or digit first')
  if (kind === 'program' && role === 'admin') throw new ReviewFault('invalid', 'a program cannot be an admin')
  if (teams.length > maxTeams || teams.some((team) => team === '' || team.length > maxTeam || team.trim() !== team || hidden.test(team))) {
    throw new ReviewFault('invalid', `\`teams\` wants at most ${maxTeams} names of 1 to ${maxTeam} visible characters`)
  }
  if (!Number.isSafeInteger(ttlMs) || ttlMs < minTtlMs || ttlMs > maxTokenTtlMs) throw new ReviewFault('invalid', '`ttl` wants a time from a minute to 365 days')
}

function actorOf({ id, kind, name, role, teams, createdBy }: ControlToken): Actor {
  return Object.freeze({ kind, name, role, teams, tokenId: id, mintedBy: createdBy })
}

/** Throws on what this version did not write: a role that is not known must not become another. */
function entryOf(row: Row): Entry {
  const id = textOf(row, 'id')
  const hash = row['secret_hash']
  if (!(hash instanceof Uint8Array)) throw new Error(`control token \`${id}\` has no secret`)
  const kind = textOf(row, 'kind')
  if (kind !== 'person' && kind !== 'program') throw new Error(`control token \`${id}\` is of no known kind`)
  const lastUsedMs = optionalNumber(row, 'last_used_ms')
  const token = {
    id,
    kind,
    name: textOf(row, 'name'),
    role: roleOf(textOf(row, 'role'), id),
    teams: teamsOf(textOf(row, 'teams'), id),
    createdMs: numberOf(row, 'created_ms'),
    createdBy: textOf(row, 'created_by'),
    expiresMs: numberOf(row, 'expires_ms'),
    revokedMs: optionalNumber(row, 'revoked_ms'),
    lastUsedMs,
  } as const
  return { token, actor: actorOf(token), hash, storedUsedMs: lastUsedMs }
}

function roleOf(text: string, id: string): Role {
  const role = roles.find((known) => known === text)
  if (role === undefined) throw new Error(`control token \`${id}\` has no known role`)
  return role
}

/** An empty list means all teams, so nothing unreadable may become one. */
function teamsOf(text: string, id: string): readonly string[] {
  const teams: unknown = JSON.parse(text)
  if (!Array.isArray(teams) || !teams.every((team) => typeof team === 'string')) throw new Error(`control token \`${id}\` has no list of teams`)
  return teams
}

function hexOf(hash: Uint8Array): string {
  return Buffer.from(hash.buffer, hash.byteOffset, hash.byteLength).toString('hex')
}
