// git over https whose TLS ends at the proxy, under the pack that lets it fetch and not push: clone and fetch pass, a push
// changes nothing and is refused, and why is there to be read.
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t, { type Test } from 'tap'
import { findClient, gitHttpBackend } from '../../support/clients.ts'
import { repository, type Repository } from '../../support/git-repository.ts'
import { startSecureWorld, type SecureWorld } from '../../support/secure-world.ts'

const { program: { command }, options: found } = findClient('git')
const backend = found.skip === undefined ? gitHttpBackend() : undefined
const options = found.skip !== undefined || backend !== undefined ? found : { skip: 'git http-backend is not on this machine' }

const noPush = 'this policy lets git fetch and clone, and does not let it push'

/** The rules of the pack by their ids, without its hosts and cases, which are the world's to say. */
function packRules(): Readonly<Record<string, string>> {
  const pack = readFileSync(resolve(import.meta.dirname, '../../../policies/packs/git-fetch-only.toml'), 'utf8')
  const [, ...tables] = pack.split('[[network.rules]]\n')
  return Object.fromEntries(tables.map((table) => {
    const id = /^id *= "([^"]+)"$/m.exec(table)?.[1] ?? ''
    return [id, table.replaceAll(/^(?:id|hosts) .*\n/gm, '').replaceAll(/^(?:not_)?match *= \[[^]*?\]\n/gm, '')]
  }))
}

function start(t: Test, rules = packRules()): Promise<Repository<SecureWorld>> {
  return repository(t, command, backend, (answer) => startSecureWorld(t, { rules }, answer))
}

for (const version of ['HTTP/1.1', 'HTTP/2']) {
  t.test(`git, ${version}: clone and fetch pass, also of what is large, and a shallow clone`, options, async (t) => {
    const { world, git, publish } = await start(t)
    const set = ['-c', `http.version=${version}`]
    await git('.', ...set, 'clone', '-q', `${world.base}/repo.git`, 'copy')
    t.equal(readFileSync(join(world.dir, 'copy/first.txt'), 'utf8'), 'first\n')
    const large = randomBytes(3_000_000).toString('base64')
    await publish('large.txt', large)
    await git('copy', ...set, 'fetch', '-q')
    t.equal(await git('copy', 'show', 'origin/main:large.txt'), large)
    await git('.', ...set, 'clone', '-q', '--depth=1', `${world.base}/repo.git`, 'shallow')
    t.equal(readFileSync(join(world.dir, 'shallow/large.txt'), 'utf8'), large)
    t.ok(world.decisions().length >= 6)
    t.equal(world.decisions().length, world.origin.requests.length, 'decisions = origin requests')
    t.ok(world.decisions().every(({ attributes }) => attributes['sallyport.code'] === 'allowed'))
  })

  t.test(`git, ${version}: a push is refused, says so, and changes nothing`, options, async (t) => {
    const { world, git } = await start(t)
    const set = ['-c', `http.version=${version}`]
    await git('.', ...set, 'clone', '-q', `${world.base}/repo.git`, 'copy')
    const before = world.origin.requests.length
    writeFileSync(join(world.dir, 'copy/second.txt'), 'second\n')
    await git('copy', 'add', '.')
    await git('copy', 'commit', '-q', '-m', 'second')
    const cwd = join(world.dir, 'copy')
    const { exitCode, output } = await world.run(command, [...set, 'push', '-q', 'origin', 'HEAD:refs/heads/work'], { cwd })
    t.equal(exitCode, 128)
    t.match(output, /The requested URL returned error: 403/)
    t.equal(world.origin.requests.length, before, 'nothing of it reached the origin')
    t.match(world.decisions().at(-1)?.attributes, { 'sallyport.code': 'denied_by_rule', 'security_rule.name': 'git-no-push-refs', 'url.path': '/repo.git/info/refs' })
    const verbose = await world.run(command, [...set, 'push', 'origin', 'HEAD:refs/heads/work'], { cwd, env: { GIT_CURL_VERBOSE: '1' } })
    // HTTP/2 has no phrase for it
    if (version === 'HTTP/1.1') t.match(verbose.output, `403 Denied by policy: origin.test is denied by rule git-no-push-refs: ${noPush} (req 01`)
    t.match(verbose.output, /x-request-id: 01/i)
    t.match(world.proxy.decisions().at(-1)?.attributes['sallyport.reason'], noPush)
  })
}

const { program: curl, options: noCurl } = findClient('curl')

t.test('git: a push by hand, past what it asks first, is refused too', { ...options, ...noCurl }, async (t) => {
  const { world } = await start(t)
  for (const [path, type] of [['/repo.git/git-receive-pack', 'application/x-git-receive-pack-request'], ['/repo.git/git-upload-pack', 'text/plain']] as const) {
    const { output } = await world.run(curl.command, ['-sS', '-H', `Content-Type: ${type}`, '-d', '0000', `${world.base}${path}`])
    const refused = JSON.parse(output)
    t.equal(refused.status, 403, path)
    if (path.endsWith('receive-pack')) t.match(refused, { code: 'denied_by_rule', rule: 'git-no-push', reason: noPush })
  }
  const both = await world.run(curl.command, ['-sS', `${world.base}/repo.git/info/refs?service=git-upload-pack&service=git-receive-pack`])
  t.match(JSON.parse(both.output), { status: 403 })
  t.equal(world.origin.requests.length, 0)
})

t.test('git: where rules allow a push it passes, in chunks too', options, async (t) => {
  const { world, git } = await start(t, { all: 'methods = ["GET", "POST"]' })
  await git('.', 'clone', '-q', `${world.base}/repo.git`, 'copy')
  const large = randomBytes(1_500_000).toString('base64')
  writeFileSync(join(world.dir, 'copy/large.txt'), large)
  await git('copy', 'add', '.')
  await git('copy', 'commit', '-q', '-m', 'large')
  await git('copy', 'push', '-q', 'origin', 'HEAD:refs/heads/work')
  await git('.', 'clone', '-q', '-b', 'work', `${world.base}/repo.git`, 'again')
  t.equal(readFileSync(join(world.dir, 'again/large.txt'), 'utf8'), large)
})
