import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createResolver } from '../../src/egress/resolver.ts'
import { startDnsServer } from '../support/dns-server.ts'

function manualClock() {
  return { nowMs: 1_000_000, now() { return this.nowMs }, monotonic() { return this.nowMs } }
}

t.test('localhost and everything under it is loopback, without a query, whatever the hosts file says', async (t) => {
  const server = await startDnsServer(t)
  const dir = t.testdir({ hosts: '10.0.0.1 localhost app.localhost\n' })
  const resolver = createResolver({ servers: [server.text], resolvConfPath: join(dir, 'none'), hostsPath: join(dir, 'hosts'), timeoutMs: 1000, clock: manualClock() })
  t.teardown(() => resolver.close())
  for (const name of ['localhost', 'LOCALHOST', 'app.localhost', 'a.b.localhost']) {
    t.same((await resolver.resolve(name)).addresses.map((ip) => ip.text), ['127.0.0.1', '::1'], name)
  }
  t.equal(server.queries.length, 0)
  await t.rejects(resolver.resolve('notlocalhost'), { code: 'dns_not_found' })
})

t.test('an address is its own answer', async (t) => {
  const server = await startDnsServer(t)
  const resolver = createResolver({ servers: [server.text], resolvConfPath: '/nonexistent', hostsPath: '/nonexistent', timeoutMs: 1000, clock: manualClock() })
  t.teardown(() => resolver.close())
  t.same((await resolver.resolve('192.0.2.1')).addresses.map((ip) => ip.text), ['192.0.2.1'])
  t.equal(server.queries.length, 0)
})

t.test('hosts entries win, and the file is read again when it changes', async (t) => {
  const clock = manualClock()
  const server = await startDnsServer(t, { 'www.test': { addresses: ['192.0.2.1'], ttlSeconds: 0 } })
  const dir = t.testdir({ hosts: '10.0.0.1 www.test\n' })
  const hostsPath = join(dir, 'hosts')
  const resolver = createResolver({ servers: [server.text], resolvConfPath: join(dir, 'none'), hostsPath, timeoutMs: 1000, clock })
  t.teardown(() => resolver.close())
  const addresses = async () => (await resolver.resolve('www.test')).addresses.map((ip) => ip.text)
  t.same(await addresses(), ['10.0.0.1'])
  t.equal(server.queries.length, 0)
  writeFileSync(hostsPath, '10.0.0.22 www.test\n')
  t.same(await addresses(), ['10.0.0.1'], 'looked at once a second at most')
  clock.nowMs += 1000
  t.same(await addresses(), ['10.0.0.22'])
  writeFileSync(join(dir, 'new'), '10.0.0.33 www.test\n')
  renameSync(join(dir, 'new'), hostsPath)
  clock.nowMs += 1000
  t.same(await addresses(), ['10.0.0.33'])
  rmSync(hostsPath)
  clock.nowMs += 1000
  t.same(await addresses(), ['192.0.2.1'], 'without the file the name servers answer')
})

t.test('a hosts file that cannot be read closes names instead of opening them', async (t) => {
  const clock = manualClock()
  const server = await startDnsServer(t, { 'www.test': { addresses: ['192.0.2.1'] } })
  const dir = t.testdir({ hosts: {} })
  const resolver = createResolver({ servers: [server.text], resolvConfPath: join(dir, 'none'), hostsPath: join(dir, 'hosts'), timeoutMs: 1000, clock })
  t.teardown(() => resolver.close())
  await t.rejects(resolver.resolve('www.test'), { code: 'dns_failed', detail: /hosts cannot be read/ })
  t.equal(server.queries.length, 0)
  rmSync(join(dir, 'hosts'), { recursive: true })
  writeFileSync(join(dir, 'hosts'), '')
  clock.nowMs += 1000
  t.same((await resolver.resolve('www.test')).addresses.map((ip) => ip.text), ['192.0.2.1'])
})

t.test('the name servers of resolv.conf are used, and the file is read again when it changes', async (t) => {
  const clock = manualClock()
  const first = await startDnsServer(t, { 'www.test': { addresses: ['192.0.2.1'], ttlSeconds: 0 } })
  const second = await startDnsServer(t, { 'www.test': { addresses: ['192.0.2.2'], ttlSeconds: 0 } })
  const dir = t.testdir({ 'resolv.conf': `search corp.test\noptions ndots:5\nnameserver ${first.text}\n` })
  const resolvConfPath = join(dir, 'resolv.conf')
  const resolver = createResolver({ servers: [], resolvConfPath, hostsPath: join(dir, 'none'), timeoutMs: 1000, clock })
  t.teardown(() => resolver.close())
  const addresses = async () => (await resolver.resolve('www.test')).addresses.map((ip) => ip.text)
  t.same(await addresses(), ['192.0.2.1'])
  t.ok(first.queries.every((query) => query.name === 'www.test'), 'no search domain')
  writeFileSync(resolvConfPath, `nameserver ${second.text}\n`)
  clock.nowMs += 1000
  t.same(await addresses(), ['192.0.2.2'])
  writeFileSync(resolvConfPath, '# nothing\n')
  clock.nowMs += 1000
  await t.rejects(resolver.resolve('www.test'), { code: 'dns_failed', detail: /no name server.*resolv\.conf/ })
  writeFileSync(resolvConfPath, `nameserver ${first.text}\n`)
  clock.nowMs += 1000
  t.same(await addresses(), ['192.0.2.1'])
})

t.test('configured servers are used instead of resolv.conf, and must be addresses', async (t) => {
  const server = await startDnsServer(t, { 'www.test': { addresses: ['192.0.2.1'] } })
  const dir = t.testdir({ 'resolv.conf': 'nameserver 192.0.2.53\n' })
  const options = { resolvConfPath: join(dir, 'resolv.conf'), hostsPath: join(dir, 'none'), timeoutMs: 1000, clock: manualClock() }
  const resolver = createResolver({ ...options, servers: [server.text] })
  t.teardown(() => resolver.close())
  t.same((await resolver.resolve('www.test')).addresses.map((ip) => ip.text), ['192.0.2.1'])
  t.throws(() => createResolver({ ...options, servers: ['dns.example'] }), { code: 'dns_failed', detail: /`dns\.example`/ })
})
