// HTTP exchanges, plain and intercepted: one request of an admitted client to one origin, and the answer back.
// Raw fields both ways; framing is made anew on each side, never copied. Must never dial: it connects through
// the function of the plan, which reaches vetted addresses only.
import type { OnReadOpts, Socket } from 'node:net'
import type { ProxyError } from '../errors.ts'
import type { FieldChange, OriginTrust } from '../policy/decision.ts'
import type { ClientRequest, ClientResponse } from './client-leg.ts'
import type { Credentials } from './field-changes.ts'
import { ForwardExchange } from './forward-exchange.ts'
import { OriginPools, type PoolKey } from './origin-pools.ts'
import { OriginProtocols } from './origin-protocols.ts'
import type { TlsRequest } from './origin-tls.ts'
import type { ReadBuffers } from './read-buffers.ts'

export interface ForwarderOptions {
  /** this proxy's name in Via */
  readonly pseudonym: string
  /** `ms` of an origin's silence before its answer's head, and within its body */
  readonly originTimeoutMs: number
  /** `ms` that a client may leave an answer unread; default 300,000 */
  readonly clientStallMs?: number
  /** bytes of an answer's field names and values; default 64 KiB */
  readonly maxResponseHeaderBytes?: number
  /** `ms` that an unused connection to an origin is kept; default 4,000 */
  readonly keepAliveMs?: number
  readonly connectionsPerPool?: number
  readonly maxPools?: number
  /** absent: a rule that adds a credential fails its exchanges */
  readonly credentials?: Credentials | undefined
  /** what connections to origins read into; its own by default */
  readonly buffers?: ReadBuffers
}

/** An https origin: what was inside a tunnel. */
export interface HttpsOrigin {
  /** undefined: by the usual roots */
  readonly trust: OriginTrust | undefined
}

/** Dials what was vetted for one exchange, and speaks TLS there when told how; without TLS the socket may read through
 * `onread`, and comes paused then. Rejects with a ProxyError. */
export type ConnectOrigin = (options: { readonly tls?: TlsRequest | undefined; readonly onread?: (() => OnReadOpts) | undefined }) => Promise<Socket>

/** What is forwarded where. The caller has decided, checked the Connection and Via fields, resolved and vetted. */
export interface ForwardPlan {
  readonly method: string
  /** origin-form: path and query exactly as they were matched */
  readonly path: string
  /** value of Host: the authority of the target, the default port left out */
  readonly authority: string
  readonly pool: PoolKey
  /** called with `tls` exactly when the plan has it */
  readonly connect: ConnectOrigin
  /** absent: plain http */
  readonly tls?: HttpsOrigin | undefined
  /** what rules strip from the request's fields and set in them */
  readonly fieldChanges?: readonly FieldChange[] | undefined
  /** bytes of the request's content; more is `content_not_allowed` */
  readonly maxContent?: number | undefined
  /** told before the answer's head is passed on: whether its framing says where its content ends, or only the end of the connection */
  readonly onFraming?: ((isDelimited: boolean) => void) | undefined
}

export interface ForwardResult {
  /** `failed`: `error` says why; the caller answers with it while `headSent` is false. `client_closed`: nobody is left to answer */
  readonly outcome: 'completed' | 'failed' | 'client_closed'
  /** the origin's status, once it was passed on */
  readonly status: number | undefined
  /** false: nothing has been written to the client, and a refusal can be */
  readonly headSent: boolean
  readonly error: ProxyError | undefined
  /** bytes of content, framing and fields not counted */
  readonly bytesFromClient: number
  readonly bytesFromOrigin: number
  /** the address that served it */
  readonly peerAddress: string | undefined
}

export type ForwarderSettings = Required<Omit<ForwarderOptions, 'credentials' | 'buffers'>> & Pick<ForwarderOptions, 'credentials'>

export class Forwarder {
  readonly #options: ForwarderSettings
  readonly #pools: OriginPools
  readonly #protocols = new OriginProtocols()

  constructor(options: ForwarderOptions) {
    const settings = {
      clientStallMs: 300_000, maxResponseHeaderBytes: 64 * 1024, keepAliveMs: 4_000,
      connectionsPerPool: 256, maxPools: 1_024, ...options,
    }
    this.#options = settings
    this.#pools = new OriginPools({ ...settings, waitTimeoutMs: settings.originTimeoutMs })
  }

  /** pools of kept-alive connections now open */
  get pools(): number {
    return this.#pools.size
  }

  /**
   * Forwards `request` and answers through `response`. Settles when the answer is out or cannot be;
   * never rejects. Codes: what `connect` fails with, `framing`, `field_syntax`, `connection_reset`,
   * `content_not_allowed`, `credential_unavailable`, `obligation_conflict`, `origin_protocol_error`, `origin_incomplete`, `origin_timeout`, `internal_error`.
   */
  forward(request: ClientRequest, response: ClientResponse, plan: ForwardPlan): Promise<ForwardResult> {
    const { promise, resolve } = Promise.withResolvers<ForwardResult>()
    const exchange = new ForwardExchange({ request, response, plan, pools: this.#pools, protocols: this.#protocols, options: this.#options, settle: resolve })
    exchange.start()
    return promise
  }

  /** Closes the connections of a policy revision that no longer answers; exchanges under way finish first. */
  closeRevision(revision: string): void {
    this.#pools.closeRevision(revision)
  }

  /** Closes all idle connections and lets the busy ones finish. */
  close(): void {
    this.#pools.close()
  }
}

export function createForwarder(options: ForwarderOptions): Forwarder {
  return new Forwarder(options)
}
