// The door for CONNECT: parse, decide, reach, 200, judge the first bytes, relay. In that order: nothing
// is resolved before the decision is journaled, and nothing of the client's is relayed before its first
// bytes are judged.
import type { Socket } from 'node:net'
import { ProxyError } from '../errors.ts'
import { Abandonment } from '../egress/abandonment.ts'
import { checkConnectionField } from '../egress/field-rules.ts'
import { isRefusal, type Destination } from '../egress/reach.ts'
import { dropListeners } from '../egress/arm-socket.ts'
import { ReadPump } from '../egress/read-pump.ts'
import { relay, type TunnelResult } from '../egress/tunnel.ts'
import { Admitted, Vetted } from '../gate/admitted.ts'
import type { Exchange, Malformed } from '../gate/exchange.ts'
import type { LiveEnd, LiveExchange } from '../gate/live-exchanges.ts'
import type { Refusal } from '../gate/refusal.ts'
import type { Facts, Principal } from '../policy/facts.ts'
import { parseIp, type IpAddress } from '../target/address.ts'
import { parseAuthority, type Authority } from '../target/authority.ts'
import type { ClientConnection } from './client-connections.ts'
import type { ConnectHead } from './connect-head.ts'
import type { IngressContext } from './context.ts'
import { identify } from './identity.ts'
import { intercept } from './intercept.ts'
import { TunnelOpening } from './opening.ts'
import { TunnelPresence } from './presence.ts'
import { endSocket, failAndEnd, refuseAndEnd, refuseSocket } from './refuse.ts'
import { checkHost, fieldOf, readHead } from './request-head.ts'

export interface ConnectArrival {
  readonly request: ConnectHead
  /** bytes that came behind the head */
  readonly early: Buffer
  readonly connection: ClientConnection
  /** has the HTTP inside a tunnel to port 80 served, as a connection of its own */
  readonly enter: (early: Buffer) => void
  /** has what is inside TLS served, which has ended here */
  readonly enterTls: (inner: ClientConnection) => void
}

const httpsPort = 443
const plainPort = 80
export const established = Buffer.from('HTTP/1.1 200 Connection established\r\n\r\n', 'latin1')
// fatal alerts, RFC 8446 section 6: unrecognized_name and access_denied
const unrecognizedName = Uint8Array.of(0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 112)
const accessDenied = Uint8Array.of(0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 49)

export async function serveConnect(arrival: ConnectArrival, context: IngressContext): Promise<void> {
  const { connection } = arrival
  if (connection.lookup !== undefined) await connection.lookup
  const read = readConnect(arrival, context)
  if (read.kind === 'malformed') {
    const refusal = await context.gate.refuseMalformed(read.malformed, read.error.code, read.error.detail)
    await connection.nothingOwed()
    refuseAndEnd(connection, context.gate, read.malformed, refusal)
    return
  }
  const { exchange } = read
  const presence = new TunnelPresence(connection, arrival.early)
  const admitted = await context.gate.admit(exchange, presence)
  if (!(admitted instanceof Admitted)) {
    refuseAndEnd(connection, context.gate, exchange, admitted)
    return
  }
  const arrived = { ...arrival, early: presence.early }
  if (exchange.facts.port === plainPort && admitted.decision.obligations.raw === undefined) {
    enterPlain(arrived, context, admitted)
    return
  }
  if (admitted.decision.obligations.inspect === 'none') await tunnel(arrived, context, admitted)
  else await intercept(arrived, context, admitted)
}

type ReadConnect =
  | { readonly kind: 'exchange'; readonly exchange: Exchange }
  | { readonly kind: 'malformed'; readonly malformed: Malformed; readonly error: ProxyError }

