// Python's urllib behind the proxy.
import t from 'tap'
import { testInside, testRefusals } from '../../support/client-tests.ts'
import { startClientWorld } from '../../support/client-world.ts'
import { clients, findClient } from '../../support/clients.ts'

const { program: { command }, options } = findClient('python-urllib')

t.test('python-urllib: an allowed host is reached over https and over http', options, async (t) => {
  const world = await startClientWorld(t)
  for (const scheme of ['https', 'http'] as const) {
    const { exitCode, output } = await world.run(command, clients['python-urllib'].reach(world.base(scheme)))
    t.same({ exitCode, output }, { exitCode: 0, output: 'GET /\n\n' }, scheme)
  }
})

testRefusals(t, 'python-urllib')
testInside(t, 'python-urllib')
