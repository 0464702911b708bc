// A fake parent cache: it keeps to only-if-cached like a real one, unless a test says how it misbehaves. It counts.
import http from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { systemClock } from '../../src/clock.ts'
import { Budget } from '../../src/cache/held-body.ts'
import { ParentPages } from '../../src/cache/parent-pages.ts'
import { ParentWatch } from '../../src/cache/parent-watch.ts'
import { Deadlines } from '../../src/deadlines.ts'
import { openParentCache, type ParentCacheSettings } from '../../src/egress/parent-cache.ts'
import type { Resolver } from '../../src/egress/resolver.ts'
import { ProxyError } from '../../src/errors.ts'
import type { Scope } from './scope.ts'

export interface ParentAsked {
  readonly url: string
  readonly rawHeaders: readonly string[]
}

export interface FakeParent {
  readonly url: string
  readonly port: number
  /** what was asked for beside the test pages, in order */
  readonly asked: ParentAsked[]
  /** of both schemes */
  readonly tests: ParentAsked[]
  /** connections so far */
  connections(): number
  /** what becomes of a test page; default 504 */
  onTest: http.RequestListener
  /** what becomes of a page; default 504 */
  onPage: http.RequestListener
  close(): Promise<void>
}

export const missAnswer: http.RequestListener = (_request, response) => {
  response.writeHead(504, { 'X-Squid-Error': 'ERR_ONLY_IF_CACHED_MISS 0', 'Content-Type': 'text/html' }).end('<p>not here</p>')
}

/** A page out of the cache, ten seconds old, fresh for an hour. */
export function pageAnswer(body: string | Uint8Array, fields: Readonly<Record<string, string | string[]>> = {}): http.RequestListener {
  return (_request, response) => {
    response.writeHead(200, { Age: '10', 'Cache-Control': 'max-age=3600', 'X-Cache': 'HIT from parent', 'Content-Type': 'text/plain', 'Content-Length': String(Buffer.byteLength(body)), ...fields })
    response.end(body)
  }
}

export async function startFakeParent(t: Scope): Promise<FakeParent> {
  const asked: ParentAsked[] = []
  const tests: ParentAsked[] = []
  let connections = 0
  const server = http.createServer((request, response) => {
    const one = { url: request.url ?? '', rawHeaders: request.rawHeaders }
    const isTest = /^https?:\/\/sallyport-[0-9a-f]{24}\.invalid\/$/.test(one.url)
    ;(isTest ? tests : asked).push(one)
    if (isTest) parent.onTest(request, response)
    else parent.onPage(request, response)
  })
  server.on('connection', () => connections++)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  let closed: Promise<void> | undefined
  const close = (): Promise<void> => (closed ??= new Promise((resolve) => {
    server.closeAllConnections()
    server.close(() => resolve())
  }))
  t.teardown(close)
  const parent: FakeParent = { url: `http://127.0.0.1:${port}`, port, asked, tests, connections: () => connections, onTest: missAnswer, onPage: missAnswer, close }
  return parent
}

export interface ParentWorld {
  readonly pages: ParentPages
  readonly watch: ParentWatch
  readonly faults: string[]
  readonly budget: Budget
  /** moves the clock of the pauses */
  later(ms: number): void
}

export const heldBytes = 64 * 1024

export function parentWorld(t: Scope, settings: Partial<ParentCacheSettings> & Pick<ParentCacheSettings, 'url'>, more: { readonly bodyTimeoutMs?: number } = {}): ParentWorld {
  let ahead = 0
  const clock = { now: () => systemClock.now(), monotonic: () => systemClock.monotonic() + ahead }
  const faults: string[] = []
  const parent = openParentCache({ timeoutMs: 5_000, ...settings }, { resolver: noNames, clock: systemClock, deadlines: new Deadlines(systemClock) })
  const watch = new ParentWatch({ parent, clock, onFault: (error) => faults.push(error instanceof ProxyError ? error.detail : String(error)) })
  const budget = new Budget(4 * heldBytes)
  const pages = new ParentPages({ parent, watch, clock, maxBodyBytes: 1024 * 1024, maxHeldBytes: heldBytes, budget, bodyTimeoutMs: 5_000, ...more })
  t.teardown(() => parent.close())
  return { pages, watch, faults, budget, later: (ms) => (ahead += ms) }
}

const noNames: Resolver = {
  resolve: () => Promise.reject(new ProxyError('dns_not_found', 'no name is known here')),
  close: () => undefined,
}
