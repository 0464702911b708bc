// HTTP/2 by the frame (RFC 9113 section 4, RFC 7541): for everything that a well-behaved client would never
// send, and for reading what is answered to it.
import type { Duplex } from 'node:stream'

export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')

export const frameTypes = {
  data: 0, headers: 1, priority: 2, rstStream: 3, settings: 4, pushPromise: 5, ping: 6, goaway: 7, windowUpdate: 8, continuation: 9,
} as const
export type FrameType = keyof typeof frameTypes

export const flags = { endStream: 0x1, ack: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const

/** RFC 9113 section 7, by number */
export const errorNames = [
  'NO_ERROR', 'PROTOCOL_ERROR', 'INTERNAL_ERROR', 'FLOW_CONTROL_ERROR', 'SETTINGS_TIMEOUT', 'STREAM_CLOSED', 'FRAME_SIZE_ERROR',
  'REFUSED_STREAM', 'CANCEL', 'COMPRESSION_ERROR', 'CONNECT_ERROR', 'ENHANCE_YOUR_CALM', 'INADEQUATE_SECURITY', 'HTTP_1_1_REQUIRED',
] as const

export type Field = readonly [name: string, value: string]

/** One frame, its length as it is or as `length` says. */
export function frame(type: FrameType | number, flag: number, stream: number, payload: Uint8Array = Buffer.alloc(0), length = payload.length): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(length, 0, 3)
  head[3] = typeof type === 'number' ? type : frameTypes[type]
  head[4] = flag
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** A field block of literals without indexing and without Huffman coding: whatever is in the fields is on the wire. */
export function fieldBlock(fields: readonly Field[]): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.of(0), text(name), text(value)]))
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1')
  return Buffer.concat([integer(bytes.length), bytes])
}

/** RFC 7541 section 5.1, with a prefix of seven bits */
function integer(value: number): Buffer {
  if (value < 127) return Buffer.of(value)
  const bytes = [127]
  let rest = value - 127
  for (; rest >= 128; rest >>= 7) bytes.push((rest & 127) | 128)
  return Buffer.of(...bytes, rest)
}

export function settings(values: Readonly<Record<number, number>> = {}): Buffer {
  const payload = Object.entries(values).map(([id, value]) => {
    const entry = Buffer.alloc(6)
    entry.writeUInt16BE(Number(id), 0)
    entry.writeUInt32BE(value, 2)
    return entry
  })
  return frame('settings', 0, 0, Buffer.concat(payload))
}

export function headers(stream: number, fields: readonly Field[], end = true): Buffer {
  return frame('headers', flags.endHeaders | (end ? flags.endStream : 0), stream, fieldBlock(fields))
}

export function continuation(stream: number, block: Uint8Array, end = false): Buffer {
  return frame('continuation', end ? flags.endHeaders : 0, stream, block)
}

export function data(stream: number, payload: string | Uint8Array, end = false): Buffer {
  return frame('data', end ? flags.endStream : 0, stream, typeof payload === 'string' ? Buffer.from(payload, 'latin1') : payload)
}

export function rstStream(stream: number, code: number): Buffer {
  return frame('rstStream', 0, stream, word(code))
}

export function windowUpdate(stream: number, by: number): Buffer {
  return frame('windowUpdate', 0, stream, word(by))
}

export function ping(): Buffer {
  return frame('ping', 0, 0, Buffer.alloc(8))
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** The four fields every request has, then `more`. */
export function requestFields(authority: string, path = '/', method = 'GET', more: readonly Field[] = []): Field[] {
  return [[':method', method], [':scheme', 'https'], [':authority', authority], [':path', path], ...more]
}

/** What every client answers at once: settings and PINGs; undefined for any other frame. */
export function replyTo({ type, flags: flag, payload }: Frame): Buffer | undefined {
  if ((flag & flags.ack) !== 0) return undefined
  if (type === 'settings') return frame('settings', flags.ack, 0)
  return type === 'ping' ? frame('ping', flags.ack, 0, payload) : undefined
}

export interface Frame {
  readonly type: FrameType | 'unknown'
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

const typeNames = Object.keys(frameTypes) as FrameType[]

/** Reads frames off a stream; what it is asked to wait for may be there already. */
export class FrameReader {
  readonly frames: Frame[] = []
  isClosed = false
  #rest: Buffer = Buffer.alloc(0)
  #looks: (() => void)[] = []
  readonly #seen: (frame: Frame) => void

  /** `seen` is called with each frame as it comes. */
  constructor(source: Duplex, seen: (frame: Frame) => void = () => undefined) {
    this.#seen = seen
    source.on('data', (chunk: Buffer) => this.#take(chunk))
    source.on('error', () => source.destroy())
    source.on('close', () => {
      this.isClosed = true
      this.#look()
    })
  }

  /** The first frame that fits; undefined when the connection closed without one. */
  async next(fits: (frame: Frame) => boolean): Promise<Frame | undefined> {
    for (;;) {
      const found = this.frames.find(fits)
      if (found !== undefined || this.isClosed) return found
      await new Promise<void>((resolve) => this.#looks.push(resolve))
    }
  }

  /** The error of the reset of a stream, by name; undefined when it was not reset. */
  async reset(stream: number): Promise<string | undefined> {
    const found = await this.next((each) => each.type === 'rstStream' && each.stream === stream)
    return found === undefined ? undefined : errorNames[found.payload.readUInt32BE(0)]
  }

  /** The error of the GOAWAY, by name; undefined when the connection closed without one. */
  async goaway(): Promise<string | undefined> {
    const found = await this.next((each) => each.type === 'goaway')
    return found === undefined ? undefined : errorNames[found.payload.readUInt32BE(4)]
  }

  async closed(): Promise<void> {
    while (!this.isClosed) await new Promise<void>((resolve) => this.#looks.push(resolve))
  }

  #take(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    for (;;) {
      if (this.#rest.length < 9) break
      const end = 9 + this.#rest.readUIntBE(0, 3)
      if (this.#rest.length < end) break
      const read: Frame = {
        type: typeNames[this.#rest[3] ?? 255] ?? 'unknown',
        flags: this.#rest[4] ?? 0,
        stream: this.#rest.readUInt32BE(5) & 0x7fffffff,
        payload: Buffer.from(this.#rest.subarray(9, end)),
      }
      this.frames.push(read)
      this.#rest = this.#rest.subarray(end)
      this.#seen(read)
    }
    this.#look()
  }

  #look(): void {
    for (const resolve of this.#looks.splice(0)) resolve()
  }
}
