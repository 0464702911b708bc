// curl behind the proxy.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { testInside, testRefusals } from '../../support/client-tests.ts'
import { startClientWorld } from '../../support/client-world.ts'
import { findClient } from '../../support/clients.ts'

const { program: { command }, options } = findClient('curl')

t.test('curl: an allowed host is reached over https and over http', options, async (t) => {
  const world = await startClientWorld(t)
  const args = (['https', 'http'] as const).map((scheme) => `${world.base(scheme)}/a?b=${scheme}`)
  const { exitCode, output } = await world.run(command, ['-sS', '--fail', ...args])
  t.equal(output, 'GET /a?b=https\nGET /a?b=http\n')
  t.equal(exitCode, 0)
  t.match(world.origins.http.requests[0]?.headers, { host: `origin.test:${world.origins.http.port}`, via: /sallyport/ })
  t.match(world.origins.https.requests[0]?.headers, { via: undefined })
})

t.test('curl: a large upload arrives whole, over https and, with Expect: 100-continue, over http', options, async (t) => {
  const world = await startClientWorld(t, (request, response) => {
    let bytes = 0
    request.on('data', (chunk: Buffer) => (bytes += chunk.length))
    request.on('end', () => response.end(`${bytes}\n`))
  })
  const file = join(world.dir, 'upload')
  writeFileSync(file, Buffer.alloc(3_000_000, 'x'))
  for (const scheme of ['https', 'http'] as const) {
    const { exitCode, output } = await world.run(command, ['-sS', '--fail', '-H', 'Expect: 100-continue', '--data-binary', `@${file}`, `${world.base(scheme)}/`])
    t.same({ exitCode, output }, { exitCode: 0, output: '3000000\n' }, scheme)
  }
})

t.test('curl: two requests share one tunnel, and two over http one connection to the proxy', options, async (t) => {
  const world = await startClientWorld(t)
  for (const scheme of ['https', 'http'] as const) {
    const { output } = await world.run(command, ['-sS', '-w', '%{num_connects}\n', `${world.base(scheme)}/1`, `${world.base(scheme)}/2`])
    t.equal(output, 'GET /1\n1\nGET /2\n0\n', scheme)
  }
  t.equal(world.proxy.decisions().length, 3, 'one for the tunnel, one for each plain request')
})

t.test('curl: -v shows the reason that the bare error hides', options, async (t) => {
  const world = await startClientWorld(t)
  const { output } = await world.run(command, ['-sv', 'https://denied.test/'])
  t.match(output, /^< HTTP\/1\.1 403 Denied by policy: denied\.test is on the denied list \(req 01/m)
})

t.test('curl: --fail-with-body makes a refusal over http an error and still shows the reason', options, async (t) => {
  const world = await startClientWorld(t)
  const { exitCode, output } = await world.run(command, ['-sS', '--fail-with-body', 'http://denied.test/'])
  t.equal(exitCode, 22)
  t.match(output, /"reason":"denied\.test is on the denied list"/)
})

testRefusals(t, 'curl')
testInside(t, 'curl')
