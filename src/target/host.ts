// The one reader of host names: what is matched, dialled, logged, shown and sent on is what comes out of
// here. It never decodes, maps or guesses: a host that can be read in two ways is refused.
import { ProxyError } from '../errors.ts'
import { hasCanonicalALabels } from './a-label.ts'
import { parseIp } from './address.ts'
import type { IpAddress } from './address.ts'
import { quoted } from './quoted.ts'

export { unicodeHost } from './a-label.ts'

/** A host in its only spelling: lower case, no trailing dot, addresses canonical and without brackets. */
export type Host =
  | { readonly kind: 'name'; readonly text: string }
  | { readonly kind: 'ip'; readonly text: string; readonly ip: IpAddress }

const maxName = 253
const maxLabel = 63
const dot = 0x2e
const hyphen = 0x2d

const invalid = 0
const plain = 1
const upper = 2
const separator = 3
const classes = Uint8Array.from({ length: 128 }, (_, code) => {
  const c = String.fromCharCode(code)
  if (c === '.') return separator
  if ('abcdefghijklmnopqrstuvwxyz0123456789-_'.includes(c)) return plain
  return 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'.includes(c) ? upper : invalid
})

/**
 * Reads a host: LDH labels and underscores of 1 to 63 characters, 253 in all, one trailing dot dropped; a
 * strict dotted quad; or IPv6 in brackets. Throws ProxyError `host_syntax`, or `host_ambiguous_ip` for
 * what a system resolver takes for an address though it is not written as one (`127.1`, `0x7f.1`).
 */
export function parseHost(text: string): Host {
  if (text.charCodeAt(0) === 0x5b) return parseBracketed(text)
  const rooted = text.charCodeAt(text.length - 1) === dot
  const end = rooted ? text.length - 1 : text.length
  if (end === 0) throw fault('empty host', text)
  if (end > maxName) throw fault('host longer than 253 characters', text)
  let labelStart = 0
  let hasUpper = false
  let hasALabel = false
  for (let i = 0; i < end; i++) {
    const code = text.charCodeAt(i)
    const kind = code < 128 ? classes[code] : invalid
    if (kind === plain) continue
    if (kind === upper) hasUpper = true
    else if (kind === separator) {
      hasALabel = checkLabel(text, labelStart, i) || hasALabel
      labelStart = i + 1
    } else throw fault('character that no host has', text)
  }
  hasALabel = checkLabel(text, labelStart, end) || hasALabel
  if (isNumber(text, labelStart, end)) {
    const ip = parseIp(text)
    if (ip === undefined) throw new ProxyError('host_ambiguous_ip', `not a dotted quad: ${quoted(text)}`)
    return { kind: 'ip', text: ip.text, ip }
  }
  const bare = rooted ? text.slice(0, end) : text
  const name = hasUpper ? bare.toLowerCase() : bare
  if (hasALabel && !hasCanonicalALabels(name)) throw fault('invalid internationalised label', text)
  return { kind: 'name', text: name }
}

/** The host as it stands in an authority: IPv6 in brackets. */
export function formatHost(host: Host): string {
  return host.kind === 'ip' && host.ip.family === 6 ? `[${host.text}]` : host.text
}

/** As `formatHost`, of a text that was a host before: of a record, a setting, a listener. */
export function uriHost(text: string): string {
  return text.includes(':') ? `[${text}]` : text
}

function parseBracketed(text: string): Host {
  const inner = text.endsWith(']') ? text.slice(1, -1) : ''
  const ip = parseIp(inner)
  if (ip === undefined || ip.family !== 6) throw fault('brackets hold no IPv6 address', text)
  return { kind: 'ip', text: ip.text, ip }
}

/** Throws for a label of wrong length or with a hyphen at its edge; says whether it starts with `xn--`. */
function checkLabel(text: string, start: number, end: number): boolean {
  if (end === start) throw fault('empty label', text)
  if (end - start > maxLabel) throw fault('label longer than 63 characters', text)
  if (text.charCodeAt(start) === hyphen || text.charCodeAt(end - 1) === hyphen) {
    // `xn--` alone lands here too: an A-label of nothing
    throw fault('label starts or ends with a hyphen', text)
  }
  return (
    end - start > 4 &&
    (text.charCodeAt(start) | 0x20) === 0x78 &&
    (text.charCodeAt(start + 1) | 0x20) === 0x6e &&
    text.charCodeAt(start + 2) === hyphen &&
    text.charCodeAt(start + 3) === hyphen
  )
}

/** Whether inet_aton or a browser takes the label for a number: all digits, or `0x` and hex digits. */
function isNumber(text: string, start: number, end: number): boolean {
  const first = text.charCodeAt(start)
  if (first < 0x30 || first > 0x39) return false
  const hex = first === 0x30 && (text.charCodeAt(start + 1) | 0x20) === 0x78 && end - start > 1
  for (let i = hex ? start + 2 : start; i < end; i++) {
    const code = text.charCodeAt(i)
    if (code >= 0x30 && code <= 0x39) continue
    const lower = code | 0x20
    if (!hex || lower < 0x61 || lower > 0x66) return false
  }
  return true
}

function fault(what: string, text: string): ProxyError {
  return new ProxyError('host_syntax', `${what}: ${quoted(text)}`)
}
