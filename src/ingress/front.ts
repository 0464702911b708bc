// The listening front: one node:http server in strict mode for CONNECT, absolute-form requests and
// upgrades. It accepts connections, applies limits and time-outs, and hands each request to its door.
// It decides nothing.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import type { ErrorCode } from '../errors.ts'
import { type ClientConnection, type ClientConnections, clientOf, type SocketSession, type TurnedAway } from './client-connections.ts'
import { serveConnect } from './connect.ts'
import { readConnectHead, type ConnectHead } from './connect-head.ts'
import type { IngressContext } from './context.ts'
import { createHttp2Leg, type Http2Leg } from './http2-leg.ts'
import { malformedOf, parserCode } from './malformed.ts'
import { FetchEndpoint } from './fetch-endpoint.ts'
import { isFetchTarget } from './fetch-question.ts'
import { isOwnQuestion, serveOwnQuestion } from './own-questions.ts'
import { servePlain, type Continue } from './plain.ts'
import { PlainLegs } from './plain-leg.ts'
import { maxOwed } from './read-request.ts'
import { refuseSocket } from './refuse.ts'
import { StalledBodies } from './stalled-bodies.ts'
import { serveUpgrade } from './upgrade.ts'

const sweepMs = 2_000

export interface Front {
  listen(host: string, port: number): Promise<AddressInfo>
  /** takes in a connection that came by the own socket of a session, which is who it is from then on */
  accept(socket: Socket, session: SocketSession): void
  /** stops accepting and lets idle connections go; what is in flight goes on */
  drain(): void
  /** resolves when no connection is left */
  idle(): Promise<void>
  /** cuts every connection */
  destroy(): void
}

export function createFront(context: IngressContext, connections: ClientConnections): Front {
  const { limits } = context
  const server = createServer({
    insecureHTTPParser: false,
    requireHostHeader: false,
    maxHeaderSize: limits.headerBytes,
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: 0,
    connectionsCheckingInterval: sweepMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    noDelay: true,
    highWaterMark: 65_536,
    shouldUpgradeCallback: isWebSocketUpgrade,
  })
  // counted by request-head.ts; node would drop fields silently on some versions
  server.maxHeadersCount = 0
  server.timeout = 0
  // a client that ends its side behind its request still gets the answer; not in node's types
  Reflect.set(server, 'httpAllowHalfOpen', true)
  const bodies = new StalledBodies(limits.requestTimeoutMs, context.turnstiles.endings)
  // node's own listener takes a connection into its HTTP parser; it gets those that need one
  const [parse] = server.listeners('connection')
  server.removeAllListeners('connection')
  const http2 = createHttp2Leg(context, { serve: (arrival) => servePlain(arrival, context) })
  const fetching = new FetchEndpoint(context)
  const doors = new Doors(context, { connections, bodies, http2, fetching, parse: (socket) => parse?.call(server, socket) })
  server.on('connection', (socket: Socket) => doors.accept(socket))
  const sweep = setInterval(() => doors.sweep(), sweepMs).unref()
  server.on('request', (request, response) => doors.request(request, response, 'none'))
  server.on('checkContinue', (request, response) => doors.request(request, response, 'expected'))
  server.on('checkExpectation', (request, response) => doors.request(request, response, 'unknown'))
  server.on('connect', (request, socket, head) => doors.parsedConnect(request, socket, head))
  server.on('upgrade', (request, _duplex, head) => doors.upgrade(request, head))
  server.on('clientError', (error: Error, socket: Duplex) => doors.broken(error, socket))
  return {
    listen: (host, port) => listen(server, host, port),
    accept: (socket, session) => doors.accept(socket, session),
    drain: () => {
      server.close()
      server.closeIdleConnections()
      http2.drain()
      // none is taken in any more, and those that have not begun go now
      clearInterval(sweep)
      doors.closeSilent()
    },
    idle: async () => {
      await connections.empty()
      fetching.close()
    },
    destroy: () => {
      clearInterval(sweep)
      bodies.stop()
      http2.destroy()
      for (const { socket } of connections.all()) socket.destroy()
    },
  }
}

