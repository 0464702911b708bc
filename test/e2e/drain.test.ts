// Stopping: no new work, what is in flight finishes, idle connections go at once, and every exchange has
// its end in the journal.
import { once } from 'node:events'
import net from 'node:net'
import t from 'tap'
import { verifyJournal } from '../../src/audit/verify.ts'
import { join } from 'node:path'
import { rawOrigin } from '../support/origins.ts'
import { plainHosts, plainPolicy, request, startPlain } from '../support/plain-world.ts'
import { readJournal, startProxy } from '../support/proxy.ts'
import { openTunnel } from '../support/raw-client.ts'
import { ok, strictOrigin } from '../support/strict-origin.ts'
import { WireClient } from '../support/wire-client.ts'

t.test('what is in flight finishes, idle connections close, and new ones are refused', async (t) => {
  const gate = Promise.withResolvers<void>()
  const origin = await strictOrigin(t, (each, socket) => {
    if (each.target !== '/slow') return ok(each.target)
    void gate.promise.then(() => socket.write(ok('done')))
    return undefined
  })
  const proxy = await startPlain(t, origin.port)
  const idle = await WireClient.open(proxy.port)
  idle.send(request(origin.port, '/first'))
  await idle.answers(1)
  const busy = await WireClient.open(proxy.port)
  busy.send(request(origin.port, '/slow'))
  while (origin.requests.length < 2) await new Promise((resolve) => setTimeout(resolve, 5))
  const late = await WireClient.open(proxy.port)
  late.send('GET http://allowed.test')
  await new Promise((resolve) => setImmediate(resolve))
  let isStopped = false
  const stopped = proxy.stop(true).then(() => (isStopped = true))
  await idle.closed()
  const refused = net.connect({ host: '127.0.0.1', port: proxy.port })
  const [error] = await once(refused, 'error')
  t.equal(error.code, 'ECONNREFUSED', 'no new connection')
  t.notOk(isStopped, 'while one is in flight')
  t.equal(busy.received, '')
  // a request that comes on a connection from before is told to come back
  late.send(`:${origin.port}/late HTTP/1.1\r\nHost: allowed.test:${origin.port}\r\n\r\n`)
  t.ok(/^HTTP\/1\.1 503 [^]*"code":"draining"/.test(await late.closed()) || late.received === '', `refused: ${late.received.slice(0, 40)}`)
  gate.resolve()
  const [answer] = await busy.answers(1)
  t.equal(answer?.body, 'done')
  // the connection is kept alive by its client, and must not keep the process
  await busy.closed()
  await stopped
  t.notOk(origin.requests.some(({ target }) => target === '/late'))
})

t.test('patience ends: what is still open is cut, and has its end in the journal', async (t) => {
  const origin = await rawOrigin(t, (socket) => socket.on('end', () => socket.end()).resume())
  const proxy = await startProxy(t, {
    policy: `${plainPolicy(origin.port)}[[network.rules]]\nid = "raw"\nhosts = ["raw.test:${origin.port}"]\nlocal = ["127.0.0.1/32"]\nraw = "any"\nverdict = "allow"\n`,
    hosts: { ...plainHosts, 'raw.test': '127.0.0.1' },
    change: (settings) => ({ ...settings, limits: { ...settings.limits, drainMs: 200 } }),
  })
  const tunnels = await Promise.all(Array.from({ length: 5 }, () => openTunnel(proxy.port, `raw.test:${origin.port}`)))
  for (const { socket } of tunnels) socket.on('error', () => socket.destroy()).on('end', () => socket.end()).resume()
  const waiting = await WireClient.open(proxy.port)
  waiting.send(request(origin.port, '/never'))
  await proxy.recorded((record) => record.attributes['url.path'] === '/never')
  await proxy.stop(true)
  const records = readJournal(join(proxy.dir, 'var', 'journal'))
  const ends = records.filter(({ name }) => name === 'sallyport.exchange.ended')
  t.equal(ends.length, 6, 'one for each')
  t.equal(ends.filter(({ attributes }) => attributes['sallyport.code'] === 'draining').length, 6)
  t.strictSame(records.slice(-2).map(({ name }) => name), ['sallyport.process.stopped', 'sallyport.audit.checkpoint'])
  t.equal((await verifyJournal(join(proxy.dir, 'var', 'journal'))).fault, undefined)
})
