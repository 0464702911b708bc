// Speaks the control API: over the unix socket of a data folder, or to a URL with a token. It follows no
// redirect and uses no proxy, and the token leaves it in one header field only: never in a message.
import { Agent, type ClientRequest, type IncomingMessage, request as httpRequest, type RequestOptions } from 'node:http'
import { Agent as TlsAgent, request as httpsRequest } from 'node:https'
import { escapeText } from '../audit/escape.ts'
import { ControlFault, faultOfAnswer, isObject } from './control-fault.ts'
import { StreamLines } from './event-lines.ts'
import { type ServerEvent, ServerEvents } from './server-events.ts'

/** Where the control API is. Paths are as a person would write them, for messages. */
export type ControlPlace =
  | { readonly kind: 'socket'; readonly path: string; readonly shownPath: string; readonly shownFolder: string; readonly token: string | undefined }
  | { readonly kind: 'url'; readonly url: URL; readonly token: string | undefined }

export interface CallOptions {
  readonly body?: object
  /** version that the call is about; sent as If-Match */
  readonly version?: number
  /** answer 304 while the version is this one */
  readonly unlessVersion?: number
  /** the server may keep the call for so long, `s` */
  readonly waitSeconds?: number
  /** how much longer than usual the answer may take, `ms` */
  readonly patienceMs?: number
  readonly signal?: AbortSignal
}

export interface Answer {
  /** 2xx or 304 */
  readonly status: number
  readonly body: unknown
}

const answerTimeoutMs = 15_000
/** twice what the server promises between two heartbeats */
const streamSilenceMs = 40_000
const maxAnswerBytes = 16 * 2 ** 20

export class ControlClient {
  readonly #place: ControlPlace
  readonly #agent: Agent

  constructor(place: ControlPlace) {
    this.#place = place
    const isTls = place.kind === 'url' && place.url.protocol === 'https:'
    this.#agent = isTls ? new TlsAgent({ keepAlive: true, maxSockets: 4 }) : new Agent({ keepAlive: true, maxSockets: 4 })
  }

  /** Throws ControlFault for every answer but 2xx and 304, and when there is none. */
  async call(method: 'GET' | 'POST', path: string, options: CallOptions = {}): Promise<Answer> {
    const text = options.body === undefined ? undefined : JSON.stringify(options.body)
    const timeout = AbortSignal.timeout(answerTimeoutMs + (options.waitSeconds ?? 0) * 1000 + (options.patienceMs ?? 0))
    const signal = options.signal === undefined ? timeout : AbortSignal.any([options.signal, timeout])
    try {
      const answer = await this.#send(method, path, fieldsOf(options, text), text, signal)
      const body = await readBody(answer)
      const status = answer.statusCode ?? 0
      if ((status >= 200 && status < 300) || status === 304) return { status, body: jsonOf(body, status) }
      throw faultOfAnswer(status, problemOf(body), this.#place.token !== undefined)
    } catch (error) {
      throw this.#faultOf(error, timeout.aborted)
    }
  }

  /**
   * Follows a server-sent stream: `onEvent` for each event, with no more than its arrival. Resolves to `ended`
   * when the server ends it or it falls silent, to `refused` when there is no such stream. Throws ControlFault
   * when there is no answer.
   */
  async follow(path: string, onOpen: () => void, onEvent: () => void, signal: AbortSignal): Promise<'ended' | 'refused'> {
    try {
      const answer = await this.#send('GET', path, { accept: 'text/event-stream' }, undefined, signal)
      if (answer.statusCode !== 200 || !/^text\/event-stream\b/i.test(answer.headers['content-type'] ?? '')) {
        answer.destroy()
        return 'refused'
      }
      answer.setTimeout(streamSilenceMs, () => answer.destroy())
      onOpen()
      const lines = new StreamLines(onEvent)
      answer.setEncoding('utf8')
      for await (const chunk of answer) lines.take(String(chunk))
      return 'ended'
    } catch (error) {
      const fault = this.#faultOf(error, false)
      if (fault.code === 'cut') return 'ended'
      throw fault
    }
  }

  /**
   * Has something done whose progress is a server-sent stream: each event as it comes, until the server ends it. Aborting
   * ends the stream, and what is being done with it. Throws ControlFault as `call` does.
   */
  async *events(path: string, body: object, signal: AbortSignal): AsyncGenerator<ServerEvent> {
    const text = JSON.stringify(body)
    try {
      const answer = await this.#send('POST', path, { ...fieldsOf({}, text), accept: 'text/event-stream' }, text, signal)
      const status = answer.statusCode ?? 0
      if (status !== 200) throw faultOfAnswer(status, problemOf(await readBody(answer)), this.#place.token !== undefined)
      answer.setTimeout(streamSilenceMs, () => answer.destroy())
      const events = new ServerEvents()
      answer.setEncoding('utf8')
      for await (const chunk of answer) yield* events.take(String(chunk))
    } catch (error) {
      throw signal.aborted ? new ControlFault('aborted', 'interrupted') : this.#faultOf(error, false)
    }
  }

  /** The bytes of a file that is answered. Throws ControlFault as `call` does. */
  async *bytes(path: string, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    try {
      const answer = await this.#send('GET', path, {}, undefined, signal ?? new AbortController().signal)
      const status = answer.statusCode ?? 0
      if (status !== 200) throw faultOfAnswer(status, problemOf(await readBody(answer)), this.#place.token !== undefined)
      answer.setTimeout(streamSilenceMs, () => answer.destroy())
      for await (const chunk of answer) if (chunk instanceof Uint8Array) yield chunk
    } catch (error) {
      throw this.#faultOf(error, false)
    }
  }

  /** Closes its connections. */
  close(): void {
    this.#agent.destroy()
  }

  #send(method: string, path: string, fields: Readonly<Record<string, string>>, body: string | undefined, signal: AbortSignal): Promise<IncomingMessage> {
    const { token } = this.#place
    const headers = { accept: 'application/json', ...fields, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) }
    return new Promise((resolve, reject) => {
      const sent = this.#open(path, { method, headers, agent: this.#agent, signal }, resolve)
      sent.on('error', reject)
      sent.end(body)
    })
  }

  #open(path: string, options: RequestOptions, onAnswer: (answer: IncomingMessage) => void): ClientRequest {
    const place = this.#place
    if (place.kind === 'socket') return httpRequest({ ...options, socketPath: place.path, path, headers: { ...headersOf(options), host: 'localhost' } }, onAnswer)
    const { protocol, hostname, port, pathname } = place.url
    const to = { ...options, host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? undefined : port, path: `${pathname.replace(/\/$/, '')}${path}` }
    return protocol === 'https:' ? httpsRequest(to, onAnswer) : httpRequest(to, onAnswer)
  }

