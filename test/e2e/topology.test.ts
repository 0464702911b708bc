// The proxy as the only way out, in network namespaces: test/scripts/namespace-topology.sh does the work
// and this file reports its lines. Skipped by name where namespaces cannot be made.
import { spawnSync } from 'node:child_process'
import { join, resolve } from 'node:path'
import t from 'tap'

const root = resolve(import.meta.dirname, '../..')
const cannotRun = 77

const run = spawnSync(join(root, 'test/scripts/namespace-topology.sh'), {
  cwd: root,
  encoding: 'utf8',
  env: { ...process.env, NODE: process.execPath, NODE_OPTIONS: '' },
  timeout: 90_000,
})
const lines = run.stdout.split('\n').filter((line) => line !== '')
const skip = run.status === cannotRun && `network namespaces: ${lines.at(-1) ?? 'no reason given'}`

t.test("from the agent's namespace the proxy is the only way out", { skip }, async (t) => {
  for (const line of lines) {
    if (line.startsWith('ok ')) t.pass(line.slice('ok '.length))
    else if (line.startsWith('not ok ')) t.fail(line.slice('not ok '.length))
    else t.comment(line)
  }
  t.ok(lines.filter((line) => line.startsWith('ok ')).length > 80, 'every attempt was made')
  t.equal(run.status, 0, run.stderr)
})
