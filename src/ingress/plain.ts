// The door for requests that are not CONNECT: absolute-form on the listener, origin-form inside a tunnel
// to port 80. Parse, decide, reach, forward; each request on a connection is an exchange of its own.
import { errorEntry, ProxyError } from '../errors.ts'
import type { ClientRequest, ClientResponse } from '../egress/client-leg.ts'
import { maxForwards } from '../egress/field-rules.ts'
import type { ForwardResult } from '../egress/forward.ts'
import { planOf } from '../egress/forward-plan.ts'
import { isRefusal, type Destination } from '../egress/reach.ts'
import { Admitted } from '../gate/admitted.ts'
import type { Exchange, Malformed } from '../gate/exchange.ts'
import type { LiveEnd, LiveExchange } from '../gate/live-exchanges.ts'
import type { Refusal } from '../gate/refusal.ts'
import { serveCached } from './cached.ts'
import type { ClientConnection } from './client-connections.ts'
import type { IngressContext } from './context.ts'
import { RequestPresence } from './presence.ts'
import { refuseSearch } from './provider-search.ts'
import { recorded } from './recording.ts'
import { readRequest, type ReadExchange } from './read-request.ts'
import { outcomeOf, refuseResponse } from './refuse.ts'
import { throughCache, type Leg } from './shared-cache.ts'
import type { StalledBodies } from './stalled-bodies.ts'

/** what Expect says: nothing, 100-continue, or something unknown */
export type Continue = 'none' | 'expected' | 'unknown'

export interface PlainArrival {
  readonly request: ClientRequest
  readonly response: ClientResponse
  readonly connection: ClientConnection
  readonly expectation: Continue
  /** too many requests of its connection were unanswered when it came */
  readonly isFlood: boolean
  readonly bodies: StalledBodies
}


export async function servePlain(arrival: PlainArrival, context: IngressContext): Promise<void> {
  const { request, response, connection, expectation } = arrival
  if (connection.lookup !== undefined) await connection.lookup
  if (connection.isClosing) return
  const read = readRequest(request, connection, context, { upgrade: undefined, isExpectationKnown: expectation !== 'unknown', isFlood: arrival.isFlood })
  if (read.kind === 'malformed') {
    connection.isClosing = true
    const refusal = await context.gate.refuseMalformed(read.malformed, read.error.code, read.error.detail)
    refuse(arrival, context, read.malformed, refusal, true)
    return
  }
  const { exchange } = read
  if (read.head.hasBody) arrival.bodies.watch(request)
  const presence = new RequestPresence(request, response, expectation === 'expected', arrival.bodies)
  const admitted = await context.gate.admit(exchange, presence)
  if (!(admitted instanceof Admitted)) {
    refuse(arrival, context, exchange, admitted, false)
    return
  }
  try {
    if (maxForwards(request.method ?? '', request.rawHeaders) === 0) {
      answerOptions(response)
      context.gate.ended(exchange, { outcome: 'completed', status: 204, bytesFromClient: 0, bytesFromOrigin: 0 })
      return
    }
    const served = admitted.decision.obligations.inspect === 'cache' ? serveCached(arrival, context, read, { admitted, presence }) : admitted
    // a page that was at hand is answered by now
    const passed = served instanceof Promise ? await served : served
    if (passed !== undefined) await forward(arrival, context, read, { admitted: passed, presence })
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error
    fail(arrival, context, exchange, error)
  }
}

/** What was decided, and the client that waits for it. */
interface Passed {
  readonly admitted: Admitted
  readonly presence: RequestPresence
}

async function forward(arrival: PlainArrival, context: IngressContext, read: ReadExchange, { admitted, presence }: Passed): Promise<void> {
  const { request, response, connection } = arrival
  const { exchange } = read
  const live = context.gate.live.open(admitted, () => request.socket.destroy())
  try {
    // pipelined answers go out in order; the ones behind would only be held in memory meanwhile
    if (connection.owed > 1) await connection.turnOf(response)
    // closed, or left, while it waited: nothing is resolved for it
    if (live.closedBy !== undefined || response.destroyed) {
      end(arrival, context, exchange, nothingForwarded, live.closedBy)
      return
    }
    const search = admitted.decision.obligations.providerSearch
    const searched = search === undefined ? undefined : await refuseSearch({ arrival, context, admitted, presence, search })
    if (searched === 'left' || (search !== undefined && live.closedBy !== undefined)) {
      end(arrival, context, exchange, nothingForwarded, live.closedBy)
      return
    }
    if (searched !== undefined) {
      refuse(arrival, context, exchange, searched, false)
      return
    }
    const send = (leg: Leg): Promise<ForwardResult | Refusal> => reachAndForward(leg, context, read, { admitted, presence, live })
    const { liveCache: cache, pseudonym } = context
    const recording = recorded(context, read, admitted, send)
    const { result, response: answer } = cache === undefined || recording !== undefined ? { result: await (recording ?? send)({ request, response }), response }
      : await throughCache({ cache, request, response, admitted, target: read.target, hasContent: read.head.hasBody, pseudonym, send })
    const answered = answer === response ? arrival : { ...arrival, response: answer }
    if ('kind' in result) {
      refuse(answered, context, exchange, result, false)
    } else if (result.error?.code === 'content_not_allowed' && !result.headSent && live.closedBy === undefined) {
      await refuseContent(answered, context, admitted, result)
    } else {
      end(answered, context, exchange, result, live.closedBy)
    }
  } finally {
    live.done()
  }
}

