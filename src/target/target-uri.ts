// The request-target of RFC 9112 section 3.2, read from its raw bytes. It never goes through a URL parser,
// which decodes, strips and repairs: path and query leave exactly as they came.
import { ProxyError } from '../errors.ts'
import { defaultPortOf, parseAuthority } from './authority.ts'
import type { Authority } from './authority.ts'
import { quoted } from './quoted.ts'

/** What a request asks for; `path` starts with `/`; path and query are the bytes received, as latin1. */
export interface TargetUri {
  readonly scheme: 'http' | 'https'
  readonly authority: Authority
  readonly path: string
  readonly query: string | undefined
}

const slash = 0x2f
const questionMark = 0x3f
const numberSign = 0x23
const backslash = 0x5c

/**
 * Reads `http://host[:port][/path][?query]`, RFC 9112 3.2.2. Throws ProxyError `scheme_unsupported` for any
 * other scheme, `target_syntax` for userinfo, a fragment, a backslash, a space, a control or a byte above
 * 0x7e anywhere, and what parseAuthority throws.
 */
export function parseAbsoluteForm(target: string): TargetUri {
  checkCharacters(target)
  return afterScheme(target, endOfScheme(target), 'http')
}

/**
 * Reads a URL of a list, a page or an archive: `http://` or `https://`, otherwise as parseAbsoluteForm. A fragment is
 * dropped, since no request carries it (RFC 9110 4.2.5), whatever it is made of. Throws as parseAbsoluteForm does.
 */
export function parseUrl(url: string): TargetUri {
  const mark = url.indexOf('#')
  const target = mark === -1 ? url : url.slice(0, mark)
  checkCharacters(target)
  if (target.slice(0, 6).toLowerCase() === 'https:') {
    if (!target.startsWith('//', 6)) throw fault('no authority', target)
    return afterScheme(target, 8, 'https')
  }
  return afterScheme(target, endOfScheme(target), 'http')
}

/**
 * Reads `/path[?query]`, RFC 9112 3.2.1, on a connection whose authority is known. Throws ProxyError
 * `target_syntax` as parseAbsoluteForm does.
 */
export function parseOriginForm(target: string, scheme: 'http' | 'https', authority: Authority): TargetUri {
  checkCharacters(target)
  if (target.charCodeAt(0) !== slash) throw fault('path that does not start with a slash', target)
  return split(target, 0, scheme, authority)
}

/** The authority from `start` on, then path and query. */
function afterScheme(target: string, start: number, scheme: 'http' | 'https'): TargetUri {
  let end = start
  while (end < target.length) {
    const code = target.charCodeAt(end)
    if (code === slash || code === questionMark) break
    if (code === 0x40) throw fault('userinfo in the target', target)
    end++
  }
  return split(target, end, scheme, parseAuthority(target.slice(start, end), defaultPortOf(scheme)))
}

/** The origin-form that goes to the origin: path and query exactly as received. */
export function formatTarget(uri: TargetUri): string {
  return uri.query === undefined ? uri.path : `${uri.path}?${uri.query}`
}

function split(target: string, start: number, scheme: 'http' | 'https', authority: Authority): TargetUri {
  const mark = target.indexOf('?', start)
  const path = target.slice(start, mark === -1 ? target.length : mark)
  const query = mark === -1 ? undefined : target.slice(mark + 1)
  return { scheme, authority, path: path === '' ? '/' : path, query }
}

function checkCharacters(target: string): void {
  for (let i = 0; i < target.length; i++) {
    const code = target.charCodeAt(i)
    if (code > 0x20 && code < 0x7f && code !== backslash && code !== numberSign) continue
    if (code === numberSign) throw fault('fragment in the target', target)
    throw fault('character that no target has', target)
  }
}

/** The index after `http://`; any other scheme is refused by name, and what has none is no target. */
function endOfScheme(target: string): number {
  if (target.startsWith('http://')) return 7
  const colon = target.indexOf(':')
  const scheme = colon === -1 ? '' : target.slice(0, colon)
  if (!isScheme(scheme) || target.charCodeAt(colon + 1) !== slash) throw fault('not an absolute URL', target)
  if (scheme.toLowerCase() !== 'http') throw new ProxyError('scheme_unsupported', `scheme ${quoted(scheme)}`)
  if (target.charCodeAt(colon + 2) !== slash) throw fault('no authority', target)
  return colon + 3
}

/** RFC 3986 3.1: a letter, then letters, digits, `+`, `-` and `.`. */
function isScheme(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    const letter = (code | 0x20) >= 0x61 && (code | 0x20) <= 0x7a
    const later = (code >= 0x30 && code <= 0x39) || code === 0x2b || code === 0x2d || code === 0x2e
    if (!letter && !(later && i > 0)) return false
  }
  return text !== ''
}

function fault(what: string, target: string): ProxyError {
  return new ProxyError('target_syntax', `${what}: ${quoted(target)}`)
}
