// What every door of the ingress works with; put together once by the listener.
import type { OwnQuestions } from '../approvals/desk.ts'
import type { SessionDirectory } from '../approvals/session.ts'
import type { Recorder } from '../cache/recorder.ts'
import type { WebCache } from '../cache/web-cache.ts'
import type { LiveCache } from '../cache/live/live-cache.ts'
import type { Clock } from '../clock.ts'
import type { Deadlines } from '../deadlines.ts'
import type { Credentials } from '../egress/field-changes.ts'
import type { Forwarder } from '../egress/forward.ts'
import type { ReadBuffers } from '../egress/read-buffers.ts'
import type { Reach } from '../egress/reach.ts'
import type { Gate } from '../gate/gate.ts'
import type { RequestIds } from '../gate/request-id.ts'
import type { LeafContexts } from './intercept.ts'
import type { RenderedPages } from './rendered-pages.ts'
import { anonymousSession, type Principal } from '../policy/facts.ts'
import type { Turnstiles } from '../turnstile.ts'

export interface IngressLimits {
  readonly headerBytes: number
  readonly headerCount: number
  readonly headersTimeoutMs: number
  /** silence within a request body */
  readonly requestTimeoutMs: number
  readonly keepAliveTimeoutMs: number
  readonly urlBytes: number
  readonly tunnelIdleMs: number
  readonly originTimeoutMs: number
  readonly helloTimeoutMs: number
  readonly helloBytes: number
}

export interface FetchLimits {
  /** of a body, decoded */
  readonly maxBodyBytes: number
  /** of a page and its redirects, the time that it is held not counted */
  readonly fetchTimeoutMs: number
  /** as which it is fetched */
  readonly userAgent: string
}

export interface IngressContext {
  readonly gate: Gate
  readonly reach: Reach
  readonly forwarder: Forwarder
  /** what rules add to requests; absent: a rule that adds one fails its requests */
  readonly credentials?: Credentials | undefined
  /** copies of live traffic, for rules that say so; absent: there are none, and every request is forwarded */
  readonly liveCache?: LiveCache | undefined
  /** what tunnels read into */
  readonly buffers: ReadBuffers
  readonly clock: Clock
  readonly deadlines: Deadlines
  /** looked at less often: for tunnels that say nothing */
  readonly idleDeadlines: Deadlines
  /** for what comes in crowds */
  readonly turnstiles: Turnstiles
  readonly ids: RequestIds
  readonly sessions: SessionDirectory
  /** for TLS that ends here */
  readonly leafContexts: LeafContexts
  /** what cached-only reading is answered from; absent: the gate refuses it */
  readonly webCache?: WebCache | undefined
  /** of that, what was written last */
  readonly renderedPages: RenderedPages
  /** keeps what sessions that record read live; absent: nothing is kept */
  readonly recorder?: Recorder | undefined
  /** of what the fetch service fetches live */
  readonly fetching: FetchLimits
  /** what an agent may ask about its own questions */
  readonly questions: OwnQuestions
  readonly limits: IngressLimits
  /** random name of this proxy in Via (RFC 9110 section 7.6.3) */
  readonly pseudonym: string
  readonly isDraining: () => boolean
  readonly onFault: (error: unknown) => void
}

/** The local agent without credentials; it exists only while nothing needs to know who asks. */
export const anonymous: Principal = Object.freeze({ session: anonymousSession, agent: 'local', team: undefined, owner: undefined })
