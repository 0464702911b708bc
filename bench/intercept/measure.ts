// One measurement of interception: CPU of the proxy's own processes under a TLS load, the time of first
// requests to hosts never seen, and memory while their number grows.
import { setTimeout as sleep } from 'node:timers/promises'
import { cpuWhile } from '../measure.ts'
import type { InterceptGround, Running } from '../peers/peer.ts'
import { residentBytes } from '../proc.ts'
import type { HostMemory, Round } from '../results.ts'
import type { InterceptWorkload } from '../workloads.ts'
import { freshForm } from './ground.ts'
import { runTlsLoad } from './load.ts'
import type { TlsLoad, TlsLoadResult } from './load.ts'

export interface InterceptBench {
  readonly client: string
  readonly log: string
  readonly host: string
  readonly ground: InterceptGround
}

/** a peer that makes few a second ends by time, with the figures of those it made */
const freshSeconds = 30

function loadFor(bench: InterceptBench, running: Running, load: Pick<TlsLoad, 'mode' | 'concurrency' | 'seconds'>, fresh = { first: 0, count: 0 }): TlsLoad {
  return {
    ...load,
    ...fresh,
    port: running.port('http'),
    forward: running.forward,
    host: load.mode === 'fresh' ? freshForm(bench.host) : bench.host,
    hostPort: bench.ground.port,
  }
}

/** Unmeasured. What makes leaves is warmed by handshakes with one host before it. */
export async function warmUpTls(bench: InterceptBench, { mode, concurrency }: InterceptWorkload, running: Running, seconds: number): Promise<TlsLoadResult> {
  const warm = mode === 'fresh' ? { mode: 'full', concurrency: 32, seconds } as const : { mode, concurrency, seconds }
  return runTlsLoad(bench.client, loadFor(bench, running, warm), bench.log)
}

export async function measureTls(bench: InterceptBench, { mode, concurrency }: InterceptWorkload, running: Running, seconds: number): Promise<Round> {
  const load = loadFor(bench, running, { mode, concurrency, seconds })
  const { result, cpu, foreign } = await cpuWhile(running, () => runTlsLoad(bench.client, load, bench.log))
  const { operations } = result
  return { cost: cpu === undefined ? undefined : (cpu / operations) * 1e6, rate: operations / result.seconds, operations, foreign }
}

/** `count` hosts one after the other, beginning with number `first`: the cost is the median, `ms`. */
export async function measureFresh(bench: InterceptBench, { mode, concurrency }: InterceptWorkload, running: Running, first: number, count: number): Promise<Round> {
  const load = loadFor(bench, running, { mode, concurrency, seconds: freshSeconds }, { first, count })
  const { result, foreign } = await cpuWhile(running, () => runTlsLoad(bench.client, load, bench.log))
  return { cost: result.p50, rate: result.operations / result.seconds, p99: result.p99, operations: result.operations, foreign }
}

const stages = 4

/** Resident memory after each quarter of `hosts`, 8 of them at a time, on a process that has seen one. Ends early
 * after `seconds`, with what was reached. */
export async function measureHosts(bench: InterceptBench, peer: string, running: Running, hosts: number, seconds: number): Promise<HostMemory> {
  const client = (load: TlsLoad): Promise<TlsLoadResult> => runTlsLoad(bench.client, load, bench.log)
  await client(loadFor(bench, running, { mode: 'keep', concurrency: 8, seconds: 2 }))
  const residentBytesAt = [{ hosts: 0, bytes: residentBytes(running.pid) }]
  const start = performance.now()
  let reached = 0
  for (let stage = 1; stage <= stages; stage++) {
    const left = seconds - (performance.now() - start) / 1000
    if (left <= 0) break
    const load = { mode: 'fresh', concurrency: 8, seconds: left } as const
    reached += (await client(loadFor(bench, running, load, { first: reached, count: Math.round((hosts * stage) / stages) - reached }))).operations
    await sleep(500)
    residentBytesAt.push({ hosts: reached, bytes: residentBytes(running.pid) })
  }
  return { peer, seconds: (performance.now() - start) / 1000, resident: residentBytesAt }
}
