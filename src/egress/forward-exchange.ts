// One forwarded exchange as the handler of its answer: request fields out, answer in, body by body. It owns the
// one promise of its outcome and settles it once. Must never reuse a connection whose answer was not
// read to its proven end, and never throw from a callback.
import { ProxyError } from '../errors.ts'
import { BareExchange } from './bare-exchange.ts'
import type { ClientRequest, ClientResponse } from './client-leg.ts'
import { cutOff } from './cut-off.ts'
import { editFor, setNames, type RequestEdit } from './field-changes.ts'
import { checkConnectionField, passableTrailers, rawStrings, requestFields, responseFields, safeReason, withOneCookie, type FilteredFields } from './field-rules.ts'
import type { ForwardPlan, ForwardResult, ForwarderSettings } from './forward.ts'
import { isConnectionFault, originFault } from './origin-fault.ts'
import { StaleConnection, type AnswerController, type AnswerHandler, type Dial, type OriginConnection } from './origin-connection.ts'
import { tlsKey, type OriginPools, type PoolKey } from './origin-pools.ts'
import { needsHttp2, takesTrailers, type OriginProtocols } from './origin-protocols.ts'
import type { TlsRequest } from './origin-tls.ts'
import { hasStreamedContent, RequestBody } from './request-body.ts'
import { isNoCommonProtocol } from './tls-faults.ts'

const maxInformational = 10
// what may wait unsent in the client's socket before the origin is held back
const maxUnsentBytes = 128 * 1024
// a whole body up to this size is joined to its head
const oneWriteBytes = 16 * 1024
const replayable: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE'])

export interface ExchangeParts {
  readonly request: ClientRequest
  readonly response: ClientResponse
  readonly plan: ForwardPlan
  readonly pools: OriginPools
  readonly protocols: OriginProtocols
  readonly options: ForwarderSettings
  readonly settle: (result: ForwardResult) => void
}

/** Where an exchange's connection comes from. */
interface Way {
  readonly key: PoolKey
  readonly dial: Dial
  /** undefined: plain http */
  readonly tls: TlsRequest | undefined
}

export class ForwardExchange implements AnswerHandler {
  readonly #parts: ExchangeParts
  readonly #response: ClientResponse
  #outgoing: FilteredFields | undefined
  #edit: RequestEdit | undefined
  #way: Way | undefined
  #controller: AnswerController | undefined
  #connection: OriginConnection | undefined
  #cancelWait: (() => void) | undefined
  #body: RequestBody | undefined
  #settled = false
  #attempts = 0
  #hasDisagreed = false
  // of the origin
  #answered = false
  #informational = 0
  #status: number | undefined
  #isHead = false
  #contentLength: number | undefined
  #bytesFromOrigin = 0
  // of the client
  #headSent = false
  #ended = false
  #originDone = false
  #peerAddress: string | undefined
  #waitsForDrain = false
  #stall: NodeJS.Timeout | undefined

  constructor(parts: ExchangeParts) {
    this.#parts = parts
    this.#response = parts.response
  }

  start(): void {
    const { plan } = this.#parts
    if (this.#response.destroyed || this.#response.socket?.destroyed === true) {
      this.#finish('client_closed', undefined)
      return
    }
    this.#response.on('close', () => this.#clientClosed())
    try {
      const edit = plan.tls === undefined && plan.fieldChanges === undefined ? undefined : this.#editFields()
      if (edit instanceof Promise) edit.then((read) => this.#send(read), (error: unknown) => this.#fail(error))
      else this.#send(edit)
    } catch (error) {
      this.#fail(error)
    }
  }

  #editFields(): RequestEdit | undefined | Promise<RequestEdit> {
    const { request: { rawHeaders }, plan: { tls, fieldChanges = [] }, options: { credentials } } = this.#parts
    const refused = fieldChanges.length === 0 ? undefined : checkConnectionField(rawHeaders, setNames(fieldChanges))
    if (refused !== undefined) throw refused
    const isVerified = tls !== undefined && tls.trust?.insecure !== true
    return editFor(fieldChanges, rawHeaders, { isVerified, isIntercepted: tls !== undefined, credentials })
  }

  #send(edit: RequestEdit | undefined): void {
    if (this.#settled) return
    try {
      this.#edit = edit
      this.#outgoing = this.#prepare(edit)
      this.#way = this.#findWay()
    } catch (error) {
      this.#fail(error)
      return
    }
    this.#take(false)
  }

