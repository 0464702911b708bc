// The policy in force: layers, feeds, hot reload, the last good policy, and the order of loads.
import { chmod, mkdir, mkdtemp, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { systemClock } from '../../src/clock.ts'
import { createPolicySource } from '../../src/config/policy-files.ts'
import type { PolicySource, PolicySourceOptions } from '../../src/config/policy-files.ts'
import type { Policy, Problem } from '../../src/policy/compile.ts'
import { evaluate } from '../../src/policy/evaluate.ts'
import { parseAuthority } from '../../src/target/authority.ts'

// the watch itself does not keep a process alive
const alive = setInterval(() => undefined, 1000)
t.teardown(() => clearInterval(alive))

const principal = { session: 'anonymous', agent: 'agent', team: undefined, owner: undefined }

function verdict(policy: Policy | undefined, target: string): string {
  if (policy === undefined) return 'none'
  const facts = { stage: 'connect', scheme: 'https', ...parseAuthority(target, 443), method: undefined, path: undefined, query: undefined, upgrade: undefined, principal } as const
  return evaluate(policy, facts, 0).verdict
}

const allowing = (...hosts: string[]) => `[network]\nunknown = "deny"\nallowed_domains = ${JSON.stringify(hosts)}\n`
const denying = (...hosts: string[]) => `[network]\ndenied_domains = ${JSON.stringify(hosts)}\n`

interface Setup {
  readonly dir: string
  readonly source: PolicySource
  readonly events: string[]
  readonly next: (event: 'loaded' | 'rejected') => Promise<readonly Problem[]>
}

async function setup(t: Test, files: Record<string, string>, more: Partial<PolicySourceOptions> = {}): Promise<Setup> {
  const root = await mkdtemp(join(tmpdir(), 'policy-files-'))
  const dir = join(root, 'policies')
  await mkdir(dir)
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text)
  const source = createPolicySource({
    policiesDir: dir,
    requirementsFile: undefined,
    managedDefault: join(root, 'requirements.toml'),
    reserved: [],
    clock: systemClock,
    onLog: () => undefined,
    ...more,
  })
  const events: string[] = []
  const waiting: { event: string; resolve: (problems: readonly Problem[]) => void }[] = []
  const tell = (event: string, problems: readonly Problem[]) => {
    events.push(event)
    for (const waiter of waiting.splice(0)) {
      if (waiter.event === event) waiter.resolve(problems)
      else waiting.push(waiter)
    }
  }
  source.onLoaded((_policy, problems) => tell('loaded', problems))
  source.onRejected((problems) => tell('rejected', problems))
  t.teardown(async () => {
    await source.close()
    await rm(root, { recursive: true })
  })
  const next = (event: string) => new Promise<readonly Problem[]>((resolve) => {
    waiting.push({ event, resolve })
  })
  return { dir, source, events, next }
}

t.test('files of the folder are united, in the order of their names, without its subfolders', async (t) => {
  const { dir, source } = await setup(t, { '20-b.toml': allowing('b.example'), '10-a.toml': allowing('a.example'), 'notes.txt': 'not toml', '.#10-a.toml': '= broken' })
  await mkdir(join(dir, 'packs'))
  await writeFile(join(dir, 'packs', 'c.toml'), allowing('c.example'))
  t.equal(source.state(), 'none')
  t.equal(source.current(), undefined)
  const result = await source.load()
  t.equal(result.outcome, 'loaded')
  t.equal(source.state(), 'ok')
  t.same(source.files(), [join(dir, '10-a.toml'), join(dir, '20-b.toml')])
  t.equal(verdict(source.current(), 'a.example'), 'allow')
  t.equal(verdict(source.current(), 'b.example'), 'allow')
  t.equal(verdict(source.current(), 'c.example'), 'deny')
})

t.test('the managed layer stands above the folder', async (t) => {
  const { dir, source } = await setup(t, { '10-a.toml': allowing('a.example', 'b.example') })
  await writeFile(join(dir, '..', 'requirements.toml'), `[experimental_network]\nenabled = true\ndenied_domains = ["b.example"]\n`)
  await source.load()
  t.equal(verdict(source.current(), 'a.example'), 'allow')
  t.equal(verdict(source.current(), 'b.example'), 'deny')
  t.equal(source.files()[0], join(dir, '..', 'requirements.toml'))
})

t.test('a managed file that the proxy can write is warned about', async (t) => {
  const { dir, source } = await setup(t, { '10-a.toml': allowing('a.example') })
  const managed = join(dir, '..', 'requirements.toml')
  await writeFile(managed, '[experimental_network]\nenabled = true\n')
  const { problems, outcome } = await source.load()
  t.equal(outcome, 'loaded')
  t.match(problems.find(({ file }) => file === managed), { severity: 'warning', message: /own user/ })
})

