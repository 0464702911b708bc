// Notices that policy, managed or feed files changed: folder events for speed, a comparison of stamps
// twice a second as the safety net (network mounts, mounts swapped by a symbolic link, folders that
// come back). It only says "look again"; it never reads a policy and never decides what is valid.
import { watch } from 'node:fs'
import type { FSWatcher } from 'node:fs'
import { basename, dirname } from 'node:path'
import type { Clock } from '../clock.ts'

const settleMs = 50
/** a file that never comes to rest is looked at all the same, so that a change is live within a second */
const settleAtMostMs = 400
const pollMs = 500

export interface PolicyWatchOptions {
  readonly clock: Clock
  /** what the watched files look like now; equal strings mean nothing changed */
  stamp(): Promise<string>
  /** something changed; events that come while this runs are answered by one more call */
  onChange(): Promise<void>
  /** a folder cannot be watched; the comparison of stamps still works */
  onFault(folder: string, error: unknown): void
}

export interface PolicyWatch {
  /** watches these from now on: the policy folder, and files that may lie anywhere; `stamp` is what was last read */
  follow(policiesDir: string, files: readonly string[], stamp: string): void
  close(): void
}

/** Starts the poll; nothing is reported before the first `follow`. */
export function watchPolicy(options: PolicyWatchOptions): PolicyWatch {
  return new Watching(options)
}

class Watching implements PolicyWatch {
  readonly #options: PolicyWatchOptions
  readonly #folders = new Map<string, FSWatcher>()
  readonly #poll: NodeJS.Timeout
  #names: ReadonlySet<string> = new Set()
  #stamp: string | undefined
  #settling: NodeJS.Timeout | undefined
  #firstEventAt: number | undefined
  #looking = false
  #forced = false
  #closed = false

  constructor(options: PolicyWatchOptions) {
    this.#options = options
    this.#poll = setInterval(() => void this.#look(), pollMs).unref()
  }

  follow(policiesDir: string, files: readonly string[], stamp: string): void {
    if (this.#closed) return
    this.#stamp = stamp
    this.#names = new Set(files.map((file) => basename(file)))
    const wanted = new Set([policiesDir, ...files.map((file) => dirname(file))])
    // a folder that was replaced leaves its watcher on the old one, so all are watched anew, and the
    // old watchers end only then: no change falls between the two
    const before = [...this.#folders.values()]
    this.#folders.clear()
    for (const folder of wanted) this.#watchFolder(folder, folder === policiesDir)
    for (const watcher of before) watcher.close()
  }

  close(): void {
    this.#closed = true
    clearInterval(this.#poll)
    clearTimeout(this.#settling)
    for (const watcher of this.#folders.values()) watcher.close()
    this.#folders.clear()
  }

  #watchFolder(folder: string, isPolicies: boolean): void {
    try {
      const watcher = watch(folder, { persistent: false }, (_event, name) => {
        // the same size within one tick of the file system's clock leaves the stamp as it was, so an
        // event on a file of ours counts without a look at the stamp
        const ours = name === null || this.#names.has(name) || (isPolicies && name.endsWith('.toml'))
        this.#settle(ours)
      })
      watcher.on('error', (error) => this.#drop(folder, watcher, error))
      this.#folders.set(folder, watcher)
    } catch (error) {
      // a folder that is not there is reported by the reader, and seen by the poll when it comes
      if (!isMissing(error)) this.#options.onFault(folder, error)
    }
  }

  #drop(folder: string, watcher: FSWatcher, error: unknown): void {
    watcher.close()
    if (this.#folders.get(folder) === watcher) this.#folders.delete(folder)
    if (!this.#closed) this.#options.onFault(folder, error)
  }

  #settle(forced: boolean): void {
    if (this.#closed) return
    this.#forced ||= forced
    const now = this.#options.clock.monotonic()
    this.#firstEventAt ??= now
    const left = this.#firstEventAt + settleAtMostMs - now
    clearTimeout(this.#settling)
    this.#settling = setTimeout(() => {
      this.#firstEventAt = undefined
      this.#settling = undefined
      void this.#look()
    }, Math.max(0, Math.min(settleMs, left))).unref()
  }

  /** Never rejects: it is called from timers. */
  async #look(): Promise<void> {
    if (this.#closed || this.#looking || this.#settling !== undefined || this.#stamp === undefined) return
    this.#looking = true
    const forced = this.#forced
    this.#forced = false
    try {
      if (forced || (await this.#options.stamp()) !== this.#stamp) await this.#options.onChange()
    } catch (error) {
      this.#options.onFault('the policy files', error)
    } finally {
      this.#looking = false
    }
    if (this.#forced && this.#settling === undefined) this.#settle(true)
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')
}