  #prepare(edit: RequestEdit | undefined): FilteredFields {
    const { request, plan, options } = this.#parts
    const { httpVersion, isStream = false, rawHeaders } = request
    const raw = isStream ? withOneCookie(rawHeaders) : rawHeaders
    const outgoing = requestFields(plan.method, raw, plan.authority, `${httpVersion} ${options.pseudonym}`, edit)
    const { contentLength = 0 } = outgoing
    if (plan.maxContent !== undefined && contentLength > plan.maxContent) {
      throw new ProxyError('content_not_allowed', `${contentLength} bytes where the rules allow ${plan.maxContent}`)
    }
    return outgoing
  }

  #findWay(): Way {
    const { request, plan, protocols } = this.#parts
    if (plan.tls === undefined) return { key: plan.pool, dial: (onread) => plan.connect({ onread }), tls: undefined }
    const { host, port } = plan.pool
    const tls = { alpn: protocols.offer(host, port, request.isStream === true && needsHttp2(request.rawHeaders)), trust: plan.tls.trust }
    return { key: { ...plan.pool, tls: tlsKey(tls, this.#edit?.credentials ?? []) }, dial: () => plan.connect({ tls }), tls }
  }

  #take(fresh: boolean): void {
    this.#attempts += 1
    const way = this.#way
    if (way === undefined) {
      this.#fail(new ProxyError('internal_error', 'an exchange was sent before it was prepared'))
      return
    }
    this.#cancelWait = this.#parts.pools.take(way.key, way.dial, fresh, (connection, error) => {
      this.#cancelWait = undefined
      if (connection === undefined) this.#fail(error)
      else if (this.#settled) connection.release()
      else this.#dispatch(connection)
    })
  }

  #dispatch(connection: OriginConnection): void {
    const { request, plan, options } = this.#parts
    this.#connection = connection
    try {
      const { fields, body } = this.#content()
      connection.dispatch({
        method: plan.method, path: plan.path, headers: fields, body, blocking: false, servername: 'origin.invalid',
        takesTrailers: plan.tls !== undefined && takesTrailers(request.rawHeaders),
        headersTimeout: options.originTimeoutMs, bodyTimeout: options.originTimeoutMs,
      }, this)
    } catch (error) {
      this.#connection = undefined
      connection.destroy()
      this.#fail(error)
    }
  }

  // the body and the field that frames it; undici chunks a body of no declared length
  #content(): { fields: string[]; body: RequestBody | null } {
    const outgoing = this.#outgoing
    if (outgoing === undefined) throw new ProxyError('internal_error', 'an exchange was sent before it was prepared')
    const { request, plan } = this.#parts
    const { fields, contentLength, chunked } = outgoing
    if (!chunked && contentLength === undefined && !hasStreamedContent(request)) return { fields, body: null }
    if (contentLength === 0) return { fields: [...fields, 'Content-Length', '0'], body: null }
    this.#body = new RequestBody(request, plan.maxContent)
    // undici reports what breaks a body through onResponseError; until it listens, nobody else does
    this.#body.on('error', ignoreReportedElsewhere)
    return {
      fields: contentLength === undefined ? fields : [...fields, 'Content-Length', String(contentLength)],
      body: this.#body,
    }
  }

  onRequestStart(controller: AnswerController): void {
    this.#controller = controller
  }

  onResponseStarted(): void {
    this.#answered = true
  }

  onResponseIsHead(): void {
    this.#isHead = true
  }

  onResponseStart(controller: AnswerController, status: number, _fields: unknown, reason?: string): void {
    if (status === 101) throw new ProxyError('origin_protocol_error', 'an upgrade that was not asked for')
    if (status < 100) throw new ProxyError('origin_protocol_error', `a status of ${status}`)
    if (status < 200) {
      this.#informational += 1
      if (this.#informational > maxInformational) throw new ProxyError('origin_protocol_error', 'too many interim answers')
      return
    }
    const { request, plan, options } = this.#parts
    const { httpVersion = '1.1' } = this.#connection ?? {}
    const { fields, contentLength, chunked } = responseFields(status, fieldsOf(controller), `${httpVersion} ${options.pseudonym}`, plan.tls !== undefined)
    plan.onFraming?.(contentLength !== undefined || chunked || httpVersion === '2.0')
    this.#status = status
    this.#peerAddress = this.#connection?.peerAddress
    const hasContent = request.method !== 'HEAD' && status !== 204 && status !== 304
    if (hasContent) this.#contentLength = contentLength
    try {
      this.#response.writeHead(status, safeReason(reason), fields)
    } catch (error) {
      throw new ProxyError('origin_protocol_error', 'a field of the answer is not valid', { cause: error })
    }
    this.#headSent = true
    // the head of a stream must not wait for its first event; a small body of known length is on its way, and a head
    // that was all of the answer stays so: that is how gRPC tells a status from the metadata before one
    if (hasContent && !this.#isHead && (contentLength === undefined || contentLength > oneWriteBytes)) process.nextTick(flushHead, this)
  }

  flushHead(): void {
    if (this.#bytesFromOrigin === 0 && !this.#ended && !this.#response.destroyed) this.#response.flushHeaders()
  }

  onResponseData(controller: AnswerController, chunk: Buffer): void {
    this.#bytesFromOrigin += chunk.length
    // where trailers can still follow, the end is the origin's to say
    if (this.#bytesFromOrigin === this.#contentLength && !this.#response.chunkedEncoding) {
      this.#ended = true
      // as a string a small body leaves in one write with its head
      if (chunk.length <= oneWriteBytes) this.#response.end(chunk.toString('latin1'), 'latin1')
      else this.#response.end(chunk)
      return
    }
    if (!this.#response.write(chunk) && this.#response.writableLength > maxUnsentBytes) this.#waitForClient(controller)
  }

  onWholeText(text: string): void {
    this.#bytesFromOrigin += text.length
    this.#ended = true
    this.#response.end(text, 'latin1')
  }

  onResponseEnd(controller: AnswerController): void {
    this.#originDone = true
    if (!this.#ended) {
      this.#ended = true
      this.#addTrailers(controller)
      this.#response.end()
    }
    const connection = this.#connection
    this.#connection = undefined
    // undici closes a connection whose request body was still under way
    connection?.release()
    this.#body?.drain()
    if (this.#response.closed) this.#clientClosed()
  }

  onResponseError(_controller: AnswerController | null, error: Error): void {
    const connection = this.#connection
    this.#connection = undefined
    connection?.destroy()
    if (this.#settled) return
    if (this.#body?.clientLeft === true) this.#clientClosed()
    else if (this.#mayRetry(error, connection)) this.#take(true)
    else if (this.#mayOfferOther(error)) this.#take(false)
    else this.#fail(error)
  }

  // a kept-alive connection that its origin was just closing: once more, on a new one
  #mayRetry(error: Error, connection: OriginConnection | undefined): boolean {
    if (this.#attempts > 1 || this.#headSent) return false
    if (error instanceof StaleConnection) return this.#body === undefined || this.#body.bytes === 0
    return connection?.reused === true && !this.#answered && this.#body === undefined &&
      replayable.has(this.#parts.plan.method) && isConnectionFault(error)
  }

  // an origin that speaks another version only: nothing was sent yet
  #mayOfferOther(error: Error): boolean {
    const { plan: { pool }, protocols } = this.#parts
    const tls = this.#way?.tls
    if (tls === undefined || this.#hasDisagreed || !isNoCommonProtocol(error)) return false
    this.#hasDisagreed = true
    this.#attempts = 0
    if (!protocols.disagreed(pool.host, pool.port, tls.alpn)) return false
    this.#way = this.#findWay()
    return true
  }

  #addTrailers(controller: AnswerController): void {
    const raw = controller.rawTrailers
    if (!Array.isArray(raw) || raw.length === 0 || !this.#response.chunkedEncoding) return
    const passed = passableTrailers(rawStrings(raw))
    if (passed.length > 0) this.#response.addTrailers(passed)
  }

  #waitForClient(controller: AnswerController): void {
    controller.pause()
    this.#stall ??= setTimeout(() => this.#response.destroy(), this.#parts.options.clientStallMs).unref()
    if (this.#waitsForDrain) return
    this.#waitsForDrain = true
    this.#response.on('drain', () => {
      clearTimeout(this.#stall)
      this.#stall = undefined
      this.#controller?.resume()
    })
  }

  // the answer is out, or the client has gone
  #clientClosed(): void {
    clearTimeout(this.#stall)
    this.#cancelWait?.()
    if (this.#response.writableFinished && this.#ended) {
      // an answer whose end undici has not confirmed yet settles there
      if (this.#originDone) this.#finish('completed', undefined)
      return
    }
    this.#finish('client_closed', undefined)
    this.#body?.destroy()
    this.#connection?.destroy(new Error('the client left'))
  }

  #fail(error: unknown): void {
    if (this.#settled) return
    this.#finish('failed', originFault(error, this.#answered, this.#headSent))
    this.#body?.destroy()
    if (!this.#headSent) return
    // a client of HTTP/1.0 reads an orderly close as the end of the answer
    const socket = this.#response.socket
    if (this.#contentLength === undefined && !this.#response.chunkedEncoding && socket !== null) cutOff(socket)
    else this.#response.destroy()
  }

  #finish(outcome: ForwardResult['outcome'], error: ProxyError | undefined): void {
    if (this.#settled) return
    this.#settled = true
    clearTimeout(this.#stall)
    this.#parts.settle({
      outcome, error, status: this.#headSent ? this.#status : undefined, headSent: this.#headSent,
      bytesFromClient: this.#body?.bytes ?? 0, bytesFromOrigin: this.#bytesFromOrigin,
      peerAddress: this.#peerAddress,
    })
  }
}

function fieldsOf(controller: AnswerController): readonly string[] {
  return controller instanceof BareExchange ? controller.rawHeaders : rawStrings(controller.rawHeaders)
}

function flushHead(exchange: ForwardExchange): void {
  exchange.flushHead()
}

function ignoreReportedElsewhere(): void {
  // undici's own listener reports it
}
