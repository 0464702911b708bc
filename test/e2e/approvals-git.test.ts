// git with the credentials of its session: 407 first, then held, and then it clones or says why not.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startAsking, type AskWorld } from '../support/ask-world.ts'
import { testCertificates } from '../support/certificates.ts'
import { clientHome, type ClientRun } from '../support/client-run.ts'
import { findClient } from '../support/clients.ts'
import type { WireSession } from '../support/control.ts'
import { gitOrigin } from '../support/git-origin.ts'
import { tlsOrigin, type HttpOrigin } from '../support/origins.ts'

const git = findClient('git')

interface GitWorld extends AskWorld {
  readonly origin: HttpOrigin
  readonly session: WireSession
  readonly dir: string
  run(...args: readonly string[]): Promise<ClientRun>
  clone(into: string): Promise<ClientRun>
}

/** One repository at `one.ask.test`, and a session whose credentials stand in git's HTTPS_PROXY. */
async function gitWorld(t: Test, held: Readonly<Record<string, unknown>> = { hold: '1m' }): Promise<GitWorld> {
  const served = mkdtempSync(join(tmpdir(), 'sallyport-git-'))
  t.teardown(() => rmSync(served, { recursive: true, force: true }))
  const certificates = await testCertificates()
  const origin = await tlsOrigin(t, ['one.ask.test'], certificates, gitOrigin(served, undefined))
  const world = await startAsking(t, origin.port)
  const session = await world.control.createSession({ agent: 'codex', ...held })
  const home = clientHome(t, world.proxy.url.replace('//', `//${session.id}:${session.token}@`), certificates.ca)
  const run = (...args: readonly string[]): Promise<ClientRun> => home.run(git.program.command, args)
  const done = async (...args: readonly string[]): Promise<void> => {
    const { exitCode, output } = await run(...args)
    if (exitCode !== 0) throw new Error(`git ${args.join(' ')}: exit ${exitCode}\n${output}`)
  }
  mkdirSync(join(home.dir, 'source'))
  writeFileSync(join(home.dir, 'source/a.txt'), 'a\n')
  await done('-C', 'source', 'init', '-q')
  await done('-C', 'source', 'add', '.')
  await done('-C', 'source', 'commit', '-q', '-m', 'first')
  await done('clone', '-q', '--bare', 'source', join(served, 'repo.git'))
  await done('-C', join(served, 'repo.git'), 'update-server-info')
  return { ...world, origin, session, dir: home.dir, run, clone: (into) => run('clone', '-q', `https://one.ask.test:${origin.port}/repo.git`, into) }
}

function codesOf({ proxy }: AskWorld): unknown[] {
  return proxy.decisions().map(({ attributes }) => attributes['sallyport.code'])
}

t.test('git is asked for its credentials, is held, and clones once it is approved', git.options, async (t) => {
  const world = await gitWorld(t)
  const cloned = world.clone('copy')
  const approval = await world.control.pending('one.ask.test')
  t.match(approval, { session: world.session.id, user_agent: /^git\//, attempts: 1 })
  t.equal(world.origin.connections(), 0)
  t.strictSame(codesOf(world), ['credentials_required', 'approval_required'])
  await world.control.decide('one.ask.test', { verdict: 'allow', term: 'session' })
  const { exitCode, output } = await cloned
  t.equal(exitCode, 0, output)
  t.equal(readFileSync(join(world.dir, 'copy/a.txt'), 'utf8'), 'a\n')
  t.strictSame(await world.control.approvals(), [], 'all its connections are covered')
  t.equal((await world.clone('again')).exitCode, 0)
})

t.test('git that is refused says 403, and clones nothing', git.options, async (t) => {
  const world = await gitWorld(t)
  const cloned = world.clone('copy')
  await world.control.decide('one.ask.test', { verdict: 'deny', comment: 'use the mirror' })
  const { exitCode, output } = await cloned
  t.not(exitCode, 0)
  t.match(output, /403/)
  t.equal(world.origin.connections(), 0)
})

t.test('git of an unattended session is refused at once', git.options, async (t) => {
  const world = await gitWorld(t, { unattended: true })
  const { exitCode, output } = await world.clone('copy')
  t.not(exitCode, 0)
  t.match(output, /403/)
  t.strictSame(await world.control.approvals(''), [])
})

t.test('git of a session that has ended gets 407 and asks nobody', git.options, async (t) => {
  const world = await gitWorld(t)
  await world.control.createSession()
  await world.control.endSession(world.session.id)
  const { exitCode, output } = await world.clone('copy')
  t.not(exitCode, 0)
  t.match(output, /407/)
  t.strictSame(await world.control.approvals(''), [])
})
