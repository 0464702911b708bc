// Looking inside TLS: the CONNECT was admitted with the obligation to see each request, so TLS ends here
// with a leaf for the CONNECT host, and what is inside comes back through the front as requests of a
// connection of their own. Nothing is resolved or dialled for the CONNECT itself. Must never relay a byte
// of what is not TLS, nor end TLS under another name than the CONNECT host's.
import type { Socket } from 'node:net'
import { createSecureContext, TLSSocket, type SecureContext } from 'node:tls'
import { LRUCache } from 'lru-cache'
import type { Leaf, LeafSource } from '../ca/authority.ts'
import { UnsignableHost } from '../ca/leaf.ts'
import type { Deadline } from '../deadlines.ts'
import { errorEntry, ProxyError } from '../errors.ts'
import type { Admitted } from '../gate/admitted.ts'
import type { LiveExchange } from '../gate/live-exchanges.ts'
import type { ClientConnection } from './client-connections.ts'
import { closeTunnel, established, type ConnectArrival } from './connect.ts'
import type { IngressContext } from './context.ts'
import { TunnelOpening } from './opening.ts'
import { refuseAndEnd } from './refuse.ts'

/** some clients judge a certificate when the handshake is through, and then leave without a word */
const turnsAwayMs = 1_000
/** what a client may speak inside */
const protocols = ['h2', 'http/1.1']

/** Some 30 KiB each, outside the heap, where an agent may go through as many names as it likes. */
const maxContexts = 1_000

/** Secure contexts by their leaf, those that were used last. */
export class LeafContexts {
  readonly #leaves: LeafSource
  readonly #contexts = new LRUCache<Leaf, SecureContext>({ max: maxContexts })

  constructor(leaves: LeafSource) {
    this.#leaves = leaves
  }

  /** Rejects with ProxyError `ca_unavailable`. */
  async leafFor({ exchange }: Admitted): Promise<Leaf> {
    await this.#leaves.ready()
    return this.#leaves.leafFor(exchange.facts.host)
  }

  contextOf(leaf: Leaf): SecureContext {
    let context = this.#contexts.get(leaf)
    if (context === undefined) {
      // no client shows us a certificate: there is nothing to judge by the usual roots, nor any of ours to look for among them
      context = createSecureContext({ cert: leaf.chainPem, key: leaf.keyPem, ca: [], minVersion: 'TLSv1.2' })
      this.#contexts.set(leaf, context)
    }
    return context
  }
}

/** Answers the CONNECT, ends TLS, and hands what is inside to `arrival.enterTls`. */
export async function intercept(arrival: ConnectArrival, context: IngressContext, admitted: Admitted): Promise<void> {
  const { connection } = arrival
  const { exchange } = admitted
  let leaf: Leaf
  try {
    leaf = await context.leafContexts.leafFor(admitted)
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error
    const { text } = errorEntry(error.code)
    const isUnsignable = error instanceof UnsignableHost
    // the detail of any other names files: it is the operator's
    if (!isUnsignable) context.onFault(error)
    const reason = isUnsignable ? `${text}: ${error.detail}` : text
    refuseAndEnd(connection, context.gate, exchange, await context.gate.refuseLater(admitted, 'tls', error.code, reason, undefined))
    return
  }
  const live = context.gate.live.open(admitted, () => connection.socket.destroy())
  const opening = openingOf(arrival, context, admitted)
  connection.socket.write(established)
  const secureContext = contextOf(leaf, context, { live, opening })
  const finding = await opening.judged(context.limits.helloTimeoutMs)
  const isOver = (): boolean => opening.isLeft || live.closedBy !== undefined
  // a process that stops waits for connections alone: what is over ends with its connection
  if (finding.ok && !isOver()) await context.turnstiles.handshakes.passed(connection.socket)
  // TLS that names no server is TLS for the CONNECT host: there is no other name it could be for
  const refusal = finding.ok || isOver() ? undefined : await context.gate.refuseLater(admitted, 'tls', finding.code, finding.reason, undefined)
  const firstBytes = opening.release()
  if (isOver() || refusal !== undefined) {
    closeTunnel(connection, context, live, firstBytes, refusal)
    live.done()
    return
  }
  // a flowing socket would hand the hello to nobody
  connection.socket.pause()
  connection.upload.lend(connection.socket, Buffer.from(firstBytes))
  shakeHands(arrival, context, { live, secureContext })
}

