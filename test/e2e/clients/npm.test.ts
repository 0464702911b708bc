// npm behind the proxy: install from a registry, a scoped package and its dependency included.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { testInside, testRefusals } from '../../support/client-tests.ts'
import { startClientWorld } from '../../support/client-world.ts'
import { findClient } from '../../support/clients.ts'
import { npmRegistry } from '../../support/npm-registry.ts'

const { program: { command }, options } = findClient('npm')

const registry = npmRegistry([
  { name: '@field/harness', version: '1.2.3', dependencies: { buckle: '^2.0.0' } },
  { name: 'buckle', version: '2.0.1' },
])

for (const scheme of ['https', 'http'] as const) {
  t.test(`npm: install works over ${scheme}, a scoped package and its dependency`, options, async (t) => {
    const world = await startClientWorld(t, registry)
    writeFileSync(join(world.dir, 'package.json'), '{"name":"project","version":"1.0.0"}')
    const { exitCode, output } = await world.run(command, ['install', `--registry=${world.base(scheme)}/`, '@field/harness'])
    t.equal(exitCode, 0, output)
    t.match(output, /added 2 packages/)
    for (const [name, version] of [['@field/harness', '1.2.3'], ['buckle', '2.0.1']]) {
      t.match(readFileSync(join(world.dir, 'node_modules', String(name), 'package.json'), 'utf8'), `"version":"${version}"`)
    }
    const urls = world.origins[scheme].requests.map(({ method, url }) => `${method} ${url}`)
    t.ok(urls.includes('GET /@field%2fharness'), 'the escape reaches the registry as npm wrote it')
    t.ok(urls.some((line) => line.startsWith('POST /-/npm/v1/security/')), 'the audit is posted')
  })
}

testRefusals(t, 'npm')
testInside(t, 'npm')
