// Origins that count: HTTP, TLS and raw, on loopback and free ports, closed with the test.
import http from 'node:http'
import net from 'node:net'
import tls from 'node:tls'
import type { AddressInfo } from 'node:net'
import { testCertificates, type TestCertificates } from './certificates.ts'
import type { Scope } from './scope.ts'

export interface Origin {
  readonly port: number
  /** TCP connections accepted */
  readonly connections: () => number
}

export interface HttpOrigin extends Origin {
  readonly requests: http.IncomingMessage[]
}

function counted(t: Scope, server: net.Server, host = '127.0.0.1'): Promise<Origin> {
  let connections = 0
  const open = new Set<net.Socket>()
  server.on('connection', (socket: net.Socket) => {
    connections += 1
    open.add(socket)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => open.delete(socket))
  })
  t.teardown(async () => {
    for (const socket of open) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  return new Promise((resolve) => {
    server.listen(0, host, () => resolve({ port: (server.address() as AddressInfo).port, connections: () => connections }))
  })
}

/** Answers every request with what `answer` does; default: 200 and the request's line. */
export async function httpOrigin(t: Scope, answer?: http.RequestListener): Promise<HttpOrigin> {
  const requests: http.IncomingMessage[] = []
  const server = http.createServer((request, response) => {
    requests.push(request)
    if (answer !== undefined) answer(request, response)
    else response.end(`${request.method} ${request.url}\n`)
  })
  return { ...(await counted(t, server)), requests }
}

/** A TLS origin for `names`; answers HTTP/1.1 inside, with what `answer` does or the request's line. */
export async function tlsOrigin(t: Scope, names: readonly string[], certificates?: TestCertificates, answer?: http.RequestListener): Promise<HttpOrigin & { readonly ca: string }> {
  const authority = certificates ?? (await testCertificates())
  const requests: http.IncomingMessage[] = []
  const inner = http.createServer((request, response) => {
    requests.push(request)
    if (answer !== undefined) answer(request, response)
    else response.end(`${request.method} ${request.url}\n`)
  })
  const server = tls.createServer(await authority.issue(names), (socket) => {
    socket.on('error', () => socket.destroy())
    inner.emit('connection', socket)
  })
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  return { ...(await counted(t, server)), requests, ca: authority.ca }
}

/** A TLS origin for `names` that speaks whatever `serve` does inside. */
export async function rawTlsOrigin(t: Scope, names: readonly string[], certificates: TestCertificates, serve: (socket: net.Socket) => void, options: tls.TlsOptions = {}): Promise<Origin> {
  const server = tls.createServer({ ...(await certificates.issue(names)), allowHalfOpen: true, ...options }, (socket) => {
    socket.on('error', () => socket.destroy())
    serve(socket)
  })
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  return counted(t, server)
}

export async function rawOrigin(t: Scope, serve: (socket: net.Socket) => void, host?: string): Promise<Origin> {
  return counted(t, net.createServer({ allowHalfOpen: true }, serve), host)
}
