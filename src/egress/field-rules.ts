// Which header fields cross the proxy: hop-by-hop fields stop here in both directions, Host and Via are
// ours, everything else keeps its case, order and duplicates. Framing is read and never copied: what
// goes out is framed anew by whoever writes it. Pure; must never let a client strip identity or framing.
import { ProxyError } from '../errors.ts'
import { isToken } from '../target/field-syntax.ts'
import { quoted } from '../target/quoted.ts'

// RFC 9110 section 7.6.1, RFC 9112, and what RFC 7235 era software still sends; Expect is answered here
const hopByHop: ReadonlySet<string> = new Set([
  'connection', 'keep-alive', 'proxy-connection', 'proxy-authorization', 'proxy-authenticate',
  'proxy-authentication-info', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'http2-settings',
])
const requestOnly: ReadonlySet<string> = new Set(['host', 'expect', 'content-length'])
/** Fields that no rule sets: they frame, route or are made here. Lower case. */
export const proxyFields: ReadonlySet<string> = new Set([...hopByHop, ...requestOnly, 'via', 'max-forwards', 'sec-websocket-key', 'sec-websocket-version'])

// fields that a Connection option may not take away: framing, routing, identity, payload meaning
const protectedNames: ReadonlySet<string> = new Set([
  'content-length', 'transfer-encoding', 'host', 'authorization', 'cookie', 'via', 'forwarded',
  'max-forwards', 'expect', 'range', 'content-type', 'content-encoding', 'content-range',
  'cache-control', 'date', 'set-cookie', 'origin', 'referer',
])
// RFC 9110 section 6.5.1: fields that would change how the message already passed on is understood
const neverTrailers: ReadonlySet<string> = new Set([
  ...hopByHop, ...protectedNames, 'location', 'www-authenticate', 'age', 'expires', 'vary', 'retry-after',
  'if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since', 'if-range', 'pragma', 'alt-svc',
])
// most fields are told apart by their length alone, before their case is folded
const responseLengths = lengthsOf([...hopByHop, 'content-length', 'alt-svc'])
const requestFieldNames = [...hopByHop, ...requestOnly, 'max-forwards']
const requestLengths = lengthsOf(requestFieldNames)
// a client names a few; thousands are there to cost something
const maxConnectionOptions = 64
const digits = /^[0-9]{1,15}$/

/** How a message's body is delimited, as RFC 9112 section 6.3 reads its fields. */
export interface Framing {
  readonly contentLength: number | undefined
  readonly chunked: boolean
}

export interface FilteredFields extends Framing {
  /** flat name, value, name, value */
  readonly fields: string[]
}

/** What rules do to the fields of one request. */
export interface FieldEdit {
  /** as `foldedName` has them: what the client sent under these names is gone, and what some origins take for them */
  readonly gone: ReadonlySet<string>
  /** flat name, value: set anew */
  readonly added: readonly string[]
  /** 1 at the lengths of all names that must be looked at */
  readonly lengths: Uint8Array
}

export function editOf(gone: ReadonlySet<string>, added: readonly string[]): FieldEdit {
  return { gone: new Set(Array.from(gone, foldedName)), added, lengths: lengthsOf([...requestFieldNames, ...gone]) }
}

/** `X_Name` and `X-Name` are one variable to CGI and what is like it (RFC 3875 section 4.1.18). Lower case in, and out. */
function foldedName(lower: string): string {
  return lower.includes('_') ? lower.replaceAll('_', '-') : lower
}

/** The options of every Connection (and Proxy-Connection) field, lower case; undefined when none name a field. */
function connectionOptions(rawHeaders: readonly string[]): Set<string> | undefined {
  let options: Set<string> | undefined
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? ''
    // only names of these lengths can be Connection or Proxy-Connection
    if (name.length !== 10 && name.length !== 16) continue
    const lower = name.toLowerCase()
    if (lower !== 'connection' && lower !== 'proxy-connection') continue
    const value = (rawHeaders[i + 1] ?? '').toLowerCase()
    if (value === 'keep-alive' || value === 'close') continue
    options ??= new Set()
    for (const part of value.split(',')) {
      const option = part.trim()
      if (option !== '') options.add(option)
    }
  }
  return options
}

