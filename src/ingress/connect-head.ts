// The head of a CONNECT in the one spelling that clients use, read without a parser's object for each
// connection. It takes a narrow part of what llhttp takes and reads it the same way; whatever is not
// plainly inside that part is not judged here but left to llhttp. Pure.

/** A request head as far as the doors need it; node's IncomingMessage is one too. */
export interface ConnectHead {
  readonly url?: string | undefined
  readonly httpVersion: string
  /** flat name, value, name, value, as sent */
  readonly rawHeaders: readonly string[]
}

export interface WholeConnectHead {
  readonly head: ConnectHead
  /** bytes up to and with the empty line */
  readonly length: number
}

const method = 'CONNECT '
const requestLine = /^CONNECT ([A-Za-z0-9.:[\]-]+) HTTP\/1\.1$/
const fieldName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const fieldValue = /^[\t\x20-\x7e]*$/
// llhttp acts on these: they say how the message is framed or what becomes of the connection
const actedOn: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding', 'upgrade', 'connection', 'proxy-connection'])
const actedOnLengths: ReadonlySet<number> = new Set(Array.from(actedOn, ({ length }) => length))
const harmlessOptions: ReadonlySet<string> = new Set(['keep-alive', 'close'])
const space = 0x20
const tab = 0x09

/** The head that `bytes` begin with; undefined when it is not whole, longer than `maxBytes`, or anything but plain. */
export function readConnectHead(bytes: Buffer, maxBytes: number): WholeConnectHead | undefined {
  if (bytes.length < method.length || bytes.toString('latin1', 0, method.length) !== method) return undefined
  const text = bytes.toString('latin1', 0, Math.min(bytes.length, maxBytes))
  const end = text.indexOf('\r\n\r\n')
  if (end === -1) return undefined
  let at = text.indexOf('\r\n')
  const url = requestLine.exec(text.slice(0, at))?.[1]
  if (url === undefined) return undefined
  const rawHeaders: string[] = []
  while (at < end) {
    const start = at + 2
    at = text.indexOf('\r\n', start)
    const colon = text.indexOf(':', start)
    if (colon === -1 || colon > at) return undefined
    const name = text.slice(start, colon)
    const value = trimmed(text, colon + 1, at)
    if (!fieldName.test(name) || !fieldValue.test(value)) return undefined
    if (actedOnLengths.has(name.length) && isActedOn(name, value)) return undefined
    rawHeaders.push(name, value)
  }
  return { head: { url, httpVersion: '1.1', rawHeaders }, length: end + 4 }
}

function isActedOn(name: string, value: string): boolean {
  const lower = name.toLowerCase()
  if (!actedOn.has(lower)) return false
  return !lower.endsWith('connection') || !harmlessOptions.has(value.toLowerCase())
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
