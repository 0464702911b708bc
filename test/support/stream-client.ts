// One request inside TLS that ends at the proxy, in HTTP/1.1 or HTTP/2, and both of its bodies as streams: for what
// happens while bytes are under way.
import http from 'node:http'
import http2 from 'node:http2'
import type { Readable, Writable } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { carrierOf, secureTunnel } from './inside.ts'
import type { TestProxy } from './proxy.ts'
import type { Scope } from './scope.ts'

export const versions = ['HTTP/1.1', 'HTTP/2'] as const
export type Version = (typeof versions)[number]

export interface StreamAnswer {
  readonly status: number
  readonly fields: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly body: Readable
  /** trailer fields, once the body has ended */
  trailers(): Readonly<Record<string, string | readonly string[] | undefined>>
}

export interface StreamRequest {
  /** of the request; ended already where it has none */
  readonly body: Writable
  /** rejects when the request breaks off before an answer */
  readonly answer: Promise<StreamAnswer>
  /** ends or breaks off, whichever comes */
  readonly closed: Promise<void>
  /** takes it back: of HTTP/1.1 by a reset of the connection, of HTTP/2 by one of the stream */
  reset(): void
}

export interface StreamAsk {
  readonly path: string
  readonly method?: string
  readonly fields?: Readonly<Record<string, string>>
  /** default: GET has none */
  readonly hasBody?: boolean
}

export type StreamClient = (ask: StreamAsk) => StreamRequest

/** A connection of its own, on which one request is made at a time. */
export async function streamClient(t: Scope, proxy: Pick<TestProxy, 'dir' | 'port'>, authority: string, version: Version): Promise<StreamClient> {
  const secured = await secureTunnel(t, proxy, authority, { protocols: [version === 'HTTP/2' ? 'h2' : 'http/1.1'] })
  if (version === 'HTTP/1.1') {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    agent.createConnection = () => secured
    return (ask) => http1Request({ secured, agent, authority }, ask)
  }
  const session = http2.connect(`https://${authority}`, { createConnection: () => secured })
  session.on('error', ignoreToldByStreams)
  t.teardown(() => session.destroy())
  return (ask) => http2Request(session, ask)
}

function ignoreToldByStreams(): void {
  // every stream of the connection hears of it
}

interface Http1Connection {
  readonly secured: TLSSocket
  readonly agent: http.Agent
  readonly authority: string
}

function http1Request({ secured, agent, authority }: Http1Connection, { path, method = 'GET', fields = {}, hasBody = method !== 'GET' }: StreamAsk): StreamRequest {
  const request = http.request({ agent, path, method, headers: { Host: authority, ...fields } })
  request.on('error', ignoreToldByStreams)
  const closed = new Promise<void>((resolve) => request.on('close', () => resolve()))
  const answer = new Promise<StreamAnswer>((resolve, reject) => {
    request.on('response', (response) => {
      response.on('error', ignoreToldByStreams)
      resolve({ status: response.statusCode ?? 0, fields: response.headers, body: response, trailers: () => response.trailers })
    })
    request.on('error', reject)
  })
  answer.catch(ignoreToldByStreams)
  if (!hasBody) request.end()
  return { body: request, answer, closed, reset: () => carrierOf(secured).resetAndDestroy() }
}

function http2Request(session: http2.ClientHttp2Session, { path, method = 'GET', fields = {}, hasBody = method !== 'GET' }: StreamAsk): StreamRequest {
  const stream = session.request({ ':path': path, ':method': method, ...fields }, { endStream: !hasBody })
  stream.on('error', ignoreToldByStreams)
  const closed = new Promise<void>((resolve) => stream.on('close', () => resolve()))
  let trailers: http2.IncomingHttpHeaders = {}
  stream.on('trailers', (given) => (trailers = given))
  const answer = new Promise<StreamAnswer>((resolve, reject) => {
    stream.on('response', (given) => resolve({ status: given[':status'] ?? 0, fields: given, body: stream, trailers: () => trailers }))
    stream.on('error', reject)
    stream.on('close', () => reject(new Error(`the stream closed with ${stream.rstCode}`)))
  })
  answer.catch(ignoreToldByStreams)
  return { body: stream, answer, closed, reset: () => stream.close(http2.constants.NGHTTP2_CANCEL) }
}
