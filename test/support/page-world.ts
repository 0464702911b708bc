// A proxy whose agents read from the web cache alone and whose misses are asked about, an origin behind it and a name
// server, which both count: what the tests of fetched pages begin with.
import type http from 'node:http'
import { sent } from './ask-world.ts'
import { testCertificates } from './certificates.ts'
import { ControlClient, type ControlAnswer, type WireApproval } from './control.ts'
import { startDnsServer, type DnsServer } from './dns-server.ts'
import { httpOrigin, tlsOrigin, type HttpOrigin } from './origins.ts'
import { startProxy, type TestProxy, type TestProxyOptions } from './proxy.ts'
import type { Scope } from './scope.ts'
import type { Answer, WireClient } from './wire-client.ts'

export interface PageWorld {
  readonly proxy: TestProxy
  readonly control: ControlClient
  readonly origin: HttpOrigin
  readonly dns: DnsServer
  /** `docs.test:port` */
  readonly authority: string
  /** the only host of the two that is read */
  readonly scheme: 'http' | 'https'
}

export interface PageOptions extends Pick<TestProxyOptions, 'flags'> {
  readonly scheme?: 'http' | 'https'
  readonly answer?: http.RequestListener
  /** further policy; PORT stands for the origin's */
  readonly more?: string
  /** further lines of `[web_fetch]` */
  readonly webFetch?: string
  /** further lines of `[network.approvals]` */
  readonly approvals?: string
  readonly fetchTimeoutMs?: number
  readonly maxBodyBytes?: number
  readonly holdMs?: number
}

export const docsHost = 'docs.test'
const names = [docsHost, 'other.test', 'asked.test', 'denied.test', 'team.test']

export async function startPages(t: Scope, options: PageOptions = {}): Promise<PageWorld> {
  const { scheme = 'http', answer = hello, holdMs = 60_000 } = options
  const certificates = await testCertificates()
  const origin = scheme === 'http' ? await httpOrigin(t, answer) : await tlsOrigin(t, names, certificates, answer)
  const dns = await startDnsServer(t, Object.fromEntries(names.map((name) => [name, { addresses: ['127.0.0.1'] }])))
  const proxy = await startProxy(t, {
    policy: pagePolicy(origin.port, options),
    policies: { 'roots.pem': certificates.ca },
    ...(options.flags === undefined ? {} : { flags: options.flags }),
    change: (settings) => ({
      ...settings,
      dns: { ...settings.dns, servers: [dns.text] },
      sessions: { ...settings.sessions, hold: holdMs },
      cache: { ...settings.cache, fetchTimeoutMs: options.fetchTimeoutMs ?? settings.cache.fetchTimeoutMs, maxBodyBytes: options.maxBodyBytes ?? settings.cache.maxBodyBytes },
    }),
  })
  return { proxy, origin, dns, scheme, authority: `${docsHost}:${origin.port}`, control: new ControlClient(proxy.controlSocket) }
}

export function pagePolicy(port: number, { scheme = 'http', more = '', webFetch = '', approvals = '' }: PageOptions = {}): string {
  const rule = (id: string, rest: string): string => `[[network.rules]]\nid = "${id}"\nhosts = ["${id}.test:${port}"]\nlocal = ["127.0.0.0/8"]\n${scheme === 'https' ? 'origin_ca = ["roots.pem"]\n' : ''}${rest}\n`
  return `[web_fetch]
mode = "cached"
on_miss = "ask"
${webFetch}
[network]
unknown = "ask"
denied_domains = ["denied.test"]
[network.approvals]
${approvals}
${rule('docs', 'via = "cache"\nverdict = "allow"')}
${rule('other', 'via = "cache"\nverdict = "allow"')}
${rule('asked', 'verdict = "ask"')}
${more.replaceAll('PORT', String(port))}`
}

/** A page that says how often it was made. */
export const hello: http.RequestListener = (request, response) => {
  response.writeHead(200, { 'content-type': 'text/html', 'cache-control': 'max-age=60' })
  response.end(`page ${request.url}`)
}

export function pageRequest(authority: string, path: string, fields = '', method = 'GET'): string {
  return `${method} http://${authority}${path} HTTP/1.1\r\nHost: ${authority}\r\n${fields}\r\n`
}

/** A yes to fetching. */
export function fetchPage(control: ControlClient, approval: WireApproval, more: Readonly<Record<string, unknown>> = {}): Promise<ControlAnswer> {
  return control.answer(approval, { verdict: 'allow', fetch: true, ...more })
}

/** Nothing was asked of anybody for the agent. */
export function untouched({ origin, dns }: PageWorld): boolean {
  return origin.connections() === 0 && dns.queries.length === 0
}

/** A client that reads a page and waits. */
export function reading(t: Scope, { proxy, authority }: PageWorld, path: string, fields = ''): Promise<WireClient> {
  return sent(t, proxy, pageRequest(authority, path, fields))
}

export async function read(t: Scope, world: PageWorld, path: string, fields = ''): Promise<Answer | undefined> {
  return (await reading(t, world, path, fields)).next()
}
