// The scripted agent of the demo: it speaks to the proxy over sockets of its own, so that every line can be shown
// as it went over the wire. Its credentials are the one thing that is not shown.
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls, type PSKCallbackNegotation } from 'node:tls'
import { pskCipher } from './demo-origin.ts'

export interface WireLine {
  readonly direction: 'sent' | 'received'
  readonly text: string
}

export interface DemoAgentOptions {
  readonly proxyPort: number
  readonly session: string
  readonly token: string
  readonly originKey: () => PSKCallbackNegotation
  readonly onWire: (line: WireLine) => void
  readonly signal: AbortSignal
}

export interface WireAnswer {
  readonly status: number
  /** the part after the status */
  readonly reason: string
  readonly fields: ReadonlyMap<string, string>
  readonly body: string
}

const maxAnswer = 256 * 1024
const userAgent = 'demo-agent/1.0'
// what says nothing to a reader, or says again what stands beside it
const dull = new Set(['host', 'date', 'connection', 'keep-alive', 'content-length', 'content-type', 'cache-control', 'x-content-type-options', 'x-request-id'])

export class DemoAgent {
  readonly #options: DemoAgentOptions
  readonly #sockets = new Set<Socket>()

  constructor(options: DemoAgentOptions) {
    this.#options = options
  }

  /** Asks for `https://HOST:PORT/PATH` and resolves to what the CONNECT was answered, or, when that was 200, to what
   * came back inside the tunnel. Rejects when the connection breaks. */
  async get(host: string, port: number, path: string): Promise<WireAnswer> {
    const socket = await this.#open()
    try {
      const lines = [`CONNECT ${host}:${port} HTTP/1.1`, `Host: ${host}:${port}`, `User-Agent: ${userAgent}`]
      const answer = await this.#exchange(socket, lines, '')
      if (answer.status !== 200) return answer
      return await this.#inside(socket, host, port, path)
    } finally {
      socket.destroy()
    }
  }

  /** Asks the proxy itself about a question of its own, in origin-form. */
  async own(method: 'GET' | 'POST', path: string, body = ''): Promise<WireAnswer> {
    const socket = await this.#open()
    try {
      const length = body === '' ? [] : ['Content-Type: text/plain', `Content-Length: ${Buffer.byteLength(body)}`]
      return await this.#exchange(socket, [`${method} ${path} HTTP/1.1`, `Host: 127.0.0.1:${this.#options.proxyPort}`, ...length, 'Connection: close'], body)
    } finally {
      socket.destroy()
    }
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async #open(): Promise<Socket> {
    this.#options.signal.throwIfAborted()
    const socket = connectTcp(this.#options.proxyPort, '127.0.0.1')
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve).once('error', reject)
    })
    return socket
  }

  /** One request with credentials to the proxy, one answer. */
  async #exchange(socket: Socket, lines: readonly string[], body: string): Promise<WireAnswer> {
    const { session, token, onWire } = this.#options
    for (const text of [...lines, `Proxy-Authorization: Basic <${session} and its token>`]) if (!isDull(text)) onWire({ direction: 'sent', text })
    if (body !== '') onWire({ direction: 'sent', text: body })
    const secret = Buffer.from(`${session}:${token}`).toString('base64')
    const answered = readAnswer(socket, lines[0]?.startsWith('CONNECT ') ?? false)
    socket.write(`${[...lines, `Proxy-Authorization: Basic ${secret}`].join('\r\n')}\r\n\r\n${body}`)
    const answer = await answered
    this.#show(answer, '')
    return answer
  }

  async #inside(socket: Socket, host: string, port: number, path: string): Promise<WireAnswer> {
    const { originKey, onWire } = this.#options
    const tunnel = connectTls({
      socket, servername: host, ciphers: pskCipher, maxVersion: 'TLSv1.2', pskCallback: originKey,
      // there is no certificate that could name it: who has the key is the origin
      checkServerIdentity: () => undefined,
    })
    await new Promise<void>((resolve, reject) => {
      tunnel.once('secureConnect', resolve).once('error', reject)
      tunnel.once('close', () => reject(new Error('the tunnel was closed')))
    })
    onWire({ direction: 'sent', text: `(inside TLS) GET ${path} HTTP/1.1` })
    const answered = readAnswer(tunnel, false)
    tunnel.write(`GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\nUser-Agent: ${userAgent}\r\nConnection: close\r\n\r\n`)
    const answer = await answered
    this.#show({ ...answer, fields: new Map() }, '(inside TLS) ')
    return answer
  }

  #show({ status, reason, fields, body }: WireAnswer, prefix: string): void {
    const { onWire } = this.#options
    onWire({ direction: 'received', text: `${prefix}HTTP/1.1 ${status} ${reason}` })
    for (const [name, value] of fields) if (!isDull(`${name}:`)) onWire({ direction: 'received', text: `${name}: ${value}` })
    for (const line of body.split('\n')) if (line !== '') onWire({ direction: 'received', text: `${prefix}${line}` })
  }
}

function isDull(line: string): boolean {
  return dull.has(line.slice(0, Math.max(0, line.indexOf(':'))).toLowerCase())
}

/** Head and body of one answer; a CONNECT that got 200 has no body. */
function readAnswer(socket: Socket, isConnect: boolean): Promise<WireAnswer> {
  return new Promise((resolve, reject) => {
    let bytes = Buffer.alloc(0)
    const end = (settle: () => void): void => {
      socket.off('data', take).off('error', fail).off('close', closed)
      settle()
    }
    const fail = (error: Error): void => end(() => reject(error))
    const closed = (): void => end(() => reject(new Error('the connection was closed before its answer')))
    const take = (chunk: Buffer): void => {
      bytes = Buffer.concat([bytes, chunk])
      const answer = bytes.length > maxAnswer ? undefined : answerIn(bytes, isConnect)
      if (bytes.length > maxAnswer) fail(new Error('the answer is too long'))
      else if (answer !== undefined) end(() => resolve(answer))
    }
    socket.on('data', take).on('error', fail).on('close', closed)
  })
}

/** undefined: more has to come. */
function answerIn(bytes: Buffer, isConnect: boolean): WireAnswer | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n')
  if (headEnd === -1) return undefined
  const [first = '', ...rest] = bytes.subarray(0, headEnd).toString('latin1').split('\r\n')
  const [, digits = '0', reason = ''] = /^HTTP\/1\.1 (\d{3}) ?(.*)$/.exec(first) ?? []
  const fields = new Map(rest.map((line): [string, string] => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]))
  const status = Number(digits)
  const answer = { status, reason, fields, body: '' }
  if (isConnect && status === 200) return answer
  const length = Number([...fields].find(([name]) => name.toLowerCase() === 'content-length')?.[1] ?? 0)
  const body = bytes.subarray(headEnd + 4)
  return body.length < length ? undefined : { ...answer, body: body.subarray(0, length).toString('utf8') }
}