  /** Whatever went wrong, as one sentence; an abort of the caller's own stays what it is. */
  #faultOf(error: unknown, isTimeout: boolean): ControlFault {
    if (error instanceof ControlFault) return error
    const where = whereOf(this.#place)
    if (isTimeout) return new ControlFault('unreachable', `${where} did not answer in time: is the proxy overloaded, or is that something else?`)
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    if (code === 'ABORT_ERR' || (error instanceof Error && error.name === 'AbortError')) return new ControlFault('aborted', 'interrupted')
    if (code === 'ECONNRESET' || code === 'EPIPE' || code === 'ERR_STREAM_PREMATURE_CLOSE') return new ControlFault('cut', `the connection to ${where} was cut: is the proxy stopping? try again`)
    return new ControlFault('unreachable', this.#place.kind === 'socket' ? socketFault(this.#place, code) : urlFault(where, code, error))
  }
}

function headersOf({ headers }: RequestOptions): Record<string, unknown> {
  return isObject(headers) ? headers : {}
}

function whereOf(place: ControlPlace): string {
  return place.kind === 'socket' ? `\`${place.shownPath}\`` : `\`${place.url.origin}\``
}

function socketFault({ shownPath, shownFolder }: ControlPlace & { kind: 'socket' }, code: string): string {
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return `no sallyport is running with data folder \`${shownFolder}\` (no \`${shownPath}\`): start one, or name another with --data`
    case 'ECONNREFUSED':
      return `no sallyport is running with data folder \`${shownFolder}\` (\`${shownPath}\` is left from one that ended): start one, or name another with --data`
    case 'EACCES':
    case 'EPERM':
      return `this user may not open \`${shownPath}\`: run this as the user that sallyport runs as, or use --url with a token`
    case 'EINVAL':
    case 'ENAMETOOLONG':
      return `\`${shownPath}\` is too long for a socket: name the data folder by a shorter path with --data`
    default:
      return `\`${shownPath}\` cannot be used (${escapeText(code)}): is that a sallyport's data folder?`
  }
}

function urlFault(where: string, code: string, error: unknown): string {
  switch (code) {
    case 'ECONNREFUSED':
      return `nothing listens at ${where}: is sallyport running there, with its control listener on?`
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `the host of ${where} cannot be resolved: check --url`
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return `${where} cannot be reached: check --url and the network`
    default: {
      const text = code === '' && error instanceof Error ? error.message : code
      return `${where} cannot be used (${escapeText(text, 200)}): check --url, and NODE_EXTRA_CA_CERTS where its certificate is of a private CA`
    }
  }
}

function fieldsOf({ version, unlessVersion, waitSeconds }: CallOptions, text: string | undefined): Record<string, string> {
  return {
    ...(text === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)) }),
    ...(version === undefined ? {} : { 'if-match': `"${version}"` }),
    ...(unlessVersion === undefined ? {} : { 'if-none-match': `"${unlessVersion}"` }),
    ...(waitSeconds === undefined ? {} : { prefer: `wait=${waitSeconds}` }),
  }
}

async function readBody(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of answer) {
    if (!(chunk instanceof Buffer)) continue
    bytes += chunk.length
    if (bytes > maxAnswerBytes) throw new ControlFault('unexpected', 'the answer is larger than 16 MiB: is that a sallyport?')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function jsonOf(text: string, status: number): unknown {
  if (status === 304 || text === '') return undefined
  try {
    return JSON.parse(text)
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    throw new ControlFault('unexpected', 'the answer is no JSON: is that the control listener of a sallyport?', status)
  }
}

/** What is no problem document is shown by its status alone. */
function problemOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
