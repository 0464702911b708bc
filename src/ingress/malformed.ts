// What can be said of bytes that are no request: enough for the event of their refusal.
import type { Client, Malformed } from '../gate/exchange.ts'
import type { IngressContext } from './context.ts'

const shownBytes = 300

/** `rawPacket` is what the parser choked on; its first line, if it has one, is the best name it has. */
export function malformedOf(context: IngressContext, client: Client, rawPacket: Uint8Array | undefined): Malformed {
  const text = rawPacket === undefined ? '' : Buffer.from(rawPacket.buffer, rawPacket.byteOffset, Math.min(rawPacket.byteLength, shownBytes)).toString('latin1')
  const [firstLine = ''] = text.split('\r\n', 1)
  const [method, target] = firstLine.split(' ', 2)
  return {
    id: context.ids.next(),
    client,
    protocol: method === 'CONNECT' ? 'https_connect' : 'http',
    rawTarget: target ?? '',
    method: target === undefined ? undefined : method,
    userAgent: undefined,
    startedMs: context.clock.monotonic(),
  }
}
