// Node's fetch behind the proxy.
import t from 'tap'
import { testInside, testRefusals } from '../../support/client-tests.ts'
import { startClientWorld } from '../../support/client-world.ts'
import { clients, findClient } from '../../support/clients.ts'

const { program: { command }, options } = findClient('node-fetch')

t.test('node-fetch: an allowed host is reached over https and over http', options, async (t) => {
  const world = await startClientWorld(t)
  for (const scheme of ['https', 'http'] as const) {
    const { exitCode, output } = await world.run(command, clients['node-fetch'].reach(world.base(scheme)))
    t.same({ exitCode, output }, { exitCode: 0, output: '200 OK\nGET /\n\n' }, scheme)
  }
})

t.test('node-fetch: it asks the proxy only where NODE_USE_ENV_PROXY is set', options, async (t) => {
  const world = await startClientWorld(t)
  const args = clients['node-fetch'].reach(`http://127.0.0.1:${world.origins.http.port}`)
  t.match((await world.run(command, args, { env: { NODE_USE_ENV_PROXY: '' } })).output, /^200 OK/)
  t.same(world.proxy.decisions(), [], 'it went straight to the origin')
  t.match((await world.run(command, args)).output, /^403 Denied by policy/)
})

testRefusals(t, 'node-fetch')
testInside(t, 'node-fetch')