/** A new one takes as long as a client takes to say hello: it is made meanwhile. What it throws ends the exchange. */
function contextOf(leaf: Leaf, { leafContexts }: IngressContext, { live, opening }: { readonly live: LiveExchange; readonly opening: TunnelOpening }): SecureContext {
  try {
    return leafContexts.contextOf(leaf)
  } catch (error) {
    opening.release()
    live.done()
    throw error
  }
}

function openingOf({ connection, early }: ConnectArrival, { limits, deadlines }: IngressContext, { exchange }: Admitted): TunnelOpening {
  return new TunnelOpening(connection.socket, connection.upload, early, {
    host: exchange.facts.host,
    expectation: 'tls',
    needsServerName: false,
    maxBytes: limits.helloBytes,
    deadlines,
    onLeft: () => connection.socket.destroy(),
  })
}

interface Handshake {
  readonly live: LiveExchange
  readonly secureContext: SecureContext
}

function shakeHands({ connection, enterTls }: ConnectArrival, context: IngressContext, { live, secureContext }: Handshake): void {
  const { socket } = connection
  const { admitted } = live
  const secured = new TLSSocket(socket, { isServer: true, secureContext, ALPNProtocols: protocols, requestCert: false, rejectUnauthorized: false })
  let inner: ClientConnection | undefined
  let securedMs = Number.POSITIVE_INFINITY
  let deadline: Deadline | undefined = context.deadlines.in(context.limits.headersTimeoutMs, () => socket.destroy())
  const stopClock = (): void => {
    if (deadline !== undefined) context.deadlines.cancel(deadline)
    deadline = undefined
  }
  secured.on('error', () => secured.destroy())
  // a handshake that was one too many: only of a tls.Server's sockets does node make an error of it (Node 26.10)
  secured.on('_tlsError', () => secured.destroy())
  secured.once('end', () => {
    // half open is for what is inside: a handshake that the client has ended goes nowhere
    if (securedMs === Number.POSITIVE_INFINITY) secured.destroy()
    else watchLast(secured, socket, context)
  })
  secured.once('close', () => {
    stopClock()
    socket.destroy()
    live.done()
    const isUsed = inner?.hasBegun === true || context.clock.monotonic() - securedMs > turnsAwayMs
    end(context, live, isUsed, socket.bytesRead)
  })
  secured.once('secure', () => {
    stopClock()
    // every handshake costs a signature (CVE-2011-1473): one is enough
    secured.disableRenegotiation()
    // a tls.Server would say so of its sockets; node:http2 waits for it, and only the host of a CONNECT chooses the leaf here
    Reflect.set(secured, 'secureConnecting', false)
    securedMs = context.clock.monotonic()
    if (live.closedBy !== undefined || secured.destroyed) return
    inner = connection.inside(secured, admitted)
    enterTls(inner)
  })
}

/**
 * The client has ended its side, which is how it may look when it is gone: node's TLS forgets that a write of its own
 * has failed, such as that of tickets behind the handshake, and nothing that is written then ever ends (Node 26.10). What
 * is still owed goes on for as long as bytes leave.
 */
function watchLast(secured: TLSSocket, socket: Socket, { idleDeadlines, limits }: Pick<IngressContext, 'idleDeadlines' | 'limits'>): void {
  const watch = (left: number): Deadline => idleDeadlines.in(limits.requestTimeoutMs, () => {
    if (secured.writableLength > 0 && socket.bytesWritten === left) secured.destroy()
    else deadline = watch(socket.bytesWritten)
  })
  let deadline = watch(socket.bytesWritten)
  secured.once('close', () => idleDeadlines.cancel(deadline))
}

function end(context: IngressContext, live: LiveExchange, isUsed: boolean, bytesFromClient: number): void {
  const { closedBy, admitted: { exchange } } = live
  const sizes = { status: 200, bytesFromClient, bytesFromOrigin: 0 }
  if (closedBy !== undefined) context.gate.ended(exchange, { outcome: 'expired', code: closedBy, ...sizes })
  else if (isUsed) context.gate.ended(exchange, { outcome: 'completed', ...sizes })
  else context.gate.ended(exchange, { outcome: 'failed', code: 'client_handshake_failed', ...sizes })
}
