// The exporter's thread: builds a delivery from what the main thread hands over, and passes messages.
// It reads the journal's files and writes the cursor and the poison file, nothing else.
import { parentPort, workerData } from 'node:worker_threads'
import { Delivery } from './otlp-delivery.ts'
import { createEncoding } from './otlp-encoding.ts'
import type { ExporterSettings } from './otlp-exporter.ts'
import { createSender } from './otlp-sender.ts'

const settings: ExporterSettings = workerData
const encoding = createEncoding(settings.protocol, settings.resource)
const sender = createSender({ endpoint: settings.endpoint, headers: settings.headers, contentType: encoding.contentType, timeoutMs: settings.timeoutMs })
const delivery = new Delivery({
  dir: settings.dir,
  encoding,
  sender,
  flushMs: settings.flushMs,
  minBackoffMs: settings.minBackoffMs,
  maxBackoffMs: settings.maxBackoffMs,
  report: (report) => parentPort?.postMessage(report, []),
})
parentPort?.on('message', (message) => {
  if (message === 'drain') delivery.drain()
})
await delivery.run()
sender.close()
parentPort?.close()
