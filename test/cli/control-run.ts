// Runs one command line against a fake control listener, as `sallyport` would.
import type { ControlSeams } from '../../src/cli/control-command.ts'
import { runCli } from '../../src/cli/run.ts'
import { approvalsCommand } from '../../src/cli/approvals.ts'
import { UsageError } from '../../src/cli/run.ts'
import type { Screen, ScreenEvents, Terminal } from '../../src/cli/terminal.ts'
import { nowMs } from './fake-control.ts'
import { fakeIo, fakeProcess } from './fake-io.ts'

const esc = String.fromCharCode(27)
// a line is cleared before it is written: behind the last column there is nothing to clear
const drawnLine = new RegExp(`${esc}\\[(\\d+);1H${esc}\\[K([^]*?)(?=${esc}\\[\\d+;1H|$)`, 'g')

export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** One whole command line; no terminal. */
export async function run(argv: readonly string[], env: Record<string, string> = {}, cwd = '/'): Promise<Ran> {
  const io = fakeIo(cwd)
  const code = await runCli(argv, io, fakeProcess({ env }))
  return { code, out: io.stdout(), err: io.stderr() }
}

export const clock = { now: () => nowMs, monotonic: () => performance.now() }

/** `approvals …` on a terminal where somebody types. */
export async function runOn(terminal: Terminal, argv: readonly string[], signal?: AbortSignal): Promise<Ran> {
  const io = fakeIo('/', signal === undefined ? {} : { signal })
  const seams: ControlSeams = { clock, terminal }
  try {
    const code = await approvalsCommand({ env: {} }, seams).run(argv, io)
    return { code, out: io.stdout(), err: io.stderr() }
  } catch (error) {
    if (error instanceof UsageError) return { code: 2, out: io.stdout(), err: error.message }
    throw error
  }
}

/** A terminal on which every question is answered with `line`. */
export function answering(line: string): Terminal & { readonly asked: string[] } {
  const asked: string[] = []
  return {
    asked,
    isInteractive: true,
    ask: async (question) => {
      asked.push(question)
      return line
    },
    open: () => { throw new Error('no screen here') },
  }
}

export interface FakeScreen extends Terminal {
  type(text: string): void
  resize(columns: number, rows: number): void
  /** resolves when the screen holds this */
  shows(text: string | RegExp): Promise<string>
  readonly isClosed: () => boolean
}

/** A terminal with a screen of 80 x 24 that keeps what was written to it. */
export function fakeScreen(): FakeScreen {
  let events: ScreenEvents | undefined
  let closed = false
  let size = { columns: 80, rows: 24 }
  const rows: string[] = []
  let waiting: (() => void)[] = []
  const write = (text: string): void => {
    if (text.includes('\x1b[2J')) rows.length = 0
    for (const [, row = '1', line = ''] of text.matchAll(drawnLine)) rows[Number(row) - 1] = line
    const wake = waiting
    waiting = []
    for (const each of wake) each()
  }
  const screen: Screen = { size: () => size, write, close: () => { closed = true } }
  return {
    isInteractive: true,
    ask: async () => '',
    open: (given) => {
      events = given
      return screen
    },
    type: (text) => events?.onInput(text),
    resize: (columns, height) => {
      size = { columns, rows: height }
      events?.onResize()
    },
    shows: async (text) => {
      const isThere = (): boolean => (typeof text === 'string' ? rows.join('\n').includes(text) : text.test(rows.join('\n')))
      while (!isThere()) await new Promise<void>((resolve) => { waiting.push(resolve) })
      return rows.join('\n')
    },
    isClosed: () => closed,
  }
}
