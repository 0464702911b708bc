// What `sallyport run --isolate` shows of the file system: the proxy's own is in no view of it. Skipped by name where
// this machine has no bubblewrap, or forbids it.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t from 'tap'
import { testCertificates } from '../support/certificates.ts'
import { inside, skip } from './isolate-world.ts'
import { openRunWorld, put } from './run-world.ts'

t.test('the proxy\'s own files are not there, though the command works in the folder that holds them', { skip }, async (t) => {
  const world = await openRunWorld(t, { before: async (dataDir) => void put(join(dirname(dataDir), 'sallyport.toml'), '# settings') })
  const { dir } = world.proxy
  symlinkSync(join(dir, 'var'), join(dir, 'link'))
  const more = { cwd: dir }
  const got = await inside<Readonly<Record<string, string>>>(world, `const d = ${JSON.stringify(dir)}; return {
    data: look(d + '/var'), link: look(d + '/link'), certs: look(d + '/certs'), policies: look(d + '/policies'), settings: fs.readFileSync(d + '/sallyport.toml', 'utf8') + 'empty',
    control: await connect({ path: d + '/var/control.sock' }), around: look(d), root: look('/proc/1/root' + d + '/var'), cwd: look('/proc/self/cwd/var'),
    write: attempt(() => fs.writeFileSync(d + '/policies/99.toml', '[network]')), remove: attempt(() => fs.rmdirSync(d + '/policies')),
    move: attempt(() => fs.renameSync(d + '/policies', d + '/old')), moveAround: attempt(() => fs.renameSync(d, d + '-old')), settingsMove: attempt(() => fs.renameSync(d + '/sallyport.toml', d + '/x')),
  }`, [], more)
  t.strictSame(got, {
    data: 'empty', link: 'empty', certs: 'empty', policies: 'empty', settings: 'empty', control: 'ENOENT', around: 'ok', root: 'empty', cwd: 'empty',
    write: 'EROFS', remove: 'EBUSY', move: 'EBUSY', moveAround: 'EBUSY', settingsMove: 'EBUSY',
  })
  t.ok(readdirSync(join(dir, 'policies')).includes('10-test.toml'), 'and outside they are as they were')
  t.match(await world.run(['--isolate', '--', 'true'], { cwd: join(dir, 'var') }), { code: 1, stderr: /is the proxy's own/ })
  t.match(await world.run(['--isolate', '--show', join(dir, 'var'), '--', 'true'], more), { code: 1, stderr: /is the proxy's own/ })
  await world.over()
})

t.test('a root that cannot be used and is not needed keeps nothing from isolation', { skip }, async (t) => {
  const world = await openRunWorld(t)
  put(join(world.proxy.dir, 'certs', 'root.pem'))
  const { code, stdout, stderr } = await world.run(['--isolate', '--workspace', world.proxy.dir, '--', 'sh', '-c', `curl -sS http://${world.allowed}/one; echo " \${SSL_CERT_FILE-none}"`])
  t.match({ code, stdout }, { code: 0, stdout: 'GET /one for you none\n' }, stderr)
  t.equal(stderr.match(/warning/g)?.length, 1, 'though there are two sessions, for nobody vouches for the first')
  t.strictSame(world.sessions('started').map(({ attributes }) => attributes['sallyport.session.trusts_ca']), [false, false])
})

t.test('folders that are only called like the proxy\'s are not hidden', { skip }, async (t) => {
  const world = await openRunWorld(t)
  for (const name of ['policies', 'var', 'certs']) put(join(world.work, name, 'mine'))
  t.strictSame(await inside(world, "return ['policies', 'var', 'certs'].map((name) => fs.readdirSync(name).join())"), ['mine', 'mine', 'mine'])
})

t.test('a link on the way to what is the proxy\'s, which the command could replace, is refused', { skip }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-link-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  mkdirSync(join(folder, 'real'))
  mkdirSync(join(folder, 'way'))
  symlinkSync(join(folder, 'real'), join(folder, 'way/certs'))
  const world = await openRunWorld(t, { flags: { certs: join(folder, 'way/certs') } })
  t.match(await world.run(['--isolate', '--workspace', join(folder, 'way'), '--', 'true']), { code: 1, stderr: /way\/certs` is a link on the way to what is the proxy's own/ })
  t.equal((await world.run(['--isolate', '--workspace', world.work, '--', 'true'])).code, 0, 'elsewhere it is what it is')
  t.equal((await world.run(['--isolate', '--read-only', '--', 'true'], { env: { XDG_RUNTIME_DIR: '/' } })).code, 0)
  await world.over()
})

t.test('what the settings and policies name elsewhere is hidden too, and a workspace that holds it is not vouched for', { skip }, async (t) => {
  const elsewhere = realpathSync(mkdtempSync(join(homedir(), '.sallyport-test-')))
  t.teardown(() => rmSync(elsewhere, { recursive: true }))
  const [secret, feed, roots] = [put(join(elsewhere, 'secret'), 'secret-of-a-credential'), put(join(elsewhere, 'feed.txt'), 'denied.example\n'), put(join(elsewhere, 'roots.pem'), (await testCertificates()).ca)]
  const policy = `[network]\ndenied_domains_files = [{ path = "${feed}" }]\n[[network.rules]]\nid = "r"\nhosts = ["roots.example"]\norigin_ca = ["${roots}"]\nverdict = "allow"\n`
  const world = await openRunWorld(t, {
    policy, change: (settings) => ({ ...settings, credentials: [{ name: 'c', source: { kind: 'file', path: secret }, hosts: ['api.example:443'], dummy: undefined, anyLayer: false }] }),
  })
  const files = [secret, feed, roots]
  const script = `return ${JSON.stringify(files)}.flatMap((path) => [attempt(() => { if (fs.readFileSync(path).length === 0) throw new Error('empty') }), attempt(() => fs.writeFileSync(path, 'mine')), attempt(() => fs.rmSync(path))])`
  const got = await inside<readonly string[]>(world, script)
  t.notOk(got.includes('ok'), got.join(' '))
  t.notOk((await inside<readonly string[]>(world, script, ['--workspace', elsewhere])).includes('ok'))
  t.strictSame(files.map((path) => readFileSync(path, 'utf8').slice(0, 6)), ['secret', 'denied', '-----B'])
  t.strictSame(world.sessions('started').map(({ attributes }) => attributes['sallyport.session.isolated']), [false, true, false], 'made anew, and nobody vouches')
})

t.test('a namespace of the command\'s own does not lift what is hidden', { skip }, async (t) => {
  const world = await openRunWorld(t)
  const script = `cd / && unshare -Urm sh -c 'umount -l "$0/var"; umount "$0/policies"; mount --bind "$0" /mnt; ls -A "$0/var" "$0/policies" /mnt/var; echo done' ${world.proxy.dir}`
  const { stdout } = await world.run(['--isolate', '--', 'sh', '-c', script], { cwd: world.proxy.dir })
  t.notMatch(stdout, /control\.sock|journal|10-test\.toml/)
  const more = await inside<readonly string[]>(world, `return fs.readFileSync('/proc/self/status', 'utf8').match(/^(?:CapEff|CapBnd|NoNewPrivs|Seccomp):\\s+\\S+/gm).map((line) => line.replace(/\\s+/, ' '))`)
  t.strictSame(more, ['CapEff: 0000000000000000', 'CapBnd: 0000000000000000', 'NoNewPrivs: 1', 'Seccomp: 2'])
})

t.test('credentials in the home folder are hidden unless they are asked for', { skip }, async (t) => {
  const world = await openRunWorld(t)
  for (const name of ['.ssh/id_ed25519', '.ssh/known_hosts', '.aws/credentials', '.netrc', '.config/gh/hosts.yml', '.codex/auth.json']) put(join(world.home, name), 'secret')
  const script = `return ['.ssh/id_ed25519', '.ssh/known_hosts', '.aws/credentials', '.netrc', '.config/gh/hosts.yml', '.codex/auth.json'].map((name) => attempt(() => { if (fs.readFileSync(process.env.HOME + '/' + name, 'utf8') !== 'secret') throw new Error('empty') }))`
  t.strictSame(await inside(world, script), ['ENOENT', 'ENOENT', 'ENOENT', 'empty', 'ENOENT', 'ok'])
  t.strictSame(await inside(world, script, ['--show', join(world.home, '.ssh/known_hosts'), '--show', join(world.home, '.netrc')]), ['ENOENT', 'ok', 'ENOENT', 'ok', 'ENOENT', 'ok'])
  t.strictSame(await inside(world, script, ['--allow-home']), ['ok', 'ok', 'ok', 'ok', 'ok', 'ok'])
})

t.test('with a workspace only that is written, with --read-only nothing, and such sessions are not advisory', { skip }, async (t) => {
  const elsewhere = mkdtempSync(join(tmpdir(), 'sallyport-certs-'))
  t.teardown(() => rmSync(elsewhere, { recursive: true }))
  const world = await openRunWorld(t, { flags: { certs: join(elsewhere, 'deep/certs') } })
  const [mine, other] = [join(world.dir, 'mine'), join(world.dir, 'other')]
  for (const folder of [mine, other]) mkdirSync(folder)
  const script = `await (await fetch('http://${world.allowed}/')).text()
    return [${JSON.stringify(mine)}, ${JSON.stringify(other)}, process.cwd(), process.env.HOME, '/etc', '/sys/kernel', '/tmp', '/run/sallyport'].map((folder) => attempt(() => fs.writeFileSync(folder + '/sallyport-new', '')))`
  const advisory = (): unknown => world.proxy.decisions().at(-1)?.attributes['sallyport.advisory']
  t.strictSame((await inside<readonly string[]>(world, script, ['--workspace', mine])).map((code) => code === 'ok'), [true, false, false, false, false, false, true, false])
  t.equal(advisory(), false)
  t.ok(existsSync(join(mine, 'sallyport-new')))
  t.notOk(existsSync('/tmp/sallyport-new'), '/tmp is the command\'s own')
  t.strictSame((await inside<readonly string[]>(world, script, ['--read-only'])).map((code) => code === 'ok'), [false, false, false, false, false, false, true, false])
  t.equal(advisory(), false)
  await inside(world, script, ['--workspace', mine, '--workspace', world.proxy.dir])
  t.equal(advisory(), true, 'the second folder is where the proxy has its own')
  await inside(world, script, ['--workspace', join(elsewhere, 'deep')])
  t.equal(advisory(), true, 'in it are the certificates')
  t.strictSame(world.sessions('started').map(({ attributes }) => attributes['sallyport.session.isolated']), [true, true, true, false, true, false], 'which only the proxy knew: there is a second session each, for which nobody vouches')
  t.match(await world.run(['--isolate', '--workspace', join(world.dir, 'nowhere'), '--', 'true']), { code: 1, stderr: /--workspace .*nowhere` cannot be used \(ENOENT\)/ })
  t.match(await world.run(['--isolate', '--workspace', put(join(world.dir, 'file')), '--', 'true']), { code: 1, stderr: /is no folder/ })
})

