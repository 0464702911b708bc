// `sallyport run --isolate` with real namespaces: what is inside reaches the proxy, and nothing else. Skipped by name
// where this machine has no bubblewrap, or forbids it.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { tlsOrigin } from '../support/origins.ts'
import { plainHosts } from '../support/plain-world.ts'
import { startProxy } from '../support/proxy.ts'
import { inside, onTerminal, scriptCommand, skip } from './isolate-world.ts'
import { openRunWorld, put } from './run-world.ts'

t.test('curl, Node and Python reach what is allowed and are refused the rest, as the session', { skip }, async (t) => {
  const world = await openRunWorld(t)
  const { allowed } = world
  const python = spawnSync('python3', ['-c', '']).status === 0
  const url = `http://${allowed}/x`
  const clients: readonly (readonly string[])[] = [
    ['curl', '-sS', '-w', ' %{http_code}', url], ['curl', '-sS', '-o', '/dev/null', '-w', '%{http_code}', 'http://denied.test/'],
    [process.execPath, '-e', `fetch('${url}').then(async (r) => console.log(await r.text(), r.status))`], [process.execPath, '-e', "fetch('http://denied.test/').then((r) => console.log(r.status))"],
    ...(python ? [['python3', '-c', `import urllib.request as u; print(u.urlopen('${url}').read().decode(), 200)`], ['python3', '-c', "import urllib.request as u, urllib.error as e\ntry: u.urlopen('http://denied.test/')\nexcept e.HTTPError as x: print(x.code)"]] : []),
  ]
  const told: string[] = []
  for (const command of clients) {
    const { code, stdout, stderr } = await world.run(['--isolate', '--agent', 'codex', '--', ...command])
    t.equal(code, 0, stderr)
    told.push(stdout.trim())
  }
  t.strictSame(told, Array.from({ length: python ? 3 : 2 }, () => ['GET /x for you 200', '403']).flat())
  const ids = world.sessions('started').map(({ attributes }) => attributes['session.id'])
  t.strictSame(world.proxy.decisions().map(({ attributes }) => attributes['session.id']), ids, 'one request each')
  t.match(world.proxy.decisions()[0]?.attributes, { 'client.address': 'unix', 'gen_ai.agent.name': 'codex', 'sallyport.advisory': true })
  await world.over()
  t.notOk(existsSync(join(world.proxy.dir, 'var/run', String(ids[0]))))
})

t.test('https goes through the bridge as it is', { skip }, async (t) => {
  const secure = await tlsOrigin(t, ['allowed.test'])
  const world = await openRunWorld(t, { policy: `[network]\n[[network.rules]]\nid = "a"\nhosts = ["allowed.test:${secure.port}"]\nlocal = ["127.0.0.1/32"]\nverdict = "allow"\n` })
  const ca = put(join(world.work, 'ca.pem'), secure.ca)
  const { stdout, stderr } = await world.run(['--isolate', '--', 'curl', '-sS', '--cacert', ca, `https://allowed.test:${secure.port}/tls`])
  t.equal(stdout, 'GET /tls\n', stderr)
})

t.test('no connection, no name and no datagram gets out but through the proxy', { skip }, async (t) => {
  const world = await openRunWorld(t)
  const got = await inside<Readonly<Record<string, string | readonly string[]>>>(world, `return {
    origin: await connect({ host: '127.0.0.1', port: ${world.origin.port} }), proxy: await connect({ host: '127.0.0.1', port: ${world.proxy.port} }),
    v4: await connect({ host: '192.0.2.1', port: 443 }), v6: await connect({ host: '2001:db8::1', port: 443 }), metadata: await connect({ host: '169.254.169.254', port: 80 }),
    name: await new Promise((resolve) => dns.lookup('allowed.test', (error) => resolve(error?.code ?? 'ok'))),
    query: await dns.promises.resolve4('example.com').then(() => 'ok', (error) => error.code),
    datagram: await new Promise((resolve) => dgram.createSocket('udp4').send('x', 53, '192.0.2.1', (error) => resolve(error?.code ?? 'ok'))),
    interfaces: Object.keys(require('node:os').networkInterfaces()), servers: fs.readFileSync('/etc/resolv.conf', 'utf8'), bridge: await connect({ host: '127.0.0.1', port: 3128 }),
  }`)
  t.match(got, { v4: 'ENETUNREACH', v6: 'ENETUNREACH', metadata: 'ENETUNREACH', origin: 'ECONNREFUSED', proxy: 'ECONNREFUSED', datagram: 'ENETUNREACH', interfaces: ['lo'], servers: '', bridge: 'ok' })
  t.match([got['name'], got['query']], [/^(?:EAI_AGAIN|ENOTFOUND)$/, /^E(?:CONNREFUSED|SERVFAIL|AI_AGAIN|NODATA)$/])
})

