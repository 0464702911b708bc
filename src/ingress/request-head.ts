// What the fields of a request say about itself, read once from the raw list: Host, framing,
// expectations. llhttp in strict mode and nghttp2 have refused most of what is ambiguous; what they let
// through is refused here. Pure; nothing is guessed.
import { ProxyError } from '../errors.ts'
import { hasStreamedContent } from '../egress/request-body.ts'
import { formatAuthority, parseAuthority, type Authority } from '../target/authority.ts'
import { quoted } from '../target/quoted.ts'

export interface RequestHead {
  readonly host: string | undefined
  readonly hasBody: boolean
  /** declared bytes; `unknown` where it is chunked */
  readonly content: number | 'unknown'
  /** what stands in Proxy-Authorization, one for each such field */
  readonly credentials: readonly string[]
  readonly userAgent: string | undefined
  readonly isWebSocket: boolean
}

export interface HeadLimits {
  readonly headerCount: number
  /** names and values together; of HTTP/1 the parser counts them */
  readonly headerBytes: number
  readonly urlBytes: number
}

const noCredentials: readonly string[] = []
// RFC 9113 section 8.2.2
const connectionFields: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'])

interface RawRequest {
  readonly rawHeaders: readonly string[]
  readonly httpVersion: string
  readonly url?: string | undefined
  /** it came on a stream of HTTP/2; whether all of its content has arrived, and how much is there */
  readonly isStream?: boolean
  readonly complete?: boolean
  readonly readableLength?: number
}

/** The last value of a field; `name` in lower case. */
export function fieldOf(rawHeaders: readonly string[], name: string): string | undefined {
  for (let at = rawHeaders.length - 2; at >= 0; at -= 2) if (rawHeaders[at]?.toLowerCase() === name) return rawHeaders[at + 1]
  return undefined
}

/** Reads and checks a request head. Throws ProxyError `fields_too_large`, `uri_too_long`,
 * `version_unsupported`, `host_mismatch`, `misdirected`, `framing`, `field_syntax` (RFC 9112 sections 3.2, 6.1,
 * 6.3; RFC 9113 section 8.2.2). */
export function readHead(request: RawRequest, limits: HeadLimits): RequestHead {
  const { rawHeaders, httpVersion, isStream = false } = request
  if (!isStream && httpVersion !== '1.1' && httpVersion !== '1.0') throw new ProxyError('version_unsupported', `HTTP/${httpVersion}`)
  if (rawHeaders.length > limits.headerCount * 2) throw new ProxyError('fields_too_large', `more than ${limits.headerCount} fields`)
  if (isStream) checkStreamFields(rawHeaders, limits)
  if ((request.url?.length ?? 0) > limits.urlBytes) throw new ProxyError('uri_too_long', `more than ${limits.urlBytes} bytes`)
  let host: string | undefined
  let transferEncoding: string | undefined
  let contentLength: string | undefined
  let userAgent: string | undefined
  let upgrade: string | undefined
  let credentials = noCredentials
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const value = rawHeaders[index + 1] ?? ''
    switch (rawHeaders[index]?.toLowerCase()) {
      case 'host':
        // of HTTP/2 one of them is :authority: the client spoke to an origin and named another one
        if (host !== undefined) throw new ProxyError(isStream ? 'misdirected' : 'host_mismatch', 'Host is there twice')
        host = value
        break
      case 'transfer-encoding':
        if (transferEncoding !== undefined) throw new ProxyError('framing', 'Transfer-Encoding is there twice')
        transferEncoding = value
        break
      case 'content-length':
        if (contentLength !== undefined) throw new ProxyError('framing', 'Content-Length is there twice')
        contentLength = value
        break
      case 'user-agent':
        userAgent = value
        break
      case 'upgrade':
        upgrade = upgrade === undefined ? value : `${upgrade},${value}`
        break
      case 'proxy-authorization':
        credentials = [...credentials, value]
        break
    }
  }
  checkFraming(httpVersion, transferEncoding, contentLength)
  if (host === undefined && httpVersion !== '1.0') throw new ProxyError('host_mismatch', 'Host is missing')
  if (host === '') throw new ProxyError('host_mismatch', 'Host is empty')
  const isStreamed = transferEncoding !== undefined || (contentLength === undefined && hasStreamedContent(request))
  const content = isStreamed ? 'unknown' : Number(contentLength ?? 0)
  return { host, hasBody: content !== 0, content, credentials, userAgent, isWebSocket: upgrade?.toLowerCase() === 'websocket' }
}

/** What frames or serves a connection has no place on a stream, and nobody else has counted the bytes. */
function checkStreamFields(rawHeaders: readonly string[], limits: HeadLimits): void {
  let bytes = 0
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]?.toLowerCase() ?? ''
    const value = rawHeaders[index + 1] ?? ''
    if (connectionFields.has(name)) throw new ProxyError('framing', `${name} on HTTP/2`)
    if (name === 'te' && value.toLowerCase() !== 'trailers') throw new ProxyError('field_syntax', `TE is ${quoted(value)}`)
    bytes += name.length + value.length
  }
  if (bytes > limits.headerBytes) throw new ProxyError('fields_too_large', `more than ${limits.headerBytes} bytes`)
}

/** Transfer-Encoding is exactly `chunked`, once, on 1.1, without Content-Length; or not there at all. */
function checkFraming(httpVersion: string, transferEncoding: string | undefined, contentLength: string | undefined): void {
  if (contentLength !== undefined && !/^\d{1,15}$/.test(contentLength)) throw new ProxyError('framing', 'Content-Length is not a number')
  if (transferEncoding === undefined) return
  if (contentLength !== undefined) throw new ProxyError('framing', 'Content-Length and Transfer-Encoding are both there')
  if (httpVersion !== '1.1') throw new ProxyError('framing', 'Transfer-Encoding on HTTP/1.0')
  if (transferEncoding.toLowerCase() !== 'chunked') throw new ProxyError('framing', 'Transfer-Encoding is not exactly chunked')
}

/** The Host field names the authority of the request and nothing else (RFC 9112 section 3.2.2); a
 * missing port means the scheme's. Throws ProxyError `host_mismatch`. */
export function checkHost(host: string | undefined, authority: Authority, defaultPort: number): void {
  if (host === undefined) return
  // the spelling that nearly every client sends costs no second parse
  if (host === formatAuthority(authority, defaultPort) || host === formatAuthority(authority)) return
  let named: Authority
  try {
    named = parseAuthority(host, defaultPort)
  } catch (error) {
    throw new ProxyError('host_mismatch', `Host is ${quoted(host)}`, { cause: error })
  }
  if (named.port !== authority.port || named.host.text !== authority.host.text) {
    throw new ProxyError('host_mismatch', `Host is ${quoted(host)} and the target is ${quoted(formatAuthority(authority))}`)
  }
}
