// Has the index of a running proxy's journal: opens it, keeps it up, throws it away where it is damaged, and answers
// questions with it. It lives in a worker: what it does may take long, and nothing on the way of a request waits for it.
import { existsSync, statSync } from 'node:fs'
import { systemClock } from '../clock.ts'
import { IndexBuilder } from './index-builder.ts'
import { pause } from './pause.ts'
import { searchJournal, type Search, type SearchAnswer } from './record-search.ts'
import { indexPath, isDamage, RecordIndex, removeIndex } from './record-index.ts'
import { listSegments, segmentStat } from './segments.ts'

export interface KeeperOptions {
  /** DATA/journal */
  readonly dir: string
  /** how often it looks for new records */
  readonly pollMs: number
  /** it rests this many times as long as it worked, so that it never takes a core for itself */
  readonly restFactor: number
  /** a journal that grows faster than this is let be, bytes a second: its records are indexed when there is less to do */
  readonly busyBytesPerS: number
  /** unless so many bytes are not indexed, which a search has to read: then it works on, */
  readonly maxLagBytes: number
  /** and rests this many times as long as it worked */
  readonly busyRestFactor: number
  readonly onLog: (level: 'info' | 'warn', message: string) => void
}

const troubledMs = 30_000
/** growth is measured over this long at least, and mostly not over much more: whoever begins to write is left alone soon */
const growthMs = 100

interface Growth {
  readonly segment: string
  readonly size: number
  readonly atMs: number
  readonly bytesPerS: number
}

export class IndexKeeper {
  readonly #options: KeeperOptions
  #index: RecordIndex | undefined
  #builder: IndexBuilder | undefined
  #inode = 0
  #wake = new AbortController()
  #isStopped = false
  #growth: Growth | undefined
  /** what was said last, so that it is not said at every step */
  #trouble: string | undefined

  constructor(options: KeeperOptions) {
    this.#options = options
  }

  /** Keeps the index up until `stop`. */
  async run(): Promise<void> {
    while (!this.#isStopped) await this.#rest(await this.step())
    this.#index?.close()
  }

  /** One piece of work; resolves to how long to rest after it, `ms`. */
  async step(): Promise<number> {
    const { pollMs, busyBytesPerS, maxLagBytes, restFactor, busyRestFactor } = this.#options
    try {
      const builder = this.#open()
      if (builder === undefined) return pollMs
      // whoever writes much now needs the machine now; nobody may be searching at all
      const isBusy = (await this.#bytesPerS()) > busyBytesPerS
      if (isBusy && (await builder.lagBytes()) < maxLagBytes) return pollMs
      const startedMs = systemClock.monotonic()
      const isMore = await builder.step()
      this.#trouble = undefined
      return isMore ? (systemClock.monotonic() - startedMs) * (isBusy ? busyRestFactor : restFactor) : pollMs
    } catch (error) {
      this.#fail(error)
      return isDamage(error) ? 0 : troubledMs
    }
  }

  /** Throws FilterFault, and what reading the journal throws; a fault of the index is no reason for no answer. */
  async search(search: Search): Promise<SearchAnswer> {
    const { dir } = this.#options
    const index = this.#index
    try {
      return await searchJournal(dir, search, index, () => this.#builder?.check())
    } catch (error) {
      if (index === undefined || !(isDamage(error) || (error instanceof Error && 'errcode' in error))) throw error
      this.#fail(error)
      return searchJournal(dir, search)
    }
  }

  stop(): void {
    this.#isStopped = true
    this.#wake.abort()
  }

  /** Undefined while there is no journal yet. */
  #open(): IndexBuilder | undefined {
    const { dir, onLog } = this.#options
    const path = indexPath(dir)
    // somebody threw it away, which anybody may
    if (this.#index !== undefined && inodeOf(path) !== this.#inode) this.#close()
    if (this.#index !== undefined || !existsSync(dir)) return this.#builder
    const isNew = !existsSync(path)
    const index = new RecordIndex(dir, { isReadOnly: false })
    const fault = index.check()
    if (fault !== undefined) {
      index.close()
      this.#discard(`the index of the journal is damaged: ${fault}`)
      return undefined
    }
    if (isNew) onLog('info', `the journal has no index yet: it is made, and searches are slower until then`)
    this.#index = index
    this.#inode = inodeOf(path)
    this.#builder = new IndexBuilder(dir, index, (message) => onLog('warn', message))
    this.#builder.check()
    return this.#builder
  }

  async #bytesPerS(): Promise<number> {
    const before = this.#growth
    const atMs = systemClock.monotonic()
    if (before !== undefined && atMs - before.atMs < growthMs) return before.bytesPerS
    const newest = (await listSegments(this.#options.dir)).at(-1)
    const size = newest === undefined ? 0 : ((await segmentStat(newest.path))?.size ?? 0)
    const segment = newest?.name ?? ''
    const grown = before === undefined ? 0 : segment === before.segment ? size - before.size : size
    const bytesPerS = before === undefined ? 0 : (grown * 1000) / (atMs - before.atMs)
    this.#growth = { segment, size, atMs, bytesPerS }
    return bytesPerS
  }

  #fail(error: unknown): void {
    const text = error instanceof Error ? error.message : String(error)
    if (isDamage(error)) return this.#discard(`the index of the journal cannot be used: ${text}`)
    if (this.#trouble !== text) this.#options.onLog('warn', `the index of the journal cannot be kept up, searches read the journal itself: ${text}`)
    this.#trouble = text
  }

  #discard(why: string): void {
    this.#close()
    removeIndex(this.#options.dir)
    this.#options.onLog('warn', `${why}; it is made again from the journal, and nothing is lost`)
  }

  #close(): void {
    this.#index?.close()
    this.#index = undefined
    this.#builder = undefined
  }

  #rest(ms: number): Promise<void> {
    return this.#isStopped ? Promise.resolve() : pause(ms, this.#wake.signal)
  }
}

function inodeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.ino ?? 0
}
