// ClientHellos for tests: one recorded from the TLS stack of the runtime, and ones built field by field.
import { once } from 'node:events'
import { createServer } from 'node:net'
import { connect } from 'node:tls'
import type { ConnectionOptions } from 'node:tls'
import { listen } from '../egress/wire.ts'

/** The first flight of a real TLS client, exactly as it came over the wire. */
export async function recordHello(options: ConnectionOptions): Promise<Buffer> {
  const server = createServer()
  const { port, close } = await listen(server)
  const accepted = once(server, 'connection')
  const client = connect({ ...options, host: '127.0.0.1', port, rejectUnauthorized: true })
  client.on('error', () => client.destroy())
  const [socket] = await accepted
  let bytes = Buffer.alloc(0)
  while (bytes.length < 5 || bytes.length < 5 + bytes.readUInt16BE(3)) {
    const [chunk] = await once(socket, 'data')
    bytes = Buffer.concat([bytes, chunk])
  }
  client.destroy()
  close()
  await once(server, 'close')
  return bytes
}

function vector(size: 1 | 2 | 3, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts)
  const length = Buffer.alloc(size)
  length.writeUIntBE(body.length, 0, size)
  return Buffer.concat([length, body])
}

export function extension(type: number, body: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([type >> 8, type & 255]), vector(2, body)])
}

export interface NameEntry {
  readonly type?: number
  readonly name: string
}

/** A server_name extension with these entries; a well-behaved client sends one of type 0. */
export function serverNames(...entries: readonly NameEntry[]): Buffer {
  const list = entries.map(({ type = 0, name }) => Buffer.concat([Buffer.from([type]), vector(2, Buffer.from(name, 'latin1'))]))
  return extension(0, vector(2, ...list))
}

export function alpn(...protocols: readonly string[]): Buffer {
  return extension(16, vector(2, ...protocols.map((protocol) => vector(1, Buffer.from(protocol, 'latin1')))))
}

export interface HelloParts {
  readonly type?: number
  readonly version?: number
  readonly sessionId?: Uint8Array
  readonly ciphers?: Uint8Array
  readonly compression?: Uint8Array
  /** undefined: the hello ends before the extensions */
  readonly extensions?: readonly Uint8Array[] | undefined
  /** the bytes of the extensions field with its length, instead of `extensions` */
  readonly rawExtensions?: Uint8Array
  /** bytes inside the message after everything else */
  readonly trailing?: Uint8Array
}

/** A handshake message, without record headers. */
export function helloMessage(parts: HelloParts): Buffer {
  const version = parts.version ?? 0x0303
  const { rawExtensions, extensions, trailing = Buffer.alloc(0) } = parts
  const body = Buffer.concat([
    Buffer.from([version >> 8, version & 255]),
    Buffer.alloc(32, 7),
    vector(1, parts.sessionId ?? Buffer.alloc(32, 9)),
    vector(2, parts.ciphers ?? Buffer.from([0x13, 0x01, 0x13, 0x02])),
    vector(1, parts.compression ?? Buffer.from([0])),
    rawExtensions ?? (extensions === undefined ? Buffer.alloc(0) : vector(2, ...extensions)),
    trailing,
  ])
  return Buffer.concat([Buffer.from([parts.type ?? 1]), vector(3, body)])
}

/** The message in records of these payload sizes; the last takes what is left. */
export function records(message: Uint8Array, ...sizes: readonly number[]): Buffer {
  const out: Buffer[] = []
  let at = 0
  for (const size of [...sizes, Infinity]) {
    if (at >= message.length) break
    const payload = message.subarray(at, Math.min(at + size, message.length))
    out.push(record(payload))
    at += payload.length
  }
  return Buffer.concat(out)
}

export function record(payload: Uint8Array, type = 0x16, version = 0x0301): Buffer {
  return Buffer.concat([Buffer.from([type, version >> 8, version & 255]), vector(2, payload)])
}

/** A whole hello in one record, as `records(helloMessage(...))`. */
export function hello(...extensions: readonly Uint8Array[]): Buffer {
  return records(helloMessage({ extensions }))
}
