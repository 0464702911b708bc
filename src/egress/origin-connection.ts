// One kept-alive connection to an origin as undici has it: a Client that dials once, or is given a connection, and
// serves one exchange at a time. Must never dial again by itself: a second dial would reach addresses nobody vetted
// for it.
import type { Socket } from 'node:net'
import { Client, type buildConnector, type Dispatcher } from 'undici'
import type { OriginRequest } from './bare-request.ts'
import type { BorrowedSocket } from './borrowed-socket.ts'

type Connected = buildConnector.Callback

/** The connection closed before the request was put on it; nothing of it was sent. */
export class StaleConnection extends Error {
  constructor() {
    super('the kept-alive connection had closed')
    this.name = 'StaleConnection'
  }
}

export interface ConnectionSettings {
  readonly keepAliveMs: number
  readonly maxResponseHeaderBytes: number
}

export interface ConnectionOwner {
  released(connection: OriginConnection): void
  /** called once */
  gone(connection: OriginConnection): void
}

export class OriginConnection {
  /** true when it has served an exchange before: its peer may have closed it meanwhile */
  reused = false
  /** address that was dialled; undefined until connected */
  peerAddress: string | undefined
  readonly #client: Client
  readonly #owner: ConnectionOwner
  #gone = false

  constructor(connect: () => Promise<Socket | BorrowedSocket>, settings: ConnectionSettings, owner: ConnectionOwner) {
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

  async #connect(connect: () => Promise<Socket | BorrowedSocket>, callback: Connected): Promise<void> {
    let socket: Socket | BorrowedSocket
    try {
      socket = await connect()
    } catch (error) {
      callback(error instanceof Error ? error : new Error(String(error)), null)
      return
    }
    this.peerAddress = socket.remoteAddress
    // undici takes any Duplex; its types say a socket
    Reflect.apply(callback, undefined, [null, socket])
  }

  dispatch(options: OriginRequest, handler: Dispatcher.DispatchHandler): void {
    this.#client.dispatch(options, handler)
  }

  /** The exchange is over and the connection may serve another, unless its socket is closing. */
  release(): void {
    if (!this.#gone) this.#owner.released(this)
  }

  /** Closes the socket; an exchange under way fails with `reason`. */
  destroy(reason: Error | null = null): void {
    if (this.#gone) return
    this.#gone = true
    // undici's promise settles when the socket is closed and never rejects
    void this.#client.destroy(reason)
    this.#owner.gone(this)
  }
}
