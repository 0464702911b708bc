// The first bytes of a tunnel: read while the proxy still resolves and dials, judged before any of them
// is relayed. In a tunnel to a name they must be a TLS hello whose server name is the CONNECT host.
import type { Socket } from 'node:net'
import type { ReadPump } from '../egress/read-pump.ts'
import type { Deadline, Deadlines } from '../deadlines.ts'
import type { ErrorCode } from '../errors.ts'
import type { Host } from '../target/host.ts'
import { ClientHelloReader, sniEquals, type HelloResult } from './client-hello.ts'

export type Expectation = 'tls' | 'ssh' | 'any'

export type Finding =
  | { readonly ok: true }
  | { readonly ok: false; readonly code: ErrorCode; readonly reason: string }

const sshPrefix = 'SSH-'
const fine: Finding = { ok: true }

export interface OpeningOptions {
  readonly host: Host
  readonly expectation: Expectation
  /** false: a hello that names no server is fine too; default true */
  readonly needsServerName?: boolean
  readonly maxBytes: number
  readonly deadlines: Deadlines
  readonly onLeft: () => void
}

/** Reads the client's side until the opening is judged. Listens from the start, so that a client that
 * leaves early is noticed while the proxy dials. */
export class TunnelOpening {
  readonly #socket: Socket
  readonly #upload: ReadPump
  readonly #options: OpeningOptions
  readonly #chunks: Buffer[] = []
  readonly #hello: ClientHelloReader
  #bytes = 0
  #finding: Finding | undefined
  #isLeft = false
  #deadline: Deadline | undefined
  #decide: ((finding: Finding) => void) | undefined
  readonly #onEnd = (): void => this.#leave()

  /** `early` came with the CONNECT itself; `upload` reads `socket`. */
  constructor(socket: Socket, upload: ReadPump, early: Buffer, options: OpeningOptions) {
    this.#socket = socket
    this.#upload = upload
    this.#options = options
    this.#hello = new ClientHelloReader(options.maxBytes)
    if (options.expectation === 'any') this.#finding = fine
    socket.on('end', this.#onEnd)
    socket.on('close', this.#onEnd)
    const isEnough = early.length > 0 && !this.#take(early)
    if (socket.destroyed || socket.readableEnded) this.#leave()
    else if (isEnough) socket.pause()
    else upload.listen(socket, (chunk) => this.#take(Buffer.from(chunk)))
  }

  get isLeft(): boolean {
    return this.#isLeft
  }

  /** The judgement; `hello_timeout` when the client stays silent or slow. */
  judged(timeoutMs: number): Promise<Finding> {
    if (this.#finding !== undefined) return Promise.resolve(this.#finding)
    return new Promise((resolve) => {
      this.#decide = resolve
      this.#deadline = this.#options.deadlines.in(timeoutMs, () => this.#conclude(bad('hello_timeout', 'the tunnel did not start in time')))
    })
  }

  /** Hands over what was read, for the relay to send first; what comes from now on is held. */
  release(): Uint8Array {
    this.#stopClock()
    this.#upload.yield()
    this.#socket.off('end', this.#onEnd)
    this.#socket.off('close', this.#onEnd)
    return this.#options.expectation === 'tls' ? this.#hello.bytes : Buffer.concat(this.#chunks)
  }

  /** False when enough has been read for now: the chunk is kept. */
  #take(chunk: Buffer): boolean {
    const finding = this.#judge(chunk)
    this.#bytes += chunk.length
    if (finding !== undefined) this.#conclude(finding)
    // judged already, or eager bytes behind the hello: wait for the relay to take over
    return this.#finding === undefined || this.#bytes < this.#options.maxBytes
  }

  #judge(chunk: Buffer): Finding | undefined {
    const { expectation, host, needsServerName = true } = this.#options
    if (expectation === 'tls') return judgeHello(this.#hello.push(chunk), host, needsServerName)
    this.#chunks.push(chunk)
    return expectation === 'ssh' && this.#finding === undefined ? this.#judgeSsh() : undefined
  }

  #judgeSsh(): Finding | undefined {
    const text = Buffer.concat(this.#chunks).toString('latin1', 0, sshPrefix.length)
    if (text === sshPrefix) return fine
    if (sshPrefix.startsWith(text)) return undefined
    return bad('not_raw_protocol', `the rule of ${this.#options.host.text} allows ssh and the tunnel does not start with SSH-`)
  }

  #conclude(finding: Finding): void {
    if (this.#finding !== undefined) return
    this.#finding = finding
    this.#stopClock()
    this.#decide?.(finding)
  }

  #stopClock(): void {
    if (this.#deadline !== undefined) this.#options.deadlines.cancel(this.#deadline)
    this.#deadline = undefined
  }

  #leave(): void {
    this.#isLeft = true
    this.#conclude(bad('hello_timeout', 'the client left before the tunnel started'))
    this.#options.onLeft()
  }
}

function judgeHello(result: HelloResult, host: Host, needsServerName: boolean): Finding | undefined {
  if (result.kind === 'need-more') return undefined
  if (result.kind === 'refused') return bad(result.code, `the tunnel to ${host.text} is refused: ${result.detail}`)
  const { serverName } = result
  if (host.kind === 'ip') {
    return serverName === undefined ? fine : bad('name_mismatch', `the TLS hello names a server and the CONNECT host is the address ${host.text}`)
  }
  if (serverName === undefined && !needsServerName) return fine
  if (serverName === undefined) return bad('sni_missing', `the TLS hello names no server and the CONNECT host is ${host.text}`)
  return sniEquals(serverName, host) ? fine : bad('name_mismatch', `the TLS hello names another server than the CONNECT host ${host.text}`)
}

function bad(code: ErrorCode, reason: string): Finding {
  return { ok: false, code, reason }
}