/**
 * Refuses a Connection field that would strip framing, routing or identity from the message, or that is
 * not a list of at most 64 tokens (RFC 9110 section 7.6.1). Codes `framing`, `field_syntax`. `added` names further
 * fields, in lower case, that rules set and that a client may not take away.
 */
export function checkConnectionField(rawHeaders: readonly string[], added?: ReadonlySet<string>): ProxyError | undefined {
  const options = connectionOptions(rawHeaders)
  if (options === undefined) return undefined
  if (options.size > maxConnectionOptions) return new ProxyError('field_syntax', `Connection has ${options.size} options`)
  for (const option of options) {
    if (!isToken(option)) return new ProxyError('field_syntax', `the Connection option ${quoted(option)} is not a token`)
    if (option === 'content-length' || option === 'transfer-encoding') {
      return new ProxyError('framing', `Connection names \`${option}\``)
    }
    if (protectedNames.has(option) || added?.has(option) === true) {
      return new ProxyError('field_syntax', `Connection names ${quoted(option)}`)
    }
  }
  return undefined
}

/** Finds our own pseudonym in Via (RFC 9110 section 7.6.3): the request went round. Code `loop_detected`. */
export function checkLoop(rawHeaders: readonly string[], pseudonym: string): ProxyError | undefined {
  const own = pseudonym.toLowerCase()
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? ''
    if (name.length !== 3 || name.toLowerCase() !== 'via') continue
    for (const hop of (rawHeaders[i + 1] ?? '').split(',')) {
      const receivedBy = hop.trim().split(/[ \t]+/, 2)[1]
      if (receivedBy?.toLowerCase() === own) return new ProxyError('loop_detected', 'Via holds this proxy')
    }
  }
  return undefined
}

/**
 * Max-Forwards of an OPTIONS or TRACE request (RFC 9110 section 7.6.2): 0 means that this hop answers.
 * Undefined where it does not apply. Throws `field_syntax` when it is repeated or not a number.
 */
export function maxForwards(method: string, rawHeaders: readonly string[]): number | undefined {
  if (method !== 'OPTIONS' && method !== 'TRACE') return undefined
  let found: number | undefined
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if ((rawHeaders[i] ?? '').toLowerCase() !== 'max-forwards') continue
    const value = rawHeaders[i + 1] ?? ''
    if (found !== undefined || !digits.test(value)) throw new ProxyError('field_syntax', `Max-Forwards is ${quoted(value)}`)
    found = Number(value)
  }
  return found
}

/**
 * The fields that go to the origin: Host is `authority`, Via gets this hop, hop-by-hop fields and what
 * Connection names are gone, framing is returned apart. Throws `framing` when Content-Length is repeated,
 * malformed or stands beside Transfer-Encoding, so that a caller that forgot to check cannot smuggle. What
 * `edit` sets comes last, and nothing that the client sent takes it away.
 */
export function requestFields(method: string, rawHeaders: readonly string[], authority: string, via: string, edit?: FieldEdit): FilteredFields {
  const lengths = edit === undefined ? requestLengths : edit.lengths
  const named = connectionOptions(rawHeaders)
  const forwards = maxForwards(method, rawHeaders)
  const fields: string[] = ['Host', authority]
  let contentLength: number | undefined
  let chunked = false
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? ''
    const value = rawHeaders[i + 1] ?? ''
    if (named === undefined && lengths[name.length] !== 1) {
      fields.push(name, value)
      continue
    }
    const lower = name.toLowerCase()
    if (lower === 'content-length') {
      contentLength = readContentLength(contentLength, value)
    } else if (lower === 'transfer-encoding') {
      if (chunked || value.toLowerCase() !== 'chunked') throw new ProxyError('framing', `Transfer-Encoding is ${quoted(value)}`)
      chunked = true
    } else if (lower === 'max-forwards' && forwards !== undefined) {
      fields.push(name, String(Math.max(0, forwards - 1)))
    } else if (!hopByHop.has(lower) && !requestOnly.has(lower) && named?.has(lower) !== true && edit?.gone.has(foldedName(lower)) !== true) {
      fields.push(name, value)
    }
  }
  if (chunked && contentLength !== undefined) throw new ProxyError('framing', 'Content-Length beside Transfer-Encoding')
  if (edit !== undefined) fields.push(...edit.added)
  fields.push('Via', via)
  return { fields, contentLength, chunked }
}

