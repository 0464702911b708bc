// Moves bytes from a socket opened with `onread` to another socket: read into a buffer that is ours,
// written from there, read again. Nothing is read while a write is pending, so a slow receiver holds
// back its sender and memory stays flat. Must never arm a buffer that a pending write still needs.
import type { Socket } from 'node:net'
import { armSocket, type Onread } from './arm-socket.ts'
import type { ReadBuffers } from './read-buffers.ts'

// a read this large says that more is waiting: worth a private buffer that is written without a copy
const bulkBytes = 96 * 1024
// a private buffer that this many reads in a row left three quarters empty is given back
const thinReads = 4

/**
 * One direction of a tunnel. Made before the dial, because `onread` must be in the options of
 * net.connect; bytes that arrive before `start` are held, and reading stops until then.
 */
export class ReadPump {
  /** for the options of net.connect */
  readonly onread: Onread
  readonly #buffers: ReadBuffers
  #armed: Buffer<ArrayBuffer>
  #source: Socket | undefined
  #sink: Socket | undefined
  #held: Buffer[] = []
  #bytes = 0
  #thin = 0
  #pending = false
  #stopped = false
  // true once a socket reads through `onread`
  #bound = false

  constructor(buffers: ReadBuffers) {
    this.#buffers = buffers
    this.#armed = buffers.shared
    this.onread = {
      buffer: () => {
        this.#bound = true
        return this.#armed
      },
      callback: (bytes, buffer) => this.#read(bytes, buffer),
    }
  }

  /** bytes read so far */
  get bytes(): number {
    return this.#bytes
  }

  /**
   * Joins `source` to `sink`; what was read before goes first. A source that was not opened with
   * `onread` is armed with it now (`mayArm`), or is read through 'data' events. EOF is the caller's.
   */
  start(source: Socket, sink: Socket, mayArm = true): void {
    this.#source = source
    this.#sink = sink
    if (!this.#bound && !(mayArm && armSocket(source, this.onread))) {
      this.#startPlain(source, sink)
      return
    }
    const early = this.#takeEarly(source)
    if (early.length === 0 || this.#send(early, sink)) source.resume()
  }

  // what arrived through `onread` before, and what stands in the stream buffer of a paused socket
  #takeEarly(source: Socket): Buffer {
    const early = this.#held
    this.#held = []
    for (let chunk: unknown = source.read(); chunk instanceof Buffer; chunk = source.read()) {
      this.#bytes += chunk.length
      early.push(chunk)
    }
    return Buffer.concat(early)
  }

  #startPlain(source: Socket, sink: Socket): void {
    source.on('data', (chunk: Buffer) => {
      this.#bytes += chunk.length
      if (!sink.writable) return
      sink.write(chunk)
      // `write` answers false for every full read; only what the kernel did not take is back-pressure
      if (sink.writableLength > 0 && sink.writableNeedDrain) source.pause()
    })
    sink.on('drain', () => source.resume())
    source.resume()
  }

  /** Gives the private buffer back; nothing is relayed afterwards. Call when both sockets are closed. */
  stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#sink = undefined
    this.#held = []
    this.#release(!this.#pending)
  }

  #read(bytes: number, read: Uint8Array): boolean {
    this.#bytes += bytes
    const sink = this.#sink
    if (sink === undefined) {
      if (!this.#stopped) this.#held.push(Buffer.from(read.subarray(0, bytes)))
      return false
    }
    if (!sink.writable) return true
    if (read === this.#buffers.shared) return this.#fromShared(bytes, sink)
    return this.#fromPrivate(bytes, sink)
  }

  #fromShared(bytes: number, sink: Socket): boolean {
    const copy = Buffer.allocUnsafe(bytes)
    this.#buffers.shared.copy(copy, 0, 0, bytes)
    if (bytes >= bulkBytes) this.#armed = this.#buffers.borrow()
    return this.#send(copy, sink)
  }

  #fromPrivate(bytes: number, sink: Socket): boolean {
    const buffer = this.#armed
    if (!this.#send(buffer.subarray(0, bytes), sink)) return false
    this.#thin = bytes * 4 < buffer.length ? this.#thin + 1 : 0
    if (this.#thin >= thinReads) this.#release(true)
    return true
  }

  // true when the kernel took all of it, so that its memory is free and reading may go on
  #send(chunk: Buffer, sink: Socket): boolean {
    sink.write(chunk, this.#written)
    this.#pending = sink.writableLength > 0
    return !this.#pending
  }

  // called for every write, also for those that finished at once
  readonly #written = (): void => {
    if (!this.#pending || this.#sink === undefined || this.#sink.writableLength > 0) return
    this.#pending = false
    this.#source?.resume()
  }

  #release(reusable: boolean): void {
    const buffer = this.#armed
    this.#thin = 0
    if (buffer === this.#buffers.shared) return
    this.#armed = this.#buffers.shared
    this.#buffers.giveBack(buffer, reusable)
  }
}