t.test('sockets of other programs are not reached, wherever they are', { skip }, async (t) => {
  const world = await openRunWorld(t)
  const outside = [join(world.work, 'dev.sock'), join(world.home, 'agent.sock'), join(tmpdir(), `sallyport-x${process.pid}.sock`), `\0sallyport-abstract-${process.pid}`]
  for (const path of outside) {
    const server = createServer((socket) => socket.end('reached')).listen({ path })
    await once(server, 'listening')
    t.teardown(() => server.close())
  }
  const more = { env: { SSH_AUTH_SOCK: outside[1] ?? '', DBUS_SESSION_BUS_ADDRESS: 'unix:path=/run/user/0/bus', DOCKER_HOST: 'unix:///var/run/docker.sock' } }
  const got = await inside<readonly unknown[]>(world, `return [...(await Promise.all(${JSON.stringify(outside)}.map((path) => connect({ path })))), look('/run/user'), look('/run/dbus'), attempt(() => fs.statSync('/var/run/docker.sock')), process.env.SSH_AUTH_SOCK ?? 'none']`, [], more)
  t.strictSame(got.slice(0, 4).map((code) => code !== 'ok'), [true, true, true, true], got.join(' '))
  t.strictSame(got.slice(4), ['ENOENT', 'ENOENT', 'ENOENT', 'none'])
})

