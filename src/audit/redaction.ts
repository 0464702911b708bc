// What of a URL may stand in the journal. Pure but for the HMAC and the client names it remembers. Never a
// query value, a credential, a cookie or a body outside `full`; a secret-looking path segment becomes a keyed
// hash, so that equal secrets can be told to be equal and nothing more. Whoever sends a request chooses what is
// looked at here, so everything is one pass over it: no expression may begin with a run that another run can share.
import { createHmac } from 'node:crypto'

export interface Redaction {
  /** `host`: no path at all; `path`: path without secrets, query keys only; `full`: as received */
  readonly url: 'host' | 'path' | 'full'
  /** key of the HMAC that stands in for secrets; stays on this machine */
  readonly key: Uint8Array
}

export interface RedactedUrl {
  readonly path: string | undefined
  /** `path`: the keys, joined by `&`; `full`: as received */
  readonly query: string | undefined
}

const word = /[^\s`]+/g
const agentWord = /[^\s()<>[\]{}"',;]+/g
// what the values of such names are
const telling = '(?:token|key|secret|passw(?:or)?d|pwd|sig|signature|auth|credentials?|session|jwt)'
const tellingName = new RegExp(`${telling}$`, 'i')
const maxTellingName = 12
// how tokens begin that are told from their first letters alone, `sk-` aside
const tokenStart = String.raw`gh[pousr]_|github_pat_|glpat-|xox[abeoprs]-|AKIA|ASIA|AIza|ya29\.|eyJ|npm_|hf_`
// a word that ends in sk is no token, unless what is before it is an escape: task-list, %3Dsk-…
const knownToken = new RegExp(String.raw`(?:(?:(?<![A-Za-z])|(?<=%[0-9A-Fa-f]{2}))sk[-_]|${tokenStart})[A-Za-z0-9_.-]{12,}`, 'g')
// in what a client calls itself a credential may stand behind its scheme or its name, and no host does
const schemeAndToken = /(?<![A-Za-z])(bearer|basic|token)([ \t]{1,8})[A-Za-z0-9+/_.~=-]{6,}/gi
const namedToken = new RegExp(String.raw`(${telling}["']?[ \t]{0,8}:[ \t]{0,8}["']?)[^\s"',;)}\]]+`, 'gi')
const mayHoldCredential = /:|(?:bearer|basic|token)[ \t]|[A-Za-z0-9_-]{12}/i

// where none of these is, there is nothing to blot out
const mayHoldSecret = new RegExp(`[@=]|sk[-_]|${tokenStart}`)

const questionMark = 0x3f
const ampersand = 0x26
const semicolon = 0x3b
const equals = 0x3d

const maxPathBytes = 2048
const maxQueryKeys = 64
const maxKeyLength = 128

// prefixes that vendors give their tokens so that scanners find them
const tokenPrefix =
  /(?:^|[^A-Za-z0-9])(?:gh[pousr]_|github_pat_|gl(?:pat|ptt|dt|rt|cbt|soat)-|sk[-_]|rk_(?:live|test)_|pk_(?:live|test)_|xox[abeoprs]-|xapp-|(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12}|AIza|ya29\.|1\/\/0|eyJ[A-Za-z0-9_-]{8}|npm_|pypi-Ag|hf_|dop_v1_|doo_v1_|SG\.|shp(?:at|ca|pa|ss)_|whsec_|sq0[a-z]{3}-|dapi[0-9a-f]{8}|glsa_|lin_api_|ATATT3|ntn_|secret_|figd_|hvs\.|age-secret-key-|bot[0-9]{6,}(?::|%3a))/i
const credentialPair = new RegExp(`${telling}(?:=|%3d)`, 'i')
// words an ordinary path is made of: letters, a number, a version-like tail
const ordinaryWord = /^(?:[a-z]+\d{0,8}|[A-Z]+\d{0,8}|\d+[A-Za-z]{0,3}|\d{8}T\d{4,9}Z?)$/
const minSecretWord = 16
const minSecretHex = 32

/** Path and query as they may be journaled. `path` and `query` are as received, without `?`. */
export function redactUrl(path: string | undefined, query: string | undefined, redaction: Redaction): RedactedUrl {
  if (redaction.url === 'host' || path === undefined) return { path: undefined, query: undefined }
  if (redaction.url === 'full') {
    return { path: capped(path, path, redaction), query: query === undefined ? undefined : capped(query, query, redaction) }
  }
  const isShort = path.length < minSecretWord && !path.includes(':') && !path.includes('=') && !path.includes('_')
  return { path: isShort ? path : redactSegments(path, redaction), query: query === undefined ? undefined : queryKeys(query, redaction) }
}

/** Whether one path segment or query key looks like a secret; errs on the side of yes for long random text. */
export function looksSecret(segment: string): boolean {
  if (segment.length < 8) return false
  const colon = segment.indexOf(':')
  if (colon !== -1 && segment.includes('@', colon)) return true
  if (tokenPrefix.test(segment) || credentialPair.test(segment)) return true
  if (segment.length < minSecretWord) return false
  let hexDigits = 0
  for (const part of segment.split(/[^A-Za-z0-9]+/)) {
    if (/^[0-9a-fA-F]+$/.test(part)) hexDigits += part.length
    if (part.length >= minSecretWord && !isOrdinary(part)) return true
  }
  return hexDigits >= minSecretHex
}

/** `{hmac:0123456789abcdef}`: braces stand in no valid path, so it cannot be mistaken for one. */
export function keyedHash(text: string, key: Uint8Array): string {
  return `{hmac:${createHmac('sha256', key).update(text, 'latin1').digest('hex').slice(0, 16)}}`
}

/** Foreign text that is not known to be a host or a path: user information, query values and known
 * token forms are blotted out, and only then is it cut to `maxLength`: a cut takes away what tells a
 * credential. */
export function scrubText(text: string, maxLength: number): string {
  // on the way of every decision, so it is looked through only where there is something to find
  const shown = mayHoldSecret.test(text) ? text.replace(word, scrubWord).replace(knownToken, '***') : text
  return shown.length <= maxLength ? shown : shown.slice(0, maxLength)
}

/** What a client calls itself, of which nothing is needed that could be a credential: as scrubText, and
 * what stands behind `Bearer` or `api_key:`, and every word that looks like a secret. */
export function scrubAgent(text: string, maxLength: number): string {
  const known = scrubbedAgents.get(text)
  const shown = known ?? scrubNamed(text)
  if (known === undefined && text.length <= maxKnownAgent) {
    if (scrubbedAgents.size === maxKnownAgents) scrubbedAgents.clear()
    scrubbedAgents.set(text, shown)
  }
  return shown.length <= maxLength ? shown : shown.slice(0, maxLength)
}

// clients have few names for themselves, and each comes with every request
const scrubbedAgents = new Map<string, string>()
const maxKnownAgents = 128
const maxKnownAgent = 512

function scrubNamed(text: string): string {
  if (!mayHoldCredential.test(text)) return scrubText(text, Number.POSITIVE_INFINITY)
  const unnamed = text.replace(schemeAndToken, '$1$2***').replace(namedToken, '$1***')
  return scrubText(unnamed.replace(agentWord, (part) => (looksSecret(part) ? '***' : part)), Number.POSITIVE_INFINITY)
}

function scrubWord(text: string): string {
  const clean = text.includes('@') ? withoutUserInformation(text) : text
  return clean.includes('=') ? withoutValues(clean) : clean
}

/** Quotes do not end user information: a password may hold them. */
function withoutUserInformation(text: string): string {
  const scheme = text.indexOf('://')
  // behind another colon it is a part of a password
  const start = scheme === -1 || text.indexOf(':') < scheme ? 0 : scheme + 3
  const slash = text.indexOf('/', start)
  const end = slash === -1 ? text.length : slash
  const colon = text.indexOf(':', start)
  const firstAt = text.indexOf('@', start)
  const before = withoutSegmentUsers(text.slice(0, start))
  if (firstAt === -1) return before + text.slice(start)
  // to the last one of all, for a password may hold slashes too: `user:pa/ss@host`
  const isUser = firstAt < end || (colon !== -1 && colon < end)
  if (isUser) return `${before}***${text.slice(text.lastIndexOf('@'))}`
  return before + text.slice(start, end) + withoutSegmentUsers(text.slice(end))
}

function withoutSegmentUsers(text: string): string {
  if (!text.includes('@')) return text
  return text.split('/').map((segment) => {
    const at = segment.lastIndexOf('@')
    return at === -1 ? segment : `***${segment.slice(at)}`
  }).join('/')
}

/** Values of a query, and of any `name=value` whose name tells what it is. */
function withoutValues(text: string): string {
  let out = ''
  let copied = 0
  let isParameter = false
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === questionMark || isSeparator(code)) isParameter = true
    if (code !== equals) continue
    if (!isParameter && !tellingName.test(text.slice(Math.max(0, at - maxTellingName), at))) continue
    let end = at + 1
    while (end < text.length && !isSeparator(text.charCodeAt(end))) end++
    if (end > at + 1) {
      out += `${text.slice(copied, at)}=***`
      copied = end
    }
    isParameter = false
    at = end - 1
  }
  return out + text.slice(copied)
}

function isSeparator(code: number): boolean {
  return code === ampersand || code === semicolon
}

/** Whole segments, as many as 2 KiB hold, so that nothing longer is ever looked at and no secret is cut in two. */
function redactSegments(path: string, redaction: Redaction): string {
  let shown = ''
  let start = 0
  while (start <= path.length) {
    const slash = path.indexOf('/', start)
    const end = slash === -1 ? path.length : slash
    if (shown.length + (end - start) > maxPathBytes) return shown + keyedHash(path, redaction.key)
    const segment = path.slice(start, end)
    const kept = looksSecret(segment) ? keyedHash(segment, redaction.key) : segment
    if (shown.length + kept.length > maxPathBytes) return shown + keyedHash(path, redaction.key)
    shown += slash === -1 ? kept : `${kept}/`
    start = end + 1
  }
  return shown
}

function queryKeys(query: string, redaction: Redaction): string {
  const parts = query.split(/[&;]/, maxQueryKeys + 1)
  const keys = parts.slice(0, maxQueryKeys).map((part) => {
    const end = part.indexOf('=')
    // a part without `=` may be a bare value: `?ghp_…`
    const key = end === -1 ? part : part.slice(0, end)
    return key.length > maxKeyLength || looksSecret(key) ? keyedHash(key, redaction.key) : key
  })
  if (parts.length > maxQueryKeys) keys.push(keyedHash(query, redaction.key))
  return keys.join('&')
}

function isOrdinary(text: string): boolean {
  if (ordinaryWord.test(text)) return true
  if (/\d/.test(text.replace(/\d{1,8}$/, ''))) return false
  // letters of both cases: CamelCase changes case about twice a word, random text far more often
  let changes = 0
  for (let at = 1; at < text.length; at++) {
    if (isUpper(text.charCodeAt(at)) !== isUpper(text.charCodeAt(at - 1))) changes++
  }
  return changes < text.length * 0.42
}

function isUpper(code: number): boolean {
  return code >= 0x41 && code <= 0x5a
}

function capped(shown: string, whole: string, redaction: Redaction): string {
  return shown.length <= maxPathBytes ? shown : shown.slice(0, maxPathBytes) + keyedHash(whole, redaction.key)
}
