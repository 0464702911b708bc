// https origins for the egress tests: TLS servers with a certificate of the test's own authority, and what it
// takes to reach them.
import { once } from 'node:events'
import type net from 'node:net'
import tls from 'node:tls'
import { systemClock, type Clock } from '../../src/clock.ts'
import { Deadlines } from '../../src/deadlines.ts'
import type { ForwardPlan } from '../../src/egress/forward.ts'
import { OriginTls, type OriginTlsOptions } from '../../src/egress/origin-tls.ts'
import { RevocationLists } from '../../src/egress/revocation-lists.ts'
import type { OriginTrust } from '../../src/policy/decision.ts'
import { parseHost } from '../../src/target/host.ts'
import { testCertificates, type Issued, type TestCertificates } from '../support/certificates.ts'
import { connectTo, listen, type Closable } from './wire.ts'

/** in the place of the file of a further root */
export const caFile = 'ca.pem'
export const trusted: OriginTrust = { insecure: false, caFiles: [caFile] }

export interface TlsPlace {
  readonly certificates: TestCertificates
  readonly tls: OriginTls
  /** hosts that were reached without a judgement of their certificate */
  readonly insecure: string[]
}

export async function tlsPlace(over: Partial<OriginTlsOptions> = {}): Promise<TlsPlace> {
  const certificates = await testCertificates()
  const insecure: string[] = []
  const originTls = new OriginTls({
    readPem: (path) => {
      if (path !== caFile) throw new Error(`there is no ${path}`)
      return { pem: certificates.ca, stamp: '1' }
    },
    onInsecure: (host) => insecure.push(host),
    revocations: new RevocationLists({ crlFiles: [], crlDir: undefined, clock: systemClock, onWarning: () => {}, onChange: () => {} }),
    deadlines: new Deadlines(systemClock),
    ...over,
  })
  return { certificates, tls: originTls, insecure }
}

/** A TLS server that says nothing by itself. SECLEVEL=0: it may show what a client has to refuse. */
export async function tlsServer(issued: Pick<Issued, 'cert' | 'key'>, options: tls.TlsOptions = {}, onSecure?: (socket: tls.TLSSocket) => void): Promise<{ readonly port: number; readonly names: (string | false)[] } & Closable> {
  const names: (string | false)[] = []
  const server = tls.createServer({ cert: issued.cert, key: issued.key, ciphers: 'DEFAULT@SECLEVEL=0', ...options }, (socket) => {
    names.push(socket.servername === undefined || socket.servername === null ? false : socket.servername)
    socket.on('error', () => {})
    onSecure?.(socket)
  })
  server.on('tlsClientError', (_error, socket: net.Socket) => socket.destroy())
  const { port, close } = await listen(server)
  return { port, names, close }
}

/** A server for rawOrigin: TLS below, HTTP/1.1 by ALPN. */
export function overTls(issued: Pick<Issued, 'cert' | 'key'>): (accept: (socket: net.Socket) => void) => net.Server {
  return (accept) => {
    const server = tls.createServer({ cert: issued.cert, key: issued.key, ALPNProtocols: ['http/1.1'], allowHalfOpen: true }, (socket) => {
      socket.on('error', () => {})
      accept(socket)
    })
    server.on('tlsClientError', (_error, socket: net.Socket) => socket.destroy())
    return server
  }
}

export type Https = Pick<ForwardPlan, 'tls' | 'connect'> & { readonly offers: string[] }

/** What makes a plan one for the https origin on `port`; each dial notes what it offered by ALPN. */
export function httpsTo(place: TlsPlace, port: number, trust: OriginTrust = trusted): Https {
  const offers: string[] = []
  return {
    tls: { trust },
    offers,
    connect: async ({ tls: request }) => {
      if (request === undefined) throw new Error('nothing was said of TLS')
      offers.push(request.alpn.join())
      return place.tls.start(await connectTo(port), { ...request, host: parseHost('origin.test'), timeoutMs: 10_000 })
    },
  }
}

export async function closed(socket: net.Socket): Promise<void> {
  if (!socket.closed) await once(socket, 'close')
}

/** A clock that stands where it is put. */
export function standingClock(): Clock & { ms: number } {
  return { ms: 0, now() { return this.ms }, monotonic() { return this.ms } }
}
