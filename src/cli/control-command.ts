// The frame of every command that speaks to the running proxy: which of its words was meant, a client for it,
// and what the client throws as one line on stderr.
import { type Clock, systemClock } from '../clock.ts'
import { nearestWord } from '../policy/suggestion.ts'
import type { ControlClient } from './control-client.ts'
import { ControlFault } from './control-fault.ts'
import { connectControl, type ControlFlags } from './control-options.ts'
import { type Command, type CommandIo, type RunDeps, UsageError } from './run.ts'
import { processTerminal, type Terminal } from './terminal.ts'

export interface ControlContext {
  readonly io: CommandIo
  readonly clock: Clock
  readonly terminal: Terminal
  /** Runs `work` with a client, and ends it; resolves to the exit code. */
  readonly withClient: (flags: ControlFlags, work: (client: ControlClient) => Promise<number>) => Promise<number>
}

/** A test's seams; the real ones otherwise. */
export interface ControlSeams {
  readonly clock?: Clock
  readonly terminal?: Terminal
}

export interface ControlCommand {
  readonly name: string
  readonly summary: string
  readonly usage: string
  /** by word, for those that have a text of their own */
  readonly usages?: Readonly<Record<string, string>>
  /** by word: `list`, `show` … */
  readonly actions: Readonly<Record<string, (argv: readonly string[], context: ControlContext) => Promise<number>>>
}

export function controlCommand({ name, summary, usage, usages = {}, actions }: ControlCommand, deps: Pick<RunDeps, 'env'>, seams: ControlSeams): Command {
  return {
    name,
    summary,
    usage,
    usageOf: ([word = '']) => (Object.hasOwn(usages, word) ? usages[word] : undefined),
    run: async ([word, ...rest], io) => {
      const action = word !== undefined && Object.hasOwn(actions, word) ? actions[word] : undefined
      if (action === undefined) throw noAction(name, word, Object.keys(actions))
      const context: ControlContext = {
        io,
        clock: seams.clock ?? systemClock,
        terminal: seams.terminal ?? processTerminal(),
        withClient: async (flags, work) => {
          const client = connectControl(flags, io, deps.env)
          if (client === undefined) return 1
          try {
            return await work(client)
          } catch (error) {
            if (!(error instanceof ControlFault)) throw error
            io.err(`sallyport ${name} ${word ?? ''}: ${error.message}\n`)
            return 1
          } finally {
            client.close()
          }
        },
      }
      return action(rest, context)
    },
  }
}

function noAction(name: string, word: string | undefined, known: readonly string[]): UsageError {
  const list = `${known.slice(0, -1).join(', ')} or ${known.at(-1) ?? ''}`
  if (word === undefined || word.startsWith('-')) return new UsageError(`say ${list} first`)
  const near = nearestWord(word, known)
  return new UsageError(`there is no \`${name} ${word}\`${near === undefined ? `, only ${list}` : `, did you mean \`${near}\`?`}`)
}

/** The one thing that a command is about. */
export function onePositional(positionals: readonly string[], what: string): string {
  const [first, ...extra] = positionals
  if (first === undefined) throw new UsageError(`${what} is needed`)
  if (extra.length > 0) throw new UsageError(`one ${what}, please, not ${positionals.length}`)
  return first
}
