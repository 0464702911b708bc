// Keeps a list of the open questions fresh: told by the server's stream that something changed, or by asking
// again and again where there is no stream. It outlives a restart of the proxy.
import { setTimeout as pause } from 'node:timers/promises'
import type { ControlClient } from './control-client.ts'
import { ControlFault } from './control-fault.ts'
import type { Question } from './control-wire.ts'
import { listQuestions, type QuestionFilter } from './question-finder.ts'

export interface FeedListener {
  readonly onQuestions: (questions: readonly Question[]) => void
  /** undefined: it is live again */
  readonly onTrouble: (message: string | undefined) => void
}

export interface FeedTimes {
  /** between two looks where there is no stream, `ms` */
  readonly pollMs: number
  /** before trying again after a fault, `ms` */
  readonly retryMs: number
}

const usualTimes: FeedTimes = { pollMs: 1000, retryMs: 2000 }
const most = 500
/** What the server may keep a call for, `s`, while there is no question. */
const longestCallSeconds = 20

export class PendingFeed {
  readonly #client: ControlClient
  readonly #filter: QuestionFilter
  readonly #listener: FeedListener
  readonly #signal: AbortSignal
  readonly #times: FeedTimes
  #isReading = false
  #isStale = false

  constructor(client: ControlClient, filter: Omit<QuestionFilter, 'state'>, listener: FeedListener, signal: AbortSignal, times: FeedTimes = usualTimes) {
    this.#client = client
    this.#filter = { ...filter, state: 'pending' }
    this.#listener = listener
    this.#signal = signal
    this.#times = times
  }

  /** Runs until the signal. Throws ControlFault when the very first list cannot be read. */
  async run(): Promise<void> {
    try {
      this.#listener.onQuestions(await this.#list(undefined))
      while (!this.#signal.aborted) await this.#follow()
    } catch (error) {
      if (!this.#signal.aborted) throw error
    }
  }

  /** Looks again now; what it finds goes to the listener. */
  refresh(): void {
    this.#isStale = true
    if (this.#isReading) return
    this.#isReading = true
    this.#readAll().then(
      () => { this.#isReading = false },
      (error: unknown) => {
        this.#isReading = false
        if (!this.#signal.aborted) this.#listener.onTrouble(messageOf(error))
      },
    )
  }

  /** One look after the other, as long as something changed meanwhile. */
  async #readAll(): Promise<void> {
    while (this.#isStale && !this.#signal.aborted) {
      this.#isStale = false
      const questions = await this.#list(undefined)
      this.#listener.onTrouble(undefined)
      this.#listener.onQuestions(questions)
    }
  }

  async #follow(): Promise<void> {
    try {
      // what changed while nobody was told is read when the stream is open
      const refresh = (): void => this.refresh()
      const ending = await this.#client.follow('/v1/approvals/stream', refresh, refresh, this.#signal)
      if (ending === 'refused') await this.#poll()
      else await pause(this.#times.retryMs, undefined, { signal: this.#signal })
    } catch (error) {
      if (this.#signal.aborted) return
      this.#listener.onTrouble(messageOf(error))
      await pause(this.#times.retryMs, undefined, { signal: this.#signal })
    }
  }

  /** Without a stream: until a call fails. */
  async #poll(): Promise<void> {
    let isEmpty = false
    while (!this.#signal.aborted) {
      const questions = await this.#list(isEmpty ? longestCallSeconds : undefined)
      isEmpty = questions.length === 0
      this.#listener.onTrouble(undefined)
      this.#listener.onQuestions(questions)
      await pause(this.#times.pollMs, undefined, { signal: this.#signal })
    }
  }

  async #list(waitSeconds: number | undefined): Promise<readonly Question[]> {
    const options = waitSeconds === undefined ? { signal: this.#signal } : { signal: this.#signal, waitSeconds }
    return (await listQuestions(this.#client, this.#filter, most, options)).items
  }
}

function messageOf(error: unknown): string {
  if (!(error instanceof ControlFault)) throw error
  return error.message
}
