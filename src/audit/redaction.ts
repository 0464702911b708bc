// What of a URL may stand in the journal. Pure but for the HMAC. Never a query value, a credential, a
// cookie or a body outside `full`; a secret-looking path segment becomes a keyed hash, so that equal
// secrets can be told to be equal and nothing more.
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

const userInformation = /(^|[\s`'"/])[^\s`'"/@]*@/g
const queryValue = /([?&;][^=&;\s`'"]{1,128})=[^&;\s`'"]+/g
// a word that ends in sk is no token, unless what is before it is an escape: task-list, %3Dsk-…
const knownToken = /(?:gh[pousr]_|github_pat_|glpat-|(?:(?<![A-Za-z])|(?<=%[0-9A-Fa-f]{2}))sk[-_]|xox[abeoprs]-|AKIA|ASIA|AIza|ya29\.|eyJ|npm_|hf_)[A-Za-z0-9_.-]{12,}/g

// where none of these is, none of the three above is
const mayHoldSecret = /[@=]|gh[pousr]_|github_pat_|glpat-|sk[-_]|xox[abeoprs]-|AKIA|ASIA|AIza|ya29\.|eyJ|npm_|hf_/

const maxPathBytes = 2048
const maxQueryKeys = 64
const maxKeyLength = 128

// prefixes that vendors give their tokens so that scanners find them
const tokenPrefix =
  /(?:^|[^A-Za-z0-9])(?:gh[pousr]_|github_pat_|gl(?:pat|ptt|dt|rt|cbt|soat)-|sk[-_]|rk_(?:live|test)_|pk_(?:live|test)_|xox[abeoprs]-|xapp-|(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12}|AIza|ya29\.|1\/\/0|eyJ[A-Za-z0-9_-]{8}|npm_|pypi-Ag|hf_|dop_v1_|doo_v1_|SG\.|shp(?:at|ca|pa|ss)_|whsec_|sq0[a-z]{3}-|dapi[0-9a-f]{8}|glsa_|lin_api_|ATATT3|ntn_|secret_|figd_|hvs\.|age-secret-key-|bot[0-9]{6,}(?::|%3a))/i
const credentialPair = /[^/]*:[^/]*@|(?:token|key|secret|passw(?:or)?d|pwd|sig|signature|auth|credentials?|session|jwt)(?:=|%3d)/i
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
  const shown = path.length < minSecretWord && !path.includes(':') && !path.includes('=') && !path.includes('_') ? path : redactSegments(path, redaction)
  return { path: capped(shown, path, redaction), query: query === undefined ? undefined : queryKeys(query, redaction) }
}

/** Whether one path segment or query key looks like a secret; errs on the side of yes for long random text. */
export function looksSecret(segment: string): boolean {
  if (segment.length < 8) return false
  if (tokenPrefix.test(segment) || credentialPair.test(segment)) return true
  if (segment.length < minSecretWord) return false
  let hexDigits = 0
  for (const word of segment.split(/[^A-Za-z0-9]+/)) {
    if (/^[0-9a-fA-F]+$/.test(word)) hexDigits += word.length
    if (word.length >= minSecretWord && !isOrdinary(word)) return true
  }
  return hexDigits >= minSecretHex
}

/** `{hmac:0123456789abcdef}`: braces stand in no valid path, so it cannot be mistaken for one. */
export function keyedHash(text: string, key: Uint8Array): string {
  return `{hmac:${createHmac('sha256', key).update(text, 'latin1').digest('hex').slice(0, 16)}}`
}

/** Foreign text that is not known to be a host or a path: user information, query values and known
 * token forms are blotted out before it is cut to `maxLength`. */
export function scrubText(text: string, maxLength: number): string {
  const cut = text.length <= maxLength ? text : text.slice(0, maxLength)
  // on the way of every decision, so the expressions run only where one of them can match
  if (!mayHoldSecret.test(cut)) return cut
  return cut
    .replace(userInformation, '$1***@')
    .replace(queryValue, '$1=***')
    .replace(knownToken, '***')
}

function redactSegments(path: string, redaction: Redaction): string {
  return path
    .split('/')
    .map((segment) => (looksSecret(segment) ? keyedHash(segment, redaction.key) : segment))
    .join('/')
}

function queryKeys(query: string, redaction: Redaction): string {
  const parts = query.split(/[&;]/)
  const keys = parts.slice(0, maxQueryKeys).map((part) => {
    const end = part.indexOf('=')
    // a part without `=` may be a bare value: `?ghp_…`
    const key = end === -1 ? part : part.slice(0, end)
    return key.length > maxKeyLength || looksSecret(key) ? keyedHash(key, redaction.key) : key
  })
  if (parts.length > maxQueryKeys) keys.push(keyedHash(query, redaction.key))
  return keys.join('&')
}

function isOrdinary(word: string): boolean {
  if (ordinaryWord.test(word)) return true
  if (/\d/.test(word.replace(/\d{1,8}$/, ''))) return false
  // letters of both cases: CamelCase changes case about twice a word, random text far more often
  let changes = 0
  for (let at = 1; at < word.length; at++) {
    if (isUpper(word.charCodeAt(at)) !== isUpper(word.charCodeAt(at - 1))) changes++
  }
  return changes < word.length * 0.42
}

function isUpper(code: number): boolean {
  return code >= 0x41 && code <= 0x5a
}

function capped(shown: string, whole: string, redaction: Redaction): string {
  return shown.length <= maxPathBytes ? shown : shown.slice(0, maxPathBytes) + keyedHash(whole, redaction.key)
}
