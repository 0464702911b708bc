// npm inside TLS that ends at the proxy, under rules about paths: a scoped package, whose name travels as one segment with
// an escaped slash, installs; a package that no rule names does not, and npm says why.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { findClient } from '../../support/clients.ts'
import { npmRegistry } from '../../support/npm-registry.ts'
import { startSecureWorld } from '../../support/secure-world.ts'

const { program: { command }, options } = findClient('npm')

const registry = npmRegistry([
  { name: '@types/node', version: '1.2.3', dependencies: { buckle: '^2.0.0' } },
  { name: 'buckle', version: '2.0.1' },
  { name: '@types/other', version: '1.0.0' },
  { name: 'harness', version: '1.0.0' },
])

const rules = {
  packages: 'methods = ["GET"]\npaths = ["/@types/node", "/@types%2fnode", "/@types/node/-/*", "/buckle", "/buckle/-/*"]',
  audit: 'methods = ["POST"]\npaths = ["/-/npm/v1/security/**"]',
}

t.test('npm: a scoped package and what it depends on install under rules about paths', options, async (t) => {
  const world = await startSecureWorld(t, { rules }, registry)
  writeFileSync(join(world.dir, 'package.json'), '{"name":"project","version":"1.0.0"}')
  const { exitCode, output } = await world.run(command, ['install', `--registry=${world.base}/`, '@types/node'])
  t.equal(exitCode, 0, output)
  t.match(output, /added 2 packages/)
  for (const [name, version] of [['@types/node', '1.2.3'], ['buckle', '2.0.1']] as const) {
    t.match(readFileSync(join(world.dir, 'node_modules', name, 'package.json'), 'utf8'), `"version":"${version}"`)
  }
  const urls = world.origin.requests.map(({ method, url }) => `${method} ${url}`)
  t.ok(urls.includes('GET /@types%2fnode'), 'the escape reaches the registry as npm wrote it')
  t.ok(urls.some((line) => line.startsWith('POST /-/npm/v1/security/')), 'the audit is posted')
  t.ok(world.said().every((line) => line.endsWith(' allowed')), world.said().join(', '))
  t.equal(world.decisions().length, world.origin.requests.length, 'decisions = origin requests')
})

t.test('npm: %2f is a separator and a letter, and the stricter reading counts', options, async (t) => {
  // as a separator it is not `*`, so that a rule for the letter alone does not open it
  const world = await startSecureWorld(t, { rules: { one: 'methods = ["GET"]\npaths = ["/*"]' } }, registry)
  const { exitCode } = await world.run(command, ['install', '--fetch-retries=0', `--registry=${world.base}/`, '@types/other'])
  t.equal(exitCode, 1)
  t.same(world.origin.requests, [])
})

for (const name of ['harness', '@types/other']) {
  t.test(`npm: ${name}, which no rule names, is refused in words`, options, async (t) => {
    const world = await startSecureWorld(t, { rules }, registry)
    const { exitCode, output } = await world.run(command, ['install', '--fetch-retries=0', `--registry=${world.base}/`, name])
    t.equal(exitCode, 1)
    t.match(output, /npm error code E403/)
    t.match(output, /403 Denied by policy: .*origin\.test.*\(req 01/)
    t.notOk(existsSync(join(world.dir, 'node_modules', name)))
    t.same(world.origin.requests, [])
  })
}
