// The head of a GET or HEAD, whole, without a body and alone in what was read: what clients mostly send, in
// absolute-form to a proxy and in origin-form inside a tunnel. It takes a narrow part of what llhttp takes and reads it the same way; whatever is not
// plainly inside that part, and whatever has bytes behind it, is not judged here but left to llhttp. Pure.
import { readFieldLines } from './field-lines.ts'

export interface PlainHead {
  readonly method: 'GET' | 'HEAD'
  readonly url: string
  /** flat name, value, name, value, as sent */
  readonly rawHeaders: readonly string[]
  /** the client keeps its connection open for more */
  readonly isKeptAlive: boolean
}

/** RFC 9112 section 3.2 */
export type TargetForm = 'absolute' | 'origin'

// the authority is a host and a port at most, and behind it comes a path; what a URL may hold but for `#`
const requestLines: Readonly<Record<TargetForm, RegExp>> = {
  absolute: /^(GET|HEAD) (http:\/\/[A-Za-z0-9.:[\]-]+\/[A-Za-z0-9\-._~:/?@!$&'()*+,;=%[\]]*) HTTP\/1\.1$/,
  origin: /^(GET|HEAD) (\/[A-Za-z0-9\-._~:/?@!$&'()*+,;=%[\]]*) HTTP\/1\.1$/,
}
const shortest = 'GET / HTTP/1.1\r\n\r\n'.length
const upperG = 0x47
const upperH = 0x48
const lineFeed = 0x0a

/** The head, with a target in `form`, that `bytes` are; undefined when they are less, more or longer than `maxBytes`, or anything but plain. */
export function readPlainHead(bytes: Buffer, maxBytes: number, form: TargetForm): PlainHead | undefined {
  const { length } = bytes
  if (length < shortest || length > maxBytes || bytes[length - 1] !== lineFeed) return undefined
  if (bytes[0] !== upperG && bytes[0] !== upperH) return undefined
  const text = bytes.toString('latin1', 0, length)
  const end = length - 4
  if (text.indexOf('\r\n\r\n') !== end) return undefined
  const at = text.indexOf('\r\n')
  const [, method, url] = requestLines[form].exec(text.slice(0, at)) ?? []
  if (url === undefined) return undefined
  const lines = readFieldLines(text, at, end)
  return lines === undefined || lines.isExpecting ? undefined : { method: method === 'GET' ? 'GET' : 'HEAD', url, rawHeaders: lines.rawHeaders, isKeptAlive: !lines.isClosing }
}
