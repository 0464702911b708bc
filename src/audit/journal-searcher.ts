// Searching the journal as the main thread sees it: a worker that keeps the index and answers questions, started again
// when it dies or takes too long. A question can cost what it likes there, and no request waits for it.
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { KeeperOptions } from './index-keeper.ts'
import { FilterFault, type GlobField, type WordField } from './record-filter.ts'
import type { Search, SearchAnswer } from './record-search.ts'

export interface SearcherOptions {
  /** DATA/journal */
  readonly dir: string
  readonly onLog: (level: 'info' | 'warn', message: string) => void
  readonly onFault: (error: unknown) => void
  /** for tests: shorter waits */
  readonly waits?: Partial<typeof defaultWaits>
}

export type WorkerSettings = Omit<KeeperOptions, 'onLog'>

export type ToSearcher = { readonly kind: 'search'; readonly id: number; readonly search: Search } | { readonly kind: 'stop' }

type FromSearcher =
  | { readonly kind: 'answer'; readonly id: number; readonly answer: SearchAnswer }
  | { readonly kind: 'fault'; readonly id: number; readonly field: GlobField | WordField | undefined; readonly message: string }
  | { readonly kind: 'log'; readonly level: 'info' | 'warn'; readonly message: string }

/** No answer now; a second try may have one. */
export class SearchUnavailable extends Error {
  override readonly name = 'SearchUnavailable'
}

export interface JournalSearcher {
  /** Rejects with FilterFault for a question that cannot be asked, with SearchUnavailable where no answer came in time. */
  search(search: Search): Promise<SearchAnswer>
  close(): Promise<void>
}

interface Waiting {
  readonly resolve: (answer: SearchAnswer) => void
  readonly reject: (error: Error) => void
  readonly timer: NodeJS.Timeout
}

// what starts has other things to do first
const defaultWaits = { startMs: 3000, pollMs: 1000, restFactor: 3, deadlineMs: 20_000, restartMs: 1000 }
// some 200 records a second; a quarter of a GiB is read in a few seconds; a twentieth of a core indexes 1,000 records a second
const pace = { busyBytesPerS: 256 * 1024, maxLagBytes: 256 * 1024 * 1024, busyRestFactor: 19 }

/** Starts the worker, soon or with the first question; the index is made and kept up from then on. */
export function startSearcher(options: SearcherOptions): JournalSearcher {
  return new WorkerSearcher(options)
}

class WorkerSearcher implements JournalSearcher {
  readonly #options: SearcherOptions
  readonly #waits: typeof defaultWaits
  readonly #waiting = new Map<number, Waiting>()
  /** undefined: not started yet, or about to be again */
  #worker: Worker | undefined
  #lastId = 0
  #isClosing = false
  #isStarted = false
  #startTimer: NodeJS.Timeout | undefined

  constructor(options: SearcherOptions) {
    this.#options = options
    this.#waits = { ...defaultWaits, ...options.waits }
    this.#startAfter(this.#waits.startMs)
  }

  search(search: Search): Promise<SearchAnswer> {
    if (!this.#isStarted && !this.#isClosing) this.#start()
    const worker = this.#worker
    if (worker === undefined) return Promise.reject(new SearchUnavailable('the search is starting again'))
    const id = ++this.#lastId
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#giveUp(worker), this.#waits.deadlineMs)
      this.#waiting.set(id, { resolve, reject, timer })
      this.#post(worker, { kind: 'search', id, search })
    })
  }

  async close(): Promise<void> {
    this.#isClosing = true
    clearTimeout(this.#startTimer)
    const worker = this.#worker
    if (worker === undefined) return
    const { promise, resolve } = Promise.withResolvers<void>()
    worker.once('exit', () => resolve())
    worker.ref()
    this.#post(worker, { kind: 'stop' })
    // a step is short, a question may not be
    const timer = setTimeout(resolve, this.#waits.restartMs)
    await promise
    clearTimeout(timer)
    await worker.terminate()
  }

  #post(worker: Worker, message: ToSearcher): void {
    worker.postMessage(message, [])
  }

  #startAfter(ms: number): void {
    this.#startTimer = setTimeout(() => this.#start(), ms).unref()
  }

  #start(): void {
    clearTimeout(this.#startTimer)
    this.#isStarted = true
    const { pollMs, restFactor } = this.#waits
    const settings: WorkerSettings = { dir: this.#options.dir, pollMs, restFactor, ...pace }
    // beside this file, .ts here and .js when published
    const worker = new Worker(new URL(`index-worker${extname(import.meta.filename)}`, import.meta.url), {
      name: 'journal-index',
      workerData: settings,
      resourceLimits: { maxOldGenerationSizeMb: 128 },
    })
    worker.unref()
    worker.on('message', (message: FromSearcher) => this.#receive(message))
    worker.on('error', (error) => this.#options.onFault(error))
    worker.on('exit', () => this.#ended())
    this.#worker = worker
  }

  #receive(message: FromSearcher): void {
    if (message.kind === 'log') return this.#options.onLog(message.level, message.message)
    const waiting = this.#waiting.get(message.id)
    if (waiting === undefined) return
    this.#waiting.delete(message.id)
    clearTimeout(waiting.timer)
    if (message.kind === 'answer') waiting.resolve(message.answer)
    else waiting.reject(message.field === undefined ? new Error(message.message) : new FilterFault(message.field, message.message))
  }

  /** Whatever it is busy with, it is not worth a thread that answers nobody. */
  #giveUp(worker: Worker): void {
    this.#options.onLog('warn', `a search of the journal took longer than ${this.#waits.deadlineMs} ms and is ended`)
    worker.terminate().catch(this.#options.onFault)
  }

  #ended(): void {
    this.#worker = undefined
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer)
      reject(new SearchUnavailable('the search took too long, or ended'))
    }
    this.#waiting.clear()
    if (!this.#isClosing) this.#startAfter(this.#waits.restartMs)
  }
}
