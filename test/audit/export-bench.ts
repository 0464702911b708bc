// A journal, a collector, and a delivery between them: in this thread, or by the worker.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { AuditEvent } from '../../src/audit/event.ts'
import type { Journal } from '../../src/audit/journal.ts'
import { Delivery, type DeliveryReport } from '../../src/audit/otlp-delivery.ts'
import { createEncoding } from '../../src/audit/otlp-encoding.ts'
import { startExporter, type Exporter, type ExporterOptions } from '../../src/audit/otlp-exporter.ts'
import type { JournalRecord } from '../../src/audit/record.ts'
import { createSender } from '../../src/audit/otlp-sender.ts'
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
  start: (options?: Partial<ExporterOptions>) => Exporter
  /** the same without a thread */
  deliver: (options?: DeliverOptions) => { progress: () => Progress; stop: () => Promise<void> }
}

export interface DeliverOptions {
  dir?: string
  journal?: Journal
  protocol?: 'binary' | 'json'
  flushMs?: number
  /** called with the records of each encoding */
  onEncode?: (records: readonly JournalRecord[]) => void
}

const waits = { timeoutMs: 300, flushMs: 10, minBackoffMs: 5, maxBackoffMs: 20 }

export async function bench(t: Test): Promise<Bench> {
  const dir = folder(t)
  const receiver = await startReceiver(t)
  const journal = await openTestJournal(t, dir, { exporting: true })
  const made: Bench = {
    dir,
    journal,
    receiver,
    events: [],
    reports: [],
    log: [],
    append: async (...ids) => void (await Promise.all(ids.map((id) => journal.append(decisionOf(id))))),
    start: (options) => {
      const exporter = startExporter({
        dir: join(dir, 'journal'),
        endpoint: receiver.endpoint,
        protocol: 'binary',
        headers: { 'x-api-key': 'k' },
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
  const encoding = createEncoding(options.protocol ?? 'binary', { version: '1', environment: 'test' })
  const sender = createSender({ endpoint: receiver.endpoint, headers: {}, contentType: encoding.contentType, timeoutMs: waits.timeoutMs })
  const state: { progress: Progress } = { progress: { kind: 'progress', deliveredSeq: 0, exported: 0, rejected: 0, retries: 0, trouble: undefined } }
  const delivery = new Delivery({
    dir: options.dir ?? join(dir, 'journal'),
    encoding: {
      ...encoding,
      encode: (records) => {
        options.onEncode?.(records)
        return encoding.encode(records)
      },
    },
    sender,
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
    sender.close()
  }
  t.teardown(stop)
  return { progress: () => state.progress, stop }
}

export const idOf = ({ attributes }: { readonly attributes: Readonly<Record<string, unknown>> }): string => String(attributes['sallyport.request.id'])
export const idsOf = (receiver: Receiver): string[] => receiver.accepted.map(idOf)
export const has = (post: Post, id: string): boolean => post.records.some((record) => idOf(record) === id)
export const poisonOf = (dir: string): string[] => {
  const path = join(dir, 'journal', 'export.poison.jsonl')
  return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n').map((line) => idOf(JSON.parse(line).record)) : []
}
