// The head of a CONNECT in the one spelling that clients use, read without a parser's object for each
// connection. It takes a narrow part of what llhttp takes and reads it the same way; whatever is not
// plainly inside that part is not judged here but left to llhttp. Pure.
import { readFieldLines } from './field-lines.ts'

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

/** The head that `bytes` begin with; undefined when it is not whole, longer than `maxBytes`, or anything but plain. */
export function readConnectHead(bytes: Buffer, maxBytes: number): WholeConnectHead | undefined {
  if (bytes.length < method.length || bytes.toString('latin1', 0, method.length) !== method) return undefined
  const text = bytes.toString('latin1', 0, Math.min(bytes.length, maxBytes))
  const end = text.indexOf('\r\n\r\n')
  if (end === -1) return undefined
  const at = text.indexOf('\r\n')
  const url = requestLine.exec(text.slice(0, at))?.[1]
  const lines = url === undefined ? undefined : readFieldLines(text, at, end)
  return lines === undefined ? undefined : { head: { url, httpVersion: '1.1', rawHeaders: lines.rawHeaders }, length: end + 4 }
}
