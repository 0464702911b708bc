// What is measured: the workloads by name, how each is loaded, and in what unit its cost is told.
import type { TlsMode } from './intercept/load.ts'
import type { Mode } from './load/programs.ts'
import type { OriginKind, Peer } from './peers/peer.ts'

export type WorkloadName =
  | 'w1' | 'w2-download-1' | 'w2-download-32' | 'w2-upload-1' | 'w2-upload-32' | 'w3'
  | 'w4a' | 'w4a-h2' | 'w4b' | 'w4b-resumed' | 'w4c' | 'w5-10' | 'w5-1000000' | 'w6' | 'w8-1k' | 'w8-100k' | 'w8-10m'

/** As asked for on the command line; W7 is sallyport's alone and has figures of its own (journal/). */
export type WorkloadGroup = Workload['group'] | 'w7'

interface Common {
  readonly name: WorkloadName
  readonly title: string
  readonly needs: Peer['does'][number]
  readonly concurrency: number
  /** of `cost` */
  readonly costUnit: 'µs' | 's/GB' | 'KiB' | 'ms'
  readonly costOf: string
  /** of `rate`, as a table's column says it */
  readonly rateOf: string
}

export interface PlainWorkload extends Common {
  /** as asked for on the command line */
  readonly group: 'w1' | 'w2' | 'w3' | 'w5' | 'w6' | 'w8'
  readonly mode: Mode
  readonly origin: OriginKind
  /** of what is asked for; absent: any */
  readonly path?: string
}

/** Interception: the TLS origin, its own load generator, and processes that do nothing else. */
export interface InterceptWorkload extends Common {
  readonly group: 'w4'
  readonly needs: 'intercept' | 'interceptH2'
  readonly mode: TlsMode
}

export type Workload = PlainWorkload | InterceptWorkload

const perOperation = { costUnit: 'µs', rateOf: 'rate /s' } as const
const bulk = { group: 'w2', needs: 'bulk', costUnit: 's/GB', costOf: 'CPU seconds per GB', rateOf: 'rate GB/s' } as const
const inside = { group: 'w4', needs: 'intercept', concurrency: 32, costOf: 'CPU µs per request', ...perOperation } as const
const hit = { group: 'w8', needs: 'cached', mode: 'get', origin: 'http', concurrency: 32, costOf: 'CPU µs per hit', ...perOperation } as const
const refusal = { group: 'w5', needs: 'refuse', mode: 'refuse', origin: 'hello', concurrency: 32, costOf: 'CPU µs per refusal', ...perOperation } as const

export const workloads: readonly Workload[] = [
  { name: 'w1', group: 'w1', title: 'W1: new connection, CONNECT, ClientHello, small answer, close; 32 clients', needs: 'tunnel', mode: 'tunnel', origin: 'hello', concurrency: 32, costOf: 'CPU µs per connection', ...perOperation },
  { name: 'w2-download-1', title: 'W2: bulk download, 1 tunnel', mode: 'download', origin: 'download', concurrency: 1, ...bulk },
  { name: 'w2-download-32', title: 'W2: bulk download, 32 tunnels', mode: 'download', origin: 'download', concurrency: 32, ...bulk },
  { name: 'w2-upload-1', title: 'W2: bulk upload, 1 tunnel', mode: 'upload', origin: 'upload', concurrency: 1, ...bulk },
  { name: 'w2-upload-32', title: 'W2: bulk upload, 32 tunnels', mode: 'upload', origin: 'upload', concurrency: 32, ...bulk },
  { name: 'w3', group: 'w3', title: 'W3: absolute-form GET, keep-alive, 64 connections, 1 KiB answer', needs: 'get', mode: 'get', origin: 'http', concurrency: 64, costOf: 'CPU µs per request', ...perOperation },
  { name: 'w4a', title: 'W4a: GETs inside TLS that ends at the proxy, 32 kept-alive connections, 1 KiB answer', mode: 'keep', ...inside },
  { name: 'w4a-h2', title: 'W4a: the same over HTTP/2, 4 connections of 8 streams', mode: 'h2', ...inside, needs: 'interceptH2', concurrency: 4 },
  { name: 'w4b', title: 'W4b: new connection, CONNECT, full handshake, one GET, close; 32 clients', mode: 'full', ...inside, costOf: 'CPU µs per connection' },
  { name: 'w4b-resumed', title: 'W4b: the same with sessions resumed', mode: 'resumed', ...inside, costOf: 'CPU µs per connection' },
  { name: 'w4c', title: 'W4c: first request to a host never seen', mode: 'fresh', ...inside, concurrency: 1, costUnit: 'ms', costOf: 'ms from connecting to the end of the answer', rateOf: '99th percentile, ms' },
  { name: 'w5-10', title: 'W5: CONNECT refused by policy, 10 denied names', ...refusal },
  { name: 'w5-1000000', title: 'W5: CONNECT refused by policy, 1,000,000 denied names', ...refusal, needs: 'refuseMany' },
  { name: 'w6', group: 'w6', title: 'W6: idle tunnels', needs: 'idle', mode: 'idle', origin: 'hello', concurrency: 64, costUnit: 'KiB', costOf: 'resident KiB per idle tunnel', rateOf: 'opened/s' },
  { name: 'w8-1k', title: 'W8: cache hits of 1 KiB, keep-alive, 32 connections', path: '/1k', ...hit },
  { name: 'w8-100k', title: 'W8: cache hits of 100 KiB, keep-alive, 32 connections', path: '/100k', ...hit },
  { name: 'w8-10m', title: 'W8: cache hits of 10 MiB, keep-alive, 4 connections', path: '/10m', ...hit, concurrency: 4 },
]

export function workload(name: WorkloadName): Workload {
  const found = workloads.find((entry) => entry.name === name)
  if (found === undefined) throw new Error(`no workload \`${name}\``)
  return found
}
