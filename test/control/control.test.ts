// The two doors of the control API: where they open, who may open them, and what refuses to start.
import { chmodSync, existsSync, lstatSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { testCertificates } from '../support/certificates.ts'
import { call } from './caller.ts'
import { folderOf, openWorld, World } from './world.ts'

t.test('the URL names the port that was picked, and the socket is its owner\'s alone', async (t) => {
  const world = await openWorld(t)
  t.match(world.url, /^http:\/\/127\.0\.0\.1:[1-9]\d*$/)
  t.equal(world.socket, world.deps.socketPath)
  t.equal(statSync(world.socket).mode & 0o777, 0o600)
  t.equal(statSync(join(world.socket, '..')).mode & 0o777, 0o700)
})

t.test('the folder of the socket is closed to others although it was open before', async (t) => {
  const dir = folderOf(t)
  const folder = join(dir, 'run')
  mkdirSync(folder)
  chmodSync(folder, 0o755)
  const world = new World(dir)
  t.teardown(() => world.control.stop())
  await world.control.start()
  t.equal(statSync(folder).mode & 0o777, 0o700)
})

t.test('whoever may open the socket is an admin by the name of the user', async (t) => {
  const world = await openWorld(t)
  t.equal((await call(world.socket, '/v1/tokens')).status, 200)
  t.strictSame(world.called, ['GET /v1/tokens 200 root'])
  t.match(world.journaled[0]?.attributes, { 'sallyport.actor.kind': 'local', 'sallyport.actor.role': 'admin', 'client.address': 'local' })
})

t.test('credentials on the socket are what counts there', async (t) => {
  const world = await openWorld(t)
  t.equal((await call(world.socket, '/v1/tokens', { token: 'sp_viewer' })).status, 403)
  t.equal((await call(world.socket, '/v1/tokens', { token: 'sp_wrong' })).status, 401)
})

t.test('the socket of a dead process is replaced', async (t) => {
  const dir = folderOf(t)
  const world = new World(dir)
  const path = world.deps.socketPath
  mkdirSync(join(dir, 'run'), { mode: 0o700 })
  // a process that is killed leaves its socket behind
  const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
  t.equal(spawnSync(process.execPath, ['-e', script]).signal, 'SIGKILL')
  t.ok(lstatSync(path).isSocket())
  t.teardown(() => world.control.stop())
  await world.control.start()
  t.equal((await call(path, '/v1/policy')).status, 200)
})

t.test('a socket that somebody answers on is an error, and stays', async (t) => {
  const first = await openWorld(t)
  const second = new World(first.dir)
  await t.rejects(second.control.start(), { message: /another process answers on the control socket/ })
  t.equal((await call(first.socket, '/v1/policy')).status, 200)
})

t.test('what is no socket is left alone', async (t) => {
  const dir = folderOf(t)
  const world = new World(dir)
  mkdirSync(join(dir, 'run'))
  writeFileSync(world.deps.socketPath, 'precious')
  await t.rejects(world.control.start(), { message: /is no socket/ })
  t.ok(existsSync(world.deps.socketPath))
})

t.test('a path that no socket can have is told as such', async (t) => {
  const world = new World(folderOf(t), { socketPath: `/tmp/${'x'.repeat(120)}/control.sock` })
  await t.rejects(world.control.start(), { message: /longer than 103 bytes/ })
})

t.test('a port that is taken is the error of the system, and leaves no socket behind', async (t) => {
  const taken = createServer()
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
  t.teardown(() => taken.close())
  const address = taken.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const world = new World(folderOf(t), { listen: { host: '127.0.0.1', port } })
  await t.rejects(world.control.start(), { code: 'EADDRINUSE' })
  t.notOk(existsSync(world.deps.socketPath))
})

t.test('off loopback nothing starts without TLS, and the error says what to do', async (t) => {
  const world = new World(folderOf(t), { listen: { host: '0.0.0.0', port: 0 } })
  await t.rejects(world.control.start(), { message: /0\.0\.0\.0:0 is reachable from other machines and needs TLS/ })
  t.notOk(existsSync(world.deps.socketPath))
})

t.test('with a certificate it speaks TLS, and nothing else', async (t) => {
  const dir = folderOf(t)
  const certificates = await testCertificates()
  const { cert, key } = await certificates.issue(['127.0.0.1'])
  const tls = { certFile: join(dir, 'cert.pem'), keyFile: join(dir, 'key.pem') }
  writeFileSync(tls.certFile, cert)
  writeFileSync(tls.keyFile, key)
  const world = await openWorld(t, { tls, listen: { host: '0.0.0.0', port: 0 } })
  t.match(world.url, /^https:\/\/0\.0\.0\.0:/)
  const url = world.url.replace('0.0.0.0', '127.0.0.1')
  t.equal((await call(url, '/v1/policy', { token: 'sp_viewer', ca: certificates.ca })).status, 200)
  await t.rejects(call(url.replace('https:', 'http:'), '/v1/policy', { token: 'sp_viewer' }))
})

t.test('off, there is the socket alone', async (t) => {
  const world = await openWorld(t, { listen: 'off' })
  t.equal(world.url, 'off')
  t.equal((await call(world.socket, '/v1/policy')).status, 200)
})

t.test('stop closes both doors and takes the socket away', async (t) => {
  const world = await openWorld(t)
  await world.control.stop()
  await t.rejects(call(world.url, '/v1/policy'), { code: 'ECONNREFUSED' })
  t.notOk(existsSync(world.socket))
})
