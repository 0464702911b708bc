// A journal, a collector, and a delivery between them: in this thread, or by the worker.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { AuditEvent } from '../../src/audit/event.ts'
import type { Journal } from '../../src/audit/journal.ts'
import { Delivery, type DeliveryReport } from '../../src/audit/delivery.ts'
import { createFilter } from '../../src/audit/destination-filter.ts'
import type { OtlpDestination } from '../../src/audit/destination.ts'
import { startExporter, type DestinationStats, type Exporter, type ExporterOptions } from '../../src/audit/exporter.ts'
import { createOtlpSink } from '../../src/audit/otlp-sink.ts'
import type { JournalRecord } from '../../src/audit/record.ts'
import type { Sink } from '../../src/audit/sink.ts'
import { otlpTo } from '../support/collector.ts'
import { decisionOf, folder, openTestJournal } from './fixture.ts'
import { startReceiver, type Post, type Receiver } from './receiver.ts'

type Progress = Extract<DeliveryReport, { kind: 'progress' }>

export interface Bench {
  dir: string
  journal: Journal
  receiver: Receiver
  events: AuditEvent[]
  reports: DeliveryReport[]
  log: string[]
  append: (...ids: string[]) => Promise<void>
  /** the worker */
  start: (options?: Partial<ExporterOptions> & { to?: Partial<OtlpDestination> }) => Exporter
  /** the same without a thread */
  deliver: (options?: DeliverOptions) => { progress: () => Progress; stop: () => Promise<void>; drain: () => Promise<void> }
}

export interface DeliverOptions {
  dir?: string
  journal?: Journal
  protocol?: 'binary' | 'json'
  to?: Partial<OtlpDestination>
  /** instead of the receiver */
  sink?: Sink
  flushMs?: number
  timeoutMs?: number
  /** called with the records of each encoding */
  onEncode?: (records: readonly JournalRecord[]) => void
}

export const waits = { timeoutMs: 10_000, flushMs: 10, minBackoffMs: 5, maxBackoffMs: 20, farewellMs: 500 }

export async function bench(t: Test): Promise<Bench> {
  const dir = folder(t)
  const receiver = await startReceiver(t)
  const journal = await openTestJournal(t, dir, { destinations: ['otel'] })
  const made: Bench = {
    dir,
    journal,
    receiver,
    events: [],
    reports: [],
    log: [],
    append: async (...ids) => void (await Promise.all(ids.map((id) => journal.append(decisionOf(id))))),
    start: ({ to, ...options } = {}) => {
      const exporter = startExporter({
        dir: join(dir, 'journal'),
        destinations: [otlpTo('otel', receiver.endpoint, { headers: { 'x-api-key': 'k' }, ...to })],
        environment: 'test',
        version: '1.2.3',
        waits,
        onDelivered: (seq) => journal.delivered(seq),
        onEvent: (event) => void made.events.push(event),
        onLog: (_level, message) => void made.log.push(message),
        ...options,
      })
      t.teardown(() => exporter.close(0))
      return exporter
    },
    deliver: (options = {}) => deliverHere(t, made, options),
  }
  return made
}

function deliverHere(t: Test, { dir, journal, receiver, reports, log }: Bench, options: DeliverOptions): ReturnType<Bench['deliver']> {
  const destination = otlpTo('otel', receiver.endpoint, { protocol: options.protocol ?? 'binary', ...options.to })
  const sink = options.sink ?? createOtlpSink(destination, { version: '1', environment: 'test' }, options.timeoutMs ?? waits.timeoutMs)
  const state: { progress: Progress } = { progress: { kind: 'progress', deliveredSeq: 0, exported: 0, rejected: 0, retries: 0, trouble: undefined, pendingSinceMs: undefined } }
  const delivery = new Delivery({
    dir: options.dir ?? join(dir, 'journal'),
    name: destination.name,
    passes: createFilter(destination.filter),
    sink: {
      ...sink,
      encode: async (records) => {
        options.onEncode?.(records)
        return sink.encode(records)
      },
    },
    ...waits,
    flushMs: options.flushMs ?? waits.flushMs,
    report: (report) => {
      reports.push(report)
      if (report.kind === 'log') log.push(report.message)
      if (report.kind !== 'progress') return
      state.progress = report
      const target = options.journal ?? journal
      target.delivered(report.deliveredSeq)
    },
  })
  const ended = delivery.run()
  const stop = async (): Promise<void> => {
    delivery.stop()
    await ended
    sink.close()
  }
  t.teardown(stop)
  const drain = async (): Promise<void> => {
    delivery.drain()
    await ended
  }
  return { progress: () => state.progress, stop, drain }
}

/** The one destination of an exporter that has one. */
export const only = (exporter: Exporter): DestinationStats => {
  const [stats] = exporter.stats()
  if (stats === undefined) throw new Error('there is no destination')
  return stats
}
export const idOf = ({ attributes }: { readonly attributes: Readonly<Record<string, unknown>> }): string => String(attributes['sallyport.request.id'])
export const idsOf = (receiver: Receiver): string[] => receiver.accepted.map(idOf)
export const has = (post: Post, id: string): boolean => post.records.some((record) => idOf(record) === id)
export const poisonOf = (dir: string): string[] => {
  const path = join(dir, 'journal', 'export.poison.jsonl')
  return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n').map((line) => idOf(JSON.parse(line).record)) : []
}
