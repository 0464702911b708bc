// The exporter as the main thread sees it: a worker that delivers the journal to its destinations, restarted
// when it dies. It never waits for the worker on the way of a request, and never touches a record.
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { destinationUntoldEvent } from './delivery-events.ts'
import type { DeliveryProgress, DeliveryReport } from './delivery.ts'
import type { DeliveriesSettings, DeliveryWaits, DestinationReport, Farewell } from './deliveries.ts'
import type { Destination } from './destination.ts'
import type { AuditEvent } from './event.ts'
import { gapEvent } from './service-events.ts'

export interface ExporterOptions {
  /** DATA/journal */
  readonly dir: string
  readonly destinations: readonly Destination[]
  /** what is told to destinations that were changed or left out, before anything else of their name is delivered */
  readonly farewells?: readonly Farewell[]
  /** `deployment.environment.name` */
  readonly environment: string
  /** `service.version` */
  readonly version: string
  /** for tests: shorter waits */
  readonly waits?: Partial<DeliveryWaits>
  /** every destination has every record up to `seq`: for the journal's retention */
  readonly onDelivered: (seq: number) => void
  /** something to be journaled: records were set aside or are missing, a change could not be told */
  readonly onEvent: (event: AuditEvent) => void
  /** a farewell came to its end, taken or not */
  readonly onTold?: (destination: string) => void
  readonly onLog: (level: 'info' | 'warn' | 'error', message: string) => void
}

/** Counts since this process started. */
export interface DestinationStats extends DeliveryProgress {
  readonly name: string
}

export interface Exporter {
  /** in the order of the settings */
  stats(): readonly DestinationStats[]
  /** workers that ended by themselves */
  readonly restarts: number
  /** Delivers what is in the journal, for `deadlineMs` at most; the rest waits for the next start. */
  close(deadlineMs: number): Promise<void>
}

const defaultWaits: DeliveryWaits = { timeoutMs: 60_000, flushMs: 1000, minBackoffMs: 1000, maxBackoffMs: 30_000, farewellMs: 30_000 }
const reportEveryMs = 60_000
const restartMs = 1000
const maxRestartMs = 30_000

/** Starts exporting. The journal must be open, and stays the caller's to close, after this. */
export function startExporter(options: ExporterOptions): Exporter {
  return new WorkerExporter(options)
}

class WorkerExporter implements Exporter {
  readonly #options: ExporterOptions
  readonly #tracks: ReadonlyMap<string, Track>
  #farewells: readonly Farewell[]
  #worker: Worker
  #restarts = 0
  #isClosing = false
  #restartTimer: NodeJS.Timeout | undefined

  constructor(options: ExporterOptions) {
    this.#options = options
    this.#farewells = options.farewells ?? []
    this.#tracks = new Map(options.destinations.map(({ name }) => [name, new Track(name, options.onEvent)]))
    this.#worker = this.#start()
  }

