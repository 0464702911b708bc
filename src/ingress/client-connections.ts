// The accepted connections: who is at the other end, how many each has, which responses are owed.
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Clock } from '../clock.ts'
import type { Deadline, Deadlines } from '../deadlines.ts'
import type { ClientResponse } from '../egress/client-leg.ts'
import { descriptorOf, dropListeners } from '../egress/arm-socket.ts'
import { ReadPump } from '../egress/read-pump.ts'
import type { ReadBuffers } from '../egress/read-buffers.ts'
import type { Client } from '../gate/exchange.ts'
import type { Admitted } from '../gate/admitted.ts'
import { Roster } from '../roster.ts'
import { cidrContains, parseIp, type Cidr } from '../target/address.ts'
import type { PeerUids } from './peer-uid.ts'

/** A response that is not finished. */
interface Owed {
  readonly response: ServerResponse
  /** called when every answer before it is out */
  turn: (() => void) | undefined
}

/** Credentials that a connection showed and that were right. */
export interface VerifiedCredentials {
  /** of the field, whole; never shown or kept anywhere else */
  readonly value: string
  /** id */
  readonly session: string
  /** monotonic, `ms` */
  readonly atMs: number
}

/** The session whose own socket a connection came by: the socket is who it is. */
export interface SocketSession {
  readonly id: string
  /** whoever made the session vouches for what is at the other end */
  readonly isIsolated: boolean
}

/** `client.address` of what came by a unix socket, which has no other. */
const unixAddress = 'unix'

/** What every connection works with. */
export interface ConnectionParts {
  readonly buffers: ReadBuffers
  readonly clock: Clock
  readonly deadlines: Deadlines
}

/** One accepted connection. */
export class ClientConnection {
  readonly socket: Socket
  /** reads the socket wherever node's parser does not */
  readonly upload: ReadPump
  readonly deadlines: Deadlines
  client: Client
  /** when it was accepted, while not a byte has come; `ms`, monotonic */
  silentSinceMs: number | undefined
  /** id of the session whose own socket this came by */
  readonly session: string | undefined
  /** the CONNECT that this connection is inside of: to port 80, or with TLS that ended here */
  bound: Admitted | undefined = undefined
  /** of the peer's process; undefined where nothing is known of it */
  uid: number | undefined = undefined
  /** the last ones */
  verified: VerifiedCredentials | undefined = undefined
  /** pending while the peer's uid is being looked up */
  lookup: Promise<void> | undefined = undefined
  /** an answer that closes has been decided on: what comes behind its request is no request any more
   * (RFC 9112 section 9.6), least of all where the framing was in doubt */
  isClosing = false
  /** bytes came that are no request; what was read before them is still served */
  isBroken = false

  hasBegun = false

  /** requests that were read behind it */
  ignored = 0

  /** its place among the open ones */
  place = -1
  readonly #parts: ConnectionParts
  #patience: Deadline | undefined
  #owed: Owed[] = []
  #waiting: (() => void)[] = []

  constructor(socket: Socket, client: Client, parts: ConnectionParts, session?: string) {
    const { buffers, clock, deadlines } = parts
    this.#parts = parts
    this.socket = socket
    this.session = session
    this.upload = new ReadPump(buffers)
    this.deadlines = deadlines
    this.client = client
    this.silentSinceMs = clock.monotonic()
  }

