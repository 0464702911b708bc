// `sallyport ca`, as it is typed.
import { X509Certificate } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { caCommand } from '../../src/cli/ca.ts'
import { UsageError } from '../../src/cli/run.ts'
import type { Terminal } from '../../src/cli/terminal.ts'
import { answering, run, type Ran } from './control-run.ts'
import { fakeIo } from './fake-io.ts'

const closed = '[network]\nunknown = "deny"\nallowed_domains = ["example.com", "*.pkg.test"]\n'

function place(t: Test, policy = '[network]\nunknown = "ask"\n'): string {
  const cwd = t.testdir({})
  mkdirSync(join(cwd, 'policies'))
  writeFileSync(join(cwd, 'policies', '00.toml'), policy)
  return cwd
}

const ca = (cwd: string, ...argv: readonly string[]): Promise<Ran> => run(['ca', ...argv], {}, cwd)
const rootOf = (cwd: string): X509Certificate => new X509Certificate(readFileSync(join(cwd, 'certs', 'root.pem')))

async function on(terminal: Terminal, cwd: string, ...argv: readonly string[]): Promise<Ran> {
  const io = fakeIo(cwd)
  try {
    return { code: await caCommand({ env: {} }, { terminal }).run(argv, io), out: io.stdout(), err: io.stderr() }
  } catch (error) {
    if (error instanceof UsageError) return { code: 2, out: '', err: error.message }
    throw error
  }
}

t.test('without a root show says how it comes to be, and makes none', async (t) => {
  const cwd = place(t)
  t.match(await ca(cwd, 'show'), { code: 0, out: /there is no root yet: the proxy makes it .* when a rule first looks inside TLS/ })
  t.same(JSON.parse((await ca(cwd, 'show', '--json')).out), { state: 'absent', path: join(cwd, 'certs/root.pem'), key_path: join(cwd, 'certs/root-key.pem') })
  t.match(await ca(cwd, 'export'), { code: 1, out: '', err: /no root in .* yet/ })
  t.notOk(existsSync(join(cwd, 'certs')))
})

t.test('show has what one compares and what is to be done', async (t) => {
  const cwd = place(t, closed)
  await ca(cwd, 'rotate', '--yes')
  const root = rootOf(cwd)
  const { code, out } = await ca(cwd, 'show')
  t.equal(code, 0)
  t.match(out, `sha256       ${root.fingerprint256}\n`)
  t.match(out, /^subject {6}CN=sallyport [0-9a-f-]{9}, made here$/m)
  t.match(out, /^signs for {4}example\.com, pkg\.test \(and what is below\), nothing else$/m)
  t.match(out, /^valid .* until .*, 36\d d left$/m)
  const json: unknown = JSON.parse((await ca(cwd, 'show', '--json')).out)
  t.match(json, { state: 'usable', origin: 'made', key: 'EC P-256', constraints: ['example.com', 'pkg.test'], sha256: root.fingerprint256.replaceAll(':', '').toLowerCase(), not_after: root.validToDate.toISOString(), kept: [], notices: [] })
  await ca(cwd, 'rotate', '--yes')
  t.match((await ca(cwd, 'show')).out, /^replaced {5}CN=sallyport .* in .*root-[0-9a-f]{8}\.pem, until /m)
  chmodSync(join(cwd, 'certs', 'root-key.pem'), 0o640)
  t.match(await ca(cwd, 'show'), { code: 1, out: /cannot be used[^]*other users may open it/ })
  t.match(JSON.parse((await ca(cwd, 'show', '--json')).out), { state: 'unusable', detail: /other users may open it/ })
})

t.test('export writes what clients are to trust, in each form', async (t) => {
  const cwd = place(t)
  await ca(cwd, 'rotate', '--yes')
  const pem = readFileSync(join(cwd, 'certs', 'root.pem'), 'utf8')
  t.same(await ca(cwd, 'export'), { code: 0, out: pem, err: '' })
  t.match(await ca(cwd, 'export', '--out', 'r.pem'), { code: 0, out: '', err: 'written to r.pem\n' })
  t.equal(readFileSync(join(cwd, 'r.pem'), 'utf8'), pem)
  t.match(await ca(cwd, 'export', '--format', 'der', '--out', 'r.der'), { code: 0 })
  t.ok(readFileSync(join(cwd, 'r.der')).equals(rootOf(cwd).raw))
  const bundle = (await ca(cwd, 'export', '--format', 'bundle')).out
  t.ok(bundle.endsWith(pem))
  t.ok((bundle.match(/BEGIN CERTIFICATE/g)?.length ?? 0) > 50, 'the roots of this system are in it')
  t.notMatch(bundle, /PRIVATE/)
  await ca(cwd, 'rotate', '--prepare')
  await ca(cwd, 'rotate', '--yes')
  await ca(cwd, 'rotate', '--prepare')
  const three = await ca(cwd, 'export')
  t.equal(three.out.match(/BEGIN CERTIFICATE/g)?.length, 3)
  t.match(three.err, /with the one that it replaced, CN=sallyport/)
  t.match(three.err, /with the one that is prepared, CN=sallyport/)
})

