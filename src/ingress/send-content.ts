// Writes content as an answer's body, no faster than its client reads. What breaks off is cut, so that nobody takes it
// for whole.
import type { ClientResponse } from '../egress/client-leg.ts'

// as where origins are read: who takes nothing for so long is gone
const defaultStallMs = 300_000

/** Bytes of content that were sent; the answer has ended then, or its client has left, or has taken nothing for `stallMs`.
 * Throws what `content` throws. */
export async function sendContent(response: ClientResponse, content: AsyncIterable<Uint8Array> | Uint8Array, stallMs = defaultStallMs): Promise<number> {
  if (content instanceof Uint8Array) {
    if (content.length > 0) response.end(content)
    else response.end()
    return content.length
  }
  let bytes = 0
  try {
    for await (const chunk of content) {
      if (response.destroyed) return bytes
      bytes += chunk.length
      if (!response.write(chunk)) await drained(response, stallMs)
    }
    response.end()
  } catch (error) {
    response.destroy()
    throw error
  }
  return bytes
}

function drained(response: ClientResponse, stallMs: number): Promise<void> {
  return new Promise((resolve) => {
    const stall = setTimeout(() => response.destroy(), stallMs).unref()
    const done = (): void => {
      clearTimeout(stall)
      response.off('drain', done)
      response.off('close', done)
      resolve()
    }
    response.on('drain', done)
    response.on('close', done)
    if (response.destroyed) done()
  })
}
