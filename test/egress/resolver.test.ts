import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { networkInterfaces } from 'node:os'
import t from 'tap'
import type { Test } from 'tap'
import { createResolver } from '../../src/egress/resolver.ts'
import type { Resolver, ResolverOptions } from '../../src/egress/resolver.ts'
import { encodeIp, encodeName, answer, message, record, startDnsServer } from '../support/dns-server.ts'
import type { Query } from '../support/dns-server.ts'
import { systemClock } from '../../src/clock.ts'

interface ManualClock {
  nowMs: number
  now(): number
  monotonic(): number
}

function manualClock(): ManualClock {
  return { nowMs: 1_000_000, now() { return this.nowMs }, monotonic() { return this.nowMs } }
}

function resolverFor(t: Test, options: Partial<ResolverOptions>): Resolver {
  const resolver = createResolver({
    servers: [], resolvConfPath: '/nonexistent/resolv.conf', hostsPath: '/nonexistent/hosts', timeoutMs: 2000, clock: systemClock, ...options,
  })
  t.teardown(() => resolver.close())
  return resolver
}

async function addressesOf(resolver: Resolver, name: string, options?: { fresh?: boolean }): Promise<readonly string[]> {
  return (await resolver.resolve(name, options)).addresses.map((ip) => ip.text)
}

/** A UDP port on which nobody ever answers. */
async function silentServer(t: Test): Promise<{ text: string; received: () => number }> {
  const socket = createSocket('udp4')
  let received = 0
  socket.on('message', () => received++)
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  t.teardown(() => socket.close())
  return { text: `127.0.0.1:${socket.address().port}`, received: () => received }
}

t.test('A and AAAA are asked side by side and both families come back, IPv4 first', async (t) => {
  const server = await startDnsServer(t, { 'www.test': { addresses: ['2001:db8::1', '192.0.2.1', '192.0.2.2'] } })
  const resolver = resolverFor(t, { servers: [server.text] })
  t.same(await addressesOf(resolver, 'WWW.test'), ['192.0.2.1', '192.0.2.2', '2001:db8::1'])
  t.equal(server.count('www.test', 'A'), 1)
  t.equal(server.count('www.test', 'AAAA'), 1)
})

t.test('a single label is asked as an absolute name, without any search domain', async (t) => {
  const server = await startDnsServer(t, { intranet: { addresses: ['10.0.0.9'] } })
  t.same(await addressesOf(resolverFor(t, { servers: [server.text] }), 'intranet'), ['10.0.0.9'])
  t.same([...new Set(server.queries.map((query) => query.name))], ['intranet'])
})

t.test('one family is enough when the other one is refused, broken, denied or silent', async (t) => {
  const four = { addresses: ['192.0.2.1'] }
  const six = { addresses: ['2001:db8::1'] }
  const server = await startDnsServer(t, {
    'servfail.test': { A: four, AAAA: { code: 2 } },
    'refused.test': { A: four, AAAA: { code: 5 } },
    'nxdomain.test': { A: four, AAAA: { code: 3 } },
    'silent.test': { A: four, AAAA: { silent: true } },
    'garbage.test': { A: four, AAAA: { raw: (query) => [message(query, { answerCount: 9 })] } },
    'six.test': { A: { code: 2 }, AAAA: six },
    'only-six.test': { A: {}, AAAA: six },
  })
  const resolver = resolverFor(t, { servers: [server.text] })
  for (const name of ['servfail', 'refused', 'nxdomain', 'silent', 'garbage']) t.same(await addressesOf(resolver, `${name}.test`), four.addresses, name)
  for (const name of ['six', 'only-six']) t.same(await addressesOf(resolver, `${name}.test`), six.addresses, name)
})