t.test('a socket that was opened by a relative path is covered like any other', { skip }, async (t) => {
  const world = await openRunWorld(t)
  const program = spawn(process.execPath, ['-e', "require('node:net').createServer((socket) => socket.on('error', () => socket.destroy()).end()).listen('near.sock', () => console.log('ready'))"], { cwd: world.work, stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => void program.kill('SIGKILL'))
  await once(program.stdout, 'data')
  const got = await inside<string>(world, `return await connect({ path: ${JSON.stringify(join(world.work, 'near.sock'))} })`)
  t.not(got, 'ok')
})

t.test('processes outside are neither seen nor signalled nor entered, and descriptors are not handed on', { skip }, async (t) => {
  const world = await openRunWorld(t)
  const secret = put(join(world.dir, 'secret'), 'secret text')
  const script = `return {
    pids: fs.readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name)).map(Number), signal: attempt(() => process.kill(${process.pid}, 0)), root: look('/proc/${process.pid}/root'),
    descriptors: fs.readdirSync('/proc/self/fd').map((fd) => attempt(() => { if (fs.readlinkSync('/proc/self/fd/' + fd).includes('secret')) throw new Error('secret') })),
  }`
  const child = spawn('bash', ['-c', 'exec 3<"$0" 9<"$0" 200<"$0"; exec "$@"', secret, process.execPath, join(import.meta.dirname, '../../bin/sallyport.js'), 'run', '--data', join(world.proxy.dir, 'var'), '--isolate', '--', ...scriptCommand(script)], { cwd: world.work, env: world.env })
  let stdout = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  await once(child, 'close')
  const got = JSON.parse(stdout) as { readonly pids: readonly number[]; readonly signal: string; readonly root: string; readonly descriptors: readonly string[] }
  t.ok(got.pids.length < 10 && got.pids.every((pid) => pid < 100), got.pids.join(' '))
  t.match(got, { signal: 'ESRCH', root: 'ENOENT' })
  t.notOk(got.descriptors.includes('secret'))
})

t.test('the switches of the kernel are not to be written, whoever this user is', { skip }, async (t) => {
  const world = await openRunWorld(t)
  const switches = ['/proc/sys/kernel/core_pattern', '/proc/sys/kernel/hostname', '/proc/sys/vm/drop_caches', '/proc/sysrq-trigger', '/proc/mtrr']
  const existing = switches.filter((path) => existsSync(path))
  const got = await inside<readonly string[]>(world, `return ${JSON.stringify(existing)}.map((path) => attempt(() => fs.closeSync(fs.openSync(path, 'r+'))))`)
  for (const [at, path] of existing.entries()) t.match(got[at], /^(?:EROFS|EACCES|EPERM)$/, path)
})

t.test('exit codes, signals and streams are the command\'s', { skip }, async (t) => {
  const world = await openRunWorld(t)
  for (const [argv, code] of [[['sh', '-c', 'exit 42'], 42], [['sh', '-c', 'kill -TERM $$'], 143], [['no-such-command'], 127], [['/etc/passwd'], 126]] as const) {
    const ran = await world.run(['--isolate', '--', ...argv])
    t.equal(ran.code, code, argv.join(' '))
    t.equal(ran.stdout, '')
  }
  const { child, said, ended } = world.start(['--isolate', '--quiet', '--', process.execPath, '-e', 'for (const s of ["SIGINT", "SIGHUP", "SIGTERM"]) process.on(s, () => { console.log(s); if (s === "SIGTERM") process.exit(5) }); console.log("ready"); process.stdin.on("data", (d) => console.log("in " + d))'])
  await said('ready')
  child.stdin.write('hello')
  await said('in hello')
  for (const signal of ['SIGINT', 'SIGHUP'] as const) {
    child.kill(signal)
    await said(signal)
  }
  child.kill('SIGTERM')
  t.strictSame(await ended, { code: 5, stdout: 'ready\nin hello\nSIGINT\nSIGHUP\nSIGTERM\n', stderr: '' })
  await world.over()
})

t.test('who kills `run` kills the command, and what it left behind', { skip }, async (t) => {
  const world = await openRunWorld(t)
  const mark = `marked-${process.pid}-${Date.now()}`
  const { child, said, ended } = world.start(['--isolate', '--', 'sh', '-c', `sleep 1000.${process.pid} & exec ${process.execPath} -e 'console.log("ready"); setInterval(() => {}, 1000)' ${mark}`])
  await said('ready')
  t.ok(isRunning(mark))
  child.kill('SIGKILL')
  t.equal((await ended).code, 'SIGKILL')
  while (isRunning(mark) || isRunning(`1000.${process.pid}`)) await new Promise((resolve) => setTimeout(resolve, 20))
  await world.over()
  const { stdout } = await world.run(['--isolate', '--', 'sh', '-c', `sleep 2000.${process.pid} & echo left`])
  t.equal(stdout, 'left\n')
  while (isRunning(`2000.${process.pid}`)) await new Promise((resolve) => setTimeout(resolve, 20))
})

/** Whether a process outside has this among its arguments. */
function isRunning(argument: string): boolean {
  return readdirSync('/proc').some((name) => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return false
    try {
      const words = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0')
      return words[0] !== '' && words.includes(argument)
    } catch (error) {
      if (error instanceof Error && 'code' in error) return false
      throw error
    }
  })
}

t.test('two commands in isolation do not reach each other', { skip }, async (t) => {
  const world = await openRunWorld(t)
  const serve = 'const net = require("node:net"); let n = 0; const up = () => { if (++n === 3) console.log("ready") }; net.createServer((s) => s.end()).listen(4321, "0.0.0.0", up); net.createServer((s) => s.end()).listen("\\0sallyport-one", up); net.createServer((s) => s.end()).listen("/tmp/one.sock", up)'
  const one = world.start(['--isolate', '--', process.execPath, '-e', serve])
  await one.said('ready')
  const got = await inside<readonly string[]>(world, `return Promise.all([{ host: '127.0.0.1', port: 4321 }, { path: '\\0sallyport-one' }, { path: '/tmp/one.sock' }].map(connect)).then((codes) => [...codes, String(fs.readdirSync('/run/sallyport/session'))])`)
  t.strictSame(got, ['ECONNREFUSED', 'ECONNREFUSED', 'ENOENT', 'proxy.sock'])
  one.child.kill('SIGTERM')
  await one.ended
})

