// A proxy whose admin makes sessions that record and sessions that read from the cache alone, and an origin that counts:
// what is said of recording is tried on every way that a request can come in.
import type http from 'node:http'
import { cachedHost, openClient, type CachedAnswer, type Asking, type CachedClient, type Way } from './cached-world.ts'
import { testCertificates } from './certificates.ts'
import { ControlClient, type WireSession } from './control.ts'
import { MemoryCacheStore } from './memory-cache-store.ts'
import { httpOrigin, tlsOrigin, type HttpOrigin } from './origins.ts'
import { startProxy, type TestProxy } from './proxy.ts'
import type { Scope } from './scope.ts'

export interface RecordWorld {
  readonly proxy: TestProxy
  readonly control: ControlClient
  readonly origin: HttpOrigin
  readonly store: MemoryCacheStore
  readonly authority: string
  /** as the cache knows it */
  url(path: string): string
  client(session: WireSession): Promise<CachedClient>
  /** asks on a connection of its own */
  ask(session: WireSession, path: string, asking?: Asking): Promise<CachedAnswer>
  /** Waits until the page is kept. */
  kept(path: string): Promise<void>
  /** URLs' paths on the shelf `web`, oldest first */
  paths(): string[]
}

export interface RecordOptions {
  /** further TOML of the rule */
  readonly rule?: string
  /** whole tables before it */
  readonly top?: string
  /** of the rule; default allow */
  readonly verdict?: 'allow' | 'ask'
  readonly mode?: 'enforce' | 'monitor'
  readonly maxBodyBytes?: number
}

/** A session that records, for the agents of team web. */
export const recording = { agent: 'recorder', team: 'web', record: true, ttl: '1h' }
/** One that reads from the cache what rules let others read live. */
export const reading = { agent: 'reader', team: 'web', web_fetch: true }

export async function startRecording(t: Scope, way: Way, answer: http.RequestListener, { rule = '', top = '', verdict = 'allow', mode = 'enforce', maxBodyBytes }: RecordOptions = {}): Promise<RecordWorld> {
  const isInside = way === 'inside' || way === 'http2'
  const certificates = await testCertificates()
  const origin = isInside ? await tlsOrigin(t, [cachedHost], certificates, answer) : await httpOrigin(t, answer)
  const authority = `${cachedHost}:${origin.port}`
  const store = new MemoryCacheStore()
  const policy = `${top}
[network]
mode = "${mode}"
unknown = "deny"

[[network.rules]]
id = "site"
hosts = ["${authority}"]
local = ["127.0.0.1/32"]
${isInside ? 'origin_ca = ["roots.pem"]' : ''}
verdict = "${verdict}"
${rule}
`
  const proxy = await startProxy(t, {
    policy, policies: { 'roots.pem': certificates.ca }, hosts: { [cachedHost]: '127.0.0.1' }, cacheStore: store,
    change: (settings) => ({ ...settings, cache: { ...settings.cache, maxBodyBytes: maxBodyBytes ?? settings.cache.maxBodyBytes } }),
  })
  const url = (path: string): string => `${isInside ? 'https' : 'http'}://${authority}${path}`
  const client = ({ line }: WireSession): Promise<CachedClient> => openClient(t, way, proxy, authority, line.slice('Proxy-Authorization: '.length).trim())
  const paths = (): string[] => store.list({ shelf: 'web' }, 1000).map(({ key }) => key.url.slice(url('').length)).toReversed()
  return {
    proxy, origin, store, authority, url, client, paths,
    control: new ControlClient(proxy.controlSocket),
    ask: async (session, path, asking) => (await client(session)).ask(path, asking),
    kept: async (path) => {
      while (!paths().includes(path)) await new Promise((resolve) => setTimeout(resolve, 5))
    },
  }
}