t.test('NXDOMAIN, no addresses, SERVFAIL, REFUSED, garbage, 500 records, alias loops and silence have their codes', async (t) => {
  const many = Array.from({ length: 500 }, (_, i) => `192.0.${i >> 8}.${i & 255}`)
  const server = await startDnsServer(t, {
    'empty.test': {},
    'servfail.test': { code: 2 },
    'refused.test': { code: 5 },
    'garbage.test': { raw: (query) => [message(query, { answers: [Buffer.from([0xc0, 0xff])] })] },
    'many.test': { raw: (query) => [answer(query, { addresses: many })] },
    'loop.test': { raw: (query) => [message(query, { answers: [record('loop.test', 5, 60, encodeName('b.test')), record('b.test', 5, 60, encodeName('loop.test'))] })] },
    'dangling.test': { aliases: ['nowhere.test'] },
    'truncated.test': { raw: (query) => [answer(query, {}, 0x0200)] },
    'silent.test': { silent: true },
  })
  const resolver = resolverFor(t, { servers: [server.text], timeoutMs: 300 })
  const codes: Record<string, string> = {
    'missing.test': 'dns_not_found', 'empty.test': 'dns_no_address', 'dangling.test': 'dns_no_address', 'servfail.test': 'dns_failed', 'refused.test': 'dns_failed',
    'garbage.test': 'dns_failed', 'many.test': 'dns_failed', 'loop.test': 'dns_failed', 'truncated.test': 'dns_failed', 'silent.test': 'dns_timeout',
  }
  for (const [name, code] of Object.entries(codes)) await t.rejects(resolver.resolve(name), { code }, name)
  await t.rejects(resolver.resolve('a..test'), { code: 'dns_failed' })
})

t.test('a truncated answer is fetched over TCP, 200 records long', async (t) => {
  const many = Array.from({ length: 200 }, (_, i) => `192.0.2.${i}`)
  const server = await startDnsServer(t, { 'big.test': { addresses: many, truncated: true } })
  t.same(await addressesOf(resolverFor(t, { servers: [server.text] }), 'big.test'), many)
  t.ok(server.queries.some((query) => query.overTcp))
})

t.test('a server that hangs up over TCP makes a truncated answer a failure', async (t) => {
  const server = await startDnsServer(t, { 'big.test': { addresses: ['192.0.2.1'], truncated: true, hangsUp: true } })
  await t.rejects(resolverFor(t, { servers: [server.text] }).resolve('big.test'), { code: 'dns_failed', detail: /TCP/ })
})

function forged(query: Query): readonly Uint8Array[] {
  const wrongId = answer({ ...query, id: query.id ^ 1 }, { addresses: ['10.6.6.6'] })
  const wrongName = Buffer.from(answer(query, { addresses: ['10.6.6.6'] }))
  wrongName.writeUInt8(wrongName.readUInt8(13) ^ 1, 13)
  return [Buffer.from([1, 2, 3]), wrongId, wrongName, answer(query, query.type === 'A' ? { addresses: ['192.0.2.1'] } : {})]
}

t.test('answers with a wrong id, a wrong question, or too short are ignored, and the real one counts', async (t) => {
  const server = await startDnsServer(t, { 'www.test': { raw: forged } })
  t.same(await addressesOf(resolverFor(t, { servers: [server.text] }), 'www.test'), ['192.0.2.1'])
})

function guesses(query: Query): readonly Uint8Array[] {
  return Array.from({ length: 200 }, (_, i) => answer({ ...query, id: query.id ^ (i + 1) }, { addresses: ['10.6.6.6'] }))
}

t.test('who guesses ids without end gets the socket closed, and the next server answers', async (t) => {
  const flooded = await startDnsServer(t, { 'www.test': { raw: guesses } })
  const good = await startDnsServer(t, { 'www.test': { addresses: ['192.0.2.1'] } })
  t.same(await addressesOf(resolverFor(t, { servers: [flooded.text, good.text] }), 'www.test'), ['192.0.2.1'])
})

