// Field lines of a head in the spelling that clients use, read without node's parser. It takes a narrow part
// of what llhttp takes and reads it the same way; whatever is not plainly inside that part is not judged here
// but left to llhttp. Pure.

export interface FieldLines {
  /** flat name, value, name, value, as sent */
  readonly rawHeaders: readonly string[]
  /** a Connection or Proxy-Connection says `close` */
  readonly isClosing: boolean
  /** there is an Expect, which asks for an answer before the answer */
  readonly isExpecting: boolean
}

const fieldName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const fieldValue = /^[\t\x20-\x7e]*$/
// llhttp acts on these: they say how the message is framed or what becomes of the connection
const actedOn: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding', 'upgrade', 'connection', 'proxy-connection'])
const expect = 'expect'
const toldApart: ReadonlySet<number> = new Set(Array.from([...actedOn, expect], ({ length }) => length))
const space = 0x20
const tab = 0x09

/** The lines of `text` from the CRLF at `start` to the CRLF at `end`, which the empty line follows; undefined when
 * one is anything but plain, or says anything of framing, upgrades or the connection but that it is kept or closed. */
export function readFieldLines(text: string, start: number, end: number): FieldLines | undefined {
  const rawHeaders: string[] = []
  let isClosing = false
  let isExpecting = false
  let at = start
  while (at < end) {
    const from = at + 2
    at = text.indexOf('\r\n', from)
    const colon = text.indexOf(':', from)
    if (colon === -1 || colon > at) return undefined
    const name = text.slice(from, colon)
    const value = trimmed(text, colon + 1, at)
    if (!fieldName.test(name) || !fieldValue.test(value)) return undefined
    if (toldApart.has(name.length)) {
      const lower = name.toLowerCase()
      isExpecting ||= lower === expect
      if (actedOn.has(lower)) {
        const option = lower.endsWith('connection') ? value.toLowerCase() : ''
        if (option !== 'keep-alive' && option !== 'close') return undefined
        isClosing ||= option === 'close'
      }
    }
    rawHeaders.push(name, value)
  }
  return { rawHeaders, isClosing, isExpecting }
}

/** Without the spaces and tabs around it (RFC 9112 section 5.1). */
function trimmed(text: string, start: number, end: number): string {
  let from = start
  let to = end
  while (from < to && isBlank(text.charCodeAt(from))) from++
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--
  return text.slice(from, to)
}

function isBlank(code: number): boolean {
  return code === space || code === tab
}
