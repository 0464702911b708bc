// A client's request body on its way to the origin. It stands between the two so that the end of one
// never destroys the other: an origin that answers early leaves the client's connection usable, and a
// client that leaves breaks the origin's request. Must never read ahead of the origin.
import { Readable } from 'node:stream'
import { ProxyError } from '../errors.ts'
import type { ClientRequest } from './client-leg.ts'

// what is still read and thrown away of an upload that the origin did not want, to save the connection
const drainBytes = 1024 * 1024
const drainMs = 5_000

/** HTTP/2 needs no field to say that content follows: a request that has not ended with its head has some (RFC 9113 section 8.1). */
export function hasStreamedContent({ isStream = false, complete = true, readableLength = 0 }: Partial<Pick<ClientRequest, 'isStream' | 'complete' | 'readableLength'>>): boolean {
  return isStream && (!complete || readableLength > 0)
}

export class RequestBody extends Readable {
  /** bytes of content read from the client */
  bytes = 0
  /** true when the client went before its request was complete */
  clientLeft = false
  readonly #request: ClientRequest
  readonly #maxBytes: number
  #started = false
  #drains = false

  /** More than `maxBytes` breaks it with `content_not_allowed`, before the origin gets them. */
  constructor(request: ClientRequest, maxBytes = Infinity) {
    super({ highWaterMark: 64 * 1024 })
    this.#request = request
    this.#maxBytes = maxBytes
  }

  override _read(): void {
    if (!this.#started) {
      this.#started = true
      this.#request.on('data', this.#data)
      this.#request.on('end', this.#end)
      this.#request.on('close', this.#close)
      this.#request.on('error', this.#close)
      // it was read to its end before: an empty one that a reviewer was shown has nothing that could be put back
      if (this.#request.readableEnded) this.#end()
    }
    this.#request.resume()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#request.off('data', this.#data)
    this.#request.off('end', this.#end)
    this.#request.off('close', this.#close)
    if (!this.#drains) this.#request.pause()
    callback(error)
  }

  /**
   * After an answer that came before the request was complete: reads the rest within bounds, so that the
   * client hears the answer and may keep its connection; beyond them the connection is closed.
   */
  drain(): void {
    const request = this.#request
    if (request.complete || request.destroyed) return
    this.#drains = true
    let bytes = 0
    const giveUp = (): void => {
      request.destroy()
    }
    const timer = setTimeout(giveUp, drainMs)
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > drainBytes) giveUp()
    })
    request.once('end', () => clearTimeout(timer))
    request.once('close', () => clearTimeout(timer))
    request.resume()
  }

  readonly #data = (chunk: Buffer): void => {
    this.bytes += chunk.length
    if (this.bytes > this.#maxBytes) {
      this.destroy(new ProxyError('content_not_allowed', `more than the ${this.#maxBytes} bytes that the rules allow`))
      return
    }
    if (!this.push(chunk)) this.#request.pause()
  }

  readonly #end = (): void => {
    this.push(null)
  }

  readonly #close = (): void => {
    if (this.#request.complete) return
    this.clientLeft = true
    this.destroy(new Error('the client left within its request'))
  }
}
