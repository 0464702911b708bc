// The thread in which pages are read, one after the other. It holds nothing between two of them, and whoever started it
// ends it where one takes too long.
import { parentPort } from 'node:worker_threads'
import { UnreadablePage, type PageJob, type PageYield } from './page-job.ts'
import { readPage } from './page-reading.ts'

const port = parentPort
if (port !== null) port.on('message', (job: PageJob) => port.postMessage(yieldOf(job), []))

/** Never throws: whatever fails here fails for this page alone. */
export function yieldOf(job: PageJob): PageYield {
  try {
    return { id: job.id, text: readPage(job) }
  } catch (error) {
    return { id: job.id, fault: error instanceof UnreadablePage ? error.message : 'it could not be read' }
  }
}
