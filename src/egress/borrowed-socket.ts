// A connection to an origin as undici wants one, over a socket that ReadPump reads: what was read already is read
// again, and a request that was written already is not written again. Must never swallow anything but that one
// request's head.
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import type { ReadPump } from './read-pump.ts'

const headEnd = Buffer.from('\r\n\r\n', 'latin1')

export class BorrowedSocket extends Duplex {
  readonly #socket: Socket
  readonly #pump: ReadPump
  #early: Buffer | undefined

  /** `early`: what was read of an answer, shown once its request seems written; undefined: none is under way. */
  constructor(socket: Socket, pump: ReadPump, early: Buffer | undefined) {
    super({ allowHalfOpen: true, highWaterMark: 64 * 1024 })
    this.#socket = socket
    this.#pump = pump
    this.#early = early
    pump.yield()
    if (early === undefined) this.#read()
    socket.on('end', () => this.push(null))
    socket.on('error', (error) => this.destroy(error))
    socket.on('close', () => this.destroy())
  }

  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress
  }

  override _read(): void {
    if (this.#early === undefined) this.#socket.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    const early = this.#early
    if (early === undefined) {
      this.#socket.write(chunk, callback)
      return
    }
    this.#early = undefined
    this.push(early)
    this.#read()
    const isHead = chunk.indexOf(headEnd) === chunk.length - headEnd.length
    callback(isHead ? null : new Error('what was written again is not the head of one request'))
  }

  #read(): void {
    this.#pump.listen(this.#socket, (chunk) => this.push(Buffer.from(chunk)))
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#socket.end(() => callback())
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#socket.destroy()
    callback(error)
  }
}
