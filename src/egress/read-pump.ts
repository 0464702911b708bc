// Reads one side of a tunnel: first to whoever tastes its beginning, then to the other side. An armed
// socket reads into a buffer that is ours, is written from there, and reads again. Nothing is read while a
// write is pending, so a slow receiver holds back its sender and memory stays flat. Must never arm a
// buffer that a pending write still needs.
import type { Socket } from 'node:net'
import { armSocket, disarmSocket, type Onread } from './arm-socket.ts'
import type { ReadBuffers } from './read-buffers.ts'

// a read this large says that more is waiting: worth a private buffer that is written without a copy
const bulkBytes = 96 * 1024
// a private buffer that this many reads in a row left three quarters empty is given back
const thinReads = 4

/** Takes a chunk, whose bytes are good until it returns; false stops the reading, of TLS behind what was decrypted with it. */
export type Taster = (chunk: Buffer) => boolean

const drop: Taster = () => true

/** Which sockets that were not opened with `onread` are read through it all the same, those of TLS for tasters alone; all
 * others are read through 'data' events. */
export type Arms = 'none' | 'plain' | 'plain and tls'

/**
 * The reading side of one socket. For an origin it is made before the dial, because `onread` must be in the
 * options of net.connect; bytes that nobody has asked for yet are held, and reading stops until then.
 */
export class ReadPump {
  /** for the options of net.connect */
  readonly onread: Onread
  readonly #buffers: ReadBuffers
  readonly #arms: Arms
  #armed: Buffer<ArrayBuffer>
  #source: Socket | undefined
  #sink: Socket | undefined
  #taste: Taster | undefined
  #held: Buffer[] = []
  #bytes = 0
  #thin = 0
  #pending = false
  #stopped = false
  // true once a socket reads through `onread`
  #bound = false
  // true while a socket is read through 'data' events
  #plain = false

  constructor(buffers: ReadBuffers, arms: Arms = 'plain') {
    this.#buffers = buffers
    this.#arms = arms
    this.#armed = buffers.shared
    this.onread = {
      buffer: () => {
        this.#bound = true
        return this.#armed
      },
      callback: (bytes, buffer) => this.#read(bytes, buffer),
    }
  }

  /** bytes relayed so far */
  get bytes(): number {
    return this.#bytes
  }

  /**
   * Reads `source` before there is anywhere to send it: each chunk goes to `taste`, what was held first,
   * and none of them is counted or relayed. EOF is the caller's.
   */
  listen(source: Socket, taste: Taster): void {
    this.#taste = taste
    this.#attach(source)
    for (let chunk = this.#held.shift(); chunk !== undefined; chunk = this.#held.shift()) if (!taste(chunk)) return
    source.resume()
  }

  /** As `listen`, for a socket that was just accepted, or that has been tasted since: it reads already. */
  listenFirst(source: Socket, taste: Taster): void {
    this.#taste = taste
    this.#attach(source)
    if (this.#plain) source.resume()
  }

  /**
   * Lets a reader of the socket's own stream have it, such as node's HTTP parser: `early` first, then what
   * was held, then what comes. Such a reader may read the handle itself; then nothing comes this way.
   */
  lend(source: Socket, early: Buffer): void {
    this.yield()
    const before = Buffer.concat([early, ...this.#held.splice(0)])
    if (before.length > 0) source.unshift(before)
    this.#taste = (chunk) => source.push(Buffer.from(chunk))
  }

  /** Tastes no more; what comes from now on is held, or stays in the stream of a socket that is not armed. */
  yield(): void {
    this.#taste = undefined
    const source = this.#source
    if (!this.#plain || source === undefined) return
    this.#plain = false
    source.off('data', this.#onData)
    source.pause()
  }

  /** Puts back what was just tasted, for whoever reads next, and pauses: a stream tells its end as soon as it is empty,
   * paused or not. False, and nothing changed, where the socket is read past its stream, or has ended. */
  putBack(chunk: Uint8Array): boolean {
    const source = this.#source
    if (!this.#plain || source === undefined || source.readableEnded || source.destroyed) return false
    source.pause()
    source.unshift(chunk)
    return true
  }

  /** Reads on and drops what comes, so that the end is seen. */
  drop(source: Socket): void {
    this.#sink = undefined
    this.listen(source, drop)
  }

  /** Joins `source` to `sink`; what was held goes first. EOF is the caller's. */
  start(source: Socket, sink: Socket): void {
    this.yield()
    // before there is a listener: a read would tell it the same bytes again
    const early = this.#takeEarly(source)
    this.#sink = sink
    this.#attach(source)
    if (this.#plain) sink.on('drain', () => source.resume())
    if (early.length === 0 || this.#send(early, sink)) source.resume()
  }

  /** Gives the private buffer back; nothing is relayed afterwards. Call when both sockets are closed. */
  stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#sink = undefined
    this.#taste = undefined
    this.#held = []
    this.#release(!this.#pending)
    if (this.#bound && this.#source !== undefined) disarmSocket(this.#source)
  }

  #attach(source: Socket): void {
    this.#source = source
    // a private buffer is written from where it was read to, and TLS would read into it again meanwhile
    const mayBeTls = this.#arms === 'plain and tls' && this.#sink === undefined
    if (this.#bound || this.#plain || (this.#arms !== 'none' && armSocket(source, this.onread, mayBeTls))) return
    this.#plain = true
    source.on('data', this.#onData)
  }

  readonly #onData = (chunk: Buffer): void => {
    const sink = this.#sink
    const source = this.#source
    if (sink === undefined) {
      if (!this.#tasted(chunk)) source?.pause()
      return
    }
    this.#bytes += chunk.length
    if (!sink.writable) return
    sink.write(chunk)
    // `write` answers false for every full read; only what the kernel did not take is back-pressure
    if (sink.writableLength > 0 && sink.writableNeedDrain) source?.pause()
  }

  #tasted(chunk: Buffer): boolean {
    if (this.#taste !== undefined) return this.#taste(chunk)
    if (!this.#stopped) this.#held.push(Buffer.from(chunk))
    return false
  }

  // what arrived through `onread` before, and what stands in the stream buffer of a paused socket
  #takeEarly(source: Socket): Buffer {
    const early = this.#held
    this.#held = []
    if (source.readableLength > 0) {
      for (let chunk: unknown = source.read(); chunk instanceof Buffer; chunk = source.read()) early.push(chunk)
    }
    if (early.length === 0) return nothing
    const whole = Buffer.concat(early)
    this.#bytes += whole.length
    return whole
  }

  #read(bytes: number, read: Uint8Array): boolean {
    const sink = this.#sink
    if (sink === undefined) return this.#tasted(this.#armed.subarray(0, bytes))
    this.#bytes += bytes
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

const nothing = Buffer.alloc(0)