t.test('export never writes over a key', async (t) => {
  const cwd = place(t)
  await ca(cwd, 'rotate', '--yes')
  const key = readFileSync(join(cwd, 'certs', 'root-key.pem'), 'utf8')
  t.match(await ca(cwd, 'export', '--out', 'certs/root-key.pem'), { code: 1, err: /holds a private key and is not written over/ })
  t.equal(readFileSync(join(cwd, 'certs', 'root-key.pem'), 'utf8'), key)
  t.match(await ca(cwd, 'export', '--out', 'no/such/folder.pem'), { code: 1, err: /cannot be written/ })
  t.match(await ca(cwd, 'export', '--out', 'certs'), { code: 1, err: /cannot be written/ })
})

t.test('rotate asks on a terminal, and is told elsewhere', async (t) => {
  const cwd = place(t)
  t.match(await ca(cwd, 'rotate', '--prepare'), { code: 0, out: /there is no root yet[^]*`sallyport ca rotate`/ })
  t.same((await on({ ...answering('n'), isInteractive: false }, cwd, 'rotate')).code, 0, 'the first one takes no place')
  t.match(await on({ ...answering('y'), isInteractive: false }, cwd, 'rotate'), { code: 2, err: /say --yes/ })
  const first = rootOf(cwd).fingerprint256
  t.match(await on(answering('n'), cwd, 'rotate'), { code: 1, err: /Clients that[^]*nothing was changed/ })
  t.equal(rootOf(cwd).fingerprint256, first)
  const done = await on(answering('yes'), cwd, 'rotate')
  t.match(done, { code: 0, out: /signs from now on, for every host[^]*is kept as .*exported until it ends[^]*`sallyport ca export`/ })
  t.not(rootOf(cwd).fingerprint256, first)
  t.match((await ca(cwd, 'rotate', '--yes', '--distrust-old')).out, /exported no more/)
})

t.test('a policy that does not compile leaves the names open, so that has to be said', async (t) => {
  const cwd = place(t, 'nonsense')
  t.match(await ca(cwd, 'rotate', '--yes'), { code: 1, err: /^policies\/00\.toml:1:\d+: error: [^]*policy is not valid.*`sallyport check`.*--any-host/ })
  t.notOk(existsSync(join(cwd, 'certs')))
  t.match(await ca(cwd, 'rotate', '--yes', '--any-host'), { code: 0, out: /for every host/ })
})

t.test('where there is no policy rotate says what it needs, and does without where it can', async (t) => {
  const cwd = place(t, closed)
  const away = join(cwd, 'away')
  mkdirSync(away)
  t.match(await ca(away, 'rotate', '--yes'), { code: 1, out: '', err: /^sallyport ca rotate: there is no policy in \S*\/away\/policies, .*\(--config FILE, or --policies DIR and --certs DIR\), or say --any-host/ })
  t.notOk(existsSync(join(away, 'certs')))
  const certs = ['--certs', join(cwd, 'certs')]
  t.match(await ca(away, 'rotate', '--yes', ...certs, '--policies', join(cwd, 'policies')), { code: 0, out: /for example\.com, pkg\.test \(and what is below\)/ })
  t.match(await ca(away, 'rotate', '--prepare', ...certs), { code: 1, err: /there is no policy/ })
  t.match(await ca(cwd, 'rotate', '--prepare'), { code: 0 })
  t.match(await ca(away, 'rotate', '--prepare', ...certs), { code: 0 }, 'it is there already')
  t.match(await ca(away, 'rotate', '--yes', ...certs), { code: 0, out: /for example\.com, pkg\.test/ }, 'what is prepared is bound already')
  t.match(await ca(away, 'rotate', '--yes', ...certs), { code: 1, err: /there is no policy/ }, 'and the next one is not')
  t.match(await ca(away, 'rotate', '--yes', '--any-host', ...certs), { code: 0, out: /for every host/ })
  t.notOk(existsSync(join(away, 'certs')))
})

t.test('the folder is found as start finds it', async (t) => {
  const cwd = place(t)
  writeFileSync(join(cwd, 'other.toml'), 'certs = "elsewhere"\n')
  await ca(cwd, 'rotate', '--yes', '--config', 'other.toml')
  t.ok(existsSync(join(cwd, 'elsewhere', 'root.pem')))
  await ca(cwd, 'rotate', '--yes', '--certs', 'third')
  t.ok(existsSync(join(cwd, 'third', 'root.pem')))
  await run(['ca', 'rotate', '--yes'], { SALLYPORT_CERTS: 'fourth' }, cwd)
  t.ok(existsSync(join(cwd, 'fourth', 'root.pem')))
  t.match(await ca(cwd, 'show', '--config', 'none.toml'), { code: 1, err: /none\.toml/ })
})

t.test('wrong command lines end with 2, with the word that was meant', async (t) => {
  const cwd = place(t)
  for (const argv of [[], ['exprt'], ['export', '--format', 'p12'], ['export', '--format', 'der'], ['show', '--jsn'], ['show', 'extra']]) t.equal((await ca(cwd, ...argv)).code, 2, argv.join(' '))
  t.match((await ca(cwd, 'exprt')).err, /did you mean `export`/)
  t.match(await ca(cwd, '--help'), { code: 0, out: /^usage: sallyport ca show[^]*examples:/ })
})