function readConnect({ request, connection }: ConnectArrival, context: IngressContext): ReadConnect {
  const id = context.ids.next()
  const startedMs = context.clock.monotonic()
  const { client } = connection
  let authority: Authority | undefined
  try {
    const head = readHead(request, context.limits)
    authority = parseAuthority(request.url ?? '')
    checkHost(head.host, authority, httpsPort)
    const stripped = checkConnectionField(request.rawHeaders)
    if (stripped !== undefined) throw stripped
    if (head.hasBody) throw new ProxyError('framing', 'CONNECT has no body')
    if (connection.owed > 0) throw new ProxyError('pipelined', 'CONNECT')
    if (connection.bound !== undefined) throw new ProxyError('method_not_supported', 'CONNECT inside a tunnel')
    const principal = identify(head.credentials, connection, context)
    if (context.isDraining()) throw new ProxyError('draining', '')
    const facts = connectFacts(authority, principal)
    return { kind: 'exchange', exchange: { id, facts, client, protocol: 'https_connect', userAgent: head.userAgent, startedMs } }
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error
    const userAgent = fieldOf(request.rawHeaders, 'user-agent')
    const malformed: Malformed = { id, client, protocol: 'https_connect', rawTarget: request.url ?? '', authority, method: 'CONNECT', userAgent, startedMs }
    return { kind: 'malformed', malformed, error }
  }
}

function connectFacts({ host, port }: Authority, principal: Principal): Facts {
  const scheme = port === plainPort ? 'http' : 'https'
  return { stage: 'connect', scheme, host, port, method: undefined, path: undefined, query: undefined, upgrade: undefined, principal }
}

/** Plain HTTP in a tunnel to port 80 (that is how ws:// travels): answered here, nothing resolved or
 * dialled; each request inside comes back through the front as an exchange of its own. */
function enterPlain({ early, connection, enter }: ConnectArrival, context: IngressContext, admitted: Admitted): void {
  const { socket } = connection
  connection.bound = admitted
  const live = context.gate.live.open(admitted, () => socket.destroy())
  const end = (): void => {
    live.done()
    const sizes = { status: 200, bytesFromClient: socket.bytesRead, bytesFromOrigin: 0 }
    const { closedBy } = live
    context.gate.ended(admitted.exchange, closedBy === undefined ? { outcome: 'completed', ...sizes } : { outcome: 'expired', code: closedBy, ...sizes })
  }
  if (socket.closed) {
    end()
    return
  }
  socket.once('close', end)
  if (live.closedBy !== undefined) return
  socket.write(established)
  enter(early)
}

async function tunnel(arrival: ConnectArrival, context: IngressContext, admitted: Admitted): Promise<void> {
  const { early, connection } = arrival
  const { socket } = connection
  const { exchange, decision } = admitted
  const gone = new Abandonment()
  const opening = new TunnelOpening(socket, connection.upload, early, {
    host: exchange.facts.host,
    expectation: decision.obligations.raw ?? 'tls',
    maxBytes: context.limits.helloBytes,
    deadlines: context.deadlines,
    onLeft: () => gone.abandon(),
  })
  const live = context.gate.live.open(admitted, () => {
    gone.abandon()
    socket.destroy()
  })
  try {
    // what was taken back while its decision was journaled asks no name server
    if (live.closedBy !== undefined) {
      opening.release()
      context.gate.ended(exchange, { outcome: 'expired', code: live.closedBy, bytesFromClient: 0, bytesFromOrigin: 0 })
      return
    }
    const destination = await context.reach.destination(admitted)
    if (isRefusal(destination)) {
      opening.release()
      refuseAndEnd(connection, context.gate, exchange, destination)
      return
    }
    live.reached(context.reach.judgedAddresses(destination))
    const download = new ReadPump(context.buffers)
    const origin = await context.reach.connect(destination, { abandonment: gone, onread: () => download.onread })
    await open(connection, context, { live, opening, origin, destination, download })
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error
    opening.release()
    fail(connection, context, { exchange, error, isLeft: opening.isLeft, closedBy: live.closedBy })
  } finally {
    live.done()
  }
}

interface Dialled {
  readonly live: LiveExchange
  readonly opening: TunnelOpening
  readonly origin: Socket
  readonly destination: Destination
  readonly download: ReadPump
}

