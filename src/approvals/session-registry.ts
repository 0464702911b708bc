// The sessions: who they are stands in the store, who is live also in memory, so that a request is
// authenticated without the store. A token is kept as its hash only. What has ended never comes back, and
// whatever is in doubt is not live.
import type { AuditEvent, AuditSink } from '../audit/event.ts'
import { erasedName, isSamePerson } from '../audit/personal.ts'
import { sessionEndedEvent, sessionSharedEvent, sessionStartedEvent, type SessionSubject } from '../audit/session-events.ts'
import type { Clock } from '../clock.ts'
import { ProxyError } from '../errors.ts'
import type { Principal } from '../policy/facts.ts'
import { numberOf, optionalNumber, optionalText, textOf, type Row, type Store } from '../store/store.ts'
import { ReviewFault } from './review-fault.ts'
import { hashOf, isSameHash, newId, newSecret } from './secret.ts'
import { SeenPlaces } from './seen-places.ts'
import type { NewSession, SeenFrom, Session, Sessions } from './session.ts'

export interface SessionRegistryOptions {
  readonly store: Store
  readonly audit: AuditSink
  readonly clock: Clock
  /** settings ask for a session whatever else there is */
  readonly requireSession: boolean
  /** the policy in force has a rule or limit for some agents or teams only */
  readonly policyNamesAgents: () => boolean
  /** life of a session that names none, `ms`; absent: until it is ended */
  readonly defaultTtlMs?: number
  /** for the operator log */
  readonly onFault: (error: unknown) => void
}

interface Entry {
  readonly session: { -readonly [Member in keyof Session]: Session[Member] }
  readonly tokenHash: Uint8Array
  readonly places: SeenPlaces
  /** what the store says of `lastSeenMs` */
  storedSeenMs: number | undefined
}

const columns = 'id, token_hash, agent, owner, team, hold_ms, unattended, trusts_ca, web_fetch, record, has_socket, is_isolated, created_ms, created_by, expires_ms, ended_ms, last_seen_ms'
const sweepMs = 1_000
const storeSeenMs = 60_000
const shownMs = 86_400_000
const maxLabel = 128
const maxRecordMs = 86_400_000
// controls, what changes the direction of text, and lone surrogates
const hidden = /[\p{C}\p{Zl}\p{Zp}]/u
// compared with where there is no such session, so that the answer takes the same time
const nobodys = hashOf('')

export class SessionRegistry implements Sessions {
  readonly #options: SessionRegistryOptions
  readonly #live = new Map<string, Entry>()
  /** of the last day */
  readonly #ended = new Map<string, Session>()
  readonly #listeners: ((session: Session) => void)[] = []
  readonly #timer: NodeJS.Timeout
  #seenStoredAtMs: number

  /** Throws what the store throws. */
  constructor(options: SessionRegistryOptions) {
    this.#options = options
    const { store, clock } = options
    for (const row of store.all(`SELECT ${columns} FROM sessions WHERE ended_ms IS NULL OR ended_ms > ? ORDER BY created_ms, id`, clock.now() - shownMs)) {
      const entry = entryOf(row)
      if (entry.session.endedMs === undefined) this.#live.set(entry.session.id, entry)
      else this.#ended.set(entry.session.id, entry.session)
    }
    this.#seenStoredAtMs = clock.monotonic()
    this.#timer = setInterval(() => this.sweep(), sweepMs).unref()
  }