  stats(): readonly DestinationStats[] {
    return [...this.#tracks.values()].map(({ stats }) => stats)
  }

  get restarts(): number {
    return this.#restarts
  }

  async close(deadlineMs: number): Promise<void> {
    this.#isClosing = true
    clearTimeout(this.#restartTimer)
    for (const track of this.#tracks.values()) track.close()
    const worker = this.#worker
    if (worker.threadId === -1) return
    worker.ref()
    const { promise, resolve } = Promise.withResolvers<void>()
    worker.once('exit', () => resolve())
    worker.postMessage('drain', [])
    const timer = setTimeout(resolve, deadlineMs)
    await promise
    clearTimeout(timer)
    await worker.terminate()
  }

  #start(): Worker {
    const { dir, destinations, environment, version, waits } = this.#options
    const settings: DeliveriesSettings = { dir, destinations, farewells: this.#farewells, resource: { version, environment }, waits: { ...defaultWaits, ...waits } }
    // beside this file, .ts here and .js when published
    const worker = new Worker(new URL(`export-worker${extname(import.meta.filename)}`, import.meta.url), {
      name: 'exporter',
      workerData: settings,
      // what is read and sent is garbage at once: a small nursery keeps it from piling up
      resourceLimits: { maxOldGenerationSizeMb: 96, maxYoungGenerationSizeMb: 8 },
    })
    worker.unref()
    worker.on('message', (report: DestinationReport) => this.#receive(report))
    worker.on('error', (error) => this.#options.onLog('error', `the exporter failed: ${String(error)}`))
    worker.on('exit', () => this.#ended())
    return worker
  }

  #receive(report: DestinationReport): void {
    const { onLog, onTold, onEvent, onDelivered } = this.#options
    const { destination } = report
    if (report.kind === 'log') {
      onLog(report.level, `destination ${destination}: ${report.message}`)
    } else if (report.kind === 'told') {
      this.#farewells = this.#farewells.filter((farewell) => farewell.destination.name !== destination)
      onLog(report.isTaken ? 'info' : 'error', `destination ${destination}: the old destination ${report.isTaken ? 'was told of the change' : `could not be told of the change: ${report.detail}`}`)
      if (!report.isTaken) onEvent(destinationUntoldEvent(destination, report.detail))
      onTold?.(destination)
    } else {
      this.#tracks.get(destination)?.receive(report)
      if (report.kind === 'progress') onDelivered(Math.min(...this.stats().map(({ deliveredSeq }) => deliveredSeq)))
    }
  }

  #ended(): void {
    if (this.#isClosing) return
    const restarts = this.#restarts++
    for (const track of this.#tracks.values()) track.workerEnded()
    this.#options.onLog('error', 'the exporter ended and is started again; nothing is lost')
    const delayMs = Math.min(maxRestartMs, restartMs * 2 ** Math.min(restarts, 10))
    this.#restartTimer = setTimeout(() => {
      this.#worker = this.#start()
    }, delayMs).unref()
  }
}

/** What is known of one destination here, over all workers there were. */
class Track {
  stats: DestinationStats
  readonly #name: string
  readonly #onEvent: (event: AuditEvent) => void
  /** counts of workers that ended */
  #before = { exported: 0, rejected: 0, retries: 0 }
  #unreported: { count: number; firstSeq: number; lastSeq: number; detail: string } | undefined
  #reportTimer: NodeJS.Timeout | undefined

  constructor(name: string, onEvent: (event: AuditEvent) => void) {
    this.#name = name
    this.#onEvent = onEvent
    this.stats = { name, deliveredSeq: 0, exported: 0, rejected: 0, retries: 0, trouble: undefined, pendingSinceMs: undefined }
  }

  receive(report: Exclude<DeliveryReport, { kind: 'log' }>): void {
    if (report.kind === 'progress') {
      const { deliveredSeq, exported, rejected, retries, trouble, pendingSinceMs } = report
      const before = this.#before
      this.stats = { name: this.#name, deliveredSeq, exported: before.exported + exported, rejected: before.rejected + rejected, retries: before.retries + retries, trouble, pendingSinceMs }
    } else if (report.kind === 'missing') {
      const { firstSeq, lastSeq } = report
      const detail = `records ${firstSeq} to ${lastSeq} were gone from the journal before they could be exported`
      this.#onEvent(gapEvent({ cause: 'segment_lost', count: lastSeq + 1 - firstSeq, detail, firstSeq, lastSeq, destination: this.#name }))
    } else if (!report.ownReportsOnly) {
      // a report about refused reports would be refused as well, and so for ever
      this.#countRejected(report)
    }
  }

  workerEnded(): void {
    const { exported, rejected, retries } = this.stats
    this.#before = { exported, rejected, retries }
    this.stats = { ...this.stats, trouble: 'the exporter ended and is started again' }
  }

  close(): void {
    clearTimeout(this.#reportTimer)
    this.#reportRejected()
  }

  /** At most one event a minute, so that a destination that refuses much does not fill the journal. */
  #countRejected({ count, firstSeq, lastSeq, detail }: Extract<DeliveryReport, { kind: 'rejected' }>): void {
    const earlier = this.#unreported
    this.#unreported = { count: count + (earlier?.count ?? 0), firstSeq: earlier?.firstSeq ?? firstSeq, lastSeq, detail }
    if (this.#reportTimer !== undefined) return
    this.#reportRejected()
    this.#reportTimer = setTimeout(() => {
      this.#reportTimer = undefined
      this.#reportRejected()
    }, reportEveryMs).unref()
  }

  #reportRejected(): void {
    if (this.#unreported === undefined) return
    const { count, firstSeq, lastSeq, detail } = this.#unreported
    this.#unreported = undefined
    this.#onEvent(gapEvent({ cause: 'export_rejected', count, detail, firstSeq, lastSeq, destination: this.#name }))
  }
}
