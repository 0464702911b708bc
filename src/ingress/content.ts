// Content of our own on its way to a client: at once, or piece by piece as the client reads it. INVARIANT: what breaks off
// is cut, so that nobody takes it for whole, and no client leaves an answer unread for ever.
import type { Deadlines } from '../deadlines.ts'
import type { ClientResponse } from '../egress/client-leg.ts'

export type Content = AsyncIterable<Uint8Array> | Uint8Array

export interface Outlet {
  /** its head is written */
  readonly response: ClientResponse
  readonly deadlines: Deadlines
  /** `ms` that a client may leave what was written unread; default 300,000, as in what is forwarded */
  readonly clientStallMs?: number | undefined
}

const defaultStallMs = 300_000
/** more is never in the hands of the connection because of what is in memory */
const pieceBytes = 524_288

/** It needs nobody to wait for the client. */
export function isOnePiece(content: Content): content is Uint8Array {
  return content instanceof Uint8Array && content.length <= pieceBytes
}

/** Ends the answer, with its last or only piece. */
export function endWith(outlet: Outlet, piece?: Uint8Array): void {
  const { response } = outlet
  if (piece === undefined || piece.length === 0) response.end()
  else response.end(piece)
  watchEnd(outlet)
}

/** All of it is written: a client that leaves it unread is cut off. */
export function watchEnd(outlet: Outlet): void {
  const { response, deadlines } = outlet
  // nearly always the kernel has it by now
  if (response.closed || response.destroyed) return
  const stall = stallOf(outlet)
  response.on('close', () => deadlines.cancel(stall))
}

/** Sends all of it and ends the answer; resolves with the bytes that the connection took. Cuts the answer and rejects
 * with what reading the content throws. */
export async function pour(outlet: Outlet, content: Content): Promise<number> {
  const { response } = outlet
  if (isOnePiece(content)) {
    endWith(outlet, content)
    return content.length
  }
  let bytes = 0
  try {
    for await (const piece of content instanceof Uint8Array ? piecesOf(content) : content) {
      if (response.destroyed) return bytes
      bytes += piece.length
      if (!response.write(piece)) await drained(outlet)
    }
  } catch (error) {
    response.destroy()
    throw error
  }
  if (!response.destroyed) endWith(outlet)
  return bytes
}

function* piecesOf(content: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < content.length; at += pieceBytes) yield content.subarray(at, at + pieceBytes)
}

/** Resolves when the client has read, has left, or was cut off because it did neither. */
function drained(outlet: Outlet): Promise<void> {
  const { response, deadlines } = outlet
  const { promise, resolve } = Promise.withResolvers<void>()
  if (response.destroyed) {
    resolve()
    return promise
  }
  const stall = stallOf(outlet)
  const done = (): void => {
    deadlines.cancel(stall)
    response.off('drain', done)
    response.off('close', done)
    resolve()
  }
  response.on('drain', done)
  response.on('close', done)
  return promise
}

function stallOf({ response, deadlines, clientStallMs = defaultStallMs }: Outlet) {
  return deadlines.in(clientStallMs, () => response.destroy())
}
