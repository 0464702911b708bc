// A proxy in a process of its own, for what cannot be done to the process of a test: ending it at any
// moment.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { keepLogs } from './kept-logs.ts'
import { keptModules } from './kept-modules.ts'
import type { Scope } from './scope.ts'

const bin = join(import.meta.dirname, '../../bin/sallyport.js')

export interface ChildProxyOptions {
  /** folder of its policies and data; what a former child left there is gone on with */
  readonly dir: string
  readonly policy: string
  readonly ops?: boolean
  readonly flags?: readonly string[]
  /** `ulimit -n` of the process; default: that of this one */
  readonly descriptors?: number
  /** of node itself */
  readonly nodeOptions?: readonly string[]
}

export interface ChildProxy {
  readonly child: ChildProcess
  readonly port: number
  readonly ops: string
  /** URL of the control listener, or `off`, which it is by default */
  readonly control: string
  readonly controlSocket: string
  /** what it said when it was open, for operators */
  readonly warnings: readonly string[]
  readonly stderr: () => string
  /** exit code, or the name of the signal that ended it */
  readonly ended: Promise<number | string>
}

export async function startChildProxy(t: Scope, options: ChildProxyOptions): Promise<ChildProxy> {
  const { dir, policy } = options
  const policies = join(dir, 'policies')
  mkdirSync(policies, { recursive: true })
  writeFileSync(join(policies, '10-test.toml'), policy)
  const argv = [...(options.nodeOptions ?? []), bin, 'start', '--json', '--listen', '127.0.0.1:0', '--control', 'off', '--ops', options.ops === true ? '127.0.0.1:0' : 'off', '--policies', policies, '--data', join(dir, 'var'), ...(options.flags ?? [])]
  // node raises the soft limit to the hard one: the shell sets both
  const [command, args] = options.descriptors === undefined ? [process.execPath, argv] : ['/bin/sh', ['-c', `ulimit -n ${options.descriptors} && exec "$0" "$@"`, process.execPath, ...argv]]
  const child = spawn(command, args, { cwd: dir, env: { PATH: process.env['PATH'] ?? '', ...keptModules }, stdio: ['ignore', 'pipe', 'pipe'] })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const ended = once(child, 'close').then(([code, signal]: unknown[]) => (typeof code === 'number' ? code : String(signal)))
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
    keepLogs(join(dir, 'var'), { 'stderr.log': stderr })
  })
  for await (const line of createInterface({ input: child.stdout })) {
    const opened = JSON.parse(line) as { readonly proxy: string; readonly ops: string; readonly control: string; readonly control_socket: string; readonly warnings: readonly string[] }
    child.stdout.resume()
    return { child, port: Number(new URL(opened.proxy).port), ops: opened.ops, control: opened.control, controlSocket: opened.control_socket, warnings: opened.warnings, stderr: () => stderr, ended }
  }
  throw new Error(`it ended before it was open: ${stderr}`)
}
