// The two ways a request over HTTP/1.1 comes in: plain, in absolute-form, and inside TLS that ends at the proxy, in
// origin-form. What is said of requests holds on both, so each check is written once and run on either leg.
import type { TestProxy, TestProxyOptions } from './proxy.ts'
import { startProxy } from './proxy.ts'
import { testCertificates } from './certificates.ts'
import { openInside } from './inside.ts'
import { rawTlsOrigin } from './origins.ts'
import { request as plainRequest, startPlain } from './plain-world.ts'
import { openTunnel } from './raw-client.ts'
import type { Scope } from './scope.ts'
import { strictOrigin, type StrictAnswer, type StrictOrigin } from './strict-origin.ts'
import { WireClient } from './wire-client.ts'

export interface LegWorld {
  readonly proxy: TestProxy
  readonly origin: StrictOrigin
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

export interface LegOptions {
  readonly answer?: StrictAnswer
  readonly change?: TestProxyOptions['change']
}

export interface Leg {
  readonly name: 'plain' | 'inside TLS'
  start(t: Scope, options?: LegOptions): Promise<LegWorld>
}

async function saidOn(client: WireClient, bytes: string): Promise<string> {
  client.send(bytes)
  return client.closed()
}

export const plainLeg: Leg = {
  name: 'plain',
  start: async (t, { answer, change } = {}) => {
    const origin = await strictOrigin(t, answer)
    const proxy = await startPlain(t, origin.port, change === undefined ? {} : { change })
    const host = `allowed.test:${origin.port}`
    return {
      proxy, origin, host, root: `http://${host}`,
      open: () => WireClient.open(proxy.port),
      say: async (bytes) => saidOn(await WireClient.open(proxy.port), bytes),
      request: (path, fields, method, body) => plainRequest(origin.port, path, fields, method, body),
      denied: (fields = '', method = 'GET', body = '') => `${method} http://denied.test/ HTTP/1.1\r\nHost: denied.test\r\n${fields}\r\n${body}`,
      decisions: () => proxy.decisions(),
    }
  },
}

/** TLS ends here for a rule that closes nothing, so that what is refused is refused for its form. */
function insidePolicy(host: string): string {
  return `[network]
unknown = "deny"

[[network.rules]]
id = "origin"
hosts = ["${host}"]
local = ["127.0.0.1/32"]
origin_ca = ["roots.pem"]
strip_headers = ["X-Never-Sent"]
verdict = "allow"

[[network.rules]]
id = "sockets"
hosts = ["${host}"]
upgrades = ["websocket"]
verdict = "allow"

[[network.rules]]
id = "denied"
hosts = ["${host}"]
headers = { X-Denied = ["*"] }
verdict = "deny"
`
}

export const insideLeg: Leg = {
  name: 'inside TLS',
  start: async (t, { answer, change } = {}) => {
    const certificates = await testCertificates()
    const origin = await strictOrigin(t, answer, (serve) => rawTlsOrigin(t, ['allowed.test'], certificates, serve))
    const host = `allowed.test:${origin.port}`
    const proxy = await startProxy(t, {
      policy: insidePolicy(host), policies: { 'roots.pem': certificates.ca }, hosts: { 'allowed.test': '127.0.0.1', 'denied.test': '127.0.0.1' },
      ...(change === undefined ? {} : { change }),
    })
    // the root is made with the first CONNECT that needs it
    const first = await openTunnel(proxy.port, host)
    first.socket.destroy()
    const request = (path: string, fields = '', method = 'GET', body = ''): string => `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n${fields}\r\n${body}`
    return {
      proxy, origin, host, root: '', request,
      open: () => openInside(t, proxy, host),
      say: async (bytes) => saidOn(await openInside(t, proxy, host), bytes),
      denied: (fields = '', method = 'GET', body = '') => request('/denied', `X-Denied: yes\r\n${fields}`, method, body),
      decisions: () => proxy.decisions().filter(({ attributes }) => attributes['http.request.method'] !== 'none'),
    }
  },
}
