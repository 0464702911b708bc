// What the tests of `sallyport run --isolate` share: whether this machine can isolate, and attempts that are made inside.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { findBubblewrap, IsolationError } from '../../src/cli/run-isolation.ts'
import { put, type RunMore, type RunWorld } from './run-world.ts'

/** Why this machine has no isolation, or false. */
export const skip = whyNot()

function whyNot(): string | false {
  try {
    findBubblewrap(process.env)
    return false
  } catch (error) {
    if (error instanceof IsolationError) return error.message
    throw error
  }
}

// each resolves to what came of an attempt: `ok`, or the error's code
const helpers = `
const fs = require('node:fs'), net = require('node:net'), dns = require('node:dns'), dgram = require('node:dgram'), { spawnSync } = require('node:child_process')
const attempt = (work) => { try { work(); return 'ok' } catch (error) { return error.code ?? error.message } }
const connect = (to) => new Promise((resolve) => { const s = net.connect(to, () => { resolve('ok'); s.destroy() }); s.on('error', (error) => resolve(error.code)) })
const look = (path) => attempt(() => fs.readdirSync(path).length > 0 || (() => { throw new Error('empty') })())
`

/** The words of a command that prints what a script of Node's returns, as JSON. */
export function scriptCommand(script: string): readonly string[] {
  return [process.execPath, '-e', `${helpers};(async () => { ${script} })().then((value) => process.stdout.write(JSON.stringify(value), () => process.exit()))`]
}

/** What a script of Node's returns that is run inside. */
export async function inside<Shape>(world: RunWorld, script: string, argv: readonly string[] = [], more: RunMore = {}): Promise<Shape> {
  const { code, stdout, stderr } = await world.run(['--isolate', ...argv, '--', ...scriptCommand(script)], more)
  if (code !== 0) throw new Error(`${code}: ${stdout}${stderr}`)
  return JSON.parse(stdout) as Shape
}

const terminal = `
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
out, typed = b'', False
while True:
    try:
        chunk = os.read(fd, 4096)
    except OSError:
        break
    if not chunk:
        break
    out += chunk
    if not typed and b'ready' in out:
        typed = True
        os.write(fd, b'\\x03')
print(out.decode(errors='replace'))
print('status', os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`

/** What a terminal shows on which \`run\` is started, and Ctrl-C typed when the command says \`ready\`; then its exit code. Needs python3. */
export async function onTerminal(world: RunWorld, argv: readonly string[]): Promise<string> {
  const script = put(join(world.dir, 'terminal.py'), terminal)
  const child = spawn('python3', [script, process.execPath, join(import.meta.dirname, '../../bin/sallyport.js'), 'run', '--data', join(world.proxy.dir, 'var'), ...argv], { cwd: world.work, env: { ...process.env, ...world.env } })
  let shown = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (shown += text))
  await once(child, 'close')
  return shown
}
