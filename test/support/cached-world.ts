// An origin that counts, behind a rule that says `shared_cache`, and a client for each way a request can come in: read
// without node's parser, by it, inside TLS over HTTP/1.1, and over HTTP/2. What is said of the cache holds on all of them.
import http2 from 'node:http2'
import type http from 'node:http'
import { testCertificates } from './certificates.ts'
import { answerOf } from './http2-world.ts'
import { openInside, secureTunnel, type InsideOptions } from './inside.ts'
import { MemoryCacheStore } from './memory-cache-store.ts'
import { httpOrigin, tlsOrigin, type HttpOrigin } from './origins.ts'
import { startProxy, type TestProxy } from './proxy.ts'
import { openTunnel } from './raw-client.ts'
import type { Scope } from './scope.ts'
import { readAnswers, WireClient } from './wire-client.ts'

export const cachedHost = 'origin.test'
export const ways = ['bare', 'parser', 'inside', 'http2'] as const
export type Way = (typeof ways)[number]

export interface CachedAnswer {
  readonly status: number
  /** lower-case names; the values of a repeated field joined by `, ` */
  readonly fields: ReadonlyMap<string, string>
  readonly body: string
}

export interface Asking {
  readonly method?: string
  readonly fields?: Readonly<Record<string, string>>
  readonly body?: string
}

export interface CachedClient {
  ask(path: string, asking?: Asking): Promise<CachedAnswer>
  /** sends a request and leaves when its answer has begun */
  leaveWithin(path: string): Promise<void>
}

export interface CachedWorld {
  readonly origin: HttpOrigin
  readonly proxy: TestProxy
  readonly store: MemoryCacheStore
  readonly authority: string
  /** URL as the cache knows it */
  url(path: string): string
  client(): Promise<CachedClient>
}

export interface CachedOptions {
  /** further TOML of the rule */
  readonly rule?: string
  /** whole tables; ORIGIN stands for the authority */
  readonly more?: string
  readonly store?: MemoryCacheStore
}

export async function startCached(t: Scope, way: Way, answer?: http.RequestListener, { rule = '', more = '', store = new MemoryCacheStore() }: CachedOptions = {}): Promise<CachedWorld> {
  const isInside = way === 'inside' || way === 'http2'
  const certificates = await testCertificates()
  const origin = isInside ? await tlsOrigin(t, [cachedHost], certificates, answer) : await httpOrigin(t, answer)
  const authority = `${cachedHost}:${origin.port}`
  const policy = `[network]
unknown = "deny"

[[network.rules]]
id = "cached"
hosts = ["${authority}"]
local = ["127.0.0.1/32"]
${isInside ? 'origin_ca = ["roots.pem"]' : ''}
shared_cache = true
verdict = "allow"
${rule}
${more.replaceAll('ORIGIN', authority)}`
  const proxy = await startProxy(t, { policy, policies: { 'roots.pem': certificates.ca }, hosts: { [cachedHost]: '127.0.0.1' }, cacheStore: store })
  if (isInside) {
    // the root is made with the first CONNECT that needs it
    const first = await openTunnel(proxy.port, authority)
    first.socket.destroy()
  }
  return {
    origin, proxy, store, authority,
    url: (path) => `${isInside ? 'https' : 'http'}://${authority}${path}`,
    client: () => openClient(t, way, proxy, authority),
  }
}

/** `credentials`: value of Proxy-Authorization */
export async function openClient(t: Scope, way: Way, proxy: TestProxy, authority: string, credentials?: string): Promise<CachedClient> {
  const options = credentials === undefined ? {} : { credentials }
  if (way === 'http2') return openHttp2(t, proxy, authority, options)
  const client = way === 'inside' ? await openInside(t, proxy, authority, options) : await WireClient.open(proxy.port)
  t.teardown(() => client.socket.destroy())
  const root = way === 'inside' ? '' : `http://${authority}`
  // an empty line before a request is what its reader leaves to node's parser
  const before = way === 'parser' ? '\r\n' : ''
  const send = (path: string, { method = 'GET', fields = {}, body = '' }: Asking): void => {
    const lines = Object.entries({ ...(credentials === undefined || way === 'inside' ? {} : { 'Proxy-Authorization': credentials }), ...fields, ...(body === '' ? {} : { 'Content-Length': String(body.length) }) }).map(([name, value]) => `${name}: ${value}\r\n`).join('')
    client.send(`${before}${method} ${root}${path} HTTP/1.1\r\nHost: ${authority}\r\n${lines}\r\n${body}`)
  }
  let taken = 0
  return {
    ask: async (path, asking = {}) => {
      send(path, asking)
      const methods = [asking.method ?? 'GET']
      const rest = (received: string) => readAnswers(received.slice(taken), methods).find(({ status, isWhole }) => status >= 200 && isWhole)
      const answer = rest(await client.until((received) => rest(received) !== undefined))
      if (answer === undefined) throw new Error(`no whole answer to ${path}: ${client.received.slice(taken)}`)
      taken += answer.length
      return answer
    },
    leaveWithin: async (path) => {
      send(path, {})
      await client.until((received) => received.includes('\r\n\r\n'))
      client.reset()
    },
  }
}

async function openHttp2(t: Scope, proxy: TestProxy, authority: string, options: InsideOptions): Promise<CachedClient> {
  const socket = await secureTunnel(t, proxy, authority, { ...options, protocols: ['h2'] })
  const session = http2.connect(`https://${authority}`, { createConnection: () => socket })
  session.on('error', () => session.destroy())
  t.teardown(() => session.destroy())
  return {
    ask: async (path, { method = 'GET', fields = {}, body = '' } = {}) => {
      const stream = session.request({ ':path': path, ':method': method, ...fields }, { endStream: body === '' })
      if (body !== '') stream.end(body)
      const { status, headers, body: content } = await answerOf(stream)
      const named = Object.entries(headers).map(([name, value]) => [name, [value ?? ''].flat().join(', ')] as const)
      return { status, fields: new Map(named), body: content.toString('latin1') }
    },
    leaveWithin: async (path) => {
      const stream = session.request({ ':path': path })
      await new Promise<void>((resolve) => stream.once('response', () => resolve()))
      stream.close(http2.constants.NGHTTP2_CANCEL)
    },
  }
}
