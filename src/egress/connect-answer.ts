// What a parent proxy answers to CONNECT: a head of at most 16 KiB, read strictly, byte for byte. What
// follows the head belongs to the tunnel and goes back into the socket. It never guesses at a broken head.
import type { Socket } from 'node:net'

export interface AnswerHead {
  readonly status: number
  /** the reason phrase as sent, for a message */
  readonly reason: string
}

export type ConnectAnswer = ({ readonly ok: true } & AnswerHead) | { readonly ok: false; readonly detail: string }

const maxHeadBytes = 16 * 1024
const headEnd = '\r\n\r\n'
// bytes as latin1; a bare CR or LF, NUL and the other controls match neither
const statusLine = /^HTTP\/1\.[01] (?<status>[1-5][0-9]{2})(?: (?<reason>[\t\x20-\x7e\x80-\xff]*))?$/
const fieldLine = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*$/

/** The status of a head without its final empty line; `undefined` unless every line is valid (RFC 9112 sections 4, 5). */
export function parseAnswerHead(head: Uint8Array): AnswerHead | undefined {
  const [first = '', ...fields] = Buffer.from(head).toString('latin1').split('\r\n')
  const groups = statusLine.exec(first)?.groups
  if (groups === undefined || !fields.every((line) => fieldLine.test(line))) return undefined
  return { status: Number(groups['status']), reason: groups['reason'] ?? '' }
}

/** Reads the final answer, interim ones skipped. Never rejects; leaves the socket open, and neither paused nor flowing. */
export function readConnectAnswer(socket: Socket, timeoutMs: number, signal: AbortSignal | undefined): Promise<ConnectAnswer> {
  const { promise, resolve } = Promise.withResolvers<ConnectAnswer>()
  let received = Buffer.alloc(0)
  let headBytes = 0

  const fail = (detail: string): void => resolve({ ok: false, detail })
  const closed = (): void => fail(`closed before it answered CONNECT${socket.errored === null ? '' : `: ${socket.errored.message}`}`)
  const abandoned = (): void => fail('given up before it answered CONNECT')
  const timer = setTimeout(() => fail(`no answer to CONNECT within ${timeoutMs} ms`), timeoutMs)

  function readable(): void {
    for (let chunk: unknown = socket.read(); chunk instanceof Buffer; chunk = socket.read()) {
      received = Buffer.concat([received, chunk])
      if (takeHeads()) return
    }
  }

  /** Whether nothing more is to be read. */
  function takeHeads(): boolean {
    for (;;) {
      const end = received.indexOf(headEnd)
      if ((end === -1 ? received.length : end) + headBytes > maxHeadBytes) {
        fail(`an answer head of more than ${maxHeadBytes} bytes`)
        return true
      }
      if (end === -1) return false
      const head = parseAnswerHead(received.subarray(0, end))
      headBytes += end + headEnd.length
      received = received.subarray(end + headEnd.length)
      if (head === undefined || head.status === 101) {
        fail('no valid HTTP answer to CONNECT')
        return true
      }
      if (head.status < 200) continue
      finish(head)
      return true
    }
  }

  function finish(head: AnswerHead): void {
    // before the unshift, or the stream would hand the bytes to this reader again
    socket.off('readable', readable)
    if (received.length > 0) socket.unshift(received)
    resolve({ ok: true, ...head })
  }

  socket.on('readable', readable)
  socket.on('end', closed)
  socket.on('close', closed)
  signal?.addEventListener('abort', abandoned)
  if (socket.destroyed) closed()
  if (signal?.aborted === true) abandoned()
  return promise.finally(() => {
    clearTimeout(timer)
    socket.off('readable', readable)
    socket.off('end', closed)
    socket.off('close', closed)
    signal?.removeEventListener('abort', abandoned)
  })
}
