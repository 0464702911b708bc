// What can be said of bytes that are no request: why, and enough for the event of their refusal. It must never take
// a field, a body or a part of either for a request line.
import { METHODS } from 'node:http'
import type { ErrorCode } from '../errors.ts'
import type { Client, Malformed } from '../gate/exchange.ts'
import type { IngressContext } from './context.ts'

const maxLineBytes = 16_384
const requestLine = /^([A-Za-z-]{1,20}) (\S+)(?: |$)/
const version = / HTTP\/\d(?:\.\d)?$/
const methods: ReadonlySet<string> = new Set(METHODS)

/** `rawPacket` is what the parser choked on; only a whole first line that is a request's names anything. */
export function malformedOf(context: Pick<IngressContext, 'ids' | 'clock'>, client: Client, rawPacket: Uint8Array | undefined): Malformed {
  const { method, target } = readLine(rawPacket)
  return {
    id: context.ids.next(),
    client,
    protocol: method === 'CONNECT' ? 'https_connect' : 'http',
    rawTarget: target,
    method,
    userAgent: undefined,
    startedMs: context.clock.monotonic(),
  }
}

function readLine(rawPacket: Uint8Array | undefined): { readonly method: string | undefined; readonly target: string } {
  const nothing = { method: undefined, target: '' }
  if (rawPacket === undefined) return nothing
  const text = Buffer.from(rawPacket.buffer, rawPacket.byteOffset, Math.min(rawPacket.byteLength, maxLineBytes)).toString('latin1')
  const lineFeed = text.indexOf('\n')
  // a target that ends with the segment may lack the `@` that makes its beginning a password
  if (lineFeed === -1) return nothing
  const line = text.slice(0, text[lineFeed - 1] === '\r' ? lineFeed - 1 : lineFeed)
  const method = requestLine.exec(line)?.[1]
  if (method === undefined) return nothing
  const end = version.exec(line)?.index
  // two words of a body or of a field's value look like a request line without its version
  if (end === undefined && !methods.has(method)) return nothing
  // with the spaces that no target has: what is before one is not known to be all of the authority
  return { method, target: line.slice(method.length + 1, end) }
}

/** llhttp's and node's error codes in the words of our table; undefined: the client just went away. */
export function parserCode(code: string | undefined): ErrorCode | undefined {
  switch (code) {
    case undefined:
    case 'ECONNRESET':
    case 'EPIPE':
      return undefined
    case 'HPE_HEADER_OVERFLOW':
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return 'fields_too_large'
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return 'request_timeout'
    case 'HPE_INVALID_VERSION':
      return 'version_unsupported'
    case 'HPE_INVALID_METHOD':
      return 'method_not_supported'
    case 'HPE_INVALID_URL':
      return 'target_syntax'
    case 'HPE_INVALID_HEADER_TOKEN':
      return 'field_syntax'
    default:
      return 'framing'
  }
}
