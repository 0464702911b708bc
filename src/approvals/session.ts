// One run of an agent: who it is, who owns it, how long its questions may wait. Types only. The token is
// known to whoever was given the proxy's URL; here stands its hash.
import type { Principal } from '../policy/facts.ts'

/** `auto`: as long as the client program is known to wait */
export type Hold = 'auto' | number

export interface Session {
  /** `s` and 12 letters or digits; the user name of the proxy URL */
  readonly id: string
  /** the same object for all its exchanges */
  readonly principal: Principal
  /** `ms`, or `auto` */
  readonly hold: Hold
  /** nobody is there to answer: its questions are refused at once */
  readonly unattended: boolean
  /** it has a unix socket of its own: whoever connects there is this session, without credentials */
  readonly hasSocket: boolean
  /** whoever made it vouches that what it puts at that socket can change nothing that the proxy's user relies on */
  readonly isIsolated: boolean
  readonly createdMs: number
  readonly createdBy: string
  /** wall clock, `ms`; undefined: until it is ended */
  readonly expiresMs: number | undefined
  readonly endedMs: number | undefined
  /** last use of its credentials or its socket; undefined: never */
  readonly lastSeenMs: number | undefined
}

export interface NewSession {
  readonly agent: string
  readonly owner: string | undefined
  readonly team: string | undefined
  readonly hold: Hold
  readonly unattended: boolean
  /** `ms`; undefined: until it is ended */
  readonly ttlMs: number | undefined
  /** its clients trust our certificate authority */
  readonly trustsCa?: boolean
  /** it reads the web, which is all that it does; its clients trust our certificate authority then */
  readonly webFetch?: boolean
  /** what it reads live is kept in the web cache; with a `ttlMs` of a day at most, and not with `webFetch` */
  readonly record?: boolean
  readonly hasSocket?: boolean
  /** only with a socket */
  readonly isIsolated?: boolean
}

/** Where credentials came from. */
export interface SeenFrom {
  readonly address: string
  /** undefined where nothing is known of it */
  readonly uid: number | undefined
}

/** What the ingress and the gate know of sessions. */
export interface SessionDirectory {
  /** The live session that these credentials are of; undefined for all others. Constant time in the token. */
  authenticate(id: string, token: string, from: SeenFrom): Session | undefined
  /** A session that has neither ended nor expired. */
  live(id: string): Session | undefined
  /** As `live`, for a request that came by the session's own socket: it counts as seen. */
  arrived(id: string): Session | undefined
  /** true: requests without credentials are refused (a session exists, or settings or policy say so) */
  credentialsNeeded(): boolean
}

/** What the control plane does with sessions. */
export interface Sessions extends SessionDirectory {
  /** Journaled before it is usable. The token is returned this once. */
  create(session: NewSession, by: string): Promise<{ readonly session: Session; readonly token: string }>
  /** False when there is no such live session. */
  end(id: string, by: string): Promise<boolean>
  /** newest first, ended ones of the last day included */
  list(): readonly Session[]
  get(id: string): Session | undefined
  /** Called after a session ended or expired. */
  onEnded(listener: (session: Session) => void): void
}
