// GNU Wget behind the proxy.
import t from 'tap'
import { testInside, testRefusals } from '../../support/client-tests.ts'
import { startClientWorld } from '../../support/client-world.ts'
import { findClient } from '../../support/clients.ts'

const { program: { command }, options } = findClient('wget')

t.test('wget: an allowed host is reached over https and over http', options, async (t) => {
  const world = await startClientWorld(t)
  const { exitCode, output } = await world.run(command, ['-q', '-O', '-', `${world.base('https')}/a`, `${world.base('http')}/b`])
  t.equal(output, 'GET /a\nGET /b\n')
  t.equal(exitCode, 0)
})

testRefusals(t, 'wget')
testInside(t, 'wget')
