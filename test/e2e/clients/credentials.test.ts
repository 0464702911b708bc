// Real clients with the credentials of a session in the proxy's URL: they work, and are refused with a wrong token.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { testCertificates } from '../../support/certificates.ts'
import { clientHome, type ClientHome } from '../../support/client-run.ts'
import { clients, findClient, type ClientName } from '../../support/clients.ts'
import { gitOrigin } from '../../support/git-origin.ts'
import { startWith, type Issued } from '../../support/issued-sessions.ts'
import { httpOrigin, tlsOrigin, type HttpOrigin } from '../../support/origins.ts'
import type { TestProxy } from '../../support/proxy.ts'

interface IdentifiedWorld extends ClientHome {
  readonly proxy: TestProxy
  readonly session: Issued
  readonly origins: Readonly<Record<'https' | 'http', HttpOrigin>>
  base(scheme: 'https' | 'http'): string
}

function codesOf(proxy: TestProxy): unknown[] {
  return proxy.decisions().map(({ attributes }) => attributes['sallyport.code'])
}

/** The origins of a client's world, for a session whose credentials stand in HTTPS_PROXY. */
async function clientWorld(t: Test, answer?: Parameters<typeof httpOrigin>[1]): Promise<IdentifiedWorld> {
  const certificates = await testCertificates()
  const https = await tlsOrigin(t, ['origin.test'], certificates, answer)
  const http = await httpOrigin(t, answer)
  const policy = `[network]\nunknown = "deny"\n[[network.rules]]\nid = "codex"\nagents = ["codex"]\nhosts = ["origin.test:${https.port}", "origin.test:${http.port}"]\nlocal = ["127.0.0.1/32"]\nverdict = "allow"\n`
  const { proxy, sessions: [session] } = await startWith(t, [{ agent: 'codex', owner: 'alice' }], { policy, hosts: { 'origin.test': '127.0.0.1' } })
  if (session === undefined) throw new Error('no session')
  const origins = { https, http }
  return { ...clientHome(t, session.url(proxy.url), certificates.ca), proxy, session, origins, base: (scheme) => `${scheme}://origin.test:${origins[scheme].port}` }
}

function isOfSession(t: Test, { proxy, session, origins }: IdentifiedWorld): void {
  const allowed = proxy.decisions().filter(({ attributes }) => attributes['sallyport.code'] === 'allowed')
  t.ok(allowed.length > 0)
  for (const { attributes } of allowed) t.match(attributes, { 'session.id': session.id, 'gen_ai.agent.name': 'codex', 'user.name': 'alice' })
  for (const { headers } of [...origins.https.requests, ...origins.http.requests]) t.notOk('proxy-authorization' in headers, 'the origin gets no credentials')
}

const simpleClients: readonly ClientName[] = ['curl', 'wget', 'python-urllib', 'node-fetch', 'node-https', 'node-http']
for (const name of simpleClients) {
  const { program, options } = findClient(name)
  t.test(`${name} reaches an allowed host with the credentials of its session`, options, async (t) => {
    const world = await clientWorld(t)
    for (const scheme of clients[name].schemes) {
      const { exitCode, output } = await world.run(program.command, [...program.args, ...clients[name].reach(world.base(scheme))])
      t.equal(exitCode, 0, `${scheme}: ${output}`)
      t.match(output, 'GET /', scheme)
    }
    isOfSession(t, world)
  })

  t.test(`${name} is refused when its token is wrong`, options, async (t) => {
    const world = await clientWorld(t)
    const wrong = world.session.url(world.proxy.url).replace(world.session.token, 'A'.repeat(43))
    for (const scheme of clients[name].schemes) {
      const variables = { HTTPS_PROXY: wrong, https_proxy: wrong, HTTP_PROXY: wrong, http_proxy: wrong }
      await world.run(program.command, [...program.args, ...clients[name].reach(world.base(scheme))], { env: variables })
    }
    t.ok(codesOf(world.proxy).includes('credentials_invalid'))
    t.notOk(codesOf(world.proxy).includes('allowed'))
    t.equal(world.origins.https.connections() + world.origins.http.connections(), 0)
  })
}

const git = findClient('git')
t.test('git asks without credentials first, and comes back with them after the 407', git.options, async (t) => {
  const served = mkdtempSync(join(tmpdir(), 'sallyport-git-'))
  t.teardown(() => rmSync(served, { recursive: true, force: true }))
  const world = await clientWorld(t, gitOrigin(served, undefined))
  const run = async (...args: readonly string[]): Promise<string> => {
    const { exitCode, output } = await world.run(git.program.command, args)
    if (exitCode !== 0) throw new Error(`git ${args.join(' ')}: exit ${exitCode}\n${output}`)
    return output
  }
  mkdirSync(join(world.dir, 'source'))
  writeFileSync(join(world.dir, 'source/a.txt'), 'a\n')
  await run('-C', 'source', 'init', '-q')
  await run('-C', 'source', 'add', '.')
  await run('-C', 'source', 'commit', '-q', '-m', 'first')
  await run('clone', '-q', '--bare', 'source', join(served, 'repo.git'))
  await run('-C', join(served, 'repo.git'), 'update-server-info')
  for (const scheme of ['https', 'http'] as const) {
    const before = world.proxy.decisions().length
    await run('clone', '-q', `${world.base(scheme)}/repo.git`, scheme)
    t.equal(readFileSync(join(world.dir, scheme, 'a.txt'), 'utf8'), 'a\n')
    t.strictSame(codesOf(world.proxy).slice(before, before + 2), ['credentials_required', 'allowed'], scheme)
  }
  isOfSession(t, world)
})
