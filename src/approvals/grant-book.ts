// The grants in force, found by holder and host in the time of its labels however many there are. INVARIANT: a grant
// answers only whom it names; a refusal is stronger than a permission; what is for one request is used once. A wall
// clock that is set back makes none of them last longer.
import { erasedName, isSamePerson } from '../audit/personal.ts'
import type { Clock } from '../clock.ts'
import { grantCovers, grantWhos, holderOf, isOneRequest, type Grant, type GrantFacts, type GrantWho } from '../policy/grant.ts'
import type { GrantEnd, GrantTable } from './grant-table.ts'

/** An exchange that a grant let through. */
export interface GrantUse {
  readonly grant: Grant
  readonly isFirst: boolean
  /** wall clock, `ms`: the exchange is closed then. Undefined: as long as the grant stands */
  readonly liveUntilMs: number | undefined
}

interface Entry {
  grant: Grant
  usedMs: number | undefined
  /** it leaves the book then: no exchange of it can be open any more */
  endMs: number | undefined
  /** monotonic, `ms`: no new exchange from then on, whatever the wall clock says */
  closedAtMs: number
  /** monotonic, `ms`: as `endMs` */
  overAtMs: number
}

/** exchanges of a *once* may begin for so long after the first one: clients open several connections */
export const onceWindowMs = 60_000
/** a *once* that nobody waited for is kept for the retry */
export const onceRetryMs = 15 * 60_000
/** a tunnel that a *once* opened is closed after this */
export const onceLifeMs = 10 * 60_000

export class GrantBook {
  readonly #table: GrantTable
  readonly #clock: Clock
  /** by whom it names and its host */
  readonly #byPlace = new Map<string, Entry[]>()
  readonly #byId = new Map<string, Entry>()

  /** Takes up what is in force on disk. `isLive` says whether a session still is. */
  constructor(table: GrantTable, clock: Clock, isLive: (session: string) => boolean) {
    this.#table = table
    this.#clock = clock
    const nowMs = clock.now()
    for (const { grant, isUsed } of table.inForce()) {
      const isOver = (grant.expiresMs !== undefined && grant.expiresMs <= nowMs) || (isUsed && isOneRequest(grant) && grant.term === 'once')
      if (isOver) table.end(grant.id, nowMs, 'expired')
      else if (grant.who === 'session' && !isLive(grant.holder) && grant.term === 'session') table.end(grant.id, nowMs, 'session_ended')
      else this.#insert(grant, isUsed ? grant.createdMs : undefined)
    }
  }

  get size(): number {
    return this.#byId.size
  }

  /** On disk, within the transaction of the decision it follows from: `open` follows when that is through. */
  write(grant: Grant): void {
    this.#table.insert(grant)
  }

  /** In force from now on. */
  open(grant: Grant): void {
    this.#insert(grant, undefined)
  }