t.test('an answer from another source than the server is never seen', async (t) => {
  const other = createSocket('udp4')
  other.bind(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => other.close())
  const forge = (query: Query) => {
    other.send(answer(query, { addresses: ['10.6.6.6'] }), query.sourcePort, '127.0.0.1')
    return []
  }
  const server = await startDnsServer(t, { 'www.test': { raw: forge } })
  await t.rejects(resolverFor(t, { servers: [server.text], timeoutMs: 200 }).resolve('www.test'), { code: 'dns_timeout' })
})

t.test('ids and source ports of queries are spread, not counted up', async (t) => {
  const server = await startDnsServer(t)
  const resolver = resolverFor(t, { servers: [server.text] })
  await Promise.allSettled(Array.from({ length: 60 }, (_, i) => resolver.resolve(`n${i}.test`)))
  const ids = server.queries.map((query) => query.id)
  const ports = server.queries.map((query) => query.sourcePort)
  t.equal(server.queries.length, 120)
  for (const values of [ids, ports]) {
    t.ok(new Set(values).size > 100, 'hardly any twice')
    const steps = values.slice(1).map((value, i) => Math.abs(value - (values[i] ?? 0)))
    t.ok(steps.filter((step) => step > 64).length > 80, 'the next is not near the last')
  }
})

t.test('aliases are reported, and only the addresses at their end count', async (t) => {
  const server = await startDnsServer(t, { 'www.test': { aliases: ['cdn.example', 'edge.example'], addresses: ['192.0.2.1'] } })
  const resolution = await resolverFor(t, { servers: [server.text] }).resolve('www.test')
  t.same(resolution.chain, ['cdn.example', 'edge.example'])
  t.same(resolution.addresses.map((ip) => ip.text), ['192.0.2.1'])
})

t.test('SERVFAIL and REFUSED go to the next server, each server is asked once', async (t) => {
  const broken = await startDnsServer(t, { 'www.test': { code: 2 } })
  const refusing = await startDnsServer(t, { 'www.test': { code: 5 } })
  const good = await startDnsServer(t, { 'www.test': { addresses: ['192.0.2.1'] } })
  t.same(await addressesOf(resolverFor(t, { servers: [broken.text, refusing.text, good.text] }), 'www.test'), ['192.0.2.1'])
  t.equal(broken.count('www.test', 'A'), 1)
  t.equal(refusing.count('www.test', 'A'), 1)
  await t.rejects(resolverFor(t, { servers: [broken.text, refusing.text] }).resolve('www.test'), { code: 'dns_failed', detail: /SERVFAIL.*REFUSED/ })
  t.equal(broken.count('www.test', 'A'), 2)
})

t.test('NXDOMAIN is final: the next server is not asked', async (t) => {
  const first = await startDnsServer(t)
  const second = await startDnsServer(t, { 'www.test': { addresses: ['10.0.0.1'] } })
  await t.rejects(resolverFor(t, { servers: [first.text, second.text] }).resolve('www.test'), { code: 'dns_not_found' })
  t.equal(second.queries.length, 0)
})

t.test('a closed port is passed over at once', async (t) => {
  const closed = await silentServerPort()
  const good = await startDnsServer(t, { 'www.test': { addresses: ['192.0.2.1'] } })
  t.same(await addressesOf(resolverFor(t, { servers: [closed, good.text] }), 'www.test'), ['192.0.2.1'])
  await t.rejects(resolverFor(t, { servers: [closed] }).resolve('www.test'), { code: 'dns_failed', detail: /ECONNREFUSED/ })
})

