// A proxy, a place to work in and a home with secrets, and `sallyport run` as the process that people start.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import { ControlClient } from '../support/control.ts'
import { keptModules } from '../support/kept-modules.ts'
import { type HttpOrigin, httpOrigin } from '../support/origins.ts'
import { plainHosts, plainPolicy } from '../support/plain-world.ts'
import { type JournalRecord, startProxy, type TestProxy, type TestProxyOptions } from '../support/proxy.ts'

const bin = join(import.meta.dirname, '../../bin/sallyport.js')

export interface Ran {
  /** exit code, or the name of the signal that killed `run` itself */
  readonly code: number | string
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  readonly child: ChildProcessWithoutNullStreams
  /** what stdout holds, once it has this in it */
  readonly said: (text: string) => Promise<string>
  readonly ended: Promise<Ran>
}

export interface RunWorld {
  readonly proxy: TestProxy
  readonly control: ControlClient
  readonly origin: HttpOrigin
  /** host and port that policy allows */
  readonly allowed: string
  readonly dir: string
  readonly work: string
  readonly home: string
  readonly env: Readonly<Record<string, string>>
  /** `run` with these arguments, in `work` */
  readonly run: (argv: readonly string[], more?: RunMore) => Promise<Ran>
  readonly start: (argv: readonly string[], more?: RunMore) => Running
  /** waits until no session is live */
  readonly over: () => Promise<void>
  /** of session events */
  readonly sessions: (name: 'started' | 'ended') => readonly JournalRecord[]
}

export interface RunMore {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** without it `--data` names the proxy's */
  readonly bare?: boolean
}

export async function openRunWorld(t: Test, options: TestProxyOptions = {}): Promise<RunWorld> {
  const origin = await httpOrigin(t, (request, response) => response.end(`${request.method} ${request.url} for you`))
  const proxy = await startProxy(t, { policy: plainPolicy(origin.port), hosts: plainHosts, ...options })
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'sallyport-run-')))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const [work, home] = [join(dir, 'work'), join(dir, 'home')]
  for (const folder of [work, home]) mkdirSync(folder)
  const env = { PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`, HOME: home, LANG: 'C.UTF-8', ...keptModules }
  const control = new ControlClient(proxy.controlSocket)
  const start = (argv: readonly string[], { env: more = {}, cwd = work, bare = false }: RunMore = {}): Running => {
    const data = bare ? [] : ['--data', join(proxy.dir, 'var')]
    const child = spawn(process.execPath, [bin, 'run', ...data, ...argv], { cwd, env: { ...env, ...more } })
    t.teardown(() => void child.kill('SIGKILL'))
    let [stdout, stderr] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    const ended = once(child, 'close').then(([code, signal]: unknown[]): Ran => ({ code: typeof code === 'number' ? code : String(signal), stdout, stderr }))
    const said = async (text: string): Promise<string> => {
      while (!stdout.includes(text)) {
        const isMore = await Promise.race([once(child.stdout, 'data').then(() => true), ended.then(() => false)])
        if (!isMore && !stdout.includes(text)) throw new Error(`it ended without \`${text}\`: ${stdout}${stderr}`)
      }
      return stdout
    }
    return { child, said, ended }
  }
  return {
    proxy, control, origin, dir, work, home, env, start,
    allowed: `allowed.test:${origin.port}`,
    run: (argv, more) => start(argv, more).ended,
    over: async () => {
      for (;;) {
        const { body } = await control.call('GET', '/v1/sessions')
        if ((body as { readonly items: readonly { readonly ended_at: string | null }[] }).items.every(({ ended_at: ended }) => ended !== null)) return
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    },
    sessions: (name) => proxy.records().filter((record) => record.name === `sallyport.session.${name}`),
  }
}

/** Puts a file there, and the folders to it. */
export function put(path: string, text = 'x'): string {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  return path
}
