// One kept-alive connection to an origin, as an exchange sees it, whatever version of HTTP is spoken on it.
// It dials once and serves one exchange at a time. Types, and the one fault that allows another attempt.
import type { OnReadOpts, Socket } from 'node:net'
import type { Dispatcher } from 'undici'

/** The connection closed before the request was put on it, or its peer says that it took none of it. */
export class StaleConnection extends Error {
  constructor(message = 'the kept-alive connection had closed') {
    super(message)
    this.name = 'StaleConnection'
  }
}

/** Dials what was vetted for one exchange; with `onread` the socket may read through it, and comes paused then.
 * Rejects with a ProxyError. */
export type Dial = (onread?: () => OnReadOpts) => Promise<Socket>

export interface ConnectionSettings {
  readonly keepAliveMs: number
  /** `ms` of an origin's silence while an answer is owed */
  readonly originTimeoutMs: number
  readonly maxResponseHeaderBytes: number
}

export interface ConnectionOwner {
  released(connection: OriginConnection): void
  /** called once */
  gone(connection: OriginConnection): void
}

/** What undici takes; its types leave out the name for TLS, which it would otherwise look for in Host each time. */
export interface OriginRequest extends Dispatcher.DispatchOptions {
  readonly servername?: string
  /** flat name, value, name, value; Host first */
  readonly headers: string[]
  /** the client can take trailer fields: HTTP/2 says so to the origin */
  readonly takesTrailers?: boolean
}

/** What whoever reads an answer gives its handler. */
export interface AnswerController {
  /** undici's are bytes */
  readonly rawHeaders?: unknown
  readonly rawTrailers?: unknown
  pause(): void
  resume(): void
}

/** Who hears of the answer: undici's handler, and what others can tell besides. undici too calls it with no controller
 * where a request was never sent. */
export interface AnswerHandler extends Dispatcher.DispatchHandler {
  onRequestStart(controller: AnswerController): void
  onResponseStarted(): void
  /** Called before the head of an answer that ends with it, where HTTP/2 has said so. */
  onResponseIsHead(): void
  onResponseStart(controller: AnswerController, status: number, fields: unknown, reason?: string): void
  onResponseData(controller: AnswerController, chunk: Buffer): void
  /** all content there is of a small answer that came whole; latin1 */
  onWholeText(text: string): void
  onResponseEnd(controller: AnswerController): void
  onResponseError(controller: AnswerController | null, error: Error): void
}

export interface OriginConnection {
  /** true when it has served an exchange before: its peer may have closed it meanwhile */
  reused: boolean
  /** address that was dialled; undefined until connected */
  readonly peerAddress: string | undefined
  /** what is spoken on it, as Via says it; known when an answer begins */
  readonly httpVersion: '1.1' | '2.0'
  /** Puts one request on it; `handler` hears raw fields, and of faults in onResponseError, once. */
  dispatch(request: OriginRequest, handler: AnswerHandler): void
  /** The exchange is over and the connection may serve another, unless its socket is closing. */
  release(): void
  /** Closes the socket; an exchange under way fails with `reason`. */
  destroy(reason?: Error | null): void
}
