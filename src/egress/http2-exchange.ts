// One request and its answer on an HTTP/2 connection to an origin, told to the same handler that undici tells.
// Must never report an answer as whole that its origin did not end, nor go on after the handler has thrown.
import { constants, sensitiveHeaders, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2'
import { STATUS_CODES } from 'node:http'
import type { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { ProxyError } from '../errors.ts'
import { isConnectionFault } from './origin-fault.ts'
import { StaleConnection, type AnswerHandler, type OriginRequest } from './origin-connection.ts'

const {
  NGHTTP2_NO_ERROR, NGHTTP2_REFUSED_STREAM, NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR, NGHTTP2_ENHANCE_YOUR_CALM,
  NGHTTP2_CONNECT_ERROR, NGHTTP2_INADEQUATE_SECURITY, NGHTTP2_HTTP_1_1_REQUIRED,
} = constants
// the origin's own trouble; every other code says that one of us broke the protocol (RFC 9113 section 7)
const troubles: ReadonlySet<number> = new Set([
  NGHTTP2_NO_ERROR, NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR, NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_CONNECT_ERROR,
  NGHTTP2_INADEQUATE_SECURITY, NGHTTP2_HTTP_1_1_REQUIRED,
])
const names = new Map(Object.entries(constants).flatMap(([name, value]) => codeName(name, value)))
// what HPACK must not keep in a table that both ends share (RFC 7541 section 7.1.3)
const neverIndexed = ['authorization', 'cookie', 'x-api-key']

export interface ExchangeOwner {
  readonly maxResponseHeaderBytes: number
  /** The answer was read to its end. `isClean`: so was the request, and the connection may serve another. */
  done(isClean: boolean): void
  /** The connection is of no more use. */
  failed(): void
}

export class Http2Exchange implements Dispatcher.DispatchController {
  paused = false
  aborted = false
  reason: Error | null = null
  rawHeaders: string[] = []
  rawTrailers: string[] = []
  readonly #request: OriginRequest
  readonly #handler: AnswerHandler
  readonly #owner: ExchangeOwner
  readonly #body: Readable | undefined
  #stream: ClientHttp2Stream | undefined
  #timer: NodeJS.Timeout | undefined
  #isOver = false
  #answered = false
  #headPassed = false
  #bodySent = 0
  #bodyEnded: boolean
  // the origin ended its side, as against a reset that node's stream also shows as an end
  #originEnded = false
  #contentLength: number | undefined
  #received = 0

  constructor(request: OriginRequest, handler: AnswerHandler, owner: ExchangeOwner) {
    this.#request = request
    this.#handler = handler
    this.#owner = owner
    this.#body = isReadable(request.body) ? request.body : undefined
    this.#bodyEnded = this.#body === undefined
  }

  /** Throws what the request cannot be sent for. */
  start(session: ClientHttp2Session): void {
    this.#handler.onRequestStart(this)
    if (this.#isOver) return
    const stream = session.request(http2Fields(this.#request), { endStream: this.#body === undefined })
    this.#stream = stream
    const push = stream.push.bind(stream)
    stream.push = (chunk: unknown, encoding?: BufferEncoding) => {
      if (chunk === null && !stream.closed) this.#originEnded = true
      return push(chunk, encoding)
    }
    stream.on('headers', (fields, _flags, raw) => this.#guard(() => this.#interim(fields[':status'], raw)))
    stream.on('response', (fields, flags, raw) => this.#guard(() => this.#head(fields[':status'], raw, flags)))
    stream.on('trailers', (_fields, _flags, raw) => this.#guard(() => this.#trailers(raw)))
    stream.on('end', () => this.#guard(() => this.#end()))
    stream.on('error', (error) => this.fail(this.#closeFault(stream.rstCode, error)))
    stream.on('close', () => {
      if (!this.#isOver) this.fail(session.destroyed ? this.#lossFault(stream.rstCode) : this.#closeFault(stream.rstCode, undefined))
    })
    const { headersTimeout } = this.#request
    // as undici reads it: 0 is no limit
    if (typeof headersTimeout === 'number' && headersTimeout > 0) this.#timer = setTimeout(() => this.#expire(), headersTimeout).unref()
    this.#send(stream)
  }

  /** Ends it with a fault, unless it is over: the handler hears of it once. */
  fail(error: Error): void {
    if (this.#isOver) return
    this.#over()
    this.aborted = true
    this.reason = error
    this.#stream?.close(NGHTTP2_CANCEL)
    this.#body?.destroy()
    this.#owner.failed()
    this.#handler.onResponseError(this, error)
  }

  abort(reason: Error): void {
    this.fail(reason)
  }

  pause(): void {
    this.paused = true
    this.#stream?.pause()
  }

  resume(): void {
    this.paused = false
    this.#timer?.refresh()
    this.#stream?.resume()
  }

  #over(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
  }

  // node would throw it into nowhere
  #guard(step: () => void): void {
    if (this.#isOver) return
    try {
      step()
    } catch (error) {
      this.fail(error instanceof Error ? error : new Error(String(error)))
    }
  }

  #expire(): void {
    // an answer that nobody reads is not the origin's silence, nor is a request that its client is slow to send
    if (this.paused || (!this.#bodyEnded && this.#stream?.writableNeedDrain === false)) this.#timer?.refresh()
    else this.fail(new ProxyError('origin_timeout', this.#headPassed ? 'silence within the answer' : 'no answer in time'))
  }

  #send(stream: ClientHttp2Stream): void {
    const body = this.#body
    if (body === undefined) return
    const declared = declaredLength(this.#request.headers)
    body.on('data', (chunk: Buffer) => {
      this.#bodySent += chunk.length
      if (declared !== undefined && this.#bodySent > declared) {
        this.fail(new ProxyError('framing', 'more content than Content-Length says'))
        return
      }
      this.#timer?.refresh()
      if (!this.#isOver && !stream.write(chunk)) body.pause()
    })
    stream.on('drain', () => {
      this.#timer?.refresh()
      body.resume()
    })
    body.on('end', () => {
      if (declared !== undefined && this.#bodySent !== declared) {
        this.fail(new ProxyError('framing', 'less content than Content-Length says'))
        return
      }
      this.#bodyEnded = true
      stream.end()
    })
    body.on('error', (error: Error) => this.fail(error))
    body.on('close', () => {
      if (!this.#bodyEnded) this.fail(new Error('the request was taken back'))
    })
  }

  #interim(status: number | undefined, raw: string[]): void {
    this.#begin()
    if (status === undefined) throw new ProxyError('origin_protocol_error', 'fields without a status, or trailers that end nothing')
    this.rawHeaders = this.#fields(raw)
    this.#handler.onResponseStart(this, status, {})
  }

  #head(status: number | undefined, raw: string[], flags: number): void {
    this.#begin()
    if ((flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0) this.#handler.onResponseIsHead()
    if (status === undefined || status < 200) throw new ProxyError('origin_protocol_error', 'an answer without a status of its own')
    const fields = this.#fields(raw)
    this.rawHeaders = fields
    const hasContent = this.#request.method !== 'HEAD' && status !== 204 && status !== 304
    if (hasContent) this.#contentLength = declaredLength(fields)
    this.#timer?.refresh()
    // HTTP/2 has no phrase, and some clients of HTTP/1 count on one
    this.#handler.onResponseStart(this, status, {}, STATUS_CODES[status])
    this.#headPassed = true
    // not before: a stream that flows can give its content ahead of its head
    this.#stream?.on('data', (chunk: Buffer) => this.#guard(() => this.#data(chunk)))
    if (this.paused) this.#stream?.pause()
  }

  #data(chunk: Buffer): void {
    this.#received += chunk.length
    if (this.#contentLength !== undefined && this.#received > this.#contentLength) {
      throw new ProxyError('origin_protocol_error', 'more content than Content-Length says')
    }
    this.#timer?.refresh()
    this.#handler.onResponseData(this, chunk)
  }

  #trailers(raw: string[]): void {
    this.rawTrailers = this.#fields(raw)
  }

  #end(): void {
    if (!this.#originEnded) return
    if (this.#contentLength !== undefined && this.#received !== this.#contentLength) {
      throw new ProxyError('origin_incomplete', 'less content than Content-Length says')
    }
    if (!this.#headPassed) throw new ProxyError('origin_protocol_error', 'an end without an answer')
    this.#over()
    if (!this.#bodyEnded) {
      // an answer that did not wait for the request
      this.#bodyEnded = true
      this.#stream?.close(NGHTTP2_NO_ERROR)
      this.#body?.destroy()
      this.#owner.done(false)
    } else {
      this.#owner.done(true)
    }
    try {
      this.#handler.onResponseEnd(this)
    } catch (error) {
      this.#owner.failed()
      this.#handler.onResponseError(this, error instanceof Error ? error : new Error(String(error)))
    }
  }

  #begin(): void {
    if (this.#answered) return
    this.#answered = true
    this.#handler.onResponseStarted()
  }

  #fields(raw: readonly string[]): string[] {
    const fields: string[] = []
    let bytes = 0
    for (let i = 0; i + 1 < raw.length; i += 2) {
      const name = raw[i] ?? ''
      const value = raw[i + 1] ?? ''
      if (name.charCodeAt(0) === 0x3a) continue
      bytes += name.length + value.length
      fields.push(name, value)
    }
    if (bytes > this.#owner.maxResponseHeaderBytes) throw new ProxyError('origin_protocol_error', `fields of ${bytes} bytes`)
    return fields
  }

  // node closes the streams of a connection that went with CANCEL, and those of one that was told off with why
  #lossFault(code: number | undefined): Error {
    if (code !== NGHTTP2_CANCEL && code !== NGHTTP2_NO_ERROR) return this.#closeFault(code, undefined)
    return lossOfConnection()
  }

  #closeFault(code: number | undefined, error: Error | undefined): Error {
    if (error !== undefined && isConnectionFault(error)) return error
    if (code === undefined) return error ?? new Error('the stream closed')
    if (code === NGHTTP2_REFUSED_STREAM) return new StaleConnection('the origin took none of the request')
    const cause = { cause: error }
    // found on this side, about the connection and not the stream
    if (error !== undefined && Reflect.get(error, 'code') === 'ERR_HTTP2_ERROR') return new ProxyError('origin_protocol_error', error.message, cause)
    const detail = `the stream was reset with ${names.get(code) ?? code}`
    if (!troubles.has(code)) return new ProxyError('origin_protocol_error', detail, cause)
    return new ProxyError(this.#headPassed ? 'origin_incomplete' : 'connection_reset', detail, cause)
  }
}

/** What may have been sent on it counts as sent: not a StaleConnection. */
export function lossOfConnection(): Error {
  return Object.assign(new Error('the origin closed the connection'), { code: 'ECONNRESET' })
}

/** The request as HTTP/2 writes it: lower case, Host as :authority, nothing of the connection's own (RFC 9113 section 8.3.1). */
export function http2Fields({ method, path, headers, takesTrailers }: OriginRequest): string[] {
  if (!Array.isArray(headers)) throw new ProxyError('internal_error', 'the fields of a request are not raw')
  const fields: string[] = [':method', method, ':scheme', 'https', ':authority', '', ':path', path]
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = String(headers[i]).toLowerCase()
    const value = String(headers[i + 1])
    // node writes them as they are, and a NUL between name and value
    if (/[\0\r\n]/.test(value)) throw new ProxyError('field_syntax', 'a line break in a field')
    if (name === 'host') fields[5] = value
    else fields.push(name, value)
  }
  if (takesTrailers === true) fields.push('te', 'trailers')
  return Object.assign(fields, { [sensitiveHeaders]: neverIndexed })
}

function declaredLength(fields: OriginRequest['headers']): number | undefined {
  if (!Array.isArray(fields)) return undefined
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = String(fields[i])
    if (name.length === 14 && name.toLowerCase() === 'content-length') return Number(fields[i + 1])
  }
  return undefined
}

function isReadable(body: OriginRequest['body']): body is Readable {
  return typeof body === 'object' && body !== null && 'pipe' in body
}

function codeName(name: string, value: unknown): [number, string][] {
  const isCode = /^NGHTTP2_(?:NO_ERROR|[A-Z_]*ERROR|REFUSED_STREAM|CANCEL|STREAM_CLOSED|SETTINGS_TIMEOUT|ENHANCE_YOUR_CALM|INADEQUATE_SECURITY|HTTP_1_1_REQUIRED)$/.test(name)
  return isCode && typeof value === 'number' && !name.startsWith('NGHTTP2_ERR_') ? [[value, name.slice('NGHTTP2_'.length)]] : []
}
