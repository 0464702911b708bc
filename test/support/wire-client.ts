// A client that says exactly the bytes it is told to and reads answers strictly: for requests that no
// library would send, and for answers whose order and framing matter.
import net from 'node:net'
import { once } from 'node:events'

export interface Answer {
  readonly status: number
  readonly reason: string
  /** lower-case names; the values of a repeated field joined by `, ` */
  readonly fields: ReadonlyMap<string, string>
  readonly body: string
  /** everything its framing promised has arrived */
  readonly isWhole: boolean
  /** of the whole message on the wire, `bytes` */
  readonly length: number
}

export class WireClient {
  readonly socket: net.Socket
  #received = ''
  #isClosed = false
  readonly #waiting = new Set<() => void>()

  readonly #carrier: net.Socket

  private constructor(socket: net.Socket, carrier = socket) {
    this.socket = socket
    this.#carrier = carrier
    const wake = (): void => {
      for (const check of this.#waiting) check()
    }
    socket.on('data', (chunk: Buffer) => {
      this.#received += chunk.toString('latin1')
      wake()
    })
    socket.on('error', () => socket.destroy())
    socket.on('end', () => socket.end())
    socket.on('close', () => {
      this.#isClosed = true
      wake()
    })
  }

  static open(port: number, host = '127.0.0.1'): Promise<WireClient> {
    return WireClient.#connected(net.connect({ host, port, allowHalfOpen: true, noDelay: true }))
  }

  /** To a unix socket. */
  static openPath(path: string): Promise<WireClient> {
    return WireClient.#connected(net.connect({ path, allowHalfOpen: true }))
  }

  static async #connected(socket: net.Socket): Promise<WireClient> {
    const client = new WireClient(socket)
    await once(socket, 'connect')
    return client
  }

  /** On a connection that stands already, such as TLS inside a tunnel, which is `carrier` then. */
  static over(socket: net.Socket, carrier = socket): WireClient {
    return new WireClient(socket, carrier)
  }

  /** Leaves with a reset. */
  reset(): void {
    this.#carrier.resetAndDestroy()
  }

  /** everything that came back so far, as latin1 */
  get received(): string {
    return this.#received
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** a string is sent as latin1 */
  send(bytes: string | Uint8Array): void {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
  }

  /** Resolves once what was received fits, or the connection is closed. */
  until(fits: (received: string) => boolean): Promise<string> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (!this.#isClosed && !fits(this.#received)) return
        this.#waiting.delete(check)
        resolve(this.#received)
      }
      this.#waiting.add(check)
      check()
    })
  }

  closed(): Promise<string> {
    return this.until(() => false)
  }

  /** Takes the next final answer out of what was received; undefined when the connection closed before it. */
  async next(): Promise<Answer | undefined> {
    const first = (): Answer | undefined => readAnswers(this.#received).find(({ status, isWhole }) => status >= 200 && isWhole)
    await this.until(() => first() !== undefined)
    const answer = first()
    this.#received = answer === undefined ? this.#received : this.#received.slice(answer.length)
    return answer
  }

  /** Waits for `count` final answers, or for the close. */
  async answers(count: number, methods: readonly string[] = []): Promise<readonly Answer[]> {
    const final = (): readonly Answer[] => readAnswers(this.#received, methods).filter(({ status, isWhole }) => status >= 200 && isWhole)
    await this.until(() => final().length >= count)
    return readAnswers(this.#received, methods).filter(({ status }) => status >= 200)
  }
}

/** One request, to the end of its connection. */
export async function say(port: number, bytes: string | Uint8Array): Promise<string> {
  const client = await WireClient.open(port)
  client.send(bytes)
  return client.closed()
}

/** The answers in `received`, interim ones too; `methods` are those of the requests, GET where it ends. */
export function readAnswers(received: string, methods: readonly string[] = []): readonly Answer[] {
  const answers: Answer[] = []
  let rest = received
  let finals = 0
  for (;;) {
    const end = rest.indexOf('\r\n\r\n')
    if (end < 0) return answers
    const [first = '', ...lines] = rest.slice(0, end).split('\r\n')
    const parsed = /^HTTP\/1\.1 ([1-5][0-9]{2})(?: ([\t\x20-\x7e]*))?$/.exec(first)
    if (parsed === null) throw new Error(`no status line: ${JSON.stringify(first)}`)
    const status = Number(parsed[1])
    const fields = readFields(lines)
    const isEmpty = status < 200 || status === 204 || status === 304 || methods[finals] === 'HEAD'
    const { body, isWhole, length } = isEmpty ? { body: '', isWhole: true, length: 0 } : readBody(rest.slice(end + 4), fields)
    if (status >= 200) finals += 1
    answers.push({ status, reason: parsed[2] ?? '', fields, body, isWhole, length: end + 4 + length })
    rest = rest.slice(end + 4 + length)
  }
}

function readFields(lines: readonly string[]): ReadonlyMap<string, string> {
  const fields = new Map<string, string>()
  for (const line of lines) {
    const parsed = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(line)
    if (parsed === null) throw new Error(`no field line: ${JSON.stringify(line)}`)
    const name = (parsed[1] ?? '').toLowerCase()
    const before = fields.get(name)
    fields.set(name, before === undefined ? (parsed[2] ?? '') : `${before}, ${parsed[2]}`)
  }
  return fields
}

function readBody(rest: string, fields: ReadonlyMap<string, string>): { readonly body: string; readonly isWhole: boolean; readonly length: number } {
  const contentLength = fields.get('content-length')
  if (contentLength !== undefined) {
    const length = Number(contentLength)
    return { body: rest.slice(0, length), isWhole: rest.length >= length, length: Math.min(length, rest.length) }
  }
  if (fields.get('transfer-encoding') !== 'chunked') return { body: rest, isWhole: false, length: rest.length }
  let body = ''
  let at = 0
  for (;;) {
    const end = rest.indexOf('\r\n', at)
    if (end < 0) return { body, isWhole: false, length: rest.length }
    const size = Number.parseInt(rest.slice(at, end), 16)
    if (size === 0) {
      const last = rest.indexOf('\r\n\r\n', end)
      return last < 0 ? { body, isWhole: false, length: rest.length } : { body, isWhole: true, length: last + 4 }
    }
    body += rest.slice(end + 2, end + 2 + size)
    at = end + 2 + size + 2
    if (at > rest.length) return { body, isWhole: false, length: rest.length }
  }
}