t.test('a silent server is asked after the others until it answers again', async (t) => {
  const clock = manualClock()
  const server = await startDnsServer(t, { 'first.test': { silent: true } })
  const good = await startDnsServer(t, { 'first.test': { addresses: ['192.0.2.1'] }, 'second.test': { addresses: ['192.0.2.2'] }, 'third.test': { addresses: ['192.0.2.3'] }, 'fourth.test': { addresses: ['192.0.2.4'] } })
  const resolver = resolverFor(t, { servers: [server.text, good.text], clock, timeoutMs: 1200 })
  t.same(await addressesOf(resolver, 'first.test'), ['192.0.2.1'], 'the next server joins in')
  t.same(await addressesOf(resolver, 'second.test'), ['192.0.2.2'])
  t.equal(server.count('second.test'), 0, 'known to be silent: not asked')
  clock.nowMs += 31_000
  server.set('third.test', { addresses: ['10.0.0.3'] })
  await addressesOf(resolver, 'third.test')
  await server.seen('third.test', 1)
  server.set('fourth.test', { addresses: ['10.0.0.4'] })
  await eventually(async () => (await addressesOf(resolver, 'fourth.test', { fresh: true }))[0] === '10.0.0.4')
  t.pass('it answered a probe beside the query, so it is asked first again')
})

t.test('100 names on a dead name server do not hold up a name that another server answers', async (t) => {
  const dead = await silentServer(t)
  const good = await startDnsServer(t, { 'healthy.test': { addresses: ['192.0.2.1'] }, 'warm.test': { addresses: ['192.0.2.9'] } })
  const resolver = resolverFor(t, { servers: [dead.text, good.text], timeoutMs: 1500 })
  for (let i = 0; i < 100; i++) good.set(`dead-${i}.test`, { silent: true })
  await addressesOf(resolver, 'warm.test')
  let settled = 0
  const doomed = Array.from({ length: 100 }, (_, i) => resolver.resolve(`dead-${i}.test`).finally(() => settled++))
  const all = Promise.allSettled(doomed)
  t.same(await addressesOf(resolver, 'healthy.test'), ['192.0.2.1'])
  t.equal(settled, 0, 'all 100 still wait')
  t.equal((await all).filter((result) => result.status === 'rejected').length, 100)
  t.ok(dead.received() > 0)
})

t.test('100 names that their name server never answers do not hold up another name on it', async (t) => {
  const server = await startDnsServer(t, { 'healthy.test': { addresses: ['192.0.2.1'] } })
  for (let i = 0; i < 100; i++) server.set(`dead-${i}.test`, { silent: true })
  const resolver = resolverFor(t, { servers: [server.text], timeoutMs: 500 })
  let settled = 0
  const all = Promise.allSettled(Array.from({ length: 100 }, (_, i) => resolver.resolve(`dead-${i}.test`).finally(() => settled++)))
  t.same(await addressesOf(resolver, 'healthy.test'), ['192.0.2.1'])
  t.equal(settled, 0)
  for (const result of await all) t.match(result, { status: 'rejected', reason: { code: 'dns_timeout' } })
})

t.test('a session that asks for names which nobody answers leaves the others theirs', async (t) => {
  const server = await startDnsServer(t, { 'healthy.test': { addresses: ['192.0.2.1'] } })
  for (let i = 0; i < 200; i++) server.set(`dead-${i}.test`, { silent: true })
  const resolver = resolverFor(t, { servers: [server.text], timeoutMs: 2_500 })
  const all = Promise.allSettled(Array.from({ length: 200 }, (_, i) => resolver.resolve(`dead-${i}.test`, { owner: 's-1' })))
  const refused = { code: 'dns_failed', detail: 'too many names of this session are being resolved' }
  await t.rejects(resolver.resolve('healthy.test', { owner: 's-1' }), refused)
  t.same((await resolver.resolve('healthy.test', { owner: 's-2' })).addresses.map((ip) => ip.text), ['192.0.2.1'])
  t.same((await resolver.resolve('healthy.test', { owner: 's-1' })).addresses.map((ip) => ip.text), ['192.0.2.1'], 'what is known costs no lookup')
  const joined = resolver.resolve('dead-0.test', { owner: 's-1' }).catch((error: unknown) => error)
  for (const result of await all) t.match(result, { status: 'rejected', reason: { code: 'dns_timeout' } })
  t.match(await joined, { code: 'dns_timeout' }, 'a lookup that runs already is shared')
  t.same((await resolver.resolve('healthy.test', { owner: 's-1', fresh: true })).addresses.map((ip) => ip.text), ['192.0.2.1'], 'its share is free again')
})

