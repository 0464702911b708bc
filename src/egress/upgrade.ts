// WebSocket (RFC 6455), plain and inside TLS on either side: the handshake goes to the origin alone, and only after its 101
// with the right Sec-WebSocket-Accept do the sockets become a tunnel. Any other answer is passed on as an
// answer and the connection closes. Must never relay a byte behind the handshake before that 101
// (Pingora CVE-2026-2833).
import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Dispatcher } from 'undici'
import type { Deadlines } from '../deadlines.ts'
import { ProxyError } from '../errors.ts'
import type { FieldChange } from '../policy/decision.ts'
import { cutOff } from './cut-off.ts'
import { editFor, setNames, type Credentials, type RequestEdit } from './field-changes.ts'
import { checkConnectionField, rawStrings, requestFields, responseFields, safeReason } from './field-rules.ts'
import type { ConnectOrigin, HttpsOrigin } from './forward.ts'
import { UndiciOrigin } from './undici-origin.ts'
import { originFault } from './origin-fault.ts'
import type { ReadBuffers } from './read-buffers.ts'
import { ReadPump } from './read-pump.ts'
import { relay, type TunnelHandle } from './tunnel.ts'

const maxInformational = 10
const acceptSuffix = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

export interface UpgradeOptions {
  readonly request: IncomingMessage
  /** the client's socket, perhaps a TLSSocket, no longer the server's; it belongs to the upgrade until the promise settles */
  readonly client: Socket
  /** what came behind the handshake; it reaches the origin after the 101 or never */
  readonly head: Uint8Array
  /** origin-form, exactly as matched */
  readonly path: string
  /** value of Host */
  readonly authority: string
  /** called with `tls` exactly when that is given here; HTTP/1.1 is all that is offered then */
  readonly connect: ConnectOrigin
  /** absent: plain http */
  readonly tls?: HttpsOrigin | undefined
  /** what rules strip from the handshake's fields and set in them */
  readonly fieldChanges?: readonly FieldChange[] | undefined
  /** absent: a rule that adds a credential fails the upgrade */
  readonly credentials?: Credentials | undefined
  readonly pseudonym: string
  readonly originTimeoutMs: number
  readonly maxResponseHeaderBytes: number
  readonly idleTimeoutMs: number
  readonly idleDeadlines: Deadlines
  /** reads the client */
  readonly upload: ReadPump
  readonly buffers: ReadBuffers
}

/**
 * `tunnel`: the 101 is out and the relay runs. `answered`: another answer went out and the socket closes.
 * `failed`: nothing was written, the caller refuses with `error`. `client_closed`: nobody is left to answer.
 */
export type UpgradeResult =
  | { readonly kind: 'tunnel'; readonly handle: TunnelHandle; readonly peerAddress: string | undefined }
  | { readonly kind: 'answered'; readonly status: number; readonly bytesFromOrigin: number; readonly error: ProxyError | undefined; readonly peerAddress: string | undefined }
  | { readonly kind: 'failed'; readonly error: ProxyError }
  | { readonly kind: 'client_closed' }

/**
 * Checks the client's side of the handshake (RFC 6455 section 4.2.1): GET, HTTP/1.1, one `websocket`, one
 * key of 16 bytes, version 13, no content. Code `upgrade_unsupported`.
 */
export function checkHandshake(method: string, httpVersion: string, rawHeaders: readonly string[]): ProxyError | undefined {
  if (method !== 'GET') return unsupported(`an upgrade by \`${method}\``)
  if (httpVersion !== '1.1') return unsupported(`an upgrade in HTTP/${httpVersion}`)
  if (only(rawHeaders, 'upgrade')?.toLowerCase() !== 'websocket') return unsupported('Upgrade is not one `websocket`')
  const key = only(rawHeaders, 'sec-websocket-key')
  if (key === undefined || !/^[A-Za-z0-9+/]{22}==$/.test(key)) return unsupported('Sec-WebSocket-Key is not one key of 16 bytes')
  if (only(rawHeaders, 'sec-websocket-version') !== '13') return unsupported('Sec-WebSocket-Version is not 13')
  if (all(rawHeaders, 'content-length').some((value) => value !== '0') || all(rawHeaders, 'transfer-encoding').length > 0) {
    return unsupported('an upgrade with content')
  }
  return undefined
}

/** Sends the handshake on and answers the client as the origin does. Never rejects. */
export function upgrade(options: UpgradeOptions): Promise<UpgradeResult> {
  const { promise, resolve } = Promise.withResolvers<UpgradeResult>()
  new Handshake(options, resolve).start()
  return promise
}

