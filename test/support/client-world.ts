// One world per client: an origin over https and the same over http, a host on the denied list, a host no
// rule names, a host whose origin is down, and the proxy between them and the client.
import type http from 'node:http'
import { testCertificates } from './certificates.ts'
import { clientHome, type ClientHome } from './client-run.ts'
import { httpOrigin, tlsOrigin, type HttpOrigin } from './origins.ts'
import { startProxy, type TestProxy } from './proxy.ts'
import type { Scope } from './scope.ts'

export type Scheme = 'https' | 'http'

/** reserved, below every port range that is given out, and no browser's or fetch's bad port */
export const downPort = 47

export interface ClientWorld extends ClientHome {
  readonly proxy: TestProxy
  readonly origins: Readonly<Record<Scheme, HttpOrigin>>
  /** `scheme://origin.test:port`, which the policy allows; over http by a rule about requests */
  base(scheme: Scheme): string
}

export async function startClientWorld(scope: Scope, answer?: http.RequestListener): Promise<ClientWorld> {
  const certificates = await testCertificates()
  const https = await tlsOrigin(scope, ['origin.test'], certificates, answer)
  const plain = await httpOrigin(scope, answer)
  const proxy = await startProxy(scope, {
    policy: policyFor(https.port, plain.port),
    hosts: { 'origin.test': '127.0.0.1', 'down.test': '127.0.0.1', 'denied.test': '127.0.0.1', 'unknown.test': '127.0.0.1' },
  })
  const origins = { https, http: plain }
  return {
    ...clientHome(scope, proxy.url, certificates.ca),
    proxy,
    origins,
    base: (scheme) => `${scheme}://origin.test:${origins[scheme].port}`,
  }
}

function policyFor(httpsPort: number, httpPort: number): string {
  return `[network]
unknown = "deny"
denied_domains = ["denied.test"]

[[network.rules]]
id = "origin"
hosts = ["origin.test:${httpsPort}", "down.test:${downPort}"]
local = ["127.0.0.1/32"]
verdict = "allow"

[[network.rules]]
id = "origin-requests"
hosts = ["origin.test:${httpPort}"]
local = ["127.0.0.1/32"]
methods = ["GET", "HEAD", "POST"]
paths = ["/**"]
verdict = "allow"
`
}