function listen(server: Server, host: string, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port, backlog: 4096 }, () => {
      server.off('error', reject)
      const address = server.address()
      if (address === null || typeof address === 'string') reject(new Error('the listener has no TCP address'))
      else resolve(address)
    })
  })
}

/** Any other Upgrade is ignored, as RFC 9110 section 7.8 allows, and its field is dropped on the way. */
function isWebSocketUpgrade(request: IncomingMessage): boolean {
  return request.headers.upgrade?.toLowerCase() === 'websocket'
}

interface DoorParts {
  readonly connections: ClientConnections
  readonly bodies: StalledBodies
  readonly http2: Http2Leg
  readonly fetching: FetchEndpoint
  /** takes a socket into node's HTTP/1.1 parser */
  readonly parse: (socket: Socket) => void
}

/** Turns the server's events into calls of the doors, and a throw of any of them into an end. */
class Doors {
  readonly #context: IngressContext
  readonly #connections: ClientConnections
  readonly #bodies: StalledBodies
  readonly #http2: Http2Leg
  readonly #parse: (socket: Socket) => void
  readonly #legs: PlainLegs
  readonly #fetching: FetchEndpoint
  readonly #turnedAway = new WeakSet<Duplex>()
  /** those that node's parser reads */
  readonly #parsed = new WeakMap<Duplex, ClientConnection>()

