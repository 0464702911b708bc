// The thread of the index: passes questions and answers between the main thread and what keeps the index. Where the
// system can, it runs behind every other thread that has something to do: questions must not starve, so not at the last place.
import { constants, setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import { IndexKeeper } from './index-keeper.ts'
import type { ToSearcher, WorkerSettings } from './journal-searcher.ts'
import { FilterFault } from './record-filter.ts'

const settings: WorkerSettings = workerData
const keeper = new IndexKeeper({ ...settings, onLog: (level, message) => parentPort?.postMessage({ kind: 'log', level, message }, []) })

parentPort?.on('message', (message: ToSearcher) => {
  if (message.kind === 'stop') keeper.stop()
  else void answer(message)
})

try {
  // on Linux that is of the thread that calls, elsewhere of the process
  if (process.platform === 'linux') setPriority(constants.priority.PRIORITY_BELOW_NORMAL)
} catch (error) {
  parentPort?.postMessage({ kind: 'log', level: 'info', message: `the index of the journal is kept at the usual priority: ${error instanceof Error ? error.message : String(error)}` }, [])
}

async function answer({ id, search }: Extract<ToSearcher, { kind: 'search' }>): Promise<void> {
  try {
    parentPort?.postMessage({ kind: 'answer', id, answer: await keeper.search(search) }, [])
  } catch (error) {
    const field = error instanceof FilterFault ? error.field : undefined
    parentPort?.postMessage({ kind: 'fault', id, field, message: error instanceof Error ? error.message : String(error) }, [])
  }
}

await keeper.run()
parentPort?.close()
