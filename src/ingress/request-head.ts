// What the fields of a request say about itself, read once from the raw list: Host, framing,
// expectations. llhttp in strict mode has refused most of what is ambiguous; what it lets through is
// refused here. Pure; nothing is guessed.
import { ProxyError } from '../errors.ts'
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
  readonly urlBytes: number
}

const noCredentials: readonly string[] = []

interface RawRequest {
  readonly rawHeaders: readonly string[]
  readonly httpVersion: string
  readonly url?: string | undefined
}

/** The last value of a field; `name` in lower case. */
export function fieldOf(rawHeaders: readonly string[], name: string): string | undefined {
  for (let at = rawHeaders.length - 2; at >= 0; at -= 2) if (rawHeaders[at]?.toLowerCase() === name) return rawHeaders[at + 1]
  return undefined
}

/** Reads and checks a request head. Throws ProxyError `fields_too_large`, `uri_too_long`,
 * `version_unsupported`, `host_mismatch`, `framing` (RFC 9112 sections 3.2, 6.1, 6.3). */
export function readHead(request: RawRequest, limits: HeadLimits): RequestHead {
  const { rawHeaders, httpVersion } = request
  if (httpVersion !== '1.1' && httpVersion !== '1.0') throw new ProxyError('version_unsupported', `HTTP/${httpVersion}`)
  if (rawHeaders.length > limits.headerCount * 2) throw new ProxyError('fields_too_large', `more than ${limits.headerCount} fields`)
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
        if (host !== undefined) throw new ProxyError('host_mismatch', 'Host is there twice')
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
  if (host === undefined && httpVersion === '1.1') throw new ProxyError('host_mismatch', 'Host is missing')
  if (host === '') throw new ProxyError('host_mismatch', 'Host is empty')
  const content = transferEncoding === undefined ? Number(contentLength ?? 0) : 'unknown'
  return { host, hasBody: content !== 0, content, credentials, userAgent, isWebSocket: upgrade?.toLowerCase() === 'websocket' }
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
