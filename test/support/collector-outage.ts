// A collector that is away while requests go on, and what that costs: whether a record is lost or comes twice, how
// much memory the proxy takes, how fast it catches up, and how long its clients wait meanwhile.
import { readFileSync } from 'node:fs'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, createServer, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startChildProxy } from './child-proxy.ts'
import { readJournal } from './proxy.ts'
import type { Scope } from './scope.ts'
import { sequenceCollector } from './sequence-collector.ts'

export interface OutageOptions {
  /** while the collector is there, before it goes */
  readonly warmMs: number
  readonly outageMs: number
  /** records a second; a request makes two */
  readonly rate: number
  readonly onProgress?: (line: string) => void
}

export interface Latency {
  readonly requests: number
  readonly p50Ms: number
  readonly p99Ms: number
}

export interface OutageResult {
  readonly records: number
  readonly lost: number
  readonly duplicates: number
  readonly mostDuplicatesInPost: number
  readonly outOfOrder: number
  readonly failedRequests: number
  /** waiting when the collector came back */
  readonly waiting: number
  readonly caughtUpInMs: number
  /** of the time from the first post to the last record that waited */
  readonly catchUpPerSecond: number
  readonly rssBeforeMiB: number
  readonly rssOutageMiB: number
  readonly rssCatchUpMiB: number
  readonly latency: { readonly before: Latency; readonly outage: Latency; readonly catchUp: Latency }
}

export async function collectorOutage(t: Scope, options: OutageOptions): Promise<OutageResult> {
  const { warmMs, outageMs, rate, onProgress = () => undefined } = options
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-outage-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const collector = await sequenceCollector(t)
  const origin = await startOrigin(t)
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, 'sallyport.toml'), `[otel.exporter.otlp-http]\nendpoint = "${collector.endpoint}"\n`)
  const proxy = await startChildProxy(t, { dir, policy: `[network]\nunknown = "deny"\nallowed_domains = ["127.0.0.1:${origin}"]\n`, ops: true, flags: ['--config', join(dir, 'sallyport.toml')] })
  const load = new Load(proxy.port, origin, rate / 2)
  t.teardown(() => load.stop())
  const memory = new Memory(proxy.child.pid ?? 0)
  t.teardown(() => memory.stop())
  const phase = async (ms: number, name: string): Promise<{ latency: Latency; rss: number }> => {
    load.take()
    memory.take()
    const until = performance.now() + ms
    for (;;) {
      const left = until - performance.now()
      if (left <= 0) return { latency: load.take(), rss: memory.take() }
      await delay(Math.min(left, 30_000))
      onProgress(`${name}: ${Math.max(0, Math.round((until - performance.now()) / 1000))} s left, ${collector.distinct} records at the collector, ${memory.last} MiB`)
    }
  }
  load.start()
  await phase(warmMs, 'warming up')
  const before = await phase(warmMs, 'collector there')
  await collector.close()
  const outage = await phase(outageMs, 'collector away')
  const had = collector.distinct
  await collector.open()
  const openedMs = performance.now()
  load.take()
  memory.take()
  const waiting = await undelivered(proxy.ops)
  // with one second of load left it has caught up: that much is always on its way
  // often enough for a figure, and not so often that the asking is what is measured
  while ((await undelivered(proxy.ops)) > rate * 2) await delay(Math.min(1000, outageMs / 4))
  const caughtUpMs = performance.now()
  const caught = collector.distinct - had
  const catchUp = { latency: load.take(), rss: memory.take() }
  onProgress(`caught up with ${caught} records`)
  await phase(Math.min(warmMs, 5000), 'collector there again')
  await load.stop()
  memory.stop()
  proxy.child.kill('SIGTERM')
  await proxy.ended
  const lastSeq = readJournal(join(dir, 'var', 'journal')).at(-1)?.seq ?? 0
  return {
    records: lastSeq,
    lost: collector.missing(lastSeq),
    duplicates: collector.duplicates,
    mostDuplicatesInPost: collector.mostDuplicatesInPost,
    outOfOrder: collector.outOfOrder,
    failedRequests: load.failed,
    waiting,
    caughtUpInMs: Math.round(caughtUpMs - openedMs),
    catchUpPerSecond: Math.round(caught / ((caughtUpMs - (collector.firstPostMs ?? openedMs)) / 1000)),
    rssBeforeMiB: before.rss,
    rssOutageMiB: outage.rss,
    rssCatchUpMiB: catchUp.rss,
    latency: { before: before.latency, outage: outage.latency, catchUp: catchUp.latency },
  }
}

async function undelivered(ops: string): Promise<number> {
  const text = await (await fetch(`${ops}/metrics`)).text()
  return Number(/^sallyport_destination_undelivered_records\{destination="otel"\} (\d+)/m.exec(text)?.[1] ?? Number.NaN)
}

async function startOrigin(t: Scope): Promise<number> {
  const server = createServer((_request, response) => response.writeHead(200, { 'content-length': 2 }).end('ok'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('no address')
  return address.port
}

/** Plain GETs at a steady pace, whether the earlier ones are answered or not. */
class Load {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 })
  readonly #proxyPort: number
  readonly #originPort: number
  readonly #perSecond: number
  #timer: NodeJS.Timeout | undefined
  #latencies: number[] = []
  #open = 0
  failed = 0

  constructor(proxyPort: number, originPort: number, perSecond: number) {
    this.#proxyPort = proxyPort
    this.#originPort = originPort
    this.#perSecond = perSecond
  }

  start(): void {
    const beganMs = performance.now()
    let sent = 0
    this.#timer = setInterval(() => {
      const due = Math.floor(((performance.now() - beganMs) / 1000) * this.#perSecond)
      for (; sent < due; sent++) this.#send()
    }, 5)
  }

  /** What was measured since the last call. */
  take(): Latency {
    const sorted = this.#latencies.toSorted((a, b) => a - b)
    this.#latencies = []
    const at = (share: number): number => Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0) * 100) / 100
    return { requests: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99) }
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    while (this.#open > 0) await delay(10)
    this.#agent.destroy()
  }

  #send(): void {
    const beganMs = performance.now()
    this.#open++
    const host = `127.0.0.1:${this.#originPort}`
    const end = (isAnswered: boolean): void => {
      this.#open--
      if (isAnswered) this.#latencies.push(performance.now() - beganMs)
      else this.failed++
    }
    const message = request({ host: '127.0.0.1', port: this.#proxyPort, path: `http://${host}/r`, headers: { host }, agent: this.#agent }, (response) => {
      response.resume()
      response.on('close', () => end(response.statusCode === 200))
    })
    message.on('error', () => end(false))
    message.end()
  }
}

/** Resident memory of a process, once a second. */
class Memory {
  readonly #pid: number
  readonly #timer: NodeJS.Timeout
  #samples: number[] = []
  last = 0

  constructor(pid: number) {
    this.#pid = pid
    this.#timer = setInterval(() => this.#sample(), 1000)
  }

  /** Median of what was seen since the last call, MiB. */
  take(): number {
    if (this.#samples.length === 0) this.#sample()
    const sorted = this.#samples.toSorted((a, b) => a - b)
    this.#samples = []
    return sorted[Math.floor(sorted.length / 2)] ?? 0
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #sample(): void {
    const kib = Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${this.#pid}/status`, 'utf8'))?.[1] ?? 0)
    this.last = Math.round((kib / 1024) * 10) / 10
    this.#samples.push(this.last)
  }
}
