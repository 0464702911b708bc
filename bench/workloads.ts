// What is measured: the workloads by name, how each is loaded, and in what unit its cost is told.
import type { Mode } from './load/programs.ts'
import type { OriginKind, Peer } from './peers/peer.ts'

export type WorkloadName =
  | 'w1' | 'w2-download-1' | 'w2-download-32' | 'w2-upload-1' | 'w2-upload-32' | 'w3' | 'w5-10' | 'w5-1000000' | 'w6'

/** As asked for on the command line; W7 is sallyport's alone and has figures of its own (journal/). */
export type WorkloadGroup = Workload['group'] | 'w7'

export interface Workload {
  readonly name: WorkloadName
  /** as asked for on the command line */
  readonly group: 'w1' | 'w2' | 'w3' | 'w5' | 'w6'
  readonly title: string
  readonly needs: Peer['does'][number]
  readonly mode: Mode
  readonly origin: OriginKind
  readonly concurrency: number
  /** of `cost` */
  readonly costUnit: 'µs' | 's/GB' | 'KiB'
  readonly costOf: string
  readonly rateUnit: '/s' | 'GB/s' | ''
}

const perOperation = { costUnit: 'µs', rateUnit: '/s' } as const
const bulk = { group: 'w2', needs: 'bulk', costUnit: 's/GB', costOf: 'CPU seconds per GB', rateUnit: 'GB/s' } as const
const refusal = { group: 'w5', needs: 'refuse', mode: 'refuse', origin: 'hello', concurrency: 32, costOf: 'CPU µs per refusal', ...perOperation } as const

export const workloads: readonly Workload[] = [
  { name: 'w1', group: 'w1', title: 'W1: new connection, CONNECT, ClientHello, small answer, close; 32 clients', needs: 'tunnel', mode: 'tunnel', origin: 'hello', concurrency: 32, costOf: 'CPU µs per connection', ...perOperation },
  { name: 'w2-download-1', title: 'W2: bulk download, 1 tunnel', mode: 'download', origin: 'download', concurrency: 1, ...bulk },
  { name: 'w2-download-32', title: 'W2: bulk download, 32 tunnels', mode: 'download', origin: 'download', concurrency: 32, ...bulk },
  { name: 'w2-upload-1', title: 'W2: bulk upload, 1 tunnel', mode: 'upload', origin: 'upload', concurrency: 1, ...bulk },
  { name: 'w2-upload-32', title: 'W2: bulk upload, 32 tunnels', mode: 'upload', origin: 'upload', concurrency: 32, ...bulk },
  { name: 'w3', group: 'w3', title: 'W3: absolute-form GET, keep-alive, 64 connections, 1 KiB answer', needs: 'get', mode: 'get', origin: 'http', concurrency: 64, costOf: 'CPU µs per request', ...perOperation },
  { name: 'w5-10', title: 'W5: CONNECT refused by policy, 10 denied names', ...refusal },
  { name: 'w5-1000000', title: 'W5: CONNECT refused by policy, 1,000,000 denied names', ...refusal, needs: 'refuseMany' },
  { name: 'w6', group: 'w6', title: 'W6: idle tunnels', needs: 'idle', mode: 'idle', origin: 'hello', concurrency: 64, costUnit: 'KiB', costOf: 'resident KiB per idle tunnel', rateUnit: '' },
]

export function workload(name: WorkloadName): Workload {
  const found = workloads.find((entry) => entry.name === name)
  if (found === undefined) throw new Error(`no workload \`${name}\``)
  return found
}
