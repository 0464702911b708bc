// A TLS server of a test's own whose sockets the HTTP/2 leg speaks on, with a door of the test's own behind
// it, and the clients that such a test needs.
import { once } from 'node:events'
import http2, { type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2'
import tls, { type TLSSocket } from 'node:tls'
import type { AddressInfo } from 'node:net'
import { systemClock } from '../../src/clock.ts'
import { Deadlines } from '../../src/deadlines.ts'
import { ReadBuffers } from '../../src/egress/read-buffers.ts'
import type { Admitted } from '../../src/gate/admitted.ts'
import type { Malformed } from '../../src/gate/exchange.ts'
import { RequestIds } from '../../src/gate/request-id.ts'
import { ClientConnection } from '../../src/ingress/client-connections.ts'
import type { IngressLimits } from '../../src/ingress/context.ts'
import { createHttp2Leg, type Http2Leg } from '../../src/ingress/http2-leg.ts'
import type { Http2Context } from '../../src/ingress/http2-session.ts'
import type { PlainArrival } from '../../src/ingress/plain.ts'
import { testCertificates } from './certificates.ts'
import { FrameReader, preface, replyTo, settings } from './http2-frames.ts'
import type { Scope } from './scope.ts'

export const http2Name = 'origin.test'

export interface Refused {
  readonly code: string
  readonly detail: string
  readonly about: Malformed
}

export interface RawHttp2 {
  readonly socket: TLSSocket
  readonly reader: FrameReader
  send(...frames: readonly Uint8Array[]): void
}

export interface Http2World {
  readonly port: number
  readonly url: string
  readonly ca: string
  readonly leg: Http2Leg
  /** what was journaled as malformed, in order */
  readonly refused: readonly Refused[]
  /** waits until so many were */
  refusals(count: number): Promise<readonly Refused[]>
  readonly faults: readonly unknown[]
  /** what came to the door */
  readonly arrivals: readonly PlainArrival[]
  connect(options?: http2.SecureClientSessionOptions): ClientHttp2Session
  /** the preface and `first` are sent already; settings and PINGs are answered */
  raw(...first: readonly Uint8Array[]): Promise<RawHttp2>
  /** nothing is sent or answered */
  bare(): Promise<RawHttp2>
}

export const http2Limits: IngressLimits = {
  headerBytes: 16_384, headerCount: 200, headersTimeoutMs: 10_000, requestTimeoutMs: 60_000, keepAliveTimeoutMs: 60_000, urlBytes: 8192,
  tunnelIdleMs: 300_000, originTimeoutMs: 60_000, helloTimeoutMs: 5_000, helloBytes: 16_384,
}

/** What a connection of the world is inside of, and who judges what is malformed on it. */
export interface Http2Inside {
  readonly bound: Admitted
  readonly gate: Http2Context['gate']
}

export async function startHttp2(t: Scope, door: (arrival: PlainArrival) => Promise<void> | void, limits: Partial<IngressLimits> = {}, inside?: Http2Inside): Promise<Http2World> {
  const refused: Refused[] = []
  const faults: unknown[] = []
  const arrivals: PlainArrival[] = []
  const waiting: (() => void)[] = []
  const plain = contextOf({ ...http2Limits, ...limits }, refused, faults, () => waiting.splice(0).forEach((resolve) => resolve()))
  const context = inside === undefined ? plain : { ...plain, gate: inside.gate }
  const leg = createHttp2Leg(context, {
    serve: async (arrival) => {
      arrivals.push(arrival)
      await door(arrival)
    },
  })
  const authority = await testCertificates()
  const server = tls.createServer({ ...(await authority.issue([http2Name, '127.0.0.1'])), ALPNProtocols: ['h2'] }, (socket) => {
    socket.on('error', () => socket.destroy())
    const client = { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0, advisory: true }
    const connection = new ClientConnection(socket, client, context)
    connection.bound = inside?.bound
    leg.accept(socket, connection)
  })
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const ends: (() => void)[] = []
  t.teardown(async () => {
    for (const end of ends) end()
    leg.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  const open = async (isPolite: boolean): Promise<RawHttp2> => {
    const socket = tls.connect({ port, host: '127.0.0.1', ca: authority.ca, servername: http2Name, ALPNProtocols: ['h2'] })
    ends.push(() => socket.destroy())
    socket.setNoDelay()
    const reader = new FrameReader(socket, (frame) => {
      const reply = isPolite ? replyTo(frame) : undefined
      if (reply !== undefined && socket.writable) socket.write(reply)
    })
    await once(socket, 'secureConnect')
    return { socket, reader, send: (...frames) => socket.write(Buffer.concat(frames)) }
  }
  return {
    port, url: `https://${http2Name}:${port}`, ca: authority.ca, leg, refused, faults, arrivals,
    bare: () => open(false),
    refusals: async (count) => {
      while (refused.length < count) await new Promise<void>((resolve) => waiting.push(resolve))
      return refused
    },
    connect: (options = {}) => {
      const session = http2.connect(`https://127.0.0.1:${port}`, { ca: authority.ca, servername: http2Name, ...options })
      session.on('error', () => session.destroy())
      ends.push(() => session.destroy())
      return session
    },
    raw: async (...first) => {
      const client = await open(true)
      client.send(preface, settings(), ...first)
      return client
    },
  }
}

function contextOf(limits: IngressLimits, refused: Refused[], faults: unknown[], changed: () => void): Http2Context {
  const clock = systemClock
  return {
    limits, clock, deadlines: new Deadlines(clock, 5), idleDeadlines: new Deadlines(clock, 5), ids: new RequestIds(clock), buffers: new ReadBuffers(),
    onFault: (error) => faults.push(error),
    gate: {
      refuseMalformed: async (about, code, detail) => {
        refused.push({ code, detail, about })
        changed()
        return { kind: 'refusal', code, reason: detail, host: '', rule: undefined, requestId: about.id }
      },
      ended: () => undefined,
    },
  }
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  readonly trailers: IncomingHttpHeaders
  /** RFC 9113 section 7, by number: how the stream was closed */
  readonly code: number
  readonly isBroken: boolean
}

/** Sends a request and reads its answer to the end of its stream. */
export async function ask(session: ClientHttp2Session, fields: OutgoingHttpHeaders = {}, body?: string | Uint8Array): Promise<Answer> {
  const stream = session.request({ ':authority': http2Name, ...fields }, { endStream: body === undefined })
  if (body !== undefined) stream.end(body)
  return answerOf(stream)
}

export async function answerOf(stream: ClientHttp2Stream): Promise<Answer> {
  const chunks: Buffer[] = []
  let headers: IncomingHttpHeaders & { ':status'?: number | undefined } = {}
  let trailers: IncomingHttpHeaders = {}
  let isBroken = false
  stream.on('response', (fields) => {
    headers = fields
  })
  stream.on('trailers', (fields) => {
    trailers = fields
  })
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  stream.on('error', () => {
    isBroken = true
  })
  await new Promise<void>((resolve) => stream.on('close', () => resolve()))
  return { status: headers[':status'] ?? 0, headers, body: Buffer.concat(chunks), trailers, code: stream.rstCode, isBroken: isBroken || stream.rstCode !== 0 }
}

/** A body read to its end, or as far as it came. */
export async function bodyOf({ request }: PlainArrival): Promise<Buffer> {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  await new Promise<void>((resolve) => {
    request.on('end', () => resolve())
    request.on('close', () => resolve())
  })
  return Buffer.concat(chunks)
}
