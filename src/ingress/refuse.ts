// Puts a refusal on the wire, on a response or on a bare socket. What is said comes from gate/refusal.ts.
import type { Socket } from 'node:net'
import type { Deadlines } from '../deadlines.ts'
import { errorEntry, type ProxyError } from '../errors.ts'
import type { ClientRequest, ClientResponse } from '../egress/client-leg.ts'
import type { ReadPump } from '../egress/read-pump.ts'
import type { Exchange, Malformed } from '../gate/exchange.ts'
import type { Gate } from '../gate/gate.ts'
import { refusalMessage, renderRefusal, type Refusal, type RenderedRefusal } from '../gate/refusal.ts'

/** The client's end of a connection that is answered on its bare socket, whose errors are listened for. */
export interface ClientEnd {
  readonly socket: Socket
  /** undefined where nothing was ever read */
  readonly upload: ReadPump | undefined
  readonly deadlines: Deadlines
}

const lingerMs = 2_000
const lingerBytes = 1024 * 1024

/** Answers a request. A body that has not been read closes the connection (RFC 9112 section 9.3): it is
 * drained for a moment first, so that a client in the middle of an upload gets to read the answer. */
export function refuseResponse(request: ClientRequest, response: ClientResponse, refusal: Refusal, close: boolean): void {
  writeRefusal(request, response, renderRefusal(refusal), close)
}

/** As refuseResponse, with the words of the caller. */
export function writeRefusal(request: ClientRequest, response: ClientResponse, { status, reasonPhrase, fields, body }: RenderedRefusal, close: boolean): void {
  const isUnread = !request.complete
  const head = [...fields]
  if (close || isUnread) head.push('Connection', 'close')
  response.writeHead(status, reasonPhrase, head)
  if (!isUnread) {
    response.end(request.method === 'HEAD' ? undefined : body)
    return
  }
  response.write(body)
  drain(request, () => response.end())
}

/** Ends a connection that is no response's: CONNECT, an upgrade, or bytes that are no request. */
export function refuseSocket(client: ClientEnd, refusal: Refusal): void {
  if (client.socket.destroyed) return
  endSocket(client, refusalMessage(refusal))
}

/** Refuses on a bare socket and journals that end. */
export function refuseAndEnd(client: ClientEnd, gate: Gate, about: Exchange | Malformed, refusal: Refusal): void {
  refuseSocket(client, refusal)
  gate.ended(about, { outcome: outcomeOf(refusal), code: refusal.code, status: errorEntry(refusal.code).status, bytesFromClient: 0, bytesFromOrigin: 0 })
}

/** Told to come back is not refused. */
export function outcomeOf({ code }: Refusal): 'pending' | 'refused' {
  return code === 'approval_pending' ? 'pending' : 'refused'
}

/** The destination failed: says so on a bare socket and journals that end. */
export function failAndEnd(client: ClientEnd, gate: Gate, exchange: Exchange, error: ProxyError): void {
  const refusal = gate.failure(exchange, error)
  refuseSocket(client, refusal)
  gate.ended(exchange, { outcome: 'failed', code: error.code, status: errorEntry(refusal.code).status, bytesFromClient: 0, bytesFromOrigin: 0 })
}

/** Sends last bytes and closes; a client that does not close its side is cut after a moment. */
export function endSocket({ socket, upload, deadlines }: ClientEnd, last: string | Uint8Array): void {
  // by the clock and not by silence: a client that drips bytes would stay for ever
  const deadline = deadlines.in(lingerMs, () => socket.destroy())
  socket.once('close', () => deadlines.cancel(deadline))
  if (upload === undefined) socket.resume()
  else upload.drop(socket)
  // refusals are ASCII
  if (typeof last === 'string') socket.end(last, 'latin1')
  else socket.end(last)
}

function drain(request: ClientRequest, done: () => void): void {
  let left = lingerBytes
  const timer = setTimeout(done, lingerMs)
  const finish = (): void => {
    clearTimeout(timer)
    done()
  }
  request.once('end', finish)
  request.once('close', finish)
  request.on('data', (chunk: Uint8Array) => {
    left -= chunk.length
    if (left < 0) finish()
  })
}
