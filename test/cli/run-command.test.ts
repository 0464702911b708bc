// `sallyport run` as a process: what the command finds, what comes of its end, and that its session ends with it.
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { testCertificates } from '../support/certificates.ts'
import { run } from './control-run.ts'
import { fakeControl } from './fake-control.ts'
import { onTerminal } from './isolate-world.ts'
import { openRunWorld, put, type RunWorld } from './run-world.ts'

const sh = (script: string): readonly string[] => ['--', 'sh', '-c', script]
const node = (script: string): readonly string[] => ['--', process.execPath, '-e', script]

/** The environment of a command that was started with these options. */
async function environmentOf(world: RunWorld, argv: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Promise<Record<string, string>> {
  const { stdout } = await world.run([...argv, ...node('process.stdout.write(JSON.stringify(process.env))')], { env })
  return JSON.parse(stdout) as Record<string, string>
}

t.test('the command reaches the proxy by its variables, as a session of its own', async (t) => {
  const world = await openRunWorld(t)
  const { code, stdout, stderr } = await world.run(['--agent', 'codex', '--owner', 'ana', '--team', 'web', ...sh(`curl -sS http://${world.allowed}/one; curl -sS -o /dev/null -w '%{http_code}' http://denied.test/`)])
  t.equal(code, 0, stderr)
  t.equal(stdout, 'GET /one for you403', 'and nothing of ours is on stdout')
  const [id] = /\bs[a-z0-9]{12}\b/.exec(stderr) ?? []
  t.match(world.proxy.decisions().map(({ attributes }) => attributes), [{ 'session.id': id, 'gen_ai.agent.name': 'codex', 'user.name': 'ana', 'sallyport.team': 'web' }, { 'session.id': id }])
  t.match(stderr, new RegExp(`^sallyport run: session ${id}: agent codex, owner ana, team web, trusts the CA; \`sallyport approvals watch\` answers its questions\n`))
  t.match(stderr, new RegExp(`\nsallyport run: session ${id} has ended; 1 request refused: \`sallyport why\` says why\n$`))
  await world.over()
  t.equal(world.sessions('ended')[0]?.attributes['session.id'], id)
})

t.test('the agent is called as the command is, and the session is what the options say', async (t) => {
  const world = await openRunWorld(t)
  const script = put(join(world.work, 'my-agent.sh'), '#!/bin/sh\nexit 0\n')
  chmodSync(script, 0o755)
  t.equal((await world.run(['--unattended', '--ttl', '10m', '--', './my-agent.sh'])).code, 0)
  t.match(world.sessions('started')[0]?.attributes, { 'gen_ai.agent.name': 'my-agent', 'sallyport.session.unattended': true, 'sallyport.session.socket': false, 'sallyport.session.isolated': false })
})

t.test('it has the variables of every client, in both cases, and none that leads elsewhere', async (t) => {
  const world = await openRunWorld(t)
  const token = await world.control.createToken({ name: 'ana', role: 'admin' })
  const env = await environmentOf(world, [], {
    SALLYPORT_TOKEN: token, ALL_PROXY: 'socks5://elsewhere:1', all_proxy: 'socks5://elsewhere:1', Http_Proxy: 'http://elsewhere:1', NPM_CONFIG_PROXY: 'http://elsewhere:1', no_proxy: '*',
    JAVA_TOOL_OPTIONS: '-Xmx1g', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://otel.corp.example:4318', KEPT: 'yes',
  })
  const url = env['HTTPS_PROXY'] ?? ''
  t.match(url, new RegExp(`^http://s[a-z0-9]{12}:[\\w-]{43}@127\\.0\\.0\\.1:${world.proxy.port}$`))
  for (const name of ['HTTP_PROXY', 'https_proxy', 'http_proxy', 'WSS_PROXY', 'npm_config_proxy', 'npm_config_https_proxy', 'YARN_HTTPS_PROXY', 'PIP_PROXY', 'CARGO_HTTP_PROXY']) t.equal(env[name], url, name)
  t.equal(env['NO_PROXY'], 'localhost,127.0.0.1,::1,otel.corp.example')
  t.equal(env['no_proxy'], env['NO_PROXY'])
  t.match(env, { NODE_USE_ENV_PROXY: '1', GIT_HTTP_PROXY_AUTHMETHOD: 'basic', KEPT: 'yes', JAVA_TOOL_OPTIONS: /^-Xmx1g -Dhttp\.proxyHost=127\.0\.0\.1 / })
  for (const name of ['SALLYPORT_TOKEN', 'ALL_PROXY', 'all_proxy', 'Http_Proxy', 'NPM_CONFIG_PROXY']) t.notOk(name in env, name)
  t.notMatch(JSON.stringify(env), new RegExp(`elsewhere|${token}`))
})

t.test('--env-only leaves a short list of harmless variables, and those it names', async (t) => {
  const world = await openRunWorld(t)
  const secrets = { AWS_SECRET_ACCESS_KEY: 'a', GITHUB_TOKEN: 'b', OTHER: 'c', LC_ALL: 'C' }
  const bare = await environmentOf(world, ['--env-only', ''], secrets)
  for (const name of Object.keys(secrets)) t.equal(name in bare, name === 'LC_ALL', name)
  t.match(bare, { HOME: world.home, HTTPS_PROXY: /^http:/ })
  const some = await environmentOf(world, ['--env-only', 'GITHUB_TOKEN,MISSING', '--env-only', 'OTHER', '--env-only', 'SALLYPORT_TOKEN'], { ...secrets, SALLYPORT_TOKEN: await world.control.createToken({ name: 'ana', role: 'admin' }) })
  t.match(some, { GITHUB_TOKEN: 'b', OTHER: 'c' })
  for (const name of ['AWS_SECRET_ACCESS_KEY', 'MISSING', 'SALLYPORT_TOKEN']) t.notOk(name in some, name)
})

t.test('the exit code is the command\'s', async (t) => {
  const world = await openRunWorld(t)
  for (const [argv, code] of [[sh('exit 0'), 0], [sh('exit 42'), 42], [sh('kill -TERM $$'), 143], [sh('kill -KILL $$'), 137], [['--', 'no-such-command'], 127], [['--', './work-file'], 126]] as const) {
    put(join(world.work, 'work-file'))
    const ran = await world.run(argv)
    t.equal(ran.code, code, argv.join(' '))
    t.equal(ran.stdout, '')
  }
  await world.over()
  t.equal(world.sessions('ended').length, 6)
})

t.test('a signal that is sent to it is sent on, and the command decides what comes of it', async (t) => {
  const world = await openRunWorld(t)
  const script = 'for (const s of ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR2", "SIGWINCH"]) process.on(s, () => { console.log(s); if (s === "SIGTERM") process.exit(5) }); console.log("ready"); setInterval(() => {}, 1000)'
  const { child, said, ended } = world.start(node(script))
  await said('ready')
  for (const signal of ['SIGINT', 'SIGHUP', 'SIGUSR2', 'SIGWINCH'] as const) {
    child.kill(signal)
    await said(signal)
  }
  child.kill('SIGTERM')
  const { code, stdout } = await ended
  t.equal(code, 5)
  t.equal(stdout, 'ready\nSIGINT\nSIGHUP\nSIGUSR2\nSIGWINCH\nSIGTERM\n')
  await world.over()
})

t.test('one that ends the command is in the exit code, and the session ends', async (t) => {
  const world = await openRunWorld(t)
  const { child, said, ended } = world.start(sh('echo ready; exec sleep 60'))
  await said('ready')
  child.kill('SIGTERM')
  t.equal((await ended).code, 143)
  await world.over()
})

t.test('who kills it leaves no session behind', async (t) => {
  const world = await openRunWorld(t)
  const { child, said, ended } = world.start(sh('echo ready; exec sleep 20'))
  await said('ready')
  child.kill('SIGKILL')
  await world.over()
  t.equal(world.sessions('ended').length, 1)
  child.stdout.destroy()
  child.stderr.destroy()
  t.equal((await ended).code, 'SIGKILL')
})

t.test('--quiet says nothing, --json one object, and both only on stderr', async (t) => {
  const world = await openRunWorld(t)
  t.strictSame(await world.run(['--quiet', ...sh('echo out; echo err >&2; exit 3')]), { code: 3, stdout: 'out\n', stderr: 'err\n' })
  const { stdout, stderr } = await world.run(['--json', '--agent', 'ci', ...sh('curl -s http://denied.test/ >/dev/null; kill -INT $$')])
  t.equal(stdout, '')
  t.match(JSON.parse(stderr), { session: /^s[a-z0-9]{12}$/, agent: 'ci', exit_code: 130, signal: 'SIGINT', refused: 1, isolated: false, ended: true, duration_ms: Number })
})

t.test('what was ended while the command ran is said, and changes no exit code', async (t) => {
  const world = await openRunWorld(t)
  const { child, said, ended } = world.start(sh('echo ready; read line; exit 4'))
  await said('ready')
  await world.control.endSession(String(world.sessions('started')[0]?.attributes['session.id']))
  child.stdin.end('\n')
  const { code, stderr } = await ended
  t.equal(code, 4)
  t.match(stderr, /could not be ended \(there is no such session/)
})

t.test('without a proxy nothing is started, and it says what to start', async (t) => {
  const world = await openRunWorld(t)
  const { code, stdout, stderr } = await world.run(sh('echo started'), { bare: true })
  t.equal(code, 1)
  t.equal(stdout, '')
  t.match(stderr, /no sallyport is running with data folder `var`[^]*sallyport start/)
})

t.test('a command line that is wrong is told apart from everything else', async (t) => {
  const control = await fakeControl(t)
  for (const [argv, says] of [
    [[], /a command is needed, behind `--`/],
    [['codex'], /put `--` before the command: sallyport run \[OPTIONS\] -- codex/],
    [['--hold', '4', '--', 'x'], /neither auto nor a time/],
    [['--env-only', 'A-B', '--', 'x'], /is no name of a variable/],
    [['--workspace', '.', '--', 'x'], /of use with --isolate only/],
    [['--isolate', '--read-only', '--workspace', '.', '--', 'x'], /not both/],
    [['--isolated', '--', 'x'], /there is no option `--isolated`, did you mean `--isolate`/],
  ] as const) {
    const { code, err } = await run(['run', '--data', control.data, ...argv])
    t.equal(code, 2, argv.join(' '))
    t.match(err, says)
  }
  t.strictSame(control.seen, [])
})

t.test('a name that the proxy does not take is its answer, and nothing is started', async (t) => {
  const world = await openRunWorld(t)
  t.match(await world.run(['--agent', ' x', ...sh('echo started')]), { code: 1, stdout: '', stderr: /agent/ })
})

t.test('--print-env prints lines for a shell, starts nothing and says that there are no credentials', async (t) => {
  const world = await openRunWorld(t)
  const { code, stdout, stderr } = await world.run(['--print-env'], { env: { SALLYPORT_LISTEN: '127.0.0.1:4128', JAVA_TOOL_OPTIONS: "-Da='b c'" } })
  t.equal(code, 0)
  t.match(stderr, /no session was made/)
  t.equal(world.sessions('started').length, 0)
  const shell = spawnSync('sh', ['-c', 'eval "$1"; printf "%s|" "$HTTPS_PROXY" "$https_proxy" "$NO_PROXY" "$JAVA_TOOL_OPTIONS"', 'sh', stdout], { encoding: 'utf8', env: {} })
  t.match(shell.stdout, /^http:\/\/127\.0\.0\.1:4128\|http:\/\/127\.0\.0\.1:4128\|localhost,127\.0\.0\.1,::1\|-Da='b c' -Dhttp\.proxyHost=/)
  t.match(await world.run(['--print-env'], { env: { SALLYPORT_LISTEN: '127.0.0.1:0' } }), { code: 1, stdout: '', stderr: /sessions create/ })
})

t.test('the command trusts the root of the proxy, and what it trusted before', async (t) => {
  const world = await openRunWorld(t)
  const corporate = await testCertificates()
  const own = put(join(world.dir, 'corp.pem'), `${corporate.ca}\n-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n`)
  const script = 'const { readFileSync } = require("node:fs"); console.log(JSON.stringify(Object.fromEntries(["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "DENO_CERT", "GIT_SSL_CAINFO"].map((name) => [name, [process.env[name], readFileSync(process.env[name], "utf8")]]))))'
  const { stdout } = await world.run(node(script), { env: { REQUESTS_CA_BUNDLE: own, NODE_EXTRA_CA_CERTS: own, CURL_CA_BUNDLE: '/nowhere.pem' } })
  const files = JSON.parse(stdout) as Record<string, readonly [string, string]>
  const [root, corp] = [readFileSync(join(world.proxy.dir, 'certs', 'root.pem'), 'utf8'), corporate.ca].map((pem) => pem.trim().split('\n').at(-2) ?? '')
  const holds = (name: string): readonly boolean[] => [root, corp].map((line = '-') => (files[name]?.[1] ?? '').includes(line))
  const count = (name: string): number => (files[name]?.[1].match(/BEGIN CERTIFICATE/g) ?? []).length
  t.strictSame([holds('SSL_CERT_FILE'), count('SSL_CERT_FILE') > 50], [[true, false], true], 'the system\'s roots and ours')
  t.strictSame([holds('DENO_CERT'), count('DENO_CERT')], [[true, false], 1], 'ours alone, where it is added')
  for (const name of ['REQUESTS_CA_BUNDLE', 'NODE_EXTRA_CA_CERTS']) t.strictSame([holds(name), count(name)], [[true, true], 2], `what ${name} named, and ours`)
  t.equal(files['GIT_SSL_CAINFO']?.[0], files['SSL_CERT_FILE']?.[0])
  t.notMatch(stdout, /PRIVATE KEY/)
  t.notOk(existsSync(files['SSL_CERT_FILE']?.[0] ?? ''), 'and they are gone with the command')
  t.match(world.sessions('started')[0]?.attributes, { 'sallyport.session.trusts_ca': true })
})

t.test('--web-fetch makes a session that reads the web', async (t) => {
  const world = await openRunWorld(t)
  t.match(await world.run(['--web-fetch', ...sh('exit 3')]), { code: 3, stderr: /trusts the CA, reads the web, and nothing else/ })
  t.match(world.sessions('started')[0]?.attributes, { 'sallyport.session.web_fetch': true, 'sallyport.session.trusts_ca': true })
})

t.test('--web-fetch starts nothing where the root cannot be used: what it reads is seen inside TLS only', async (t) => {
  const world = await openRunWorld(t)
  put(join(world.proxy.dir, 'certs', 'root.pem'))
  t.match(await world.run(['--web-fetch', ...sh('echo started')]), { code: 1, stdout: '', stderr: /nothing was started, for what --web-fetch reads is seen inside TLS only: the root cannot be used/ })
  t.strictSame(world.sessions('started'), [])
})

t.test('where the root cannot be used and no rule looks inside TLS, the command is started without it', async (t) => {
  const world = await openRunWorld(t)
  const cert = put(join(world.proxy.dir, 'certs', 'root.pem'))
  const { code, stdout, stderr } = await world.run(sh(`curl -sS http://${world.allowed}/one; echo " \${SSL_CERT_FILE-none}"`))
  t.equal(code, 0, stderr)
  t.equal(stdout, 'GET /one for you none\n')
  t.ok(stderr.startsWith(`sallyport run: warning: the root cannot be used: ${cert} is there without ${join(world.proxy.dir, 'certs', 'root-key.pem')}: restore the key from a copy, or make a new root with \`sallyport ca rotate\`. No rule looks inside TLS now, `), stderr)
  t.equal(stderr.match(/warning/g)?.length, 1)
  t.notMatch(stderr, /trusts the CA/)
  t.match(world.sessions('started').map(({ attributes }) => attributes['sallyport.session.trusts_ca']), [false])
  t.match(await world.run(['--quiet', ...sh('exit 4')]), { code: 4, stderr: /^sallyport run: warning: .*\n$/ }, 'what is wrong is said all the same')
})

t.test('where a rule looks inside TLS, a root that cannot be used starts nothing, and what to do is said', async (t) => {
  const world = await openRunWorld(t, { policy: '[[network.rules]]\nid = "read"\nhosts = ["a.test"]\nmethods = ["GET"]\nverdict = "allow"\n' })
  const [cert, key] = ['root.pem', 'root-key.pem'].map((name) => put(join(world.proxy.dir, 'certs', name), 'no certificate\n'))
  chmodSync(key ?? '', 0o644)
  const begins = `sallyport run: nothing was started, for rules of the policy look inside TLS: the root cannot be used: `
  const open = await world.run(sh('echo started'))
  t.match(open, { code: 1, stdout: '' })
  t.ok(open.stderr.startsWith(`${begins}${key}: other users may open it (mode 0644); \`chmod 600 ${key}\`, and if `), open.stderr)
  chmodSync(key ?? '', 0o600)
  const empty = await world.run(sh('echo started'))
  t.match(empty, { code: 1, stdout: '' })
  t.ok(empty.stderr.startsWith(`${begins}${cert}: holds no certificate; `) && empty.stderr.endsWith('; or make a new root with `sallyport ca rotate`, where the proxy was started\n'), empty.stderr)
  t.strictSame(world.sessions('started'), [])
})

t.test('what is typed on a terminal reaches the command once', { skip: hasPython() ? false : 'python3 is not on this machine' }, async (t) => {
  const world = await openRunWorld(t)
  const agent = put(join(world.work, 'agent.js'), 'let n = 0; process.on("SIGINT", () => { n += 1; setTimeout(() => { console.log("interrupts " + n); process.exit(6) }, 300) }); console.log("ready " + process.stdin.isTTY); setInterval(() => {}, 1000)')
  t.match(await onTerminal(world, ['--', process.execPath, agent]), /ready true[^]*interrupts 1[^]*status 6/)
})

function hasPython(): boolean {
  return spawnSync('python3', ['-c', ''], { env: { PATH: process.env['PATH'] ?? '' } }).status === 0
}

t.test('the command has our input, and its output is not touched', async (t) => {
  const world = await openRunWorld(t)
  const { child, ended } = world.start(['--', 'cat'])
  const bytes = 'line\n\u0000\u001b[31m'.repeat(10_000)
  child.stdin.end(bytes)
  const { code, stdout } = await ended
  t.equal(code, 0)
  t.equal(stdout, bytes)
})
