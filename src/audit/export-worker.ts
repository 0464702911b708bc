// The exporter's thread: builds the deliveries from what the main thread hands over, and passes messages.
// It reads the journal's files and writes cursors, poison files and what the settings name, nothing else.
import { parentPort, workerData } from 'node:worker_threads'
import { createSink } from './create-sink.ts'
import { Deliveries, type DeliveriesSettings } from './deliveries.ts'

const settings: DeliveriesSettings = workerData
const deliveries = new Deliveries({
  ...settings,
  createSink: (destination) => createSink(destination, settings.resource, settings.waits.timeoutMs),
  report: (report) => parentPort?.postMessage(report, []),
})
parentPort?.on('message', (message) => {
  if (message === 'drain') deliveries.drain()
})
await deliveries.run()
parentPort?.close()