t.test('the terminal is the command\'s, and it types nothing into it', { skip: skip || (spawnSync('python3', ['-c', '']).status === 0 ? false : 'python3 is not on this machine') }, async (t) => {
  const world = await openRunWorld(t)
  const agent = put(join(world.work, 'agent.py'), `
import fcntl, os, signal, socket, termios, time
def injected():
    try:
        fcntl.ioctl(0, termios.TIOCSTI, b'x')
        return 'typed'
    except OSError as error:
        return 'refused'
def family(number):
    try:
        socket.socket(number, socket.SOCK_STREAM)
        return 'open'
    except OSError as error:
        return str(error.errno)
count = 0
def interrupted(*_):
    global count
    count += 1
signal.signal(signal.SIGINT, interrupted)
print(os.isatty(0), os.ttyname(0) is not None, injected(), family(40), family(38), 'ready', flush=True)
while count == 0:
    time.sleep(0.02)
time.sleep(0.3)
print('interrupts', count)
`)
  t.match(await onTerminal(world, ['--isolate', '--', 'python3', agent]), /True True refused 97 97 ready[^]*interrupts 1/)
})

t.test('a proxy that is started again is found again by what is inside', { skip }, async (t) => {
  const world = await openRunWorld(t)
  const script = `process.stdin.setEncoding('utf8'); process.stdin.on('data', () => fetch('http://${world.allowed}/').then((r) => console.log('status ' + r.status), (e) => console.log('none'))); console.log('ready')`
  const { child, said, ended } = world.start(['--isolate', '--', process.execPath, '-e', script])
  await said('ready')
  child.stdin.write('1')
  await said('status 200')
  await world.proxy.stop()
  child.stdin.write('2')
  await said('none')
  await startProxy(t, { policy: readFileSync(world.proxy.policyFile, 'utf8'), hosts: plainHosts, flags: { data: join(world.proxy.dir, 'var') } })
  child.stdin.write('3')
  await said('none\nstatus 200')
  child.stdin.end()
  child.kill('SIGTERM')
  t.match(await ended, { stderr: /has ended; nothing was refused/ })
})

t.test('nothing is started where the isolation cannot be made', { skip }, async (t) => {
  const world = await openRunWorld(t)
  const { code, stdout, stderr } = await world.run(['--isolate', '--', 'sh', '-c', 'echo started'], { bare: true })
  t.equal(code, 1)
  t.equal(stdout, '')
  t.match(stderr, /no sallyport is running/)
})

t.test('doctor finds no way out inside but the proxy, and many outside', { skip }, async (t) => {
  const world = await openRunWorld(t)
  const bin = join(import.meta.dirname, '../../bin/sallyport.js')
  const probes = ['--probe-host', world.allowed, '--probe-address', `127.0.0.1:${world.origin.port},[::1]:1,192.0.2.1:443`, '--probe-dns', '127.0.0.1', '--data', join(world.proxy.dir, 'var'), '--json']
  const doctor = async (argv: readonly string[]) => {
    const { code, stdout, stderr } = await world.run([...argv, '--', process.execPath, bin, 'doctor', ...probes])
    t.ok(stdout.startsWith('{'), stderr)
    const { checks, ...rest } = JSON.parse(stdout) as { readonly checks: readonly { readonly name: string; readonly status: string; readonly detail: string }[] }
    return { code, ...rest, status: Object.fromEntries(checks.map(({ name, status }) => [name, status])), detail: checks.find(({ name }) => name === 'proxy')?.detail }
  }
  const found = await doctor(['--isolate'])
  t.match(found, { code: 0, ok: true, enforced: true, place: 'agent', proxy: 'http://127.0.0.1:3128', detail: / gets out to / })
  for (const name of ['direct_tcp', 'direct_ipv6', 'dns_udp', 'dns_tcp', 'dns_system', 'control_socket', 'engine_sockets', 'proxy', 'proxy_variables', 'no_proxy']) t.equal(found.status[name], 'ok', name)
  const open = await doctor([])
  t.match(open, { enforced: false, place: 'proxy', status: { direct_tcp: 'warn', control_socket: 'warn' } })
})