  /** The grant that answers for this exchange now, a refusal before a permission. */
  find(facts: GrantFacts, requestDigest: string | undefined): Grant | undefined {
    if (this.#byId.size === 0) return undefined
    const nowMs = this.#clock.now()
    const atMs = this.#clock.monotonic()
    let found: Grant | undefined
    for (const place of placesOf(facts)) {
      for (const entry of this.#byPlace.get(place) ?? none) {
        const { grant } = entry
        if (isSpent(entry) || atMs >= entry.closedAtMs || !grantCovers(grant, facts, requestDigest, nowMs)) continue
        if (grant.verdict === 'deny') return grant
        found ??= grant
      }
    }
    return found
  }

  /** An exchange goes through by `grant`: a *once* is begun, and used up where it is for one request. */
  use(grant: Grant): GrantUse {
    const entry = this.#byId.get(grant.id)
    const nowMs = this.#clock.now()
    const isFirst = entry?.usedMs === undefined
    if (entry !== undefined && isFirst) {
      const expiresMs = grant.term !== 'once' ? grant.expiresMs : isOneRequest(grant) ? nowMs : nowMs + onceWindowMs
      this.#table.used(grant.id, nowMs, expiresMs)
      entry.usedMs = nowMs
      entry.grant = { ...grant, expiresMs }
      Object.assign(entry, this.#limitsOf(entry.grant, true))
    }
    return { grant, isFirst, liveUntilMs: grant.term === 'once' ? nowMs + onceLifeMs : grant.expiresMs }
  }

  /** Nothing in memory names this person any more; the rows are for `forgetPerson`. */
  forget(person: string): void {
    for (const entry of this.#byId.values()) if (isSamePerson(entry.grant.by, person)) entry.grant = { ...entry.grant, by: erasedName, comment: undefined }
  }

  /** Whether what it opened may stay open. */
  stands(id: string): boolean {
    return this.#byId.has(id)
  }

  get(id: string): Grant | undefined {
    return this.#byId.get(id)?.grant
  }

  /** By age. */
  all(): readonly Grant[] {
    return Array.from(this.#byId.values(), ({ grant }) => grant)
  }

  /** The grant that was ended; undefined when it was not in force. */
  end(id: string, how: GrantEnd): Grant | undefined {
    const entry = this.#byId.get(id)
    if (entry === undefined) return undefined
    this.#table.end(id, this.#clock.now(), how)
    this.#byId.delete(id)
    const { who, holder, host } = entry.grant
    const place = placeOf(who, holder, host)
    const left = (this.#byPlace.get(place) ?? []).filter((each) => each !== entry)
    if (left.length === 0) this.#byPlace.delete(place)
    else this.#byPlace.set(place, left)
    return entry.grant
  }

  /** Ends what a session held. */
  endSession(session: string): readonly Grant[] {
    const held = this.all().filter(({ who, holder }) => who === 'session' && holder === session)
    return held.flatMap(({ id }) => this.end(id, 'session_ended') ?? [])
  }

  /** Ends what is over. */
  expire(): readonly Grant[] {
    const nowMs = this.#clock.now()
    const atMs = this.#clock.monotonic()
    const over: string[] = []
    for (const [id, { endMs, overAtMs }] of this.#byId) if ((endMs !== undefined && endMs <= nowMs) || overAtMs <= atMs) over.push(id)
    return over.flatMap((id) => this.end(id, 'expired') ?? [])
  }

  #insert(grant: Grant, usedMs: number | undefined): void {
    const { id, who, holder, host } = grant
    const entry: Entry = { grant, usedMs, ...this.#limitsOf(grant, usedMs !== undefined) }
    this.#byId.set(id, entry)
    const place = placeOf(who, holder, host)
    const there = this.#byPlace.get(place)
    if (there === undefined) this.#byPlace.set(place, [entry])
    else there.push(entry)
  }

  #limitsOf(grant: Grant, isUsed: boolean): Pick<Entry, 'endMs' | 'closedAtMs' | 'overAtMs'> {
    const endMs = endOf(grant, isUsed)
    const aheadMs = this.#clock.monotonic() - this.#clock.now()
    return { endMs, closedAtMs: (grant.expiresMs ?? Infinity) + aheadMs, overAtMs: (endMs ?? Infinity) + aheadMs }
  }
}

const none: readonly Entry[] = []

/** For one request, which was let through. */
function isSpent({ grant, usedMs }: Entry): boolean {
  return grant.term === 'once' && isOneRequest(grant) && usedMs !== undefined
}

function endOf({ term, verdict, expiresMs }: Grant, isUsed: boolean): number | undefined {
  if (expiresMs === undefined) return undefined
  return term === 'once' && verdict === 'allow' && isUsed ? expiresMs + onceLifeMs : expiresMs
}

/** The name and all names above it, itself first. */
function* namesAbove(host: string): Generator<string> {
  yield host
  for (let dot = host.indexOf('.'); dot !== -1; dot = host.indexOf('.', dot + 1)) yield host.slice(dot + 1)
}

/** A host holds no blank, so no two places read alike. */
function placeOf(who: GrantWho, holder: string, host: string): string {
  return `${host} ${who} ${holder}`
}

/** Where a grant for these facts may stand: for each name, itself first, each of those it may name. */
function* placesOf(facts: GrantFacts): Generator<string> {
  for (const host of namesAbove(facts.host.text)) {
    for (const who of grantWhos) {
      const holder = holderOf(who, facts)
      if (holder !== undefined) yield placeOf(who, holder, host)
    }
  }
}