  /** What is inside the TLS that ended here, or one stream of it: the same client, with an end of its own. */
  inside(socket: Socket, bound: Admitted | undefined): ClientConnection {
    const inner = new ClientConnection(socket, this.client, this.#parts, this.session)
    inner.bound = bound
    inner.uid = this.uid
    inner.verified = this.verified
    inner.lookup = this.lookup
    inner.silentSinceMs = undefined
    return inner
  }

  /** Calls back when no request has come within `ms`: node's server times requests, not their absence. */
  expectRequest(ms: number, onLate: () => void): void {
    const deadline = this.deadlines.in(ms, onLate)
    this.#patience = deadline
    this.socket.once('close', () => this.deadlines.cancel(deadline))
  }

  /** A request has come. */
  begun(): void {
    this.hasBegun = true
    if (this.#patience !== undefined) this.deadlines.cancel(this.#patience)
    this.#patience = undefined
  }

  /** requests that were read and whose response is not finished */
  get owed(): number {
    return this.#owed.length
  }

  /** true when nothing has been written of anything that is owed, so that a refusal can be */
  get isSilent(): boolean {
    const [first, ...more] = this.#owed
    return more.length === 0 && first?.response.headersSent !== true
  }

  /** true while the body of the last request that was read is still arriving */
  get isReceiving(): boolean {
    return this.#owed.at(-1)?.response.req.complete === false
  }

  /** `settled` is called when the answer is out or never will be. */
  owe(response: ServerResponse, settled: () => void): void {
    const owed: Owed = { response, turn: undefined }
    this.#owed.push(owed)
    response.on('close', () => {
      this.#owed.splice(this.#owed.indexOf(owed), 1)
      this.#owed[0]?.turn?.()
      if (this.#owed.length === 0 && this.#waiting.length > 0) for (const resolve of this.#waiting.splice(0)) resolve()
      settled()
    })
  }

  /** The socket takes more of the answer that is under way. */
  drained(): void {
    this.#owed[0]?.response.emit('drain')
  }

  /** Resolves when every answer before this one is out. */
  turnOf(response: ClientResponse): Promise<void> {
    const at = this.#owed.findIndex((owed) => owed.response === response)
    const owed = this.#owed[at]
    if (at === 0 || owed === undefined || response.destroyed) return Promise.resolve()
    return new Promise((resolve) => {
      owed.turn = resolve
    })
  }

  /** What is owed goes out first: a refusal must not overtake it. */
  nothingOwed(): Promise<void> {
    return this.#owed.length === 0 ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve))
  }
}

export interface ConnectionRules {
  readonly connections: number
  readonly connectionsPerClient: number
  /** client addresses that may connect; empty: loopback only */
  readonly clients: readonly Cidr[]
  /** nothing is served without a session's credentials: with no `clients`, every address may connect */
  readonly requireSession: boolean
  /** uid that this process runs as; undefined where the system has none */
  readonly ownUid: number | undefined
  /** undefined: the system does not say how many files may be open */
  readonly descriptors?: { readonly limit: number; readonly clients: number; readonly ceiling: number; readonly refusals: number } | undefined
}

/** Why a connection is not taken in; `no_room`: there is none for its refusal, either. */
export type TurnedAway = 'too_many_connections' | 'out_of_descriptors' | 'client_not_allowed' | 'no_room'

export class ClientConnections {
  readonly #rules: ConnectionRules
  readonly #uids: PeerUids
  readonly #parts: ConnectionParts
  readonly #open = new Roster<ClientConnection>()
  readonly #perClient = new Map<string, number>()
  #waiting: (() => void)[] = []
  /** open still, though told that there is no descriptor for them */
  #refused = 0

  constructor(rules: ConnectionRules, uids: PeerUids, parts: ConnectionParts) {
    this.#rules = rules
    this.#uids = uids
    this.#parts = parts
  }

  get size(): number {
    return this.#open.size
  }

  /** Takes in a new connection, or says why not. `session`: the one whose own socket it came by. */
  accept(socket: Socket, session?: SocketSession): ClientConnection | TurnedAway {
    const room = this.#roomFor(socket)
    if (room === 'no_room') return room
    const client = clientOf(socket, session)
    const isLoopback = client.address.startsWith('127.') || client.address === '::1'
    if (session === undefined && !this.#mayConnect(client.address, isLoopback)) return 'client_not_allowed'
    // no address has a space in it
    const counted = session === undefined ? client.address : `${unixAddress} ${session.id}`
    const count = this.#perClient.get(counted) ?? 0
    if (this.#open.size >= this.#rules.connections || count >= this.#rules.connectionsPerClient) return 'too_many_connections'
    if (room !== undefined) {
      this.#refused += 1
      socket.on('close', () => (this.#refused -= 1))
      return room
    }
    this.#perClient.set(counted, count + 1)
    const connection = new ClientConnection(socket, client, this.#parts, session?.id)
    this.#open.add(connection)
    socket.on('close', () => this.#forget(connection, counted))
    if (isLoopback) this.#identify(socket, connection)
    return connection
  }

  /** What is kept back is for operators and the journal, and refusals, which stay open for a moment, must not take it. */
  #roomFor(socket: Socket): 'out_of_descriptors' | 'no_room' | undefined {
    const { descriptors } = this.#rules
    if (descriptors === undefined) return undefined
    const { limit, ceiling, clients, refusals } = descriptors
    const number = descriptorOf(socket) ?? 0
    if (number < ceiling && this.#open.size < clients) return undefined
    return number >= (limit + ceiling) / 2 || this.#refused >= refusals ? 'no_room' : 'out_of_descriptors'
  }

  /** resolves when none is left */
  empty(): Promise<void> {
    return this.#open.size === 0 ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve))
  }

  all(): readonly ClientConnection[] {
    return this.#open.all()
  }

  #mayConnect(address: string, isLoopback: boolean): boolean {
    const { clients, requireSession } = this.#rules
    if (clients.length === 0) return isLoopback || requireSession
    const ip = parseIp(address)
    return ip !== undefined && clients.some((range) => cidrContains(range, ip))
  }

  /** A loopback client is advisory until its uid is known to be another one than ours. */
  #identify(socket: Socket, connection: ClientConnection): void {
    const lookup = this.#uids.lookUp(socket)
    if (lookup === undefined) return
    connection.lookup = lookup.then((uid) => {
      connection.lookup = undefined
      connection.uid = uid
      if (uid !== undefined && uid !== this.#rules.ownUid) connection.client = { ...connection.client, advisory: false }
    })
  }

  #forget(connection: ClientConnection, counted: string): void {
    const { socket } = connection
    if (!this.#open.remove(connection)) return
    dropListeners(socket)
    connection.upload.stop()
    const count = (this.#perClient.get(counted) ?? 1) - 1
    if (count > 0) this.#perClient.set(counted, count)
    else this.#perClient.delete(counted)
    if (this.#open.size === 0) for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

/**
 * Who is at the other end. A loopback client is advisory until its user is known. A session's socket can be opened
 * by our own user alone, so what comes by it is advisory too, unless the session was made for an isolated agent.
 */
export function clientOf(socket: Socket, session: SocketSession | undefined): Client {
  if (session !== undefined) return { address: unixAddress, port: 0, advisory: !session.isIsolated }
  const address = plainAddress(socket.remoteAddress ?? '')
  return { address, port: socket.remotePort ?? 0, advisory: address.startsWith('127.') || address === '::1' }
}

/** An IPv4 client on a dual-stack listener is an IPv4 client. */
function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}
