// The accepted connections: who is at the other end, how many each has, which responses are owed.
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Clock } from '../clock.ts'
import type { Deadlines } from '../deadlines.ts'
import type { ClientResponse } from '../egress/client-leg.ts'
import { dropListeners } from '../egress/arm-socket.ts'
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
  /** the CONNECT to port 80 that this connection is inside of */
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
  /** between two requests that were read without node's parser */
  isIdle = false
  /** bytes came that are no request; what was read before them is still served */
  isBroken = false

  /** requests that were read behind it */
  ignored = 0

  /** its place among the open ones */
  place = -1
  #owed: Owed[] = []
  #waiting: (() => void)[] = []

  constructor(socket: Socket, client: Client, { buffers, clock, deadlines }: ConnectionParts) {
    this.socket = socket
    this.upload = new ReadPump(buffers)
    this.deadlines = deadlines
    this.client = client
    this.silentSinceMs = clock.monotonic()
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

  /** What node's server tells its answers until it hands the socket on: that the client takes more. To be called when
   * a CONNECT or an upgrade was read. */
  tellDrained(): void {
    if (this.#owed.length > 0) this.socket.on('drain', () => this.#owed[0]?.response.emit('drain'))
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
}

export class ClientConnections {
  readonly #rules: ConnectionRules
  readonly #uids: PeerUids
  readonly #parts: ConnectionParts
  readonly #open = new Roster<ClientConnection>()
  readonly #perClient = new Map<string, number>()
  #waiting: (() => void)[] = []

  constructor(rules: ConnectionRules, uids: PeerUids, parts: ConnectionParts) {
    this.#rules = rules
    this.#uids = uids
    this.#parts = parts
  }

  get size(): number {
    return this.#open.size
  }

  /** Takes in a new connection, or says why not. */
  accept(socket: Socket): ClientConnection | 'too_many_connections' | 'client_not_allowed' {
    const address = plainAddress(socket.remoteAddress ?? '')
    const isLoopback = address.startsWith('127.') || address === '::1'
    if (!this.#mayConnect(address, isLoopback)) return 'client_not_allowed'
    const count = this.#perClient.get(address) ?? 0
    if (this.#open.size >= this.#rules.connections || count >= this.#rules.connectionsPerClient) return 'too_many_connections'
    this.#perClient.set(address, count + 1)
    const client = { address, port: socket.remotePort ?? 0, advisory: isLoopback }
    const connection = new ClientConnection(socket, client, this.#parts)
    this.#open.add(connection)
    socket.on('close', () => this.#forget(connection, address))
    if (isLoopback) this.#identify(socket, connection)
    return connection
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

  #forget(connection: ClientConnection, address: string): void {
    const { socket } = connection
    if (!this.#open.remove(connection)) return
    dropListeners(socket)
    connection.upload.stop()
    const count = (this.#perClient.get(address) ?? 1) - 1
    if (count > 0) this.#perClient.set(address, count)
    else this.#perClient.delete(address)
    if (this.#open.size === 0) for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

/** An IPv4 client on a dual-stack listener is an IPv4 client. */
function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}