  authenticate(id: string, token: string, from: SeenFrom): Session | undefined {
    const entry = this.#live.get(id)
    const isRight = isSameHash(hashOf(token), entry?.tokenHash ?? nobodys)
    if (entry === undefined || !isRight || this.#isExpired(entry)) return undefined
    const { session, places } = entry
    session.lastSeenMs = this.#options.clock.now()
    const first = places.note(from)
    if (first !== undefined) void this.#tell(sessionSharedEvent(subjectOf(session), first, from))
    return session
  }

  /** Whether these are a live session's credentials; looking is no use of them. */
  isCredential(id: string, token: string): boolean {
    const entry = this.#live.get(id)
    return isSameHash(hashOf(token), entry?.tokenHash ?? nobodys) && entry !== undefined
  }

  live(id: string): Session | undefined {
    const entry = this.#live.get(id)
    return entry === undefined || this.#isExpired(entry) ? undefined : entry.session
  }

  arrived(id: string): Session | undefined {
    const entry = this.#live.get(id)
    if (entry === undefined || this.#isExpired(entry) || !entry.session.hasSocket) return undefined
    entry.session.lastSeenMs = this.#options.clock.now()
    return entry.session
  }

  credentialsNeeded(): boolean {
    return this.#options.requireSession || this.#live.size > 0 || this.#options.policyNamesAgents()
  }

  /** Throws ReviewFault `invalid` or `audit_unavailable`, or what the store throws. */
  async create(wanted: NewSession, by: string): Promise<{ readonly session: Session; readonly token: string }> {
    check(wanted)
    const { store, audit, clock } = this.#options
    const id = newId('s')
    const token = newSecret()
    const createdMs = clock.now()
    const ttlMs = wanted.ttlMs ?? this.#options.defaultTtlMs
    const { hasSocket = false, isIsolated = false } = wanted
    const session = {
      id,
      principal: principalOf(id, wanted),
      hold: wanted.hold,
      unattended: wanted.unattended,
      hasSocket,
      isIsolated,
      createdMs,
      createdBy: by,
      expiresMs: ttlMs === undefined ? undefined : createdMs + ttlMs,
      endedMs: undefined,
      lastSeenMs: undefined,
    }
    const entry: Entry = { session, tokenHash: hashOf(token), places: new SeenPlaces(), storedSeenMs: undefined }
    try {
      await audit.append(sessionStartedEvent(subjectOf(session), by))
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error
      throw new ReviewFault('audit_unavailable', 'the start of the session cannot be recorded, so there is none')
    }
    store.run(
      `INSERT INTO sessions (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)`,
      id, entry.tokenHash, wanted.agent, wanted.owner ?? null, wanted.team ?? null, wanted.hold === 'auto' ? null : wanted.hold,
      wanted.unattended ? 1 : 0, session.principal.trustsCa === true ? 1 : 0, wanted.webFetch === true ? 1 : 0, wanted.record === true ? 1 : 0, hasSocket ? 1 : 0, isIsolated ? 1 : 0, createdMs, by, session.expiresMs ?? null,
    )
    this.#live.set(id, entry)
    return { session, token }
  }

  /** Takes effect at once, even where the journal cannot be written. Throws what the store throws; then the session goes on. */
  async end(id: string, by: string | undefined): Promise<boolean> {
    const entry = this.#live.get(id)
    if (entry === undefined || this.#isExpired(entry)) return false
    await this.#end(entry, 'ended', by, this.#options.clock.now())
    return true
  }

  list(): readonly Session[] {
    const since = this.#options.clock.now() - shownMs
    const ended = Array.from(this.#ended.values()).filter(({ endedMs }) => endedMs === undefined || endedMs > since)
    return [...ended, ...Array.from(this.#live.values(), ({ session }) => session)].toSorted((one, other) => other.createdMs - one.createdMs)
  }

  get(id: string): Session | undefined {
    return this.#live.get(id)?.session ?? this.#ended.get(id)
  }

  /** Ends what this person owns. */
  async endOf(person: string, by: string | undefined): Promise<readonly string[]> {
    const ids = Array.from(this.#live.values()).flatMap(({ session: { id, principal } }) => (isSamePerson(principal.owner, person) ? [id] : []))
    for (const id of ids) await this.end(id, by)
    return ids
  }

  /** Nothing in memory names this person any more; the rows are for `forgetPerson`. */
  forget(person: string): void {
    for (const { id, principal } of [...this.#ended.values()]) if (isSamePerson(principal.owner, person)) this.#ended.delete(id)
    for (const [id, session] of this.#ended) if (isSamePerson(session.createdBy, person)) this.#ended.set(id, { ...session, createdBy: erasedName })
    for (const { session } of this.#live.values()) if (isSamePerson(session.createdBy, person)) session.createdBy = erasedName
  }

  onEnded(listener: (session: Session) => void): void {
    this.#listeners.push(listener)
  }

  /** Ends what has expired, and stores now and then when each was last seen. The timer calls it. */
  sweep(): void {
    const { clock, onFault } = this.#options
    try {
      for (const entry of this.#live.values()) {
        const { expiresMs } = entry.session
        if (expiresMs !== undefined && this.#isExpired(entry)) this.#end(entry, 'expired', undefined, expiresMs).catch(onFault)
      }
      if (clock.monotonic() - this.#seenStoredAtMs >= storeSeenMs) this.#keepHouse()
    } catch (error) {
      onFault(error)
    }
  }

  /** Stores what is only in memory. The store is its owner's to close. */
  close(): void {
    clearInterval(this.#timer)
    this.#storeSeen()
  }

  #isExpired({ session: { expiresMs } }: Entry): boolean {
    return expiresMs !== undefined && this.#options.clock.now() >= expiresMs
  }

  async #end(entry: Entry, how: 'ended' | 'expired', by: string | undefined, endedMs: number): Promise<void> {
    const { session } = entry
    this.#options.store.run('UPDATE sessions SET ended_ms = ?, ended_by = ?, last_seen_ms = ? WHERE id = ?', endedMs, by ?? null, session.lastSeenMs ?? null, session.id)
    this.#live.delete(session.id)
    session.endedMs = endedMs
    this.#ended.set(session.id, session)
    const told = this.#tell(sessionEndedEvent(subjectOf(session), how, by))
    for (const listener of this.#listeners) this.#call(listener, session)
    await told
  }

  /** One that fails keeps no other from hearing of it. */
  #call(listener: (session: Session) => void, session: Session): void {
    try {
      listener(session)
    } catch (error) {
      this.#options.onFault(error)
    }
  }

  /** What happened has happened: a journal that cannot be written takes none of it back. */
  async #tell(event: AuditEvent): Promise<void> {
    try {
      await this.#options.audit.append(event)
    } catch (error) {
      this.#options.onFault(error)
    }
  }

  #keepHouse(): void {
    const { store, clock } = this.#options
    this.#seenStoredAtMs = clock.monotonic()
    this.#storeSeen()
    const before = clock.now() - shownMs
    store.run('DELETE FROM sessions WHERE ended_ms <= ?', before)
    for (const { id, endedMs } of this.#ended.values()) if (endedMs !== undefined && endedMs <= before) this.#ended.delete(id)
  }

  #storeSeen(): void {
    const seen = Array.from(this.#live.values()).filter(({ session, storedSeenMs }) => session.lastSeenMs !== storedSeenMs)
    if (seen.length === 0) return
    const { store } = this.#options
    store.transaction(() => {
      for (const { session } of seen) store.run('UPDATE sessions SET last_seen_ms = ? WHERE id = ?', session.lastSeenMs ?? null, session.id)
    })
    for (const entry of seen) entry.storedSeenMs = entry.session.lastSeenMs
  }
}

function subjectOf({ id, principal: { agent, owner, team, trustsCa = false, webFetch = false, record = false }, expiresMs, unattended, hasSocket, isIsolated }: Session): SessionSubject {
  return { id, agent, owner, team, expiresMs, unattended, trustsCa, webFetch, record, hasSocket, isIsolated }
}

/** One object for all exchanges of the session. */
function principalOf(id: string, { agent, team, owner, trustsCa, webFetch, record }: Pick<NewSession, 'agent' | 'team' | 'owner' | 'trustsCa' | 'webFetch' | 'record'>): Principal {
  // what is read inside https is seen nowhere else
  const trusts = trustsCa === true || webFetch === true || record === true
  return Object.freeze({ session: id, agent, team, owner, ...(trusts ? { trustsCa: true } : {}), ...(webFetch === true ? { webFetch } : {}), ...(record === true ? { record } : {}) })
}

function entryOf(row: Row): Entry {
  const id = textOf(row, 'id')
  const tokenHash = row['token_hash']
  if (!(tokenHash instanceof Uint8Array)) throw new Error(`session \`${id}\` has no token`)
  const lastSeenMs = optionalNumber(row, 'last_seen_ms')
  const session = {
    id,
    principal: principalOf(id, { agent: textOf(row, 'agent'), team: optionalText(row, 'team'), owner: optionalText(row, 'owner'), trustsCa: numberOf(row, 'trusts_ca') !== 0, webFetch: numberOf(row, 'web_fetch') !== 0, record: numberOf(row, 'record') !== 0 }),
    hold: optionalNumber(row, 'hold_ms') ?? ('auto' as const),
    unattended: numberOf(row, 'unattended') !== 0,
    hasSocket: numberOf(row, 'has_socket') !== 0,
    isIsolated: numberOf(row, 'is_isolated') !== 0,
    createdMs: numberOf(row, 'created_ms'),
    createdBy: textOf(row, 'created_by'),
    expiresMs: optionalNumber(row, 'expires_ms'),
    endedMs: optionalNumber(row, 'ended_ms'),
    lastSeenMs,
  }
  return { session, tokenHash, places: new SeenPlaces(), storedSeenMs: lastSeenMs }
}

function check({ agent, owner, team, hold, ttlMs, webFetch, record, hasSocket, isIsolated }: NewSession): void {
  for (const [name, label] of [['agent', agent], ['owner', owner], ['team', team]] as const) {
    if (label === undefined) continue
    if (label === '' || label.length > maxLabel || label.trim() !== label || hidden.test(label)) {
      throw new ReviewFault('invalid', `\`${name}\` wants 1 to ${maxLabel} visible characters`)
    }
  }
  if (hold !== 'auto' && !(Number.isSafeInteger(hold) && hold >= 0)) throw new ReviewFault('invalid', '`hold` wants a time')
  if (ttlMs !== undefined && !(Number.isSafeInteger(ttlMs) && ttlMs > 0)) throw new ReviewFault('invalid', '`ttl` wants a time')
  if (record === true && (ttlMs === undefined || ttlMs > maxRecordMs)) throw new ReviewFault('invalid', '`record` wants a `ttl` of at most 24 hours')
  if (record === true && webFetch === true) throw new ReviewFault('invalid', '`record` is not for a session that reads from the cache: say `record` or `web_fetch`')
  if (isIsolated === true && hasSocket !== true) throw new ReviewFault('invalid', '`isolated` is said of what connects to `socket`: ask for both')
}
