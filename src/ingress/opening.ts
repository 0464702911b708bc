// The first bytes of a tunnel: read while the proxy still resolves and dials, judged before any of them
// is relayed. In a tunnel to a name they must be a TLS hello whose server name is the CONNECT host.
import type { Socket } from 'node:net'
import type { ErrorCode } from '../errors.ts'
import type { Host } from '../target/host.ts'
import { ClientHelloReader, sniEquals, type HelloResult } from './client-hello.ts'

export type Expectation = 'tls' | 'ssh' | 'any'

export type Finding =
  | { readonly ok: true }
  | { readonly ok: false; readonly code: ErrorCode; readonly reason: string }

const sshPrefix = 'SSH-'
const fine: Finding = { ok: true }

/** Reads the client's side until the opening is judged. Listens from the start, so that a client that
 * leaves early is noticed while the proxy dials. */
export class TunnelOpening {
  readonly #socket: Socket
  readonly #host: Host
  readonly #expectation: Expectation
  readonly #chunks: Uint8Array[] = []
  readonly #hello: ClientHelloReader
  readonly #maxBytes: number
  #bytes = 0
  #finding: Finding | undefined
  #isLeft = false
  #timer: NodeJS.Timeout | undefined
  #decide: ((finding: Finding) => void) | undefined
  readonly #onLeft: () => void
  readonly #onData = (chunk: Uint8Array): void => this.#take(chunk)
  readonly #onEnd = (): void => this.#leave()

  constructor(socket: Socket, options: { readonly host: Host; readonly expectation: Expectation; readonly maxBytes: number; readonly onLeft: () => void }) {
    this.#socket = socket
    this.#host = options.host
    this.#expectation = options.expectation
    this.#maxBytes = options.maxBytes
    this.#hello = new ClientHelloReader(options.maxBytes)
    this.#onLeft = options.onLeft
    if (options.expectation === 'any') this.#finding = fine
    socket.on('data', this.#onData)
    socket.on('end', this.#onEnd)
    socket.on('close', this.#onEnd)
  }

  get isLeft(): boolean {
    return this.#isLeft
  }

  /** Bytes that came with the CONNECT itself. */
  early(head: Uint8Array): void {
    if (head.length > 0) this.#take(head)
  }

  /** The judgement; `hello_timeout` when the client stays silent or slow. */
  judged(timeoutMs: number): Promise<Finding> {
    if (this.#finding !== undefined) return Promise.resolve(this.#finding)
    return new Promise((resolve) => {
      this.#decide = resolve
      this.#timer = setTimeout(() => this.#conclude(bad('hello_timeout', 'the tunnel did not start in time')), timeoutMs)
    })
  }

  /** Stops reading and hands over what was read, for the relay to send first. The socket is paused. */
  release(): Uint8Array {
    clearTimeout(this.#timer)
    this.#socket.pause()
    this.#socket.off('data', this.#onData)
    this.#socket.off('end', this.#onEnd)
    this.#socket.off('close', this.#onEnd)
    const [only] = this.#chunks
    return this.#chunks.length === 1 && only !== undefined ? only : Buffer.concat(this.#chunks)
  }

  #take(chunk: Uint8Array): void {
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
    if (this.#finding === undefined) {
      const finding = this.#expectation === 'ssh' ? this.#judgeSsh() : judgeHello(this.#hello.push(chunk), this.#host)
      if (finding !== undefined) this.#conclude(finding)
    }
    // judged already, or eager bytes behind the hello: wait for the relay to take over
    if (this.#finding !== undefined && this.#bytes >= this.#maxBytes) this.#socket.pause()
  }

  #judgeSsh(): Finding | undefined {
    const text = Buffer.concat(this.#chunks).toString('latin1', 0, sshPrefix.length)
    if (text === sshPrefix) return fine
    if (sshPrefix.startsWith(text)) return undefined
    return bad('not_raw_protocol', `the rule of ${this.#host.text} allows ssh and the tunnel does not start with SSH-`)
  }

  #conclude(finding: Finding): void {
    if (this.#finding !== undefined) return
    this.#finding = finding
    clearTimeout(this.#timer)
    this.#decide?.(finding)
  }

  #leave(): void {
    this.#isLeft = true
    this.#conclude(bad('hello_timeout', 'the client left before the tunnel started'))
    this.#onLeft()
  }
}

function judgeHello(result: HelloResult, host: Host): Finding | undefined {
  if (result.kind === 'need-more') return undefined
  if (result.kind === 'refused') return bad(result.code, `the tunnel to ${host.text} is refused: ${result.detail}`)
  const { serverName } = result
  if (host.kind === 'ip') {
    return serverName === undefined ? fine : bad('name_mismatch', `the TLS hello names a server and the CONNECT host is the address ${host.text}`)
  }
  if (serverName === undefined) return bad('sni_missing', `the TLS hello names no server and the CONNECT host is ${host.text}`)
  return sniEquals(serverName, host) ? fine : bad('name_mismatch', `the TLS hello names another server than the CONNECT host ${host.text}`)
}

function bad(code: ErrorCode, reason: string): Finding {
  return { ok: false, code, reason }
}
