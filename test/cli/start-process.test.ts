// The process itself: the line that scripts wait for, the health pages, the signals and the exit codes.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { keepLogs } from '../support/kept-logs.ts'
import { keptModules } from '../support/kept-modules.ts'

const bin = join(import.meta.dirname, '../../bin/sallyport.js')

interface Running {
  readonly child: ChildProcessWithoutNullStreams
  readonly cwd: string
  readonly stderr: () => string
  /** exit code, or the name of the signal that killed it */
  readonly ended: Promise<number | string>
}

function start(t: Test, argv: readonly string[], env: Record<string, string> = {}): Running {
  // short: the path of a unix socket has little room
  const cwd = mkdtempSync(join(tmpdir(), 'sallyport-'))
  t.teardown(() => rmSync(cwd, { recursive: true, force: true }))
  mkdirSync(join(cwd, 'policies'))
  writeFileSync(join(cwd, 'policies/00.toml'), '[network]\nallowed_domains = ["example.com"]\n')
  const args = [bin, 'start', '--listen', '127.0.0.1:0', '--ops', '127.0.0.1:0', '--control', 'off', ...argv]
  const child = spawn(process.execPath, args, { cwd, env: { PATH: process.env['PATH'] ?? '', ...keptModules, ...env } })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr += text })
  const ended = once(child, 'close').then(([code, signal]: unknown[]) => (typeof code === 'number' ? code : String(signal)))
  t.teardown(() => {
    child.kill('SIGKILL')
    keepLogs(join(cwd, 'var'), { 'stderr.log': stderr })
  })
  return { child, cwd, stderr: () => stderr, ended }
}

interface FirstLine {
  readonly proxy: string
  readonly control: string
  readonly ops: string
  readonly policy: string
  readonly pid: number
}

async function opened({ child, stderr }: Running): Promise<FirstLine> {
  for await (const line of createInterface({ input: child.stdout })) return JSON.parse(line)
  throw new Error(`it ended before it was open: ${stderr()}`)
}

t.test('--json says where everything is, health answers, and SIGTERM ends it with 0', async (t) => {
  const running = start(t, ['--json'])
  const line = await opened(running)
  t.match(line.proxy, /^http:\/\/127\.0\.0\.1:[1-9]\d*$/)
  t.equal(line.control, 'off')
  t.match(line.policy, /^[0-9a-f]{8,}$/)
  t.equal(line.pid, running.child.pid)
  t.equal((await fetch(`${line.ops}/livez`)).status, 200)
  t.equal((await fetch(`${line.ops}/readyz`)).status, 200)
  t.match(await (await fetch(`${line.ops}/metrics`)).text(), /^sallyport_policy_rules [1-9]/m)
  running.child.kill('SIGHUP')
  t.equal((await fetch(`${line.ops}/readyz`)).status, 200, 'SIGHUP reloads and does not end it')
  running.child.kill('SIGTERM')
  t.equal(await running.ended, 0)
})

t.test('SIGINT ends it with 0 as well, and the banner is for people', async (t) => {
  const running = start(t, [])
  const [text] = await once(running.child.stdout.setEncoding('utf8'), 'data')
  t.match(text, /is running, pid \d+\n[^]* try: curl -x http:\/\/127\.0\.0\.1:\d+ https:\/\/example\.com\/ -I\n$/)
  running.child.kill('SIGINT')
  t.equal(await running.ended, 0)
})

t.test('a signal that arrives twice at once is one: it drains, and ends with 0', async (t) => {
  const running = start(t, ['--json'])
  await opened(running)
  running.child.kill('SIGINT')
  running.child.kill('SIGTERM')
  t.equal(await running.ended, 0)
  t.match(running.stderr(), /what is in flight may finish/)
  t.notMatch(running.stderr(), /stopping at once/)
})

t.test('a port that is taken ends it with 1 and says which and what to do', async (t) => {
  const other = createServer()
  other.listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => other.close())
  const address = other.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const running = start(t, ['--listen', `127.0.0.1:${port}`])
  t.equal(await running.ended, 1)
  t.match(running.stderr(), new RegExp(`^sallyport start: \`127\\.0\\.0\\.1:${port}\` \\(proxy\\) is in use`))
})

t.test('a dangerous environment ends it with 1 before anything is made', async (t) => {
  const running = start(t, [], { SSLKEYLOGFILE: '/tmp/keys' })
  t.equal(await running.ended, 1)
  t.match(running.stderr(), /refused: SSLKEYLOGFILE/)
})

t.test('a wrong flag ends it with 2', async (t) => {
  t.equal(await start(t, ['--log-level', 'loud']).ended, 2)
})
