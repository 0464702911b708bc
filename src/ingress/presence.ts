// The client of an exchange that is held: whether it is still there, and the request it made, whole. A client
// that ends its side while it waits has left. What it sends meanwhile is kept within bounds and never relayed;
// one that sends more than that is not held but answered.
import { digestOf } from '../approvals/question.ts'
import type { ClientRequest, ClientResponse, ClientSource } from '../egress/client-leg.ts'
import { requestFields } from '../egress/field-rules.ts'
import { ProxyError } from '../errors.ts'
import type { Presence } from '../gate/presence.ts'
import type { Facts } from '../policy/facts.ts'
import type { ClientConnection } from './client-connections.ts'
import type { StalledBodies } from './stalled-bodies.ts'

const maxEarlyBytes = 256 * 1024
/** largest body that a reviewer's yes can be bound to */
const maxBodyBytes = 1024 * 1024
const lookEveryMs = 250

/** Listens for the end of the client's side; returns the end of listening. */
function watchEnd(socket: ClientSource, onLeft: () => void): () => void {
  socket.on('end', onLeft)
  socket.on('close', onLeft)
  if (socket.destroyed || socket.readableEnded) onLeft()
  return () => {
    socket.off('end', onLeft)
    socket.off('close', onLeft)
  }
}

/** Behind a CONNECT: bytes that come before the answer belong to the tunnel. */
export class TunnelPresence implements Presence {
  readonly #connection: ClientConnection
  readonly #chunks: Buffer[]
  #bytes: number

  constructor(connection: ClientConnection, early: Buffer) {
    this.#connection = connection
    this.#chunks = early.length === 0 ? [] : [early]
    this.#bytes = early.length
  }

  /** All that came behind the head so far. */
  get early(): Buffer {
    const [only] = this.#chunks
    return this.#chunks.length === 1 && only !== undefined ? only : Buffer.concat(this.#chunks)
  }

  watch(onLeft: () => void): () => void {
    const { socket, upload } = this.#connection
    const unwatch = watchEnd(socket, onLeft)
    if (!socket.destroyed && !socket.readableEnded) {
      upload.listen(socket, (chunk) => {
        this.#chunks.push(Buffer.from(chunk))
        this.#bytes += chunk.length
        if (this.#bytes < maxEarlyBytes) return true
        onLeft()
        return false
      })
    }
    return () => {
      unwatch()
      upload.yield()
    }
  }

  async requestDigest(): Promise<undefined> {
    return undefined
  }
}

/** Behind a request. */
export class RequestPresence implements Presence {
  readonly #request: ClientRequest
  readonly #response: ClientResponse | undefined
  /** the client waits for a 100 before it sends its body */
  #owesContinue: boolean
  readonly #bodies: StalledBodies | undefined

  /** `bodies` watches the body of the request, if it has one. */
  constructor(request: ClientRequest, response: ClientResponse | undefined, owesContinue: boolean, bodies?: StalledBodies) {
    this.#request = request
    this.#response = response
    this.#owesContinue = owesContinue
    this.#bodies = bodies
  }

  /** Sends the 100 that is owed, once (RFC 9110 section 10.1.1). */
  continue(): void {
    if (!this.#owesContinue) return
    this.#owesContinue = false
    this.#response?.writeContinue()
  }

  watch(onLeft: () => void): () => void {
    const request = this.#request
    const unwatchEnd = watchEnd(request.socket, onLeft)
    const readNoMore = request.readOn?.(onLeft)
    const unwatch = (): void => {
      readNoMore?.()
      unwatchEnd()
    }
    if (request.complete) return unwatch
    // behind a body that fills its buffer nothing more is read, and so no end is seen
    const wake = this.#bodies?.rest(request)
    const look = setInterval(() => {
      if (!request.complete && request.readableLength >= request.readableHighWaterMark) onLeft()
    }, lookEveryMs).unref()
    return () => {
      clearInterval(look)
      wake?.()
      unwatch()
    }
  }

  async requestDigest(facts: Facts): Promise<string> {
    this.continue()
    // what is forwarded is what is approved: a field that Connection takes away is no part of it
    const { fields } = requestFields(facts.method ?? '', this.#request.rawHeaders, '', '')
    const noLonger = this.#bodies?.expect(this.#request)
    try {
      return digestOf(facts, fields, await wholeBody(this.#request))
    } finally {
      noLonger?.()
    }
  }
}

/** Reads a body to its end and puts it back, so that it can be forwarded. Throws ProxyError
 * `body_too_large_to_approve`, or `framing` when the client left within it. */
export function wholeBody(request: ClientRequest): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void): void => {
      request.off('readable', read)
      request.off('close', left)
      settle()
    }
    const left = (): void => finish(() => reject(new ProxyError('framing', 'the client left within its request')))
    const read = (): void => {
      for (let chunk: unknown = request.read(); chunk instanceof Buffer; chunk = request.read()) {
        chunks.push(chunk)
        bytes += chunk.length
      }
      if (bytes > maxBodyBytes) finish(() => reject(new ProxyError('body_too_large_to_approve', `more than ${maxBodyBytes} bytes`)))
      else if (request.complete) finish(() => resolve(putBack(request, chunks)))
    }
    request.on('readable', read)
    request.on('close', left)
    if (request.complete) read()
    else if (request.destroyed) left()
  })
}

/** In the same turn as the last read: the stream has not said that it ended. */
function putBack(request: ClientRequest, chunks: readonly Buffer[]): Buffer {
  const whole = Buffer.concat(chunks)
  if (whole.length > 0) request.unshift(whole)
  return whole
}