t.test('a slow name does not make its server count as silent', async (t) => {
  const server = await startDnsServer(t, { 'slow.test': { silent: true }, 'quick.test': { addresses: ['192.0.2.1'] }, 'later.test': { addresses: ['192.0.2.2'] } })
  const second = await startDnsServer(t, { 'slow.test': { silent: true } })
  const resolver = resolverFor(t, { servers: [server.text, second.text], timeoutMs: 1600 })
  const slow = resolver.resolve('slow.test').catch((error: unknown) => error)
  await server.seen('slow.test', 2)
  await addressesOf(resolver, 'quick.test')
  t.match(await slow, { code: 'dns_timeout' })
  t.same(await addressesOf(resolver, 'later.test'), ['192.0.2.2'])
  t.equal(second.count('later.test'), 0)
})

t.test('callers of one name share one query', async (t) => {
  const gate = Promise.withResolvers<void>()
  const server = await startDnsServer(t, { 'www.test': { addresses: ['192.0.2.1'], ttlSeconds: 0, after: gate.promise } })
  const resolver = resolverFor(t, { servers: [server.text] })
  const all = Promise.all(Array.from({ length: 50 }, (_, i) => addressesOf(resolver, i % 2 === 0 ? 'www.test' : 'WWW.TEST', { fresh: i % 3 === 0 })))
  await server.seen('www.test', 2)
  gate.resolve()
  t.same(new Set((await all).flat()), new Set(['192.0.2.1']))
  t.equal(server.count('www.test', 'A'), 1)
  await addressesOf(resolver, 'www.test')
  t.equal(server.count('www.test', 'A'), 2, 'TTL 0 is shared by concurrent callers only')
})

t.test('answers are kept for their TTL, 60 s at most, and `fresh` asks again', async (t) => {
  const clock = manualClock()
  const server = await startDnsServer(t, { 'short.test': { addresses: ['192.0.2.1'], ttlSeconds: 7 }, 'long.test': { addresses: ['192.0.2.2'], ttlSeconds: 86_400 } })
  const resolver = resolverFor(t, { servers: [server.text], clock })
  t.equal((await resolver.resolve('short.test')).expiresAtMs, clock.nowMs + 7000)
  t.equal((await resolver.resolve('long.test')).expiresAtMs, clock.nowMs + 60_000)
  clock.nowMs += 6999
  await resolver.resolve('short.test')
  t.equal(server.count('short.test', 'A'), 1)
  clock.nowMs += 1
  await resolver.resolve('short.test')
  t.equal(server.count('short.test', 'A'), 2)
  clock.nowMs += 52_999
  await resolver.resolve('long.test')
  t.equal(server.count('long.test', 'A'), 1)
  server.set('long.test', { addresses: ['10.0.0.1'], ttlSeconds: 86_400 })
  t.same(await addressesOf(resolver, 'long.test', { fresh: true }), ['10.0.0.1'])
  t.same(await addressesOf(resolver, 'long.test'), ['10.0.0.1'], 'the fresh answer is the one that is kept')
  t.equal(server.count('long.test', 'A'), 2)
})

t.test('rebinding: one lookup serves one decision, a later one sees what the zone says then', async (t) => {
  const server = await startDnsServer(t, { 'rebind.test': { addresses: ['192.0.2.1'], ttlSeconds: 0 } })
  const resolver = resolverFor(t, { servers: [server.text] })
  const first = await resolver.resolve('rebind.test')
  server.set('rebind.test', { addresses: ['127.0.0.1'], ttlSeconds: 0 })
  t.same(first.addresses.map((ip) => ip.text), ['192.0.2.1'])
  t.equal(server.count('rebind.test', 'A'), 1)
  t.same(await addressesOf(resolver, 'rebind.test'), ['127.0.0.1'])
})

