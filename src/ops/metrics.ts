// What /metrics says, in the Prometheus text format. Figures are collected when they are scraped, from
// one snapshot, so that nothing on the hot path knows of metrics. No label ever holds a host, an agent
// or anything else that a client chooses.
import { readdirSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, Gauge, Registry } from 'prom-client'

/** Counts since the start unless said otherwise; keys of the records come from closed sets. */
export interface MetricsSnapshot {
  readonly decisions: Readonly<Partial<Record<'allow' | 'deny' | 'ask', number>>>
  /** refusals by ErrorCode */
  readonly refusals: Readonly<Partial<Record<string, number>>>
  /** now open, from clients */
  readonly openConnections: number
  readonly openTunnels: number
  readonly journal: {
    readonly records: number
    /** on disk now, `bytes` */
    readonly bytes: number
    /** records that some destination has yet to take; 0 without one */
    readonly undelivered: number
    readonly state: 'ok' | 'near_full' | 'unavailable'
  }
  /** by name, which is the operator's own word */
  readonly destinations: readonly {
    readonly name: string
    readonly undelivered: number
    /** age of the oldest record that it has not taken */
    readonly oldestMs: number
    readonly exported: number
    readonly rejected: number
    readonly retries: number
    readonly isFailing: boolean
  }[]
  readonly policy: {
    readonly loads: number
    readonly rejections: number
    /** in force now */
    readonly rules: number
    readonly feedNames: number
  }
}

export interface Metrics {
  readonly contentType: string
  text(): Promise<string>
  /** stops the measurement of the event loop */
  close(): void
}

export interface MetricsOptions {
  readonly version: string
  snapshot(): MetricsSnapshot
}

const resolutionMs = 20
const journalStates = ['ok', 'near_full', 'unavailable'] as const

export function createMetrics(options: MetricsOptions): Metrics {
  const registry = new Registry()
  const family = new Families(registry)
  const delay = monitorEventLoopDelay({ resolution: resolutionMs })
  delay.enable()
  const build = family.gauge('sallyport_build_info', '1, labelled with the version', ['version'])
  build.labels(options.version).set(1)
  const collectTraffic = traffic(family)
  const collectJournal = journal(family)
  const collectDestinations = destinations(family)
  const collectPolicy = policy(family)
  const collectProcess = processBasics(family)
  const loop = family.gauge('sallyport_event_loop_delay_seconds', 'how late the event loop runs, since the last scrape', ['quantile'])
  return {
    contentType: registry.contentType,
    async text() {
      const snapshot = options.snapshot()
      collectTraffic(snapshot)
      collectJournal(snapshot)
      collectDestinations(snapshot)
      collectPolicy(snapshot)
      collectProcess()
      for (const quantile of [0.5, 0.99, 1]) {
        // the histogram holds whole intervals, so an idle loop shows the resolution
        const lateMs = delay.percentile(quantile * 100) / 1e6 - resolutionMs
        loop.labels(String(quantile)).set(Math.max(0, lateMs) / 1e3)
      }
      delay.reset()
      return registry.metrics()
    },
    close() {
      delay.disable()
      registry.clear()
    },
  }
}

class Families {
  readonly #registry: Registry

  constructor(registry: Registry) {
    this.#registry = registry
  }

