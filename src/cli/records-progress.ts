// How far a command is that reads the whole journal: on a terminal, and only where it takes a while.
import type { CommandIo } from './run.ts'

const every = 50_000

export class RecordsProgress {
  readonly #io: Pick<CommandIo, 'err' | 'isTty'>
  #read = 0

  constructor(io: Pick<CommandIo, 'err' | 'isTty'>) {
    this.#io = io
  }

  /** One more record was read. */
  count(): void {
    this.#read += 1
    if (this.#io.isTty && this.#read % every === 0) this.#io.err(`\r${this.#read.toLocaleString('en')} records read`)
  }

  /** Takes what was said off the terminal. */
  end(): void {
    if (this.#io.isTty && this.#read >= every) this.#io.err('\r\x1b[K')
  }
}
