// The two ways a request over HTTP/1.1 comes in: plain, in absolute-form, and inside TLS that ends at the proxy, in
// origin-form. What is said of requests holds on both, so each check is written once and run on either leg.
import type { Socket } from 'node:net'
import { testCertificates, type TestCertificates } from './certificates.ts'
import { openInside } from './inside.ts'
import { rawOrigin, rawTlsOrigin, type Origin } from './origins.ts'
import { request as plainRequest, startPlain } from './plain-world.ts'
import { startProxy, type TestProxy, type TestProxyOptions } from './proxy.ts'
import { openTunnel } from './raw-client.ts'
import type { Scope } from './scope.ts'
import { strictOrigin, type StrictAnswer, type StrictOrigin } from './strict-origin.ts'
import { WireClient } from './wire-client.ts'

const insideHost = 'allowed.test'

/** The proxy, and how its requests for one origin are written. */
export interface LegProxy {
  readonly proxy: TestProxy
  /** the origin's authority, as Host names it */
  readonly host: string
  /** what stands before the path in a request line */
  readonly root: string
  open(): Promise<WireClient>
  /** sends `bytes` on a connection of their own; what came back until it closed */
  say(bytes: string): Promise<string>
  request(path: string, fields?: string, method?: string, body?: string): string
  /** a request that policy refuses */
  denied(fields?: string, method?: string, body?: string): string
  /** decisions about requests: that of a CONNECT is not among them */
  decisions(): ReturnType<TestProxy['decisions']>
}

export interface LegWorld extends LegProxy {
  readonly origin: StrictOrigin
}

export type RawLegWorld = LegProxy & { readonly origin: Origin }

export type Serve = (socket: Socket) => void

export interface LegOptions {
  readonly answer?: StrictAnswer
  readonly change?: TestProxyOptions['change']
}

export interface Leg {
  readonly name: 'plain' | 'inside TLS'
  start(t: Scope, options?: LegOptions): Promise<LegWorld>
  /** with an origin that speaks whatever `serve` does */
  startRaw(t: Scope, serve: Serve, options?: Pick<LegOptions, 'change'>): Promise<RawLegWorld>
}

async function saidOn(client: WireClient, bytes: string): Promise<string> {
  client.send(bytes)
  return client.closed()
}

async function plainProxy(t: Scope, port: number, { change }: LegOptions): Promise<LegProxy> {
  const proxy = await startPlain(t, port, change === undefined ? {} : { change })
  const host = `allowed.test:${port}`
  return {
    proxy, host, root: `http://${host}`,
    open: () => WireClient.open(proxy.port),
    say: async (bytes) => saidOn(await WireClient.open(proxy.port), bytes),
    request: (path, fields, method, body) => plainRequest(port, path, fields, method, body),
    denied: (fields = '', method = 'GET', body = '') => `${method} http://denied.test/ HTTP/1.1\r\nHost: denied.test\r\n${fields}\r\n${body}`,
    decisions: () => proxy.decisions(),
  }
}

export const plainLeg: Leg = {
  name: 'plain',
  start: async (t, options = {}) => {
    const origin = await strictOrigin(t, options.answer)
    return { ...(await plainProxy(t, origin.port, options)), origin }
  },
  startRaw: async (t, serve, options = {}) => {
    const origin = await rawOrigin(t, serve)
    return { ...(await plainProxy(t, origin.port, options)), origin }
  },
}

/** TLS ends here for rules that close nothing, so that what is refused is refused for its form. */
function insidePolicy(host: string): string {
  const opens = `hosts = ["${host}"]\nlocal = ["127.0.0.1/32"]\norigin_ca = ["roots.pem"]\nverdict = "allow"\n`
  return `[network]
unknown = "deny"

[[network.rules]]
id = "origin"
strip_headers = ["X-Never-Sent"]
${opens}
[[network.rules]]
id = "sockets"
upgrades = ["websocket"]
${opens}
[[network.rules]]
id = "denied"
hosts = ["${host}"]
headers = { X-Denied = ["*"] }
verdict = "deny"
`
}

async function insideProxy(t: Scope, port: number, { ca }: TestCertificates, { change }: LegOptions): Promise<LegProxy> {
  const host = `${insideHost}:${port}`
  const proxy = await startProxy(t, {
    policy: insidePolicy(host), policies: { 'roots.pem': ca }, hosts: { [insideHost]: '127.0.0.1', 'denied.test': '127.0.0.1' },
    ...(change === undefined ? {} : { change }),
  })
  // the root is made with the first CONNECT that needs it
  const first = await openTunnel(proxy.port, host)
  first.socket.destroy()
  const request = (path: string, fields = '', method = 'GET', body = ''): string => `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n${fields}\r\n${body}`
  return {
    proxy, host, root: '', request,
    open: () => openInside(t, proxy, host),
    say: async (bytes) => saidOn(await openInside(t, proxy, host), bytes),
    denied: (fields = '', method = 'GET', body = '') => request('/denied', `X-Denied: yes\r\n${fields}`, method, body),
    decisions: () => proxy.decisions().filter(({ attributes }) => attributes['http.request.method'] !== 'none'),
  }
}

export const insideLeg: Leg = {
  name: 'inside TLS',
  start: async (t, options = {}) => {
    const certificates = await testCertificates()
    const origin = await strictOrigin(t, options.answer, (serve) => rawTlsOrigin(t, [insideHost], certificates, serve))
    return { ...(await insideProxy(t, origin.port, certificates, options)), origin }
  },
  startRaw: async (t, serve, options = {}) => {
    const certificates = await testCertificates()
    const origin = await rawTlsOrigin(t, [insideHost], certificates, serve)
    return { ...(await insideProxy(t, origin.port, certificates, options)), origin }
  },
}
