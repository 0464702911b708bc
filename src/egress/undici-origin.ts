// One kept-alive HTTP/1.1 connection to an origin as undici has it: a Client that dials once, or is given a
// connection, and serves one exchange at a time. Must never dial again by itself: a second dial would reach
// addresses nobody vetted for it.
import type { Socket } from 'node:net'
import { Client, type buildConnector, type Dispatcher } from 'undici'
import type { BorrowedSocket } from './borrowed-socket.ts'
import { StaleConnection, type ConnectionOwner, type ConnectionSettings, type OriginConnection } from './origin-connection.ts'

type Connected = buildConnector.Callback

export class UndiciOrigin implements OriginConnection {
  readonly httpVersion = '1.1'
  reused = false
  peerAddress: string | undefined
  readonly #client: Client
  readonly #owner: ConnectionOwner
  #gone = false

  constructor(connect: () => Promise<Socket | BorrowedSocket>, settings: Pick<ConnectionSettings, 'keepAliveMs' | 'maxResponseHeaderBytes'>, owner: ConnectionOwner) {
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

  dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): void {
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
