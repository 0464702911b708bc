// Follows the proxy's journal while it grows: how many questions were asked, how many exchanges ended, and the id
// of each approval. It is how the load knows what the proxy has done without asking it, which would cost memory.
import { closeSync, openSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const lookEveryMs = 2
const chunkBytes = 4 * 2 ** 20
const asked = '"network.policy.decision":"ask"'
const ended = '"sallyport.exchange.ended"'
const requested = '"sallyport.approval.requested"'

export class Ledger {
  readonly #file: number
  readonly #chunk = Buffer.allocUnsafe(chunkBytes)
  #rest = ''
  /** decisions that a question came of */
  questions = 0
  /** exchanges that are over */
  ended = 0
  /** approval ids by session and host */
  readonly approvals = new Map<string, string>()

  /** Of the one segment in `dir`. */
  constructor(dir: string) {
    const segments = readdirSync(dir).filter((name) => name.startsWith('segment-') && name.endsWith('.jsonl'))
    const [segment] = segments
    if (segment === undefined || segments.length > 1) throw new Error(`the journal has ${segments.length} segments`)
    this.#file = openSync(join(dir, segment), 'r')
  }

  close(): void {
    closeSync(this.#file)
  }

  /** Reads until `isThere`; fails after `limitMs`. */
  async until(isThere: () => boolean, what: string, limitMs = 120_000): Promise<void> {
    const endMs = performance.now() + limitMs
    for (;;) {
      this.#read()
      if (isThere()) return
      if (performance.now() > endMs) throw new Error(`${what} did not come: ${this.questions} questions, ${this.ended} ends`)
      await sleep(lookEveryMs)
    }
  }

  #read(): void {
    for (;;) {
      const bytes = readSync(this.#file, this.#chunk, 0, chunkBytes, null)
      if (bytes === 0) return
      const lines = `${this.#rest}${this.#chunk.toString('latin1', 0, bytes)}`.split('\n')
      this.#rest = lines.pop() ?? ''
      for (const line of lines) this.#take(line)
    }
  }

  #take(line: string): void {
    if (line.includes(requested)) this.approvals.set(`${member(line, 'session.id')} ${member(line, 'server.address')}`, member(line, 'sallyport.approval.id'))
    else if (line.includes(ended)) this.ended++
    else if (line.includes(asked)) this.questions++
  }
}

function member(line: string, name: string): string {
  const value = new RegExp(`"${name.replaceAll('.', '\\.')}":"([^"]*)"`).exec(line)?.[1]
  if (value === undefined) throw new Error(`a record without ${name}`)
  return value
}
