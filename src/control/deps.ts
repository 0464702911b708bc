// What the control API is made of, handed in by the composition root. Types and default limits only.
import type { FastifyInstance } from 'fastify'
import type { Actor, ControlTokens } from '../approvals/actor.ts'
import type { Approval } from '../approvals/approval.ts'
import type { Card } from '../approvals/card.ts'
import type { Desk } from '../approvals/desk.ts'
import type { KeptAnswers } from '../approvals/kept-answers.ts'
import type { Session, Sessions } from '../approvals/session.ts'
import type { AuditSink } from '../audit/event.ts'
import type { EventSearch } from '../audit/event-search.ts'
import type { JournalEvents } from '../audit/journal-events.ts'
import type { CacheRoom } from '../cache/open-cache.ts'
import type { Clock } from '../clock.ts'
import type { PersonErasure } from '../config/listening.ts'
import type { HostPort } from '../config/settings.ts'
import type { Decision } from '../policy/decision.ts'
import type { Explanation } from '../policy/explain.ts'
import type { Problem } from '../policy/problem.ts'

export interface ControlLimits {
  /** a connection on which nothing moves is closed, also while its request is answered */
  readonly idleMs: number
  /** of a request's body, `bytes` */
  readonly bodyBytes: number
  /** calls that an actor may make at once, and what comes back in a second */
  readonly actorBurst: number
  readonly actorPerSecond: number
  /** refused calls of one address that are answered as what they are, and what comes back in a second */
  readonly refusedBurst: number
  readonly refusedPerSecond: number
  readonly streamsPerActor: number
  /** long polls of one actor at a time */
  readonly waitsPerActor: number
  /** the longest a `Prefer: wait` is honoured */
  readonly maxWaitMs: number
  readonly heartbeatMs: number
  /** connections of each listener */
  readonly connections: number
}

export const controlLimits: ControlLimits = {
  idleMs: 75_000,
  bodyBytes: 64 * 1024,
  actorBurst: 120,
  actorPerSecond: 20,
  refusedBurst: 30,
  refusedPerSecond: 1,
  streamsPerActor: 8,
  waitsPerActor: 32,
  maxWaitMs: 30_000,
  heartbeatMs: 15_000,
  connections: 512,
}

export interface PolicyState {
  readonly revision: string
  readonly mode: 'enforce' | 'monitor'
  readonly unknown: 'ask' | 'deny' | 'allow'
  readonly files: readonly string[]
  readonly ruleCount: number
  readonly feedNames: number
  readonly problems: readonly Problem[]
}

export interface ExplainQuery {
  readonly url: string
  /** upper case */
  readonly method: string
  readonly agent: string
  readonly team: string | undefined
}

/** What `explain` says: of what the proxy is asked first, and of the request inside a tunnel where rules look at it. */
export interface ExplainAnswer extends Pick<Decision, 'verdict' | 'code' | 'reason' | 'rule' | 'monitored'> {
  readonly asked: string
  readonly outer: { readonly explanation: Explanation }
  readonly inner: { readonly explanation: Explanation } | undefined
  readonly notes: readonly string[]
}

export interface ControlPolicy {
  /** undefined: no policy is loaded */
  state(): PolicyState | undefined
  /** Throws ProxyError where the proxy would refuse the target; undefined when no policy is loaded. */
  explain(query: ExplainQuery): ExplainAnswer | undefined
  /** some rule of it looks inside TLS; true where no policy is loaded */
  looksInside(): boolean
}

export interface SessionSocketPort {
  /** false: their paths would be longer than the system takes */
  readonly isPossible: boolean
  /** Resolves to the absolute path on which the session is reached from now on. */
  open(session: Session): Promise<string>
}

export interface ControlDeps {
  readonly listen: HostPort | 'off'
  /** PEM files; required off loopback */
  readonly tls?: { readonly certFile: string; readonly keyFile: string } | undefined
  /** names, or name:port, that browsers may call this listener beside its own address */
  readonly hosts: readonly string[]
  readonly socketPath: string
  readonly instanceId: string
  /** the operating system's name of the user that this process runs as */
  readonly localUser: string
  readonly desk: Desk
  /** undefined: process settings say that there is none */
  readonly cache?: Pick<CacheRoom, 'store' | 'filler' | 'warmer' | 'archives'> | undefined
  readonly card: (approval: Approval, actor: Actor) => Card
  readonly sessions: Sessions
  readonly tokens: ControlTokens
  /** Whether these are, or were, the credentials of an agent's session. */
  readonly isAgentCredential: (id: string, token: string) => boolean
  readonly policy: ControlPolicy
  readonly events: Pick<JournalEvents, 'follow'>
  /** Rejects with SearchUnavailable where no answer came in time. */
  readonly search: EventSearch
  readonly answers: KeptAnswers
  readonly erasure: PersonErasure
  readonly audit: AuditSink
  readonly clock: Clock
  readonly limits: ControlLimits
  /** of the proxy listener, without credentials: `http://127.0.0.1:3128` */
  readonly proxyUrl: () => string
  /** The unix sockets of sessions. */
  readonly sockets: SessionSocketPort
  /** PEM of what clients are to trust, made on first need. Rejects with ProxyError `ca_unavailable`. */
  readonly trustedPem: () => Promise<string>
  /** what an isolated agent must not get to see, absolute: data, certificates, policies and what they name, settings, secrets */
  readonly keepOut: () => readonly string[]
  /** Requests of a session that were refused since this process started. */
  readonly refused: (session: string) => number
  /** unique and sortable */
  readonly requestId: () => string
  readonly onFault: (error: unknown) => void
  /** Adds routes outside `/v1` to the TCP listener. Host, Origin and Sec-Fetch guards hold for them; `request.actor` is set. */
  readonly pages?: ((server: FastifyInstance) => Promise<void>) | undefined
}
