// pip inside TLS that ends at the proxy, under rules about paths: a package that is named installs, another does not.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { findClient } from '../../support/clients.ts'
import { pipIndex } from '../../support/pip-index.ts'
import { startSecureWorld } from '../../support/secure-world.ts'

const { program: { command, args }, options } = findClient('pip')
const rules = { packages: 'methods = ["GET"]\npaths = ["/simple/harness/", "/files/harness-*"]' }

t.test('pip: a package that the rules name installs', options, async (t) => {
  const world = await startSecureWorld(t, { rules }, pipIndex('harness', '1.2.3'))
  const { exitCode, output } = await world.run(command, [...args, 'install', '--target=lib', `--index-url=${world.base}/simple/`, 'harness'])
  t.equal(exitCode, 0, output)
  t.equal(readFileSync(join(world.dir, 'lib/harness.py'), 'utf8'), 'version = "1.2.3"\n')
  t.same(new Set(world.said()), new Set(['GET /simple/harness/ allowed', 'GET /files/harness-1.2.3-py3-none-any.whl allowed']))
})

t.test('pip: a package that no rule names is refused; -vv says why', options, async (t) => {
  const world = await startSecureWorld(t, { rules }, pipIndex('other', '1.0.0'))
  const install = ['download', '--retries=1', `--index-url=${world.base}/simple/`, 'other']
  const { exitCode, output } = await world.run(command, [...args, ...install])
  t.equal(exitCode, 1)
  t.match(output, /No matching distribution found for other/)
  const verbose = await world.run(command, [...args, '-vv', ...install])
  t.match(verbose.output, /403 .*Denied by policy: .*origin\.test.*\(req 01/)
  t.same(world.origin.requests, [])
})
