// A change of policy while requests run: each sees one revision, none fails, what is no longer allowed is
// closed, and a file that is not valid changes nothing but readiness.
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import t from 'tap'
import { rawOrigin } from '../support/origins.ts'
import { plainHosts, plainPolicy, request, startPlain } from '../support/plain-world.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'
import { openTunnel } from '../support/raw-client.ts'
import { strictOrigin } from '../support/strict-origin.ts'
import { WireClient } from '../support/wire-client.ts'

async function seen(proxy: TestProxy, name: string, count: number): Promise<void> {
  while (proxy.records().filter((record) => record.name === name).length < count) await new Promise((resolve) => setTimeout(resolve, 20))
}

const loaded = (proxy: TestProxy, count: number): Promise<void> => seen(proxy, 'sallyport.policy.loaded', count)

t.test('under load every exchange has one revision and none fails', async (t) => {
  const origin = await strictOrigin(t)
  const proxy = await startPlain(t, origin.port)
  const over = new AbortController()
  const statuses = new Map<number, number>()
  const workers = Array.from({ length: 8 }, async () => {
    const client = await WireClient.open(proxy.port)
    for (let sent = 1; !over.signal.aborted; sent++) {
      client.send(request(origin.port, `/${sent}`))
      const answer = await client.next()
      statuses.set(answer?.status ?? 0, (statuses.get(answer?.status ?? 0) ?? 0) + 1)
      if (answer === undefined) return
    }
    client.socket.destroy()
  })
  for (let round = 1; round <= 4; round++) {
    writeFileSync(proxy.policyFile, plainPolicy(origin.port, `allowed_domains = ["round${round}.test"]\n`))
    await loaded(proxy, round + 1)
  }
  over.abort()
  await Promise.all(workers)
  t.strictSame([...statuses.keys()], [200], 'nothing failed')
  const revisions = new Set(proxy.records().filter(({ name }) => name === 'sallyport.policy.loaded').map((record) => record.attributes['sallyport.policy.revision']))
  t.equal(revisions.size, 5)
  const decisions = proxy.decisions()
  t.ok(decisions.every((record) => revisions.has(record.attributes['sallyport.policy.revision'])))
  t.equal(decisions.length, new Set(decisions.map((record) => record.attributes['sallyport.request.id'])).size, 'one decision for each')
  t.equal(decisions.length, origin.requests.length)
})

t.test('a deny that is added closes what is open and no longer allowed, and leaves the rest', async (t) => {
  const origin = await rawOrigin(t, (socket) => {
    socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'))
    socket.on('end', () => socket.end())
  })
  const rules = (names: string): string => `[network]\nunknown = "deny"\n[[network.rules]]\nid = "raw"\nhosts = [${names}]\nlocal = ["127.0.0.1/32"]\nraw = "any"\nverdict = "allow"\n`
  const both = `"a.test:${origin.port}", "b.test:${origin.port}"`
  const plain = `[[network.rules]]\nid = "plain"\nhosts = ["p.test:${origin.port}"]\nmethods = ["GET"]\nlocal = ["127.0.0.1/32"]\nverdict = "allow"\n[[network.rules]]\nid = "eighty"\nhosts = ["e.test"]\nmethods = ["GET"]\nverdict = "allow"\n`
  const proxy = await startProxy(t, { policy: rules(both) + plain, hosts: { 'a.test': '127.0.0.1', 'b.test': '127.0.0.1', 'p.test': '127.0.0.1' } })
  const a = await openTunnel(proxy.port, `a.test:${origin.port}`)
  const b = await openTunnel(proxy.port, `b.test:${origin.port}`)
  const e = await openTunnel(proxy.port, 'e.test:80')
  for (const { socket } of [a, b, e]) socket.on('error', () => socket.destroy()).on('end', () => socket.end()).resume()
  a.socket.write('x')
  b.socket.write('x')
  await Promise.all([once(a.socket, 'data'), once(b.socket, 'data')])
  const stream = await WireClient.open(proxy.port)
  stream.send(`GET http://p.test:${origin.port}/ HTTP/1.1\r\nHost: p.test:${origin.port}\r\n\r\n`)
  await stream.until((received) => received.includes('hello'))
  const closed = [a.socket, e.socket].map((socket) => new Promise((resolve) => socket.once('close', resolve)))
  writeFileSync(proxy.policyFile, `${rules(both)}${plain}`.replace('unknown = "deny"', `unknown = "deny"\ndenied_domains = ["a.test", "p.test", "e.test"]`))
  await Promise.all([...closed, stream.closed()])
  for (const host of ['a.test', 'p.test', 'e.test']) {
    const ended = await proxy.recorded((record) => record.name === 'sallyport.exchange.ended' && record.attributes['server.address'] === host)
    t.match(ended.attributes, { 'sallyport.outcome': 'expired', 'sallyport.code': 'policy_changed' }, host)
  }
  b.socket.write('x')
  await once(b.socket, 'data')
  t.notOk(b.socket.closed, 'the one that is still allowed goes on')
  b.socket.destroy()
})

