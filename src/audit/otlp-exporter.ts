// The exporter as the main thread sees it: a worker that delivers the journal to a collector, restarted
// when it dies. It never waits for the worker on the way of a request, and never touches a record.
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { AuditEvent } from './event.ts'
import type { DeliveryReport } from './otlp-delivery.ts'
import type { OtlpResource } from './otlp-encoding.ts'
import { gapEvent } from './service-events.ts'

export interface ExporterSettings {
  /** DATA/journal */
  readonly dir: string
  /** the whole URL, as in Codex's `otlp-http` settings: no `/v1/logs` is added */
  readonly endpoint: string
  readonly protocol: 'binary' | 'json'
  readonly headers: Readonly<Record<string, string>>
  readonly resource: OtlpResource
  readonly timeoutMs: number
  /** how long new records wait for company */
  readonly flushMs: number
  readonly minBackoffMs: number
  readonly maxBackoffMs: number
}

export interface ExporterOptions {
  readonly dir: string
  readonly endpoint: string
  readonly protocol: 'binary' | 'json'
  readonly headers: Readonly<Record<string, string>>
  /** `deployment.environment.name` */
  readonly environment: string
  /** `service.version` */
  readonly version: string
  /** for tests: shorter waits */
  readonly waits?: Partial<Pick<ExporterSettings, 'timeoutMs' | 'flushMs' | 'minBackoffMs' | 'maxBackoffMs'>>
  /** every record up to `seq` is with the collector: for the journal's retention */
  readonly onDelivered: (seq: number) => void
  /** records were set aside; the event says how many, to be journaled */
  readonly onEvent: (event: AuditEvent) => void
  readonly onLog: (level: 'info' | 'warn' | 'error', message: string) => void
}

export interface ExporterStats {
  readonly deliveredSeq: number
  /** since this process started */
  readonly exported: number
  readonly rejected: number
  readonly retries: number
  /** what the last try met, while tries fail */
  readonly trouble: string | undefined
  readonly restarts: number
}

export interface Exporter {
  stats(): ExporterStats
  /** Delivers what is in the journal, for `deadlineMs` at most; the rest waits for the next start. */
  close(deadlineMs: number): Promise<void>
}

const defaultWaits = { timeoutMs: 10_000, flushMs: 1000, minBackoffMs: 1000, maxBackoffMs: 30_000 }
const reportEveryMs = 60_000
const restartMs = 1000
const maxRestartMs = 30_000

/** Starts exporting. The journal must be open, and stays the caller's to close, after this. */
export function startExporter(options: ExporterOptions): Exporter {
  return new WorkerExporter(options)
}

class WorkerExporter implements Exporter {
  readonly #options: ExporterOptions
  readonly #settings: ExporterSettings
  #worker: Worker
  #stats: ExporterStats = { deliveredSeq: 0, exported: 0, rejected: 0, retries: 0, trouble: undefined, restarts: 0 }
  /** counts of workers that ended */
  #before = { exported: 0, rejected: 0, retries: 0 }
  #isClosing = false
  #restartTimer: NodeJS.Timeout | undefined
  #unreported: { count: number; firstSeq: number; lastSeq: number; detail: string } | undefined
  #reportTimer: NodeJS.Timeout | undefined

  constructor(options: ExporterOptions) {
    this.#options = options
    const { dir, endpoint, protocol, headers, environment, version, waits } = options
    this.#settings = { dir, endpoint, protocol, headers, resource: { version, environment }, ...defaultWaits, ...waits }
    this.#worker = this.#start()
  }

  stats(): ExporterStats {
    return this.#stats
  }

  async close(deadlineMs: number): Promise<void> {
    this.#isClosing = true
    clearTimeout(this.#restartTimer)
    clearTimeout(this.#reportTimer)
    this.#reportRejected()
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
    // beside this file, .ts here and .js when published
    const worker = new Worker(new URL(`otlp-worker${extname(import.meta.filename)}`, import.meta.url), {
      name: 'otlp-exporter',
      workerData: this.#settings,
      resourceLimits: { maxOldGenerationSizeMb: 96 },
    })
    worker.unref()
    worker.on('message', (report: DeliveryReport) => this.#receive(report))
    worker.on('error', (error) => this.#options.onLog('error', `the exporter failed: ${String(error)}`))
    worker.on('exit', () => this.#ended())
    return worker
  }

  #receive(report: DeliveryReport): void {
    const { onDelivered, onLog } = this.#options
    switch (report.kind) {
      case 'progress': {
        const { deliveredSeq, exported, rejected, retries, trouble } = report
        const { restarts } = this.#stats
        const before = this.#before
        this.#stats = { deliveredSeq, exported: before.exported + exported, rejected: before.rejected + rejected, retries: before.retries + retries, trouble, restarts }
        onDelivered(deliveredSeq)
        break
      }
      case 'log':
        onLog(report.level, report.message)
        break
      case 'missing': {
        const { firstSeq, lastSeq } = report
        const detail = `records ${firstSeq} to ${lastSeq} were gone from the journal before they could be exported`
        this.#options.onEvent(gapEvent({ cause: 'segment_lost', count: lastSeq + 1 - firstSeq, detail, firstSeq, lastSeq }))
        break
      }
      case 'rejected':
        // a report about refused reports would be refused as well, and so for ever
        if (!report.ownReportsOnly) this.#countRejected(report)
        break
    }
  }

  /** At most one event a minute, so that a collector that refuses much does not fill the journal. */
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
    this.#options.onEvent(gapEvent({ cause: 'export_rejected', count, detail, firstSeq, lastSeq }))
  }

  #ended(): void {
    if (this.#isClosing) return
    const { exported, rejected, retries, restarts } = this.#stats
    this.#before = { exported, rejected, retries }
    this.#stats = { ...this.#stats, restarts: restarts + 1, trouble: 'the exporter ended and is started again' }
    this.#options.onLog('error', 'the exporter ended and is started again; nothing is lost')
    const delayMs = Math.min(maxRestartMs, restartMs * 2 ** Math.min(restarts, 10))
    this.#restartTimer = setTimeout(() => {
      this.#worker = this.#start()
    }, delayMs).unref()
  }
}
