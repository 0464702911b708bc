// Plain HTTP/1.1 exchanges: one request of an admitted client to one origin, and the answer back, with raw
// fields both ways: plain GETs over the bare socket, whatever else through undici's dispatch. Framing is made
// anew on each side, never copied. Must never dial: it connects through the function of the plan, which reaches
// vetted addresses only.
import type { ProxyError } from '../errors.ts'
import type { ClientRequest, ClientResponse } from './client-leg.ts'
import { ForwardExchange } from './forward-exchange.ts'
import type { ReadBuffers } from './read-buffers.ts'
import { OriginPools, type ConnectOrigin, type PoolKey } from './origin-pools.ts'

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
  /** what connections to origins read into; its own by default */
  readonly buffers?: ReadBuffers
}

/** What is forwarded where. The caller has decided, checked the Connection and Via fields, resolved and vetted. */
export interface ForwardPlan {
  readonly method: string
  /** origin-form: path and query exactly as they were matched */
  readonly path: string
  /** value of Host: the authority of the target, the default port left out */
  readonly authority: string
  readonly pool: PoolKey
  readonly connect: ConnectOrigin
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

export type ForwarderSettings = Required<Omit<ForwarderOptions, 'buffers'>>

export class Forwarder {
  readonly #options: ForwarderSettings
  readonly #pools: OriginPools

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
   * `origin_protocol_error`, `origin_incomplete`, `origin_timeout`, `internal_error`.
   */
  forward(request: ClientRequest, response: ClientResponse, plan: ForwardPlan): Promise<ForwardResult> {
    const { promise, resolve } = Promise.withResolvers<ForwardResult>()
    const exchange = new ForwardExchange({ request, response, plan, pools: this.#pools, options: this.#options, settle: resolve })
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