  gauge<Label extends string = never>(name: string, help: string, labelNames: Label[] = []): Gauge<Label> {
    return new Gauge({ name, help, labelNames, registers: [this.#registry] })
  }

  counter<Label extends string = never>(name: string, help: string, labelNames: Label[] = []): Counter<Label> {
    return new Counter({ name, help, labelNames, registers: [this.#registry] })
  }
}

/** A counter that is kept elsewhere: what the snapshot says is its value. */
function setCounter(counter: Counter, value: number): void {
  counter.reset()
  counter.inc(value)
}

type Collect = (snapshot: MetricsSnapshot) => void

function traffic(family: Families): Collect {
  const decisions = family.counter('sallyport_decisions_total', 'decisions by verdict', ['verdict'])
  const refusals = family.counter('sallyport_refusals_total', 'requests refused, by code', ['code'])
  const connections = family.gauge('sallyport_open_connections', 'client connections open now')
  const tunnels = family.gauge('sallyport_open_tunnels', 'tunnels open now')
  return (snapshot) => {
    decisions.reset()
    for (const verdict of ['allow', 'deny', 'ask'] as const) {
      decisions.labels(verdict).inc(snapshot.decisions[verdict] ?? 0)
    }
    refusals.reset()
    for (const [code, amount] of Object.entries(snapshot.refusals)) {
      refusals.labels(code).inc(amount ?? 0)
    }
    connections.set(snapshot.openConnections)
    tunnels.set(snapshot.openTunnels)
  }
}

function journal(family: Families): Collect {
  const records = family.counter('sallyport_journal_records_total', 'records appended to the journal')
  const bytes = family.gauge('sallyport_journal_bytes', 'size of the journal on disk')
  const undelivered = family.gauge('sallyport_journal_undelivered_records', 'records that some destination has yet to take')
  const state = family.gauge('sallyport_journal_state', '1 for the state that the journal is in', ['state'])
  return (snapshot) => {
    setCounter(records, snapshot.journal.records)
    bytes.set(snapshot.journal.bytes)
    undelivered.set(snapshot.journal.undelivered)
    for (const name of journalStates) state.labels(name).set(snapshot.journal.state === name ? 1 : 0)
  }
}

function destinations(family: Families): Collect {
  const label: ['destination'] = ['destination']
  const undelivered = family.gauge('sallyport_destination_undelivered_records', 'records that a destination has yet to take', label)
  const oldest = family.gauge('sallyport_destination_oldest_undelivered_seconds', 'age of the oldest of them', label)
  const failing = family.gauge('sallyport_destination_failing', '1 while the last try failed', label)
  const exported = family.counter('sallyport_destination_records_total', 'records that a destination took', label)
  const rejected = family.counter('sallyport_destination_rejected_records_total', 'records that it refused for good', label)
  const retries = family.counter('sallyport_destination_retries_total', 'tries that failed and were repeated', label)
  return (snapshot) => {
    for (const metric of [exported, rejected, retries]) metric.reset()
    for (const each of snapshot.destinations) {
      undelivered.labels(each.name).set(each.undelivered)
      oldest.labels(each.name).set(each.oldestMs / 1000)
      failing.labels(each.name).set(each.isFailing ? 1 : 0)
      exported.labels(each.name).inc(each.exported)
      rejected.labels(each.name).inc(each.rejected)
      retries.labels(each.name).inc(each.retries)
    }
  }
}

function policy(family: Families): Collect {
  const loads = family.counter('sallyport_policy_loads_total', 'policies that came into force')
  const rejections = family.counter('sallyport_policy_rejections_total', 'policy changes that did not compile')
  const rules = family.gauge('sallyport_policy_rules', 'rules in force')
  const feedNames = family.gauge('sallyport_policy_feed_names', 'names on denied lists in force')
  return (snapshot) => {
    setCounter(loads, snapshot.policy.loads)
    setCounter(rejections, snapshot.policy.rejections)
    rules.set(snapshot.policy.rules)
    feedNames.set(snapshot.policy.feedNames)
  }
}

/** The names that dashboards for Node processes already know. */
function processBasics(family: Families): () => void {
  const cpu = family.counter('process_cpu_seconds_total', 'processor time used')
  const resident = family.gauge('process_resident_memory_bytes', 'resident memory')
  const heap = family.gauge('nodejs_heap_size_used_bytes', 'JavaScript heap in use')
  const start = family.gauge('process_start_time_seconds', 'start of the process, Unix time')
  const open = family.gauge('process_open_fds', 'open file descriptors')
  start.set(performance.timeOrigin / 1000)
  return () => {
    const { user, system } = process.cpuUsage()
    setCounter(cpu, (user + system) / 1e6)
    const memory = process.memoryUsage()
    resident.set(memory.rss)
    heap.set(memory.heapUsed)
    const count = openDescriptors()
    if (count !== undefined) open.set(count)
  }
}

/** Only where the system has /proc; elsewhere the figure is left out. */
function openDescriptors(): number | undefined {
  if (process.platform !== 'linux') return undefined
  try {
    return readdirSync('/proc/self/fd').length
  } catch (error) {
    // a container may hide /proc; a health page must not fail over it
    if (error instanceof Error && 'code' in error) return undefined
    throw error
  }
}