/**
 * The fields of an origin's answer that go to the client. Throws `origin_protocol_error` when its framing
 * is ambiguous: a repeated or malformed Content-Length, one beside Transfer-Encoding, or any transfer
 * coding but a single `chunked`. Content-Length is among the fields unless the status forbids it. What was
 * looked into (`isIntercepted`) loses Alt-Svc, which would lead the client to where nobody looks.
 */
export function responseFields(status: number, rawHeaders: readonly string[], via: string, isIntercepted = false): FilteredFields {
  const named = connectionOptions(rawHeaders)
  const fields: string[] = []
  let contentLength: number | undefined
  let chunked = false
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? ''
    const value = rawHeaders[i + 1] ?? ''
    if (named === undefined && responseLengths[name.length] !== 1) {
      fields.push(name, value)
      continue
    }
    const lower = name.toLowerCase()
    if (lower === 'content-length') {
      if (contentLength !== undefined) throw new ProxyError('origin_protocol_error', 'Content-Length is repeated')
      if (!digits.test(value)) throw new ProxyError('origin_protocol_error', `Content-Length is ${quoted(value)}`)
      contentLength = Number(value)
      // RFC 9110 section 8.6: never in 204
      if (status !== 204) fields.push(name, value)
    } else if (lower === 'transfer-encoding') {
      if (chunked || value.toLowerCase() !== 'chunked') {
        throw new ProxyError('origin_protocol_error', `Transfer-Encoding is ${quoted(value)}`)
      }
      chunked = true
    } else if (!hopByHop.has(lower) && named?.has(lower) !== true && !(isIntercepted && lower === 'alt-svc')) {
      fields.push(name, value)
    }
  }
  if (chunked && contentLength !== undefined) {
    throw new ProxyError('origin_protocol_error', 'Content-Length beside Transfer-Encoding')
  }
  fields.push('Via', via)
  return { fields, contentLength, chunked }
}

/** The trailer fields that may pass, as pairs: none that frames, routes, authenticates or controls (RFC 9110 section 6.5.1). */
export function passableTrailers(rawTrailers: readonly string[]): [string, string][] {
  const passed: [string, string][] = []
  for (let i = 0; i + 1 < rawTrailers.length; i += 2) {
    const name = rawTrailers[i] ?? ''
    const lower = name.toLowerCase()
    if (neverTrailers.has(lower) || lower.startsWith('content-') || lower.startsWith('proxy-')) continue
    passed.push([name, rawTrailers[i + 1] ?? ''])
  }
  return passed
}

/** HTTP/2 may send Cookie in pieces, which HTTP/1 and whoever reads it must see as one (RFC 9113 section 8.2.3). */
export function withOneCookie(rawHeaders: readonly string[]): readonly string[] {
  let first = -1
  let joined: string[] | undefined
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? ''
    const value = rawHeaders[i + 1] ?? ''
    if (name.length !== 6 || name.toLowerCase() !== 'cookie') {
      joined?.push(name, value)
    } else if (first === -1) {
      first = i + 1
      joined?.push(name, value)
    } else {
      joined ??= rawHeaders.slice(0, i)
      joined[first] = `${joined[first]}; ${value}`
    }
  }
  return joined ?? rawHeaders
}

function readContentLength(before: number | undefined, value: string): number {
  if (before !== undefined) throw new ProxyError('framing', 'Content-Length is repeated')
  if (!digits.test(value)) throw new ProxyError('framing', `Content-Length is ${quoted(value)}`)
  return Number(value)
}

function lengthsOf(names: readonly string[]): Uint8Array {
  const lengths = new Uint8Array(Math.max(64, ...names.map(({ length }) => length + 1)))
  for (const { length } of names) lengths[length] = 1
  return lengths
}

/** undici's raw fields or trailers (bytes) as strings that give the same bytes back in latin1. */
export function rawStrings(raw: unknown): string[] {
  if (!Array.isArray(raw)) throw new ProxyError('internal_error', 'the fields of an answer are not raw')
  const strings: string[] = []
  for (const value of raw) strings.push(value instanceof Buffer ? value.toString('latin1') : String(value))
  return strings
}

/** A reason phrase fit to write: undici decodes it as UTF-8, so one that is not visible ASCII becomes empty. */
export function safeReason(reason: string | undefined): string {
  return reason !== undefined && /^[\t\x20-\x7e]*$/.test(reason) ? reason : ''
}
