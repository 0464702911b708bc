// An https origin of HTTP/1.1 or of nothing but HTTP/2, whose answers a test writes by hand, and the proxy that ends TLS
// for it: for bodies that are under way.
import http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import type http from 'node:http'
import { once } from 'node:events'
import { testCertificates } from './certificates.ts'
import { tlsOrigin } from './origins.ts'
import type { Scope } from './scope.ts'
import { secureHost, startSecureProxy, type SecureProxy } from './secure-world.ts'
import { streamClient, type StreamClient, type Version } from './stream-client.ts'

export interface StreamWorld extends SecureProxy {
  open(version: Version): Promise<StreamClient>
  /** the end of the request for `path` */
  ended(path: string): Promise<Readonly<Record<string, unknown>>>
}

/** Breaks an answer off, as an origin that fails does. */
export function breakOff(response: http.ServerResponse | http2.Http2ServerResponse): void {
  if (response instanceof http2.Http2ServerResponse) response.stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR)
  else response.socket?.destroy()
}

/** `answer` is called as node's compatible interface of either version calls it. */
export async function startStreams(t: Scope, version: Version, answer: http.RequestListener): Promise<StreamWorld> {
  const certificates = await testCertificates()
  const port = version === 'HTTP/1.1' ? (await tlsOrigin(t, [secureHost], certificates, answer)).port : await http2Origin(t, await certificates.issue([secureHost]), answer)
  const world = await startSecureProxy(t, certificates, { port }, { rules: { streams: 'methods = ["GET", "POST", "PUT"]' } })
  return {
    ...world,
    open: (spoken) => streamClient(t, world.proxy, world.authority, spoken),
    ended: async (path) => {
      const decision = await world.proxy.recorded(({ name, attributes }) => name === 'sallyport.decision' && attributes['url.path'] === path)
      const id = decision.attributes['sallyport.request.id']
      return (await world.proxy.recorded(({ name, attributes }) => name === 'sallyport.exchange.ended' && attributes['sallyport.request.id'] === id)).attributes
    },
  }
}

async function http2Origin(t: Scope, { cert, key }: { readonly cert: string; readonly key: string }, answer: http.RequestListener): Promise<number> {
  const server = http2.createSecureServer({ cert, key, allowHTTP1: false }, answer as unknown as (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse) => void)
  const sessions = new Set<http2.ServerHttp2Session>()
  server.on('session', (session) => {
    sessions.add(session)
    session.on('error', () => session.destroy())
    session.on('close', () => sessions.delete(session))
  })
  server.on('stream', (stream) => stream.on('error', () => stream.destroy()))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => {
    for (const session of sessions) session.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  return (server.address() as AddressInfo).port
}
