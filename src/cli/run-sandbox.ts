// Starts a command in the isolation: bubblewrap, in it our bridge, and under that one the command. What the inside
// says back is believed for nothing but a message to the person at the terminal.
import { lstatSync, mkdirSync, realpathSync, statSync } from 'node:fs'
import type { ChildProcess } from 'node:child_process'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { Duplex } from 'node:stream'
import { isatty } from 'node:tty'
import type { Environment } from '../config/environment.ts'
import { closeInherited, type Ended, type Forwarded, runChild, type SignalRelay } from './run-child.ts'
import { bubblewrapOptions, insideCommand, insidePort, insideSocket, IsolationError, type IsolationPlan, type IsolationWish } from './run-isolation.ts'
import type { IsolationOptions } from './run-options.ts'
import type { FileMode } from './run-places.ts'
import { seccompFilter } from './run-seccomp.ts'

/** What the command line asks of the isolation, with real paths. Throws IsolationError. */
export function wishOf({ workspaces, readOnly, show, allowHome }: IsolationOptions, cwd: string, env: Environment): Omit<IsolationWish, 'keepOut'> {
  const folders = workspaces.map((path) => realPath('--workspace', resolve(cwd, path)))
  const file = folders.find((path) => !statSync(path).isDirectory())
  if (file !== undefined) throw new IsolationError(`\`--workspace ${file}\` is no folder`)
  const mode: FileMode = readOnly ? { kind: 'read' } : folders.length > 0 ? { kind: 'workspace', folders } : { kind: 'open' }
  return { mode, allowHome, show: show.map((path) => realPath('--show', resolve(cwd, path))), cwd: realpathSync(cwd), home: homedir(), env }
}

function realPath(option: string, path: string): string {
  try {
    return realpathSync(path)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error
    throw new IsolationError(`\`${option} ${path}\` cannot be used (${String(error.code)})`)
  }
}

export interface Sandboxed {
  readonly bwrap: string
  readonly plan: IsolationPlan
  /** of this run; holds `ca` if there is one */
  readonly folder: string
  /** of the session */
  readonly socket: string
  readonly cwd: string
  readonly command: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

/** descriptors of bubblewrap: the task, which goes on to the inside, and two that do not: the filter, the options */
const channelFd = 3
const filterFd = 4
const optionsFd = 5
// what the terminal sends is the command's; bubblewrap would end of it and take the command with it
const deaf = 'trap "" INT QUIT TERM HUP USR2; exec "$0" "$@"'

/** Throws IsolationError when the inside cannot be made. */
export async function runSandboxed(sandboxed: Sandboxed, relay: SignalRelay): Promise<Ended> {
  const { bwrap, plan, folder, socket, cwd, command, args, env } = sandboxed
  const filter = seccompFilter(process.arch)
  if (filter === undefined) throw new IsolationError(`there is no filter of system calls for ${process.arch}`)
  if (lstatSync(socket, { throwIfNoEntry: false })?.isSocket() !== true) throw new IsolationError(`the session's socket \`${socket}\` is not there for this user: --isolate wants the proxy on this machine, run by the same user`)
  closeInherited()
  const hasTerminal = [0, 1, 2].some((fd) => isatty(fd))
  const options = bubblewrapOptions(plan, { folder, socketFolder: dirname(socket), cwd, hasTerminal, filterFd })
  const inside = new Inside()
  const ended = await runChild({
    command: '/bin/sh',
    args: ['-c', deaf, bwrap, '--args', String(optionsFd), '--', ...insideCommand()],
    env: {},
    stdio: ['inherit', 'inherit', 'inherit', 'pipe', 'pipe', 'pipe'],
    signalled: (signal) => inside.tell(signal),
    started: (child) => {
      pipeOf(child, filterFd).end(filter)
      pipeOf(child, optionsFd).end(options.map((word) => `${word}\0`).join(''))
      inside.open(pipeOf(child, channelFd), { command, args, env, port: insidePort, socket: insideSocket })
    },
  }, relay)
  if (!inside.isReady) throw new IsolationError('the isolation could not be made: what bwrap said stands above')
  return { ...ended, failure: inside.failure }
}

/** Makes the folder of the certificates, which is shown inside. */
export function caFolder(folder: string): string {
  const path = join(folder, 'ca')
  mkdirSync(path, { mode: 0o700 })
  return path
}

/** Our end of a descriptor of the child. */
function pipeOf(child: ChildProcess, fd: number): Duplex {
  const pipe = child.stdio[fd]
  if (!(pipe instanceof Duplex)) throw new TypeError(`descriptor ${fd} of the isolation is no pipe`)
  // whoever is at the other end may leave at any moment
  pipe.on('error', () => pipe.destroy())
  return pipe
}

/** The far end of the channel. */
class Inside {
  #channel: Duplex | undefined
  #received = ''

  get isReady(): boolean {
    return this.#received.startsWith('ready\n')
  }

  /** Why the command did not start, where it did not. */
  get failure(): Ended['failure'] {
    if (!this.isReady) return undefined
    const code = this.#received.split('\n')[1]
    return code === 'ENOENT' || code === 'EACCES' ? code : undefined
  }

  open(channel: Duplex, task: object): void {
    channel.on('data', (chunk: Buffer) => {
      if (this.#received.length < 256) this.#received += chunk.toString('latin1')
    })
    channel.write(`${JSON.stringify(task)}\n`)
    this.#channel = channel
  }

  tell(signal: Forwarded): void {
    this.#channel?.write(`${signal}\n`)
  }
}