t.test('a mixed answer comes back whole, for the gate to judge', async (t) => {
  const server = await startDnsServer(t, { 'mixed.test': { addresses: ['192.0.2.1', '10.0.0.1', 'fd00::1'] } })
  t.same(await addressesOf(resolverFor(t, { servers: [server.text] }), 'mixed.test'), ['192.0.2.1', '10.0.0.1', 'fd00::1'])
})

t.test('"no" is kept as long as its zone says, 5 s at most; a failure for 1 s', async (t) => {
  const clock = manualClock()
  const server = await startDnsServer(t, {
    'short.test': { code: 3, negativeTtlSeconds: 2 }, 'long.test': { negativeTtlSeconds: 3600 }, 'unsaid.test': { code: 3 }, 'broken.test': { code: 2 },
  })
  const resolver = resolverFor(t, { servers: [server.text], clock })
  const ask = (name: string, options?: { fresh: boolean }) => t.rejects(resolver.resolve(name, options))
  for (const name of ['short.test', 'long.test', 'unsaid.test', 'broken.test']) await ask(name).then(() => ask(name))
  t.same(['short.test', 'long.test', 'unsaid.test', 'broken.test'].map((name) => server.count(name, 'A')), [1, 1, 2, 1])
  clock.nowMs += 1000
  await ask('broken.test')
  t.equal(server.count('broken.test', 'A'), 2)
  clock.nowMs += 1000
  await ask('short.test')
  t.equal(server.count('short.test', 'A'), 2)
  clock.nowMs += 2999
  await ask('long.test')
  t.equal(server.count('long.test', 'A'), 1)
  clock.nowMs += 1
  await ask('long.test')
  t.equal(server.count('long.test', 'A'), 2)
  await ask('long.test', { fresh: true })
  t.equal(server.count('long.test', 'A'), 3)
})

t.test('close ends what is outstanding and answers nothing more', async (t) => {
  const server = await startDnsServer(t, { 'silent.test': { silent: true } })
  const resolver = resolverFor(t, { servers: [server.text] })
  const pending = resolver.resolve('silent.test').catch((error: unknown) => error)
  await server.seen('silent.test', 2)
  resolver.close()
  t.match(await pending, { code: 'dns_failed' })
  await t.rejects(resolver.resolve('www.test'), { code: 'dns_failed', detail: /closed/ })
})

const hasIpv6 = Object.values(networkInterfaces()).flat().some((address) => address?.address === '::1')

t.test('a name server may be given by IPv6 address', { skip: hasIpv6 ? false : 'no IPv6 on this machine' }, async (t) => {
  const socket = createSocket('udp6')
  socket.bind(0, '::1')
  await once(socket, 'listening')
  t.teardown(() => socket.close())
  socket.on('message', (bytes, from) => {
    const reply = Buffer.concat([bytes, record('www.test', 1, 60, encodeIp('192.0.2.1'))])
    reply.writeUInt16BE(0x8180, 2)
    reply.writeUInt16BE(1, 6)
    socket.send(reply, from.port, from.address)
  })
  t.same(await addressesOf(resolverFor(t, { servers: [`[::1]:${socket.address().port}`] }), 'www.test'), ['192.0.2.1'])
})

async function silentServerPort(): Promise<string> {
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address()
  socket.close()
  await once(socket, 'close')
  return `127.0.0.1:${port}`
}

/** Until `check` holds; for what happens beside the call, without a moment of its own. */
async function eventually(check: () => Promise<boolean>): Promise<void> {
  while (!(await check())) await new Promise((resolve) => setImmediate(resolve))
}
