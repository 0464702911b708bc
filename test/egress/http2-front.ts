// An HTTP/2 client leg as thin as it can be, in clear text: its streams dressed as the request and the answer
// that the forwarder takes.
import { once } from 'node:events'
import http2 from 'node:http2'
import { Readable } from 'node:stream'
import type { ClientRequest, ClientResponse } from '../../src/egress/client-leg.ts'
import { createForwarder, type ForwarderOptions, type ForwardPlan, type ForwardResult } from '../../src/egress/forward.ts'
import { portOf, type Closable } from './wire.ts'

class StreamRequest extends Readable implements ClientRequest {
  readonly httpVersion = '2.0'
  readonly isStream = true
  readonly method: string
  readonly url: string
  readonly rawHeaders: readonly string[]
  complete: boolean
  readonly socket: ClientRequest['socket']
  readonly #stream: http2.ServerHttp2Stream

  constructor(stream: http2.ServerHttp2Stream, raw: readonly string[]) {
    super()
    this.#stream = stream
    const pseudo = new Map<string, string>()
    const fields: string[] = []
    for (let i = 0; i + 1 < raw.length; i += 2) {
      const [name = '', value = ''] = [raw[i], raw[i + 1]]
      if (name.startsWith(':')) pseudo.set(name, value)
      else fields.push(name, value)
    }
    this.method = pseudo.get(':method') ?? ''
    this.url = pseudo.get(':path') ?? ''
    this.rawHeaders = ['Host', pseudo.get(':authority') ?? '', ...fields]
    this.complete = stream.endAfterHeaders
    this.socket = {
      bytesRead: 0, destroyed: false, readableEnded: false,
      on: (event, listener) => stream.on(event, listener),
      off: (event, listener) => stream.off(event, listener),
      destroy: () => stream.close(http2.constants.NGHTTP2_CANCEL),
    }
    stream.on('data', (chunk) => {
      if (!this.push(chunk)) stream.pause()
    })
    stream.on('end', () => {
      this.complete = true
      this.push(null)
    })
    stream.on('close', () => this.destroy())
  }

  override _read(): void {
    this.#stream.resume()
  }
}

function dressed(stream: http2.ServerHttp2Stream): ClientResponse {
  let head: http2.OutgoingHttpHeaders | undefined
  let trailers: [string, string][] = []
  const respond = (endStream: boolean): void => {
    if (head === undefined || stream.headersSent || stream.destroyed) return
    stream.respond(head, { endStream, waitForTrailers: !endStream })
  }
  stream.on('wantTrailers', () => stream.sendTrailers(Object.fromEntries(trailers)))
  return {
    get destroyed() { return stream.destroyed },
    get closed() { return stream.closed },
    get headersSent() { return stream.headersSent },
    get writableFinished() { return stream.writableFinished },
    get writableLength() { return stream.writableLength },
    chunkedEncoding: true,
    socket: null,
    writeHead: (status, _reason, fields) => {
      head = { ':status': status }
      for (let i = 0; i + 1 < fields.length; i += 2) head[String(fields[i]).toLowerCase()] = String(fields[i + 1])
    },
    flushHeaders: () => respond(false),
    writeContinue: () => stream.additionalHeaders({ ':status': 100 }),
    write: (chunk) => {
      respond(false)
      return stream.write(chunk)
    },
    end: (chunk?: Uint8Array | string, encoding: BufferEncoding = 'utf8') => {
      respond(false)
      if (chunk === undefined) stream.end()
      else if (typeof chunk === 'string') stream.end(chunk, encoding)
      else stream.end(chunk)
    },
    addTrailers: (pairs) => {
      trailers = pairs
    },
    destroy: () => stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR),
    on: (event, listener) => stream.on(event, listener),
    once: (event, listener) => stream.once(event, listener),
    off: (event, listener) => stream.off(event, listener),
  }
}

export interface Http2Front extends Closable {
  readonly session: http2.ClientHttp2Session
  readonly results: ForwardResult[]
}

/** A front that forwards every stream by `plan`, and a client session to it. */
export async function http2Front(plan: Pick<ForwardPlan, 'tls' | 'connect'> & Partial<ForwardPlan>, options: Partial<ForwarderOptions> = {}): Promise<Http2Front> {
  const forwarder = createForwarder({ pseudonym: 'sally-test', originTimeoutMs: 20_000, ...options })
  const results: ForwardResult[] = []
  const server = http2.createServer()
  server.on('stream', (stream: http2.ServerHttp2Stream, _headers: unknown, _flags: unknown, raw: unknown) => {
    stream.on('error', () => {})
    const request = new StreamRequest(stream, raw as string[])
    void forwarder.forward(request, dressed(stream), {
      method: request.method, path: request.url, authority: 'origin.test',
      pool: { session: 's', host: 'origin.test', port: 443, addresses: ['127.0.0.1'], revision: 'r1' }, ...plan,
    }).then((result) => {
      results.push(result)
      if (result.error !== undefined && !result.headSent && !stream.destroyed) stream.respond({ ':status': 502, 'x-code': result.error.code }, { endStream: true })
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const session = http2.connect(`http://127.0.0.1:${portOf(server)}`)
  session.on('error', () => {})
  return {
    session, results,
    close: () => {
      session.destroy()
      forwarder.close()
      server.close()
    },
  }
}

export interface Http2Answer {
  readonly status: number | undefined
  readonly headers: http2.IncomingHttpHeaders
  readonly body: string
  readonly trailers: http2.IncomingHttpHeaders
}

export async function ask(session: http2.ClientHttp2Session, headers: http2.OutgoingHttpHeaders, body?: string): Promise<Http2Answer> {
  const stream = session.request({ ':authority': 'origin.test', ...headers }, { endStream: body === undefined })
  let trailers: http2.IncomingHttpHeaders = {}
  stream.on('trailers', (fields) => {
    trailers = fields
  })
  if (body !== undefined) stream.end(body)
  const answered = new Promise<http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader>((resolve) => stream.once('response', resolve))
  let text = ''
  stream.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  const head = await answered
  if (!stream.readableEnded && !stream.closed) await Promise.race([once(stream, 'end'), once(stream, 'close')])
  return { status: head[':status'], headers: head, body: text, trailers }
}
