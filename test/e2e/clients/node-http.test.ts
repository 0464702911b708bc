// Node's http module behind the proxy.
import t from 'tap'
import { testRefusals } from '../../support/client-tests.ts'
import { startClientWorld } from '../../support/client-world.ts'
import { clients, findClient } from '../../support/clients.ts'

const { program: { command }, options } = findClient('node-http')

t.test('node-http: an allowed host is reached', options, async (t) => {
  const world = await startClientWorld(t)
  const { exitCode, output } = await world.run(command, clients['node-http'].reach(world.base('http')))
  t.same({ exitCode, output }, { exitCode: 0, output: '200 OK\nGET /\n' })
})

testRefusals(t, 'node-http')
