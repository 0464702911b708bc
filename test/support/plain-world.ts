// A proxy and an origin for plain HTTP, joined by one rule: what most tests of requests begin with.
import { startProxy, type TestProxy, type TestProxyOptions } from './proxy.ts'
import type { Scope } from './scope.ts'

/** Allows `allowed.test` and 127.0.0.1's other names on one port of loopback; `more` is further TOML. */
export function plainPolicy(port: number, more = ''): string {
  return `[network]
unknown = "deny"
denied_domains = ["denied.test"]
${more}
[[network.rules]]
id = "origin"
hosts = ["allowed.test:${port}", "other.test:${port}"]
local = ["127.0.0.1/32"]
verdict = "allow"
`
}

export const plainHosts = { 'allowed.test': '127.0.0.1', 'other.test': '127.0.0.1', 'denied.test': '127.0.0.1' } as const

export function startPlain(t: Scope, port: number, options: TestProxyOptions = {}): Promise<TestProxy> {
  return startProxy(t, { policy: plainPolicy(port), hosts: plainHosts, ...options })
}

/** A request for `allowed.test`, with these field lines. */
export function request(port: number, path: string, fields = '', method = 'GET', body = ''): string {
  const host = `allowed.test:${port}`
  return `${method} http://${host}${path} HTTP/1.1\r\nHost: ${host}\r\n${fields}\r\n${body}`
}
