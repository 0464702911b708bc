// The head of an origin's answer in the spelling that origins use, read without llhttp. It takes a narrow part of
// what llhttp takes and reads it the same way; whatever is not plainly inside that part is not judged here but
// left to llhttp. Pure.
import { afterBlanks, isToken, isTrimmedFieldValue } from '../target/field-syntax.ts'

export interface AnswerHead {
  readonly status: number
  readonly reason: string
  /** flat name, value, name, value, as sent; latin1 */
  readonly rawHeaders: readonly string[]
  /** bytes of content; undefined: chunked */
  readonly contentLength: number | undefined
  /** the connection may serve another exchange */
  readonly isKept: boolean
  /** `ms` that the origin says it keeps an idle connection */
  readonly keptMs: number | undefined
}

// no interim answer, and no version but this one
const statusLine = /^HTTP\/1\.1 ([2-5][0-9]{2}) ([\t\x20-\x7e]*)$/
const digits = /^[0-9]{1,15}$/
const keptFor = /timeout=(\d{1,6})/

interface Framing {
  contentLength: number | undefined
  isChunked: boolean
  connection: string | undefined
  keptMs: number | undefined
}

/** The head of the answer to a GET, from the start of `text` to the empty line at `end`, which is the index of its
 * CRLF CRLF; undefined when it is anything but plain, or when the end of its content is the end of the connection. */
export function readAnswerHead(text: string, end: number): AnswerHead | undefined {
  let at = text.indexOf('\r\n')
  const [, status, reason] = statusLine.exec(text.slice(0, at)) ?? []
  if (status === undefined || reason === undefined) return undefined
  const rawHeaders: string[] = []
  const framing: Framing = { contentLength: undefined, isChunked: false, connection: undefined, keptMs: undefined }
  while (at < end) {
    const from = at + 2
    at = text.indexOf('\r\n', from)
    const colon = text.indexOf(':', from)
    if (colon === -1 || colon > at) return undefined
    const name = text.slice(from, colon)
    const value = text.slice(afterBlanks(text, colon + 1, at), at)
    if (!isToken(name) || !isTrimmedFieldValue(value)) return undefined
    if (!noteFraming(framing, name, value)) return undefined
    rawHeaders.push(name, value)
  }
  return headOf(Number(status), reason, rawHeaders, framing)
}

/** False for what llhttp may read in another way. */
function noteFraming(framing: Framing, name: string, value: string): boolean {
  switch (name.length) {
    case 7:
      return name.toLowerCase() !== 'upgrade'
    case 10:
      return noteConnection(framing, name.toLowerCase(), value)
    case 14:
      if (name.toLowerCase() !== 'content-length') return true
      if (framing.contentLength !== undefined || !digits.test(value)) return false
      framing.contentLength = Number(value)
      return true
    case 16:
      return name.toLowerCase() !== 'proxy-connection'
    case 17:
      if (name.toLowerCase() !== 'transfer-encoding') return true
      if (framing.isChunked || value.toLowerCase() !== 'chunked') return false
      framing.isChunked = true
      return true
    default:
      return true
  }
}

function noteConnection(framing: Framing, name: string, value: string): boolean {
  if (name === 'keep-alive') {
    const [, seconds] = keptFor.exec(value) ?? []
    if (framing.keptMs !== undefined) return false
    framing.keptMs = seconds === undefined ? undefined : Number(seconds) * 1000
    return true
  }
  if (name !== 'connection') return true
  const option = value.toLowerCase()
  if (framing.connection !== undefined || (option !== 'keep-alive' && option !== 'close')) return false
  framing.connection = option
  return true
}

function headOf(status: number, reason: string, rawHeaders: readonly string[], { contentLength, isChunked, connection, keptMs }: Framing): AnswerHead | undefined {
  const isKept = connection !== 'close'
  if (status === 204 || status === 304) {
    // content that should not be there may follow
    if (isChunked || (contentLength !== undefined && contentLength > 0)) return undefined
    return { status, reason, rawHeaders, contentLength: 0, isKept, keptMs }
  }
  // both, or neither
  if (isChunked === (contentLength !== undefined)) return undefined
  return { status, reason, rawHeaders, contentLength, isKept, keptMs }
}
