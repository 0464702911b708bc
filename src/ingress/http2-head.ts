// The field list of an HTTP/2 request, made into what a request of HTTP/1 is read from: method, target and
// flat fields. What nghttp2 lets through although RFC 9113 calls it malformed is refused here. Pure; nothing
// is guessed, and nothing of a malformed list is passed on.
import { ProxyError } from '../errors.ts'
import { parseAuthority } from '../target/authority.ts'
import { isToken } from '../target/field-syntax.ts'
import { quoted } from '../target/quoted.ts'
import { fieldOf } from './request-head.ts'

export interface Http2Head {
  readonly kind: 'head'
  readonly method: string
  /** :path, as it was sent */
  readonly url: string
  /** flat name, value, name, value: Host made of :authority first, no pseudo-header fields, one Cookie at most */
  readonly rawHeaders: readonly string[]
}

/** What can be said of a request that is none. */
export interface MalformedHead {
  readonly kind: 'malformed'
  readonly method: string | undefined
  readonly url: string
  readonly userAgent: string | undefined
  readonly error: ProxyError
}

interface PseudoFields {
  method?: string
  scheme?: string
  authority?: string
  path?: string
}

const httpsPort = 443
// RFC 9113 section 8.2.1: a token without upper case
const fieldName = /^[!#$%&'*+.^_`|~0-9a-z-]+$/
const badValue = /[\0\r\n]|^[\t ]|[\t ]$/

/** Reads the flat list of a header block (RFC 9113 section 8.3.1). Never throws: codes of what is malformed
 * are `field_syntax`, `target_syntax` and `method_not_supported`. */
export function readHttp2Head(raw: readonly string[]): Http2Head | MalformedHead {
  const pseudo: PseudoFields = {}
  try {
    const fields = readFields(raw, pseudo)
    const { method, path } = checkPseudoFields(pseudo)
    return { kind: 'head', method, url: path, rawHeaders: withHost(fields, pseudo.authority) }
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error
    return { kind: 'malformed', method: pseudo.method, url: pseudo.path ?? '', userAgent: fieldOf(raw, 'user-agent'), error }
  }
}

/** The fields that are none of the pseudo ones, which go to `pseudo`. */
function readFields(raw: readonly string[], pseudo: PseudoFields): string[] {
  const fields: string[] = []
  let cookieAt = -1
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at] ?? ''
    const value = raw[at + 1] ?? ''
    if (badValue.test(value)) throw new ProxyError('field_syntax', `the value of ${quoted(name)} holds what it may not`)
    if (name.startsWith(':')) {
      if (fields.length > 0) throw new ProxyError('field_syntax', `${quoted(name)} stands behind other fields`)
      takePseudoField(name, value, pseudo)
    } else if (!fieldName.test(name)) {
      throw new ProxyError('field_syntax', `${quoted(name)} is no field name of HTTP/2`)
    } else if (name === 'cookie' && cookieAt !== -1) {
      // crumbs are one field to whoever does not speak HTTP/2 (RFC 9113 section 8.2.3)
      fields[cookieAt] = `${fields[cookieAt]}; ${value}`
    } else {
      fields.push(name, value)
      if (name === 'cookie') cookieAt = fields.length - 1
    }
  }
  return fields
}

function takePseudoField(name: string, value: string, pseudo: PseudoFields): void {
  switch (name) {
    case ':method':
    case ':scheme':
    case ':authority':
    case ':path': {
      const key = name === ':method' ? 'method' : name === ':scheme' ? 'scheme' : name === ':authority' ? 'authority' : 'path'
      if (pseudo[key] !== undefined) throw new ProxyError('field_syntax', `${name} is there twice`)
      pseudo[key] = value
      break
    }
    default:
      // :protocol is extended CONNECT, which is not offered (RFC 8441)
      throw new ProxyError('field_syntax', `${quoted(name)} is no pseudo-header field of a request`)
  }
}

function checkPseudoFields({ method, scheme, path }: PseudoFields): { method: string; path: string } {
  if (method === undefined || !isToken(method)) throw new ProxyError('field_syntax', ':method is missing or no token')
  if (method === 'CONNECT') throw new ProxyError('method_not_supported', 'CONNECT inside a tunnel')
  if (scheme !== 'https') throw new ProxyError('field_syntax', ':scheme is not https')
  const isWhole = path !== undefined && (path.startsWith('/') || (path === '*' && method === 'OPTIONS'))
  if (!isWhole) throw new ProxyError('target_syntax', ':path does not begin with a slash')
  return { method, path }
}

/** With Host made of :authority. A Host that names the same goes; one that names another stays beside it,
 * and then the request is misdirected. */
function withHost(fields: string[], authority: string | undefined): string[] {
  if (authority === undefined) return fields
  const whole = ['Host', authority]
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = fields[at] ?? ''
    const value = fields[at + 1] ?? ''
    if (name !== 'host' || !isSame(value, authority)) whole.push(name, value)
  }
  return whole
}

function isSame(host: string, authority: string): boolean {
  if (host === authority) return true
  try {
    const [one, other] = [parseAuthority(host, httpsPort), parseAuthority(authority, httpsPort)]
    return one.port === other.port && one.host.text === other.host.text
  } catch (error) {
    if (error instanceof ProxyError) return false
    throw error
  }
}
