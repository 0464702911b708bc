import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import { createServer as createNetServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { ControlClient } from '../../src/cli/control-client.ts'
import { ControlFault } from '../../src/cli/control-fault.ts'
import { StreamLines } from '../../src/cli/event-lines.ts'
import * as fc from '../support/property.ts'
import { run } from './control-run.ts'
import { approval, fakeControl, ids } from './fake-control.ts'

/** A folder with a path that is short enough for sockets. */
function shortFolder(t: { teardown(end: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

const list = ['approvals', 'list'] as const

t.test('without a proxy the folder is named, as it was written', async (t) => {
  const cwd = shortFolder(t)
  mkdirSync(join(cwd, 'var'))
  writeFileSync(join(cwd, 'file'), '')
  t.match(await run([...list], {}, cwd), { code: 1, out: '', err: 'sallyport approvals list: no sallyport is running with data folder `var` (no `var/control.sock`): start one, or name another with --data\n' })
  t.match(await run([...list, '--data', 'other'], {}, cwd), { code: 1, err: /data folder `other`/ })
  t.match(await run([...list, '--data', 'file'], {}, cwd), { code: 1, err: /no sallyport is running/ })
  t.match(await run([...list], { SALLYPORT_DATA: join(cwd, 'var') }, cwd), { code: 1, err: /no `var\/control\.sock`/ })
})

t.test('a socket that nobody listens on any more is told apart', async (t) => {
  const left = createNetServer()
  const folder = shortFolder(t)
  left.listen(join(folder, 's'))
  await once(left, 'listening')
  renameSync(join(folder, 's'), join(folder, 'control.sock'))
  left.close()
  t.match(await run([...list, '--data', folder]), { code: 1, err: /left from one that ended/ })
})

t.test('a folder of another user is said to be one', { skip: process.getuid?.() === 0 ? 'root may open every folder' : false }, async (t) => {
  const folder = shortFolder(t)
  mkdirSync(join(folder, 'closed'))
  chmodSync(join(folder, 'closed'), 0)
  t.match(await run([...list, '--data', join(folder, 'closed')]), { code: 1, err: /this user may not open/ })
})

t.test('a path that is too long for a socket is said to be', async (t) => {
  const folder = join(t.testdir({}), 'x'.repeat(120))
  mkdirSync(folder)
  writeFileSync(join(folder, 'control.sock'), '')
  t.match(await run([...list, '--data', folder]), { code: 1, err: /too long for a socket/ })
})

t.test('a remote listener is spoken to with the token of the variable, the file or the option', async (t) => {
  const control = await fakeControl(t, [approval(ids[0], 'lib.test')], { onPort: true, tokens: ['sp_good'] })
  const cwd = t.testdir({ token: 'sp_good\n', bad: 'sp_bad' })
  t.match(await run([...list, '--url', control.url], { SALLYPORT_TOKEN: 'sp_good' }), { code: 0, out: /lib\.test/ })
  t.match(await run([...list, '--url', control.url, '--token-file', 'token'], {}, cwd), { code: 0 })
  t.match(await run([...list, '--url', control.url, '--token', 'sp_good'], {}, cwd), { code: 0 })
  t.ok(control.seen.every(({ headers }) => headers.authorization === 'Bearer sp_good'))
  const refused = await run([...list, '--url', control.url, '--token-file', 'bad'], {}, cwd)
  t.match(refused, { code: 1, err: /the token is not valid here: it is wrong, expired or revoked/ })
  t.notMatch(refused.err, 'sp_bad')
  t.match(await run([...list, '--url', control.url]), { code: 1, err: /a token is needed here: give one with --token-file FILE or SALLYPORT_TOKEN/ })
})

t.test('no token is ever quoted', async (t) => {
  const secret = 'sp_very secret\u001b'
  const cwd = t.testdir({ token: secret })
  for (const argv of [['--token', secret], ['--token-file', 'token'], ['--url', 'http://u:sp_very@127.0.0.1:1'], ['--url', 'sp_very://x'], ['--token', 'sp_very', '--url', 'http://192.0.2.1:3129'], ['--token', 'sp_very', '--url', 'http://127.0.0.1:1']]) {
    const { code, out, err } = await run([...list, ...argv], {}, cwd)
    t.not(code, 0)
    t.notMatch(out + err, 'sp_very')
  }
  t.equal(process.title, 'sallyport', 'nor does it stay in the command line')
})

t.test('a token is not sent in the clear off this machine', async (t) => {
  t.match(await run([...list, '--url', 'http://sallyport.example:3129', '--token', 'sp_x']), { code: 2, err: /not sent in the clear to `sallyport\.example:3129`: use https/ })
})

t.test('options that exclude each other are refused', async (t) => {
  t.equal((await run([...list, '--url', 'http://127.0.0.1:1', '--data', 'x'])).code, 2)
  t.equal((await run([...list, '--token', 'a', '--token-file', 'b'])).code, 2)
  t.match(await run([...list, '--token-file', 'nowhere']), { code: 2, err: /`nowhere` cannot be read \(ENOENT\)/ })
})

t.test('refusals are one sentence with what to do', async (t) => {
  const control = await fakeControl(t, [approval(ids[0], 'lib.test')])
  t.match((await run([...list, '--data', control.data, '--token', 'viewer'])).err, 'sallyport approvals list: the role viewer may not do this: it takes another token; an admin makes one with `sallyport tokens create`\n')
  t.match((await run([...list, '--data', control.data, '--token', 'agent'])).err, /agents may not answer questions/)
})

/** A server that answers everything in one way. */
async function answering(t: { teardown(end: () => void): void }, answer: (response: ServerResponse) => void): Promise<ControlClient> {
  const server = createServer((_, response) => answer(response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const client = new ControlClient({ kind: 'url', url: new URL(`http://127.0.0.1:${typeof address === 'object' ? (address?.port ?? 0) : 0}`), token: undefined })
  t.teardown(() => {
    client.close()
    server.closeAllConnections()
    server.close()
  })
  return client
}

t.test('what is no control listener is recognised, and its text is escaped', async (t) => {
  const page = await answering(t, (response) => void response.end('<html>'))
  await t.rejects(page.call('GET', '/v1/grants'), { code: 'unexpected', message: /no JSON/ })
  const odd = await answering(t, (response) => void response.writeHead(418, { 'content-type': 'application/json' }).end(JSON.stringify({ code: 'odd', detail: 'a \u001b[2J b.', errors: [{ pointer: '/x', message: 'is wrong' }] })))
  await t.rejects(odd.call('GET', '/v1/grants'), { code: 'odd', status: 418, message: 'a \\x1b[2J b.; /x is wrong' })
  const moved = await answering(t, (response) => void response.writeHead(302, { location: 'http://192.0.2.1/' }).end())
  await t.rejects(moved.call('GET', '/v1/grants'), { message: /answered 302/ }, 'a redirect is not followed')
  const cut = await answering(t, (response) => void response.destroy())
  await t.rejects(cut.call('GET', '/v1/grants'), { code: 'cut', message: /was cut/ })
})

t.test('a call that is interrupted says so', async (t) => {
  const silent = await answering(t, () => undefined)
  const stop = new AbortController()
  const calling = silent.call('GET', '/v1/grants', { signal: stop.signal })
  stop.abort()
  await t.rejects(calling, new ControlFault('aborted', 'interrupted'))
})

t.test('a stream that is none is refused, and one that ends has ended', async (t) => {
  const nobody = (): void => undefined
  const signal = new AbortController().signal
  t.equal(await (await answering(t, (response) => void response.writeHead(404).end())).follow('/s', nobody, nobody, signal), 'refused')
  let events = 0
  let isOpen = false
  const some = await answering(t, (response) => void response.writeHead(200, { 'content-type': 'text/event-stream' }).end(': beat\n\nevent: approval\ndata: {}\n\ndata: {}\r\n\r\n'))
  t.equal(await some.follow('/s', () => { isOpen = true }, () => { events += 1 }, signal), 'ended')
  t.same([isOpen, events], [true, 2])
})

t.test('events are the same however their text is cut', async (t) => {
  const text = 'retry: 1\n\n: x\n\nevent: a\ndata: 1\n\nid: 3\r\ndata: 2\r\n\r\ndata\n\nnodata: x\n\n'
  fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: text.length })), (cuts) => {
    let events = 0
    const lines = new StreamLines(() => { events += 1 })
    const at = [0, ...cuts.toSorted((one, other) => one - other), text.length]
    for (const [index, from] of at.entries()) lines.take(text.slice(from, at[index + 1] ?? text.length))
    return events === 3
  }))
  t.pass()
})