/** The origin is connected: says so, judges what the client begins with, and relays. */
async function open(connection: ClientConnection, context: IngressContext, dialled: Dialled): Promise<void> {
  const { socket } = connection
  const { live, opening, origin } = dialled
  const { admitted } = live
  socket.write(established)
  const finding = await opening.judged(context.limits.helloTimeoutMs)
  const isOver = (): boolean => opening.isLeft || live.closedBy !== undefined
  const refusal = finding.ok || isOver() ? undefined : await context.gate.judgeTunnel(admitted, finding.code, finding.reason)
  if (isOver() || refusal !== undefined) {
    origin.destroy()
    closeTunnel(connection, context, live, opening.release(), refusal)
    return
  }
  await join(context, connection, dialled)
}

interface Failure {
  readonly exchange: Exchange
  readonly error: ProxyError
  readonly isLeft: boolean
  readonly closedBy: LiveEnd | undefined
}

function fail(connection: ClientConnection, context: IngressContext, { exchange, error, isLeft, closedBy }: Failure): void {
  if (!isLeft && closedBy === undefined) {
    failAndEnd(connection, context.gate, exchange, error)
    return
  }
  const none = { bytesFromClient: 0, bytesFromOrigin: 0 }
  connection.socket.destroy()
  context.gate.ended(exchange, closedBy === undefined ? { outcome: 'failed', code: error.code, ...none } : { outcome: 'expired', code: closedBy, ...none })
}

/** The address that is connected: the one that was vetted, or whichever of several won. */
function addressOf({ origin, destination }: Dialled): IpAddress | undefined {
  const [only, ...more] = destination instanceof Vetted ? destination.addresses : []
  return only !== undefined && more.length === 0 ? only : parseIp(origin.remoteAddress ?? '')
}

/** Relays until both sides have ended, or until a change of policy closes the tunnel. */
async function join(context: IngressContext, { socket, upload }: ClientConnection, dialled: Dialled): Promise<void> {
  const { live, opening, origin, download } = dialled
  const address = addressOf(dialled)
  const handle = relay({ client: socket, origin, upload, download, firstBytes: opening.release(), idleTimeoutMs: context.limits.tunnelIdleMs, deadlines: context.idleDeadlines })
  live.onClose(() => handle.abort())
  const result = await handle.done
  dropListeners(origin)
  context.gate.ended(live.admitted.exchange, { ...endingOf(result, live.closedBy), peerAddress: address?.text })
}

function endingOf(result: TunnelResult, closedBy: LiveEnd | undefined) {
  const { bytesFromClient, bytesFromOrigin } = result
  if (closedBy !== undefined) return { outcome: 'expired', code: closedBy, status: 200, bytesFromClient, bytesFromOrigin } as const
  if (result.end === 'idle') return { outcome: 'expired', status: 200, bytesFromClient, bytesFromOrigin } as const
  return { outcome: 'completed', status: 200, bytesFromClient, bytesFromOrigin } as const
}

/** The 200 is out, so the refusal speaks the tunnel's own language: an alert for TLS, an answer for HTTP. */
export function closeTunnel(connection: ClientConnection, context: IngressContext, live: LiveExchange, firstBytes: Uint8Array, refusal: Refusal | undefined): void {
  const { exchange } = live.admitted
  if (refusal === undefined) {
    const { closedBy } = live
    const sizes = { status: 200, bytesFromClient: firstBytes.length, bytesFromOrigin: 0 }
    connection.socket.destroy()
    context.gate.ended(exchange, closedBy === undefined ? { outcome: 'completed', ...sizes } : { outcome: 'expired', code: closedBy, ...sizes })
    return
  }
  context.gate.ended(exchange, { outcome: 'refused', code: refusal.code, status: 200, bytesFromClient: firstBytes.length, bytesFromOrigin: 0 })
  if (refusal.code === 'not_tls' && looksLikeHttp(firstBytes)) refuseSocket(connection, refusal)
  else if (firstBytes[0] !== 0x16) endSocket(connection, '')
  else endSocket(connection, refusal.code === 'name_mismatch' || refusal.code === 'sni_missing' ? unrecognizedName : accessDenied)
}

function looksLikeHttp(bytes: Uint8Array): boolean {
  return /^[A-Z]{3,10} \S+ HTTP\/1\.[01]\r?\n/.test(Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 4096)).toString('latin1'))
}
