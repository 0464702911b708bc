// Group commit: appends that are in the file and wait until they are on the disk too. One sync at a time, for
// everything that was written before it began; what is written meanwhile waits for the next. Nobody is told yes
// before the sync that holds their record has come back, and after one that failed nobody that waited is.

export interface Waiting {
  readonly resolve?: () => void
  readonly reject?: (error: Error) => void
}

export class GroupSync {
  readonly #sync: () => Promise<void>
  readonly #onFailed: (cause: unknown, waiting: readonly Waiting[]) => void
  #waiting: Waiting[] = []
  #running: Promise<void> | undefined

  /** `onFailed` gets everybody that waited, those whose records were written after the sync began included. */
  constructor(sync: () => Promise<void>, onFailed: (cause: unknown, waiting: readonly Waiting[]) => void) {
    this.#sync = sync
    this.#onFailed = onFailed
  }

  /** What was just written; they are told when it is on the disk. */
  add(written: readonly Waiting[]): void {
    for (const entry of written) this.#waiting.push(entry)
    if (this.#waiting.length > 0) this.#running ??= this.#run()
  }

  /** Resolves when nobody waits any more. Never rejects. */
  async settled(): Promise<void> {
    while (this.#running !== undefined) await this.#running
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting
      this.#waiting = []
      try {
        await this.#sync()
      } catch (error) {
        const all = [...group, ...this.#waiting]
        this.#waiting = []
        this.#onFailed(error, all)
        continue
      }
      for (const { resolve } of group) resolve?.()
    }
    this.#running = undefined
  }
}
