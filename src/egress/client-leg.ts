// One request of a client and the answer to it, as far as forwarding and the doors need them, whatever
// version of HTTP they travel in and whoever reads it. node's IncomingMessage and ServerResponse are these; the
// stream of an HTTP/2 request is dressed as them by ingress/http2-leg.ts. Types only.
import type { Socket } from 'node:net'

/** Where a request is read from: of HTTP/1 the connection's socket, of HTTP/2 its own stream alone. */
export interface ClientSource {
  readonly bytesRead: number
  readonly destroyed: boolean
  /** the client has ended its side; of HTTP/2 never true while an answer can still be read */
  readonly readableEnded: boolean
  on(event: 'end' | 'close', listener: () => void): unknown
  off(event: 'end' | 'close', listener: () => void): unknown
  /** cuts the request and its answer off; of HTTP/1 that is the connection */
  destroy(): unknown
}

/** What is used of the stream that is the request's body: node's Readable has it. */
export interface ClientBody {
  readonly destroyed: boolean
  readonly readableFlowing: boolean | null
  readonly readableEnded: boolean
  readonly readableLength: number
  readonly readableHighWaterMark: number
  on(event: 'data', listener: (chunk: Buffer) => void): unknown
  on(event: 'end' | 'close' | 'error' | 'readable', listener: () => void): unknown
  once(event: 'end' | 'close', listener: () => void): unknown
  off(event: 'data', listener: (chunk: Buffer) => void): unknown
  off(event: 'end' | 'close' | 'readable', listener: () => void): unknown
  /** a chunk, null when there is none */
  read(): unknown
  unshift(chunk: Uint8Array): unknown
  pause(): unknown
  resume(): unknown
  destroy(): unknown
}

/** Has the client's side read on while its request waits, so that its end is seen; `onFull`: it sends more than is kept.
 * Returns the end of that. */
export type ReadOn = (onFull: () => void) => () => void

export interface ClientRequest extends ClientBody {
  readonly method?: string | undefined
  readonly url?: string | undefined
  /** `1.0`, `1.1` or `2.0` */
  readonly httpVersion: string
  /** true when it came on a stream of HTTP/2, which a request line that says 2.0 has not */
  readonly isStream?: boolean
  /** flat name, value, name, value, as sent; of HTTP/2 without pseudo-header fields, with Host made of :authority */
  readonly rawHeaders: readonly string[]
  /** all of the body has arrived */
  readonly complete: boolean
  readonly socket: ClientSource
  /** undefined where whoever reads it sees to that */
  readonly readOn?: ReadOn
}

/** A head that was looked at once and is written many times: what it says, and as lines of HTTP/1. */
export interface KnownHead {
  readonly status: number
  readonly reason: string
  readonly fields: readonly string[]
  /** status line and field lines */
  readonly text: string
  readonly isFramed: boolean
  readonly isDated: boolean
  readonly saysClose: boolean
}

export interface ClientResponse {
  readonly destroyed: boolean
  readonly closed: boolean
  readonly headersSent: boolean
  /** everything is out */
  readonly writableFinished: boolean
  /** bytes that wait for the client */
  readonly writableLength: number
  /** trailer fields can follow the body */
  readonly chunkedEncoding: boolean
  /** of HTTP/1, while it is this answer's turn */
  readonly socket: Socket | null
  /** `fields`: flat name, value, name, value; what HTTP/2 has no place for is left out there */
  writeHead(status: number, reason: string, fields: string[]): unknown
  /** as `writeHead`, of both together; absent where nothing is gained by it */
  writeKnownHead?(head: KnownHead, fields: readonly string[]): void
  flushHeaders(): void
  writeContinue(): void
  write(chunk: Uint8Array | string): boolean
  end(): unknown
  end(chunk: Uint8Array | string | undefined): unknown
  end(chunk: string, encoding: 'latin1'): unknown
  addTrailers(trailers: [string, string][]): void
  /** breaks the answer off: the client sees that it is not whole */
  destroy(): unknown
  on(event: 'close' | 'drain', listener: () => void): unknown
  once(event: 'close' | 'drain', listener: () => void): unknown
  off(event: 'close' | 'drain', listener: () => void): unknown
}
