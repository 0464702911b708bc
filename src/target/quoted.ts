// Untrusted input made fit for one line of a message: visible ASCII only, cut to a bounded length.
// It never lets a control character, a line break, a closing backtick or user information through.

const maxCharacters = 100
const scheme = /^[A-Za-z][A-Za-z0-9+.-]{0,30}:\/\//
const webScheme = /^(?:https?|wss?):\/\//i
const endOfAuthority = /[/?#\\\s]/

/**
 * `text` in backticks; everything but visible ASCII as `\xNN` or `\u{N}`, at most 100 characters of it. What
 * may be user information is blotted out before anything is cut, since a cut can take its `@` away.
 */
export function quoted(text: string): string {
  const shown = withoutUserInformation(text)
  let out = '`'
  const end = Math.min(shown.length, maxCharacters)
  for (let i = 0; i < end; i++) {
    const code = shown.charCodeAt(i)
    const plain = code >= 0x20 && code < 0x7f && code !== 0x60 && code !== 0x5c
    out += plain ? shown.charAt(i) : escaped(code)
  }
  return shown.length > maxCharacters ? `${out}\`...` : `${out}\``
}

/**
 * What of a target that could not be parsed may be kept: scheme and authority, user information as `***@`;
 * nothing of a path or query. `***` where a password may have cut its own authority short (`user:a/b@host`).
 */
export function authorityOnly(target: string): string {
  const start = startOfAuthority(target)
  const end = authorityEnd(target, start)
  if (hasTornUserInformation(target, start, end)) return torn(target, start)
  const after = afterUserInformation(target, start, end)
  return after === start ? target.slice(0, end) : `${target.slice(0, start)}***@${target.slice(after, end)}`
}

function withoutUserInformation(text: string): string {
  if (!text.includes('@') && !text.includes('%40')) return text
  const start = startOfAuthority(text)
  const end = authorityEnd(text, start)
  if (hasTornUserInformation(text, start, end)) return torn(text, start)
  const after = afterUserInformation(text, start, end)
  return after === start ? text : `${text.slice(0, start)}***@${text.slice(after)}`
}

function startOfAuthority(text: string): number {
  return text.startsWith('//') ? 2 : (scheme.exec(text)?.[0].length ?? 0)
}

function authorityEnd(text: string, start: number): number {
  const length = text.slice(start).search(endOfAuthority)
  return length === -1 ? text.length : start + length
}

/** Where the host begins: behind the last `@`, written out or as `%40`; `start` where there is none. */
function afterUserInformation(text: string, start: number, end: number): number {
  const authority = text.slice(start, end)
  const at = authority.lastIndexOf('@')
  const encoded = authority.lastIndexOf('%40')
  if (at === -1 && encoded === -1) return start
  return start + Math.max(at + 1, encoded === -1 ? 0 : encoded + 3)
}

/**
 * What reads as the authority may be the first half of user information whose password holds a delimiter:
 * an `@` comes behind it, and it is none that could be a host alone. `user:pa/ss@host`, `user:p@/ss@host`.
 */
function hasTornUserInformation(text: string, start: number, end: number): boolean {
  if (!text.includes('@', end)) return false
  if (start > 0 && (start === end || !webScheme.test(text))) return true
  return text.slice(start, end).includes(':') || afterUserInformation(text, start, end) !== start
}

/** `user://pass` reads as a scheme as well: only one that is known stays. */
function torn(text: string, start: number): string {
  return webScheme.test(text) ? `${text.slice(0, start)}***` : '***'
}

function escaped(code: number): string {
  const hex = code.toString(16)
  return code < 0x100 ? `\\x${hex.padStart(2, '0')}` : `\\u{${hex}}`
}