  constructor(context: IngressContext, { connections, bodies, http2, fetching, parse }: DoorParts) {
    this.#context = context
    this.#connections = connections
    this.#bodies = bodies
    this.#http2 = http2
    this.#parse = parse
    this.#fetching = fetching
    const { clock, idleDeadlines, isDraining, limits: { headerBytes, keepAliveTimeoutMs } } = context
    this.#legs = new PlainLegs({
      headerBytes, keepAliveTimeoutMs, clock, idleDeadlines, isDraining,
      serve: (connection, request, response) => {
        connection.begun()
        this.#run(connection.socket, servePlain({ request, response, connection, expectation: 'none', isFlood: false, bodies }, context))
      },
      enter: (connection, early) => this.#enter(connection, early),
    })
  }

  /** The connection that `socket` is; undefined for what is not served, and then closed unless its refusal is on the way. */
  #served(socket: Duplex): ClientConnection | undefined {
    const connection = this.#parsed.get(socket)
    if (connection === undefined && !this.#turnedAway.has(socket)) socket.destroy()
    return connection
  }

  accept(socket: Socket, session?: SocketSession): void {
    // reset before it was accepted: there is nobody to refuse, and no address to journal; a unix socket has none ever
    if (session === undefined && socket.remoteAddress === undefined) {
      socket.destroy()
      return
    }
    const accepted = this.#connections.accept(socket, session)
    if (accepted === 'no_room') {
      socket.destroy()
      return
    }
    if (typeof accepted === 'string') {
      this.#run(socket, this.#turnAway(socket, accepted, session))
      return
    }
    socket.on('error', () => socket.destroy())
    // a client that leaves without a word is not waited for
    socket.on('end', () => {
      if (accepted.silentSinceMs !== undefined) socket.destroy()
    })
    accepted.upload.listenFirst(socket, (chunk) => this.#firstInTurn(accepted, chunk))
  }

  /** What was read of a new connection, of which many may come at once. It is good until this returns; false: it is looked at later. */
  #firstInTurn(connection: ClientConnection, chunk: Buffer): boolean {
    // its refusal for having been silent is on the way
    if (connection.isClosing) return true
    connection.silentSinceMs = undefined
    const { arrivals } = this.#context.turnstiles
    if (arrivals.passNow()) return this.#first(connection, chunk)
    const copy = Buffer.from(chunk)
    const { socket, upload } = connection
    // of a stream that is empty the end would be told, paused or not
    const isBack = upload.putBack(copy)
    arrivals.pass(() => {
      if (socket.destroyed) return
      if (isBack) upload.listenFirst(socket, (first) => this.#first(connection, first))
      // as it is read when the first bytes are looked at right away
      socket.resume()
      if (!isBack) this.#first(connection, copy)
    })
    return false
  }

  /** A connection mostly begins with a CONNECT or a request without a body, whole and plain; everything else is for node's parser. */
  #first(connection: ClientConnection, chunk: Buffer): boolean {
    const whole = readConnectHead(chunk, this.#context.limits.headerBytes)
    if (whole !== undefined) {
      connection.upload.yield()
      this.#connect(connection, whole.head, Buffer.from(chunk.subarray(whole.length)))
    } else if (!this.#legs.begin(connection, chunk)) {
      this.#enter(connection, Buffer.from(chunk))
    }
    return true
  }

  /** Has node's parser read the connection from here on, `early` first. */
  #enter(connection: ClientConnection, early: Buffer): void {
    const { socket, upload } = connection
    // it ended its side while its CONNECT was decided on: it has left, as in any other tunnel
    if (socket.readableEnded) {
      socket.destroy()
      return
    }
    this.#parsed.set(socket, connection)
    upload.lend(socket, early)
    this.#parse(socket)
    // the parser does not wake a socket that was paused
    socket.resume()
  }

  /** What is inside TLS that ended here; HTTP/1.1 goes the way of every other connection. */
  #enterTls(inner: ClientConnection): void {
    const { socket } = inner
    if (socket instanceof TLSSocket && socket.alpnProtocol === 'h2') {
      // of HTTP/2 nobody reads on who has ended its side: each stream says by itself that its request is all
      socket.once('end', () => socket.destroy())
      this.#http2.accept(socket, inner)
      return
    }
    inner.expectRequest(this.#context.limits.headersTimeoutMs, () => this.#timeOut(inner))
    socket.once('end', () => {
      if (!inner.hasBegun && !this.#parsed.has(socket)) socket.end()
    })
    inner.upload.listenFirst(socket, (chunk) => {
      if (!inner.isClosing && !this.#legs.begin(inner, chunk)) this.#enter(inner, Buffer.from(chunk))
      return true
    })
  }

  /** Ends connections that have said nothing for as long as a head may take. */
  sweep(): void {
    const { clock, limits } = this.#context
    const before = clock.monotonic() - limits.headersTimeoutMs
    for (const connection of this.#connections.all()) {
      if (connection.silentSinceMs === undefined || connection.silentSinceMs > before) continue
      connection.silentSinceMs = undefined
      this.#timeOut(connection)
    }
  }

  #timeOut(connection: ClientConnection): void {
    connection.isClosing = true
    this.#refuseLate(connection)
  }

  /** Lets go of connections that have not begun. */
  closeSilent(): void {
    for (const { socket, silentSinceMs } of this.#connections.all()) if (silentSinceMs !== undefined) socket.destroy()
    this.#legs.closeIdle()
  }

  request(request: IncomingMessage, response: ServerResponse, expectation: Continue): void {
    const connection = this.#served(request.socket)
    if (connection === undefined) return
    const { socket } = connection
    connection.begun()
    if (connection.isClosing) {
      // node reads on while an answer is owed, and holds what it reads until then
      connection.ignored += 1
      if (connection.ignored > maxOwed) socket.destroy()
      return
    }
    const isFlood = connection.owed >= maxOwed
    connection.owe(response, () => {
      // a client that keeps its connection alive must not keep a process that is stopping
      if (this.#context.isDraining() && connection.owed === 0) socket.destroySoon()
    })
    const arrival = { request, response, connection, expectation, isFlood, bodies: this.#bodies }
    const isOurs = connection.bound === undefined && !isFlood
    if (isOurs && isFetchTarget(request.url)) this.#run(socket, this.#fetching.serve(arrival))
    else this.#run(socket, isOurs && isOwnQuestion(request) ? serveOwnQuestion(arrival, this.#context) : servePlain(arrival, this.#context))
  }

  /** A CONNECT that came through node's parser. */
  parsedConnect(request: IncomingMessage, duplex: Duplex, head: Buffer): void {
    const connection = this.#served(duplex)
    if (connection === undefined) return
    this.#takeBack(connection)
    this.#connect(connection, request, head)
  }

  /** Node's parser has let go of the connection, and with it of what tells an answer under way to go on. */
  #takeBack(connection: ClientConnection): void {
    connection.upload.yield()
    if (connection.owed > 0) connection.socket.on('drain', () => connection.drained())
  }

  #connect(connection: ClientConnection, request: ConnectHead, early: Buffer): void {
    const enter = (left: Buffer): void => this.#enter(connection, left)
    const enterTls = (inner: ClientConnection): void => this.#enterTls(inner)
    this.#run(connection.socket, serveConnect({ request, early, connection, enter, enterTls }, this.#context))
  }

  /** Before a body of it has come whole, node gives a stream of its own; what is refused is the connection. */
  upgrade(request: IncomingMessage, head: Buffer): void {
    const connection = this.#served(request.socket)
    if (connection === undefined) return
    connection.begun()
    this.#takeBack(connection)
    this.#run(connection.socket, serveUpgrade({ request, head, connection }, this.#context))
  }

  /** llhttp or a time-out refused what came in. */
  broken(error: Error & { code?: string; rawPacket?: Uint8Array }, duplex: Duplex): void {
    const connection = this.#served(duplex)
    if (connection === undefined) return
    const { socket } = connection
    const code = parserCode(error.code)
    if (code === undefined || !socket.writable) {
      socket.destroy()
      return
    }
    // the parser says it again for every further segment
    if (connection.isClosing || connection.isBroken) return
    if (connection.isReceiving && !connection.isSilent) {
      // an answer is on its way out to a request that turned out to be none: it ends here, with nothing more relayed
      socket.destroy()
      return
    }
    // what is wrong with a body is wrong with its request, which may not have been looked at yet
    if (connection.isReceiving) connection.isClosing = true
    else connection.isBroken = true
    if (code === 'request_timeout') this.#refuseLate(connection)
    else this.#run(socket, this.#refuseBroken(connection, code, error.rawPacket))
  }

  /** Limits of many connections end at once. Of other refusals the moment counts: whether a body is what is broken. */
  #refuseLate(connection: ClientConnection): void {
    this.#context.turnstiles.endings.pass(() => this.#run(connection.socket, this.#refuseBroken(connection, 'request_timeout', undefined)))
  }

  /** What is wrong with a body is wrong with its request, which it answers; what is wrong with the bytes
   * behind a request waits for that one's answer. */
  async #refuseBroken(connection: ClientConnection, code: ErrorCode, rawPacket: Uint8Array | undefined): Promise<void> {
    if (!connection.isReceiving) await connection.nothingOwed()
    if (connection.socket.destroyed) return
    const malformed = malformedOf(this.#context, connection.client, connection.isReceiving ? undefined : rawPacket)
    const refusal = await this.#context.gate.refuseMalformed(malformed, code, '')
    refuseSocket(connection, refusal)
    this.#context.gate.ended(malformed, { outcome: 'refused', code: refusal.code, bytesFromClient: 0, bytesFromOrigin: 0 })
  }

  /** A connection that is not taken in is a denial like any other: journaled, then said. */
  async #turnAway(socket: Socket, code: Exclude<TurnedAway, 'no_room'>, session: SocketSession | undefined): Promise<void> {
    this.#turnedAway.add(socket)
    socket.on('error', () => socket.destroy())
    const client = session === undefined ? { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0, advisory: true } : clientOf(socket, session)
    const malformed = { ...malformedOf(this.#context, client, undefined), isOutsider: true }
    const refusal = await this.#context.gate.refuseMalformed(malformed, code, '')
    refuseSocket({ socket, upload: undefined, deadlines: this.#context.deadlines }, refusal)
    this.#context.gate.ended(malformed, { outcome: 'refused', code: refusal.code, bytesFromClient: 0, bytesFromOrigin: 0 })
  }

  /** A door that throws has failed: the operator hears of it, the client loses the connection. */
  #run(socket: Socket, door: Promise<void>): void {
    door.catch((error: unknown) => {
      this.#context.onFault(error)
      socket.destroy()
    })
  }
}
