// One kept-alive connection to an https origin: dialled first, then spoken to in what TLS has agreed on. Must
// never dial twice, and never speak HTTP/2 to an origin that did not choose it.
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { ProxyError } from '../errors.ts'
import { Http1Origin, type ConnectionParts } from './http1-origin.ts'
import { Http2Origin } from './http2-origin.ts'
import { StaleConnection, type AnswerHandler, type ConnectionOwner, type ConnectionSettings, type Dial, type OriginConnection, type OriginRequest } from './origin-connection.ts'

export class NegotiatedOrigin implements OriginConnection {
  reused = false
  readonly #connect: Dial
  readonly #settings: ConnectionSettings
  readonly #parts: ConnectionParts
  readonly #owner: ConnectionOwner
  #speaker: OriginConnection | undefined
  #reason: Error | null = null
  #gone = false

  constructor(connect: Dial, settings: ConnectionSettings, parts: ConnectionParts, owner: ConnectionOwner) {
    this.#connect = connect
    this.#settings = settings
    this.#parts = parts
    this.#owner = owner
  }

  get peerAddress(): string | undefined {
    return this.#speaker?.peerAddress
  }

  get httpVersion(): '1.1' | '2.0' {
    return this.#speaker?.httpVersion ?? '1.1'
  }

  dispatch(request: OriginRequest, handler: AnswerHandler): void {
    if (this.#speaker !== undefined) this.#speaker.dispatch(request, handler)
    else void this.#dial(request, handler)
  }

  release(): void {
    this.#speaker?.release()
  }

  destroy(reason: Error | null = null): void {
    if (this.#gone) return
    this.#reason = reason
    if (this.#speaker === undefined) this.#leave()
    else this.#speaker.destroy(reason)
  }

  async #dial(request: OriginRequest, handler: AnswerHandler): Promise<void> {
    try {
      const socket = await this.#connect()
      if (this.#gone) {
        socket.destroy()
        throw this.#reason ?? new StaleConnection()
      }
      this.#speaker = this.#speak(socket)
      this.#speaker.dispatch(request, handler)
    } catch (error) {
      this.destroy()
      handler.onResponseError(null, error instanceof Error ? error : new Error(String(error)))
    }
  }

  #speak(socket: Socket): OriginConnection {
    if (!(socket instanceof TLSSocket)) {
      socket.destroy()
      throw new ProxyError('internal_error', 'a connection to an https origin without TLS')
    }
    const owner = { released: () => this.#owner.released(this), gone: () => this.#leave() }
    if (socket.alpnProtocol === 'h2') return new Http2Origin(socket, this.#settings, owner)
    return new Http1Origin(() => Promise.resolve(socket), this.#settings, this.#parts, owner)
  }

  #leave(): void {
    if (this.#gone) return
    this.#gone = true
    this.#owner.gone(this)
  }
}
