// Starts a program pinned to one core, as an ordinary user where that is asked, waits until it listens,
// and ends it. Only what was started here is ever ended, by its id.
import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { createServer, connect } from 'node:net'
import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { processTree } from './proc.ts'

export const proxyCore = 0
export const loadCore = 1

/** uid and gid that own nothing, for daemons that should not be root */
export const nobody = 65_534

export interface LaunchOptions {
  readonly core: number
  readonly cwd?: string
  readonly env?: Record<string, string>
  /** file that takes standard output and error */
  readonly log: string
  /** run as `nobody` when we are root */
  readonly unprivileged?: boolean
  /** standard output is read by the caller instead of going to the log */
  readonly pipeOutput?: boolean
}

const running = new Set<ChildProcess>()

/** Whether programs can be pinned here at all: two cores and taskset. */
export const canPin: boolean = availableParallelism() > 1 && spawnSync('taskset', ['--version']).status === 0

export const weAreRoot: boolean = process.getuid?.() === 0

export function launch(command: string, args: readonly string[], options: LaunchOptions): ChildProcess {
  const pinned = canPin ? ['taskset', '-c', String(options.core), command, ...args] : [command, ...args]
  const [file = command, ...rest] = pinned
  const log = openSync(options.log, 'a')
  const child = spawn(file, rest, {
    stdio: ['pipe', options.pipeOutput === true ? 'pipe' : log, log],
    env: { PATH: process.env['PATH'] ?? '', HOME: '/nonexistent', ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.unprivileged === true && weAreRoot ? { uid: nobody, gid: nobody } : {}),
  })
  closeSync(log)
  running.add(child)
  child.once('exit', () => running.delete(child))
  child.once('error', () => running.delete(child))
  child.stdin?.on('error', () => running.delete(child))
  return child
}

/** Ends a program and whatever it started: asked first, made to after `graceMs`. */
export async function stop(child: ChildProcess, graceMs = 2000): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const tree = processTree(child.pid).map((stat) => stat.pid)
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  child.stdin?.end()
  child.kill('SIGTERM')
  await Promise.race([ended, sleep(graceMs)])
  for (const pid of tree) signalIfAlive(pid, child.pid)
  await Promise.race([ended, sleep(graceMs)])
}

/** SIGKILL to one that is still ours: a child of the one we started, or itself. */
function signalIfAlive(pid: number, root: number): void {
  if (!processTree(root).some((stat) => stat.pid === pid)) return
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

/** For the way out on a signal: nothing that was started here outlives the run. */
export function killAll(): void {
  for (const child of running) child.kill('SIGKILL')
}

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port was free')
  return address.port
}

function answers(port: number, request: string | undefined): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const finish = (ok: boolean): void => {
      socket.destroy()
      resolve(ok)
    }
    socket.setTimeout(60_000, () => finish(false))
    socket.once('error', () => finish(false))
    socket.once('end', () => finish(false))
    socket.once('connect', () => (request === undefined ? finish(true) : socket.write(request)))
    socket.once('data', (bytes: Buffer) => finish(bytes.toString('latin1').startsWith('HTTP/1.')))
  })
}

/**
 * Waits until the port is open and, with `request`, until that gets an HTTP answer. Fails when the program
 * ends first or after `timeoutMs`.
 */
export async function ready(child: ChildProcess, port: number, request?: string, timeoutMs = 120_000): Promise<void> {
  const end = performance.now() + timeoutMs
  while (performance.now() < end) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`it ended with ${child.exitCode ?? child.signalCode}`)
    if (await answers(port, request)) return
    await sleep(10)
  }
  throw new Error('it did not listen in time')
}
