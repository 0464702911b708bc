// pip behind the proxy: download and install from an index.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { testInside, testRefusals } from '../../support/client-tests.ts'
import { startClientWorld } from '../../support/client-world.ts'
import { findClient } from '../../support/clients.ts'
import { pipIndex } from '../../support/pip-index.ts'

const { program: { command, args }, options } = findClient('pip')

t.test('pip: download works over https with the CA named by --cert', options, async (t) => {
  const world = await startClientWorld(t, pipIndex('harness', '1.2.3'))
  const { exitCode, output } = await world.run(command, [...args, 'download', '--no-deps', '--cert', world.caFile, `--index-url=${world.base('https')}/simple/`, 'harness'], { env: { PIP_CERT: '' } })
  t.equal(exitCode, 0, output)
  t.ok(existsSync(join(world.dir, 'harness-1.2.3-py3-none-any.whl')))
})

t.test('pip: install works over http', options, async (t) => {
  const world = await startClientWorld(t, pipIndex('harness', '1.2.3'))
  const { exitCode, output } = await world.run(command, [...args, 'install', '--target=lib', '--trusted-host=origin.test', `--index-url=${world.base('http')}/simple/`, 'harness'])
  t.equal(exitCode, 0, output)
  t.equal(readFileSync(join(world.dir, 'lib/harness.py'), 'utf8'), 'version = "1.2.3"\n')
})

t.test('pip: -vv shows the reason that it hides over http', options, async (t) => {
  const world = await startClientWorld(t)
  const { exitCode, output } = await world.run(command, [...args, '-vv', 'download', '--trusted-host=denied.test', '--index-url=http://denied.test/simple/', 'harness'])
  t.equal(exitCode, 1)
  t.match(output, /403 .*Denied by policy: denied\.test is on the denied list \(req 01/)
})

testRefusals(t, 'pip')
testInside(t, 'pip')
