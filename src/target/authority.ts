// host:port, as CONNECT, the Host field and absolute-form write it. It never accepts userinfo, a path, or
// a second way to write a port.
import { ProxyError } from '../errors.ts'
import { formatHost, parseHost } from './host.ts'
import type { Host } from './host.ts'
import { quoted } from './quoted.ts'

/** Where a request is aimed; port 1 to 65535. */
export interface Authority {
  readonly host: Host
  readonly port: number
}

const colon = 0x3a

/**
 * Reads `host:port` or, with a default port, `host`. Throws ProxyError `authority_syntax` for a port that is
 * missing, empty, zero, above 65535, signed or with leading zeros, and what parseHost throws (RFC 9112 3.2.3).
 */
export function parseAuthority(text: string, defaultPort?: number): Authority {
  const hostEnd = endOfHost(text)
  const host = parseHost(hostEnd === text.length ? text : text.slice(0, hostEnd))
  if (hostEnd < text.length) return { host, port: portOf(text, hostEnd + 1) }
  if (defaultPort === undefined) throw fault('no port', text)
  return { host, port: defaultPort }
}

/** The authority in its only spelling; the port is left out when it equals `defaultPort`. */
export function formatAuthority(authority: Authority, defaultPort?: number): string {
  const host = formatHost(authority.host)
  return authority.port === defaultPort ? host : `${host}:${authority.port}`
}

/** The port that a URL of this scheme means when it names none (RFC 9110 sections 4.2.1 and 4.2.2). */
export function defaultPortOf(scheme: 'http' | 'https'): number {
  return scheme === 'https' ? 443 : 80
}

/** Where the host ends: the colon after it (after the bracket, if there is one), or the end of the text. */
function endOfHost(text: string): number {
  if (text.charCodeAt(0) !== 0x5b) {
    const first = text.indexOf(':')
    return first === -1 ? text.length : first
  }
  const bracket = text.indexOf(']')
  if (bracket === -1) return text.length
  if (bracket + 1 < text.length && text.charCodeAt(bracket + 1) !== colon) {
    throw fault('something other than a port follows the bracket', text)
  }
  return bracket + 1
}

function portOf(text: string, start: number): number {
  const digits = text.length - start
  if (digits < 1 || digits > 5 || text.charCodeAt(start) === 0x30) throw fault('bad port', text)
  let port = 0
  for (let i = start; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30
    if (digit < 0 || digit > 9) throw fault('bad port', text)
    port = port * 10 + digit
  }
  if (port > 65535) throw fault('bad port', text)
  return port
}

function fault(what: string, text: string): ProxyError {
  return new ProxyError('authority_syntax', `${what}: ${quoted(text)}`)
}
