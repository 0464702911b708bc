// An HTTP/2 origin made of single frames, for what no library would say. It reads requests only as far as to
// know that they are there.
import tls from 'node:tls'
import type { Issued } from '../support/certificates.ts'
import { listen, type Closable } from './wire.ts'

export const frameType = { data: 0, headers: 1, reset: 3, settings: 4, push: 5, ping: 6, goaway: 7, window: 8, continuation: 9, altsvc: 10 } as const
export const flag = { endStream: 1, ack: 1, endHeaders: 4 } as const

export function frame(type: number, flags: number, stream: number, payload: Buffer | string = ''): Buffer {
  const body = typeof payload === 'string' ? Buffer.from(payload, 'latin1') : payload
  const head = Buffer.alloc(9)
  head.writeUIntBE(body.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, body])
}

/** Fields as HPACK literals that are never indexed and not compressed (RFC 7541 section 6.2.3). */
export function fieldBlock(fields: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0x10]), literal(name), literal(value)]))
}

function literal(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1')
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes])
  const length = [127]
  let rest = bytes.length - 127
  for (; rest >= 128; rest >>= 7) length.push((rest & 127) | 128)
  return Buffer.concat([Buffer.from([...length, rest]), bytes])
}

export function headers(stream: number, fields: readonly (readonly [string, string])[], flags: number = flag.endHeaders): Buffer {
  return frame(frameType.headers, flags, stream, fieldBlock(fields))
}

export function data(stream: number, text: string | Buffer, flags = 0): Buffer {
  return frame(frameType.data, flags, stream, text)
}

export function reset(stream: number, code: number): Buffer {
  return frame(frameType.reset, 0, stream, uint32(code))
}

export function goaway(lastStream: number, code: number): Buffer {
  return frame(frameType.goaway, 0, 0, Buffer.concat([uint32(lastStream), uint32(code)]))
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

// bytes of what a client says first
const preface = 24

interface ReadFrame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

function firstFrame(bytes: Buffer): ReadFrame | undefined {
  if (bytes.length < 9) return undefined
  const length = bytes.readUIntBE(0, 3)
  if (bytes.length < 9 + length) return undefined
  return { type: bytes.readUInt8(3), flags: bytes.readUInt8(4), stream: bytes.readUInt32BE(5), payload: bytes.subarray(9, 9 + length) }
}

export interface RawHttp2 extends Closable {
  readonly port: number
  readonly connections: () => number
  /** of all connections, in order */
  readonly frames: readonly ReadFrame[]
}

/** Calls `answer` for each request that has begun; `index` counts them over all connections. */
export async function rawHttp2(issued: Pick<Issued, 'cert' | 'key'>, answer: (socket: tls.TLSSocket, stream: number, index: number) => void): Promise<RawHttp2> {
  const frames: ReadFrame[] = []
  let connections = 0
  let requests = 0
  const server = tls.createServer({ cert: issued.cert, key: issued.key, ALPNProtocols: ['h2'] }, (socket) => {
    connections += 1
    socket.on('error', () => {})
    socket.write(frame(frameType.settings, 0, 0))
    let pending = Buffer.alloc(0)
    let isGreeted = false
    socket.on('data', (chunk: Buffer) => {
      pending = Buffer.concat([pending, chunk])
      if (!isGreeted) {
        if (pending.length < preface) return
        isGreeted = true
        pending = pending.subarray(preface)
      }
      for (let read = firstFrame(pending); read !== undefined; read = firstFrame(pending)) {
        pending = pending.subarray(9 + read.payload.length)
        frames.push(read)
        if (read.type === frameType.settings && (read.flags & flag.ack) === 0) socket.write(frame(frameType.settings, flag.ack, 0))
        if (read.type !== frameType.headers || !socket.writable) continue
        requests += 1
        answer(socket, read.stream, requests - 1)
      }
    })
  })
  server.on('tlsClientError', () => {})
  const { port, close } = await listen(server)
  return { port, close, frames, connections: () => connections }
}
