// Who answers in the demo: a person at the terminal, line by line, or the demo itself. What is typed while
// nothing is asked answers nothing.
import { isatty } from 'node:tty'

export interface DemoAnswer {
  readonly verdict: 'allow' | 'deny'
  readonly comment: string | undefined
}

export interface DemoPerson {
  readonly isPresent: boolean
  /** Resolves to the answer; undefined when nobody types any more, or at `signal`. `onOther` is told of every
   * line that is neither and not empty. */
  answer(onOther: () => void, signal: AbortSignal): Promise<DemoAnswer | undefined>
  close(): void
}

/** `a`, `allow`, `d`, `deny`, each with a comment behind it where one is wanted. */
export function readAnswer(line: string): DemoAnswer | undefined {
  const [, word = '', comment = ''] = /^\s*(a|allow|d|deny)(?:[\s:,]+(\S.*?))?\s*$/i.exec(line) ?? []
  if (word === '') return undefined
  return { verdict: word.toLowerCase().startsWith('a') ? 'allow' : 'deny', comment: comment === '' ? undefined : comment.slice(0, 500) }
}

/** stdin, when it and stdout are a terminal. The terminal stays as it is: the kernel echoes, and Ctrl-C is a signal. */
export function terminalPerson(): DemoPerson | undefined {
  return isatty(0) && isatty(1) ? new LinePerson(process.stdin) : undefined
}

export class LinePerson implements DemoPerson {
  readonly #input: NodeJS.ReadableStream & { unref?: () => void }
  #rest = ''
  #isEnded = false
  #onLine: ((line: string | undefined) => void) | undefined

  constructor(input: NodeJS.ReadableStream) {
    this.#input = input
    input.on('data', this.#take).on('end', this.#end)
    input.resume()
  }

  get isPresent(): boolean {
    return !this.#isEnded
  }

  async answer(onOther: () => void, signal: AbortSignal): Promise<DemoAnswer | undefined> {
    return new Promise((resolve) => {
      const settle = (answer: DemoAnswer | undefined): void => {
        this.#onLine = undefined
        signal.removeEventListener('abort', leave)
        resolve(answer)
      }
      const leave = (): void => settle(undefined)
      if (signal.aborted || this.#isEnded) return leave()
      signal.addEventListener('abort', leave, { once: true })
      this.#onLine = (line) => {
        const answer = line === undefined ? undefined : readAnswer(line)
        if (line === undefined || answer !== undefined) settle(answer)
        else if (line.trim() !== '') onOther()
      }
    })
  }

  close(): void {
    this.#input.off('data', this.#take).off('end', this.#end)
    this.#input.pause()
    this.#input.unref?.()
  }

  readonly #take = (chunk: unknown): void => {
    const lines = (this.#rest + String(chunk)).split('\n')
    this.#rest = (lines.pop() ?? '').slice(0, 1024)
    for (const line of lines) this.#onLine?.(line)
  }

  readonly #end = (): void => {
    this.#isEnded = true
    this.#onLine?.(undefined)
  }
}
