// One kept-alive HTTP/1.1 connection to an origin: an undici Client that dials once and serves one exchange
// at a time. Must never dial again by itself: a second dial would reach addresses nobody vetted for it.
import type { Socket } from 'node:net'
import { Client, type buildConnector } from 'undici'
import { StaleConnection, type AnswerHandler, type ConnectionOwner, type ConnectionSettings, type Dial, type OriginConnection, type OriginRequest } from './origin-connection.ts'

type Connected = buildConnector.Callback

export class Http1Origin implements OriginConnection {
  readonly httpVersion = '1.1'
  reused = false
  peerAddress: string | undefined
  readonly #client: Client
  readonly #owner: ConnectionOwner
  #gone = false

  constructor(connect: Dial, settings: ConnectionSettings, owner: ConnectionOwner) {
    this.#owner = owner
    let dialled = false
    // undici wants a name; Host comes with every request, and the dial is ours
    const url = new URL('http://origin.invalid')
    // undici asks for it with every request, and the getter builds it anew each time
    Object.defineProperty(url, 'origin', { value: url.origin })
    this.#client = new Client(url, {
      connect: (_options, callback) => {
        if (dialled) {
          callback(new StaleConnection(), null)
          return
        }
        dialled = true
        void this.#connect(connect, callback)
      },
      pipelining: 1,
      keepAliveTimeout: settings.keepAliveMs,
      // an origin's own hint may shorten the time, not lengthen it
      keepAliveMaxTimeout: settings.keepAliveMs,
      maxHeaderSize: settings.maxResponseHeaderBytes,
      allowH2: false,
    })
    // what was under way has failed by now; what still waits to be sent has not touched the origin
    this.#client.on('disconnect', () => this.destroy(new StaleConnection()))
    this.#client.on('connectionError', () => this.destroy())
  }

  async #connect(connect: Dial, callback: Connected): Promise<void> {
    let socket: Socket
    try {
      socket = await connect()
    } catch (error) {
      callback(error instanceof Error ? error : new Error(String(error)), null)
      return
    }
    this.peerAddress = socket.remoteAddress
    callback(null, socket)
  }

  dispatch(options: OriginRequest, handler: AnswerHandler): void {
    this.#client.dispatch(options, handler)
  }

  release(): void {
    if (!this.#gone) this.#owner.released(this)
  }

  destroy(reason: Error | null = null): void {
    if (this.#gone) return
    this.#gone = true
    // undici's promise settles when the socket is closed and never rejects
    void this.#client.destroy(reason)
    this.#owner.gone(this)
  }
}
