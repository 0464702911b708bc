// The terminal that a command may own: keys in, screen out. Whatever it changes it puts back: at the end of a
// screen, on an error, and when the process exits in between.
import { createInterface } from 'node:readline/promises'
import { isatty } from 'node:tty'

export interface ScreenSize {
  readonly columns: number
  readonly rows: number
}

export interface Screen {
  readonly size: () => ScreenSize
  write(text: string): void
  /** Puts everything back; more than once does no harm. */
  close(): void
}

export interface ScreenEvents {
  /** what was typed, in pieces */
  readonly onInput: (text: string) => void
  readonly onResize: () => void
  /** nobody types any more */
  readonly onEnd: () => void
}

export interface Terminal {
  /** stdin and stdout are a terminal: a screen can be drawn, a question asked */
  readonly isInteractive: boolean
  /** cells of a line; absent where nobody knows */
  readonly columns?: number
  /** Asks on stderr and resolves to the line that was typed; empty when the input ends first. */
  ask(question: string, signal: AbortSignal | undefined): Promise<string>
  /** Takes the whole screen and every key. */
  open(events: ScreenEvents): Screen
}

// the alternate screen, no cursor, no wrapping, pasted text marked as such
const enter = '\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[?2004h'
const leave = '\x1b[?2004l\x1b[?7h\x1b[?25h\x1b[0m\x1b[?1049l'

export function processTerminal(): Terminal {
  return {
    isInteractive: isatty(0) && isatty(1),
    // a terminal that nobody has told its size says 0
    ...(process.stdout.columns > 0 ? { columns: process.stdout.columns } : {}),
    ask: async (question, signal) => {
      const lines = createInterface({ input: process.stdin, output: process.stderr })
      try {
        const ended = new Promise<string>((resolve) => { lines.once('close', () => resolve('')) })
        return await Promise.race([lines.question(question, signal === undefined ? {} : { signal }), ended])
      } catch (error) {
        if (error instanceof Error && error.name === 'AbortError') return ''
        throw error
      } finally {
        lines.close()
      }
    },
    open: (events) => openScreen(events),
  }
}

function openScreen({ onInput, onResize, onEnd }: ScreenEvents): Screen {
  const { stdin, stdout } = process
  let isOpen = true
  const take = (text: unknown): void => onInput(String(text))
  const close = (): void => {
    if (!isOpen) return
    isOpen = false
    process.off('exit', close)
    stdin.off('data', take).off('end', onEnd)
    stdout.off('resize', onResize)
    stdin.setRawMode(false)
    stdin.pause()
    stdout.write(leave)
  }
  // first the way back, then the change
  process.once('exit', close)
  stdin.setRawMode(true)
  stdin.setEncoding('utf8').on('data', take).on('end', onEnd).resume()
  stdout.on('resize', onResize)
  stdout.write(enter)
  return {
    size: () => ({ columns: stdout.columns, rows: stdout.rows }),
    write: (text) => void stdout.write(text),
    close,
  }
}
