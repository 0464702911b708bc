// The command that `run` starts: it has the terminal, what is sent to `run` is sent on to it, and its end is the end
// of `run`. It reads nothing of its input and adds nothing to its output.
import { type ChildProcess, spawn, type SpawnOptions } from 'node:child_process'
import { readdirSync, readFileSync, closeSync } from 'node:fs'
import { constants } from 'node:os'

/** Sent on to the command, unless the terminal has sent them to it already. */
export const forwarded = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2', 'SIGWINCH'] as const
export type Forwarded = (typeof forwarded)[number]

/** What a terminal sends to every process in its foreground. */
const ofTerminal: ReadonlySet<string> = new Set<Forwarded>(['SIGINT', 'SIGQUIT', 'SIGWINCH'])

export interface Ended {
  /** as a shell counts: 128 and the number of the signal that ended it */
  readonly code: number
  readonly signal: string | undefined
  /** there is no such command, or it may not be run; said already where it was found out */
  readonly failure?: 'ENOENT' | 'EACCES' | undefined
}

export interface Start {
  readonly command: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly stdio: NonNullable<SpawnOptions['stdio']>
  /** hears of signals instead of the process itself */
  readonly signalled?: (signal: Forwarded) => void
  /** what the process is handed beside its arguments */
  readonly started?: (child: ChildProcess) => void
}

/** Holds signals back from the moment that it is made, so that none ends `run` with its session left behind. */
export class SignalRelay {
  readonly #listeners: readonly (readonly [Forwarded, () => void])[]
  #early: Forwarded[] = []
  #to: ((signal: Forwarded) => void) | undefined

  constructor() {
    this.#listeners = forwarded.map((signal) => [signal, () => this.#take(signal)] as const)
    for (const [signal, listener] of this.#listeners) process.on(signal, listener)
  }

  /** The signal that asked `run` to end before there was a command to send it to. */
  get asked(): Forwarded | undefined {
    return this.#early.find((signal) => signal !== 'SIGWINCH' && signal !== 'SIGUSR2')
  }

  /** From now on they go to the command; what a terminal sends it has itself. */
  attach(to: (signal: Forwarded) => void): void {
    this.#to = to
    for (const signal of this.#early.splice(0)) to(signal)
  }

  /** The command has ended; what comes now is for nobody. */
  detach(): void {
    this.#to = () => undefined
  }

  close(): void {
    for (const [signal, listener] of this.#listeners) process.off(signal, listener)
  }

  #take(signal: Forwarded): void {
    if (this.#to === undefined) this.#early.push(signal)
    else if (!ofTerminal.has(signal) || !isInForeground()) this.#to(signal)
  }
}

/** Runs it to its end. Rejects only when the system can start no process at all. */
export function runChild({ command, args, env, stdio, signalled, started }: Start, relay: SignalRelay): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, stdio })
    const end = (ended: Ended): void => {
      relay.detach()
      resolve(ended)
    }
    child.once('spawn', () => {
      started?.(child)
      relay.attach(signalled ?? ((signal) => void child.kill(signal)))
    })
    child.once('error', (error: NodeJS.ErrnoException) => {
      if (child.pid !== undefined) return
      relay.detach()
      if (error.code === 'ENOENT' || error.code === 'EACCES') resolve({ code: error.code === 'ENOENT' ? 127 : 126, signal: undefined, failure: error.code })
      else reject(error)
    })
    child.once('exit', (code, signal) => end(signal === null ? { code: code ?? 1, signal: undefined } : { code: codeOf(signal), signal }))
  })
}

export function codeOf(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal]
}

/** Whether a terminal sends what is typed there to this process: then it sends it to the command as well. */
function isInForeground(): boolean {
  if (process.platform !== 'linux') return process.stdin.isTTY
  // the name may have spaces and brackets; what follows its last bracket are numbers (proc_pid_stat(5))
  const text = readFileSync('/proc/self/stat', 'latin1')
  const [, , group, , terminal, foreground] = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return terminal !== '0' && group === foreground
}

/** Closes what this process was started with beside its three streams and would hand on: isolation hands on nothing. Linux. */
export function closeInherited(): void {
  for (const name of readdirSync('/proc/self/fd')) {
    const fd = Number(name)
    if (fd > 2 && isInheritable(fd)) closeSync(fd)
  }
}

const closeOnExec = 0o2000000

function isInheritable(fd: number): boolean {
  try {
    const flags = /^flags:\s+([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1]
    return flags !== undefined && (Number.parseInt(flags, 8) & closeOnExec) === 0
  } catch (error) {
    // the descriptor that listed the folder is gone by now
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false
    throw error
  }
}
