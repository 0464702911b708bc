// One kept-alive HTTP/2 connection to an origin on a socket that is connected already, one exchange at a time:
// the pools stay as they are, and what one exchange does to its connection no other feels. Must never
// use a connection again that its peer is leaving, nor pass anything on but the answer that was asked for.
import { connect, type ClientHttp2Session, type ClientSessionOptions } from 'node:http2'
import type { Socket } from 'node:net'
import { ProxyError } from '../errors.ts'
import { Http2Exchange, lossOfConnection } from './http2-exchange.ts'
import { isConnectionFault } from './origin-fault.ts'
import { StaleConnection, type AnswerHandler, type ConnectionOwner, type ConnectionSettings, type OriginConnection, type OriginRequest } from './origin-connection.ts'

// what an origin may send ahead of the client's reading
const windowBytes = 256 * 1024
// MiB that node lets one session hold
const maxSessionMemory = 8
const maxFields = 512

// node knows it, its types do not
type SessionOptions = ClientSessionOptions & { readonly strictSingleValueFields: boolean }

export class Http2Origin implements OriginConnection {
  readonly httpVersion = '2.0'
  reused = false
  readonly peerAddress: string | undefined
  readonly #socket: Socket
  readonly #session: ClientHttp2Session
  readonly #settings: ConnectionSettings
  readonly #owner: ConnectionOwner
  #exchange: Http2Exchange | undefined
  #idle: NodeJS.Timeout | undefined
  #leaves = false
  #gone = false

  constructor(socket: Socket, settings: ConnectionSettings, owner: ConnectionOwner) {
    this.#socket = socket
    this.#settings = settings
    this.#owner = owner
    this.peerAddress = socket.remoteAddress
    const options: SessionOptions = {
      createConnection: () => socket,
      settings: { enablePush: false, initialWindowSize: windowBytes, maxHeaderListSize: settings.maxResponseHeaderBytes },
      maxSessionMemory,
      maxHeaderListPairs: maxFields,
      maxReservedRemoteStreams: 0,
      // what the client repeats is the client's affair
      strictSingleValueFields: false,
    }
    const session = connect('https://origin.invalid', options)
    this.#session = session
    session.once('connect', () => session.setLocalWindowSize(windowBytes))
    // an exchange under way mostly has heard of either from its own stream
    session.on('error', (error: Error) => this.destroy(sessionFault(error)))
    session.on('close', () => this.destroy())
    session.on('goaway', () => {
      // an answer under way may still come; what is idle has no future
      this.#leaves = true
      if (this.#exchange === undefined) this.destroy()
    })
  }

  dispatch(request: OriginRequest, handler: AnswerHandler): void {
    clearTimeout(this.#idle)
    if (this.#gone || this.#session.closed || this.#session.destroyed) {
      this.destroy()
      handler.onResponseError(null, new StaleConnection())
      return
    }
    const exchange = new Http2Exchange(request, handler, {
      maxResponseHeaderBytes: this.#settings.maxResponseHeaderBytes,
      done: (isClean) => {
        this.#exchange = undefined
        if (!isClean || this.#leaves) this.destroy()
      },
      failed: () => this.destroy(),
    })
    this.#exchange = exchange
    try {
      exchange.start(this.#session)
    } catch (error) {
      exchange.fail(error instanceof Error ? error : new Error(String(error)))
    }
  }

  release(): void {
    if (this.#gone) return
    this.#idle = setTimeout(() => this.destroy(), this.#settings.keepAliveMs).unref()
    this.#owner.released(this)
  }

  destroy(reason: Error | null = null): void {
    if (this.#gone) return
    this.#gone = true
    clearTimeout(this.#idle)
    const exchange = this.#exchange
    this.#exchange = undefined
    exchange?.fail(reason ?? lossOfConnection())
    // a session that is closing sends no reset any more, and node sends what it has at the end of a turn
    setImmediate(() => {
      this.#session.destroy()
      // a peer that does not read would keep the socket
      setImmediate(() => this.#socket.destroy())
    })
    this.#owner.gone(this)
  }
}

function sessionFault(error: Error): Error {
  return isConnectionFault(error) ? error : new ProxyError('origin_protocol_error', error.message, { cause: error })
}
