// One measurement: CPU time and memory of a peer's own processes before and after a load.
import { setTimeout as sleep } from 'node:timers/promises'
import { proxyCore } from './launch.ts'
import { runLoad, startLoad } from './load/programs.ts'
import type { Load, LoadResult, Programs } from './load/programs.ts'
import type { OriginKind, Running } from './peers/peer.ts'
import { busySeconds, cpuSeconds, residentBytes } from './proc.ts'
import type { Round } from './results.ts'
import type { PlainWorkload } from './workloads.ts'

export interface Bench {
  readonly programs: Programs
  readonly helloFile: string
  readonly log: string
  readonly originPorts: Readonly<Record<OriginKind, number>>
  /** of the origin whose pages are cached, for W8 */
  readonly pagesPort: number
  /** how often it was asked so far */
  readonly pagesAsked: () => number
  /** names that are refused, for W5 */
  readonly refused: readonly string[]
}

const maxBulkBytes = 2 * 2 ** 30
const smallestBulkBytes = 64 * 2 ** 20
/** what is still on its way when the load generator ends is let through before CPU is read */
const settleMs = 30

function loadFor(bench: Bench, workload: PlainWorkload, running: Running, seconds: number, bytes: number): Load {
  const port = workload.path === undefined ? bench.originPorts[workload.origin] : bench.pagesPort
  const origin = `${running.host}:${port}${workload.path ?? ''}`
  return {
    mode: workload.mode,
    port: running.port(workload.origin),
    forward: running.forward,
    helloFile: bench.helloFile,
    concurrency: workload.concurrency,
    seconds,
    bytes,
    targets: workload.mode === 'refuse' ? bench.refused.map((name) => `${name}:443`) : [origin],
  }
}

function check(result: LoadResult): LoadResult {
  if (result.operations === 0 || result.errors > 0) {
    throw new Error(`${result.errors} of ${result.connections} operations failed: ${result.error}`)
  }
  return result
}

/** An unmeasured run, so that what compiles as it runs has run; its rate sizes the bulk runs. */
export async function warmUp(bench: Bench, workload: PlainWorkload, running: Running, seconds: number): Promise<LoadResult> {
  const bulk = workload.group === 'w2'
  const bytes = bulk ? Math.max(smallestBulkBytes, Math.floor(seconds * 256 * 2 ** 20)) : 0
  return check(await runLoad(bench.programs, loadFor(bench, workload, running, bulk ? 30 : seconds, bytes), bench.log))
}

/** Bytes that a peer moves in `seconds` at the rate it showed, within bounds. */
export function bulkBytes(warm: Pick<LoadResult, 'bytes' | 'seconds'>, seconds: number): number {
  const wanted = (warm.bytes / warm.seconds) * seconds
  return Math.round(Math.min(maxBulkBytes, Math.max(smallestBulkBytes, wanted)))
}

export interface Used {
  /** CPU of the proxy's own processes meanwhile, `s`; undefined when it has none */
  readonly cpu: number | undefined
  /** share of its core that other work took, 0 to 1 */
  readonly foreign: number
}

/** Runs a load, and says what the proxy's processes used of their core. */
export async function cpuWhile<T>(running: Running, load: () => Promise<T>): Promise<Used & { readonly result: T }> {
  const start = performance.now()
  const busyBefore = busySeconds(proxyCore)
  const before = running.pid === 0 ? 0 : cpuSeconds(running.pid)
  const result = await load()
  await sleep(settleMs)
  const cpu = running.pid === 0 ? undefined : cpuSeconds(running.pid) - before
  const foreign = (busySeconds(proxyCore) - busyBefore - (cpu ?? 0)) / ((performance.now() - start) / 1000)
  return { result, cpu, foreign: Math.max(0, Math.round(foreign * 100) / 100) }
}

export async function measure(bench: Bench, workload: PlainWorkload, running: Running, seconds: number, bytes: number): Promise<Round> {
  const bulk = workload.group === 'w2'
  const load = loadFor(bench, workload, running, bulk ? seconds * 10 + 5 : seconds, bytes)
  const { result, cpu, foreign } = await cpuWhile(running, async () => check(await runLoad(bench.programs, load, bench.log)))
  const work = bulk ? result.bytes / 1e9 : result.operations
  return { cost: cpu === undefined ? undefined : (cpu / work) * (bulk ? 1 : 1e6), rate: work / result.seconds, operations: result.operations, foreign }
}

/** Memory of idle tunnels: what the second of two batches adds, so that what is paid once is not counted. */
export async function measureIdle(bench: Bench, workload: PlainWorkload, running: Running, tunnels: number): Promise<Round> {
  const first = startLoad(bench.programs, loadFor(bench, workload, running, 60, Math.floor(tunnels / 4)), bench.log)
  let second: ReturnType<typeof startLoad> | undefined
  try {
    check(await first.result)
    await sleep(500)
    const before = residentBytes(running.pid)
    second = startLoad(bench.programs, loadFor(bench, workload, running, 60, tunnels), bench.log)
    const result = check(await second.result)
    await sleep(500)
    const added = residentBytes(running.pid) - before
    return { cost: added / 1024 / tunnels, rate: result.operations / result.seconds, operations: result.operations, foreign: 0 }
  } finally {
    await first.stop()
    await second?.stop()
  }
}
