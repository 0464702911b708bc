// An https origin behind rules about its requests, the proxy that ends TLS for them, and a home for real clients that
// trust the proxy's root: what tests of clients inside TLS begin with.
import type http from 'node:http'
import { testCertificates, type TestCertificates } from './certificates.ts'
import { clientHome, type ClientHome } from './client-run.ts'
import { rootOf } from './inside.ts'
import { tlsOrigin, type HttpOrigin, type Origin } from './origins.ts'
import { startProxy, type JournalRecord, type TestProxy, type TestProxyOptions } from './proxy.ts'
import { openTunnel } from './raw-client.ts'
import type { Scope } from './scope.ts'

export const secureHost = 'origin.test'

export interface SecureOptions extends Pick<TestProxyOptions, 'change' | 'flags'> {
  /** TOML of each rule by its id; hosts, ranges, the origin's root and, where it has none, `verdict = "allow"` are put in */
  readonly rules: Readonly<Record<string, string>>
  /** further TOML of `[network]` */
  readonly network?: string
  /** further policy, whole tables; ORIGIN stands for the authority */
  readonly more?: string
}

export interface SecureProxy extends ClientHome {
  readonly proxy: TestProxy
  readonly certificates: TestCertificates
  /** `origin.test:port` */
  readonly authority: string
  /** `https://origin.test:port` */
  readonly base: string
  /** replaces the rules while the proxy runs */
  policyWith(options: SecureOptions): string
  /** decisions about requests inside, in order */
  decisions(): JournalRecord[]
  /** `METHOD path code`, in order */
  said(): string[]
}

export interface SecureWorld extends SecureProxy {
  readonly origin: HttpOrigin
}

/** With an origin of HTTP/1.1. */
export async function startSecureWorld(scope: Scope, options: SecureOptions, answer?: http.RequestListener): Promise<SecureWorld> {
  const certificates = await testCertificates()
  const origin = await tlsOrigin(scope, [secureHost], certificates, answer)
  return { ...(await startSecureProxy(scope, certificates, origin, options)), origin }
}

/** With an origin of the test's own, whose certificate `certificates` has issued. */
export async function startSecureProxy(scope: Scope, certificates: TestCertificates, { port }: Pick<Origin, 'port'>, options: SecureOptions): Promise<SecureProxy> {
  const authority = `${secureHost}:${port}`
  const { change, flags } = options
  const proxy = await startProxy(scope, {
    policy: policyFor(authority, options), policies: { 'roots.pem': certificates.ca }, hosts: { [secureHost]: '127.0.0.1', 'denied.test': '127.0.0.1' },
    ...(change === undefined ? {} : { change }), ...(flags === undefined ? {} : { flags }),
  })
  // the root is made with the first CONNECT that needs it
  const first = await openTunnel(proxy.port, authority)
  first.socket.destroy()
  const decisions = (): JournalRecord[] => proxy.decisions().filter(({ attributes }) => attributes['http.request.method'] !== 'none')
  return {
    ...clientHome(scope, proxy.url, rootOf(proxy)),
    proxy, certificates, authority, decisions,
    base: `https://${authority}`,
    policyWith: (others) => policyFor(authority, others),
    said: () => decisions().map(({ attributes }) => `${String(attributes['http.request.method'])} ${String(attributes['url.path'])} ${String(attributes['sallyport.code'])}`),
  }
}

function policyFor(authority: string, { rules, network = '', more = '' }: SecureOptions): string {
  const tables = Object.entries(rules).map(([id, text]) => {
    const verdict = /^verdict *=/m.test(text) ? '' : 'verdict = "allow"\n'
    const opens = /^verdict *= *"deny"/m.test(text) ? '' : 'local = ["127.0.0.1/32"]\norigin_ca = ["roots.pem"]\n'
    return `[[network.rules]]\nid = "${id}"\nhosts = ["${authority}"]\n${opens}${verdict}${text.trim()}\n`
  })
  return ['[network]\nunknown = "deny"\ndenied_domains = ["denied.test"]', network, ...tables, more.replaceAll('ORIGIN', authority)].join('\n')
}