t.test('a managed file that was named and is missing is an error', async (t) => {
  const { source } = await setup(t, { '10-a.toml': allowing('a.example') }, { requirementsFile: '/nonexistent/requirements.toml' })
  const { outcome, problems } = await source.load()
  t.equal(outcome, 'rejected')
  t.equal(source.state(), 'none')
  t.match(problems[0], { file: '/nonexistent/requirements.toml', message: /managed policy cannot be read/ })
})

t.test('a folder that is missing or empty is an error', async (t) => {
  const { dir, source } = await setup(t, {})
  t.match(await source.load(), { outcome: 'rejected', problems: [{ file: dir, message: /no policy file/ }] })
  const missing = await setup(t, {}, { policiesDir: '/nonexistent/policies' })
  t.match(await missing.source.load(), { outcome: 'rejected', problems: [{ message: /no such file/ }] })
})

t.test('a saved change is live, and the folder may gain and lose files', async (t) => {
  const { dir, source, next } = await setup(t, { '10-a.toml': allowing('a.example') })
  await source.load()
  source.watch()
  let changed = next('loaded')
  await writeFile(join(dir, '20-deny.toml'), denying('a.example'))
  await changed
  t.equal(verdict(source.current(), 'a.example'), 'deny')
  changed = next('loaded')
  await unlink(join(dir, '20-deny.toml'))
  await changed
  t.equal(verdict(source.current(), 'a.example'), 'allow')
})

t.test('a burst of saves ends in the last state', async (t) => {
  const { dir, source } = await setup(t, { '10-a.toml': allowing('a.example') })
  await source.load()
  source.watch()
  const last = new Promise<void>((resolve) => {
    source.onLoaded((policy) => {
      if (verdict(policy, 'last.example') === 'allow') resolve()
    })
  })
  for (let i = 0; i < 30; i += 1) await writeFile(join(dir, '10-a.toml'), allowing(i === 29 ? 'last.example' : `n${i}.example`))
  await last
  t.equal(verdict(source.current(), 'n28.example'), 'deny')
})

t.test('a change that does not compile leaves the last good policy, says so once, and mending it recovers', async (t) => {
  const { dir, source, events, next } = await setup(t, { '10-a.toml': allowing('a.example') })
  await source.load()
  source.watch()
  const good = source.current()
  const rejected = next('rejected')
  await writeFile(join(dir, '10-a.toml'), '[network]\nallowed_domain = ["b.example"]\n')
  const problems = await rejected
  t.match(problems[0], { severity: 'error', file: join(dir, '10-a.toml'), line: 2 })
  t.equal(source.current(), good)
  t.equal(source.state(), 'rejected')
  t.same(source.problems(), problems)
  t.equal((await source.reload()).outcome, 'rejected')
  t.same(events, ['loaded', 'rejected'], 'the same broken content is told once')
  const loaded = next('loaded')
  await writeFile(join(dir, '10-a.toml'), allowing('a.example'))
  await loaded
  t.equal(source.state(), 'ok')
  t.equal(source.current(), good, 'the same content is not compiled again')
})

t.test('the same content is no event', async (t) => {
  const { dir, source, events } = await setup(t, { '10-a.toml': allowing('a.example') })
  await source.load()
  const policy = source.current()
  await writeFile(join(dir, '10-a.toml'), allowing('a.example'))
  t.equal((await source.reload()).outcome, 'unchanged')
  t.equal(source.current(), policy)
  t.same(events, ['loaded'])
})

t.test('a feed denies, a change of it is live, and one that vanishes is refused', async (t) => {
  const { dir, source, next } = await setup(t, {
    '10-a.toml': `[network]\nunknown = "deny"\nallowed_domains = ["**.example"]\ndenied_domains_files = [{ path = "feeds/bad.txt" }]\n`,
  })
  await mkdir(join(dir, 'feeds'))
  const feed = join(dir, 'feeds', 'bad.txt')
  await writeFile(feed, '# names\nbad.example\n0.0.0.0 worse.example\n')
  const first = await source.load()
  t.same(first.problems.filter(({ severity }) => severity === 'error'), [])
  t.equal(source.current()?.feedNames, 2)
  t.equal(verdict(source.current(), 'www.bad.example'), 'deny')
  t.equal(verdict(source.current(), 'good.example'), 'allow')
  source.watch()
  const changed = next('loaded')
  await writeFile(feed, 'good.example\n')
  await changed
  t.equal(verdict(source.current(), 'good.example'), 'deny')
  t.equal(verdict(source.current(), 'bad.example'), 'allow')
  const rejected = next('rejected')
  await unlink(feed)
  t.match((await rejected)[0], { file: feed, message: /feed file .* cannot be read/ })
  t.equal(verdict(source.current(), 'good.example'), 'deny', 'what it denied stays denied')
})

t.test('a managed file that was found and vanishes is refused', async (t) => {
  const { dir, source, next } = await setup(t, { '10-a.toml': allowing('a.example') })
  const managed = join(dir, '..', 'requirements.toml')
  await writeFile(managed, `[experimental_network]\ndenied_domains = ["a.example"]\n`)
  await source.load()
  source.watch()
  const rejected = next('rejected')
  await unlink(managed)
  t.match((await rejected)[0], { file: managed, message: /managed policy cannot be read/ })
  t.equal(verdict(source.current(), 'a.example'), 'deny')
})

