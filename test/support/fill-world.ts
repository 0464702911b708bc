// A proxy that answers reading from its cache, a site that counts who asks it, and the `cache` commands as a person on that
// machine gives them.
import http from 'node:http'
import { gzipSync } from 'node:zlib'
import { runCli } from '../../src/cli/run.ts'
import { fakeIo, fakeProcess } from '../cli/fake-io.ts'
import { ControlClient } from './control.ts'
import { httpOrigin } from './origins.ts'
import { startProxy, type TestProxy, type TestProxyOptions } from './proxy.ts'
import type { Scope } from './scope.ts'

export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

export interface FillWorld {
  readonly proxy: TestProxy
  /** http://docs.test:PORT */
  readonly site: string
  readonly port: number
  /** paths that the site was asked for, in order */
  readonly asked: readonly string[]
  /** answers of the site by path; what is not there is 404 */
  readonly pages: Map<string, http.RequestListener>
  readonly control: ControlClient
  /** `sallyport cache …` */
  cache(...argv: readonly string[]): Promise<Ran>
  /** the same, interrupted when the signal says */
  interrupted(signal: AbortSignal, ...argv: readonly string[]): Promise<Ran>
  /** `sallyport cache …` by a listener, with a token */
  at(url: string, token: string, ...argv: readonly string[]): Promise<Ran>
  /** as an agent reads it; the status and the text */
  read(url: string): Promise<{ readonly status: number; readonly text: string; readonly cacheStatus: string }>
}

export function page(text: string, fields: http.OutgoingHttpHeaders = {}): http.RequestListener {
  return (_request, response) => response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'max-age=3600', ...fields }).end(text)
}

export function sitemap(urls: readonly string[], isZipped = false): http.RequestListener {
  const text = `<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">${urls.map((url) => `<url><loc>${url}</loc></url>`).join('')}</urlset>`
  return (_request, response) => response.end(isZipped ? gzipSync(text) : text)
}

function cachedPolicy(port: number): string {
  return `[network]
unknown = "deny"
denied_domains = ["denied.test"]
[web_fetch]
mode = "cached"
[[network.rules]]
id = "site"
hosts = ["docs.test:${port}", "other.test:${port}"]
local = ["127.0.0.1/32"]
via = "cache"
verdict = "allow"
`
}

/** `policyFor`: the policy, given the port of the site. */
export async function fillWorld(t: Scope, options: TestProxyOptions = {}, policyFor = cachedPolicy): Promise<FillWorld> {
  const asked: string[] = []
  const pages = new Map<string, http.RequestListener>()
  const origin = await httpOrigin(t, (request, response) => {
    asked.push(request.url ?? '')
    const answer = pages.get(request.url ?? '')
    if (answer === undefined) response.writeHead(404, { 'content-type': 'text/plain' }).end('nothing here\n')
    else answer(request, response)
  })
  const { port } = origin
  const proxy = await startProxy(t, {
    policy: policyFor(port),
    hosts: { 'docs.test': '127.0.0.1', 'other.test': '127.0.0.1', 'denied.test': '127.0.0.1' },
    ...options,
  })
  return {
    proxy, port, asked, pages,
    site: `http://docs.test:${port}`,
    control: new ControlClient(proxy.controlSocket),
    cache: (...argv) => command(proxy, [...argv, '--data', `${proxy.dir}/var`]),
    interrupted: (signal, ...argv) => command(proxy, [...argv, '--data', `${proxy.dir}/var`], signal),
    at: (url, token, ...argv) => command(proxy, [...argv, '--url', url, '--token', token]),
    read: (url) => new Promise((resolve, reject) => {
      const sent = http.get({ host: '127.0.0.1', port: proxy.port, path: url, headers: { host: new URL(url).host }, agent: false }, (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => { text += chunk })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text, cacheStatus: String(response.headers['cache-status'] ?? '') }))
      })
      sent.on('error', reject)
    }),
  }
}

async function command(proxy: TestProxy, argv: readonly string[], signal?: AbortSignal): Promise<Ran> {
  const io = fakeIo(proxy.dir, signal === undefined ? {} : { signal })
  const code = await runCli(['cache', ...argv], io, fakeProcess())
  return { code, out: io.stdout(), err: io.stderr() }
}
