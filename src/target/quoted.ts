// Untrusted input made fit for one line of a message: visible ASCII only, cut to a bounded length.
// It never lets a control character, a line break or a closing backtick through.

const maxCharacters = 100

/** `text` in backticks; everything but visible ASCII as `\xNN` or `\u{N}`, at most 100 characters of it. */
export function quoted(text: string): string {
  let out = '`'
  const end = Math.min(text.length, maxCharacters)
  for (let i = 0; i < end; i++) {
    const code = text.charCodeAt(i)
    const plain = code >= 0x20 && code < 0x7f && code !== 0x60 && code !== 0x5c
    out += plain ? text.charAt(i) : escaped(code)
  }
  return text.length > maxCharacters ? `${out}\`...` : `${out}\``
}

function escaped(code: number): string {
  const hex = code.toString(16)
  return code < 0x100 ? `\\x${hex.padStart(2, '0')}` : `\\u{${hex}}`
}