t.test('a rule that is taken away closes what it opened', async (t) => {
  const origin = await rawOrigin(t, (socket) => socket.resume().on('end', () => socket.end()))
  const proxy = await startProxy(t, { policy: `[network]\nunknown = "deny"\n[[network.rules]]\nid = "raw"\nhosts = ["a.test:${origin.port}"]\nlocal = ["127.0.0.1/32"]\nraw = "any"\nverdict = "allow"\n`, hosts: { 'a.test': '127.0.0.1' } })
  const { socket } = await openTunnel(proxy.port, `a.test:${origin.port}`)
  socket.on('error', () => socket.destroy()).on('end', () => socket.end()).resume()
  const closed = new Promise((resolve) => socket.once('close', resolve))
  writeFileSync(proxy.policyFile, '[network]\nunknown = "deny"\n')
  await closed
  t.pass('closed')
})

t.test('a file that is not valid keeps the last good policy, fails readiness and leaves an event', async (t) => {
  const origin = await strictOrigin(t)
  const proxy = await startProxy(t, { policy: plainPolicy(origin.port), hosts: plainHosts, flags: { ops: '127.0.0.1:0' } })
  const ready = async (): Promise<number> => (await fetch(`${proxy.ops}/readyz`)).status
  t.equal(await ready(), 200)
  for (const text of ['[network\n', '[network]\nunknwon = "allow"\n', '[network]\nunknown = 5\n', `${plainPolicy(origin.port)}${plainPolicy(origin.port).split('[[')[1] === undefined ? '' : `[[${plainPolicy(origin.port).split('[[')[1]}`}`]) {
    const before = proxy.records().filter(({ name }) => name === 'sallyport.policy.rejected').length
    writeFileSync(proxy.policyFile, text)
    await seen(proxy, 'sallyport.policy.rejected', before + 1)
    t.equal(await ready(), 503)
    t.match(await (await fetch(`${proxy.ops}/readyz`)).text(), /10-test\.toml:\d+\)/, 'it says where')
    t.match(proxy.log.at(-1), /10-test\.toml:\d+:\d+: .*the last good policy, revision [\da-f]{12}, stays; run `sallyport check`/)
    const client = await WireClient.open(proxy.port)
    client.send(request(origin.port, '/', 'Connection: close\r\n'))
    t.match(await client.closed(), /^HTTP\/1\.1 200 /, 'what was allowed still is')
  }
  const rejected = proxy.records().find(({ name }) => name === 'sallyport.policy.rejected')
  t.match(JSON.stringify(rejected), /10-test\.toml/)
  writeFileSync(proxy.policyFile, plainPolicy(origin.port, 'allowed_domains = ["more.test"]\n'))
  await loaded(proxy, 2)
  t.equal(await ready(), 200)
})
