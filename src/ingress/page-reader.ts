// Has pages read in a thread of their own, one at a time, within bounds of time and memory: a hostile page costs its
// reader an answer and nobody else more than that time. Must never read a page in the main thread.
import { Worker } from 'node:worker_threads'
import { ProxyError } from '../errors.ts'
import { UnreadablePage, type PageJob, type PageYield } from './page-job.ts'

export interface PageReaderOptions {
  /** for one page, `ms` */
  readonly timeoutMs?: number
  /** of the thread, MiB */
  readonly memoryMb?: number
  /** pages of one session at a time, from when they are received */
  readonly perSession?: number
}

interface Waiting {
  readonly job: PageJob
  readonly settle: (text: string | UnreadablePage) => void
}

/** of all sessions */
const maxPages = 64
const idleMs = 60_000

export class PageReader {
  readonly #timeoutMs: number
  readonly #memoryMb: number
  readonly #perSession: number
  #worker: Worker | undefined
  #running: Waiting | undefined
  #waiting: Waiting[] = []
  #pages = 0
  readonly #perSessionNow = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined
  #lastId = 0

  constructor({ timeoutMs = 5_000, memoryMb = 256, perSession = 4 }: PageReaderOptions = {}) {
    this.#timeoutMs = timeoutMs
    this.#memoryMb = memoryMb
    this.#perSession = perSession
  }

  /** Makes room for a page of this session, before it is received; returns the end of that. Throws ProxyError `fetch_busy`. */
  enter(session: string): () => void {
    const own = this.#perSessionNow.get(session) ?? 0
    if (own >= this.#perSession || this.#pages >= maxPages) throw new ProxyError('fetch_busy', `${own} of this session`)
    this.#pages += 1
    this.#perSessionNow.set(session, own + 1)
    return () => {
      this.#pages -= 1
      const left = (this.#perSessionNow.get(session) ?? 1) - 1
      if (left === 0) this.#perSessionNow.delete(session)
      else this.#perSessionNow.set(session, left)
    }
  }

  /** The page as text. Throws UnreadablePage. */
  async read(page: Omit<PageJob, 'id'>): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string | UnreadablePage>()
    this.#waiting.push({ job: { ...page, id: ++this.#lastId }, settle: resolve })
    this.#next()
    const text = await promise
    if (text instanceof UnreadablePage) throw text
    return text
  }

  /** Whatever waits is not read any more. */
  close(): void {
    clearTimeout(this.#timer)
    for (const { settle } of this.#waiting.splice(0)) settle(new UnreadablePage('the proxy is shutting down'))
    this.#fail('the proxy is shutting down')
  }

  #next(): void {
    if (this.#running !== undefined) return
    clearTimeout(this.#timer)
    const next = this.#waiting.shift()
    if (next === undefined) {
      this.#timer = setTimeout(() => this.#end(), idleMs).unref()
      return
    }
    this.#running = next
    this.#worker ??= this.#start()
    this.#worker.postMessage(next.job, [])
    this.#timer = setTimeout(() => {
      this.#fail(`it took more than ${this.#timeoutMs / 1000} s`)
      this.#next()
    }, this.#timeoutMs)
  }

  #start(): Worker {
    // built, this is JavaScript, and the name of a worker's file is not rewritten by the compiler
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
    const worker = new Worker(new URL(`./page-worker.${extension}`, import.meta.url), {
      name: 'page-reader', execArgv: [], env: {}, resourceLimits: { maxOldGenerationSizeMb: this.#memoryMb, maxYoungGenerationSizeMb: 32 },
    })
    worker.unref()
    worker.on('message', (read: PageYield) => this.#receive(worker, read))
    // out of memory, for one; the thread is gone with it
    worker.on('error', () => this.#broken(worker, 'it took more memory than a page may'))
    worker.on('exit', () => this.#broken(worker, 'it could not be read'))
    return worker
  }

  #receive(worker: Worker, { id, text, fault }: PageYield): void {
    const running = this.#running
    if (worker !== this.#worker || running === undefined || running.job.id !== id) return
    this.#running = undefined
    running.settle(text ?? new UnreadablePage(fault ?? 'it could not be read'))
    this.#next()
  }

  #broken(worker: Worker, why: string): void {
    if (worker !== this.#worker) return
    this.#fail(why)
    this.#next()
  }

  /** The page that is read gets no text, and the thread is not used again. */
  #fail(why: string): void {
    const running = this.#running
    this.#running = undefined
    this.#end()
    running?.settle(new UnreadablePage(why))
  }

  #end(): void {
    const worker = this.#worker
    this.#worker = undefined
    if (worker === undefined) return
    worker.removeAllListeners()
    worker.on('error', ignoreEnded)
    // it ends in its own time, and nobody waits for it
    void worker.terminate()
  }
}

function ignoreEnded(): void {
  // its page has its answer already
}
