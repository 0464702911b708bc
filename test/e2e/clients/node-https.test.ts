// Node's https module behind the proxy.
import t from 'tap'
import { testInside, testRefusals } from '../../support/client-tests.ts'
import { startClientWorld } from '../../support/client-world.ts'
import { clients, findClient } from '../../support/clients.ts'

const { program: { command }, options } = findClient('node-https')

t.test('node-https: an allowed host is reached', options, async (t) => {
  const world = await startClientWorld(t)
  const { exitCode, output } = await world.run(command, clients['node-https'].reach(world.base('https')))
  t.same({ exitCode, output }, { exitCode: 0, output: '200 OK\nGET /\n' })
})

testRefusals(t, 'node-https')
testInside(t, 'node-https')
