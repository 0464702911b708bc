// The door for WebSocket upgrades over plain HTTP: an action of its own, which an allowed GET does not
// imply where request rules govern the host. Nothing behind the handshake is relayed before the origin's 101.
import type { IncomingMessage } from 'node:http'
import { ProxyError } from '../errors.ts'
import { isRefusal, type Destination } from '../egress/reach.ts'
import { upgrade, type UpgradeResult } from '../egress/upgrade.ts'
import { Admitted } from '../gate/admitted.ts'
import type { Exchange } from '../gate/exchange.ts'
import type { LiveExchange } from '../gate/live-exchanges.ts'
import { defaultPortOf, formatAuthority } from '../target/authority.ts'
import { formatTarget } from '../target/target-uri.ts'
import type { ClientConnection } from './client-connections.ts'
import type { IngressContext } from './context.ts'
import { RequestPresence } from './presence.ts'
import { readRequest, type ReadExchange } from './read-request.ts'
import { failAndEnd, refuseAndEnd } from './refuse.ts'

export interface UpgradeArrival {
  readonly request: IncomingMessage
  readonly head: Uint8Array
  readonly connection: ClientConnection
}

type TunnelResult = Extract<UpgradeResult, { kind: 'tunnel' }>


export async function serveUpgrade(arrival: UpgradeArrival, context: IngressContext): Promise<void> {
  const { request, connection } = arrival
  if (connection.lookup !== undefined) await connection.lookup
  const read = readRequest(request, connection, context, { upgrade: 'websocket', isExpectationKnown: request.headers.expect === undefined, isFlood: false })
  if (read.kind === 'malformed') {
    const refusal = await context.gate.refuseMalformed(read.malformed, read.error.code, read.error.detail)
    await connection.nothingOwed()
    refuseAndEnd(connection, context.gate, read.malformed, refusal)
    return
  }
  const { exchange } = read
  const admitted = await context.gate.admit(exchange, new RequestPresence(request, undefined, false))
  if (!(admitted instanceof Admitted)) {
    refuseAndEnd(connection, context.gate, exchange, admitted)
    return
  }
  const live = context.gate.live.open(admitted, () => connection.socket.destroy())
  const isClosed = (): boolean => {
    if (live.closedBy === undefined) return false
    context.gate.ended(exchange, { outcome: 'expired', code: live.closedBy, bytesFromClient: 0, bytesFromOrigin: 0 })
    return true
  }
  try {
    // what was taken back while its decision was journaled asks no name server
    if (isClosed()) return
    const destination = await reach(arrival, context, admitted)
    if (destination === undefined) return
    live.reached(context.reach.judgedAddresses(destination))
    if (isClosed()) return
    await shakeHands(arrival, context, read, { live, destination })
  } finally {
    live.done()
  }
}

interface Way {
  readonly live: LiveExchange
  readonly destination: Destination
}

/** Until the origin's 101 a change of policy closes the client; from then on, both sides. */
async function shakeHands(arrival: UpgradeArrival, context: IngressContext, { exchange, target }: ReadExchange, { live, destination }: Way): Promise<void> {
  const { request, head, connection } = arrival
  const { originTrust, fieldChanges } = live.admitted.decision.obligations
  const result = await upgrade({
    request,
    client: connection.socket,
    head,
    path: formatTarget(target),
    authority: formatAuthority(target.authority, defaultPortOf(target.scheme)),
    connect: (options) => context.reach.connect(destination, options),
    tls: target.scheme === 'https' ? { trust: originTrust } : undefined,
    fieldChanges,
    credentials: context.credentials,
    pseudonym: context.pseudonym,
    originTimeoutMs: context.limits.originTimeoutMs,
    maxResponseHeaderBytes: context.limits.headerBytes * 4,
    idleTimeoutMs: context.limits.tunnelIdleMs,
    idleDeadlines: context.idleDeadlines,
    upload: connection.upload,
    buffers: context.buffers,
  })
  if (result.kind === 'tunnel') {
    await relayed(context, live, result)
  } else if (live.closedBy === undefined) {
    end(connection, context, exchange, result)
  } else {
    context.gate.ended(exchange, { outcome: 'expired', code: live.closedBy, bytesFromClient: 0, bytesFromOrigin: 0 })
  }
}

/** Where to dial, or undefined when the refusal or failure has been sent. */
async function reach({ connection }: UpgradeArrival, context: IngressContext, admitted: Admitted): Promise<Destination | undefined> {
  const { exchange } = admitted
  try {
    const destination = await context.reach.destination(admitted)
    if (!isRefusal(destination)) return destination
    refuseAndEnd(connection, context.gate, exchange, destination)
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error
    failAndEnd(connection, context.gate, exchange, error)
  }
  return undefined
}

async function relayed(context: IngressContext, live: LiveExchange, { handle, peerAddress }: TunnelResult): Promise<void> {
  live.onClose(() => handle.abort())
  const { end: how, bytesFromClient, bytesFromOrigin } = await handle.done
  const { closedBy } = live
  const outcome = closedBy === undefined && how !== 'idle' ? 'completed' : 'expired'
  context.gate.ended(live.admitted.exchange, { outcome, code: closedBy, status: 101, bytesFromClient, bytesFromOrigin, peerAddress })
}

function end(connection: ClientConnection, context: IngressContext, exchange: Exchange, result: Exclude<UpgradeResult, TunnelResult>): void {
  if (result.kind === 'failed') {
    failAndEnd(connection, context.gate, exchange, result.error)
  } else if (result.kind === 'answered') {
    const { status, error, bytesFromOrigin, peerAddress } = result
    context.gate.ended(exchange, { outcome: error === undefined ? 'completed' : 'failed', code: error?.code, status, bytesFromClient: 0, bytesFromOrigin, peerAddress })
  } else {
    context.gate.ended(exchange, { outcome: 'failed', bytesFromClient: 0, bytesFromOrigin: 0 })
  }
}