t.test('a mounted folder that is swapped by a symbolic link is seen', async (t) => {
  const { dir, source, next } = await setup(t, {})
  for (const [version, host] of [['..v1', 'one.example'], ['..v2', 'two.example']] as const) {
    await mkdir(join(dir, version))
    await writeFile(join(dir, version, '10-a.toml'), allowing(host))
  }
  await symlink('..v1', join(dir, '..data'))
  await symlink('..data/10-a.toml', join(dir, '10-a.toml'))
  await source.load()
  t.equal(verdict(source.current(), 'one.example'), 'allow')
  source.watch()
  const changed = next('loaded')
  await symlink('..v2', join(dir, '..data_tmp'))
  await rename(join(dir, '..data_tmp'), join(dir, '..data'))
  await changed
  t.equal(verdict(source.current(), 'two.example'), 'allow')
  t.equal(verdict(source.current(), 'one.example'), 'deny')
})

t.test('loads that are asked for at once end in the last state', async (t) => {
  const { dir, source, events } = await setup(t, { '10-a.toml': allowing('a.example') })
  const first = source.load()
  await writeFile(join(dir, '10-a.toml'), allowing('b.example'))
  const later = await Promise.all([source.reload(), source.reload(), source.reload()])
  t.equal((await first).outcome, 'loaded')
  t.equal(verdict(later[2].policy, 'b.example'), 'allow')
  t.ok(events.length <= 2, 'three requests while one runs are one load')
})

t.test('what is not UTF-8 and what is no file are errors with their place', async (t) => {
  const { dir, source } = await setup(t, { '10-a.toml': allowing('a.example') })
  await writeFile(join(dir, '20-b.toml'), Buffer.concat([Buffer.from('# one\n# two '), Buffer.from([0xff]), Buffer.from('\n')]))
  await symlink('/dev/zero', join(dir, '30-c.toml'))
  await symlink('nowhere.toml', join(dir, '40-d.toml'))
  const { problems } = await source.load()
  t.match(problems.find(({ file }) => file.endsWith('20-b.toml')), { line: 2, message: /UTF-8/ })
  t.match(problems.find(({ file }) => file.endsWith('30-c.toml')), { message: /regular file/ })
  t.match(problems.find(({ file }) => file.endsWith('40-d.toml')), { message: /no such file/ })
})

t.test('a file that may not be read is an error', { skip: process.getuid?.() === 0 ? 'the superuser may read everything' : false }, async (t) => {
  const { dir, source } = await setup(t, { '10-a.toml': allowing('a.example') })
  await chmod(join(dir, '10-a.toml'), 0)
  t.match((await source.load()).problems[0], { message: /permission denied/ })
})

t.test('a reserved destination is denied to agents', async (t) => {
  const { source } = await setup(t, { '10-a.toml': allowing('otel.example.com') }, { reserved: [{ host: 'otel.example.com', port: 443 }] })
  await source.load()
  t.equal(verdict(source.current(), 'otel.example.com'), 'deny')
})

t.test('a worker that fails is a rejected load and not a fault of the caller', async (t) => {
  const uncloneable = Object.assign({ host: 'x.example' }, { port: undefined, extra: () => 1 })
  const { dir, source, events } = await setup(t, { '10-a.toml': allowing('a.example') }, { reserved: [uncloneable] })
  t.match(await source.load(), { outcome: 'rejected', problems: [{ severity: 'error', file: dir, message: /could not be compiled/ }] })
  t.equal(source.state(), 'none')
  t.same(events, ['rejected'])
})

t.test('close ends a load that runs, and nothing is told after it', async (t) => {
  const { dir, source, events } = await setup(t, { '10-a.toml': allowing('a.example') })
  const running = source.load()
  await source.close()
  t.equal((await running).outcome, 'rejected')
  await writeFile(join(dir, '10-a.toml'), allowing('b.example'))
  t.equal((await source.reload()).outcome, 'rejected')
  t.same(events, [])
})

t.test('a long load does not stall the main loop', async (t) => {
  const names = Array.from({ length: 50_000 }, (_, i) => `host-${i}.bad${i % 97}.example`).join('\n')
  const { dir, source } = await setup(t, {
    '10-a.toml': `[network]\nallowed_domains = ["a.example"]\ndenied_domains_files = [{ path = "feed.txt" }]\n`,
  })
  await writeFile(join(dir, 'feed.txt'), names)
  let turns = 0
  let ended = false
  const turn = () => {
    turns += 1
    if (!ended) setImmediate(turn)
  }
  setImmediate(turn)
  const { outcome } = await source.load()
  ended = true
  t.equal(outcome, 'loaded')
  t.equal(source.current()?.feedNames, 50_000)
  t.equal(verdict(source.current(), 'x.host-7.bad7.example'), 'deny')
  t.ok(turns > 20, 'the loop went on turning')
})
