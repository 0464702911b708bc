// git behind the proxy: clone, fetch and push, over https through a tunnel and over plain http.
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { testInside, testRefusals } from '../../support/client-tests.ts'
import { startClientWorld, type ClientWorld } from '../../support/client-world.ts'
import { findClient, gitHttpBackend } from '../../support/clients.ts'
import { repository, type Repository } from '../../support/git-repository.ts'

const { program: { command }, options } = findClient('git')
const backend = options.skip === undefined ? gitHttpBackend() : undefined
const pushOptions = options.skip !== undefined || backend !== undefined ? options : { skip: 'git http-backend is not on this machine, so nothing can be pushed' }

async function startRepository(t: Test): Promise<Repository<ClientWorld>> {
  return repository(t, command, backend, (answer) => startClientWorld(t, answer))
}

for (const scheme of ['https', 'http'] as const) {
  t.test(`git: clone and fetch work over ${scheme}`, options, async (t) => {
    const { world, git, publish } = await startRepository(t)
    await git('.', 'clone', '-q', `${world.base(scheme)}/repo.git`, 'copy')
    t.equal(readFileSync(join(world.dir, 'copy/first.txt'), 'utf8'), 'first\n')
    await publish('second.txt', 'second\n')
    await git('copy', 'fetch', '-q')
    t.equal(await git('copy', 'show', 'origin/main:second.txt'), 'second\n')
    t.ok(world.origins[scheme].requests.length >= 4)
  })

  t.test(`git: push works over ${scheme}, also of a pack large enough to be sent in chunks`, pushOptions, async (t) => {
    const { world, git } = await startRepository(t)
    await git('.', 'clone', '-q', `${world.base(scheme)}/repo.git`, 'copy')
    const large = randomBytes(1_500_000).toString('base64')
    writeFileSync(join(world.dir, 'copy/large.txt'), large)
    await git('copy', 'add', '.')
    await git('copy', 'commit', '-q', '-m', 'large')
    await git('copy', 'push', '-q', 'origin', 'HEAD:refs/heads/work')
    t.ok(world.origins[scheme].requests.some(({ headers }) => headers['transfer-encoding'] === 'chunked'))
    await git('.', 'clone', '-q', '-b', 'work', `${world.base(scheme)}/repo.git`, 'again')
    t.equal(readFileSync(join(world.dir, 'again/large.txt'), 'utf8'), large)
  })
}

t.test('git: GIT_CURL_VERBOSE shows the reason that the bare error hides', options, async (t) => {
  const world = await startClientWorld(t)
  const { exitCode, output } = await world.run(command, ['ls-remote', 'https://denied.test/repo.git'], { env: { GIT_CURL_VERBOSE: '1' } })
  t.equal(exitCode, 128)
  t.match(output, /403 Denied by policy: denied\.test is on the denied list \(req 01/)
})

testRefusals(t, 'git')
testInside(t, 'git')
