// Ends the session of a `run` that was killed and could not: a shell that waits for the end of a pipe whose other end
// only `run` has. It does nothing while `run` is there, and never before.
import { type ChildProcess, spawn } from 'node:child_process'
import type { Environment } from '../config/environment.ts'

export interface WatchOptions {
  /** what ends the session: a program and its arguments */
  readonly command: string
  readonly args: readonly string[]
  readonly env: Environment
  readonly cwd: string
  readonly onFault: (error: Error) => void
}

// a line says that all is done; the end without one, that nobody is left to do it
const script = 'read -r done || exec "$0" "$@"'

export class SessionWatch {
  readonly #shell: ChildProcess

  /** Where there is no /bin/sh the fault is told, and the session has its own end still. */
  constructor({ command, args, env, cwd, onFault }: WatchOptions) {
    // of its own, so that what ends everything on a terminal does not end it
    this.#shell = spawn('/bin/sh', ['-c', script, command, ...args], { cwd, env, detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
    this.#shell.once('error', onFault)
    // it may be gone when it is told
    this.#shell.stdin?.on('error', () => this.#shell.stdin?.destroy())
    this.#shell.unref()
  }

  /** The session has been ended, or that was tried. */
  done(): void {
    this.#shell.stdin?.end('done\n')
  }
}
