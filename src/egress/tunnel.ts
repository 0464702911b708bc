// The opaque relay: joins an accepted client socket and an origin socket until both directions have
// ended. Bytes pass unread and unchanged, a half-close passes as a half-close, a reset as a reset. Must
// never buffer more than one read per direction, nor leave one side open when the other has failed.
import type { Socket } from 'node:net'
import type { Deadline, Deadlines } from '../deadlines.ts'
import { cutOff } from './cut-off.ts'
import type { ReadPump } from './read-pump.ts'

export interface TunnelOptions {
  /** accepted, half-open allowed */
  readonly client: Socket
  /** half-open allowed; best dialled with `download.onread` */
  readonly origin: Socket
  /** from the client, already judged; they go to the origin first */
  readonly firstBytes: Uint8Array
  /** `ms` without a byte in either direction, and up to a quarter more; 0 never */
  readonly idleTimeoutMs: number
  /** in which idleness is looked for */
  readonly deadlines: Deadlines
  /** reads the client; what it holds is relayed after `firstBytes` */
  readonly upload: ReadPump
  /** reads the origin; made before the dial */
  readonly download: ReadPump
}

const looks = 4

/** `closed`: both sides ended in order; the others name what ended it. */
export type TunnelEnd = 'closed' | 'client_reset' | 'origin_reset' | 'idle' | 'aborted'

export interface TunnelResult {
  /** `firstBytes` included */
  readonly bytesFromClient: number
  readonly bytesFromOrigin: number
  readonly end: TunnelEnd
}

export interface TunnelHandle {
  /** settles when both sockets are closed; never rejects */
  readonly done: Promise<TunnelResult>
  /** closes both sides at once; the result says `aborted` */
  abort(): void
}

/** Starts the relay. Both sockets belong to it from here on. */
export function relay(options: TunnelOptions): TunnelHandle {
  return new Tunnel(options)
}

class Tunnel implements TunnelHandle {
  readonly done: Promise<TunnelResult>
  readonly #resolve: (result: TunnelResult) => void
  readonly #client: Socket
  readonly #origin: Socket
  readonly #download: ReadPump
  readonly #upload: ReadPump
  readonly #idleTimeoutMs: number
  readonly #deadlines: Deadlines
  #deadline: Deadline | undefined
  #quietLooks = 0
  #seenBytes = -1
  readonly #firstBytes: number
  #end: TunnelEnd | undefined
  #clientEnded = false
  #originEnded = false
  #closed = 0

  constructor(options: TunnelOptions) {
    const { promise, resolve } = Promise.withResolvers<TunnelResult>()
    this.done = promise
    this.#resolve = resolve
    this.#client = options.client
    this.#origin = options.origin
    this.#download = options.download
    this.#upload = options.upload
    this.#idleTimeoutMs = options.idleTimeoutMs
    this.#deadlines = options.deadlines
    this.#firstBytes = options.firstBytes.length
    this.#watch()
    this.#start(options)
  }

  abort(): void {
    this.#fail('aborted')
  }

  #watch(): void {
    const client = this.#client
    const origin = this.#origin
    client.allowHalfOpen = true
    origin.allowHalfOpen = true
    client.setNoDelay(true)
    origin.setNoDelay(true)
    client.on('error', () => this.#fail('client_reset'))
    origin.on('error', () => this.#fail('origin_reset'))
    client.on('end', () => this.#clientEnd())
    origin.on('end', () => this.#originEnd())
    client.once('close', () => this.#close('client_reset'))
    origin.once('close', () => this.#close('origin_reset'))
    if (this.#idleTimeoutMs > 0) this.#look()
  }

  /** Four looks in a row that saw nothing move are the limit: a timer that every byte winds up costs each byte. */
  #look(): void {
    const bytes = this.#upload.bytes + this.#download.bytes
    this.#quietLooks = bytes === this.#seenBytes ? this.#quietLooks + 1 : 0
    this.#seenBytes = bytes
    if (this.#quietLooks >= looks) this.#fail('idle')
    else this.#deadline = this.#deadlines.in(this.#idleTimeoutMs / looks, () => this.#look())
  }

  #start(options: TunnelOptions): void {
    const { client, origin, firstBytes } = options
    if (client.destroyed || origin.destroyed) {
      this.#startDead()
      return
    }
    if (firstBytes.length > 0) origin.write(firstBytes)
    this.#upload.start(client, origin)
    this.#download.start(origin, client)
    if (client.readableEnded) this.#clientEnd()
    if (origin.readableEnded) this.#originEnd()
  }

  // a socket that is already closed emits nothing any more
  #startDead(): void {
    const end = this.#client.destroyed ? 'client_reset' : 'origin_reset'
    for (const socket of [this.#client, this.#origin]) {
      if (socket.closed) this.#closed += 1
    }
    this.#fail(end)
    if (this.#closed === 2) this.#finish()
  }

  #clientEnd(): void {
    if (this.#clientEnded) return
    this.#clientEnded = true
    this.#endWriting(this.#origin)
  }

  #originEnd(): void {
    if (this.#originEnded) return
    this.#originEnded = true
    this.#endWriting(this.#client)
  }

  /** When both have ended and all is handed to the kernel, closing says it in one call. */
  #endWriting(socket: Socket): void {
    if (this.#clientEnded && this.#originEnded && socket.writableLength === 0) socket.destroy()
    else socket.end()
  }

  #fail(end: TunnelEnd): void {
    if (this.#end === undefined) this.#end = end
    const reset = end === 'client_reset' || end === 'origin_reset'
    for (const socket of [this.#client, this.#origin]) {
      if (socket.destroyed) continue
      if (reset) cutOff(socket)
      else socket.destroy()
    }
  }

  #close(otherwise: TunnelEnd): void {
    this.#closed += 1
    if (this.#closed === 2) {
      this.#finish()
    } else if (!this.#clientEnded || !this.#originEnded) {
      this.#fail(otherwise)
    }
  }

  #finish(): void {
    if (this.#deadline !== undefined) this.#deadlines.cancel(this.#deadline)
    this.#upload.stop()
    this.#download.stop()
    this.#resolve({
      bytesFromClient: this.#firstBytes + this.#upload.bytes,
      bytesFromOrigin: this.#download.bytes,
      end: this.#end ?? 'closed',
    })
  }
}