class Handshake implements Dispatcher.DispatchHandler {
  readonly #options: UpgradeOptions
  readonly #client: Socket
  readonly #resolve: (result: UpgradeResult) => void
  readonly #connection: UndiciOrigin
  #settled = false
  #answered = false
  #informational = 0
  #status: number | undefined
  #bytesFromOrigin = 0

  constructor(options: UpgradeOptions, resolve: (result: UpgradeResult) => void) {
    this.#options = options
    this.#client = options.client
    this.#resolve = resolve
    const settings = { keepAliveMs: 1, maxResponseHeaderBytes: options.maxResponseHeaderBytes }
    const { connect, tls } = options
    const way = tls === undefined ? {} : { tls: { alpn: ['http/1.1'] as const, trust: tls.trust } }
    this.#connection = new UndiciOrigin(() => connect(way), settings, {
      released: (connection) => connection.destroy(),
      gone: () => {
        // one connection, used once: there is nothing to keep account of
      },
    })
  }

  start(): void {
    const { request } = this.#options
    this.#client.on('error', this.#clientGone)
    this.#client.on('close', this.#clientGone)
    try {
      const refused = checkHandshake(request.method ?? '', request.httpVersion, request.rawHeaders)
      if (refused !== undefined) throw refused
      const edit = this.#editFields()
      if (edit instanceof Promise) edit.then((read) => this.#send(read), (error: unknown) => this.#fail(error))
      else this.#send(edit)
    } catch (error) {
      this.#fail(error)
    }
    if (this.#client.destroyed) this.#clientGone()
  }

  #editFields(): RequestEdit | undefined | Promise<RequestEdit> {
    const { request: { rawHeaders }, tls, fieldChanges = [], credentials } = this.#options
    const refused = fieldChanges.length === 0 ? undefined : checkConnectionField(rawHeaders, setNames(fieldChanges))
    if (refused !== undefined) throw refused
    const isVerified = tls !== undefined && tls.trust?.insecure !== true
    return editFor(fieldChanges, rawHeaders, { isVerified, isIntercepted: tls !== undefined, credentials })
  }

  #send(edit: RequestEdit | undefined): void {
    if (this.#settled) return
    const { request, path, authority, pseudonym, originTimeoutMs } = this.#options
    try {
      const { fields } = requestFields('GET', request.rawHeaders, authority, `1.1 ${pseudonym}`, edit)
      this.#connection.dispatch({
        method: 'GET', path, headers: fields, upgrade: 'websocket',
        headersTimeout: originTimeoutMs, bodyTimeout: originTimeoutMs,
      }, this)
    } catch (error) {
      this.#fail(error)
    }
  }

  onRequestStart(): void {
    // nothing to keep: the connection is ours alone, and is destroyed as a whole
  }

  onResponseStarted(): void {
    this.#answered = true
  }

  onRequestUpgrade(controller: Dispatcher.DispatchController, status: number, _fields: unknown, duplex: Duplex): void {
    if (!(duplex instanceof Socket)) {
      duplex.destroy()
      this.#fail(new ProxyError('internal_error', 'the origin connection is no socket'))
      return
    }
    const raw = rawStrings(controller.rawHeaders)
    const refused = this.#checkAnswer(status, raw)
    if (refused !== undefined || this.#settled) {
      duplex.destroy()
      this.#fail(refused)
      return
    }
    this.#writeHead(101, 'Switching Protocols', raw, ['Connection', 'Upgrade', 'Upgrade', 'websocket'])
    this.#client.off('error', this.#clientGone)
    this.#client.off('close', this.#clientGone)
    const { head, idleTimeoutMs, idleDeadlines, upload, buffers } = this.#options
    const handle = relay({ client: this.#client, origin: duplex, firstBytes: head, idleTimeoutMs, deadlines: idleDeadlines, upload, download: new ReadPump(buffers) })
    this.#settle({ kind: 'tunnel', handle, peerAddress: this.#connection.peerAddress })
  }

  // RFC 6455 section 4.1, what a client must demand of the answer
  #checkAnswer(status: number, raw: readonly string[]): ProxyError | undefined {
    const request = this.#options.request.rawHeaders
    if (status !== 101) return wrong(`an upgrade by status ${status}`)
    if (only(raw, 'upgrade')?.toLowerCase() !== 'websocket') return wrong('the 101 upgrades to something else')
    const options = all(raw, 'connection').join(',').toLowerCase().split(',').map((option) => option.trim())
    if (!options.includes('upgrade')) return wrong('Connection of the 101 lacks upgrade')
    const accept = createHash('sha1').update(`${only(request, 'sec-websocket-key') ?? ''}${acceptSuffix}`).digest('base64')
    if (only(raw, 'sec-websocket-accept') !== accept) return wrong('Sec-WebSocket-Accept of the 101 is wrong')
    const chosen = all(raw, 'sec-websocket-protocol')
    if (chosen.length === 0) return undefined
    const offered = all(request, 'sec-websocket-protocol').join(',').split(',').map((name) => name.trim())
    return chosen.length === 1 && offered.includes(chosen[0] ?? '') ? undefined : wrong('the 101 chose a subprotocol that was not offered')
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, _fields: unknown, reason?: string): void {
    if (status === 101) throw new ProxyError('origin_protocol_error', 'a 101 that upgrades to nothing')
    if (status < 100) throw new ProxyError('origin_protocol_error', `a status of ${status}`)
    if (status < 200) {
      this.#informational += 1
      if (this.#informational > maxInformational) throw new ProxyError('origin_protocol_error', 'too many interim answers')
      return
    }
    const raw = rawStrings(controller.rawHeaders)
    this.#status = status
    // delimited by its length or by the close
    this.#writeHead(status, safeReason(reason), raw, ['Connection', 'close'])
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytesFromOrigin += chunk.length
    if (this.#client.write(chunk) || this.#client.writableLength === 0) return
    controller.pause()
    this.#client.once('drain', () => controller.resume())
  }

  onResponseEnd(): void {
    this.#connection.destroy()
    this.#client.end()
    // what the client still sends is read and dropped until it closes too
    this.#options.upload.drop(this.#client)
    this.#client.setTimeout(5_000, () => this.#client.destroy())
    this.#answer(undefined)
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    this.#fail(error)
  }

  readonly #clientGone = (): void => {
    if (this.#settled) return
    this.#settle({ kind: 'client_closed' })
    this.#client.destroy()
    this.#connection.destroy(new Error('the client left'))
  }

  #writeHead(status: number, reason: string, raw: readonly string[], own: readonly string[]): void {
    const { fields } = responseFields(status, raw, `1.1 ${this.#options.pseudonym}`, this.#options.tls !== undefined)
    // the parser refuses these; were it to let one pass, a line break here would be a second answer
    if (fields.some((text) => /[\r\n\0]/.test(text))) throw new ProxyError('origin_protocol_error', 'a line break in a field')
    const lines = [`HTTP/1.1 ${status} ${reason}\r\n`]
    const named = [...own, ...fields]
    for (let i = 0; i + 1 < named.length; i += 2) lines.push(`${named[i]}: ${named[i + 1]}\r\n`)
    this.#client.write(`${lines.join('')}\r\n`, 'latin1')
  }

  #fail(error: unknown): void {
    this.#connection.destroy()
    if (this.#settled) return
    const fault = originFault(error, this.#answered, this.#status !== undefined)
    if (this.#status === undefined) {
      this.#settle({ kind: 'failed', error: fault })
      return
    }
    // without a length an orderly close would read as the end of the answer
    this.#answer(fault)
    cutOff(this.#client)
  }

  #answer(error: ProxyError | undefined): void {
    this.#settle({
      kind: 'answered', status: this.#status ?? 0, bytesFromOrigin: this.#bytesFromOrigin, error,
      peerAddress: this.#connection.peerAddress,
    })
  }

  #settle(result: UpgradeResult): void {
    if (this.#settled) return
    this.#settled = true
    if (result.kind === 'failed') {
      this.#client.off('error', this.#clientGone)
      this.#client.off('close', this.#clientGone)
    }
    this.#resolve(result)
  }
}

function unsupported(detail: string): ProxyError {
  return new ProxyError('upgrade_unsupported', detail)
}

function wrong(detail: string): ProxyError {
  return new ProxyError('origin_protocol_error', detail)
}

function all(rawHeaders: readonly string[], wanted: string): string[] {
  const values: string[] = []
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if ((rawHeaders[i] ?? '').toLowerCase() === wanted) values.push(rawHeaders[i + 1] ?? '')
  }
  return values
}

/** The value of a field that stands once; undefined when it is missing or repeated. */
function only(rawHeaders: readonly string[], wanted: string): string | undefined {
  const values = all(rawHeaders, wanted)
  return values.length === 1 ? values[0] : undefined
}