async function reachAndForward(leg: Leg, context: IngressContext, read: ReadExchange, { live, ...passed }: Passed & { readonly live: LiveExchange }): Promise<ForwardResult | Refusal> {
  const destination = await context.reach.destination(passed.admitted)
  if (isRefusal(destination)) return destination
  live.reached(context.reach.judgedAddresses(destination))
  if (live.closedBy !== undefined || leg.response.destroyed) return nothingForwarded
  return forwardTo(leg, context, read, { ...passed, destination })
}

const nothingForwarded: ForwardResult = {
  outcome: 'client_closed', status: undefined, headSent: false, error: undefined, bytesFromClient: 0, bytesFromOrigin: 0, peerAddress: undefined,
}

function forwardTo({ request, response, onFraming }: Leg, context: IngressContext, { target }: ReadExchange, { admitted, presence, destination }: Passed & { readonly destination: Destination }): Promise<ForwardResult> {
  presence.continue()
  return context.forwarder.forward(request, response, { ...planOf(admitted, target, destination, context.reach), onFraming })
}

function end(arrival: PlainArrival, context: IngressContext, exchange: Exchange, result: ForwardResult, closedBy: LiveEnd | undefined): void {
  const { error, bytesFromClient, bytesFromOrigin, peerAddress, status } = result
  const sizes = { bytesFromClient, bytesFromOrigin, peerAddress }
  if (closedBy !== undefined) {
    context.gate.ended(exchange, { outcome: 'expired', code: closedBy, status, ...sizes })
  } else if (result.outcome === 'completed') {
    context.gate.ended(exchange, { outcome: 'completed', status, ...sizes })
  } else if (error !== undefined && !result.headSent) {
    const refusal = context.gate.failure(exchange, error)
    answerRefusal(arrival, refusal, false)
    context.gate.ended(exchange, { outcome: 'failed', code: error.code, status: errorEntry(refusal.code).status, ...sizes })
  } else {
    context.gate.ended(exchange, { outcome: 'failed', code: error?.code, status, ...sizes })
  }
}

/** Only its end told how large the content is: a refusal of policy, later than the others. */
async function refuseContent(arrival: PlainArrival, context: IngressContext, admitted: Admitted, { error, bytesFromClient, bytesFromOrigin, peerAddress }: ForwardResult): Promise<void> {
  const refusal = await context.gate.refuseLater(admitted, 'policy', 'content_not_allowed', `${errorEntry('content_not_allowed').text}: ${error?.detail ?? ''}`, undefined)
  answerRefusal(arrival, refusal, false)
  context.gate.ended(admitted.exchange, { outcome: 'refused', code: refusal.code, status: errorEntry(refusal.code).status, bytesFromClient, bytesFromOrigin, peerAddress })
}

export function refuse(arrival: PlainArrival, context: IngressContext, about: Exchange | Malformed, refusal: Refusal, close: boolean): void {
  answerRefusal(arrival, refusal, close)
  const { status } = errorEntry(refusal.code)
  context.gate.ended(about, { outcome: outcomeOf(refusal), code: refusal.code, status, bytesFromClient: 0, bytesFromOrigin: 0 })
}

function fail(arrival: PlainArrival, context: IngressContext, exchange: Exchange, error: ProxyError): void {
  const refusal = context.gate.failure(exchange, error)
  answerRefusal(arrival, refusal, false)
  context.gate.ended(exchange, { outcome: 'failed', code: error.code, status: errorEntry(refusal.code).status, bytesFromClient: 0, bytesFromOrigin: 0 })
}

/** A body that is still under way closes the connection, and so does a request that was none. */
function answerRefusal({ request, response, connection }: PlainArrival, refusal: Refusal, close: boolean): void {
  if (close || !request.complete) connection.isClosing = true
  refuseResponse(request, response, refusal, close)
}

/** Max-Forwards: 0 makes this proxy the one that answers (RFC 9110 section 7.6.2). */
function answerOptions(response: ClientResponse): void {
  response.writeHead(204, 'No Content', ['Allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS'])
  response.end()
}
