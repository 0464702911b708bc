// Field lines of a head in the spelling that clients use, read without node's parser. It takes a narrow part
// of what llhttp takes and reads it the same way; whatever is not plainly inside that part is not judged here
// but left to llhttp. Pure.
import { isToken, withoutBlanks } from '../target/field-syntax.ts'

export interface FieldLines {
  /** flat name, value, name, value, as sent */
  readonly rawHeaders: readonly string[]
  /** a Connection or Proxy-Connection says `close` */
  readonly isClosing: boolean
  /** there is an Expect, which asks for an answer before the answer */
  readonly isExpecting: boolean
}

const fieldValue = /^[\t\x20-\x7e]*$/
// llhttp acts on these: they say how the message is framed or what becomes of the connection
const actedOn: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding', 'upgrade', 'connection', 'proxy-connection'])
const expect = 'expect'
const actedOnLengths: ReadonlySet<number> = new Set(Array.from(actedOn, ({ length }) => length))

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
    const value = withoutBlanks(text, colon + 1, at)
    if (!isToken(name) || !fieldValue.test(value)) return undefined
    if (name.length === expect.length) {
      isExpecting ||= name.toLowerCase() === expect
    } else if (actedOnLengths.has(name.length)) {
      const lower = name.toLowerCase()
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
