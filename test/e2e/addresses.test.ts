// What a name resolves to and what an address stands for: only vetted addresses are dialled, one forbidden
// address refuses the whole name, denied hosts are never resolved, and nothing leads back to the proxy.
import { hostname, networkInterfaces } from 'node:os'
import t, { type Test } from 'tap'
import { classifyAddress, parseIp } from '../../src/target/address.ts'
import { startDnsServer, type DnsServer } from '../support/dns-server.ts'
import { rawOrigin } from '../support/origins.ts'
import { collectorAt } from '../support/collector.ts'
import { startProxy, type TestProxy, type TestProxyOptions } from '../support/proxy.ts'
import { openTunnel } from '../support/raw-client.ts'
import { ok, strictOrigin } from '../support/strict-origin.ts'
import { readAnswers, say, WireClient } from '../support/wire-client.ts'

/** Everything but the addresses is allowed, so that only the judgement of addresses stands in the way. */
const open = '[network]\nunknown = "allow"\nallowed_domains = ["*"]\n'

function startWithDns(t: Test, dns: DnsServer, options: TestProxyOptions & { readonly timeoutMs?: number }): Promise<TestProxy> {
  return startProxy(t, {
    ...options,
    change: (settings) => {
      const changed = options.change === undefined ? settings : options.change(settings)
      return { ...changed, dns: { ...changed.dns, servers: [dns.text], timeoutMs: options.timeoutMs ?? 600 }, limits: { ...changed.limits, newNamesPerMinute: 100_000, connectTimeoutMs: 500 } }
    },
  })
}

function get(host: string, port?: number): string {
  const authority = port === undefined ? host : `${host}:${port}`
  return `GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`
}

function codeOf(received: string): string {
  const [answer] = readAnswers(received)
  return /"code":"([a-z_0-9]+)"/.exec(answer?.body ?? '')?.[1] ?? `status ${answer?.status}`
}

/** first, middle and last address of the blocks that are never public */
const closed = [
  '0.0.0.0', '0.1.2.3', '10.0.0.0', '10.128.0.1', '10.255.255.255', '100.64.0.0', '100.100.100.200', '100.127.255.255', '127.0.0.1', '127.255.255.255',
  '169.254.0.0', '169.254.169.254', '169.254.170.2', '169.254.170.23', '172.16.0.0', '172.31.255.255', '192.0.0.0', '192.0.0.192', '192.0.2.1', '192.88.99.1',
  '192.168.0.0', '192.168.255.255', '198.18.0.0', '198.19.255.255', '198.51.100.7', '203.0.113.255', '224.0.0.1', '239.255.255.255', '240.0.0.1', '255.255.255.255',
  '168.63.129.16',
  '::', '::1', '::7f00:1', '::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:a9fe:a9fe', '::ffff:0:127.0.0.1', '64:ff9b::7f00:1', '64:ff9b::a00:1', '64:ff9b::169.254.169.254',
  '64:ff9b:1::7f00:1', '100::1', '100:0:0:1::1', '2001::1', '2001:0:7f00:1::', '2001:10::1', '2001:db8::1', '2002:7f00:1::', '2002:a00:1::', '2002:a9fe:a9fe::1', '3fff::1',
  '5f00::1', 'fc00::1', 'fd00:ec2::254', 'fd00:ec2::23', 'fdff:ffff::1', 'fe80::1', 'fe80::5efe:7f00:1', 'febf::1', 'fec0::1', 'ff02::1',
]

t.test('an address that is not public is refused by literal, whatever the host lists allow', async (t) => {
  const proxy = await startProxy(t, { policy: open })
  for (const text of closed) {
    const host = text.includes(':') ? `[${text}]` : text
    for (const bytes of [`CONNECT ${host}:443 HTTP/1.1\r\nHost: ${host}:443\r\n\r\n`, get(host)]) {
      t.match(await say(proxy.port, bytes), /^HTTP\/1\.1 403 [^]*"code":"(?:ip_denied|ip_literal_denied|self)"/, `${bytes.slice(0, 7)} ${text}`)
    }
  }
  t.ok(proxy.decisions().every((record) => record.attributes['network.policy.decision'] === 'deny'))
  t.equal(proxy.decisions().length, closed.length * 2)
})

t.test('an address that is not public is refused when a name resolves to it, by A, AAAA or alias', async (t) => {
  const dns = await startDnsServer(t)
  const proxy = await startWithDns(t, dns, { policy: open })
  await Promise.all(closed.map(async (text, at) => {
    const say4or6 = parseIp(text)?.family === 6 ? { A: {}, AAAA: { addresses: [text] } } : { A: { addresses: [text] }, AAAA: {} }
    dns.set(`n${at}.test`, say4or6)
    dns.set(`c${at}.test`, 'A' in say4or6 && parseIp(text)?.family === 6
      ? { A: { aliases: [`inner${at}.test`] }, AAAA: { aliases: [`inner${at}.test`], addresses: [text] } }
      : { A: { aliases: [`inner${at}.test`], addresses: [text] }, AAAA: {} })
    for (const name of [`n${at}.test`, `c${at}.test`]) {
      t.equal(codeOf(await say(proxy.port, `CONNECT ${name}:443 HTTP/1.1\r\nHost: ${name}:443\r\n\r\n`)), 'ip_denied', `CONNECT ${name} to ${text}`)
      t.equal(codeOf(await say(proxy.port, get(name))), 'ip_denied', `GET ${name} to ${text}`)
    }
  }))
  t.notOk(closed.some((text) => classifyAddress(parseIp(text) ?? { family: 4, bits: 0n, text: '' }) === 'public'))
})

t.test('names of metadata services and of this machine are closed even under an allow of everything', async (t) => {
  const dns = await startDnsServer(t, { 'metadata.google.internal': { addresses: ['169.254.169.254'] }, 'metadata.test': { addresses: ['168.63.129.16'] } })
  const proxy = await startWithDns(t, dns, { policy: open })
  for (const name of ['metadata.google.internal', 'metadata.test', 'localhost', 'x.localhost']) t.equal(codeOf(await say(proxy.port, get(name))), 'ip_denied', name)
})

t.test('`local` of a private range does not open a metadata address, which must be named alone', async (t) => {
  const dns = await startDnsServer(t, { 'm.test': { addresses: ['169.254.169.254'] }, 'w.test': { addresses: ['168.63.129.16'] } })
  const proxy = await startWithDns(t, dns, { policy: '[network]\n[[network.rules]]\nid = "m"\nhosts = ["m.test", "w.test"]\nlocal = ["169.254.0.0/16", "168.63.129.0/24"]\nverdict = "allow"\n' })
  t.equal(codeOf(await say(proxy.port, get('m.test'))), 'ip_denied')
  t.equal(codeOf(await say(proxy.port, get('w.test'))), 'ip_denied')
})

t.test('one forbidden address among others refuses the whole name', async (t) => {
  const origin = await strictOrigin(t)
  const sets = { a: ['127.0.0.1', '10.0.0.1'], b: ['10.0.0.1', '127.0.0.1'], c: ['127.0.0.1', '::ffff:127.0.0.1'], d: ['127.0.0.1', '127.0.0.9'] }
  const dns = await startDnsServer(t, Object.fromEntries(Object.entries(sets).map(([name, addresses]) => [`${name}.test`, { addresses }])))
  const proxy = await startWithDns(t, dns, { policy: `[network]\n[[network.rules]]\nid = "x"\nhosts = ["*.test:${origin.port}"]\nbroad = true\nlocal = ["127.0.0.1/32"]\nverdict = "allow"\n` })
  for (const name of Object.keys(sets)) t.equal(codeOf(await say(proxy.port, get(`${name}.test`, origin.port))), 'dns_mixed', name)
  t.equal(origin.connections(), 0)
  const last = proxy.decisions().at(-1)
  t.match(last?.attributes, { 'sallyport.stage': 'address', 'sallyport.code': 'dns_mixed' })
})

t.test('a name that changes its address between two answers reaches the judged one only', async (t) => {
  const good = await strictOrigin(t)
  const other = await rawOrigin(t, (socket) => socket.end(ok('wrong place')), '127.0.0.2')
  let asked = 0
  const rebinding = (address: () => string) => ({ get addresses() { return [address()] }, ttlSeconds: 0 })
  const dns = await startDnsServer(t, { 'rebind.test': { A: rebinding(() => (asked++ === 0 ? '127.0.0.1' : '127.0.0.2')), AAAA: {} } })
  const proxy = await startWithDns(t, dns, { policy: `[network]\n[[network.rules]]\nid = "x"\nhosts = ["rebind.test:${good.port}", "rebind.test:${other.port}"]\nlocal = ["127.0.0.1/32"]\nverdict = "allow"\n` })
  t.match(await say(proxy.port, get('rebind.test', good.port)), /^HTTP\/1\.1 200 /)
  t.equal(dns.count('rebind.test', 'A'), 1, 'one query for one decision')
  t.equal(codeOf(await say(proxy.port, get('rebind.test', good.port))), 'ip_denied', 'the second answer is judged like the first')
  t.equal(codeOf(await say(proxy.port, get('rebind.test', other.port))), 'ip_denied')
  t.equal(other.connections(), 0)
  t.equal(good.connections(), 1)
})

t.test('a kept-alive connection is not used once its name resolves elsewhere', async (t) => {
  const origin = await strictOrigin(t)
  const answers = { list: ['127.0.0.1'] }
  const dns = await startDnsServer(t, { 'pool.test': { A: { get addresses() { return answers.list }, ttlSeconds: 0 }, AAAA: {} } })
  const proxy = await startWithDns(t, dns, { policy: `[network]\n[[network.rules]]\nid = "x"\nhosts = ["pool.test:${origin.port}"]\nlocal = ["127.0.0.1/32"]\nverdict = "allow"\n` })
  const client = await WireClient.open(proxy.port)
  const request = get('pool.test', origin.port).replace('Connection: close\r\n', '')
  client.send(request)
  t.equal((await client.answers(1))[0]?.status, 200)
  answers.list = ['10.0.0.1']
  client.send(request)
  t.equal((await client.answers(2))[1]?.status, 403)
  client.socket.destroy()
  t.equal(origin.requests.length, 1)
})

t.test('an address rule for a resolved address refuses the name', async (t) => {
  const origin = await strictOrigin(t)
  const proxy = await startProxy(t, {
    policy: `[network]\ndenied_domains = ["127.0.0.0/8"]\n[[network.rules]]\nid = "x"\nhosts = ["named.test:${origin.port}"]\nlocal = ["127.0.0.1/32"]\nverdict = "allow"\n`,
    hosts: { 'named.test': '127.0.0.1' },
  })
  t.equal(codeOf(await say(proxy.port, get('named.test', origin.port))), 'ip_denied')
  t.equal(origin.connections(), 0)
})

t.test('a denied or unknown host causes no query at all', async (t) => {
  const dns = await startDnsServer(t)
  const proxy = await startWithDns(t, dns, { change: (settings) => ({ ...settings, sessions: { ...settings.sessions, hold: 0 } }), policy: '[network]\nunknown = "deny"\ndenied_domains = ["**.denied.test"]\nreview_domains = ["review.test"]\nallowed_domains = ["allowed.test"]\n[[network.rules]]\nid = "read"\nhosts = ["read.test"]\nmethods = ["GET"]\nverdict = "allow"\n' })
  for (const name of ['denied.test', 'a.denied.test', 'unknown.test', 'review.test', 'allowed.test:8443', 'allowed.test:25']) {
    const authority = name.includes(':') ? name : `${name}:443`
    t.match(await say(proxy.port, `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`), /^HTTP\/1\.1 403 /, name)
    t.match(await say(proxy.port, get(name)), /^HTTP\/1\.1 403 /, name)
  }
  t.match(await say(proxy.port, get('read.test').replace('GET', 'DELETE')), /^HTTP\/1\.1 403 /)
  const { socket, head } = await openTunnel(proxy.port, 'read.test:80')
  t.match(head, /^HTTP\/1\.1 200/)
  socket.destroy()
  t.equal(dns.queries.length, 0)
})

t.test('what a name server fails at is a 502 or 504 of its own name, and never policy', async (t) => {
  const many = Array.from({ length: 500 }, (_, at) => `127.0.${Math.floor(at / 250)}.${(at % 250) + 1}`)
  const dns = await startDnsServer(t, {
    'servfail.test': { code: 2 }, 'refused.test': { code: 5 }, 'empty.test': {}, 'silent.test': { silent: true },
    'loop.test': { aliases: ['loop2.test', 'loop.test', 'loop2.test'] }, 'hangs.test': { truncated: true, hangsUp: true },
    'many.test': { A: { addresses: many, truncated: true }, AAAA: {} },
  })
  const proxy = await startWithDns(t, dns, { policy: open })
  const expected = { nxdomain: 'dns_not_found', servfail: 'dns_failed', refused: 'dns_failed', empty: 'dns_no_address', silent: 'dns_timeout', loop: 'dns_', hangs: 'dns_', many: 'dns_' }
  await Promise.all(Object.entries(expected).map(async ([name, code]) => {
    const received = await say(proxy.port, `CONNECT ${name}.test:443 HTTP/1.1\r\nHost: ${name}.test:443\r\n\r\n`)
    t.ok(codeOf(received).startsWith(code), `${name}: ${codeOf(received)}`)
    t.match(received, /^HTTP\/1\.1 50[24] /, name)
    t.notMatch(received, /x-proxy-error/i, name)
  }))
  t.equal(proxy.decisions().filter((record) => record.attributes['network.policy.decision'] === 'deny').length, 0)
})

t.test('names whose server is dead do not hold up a healthy one', async (t) => {
  const origin = await strictOrigin(t)
  const dns = await startDnsServer(t, Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`dead${at}.test`, { silent: true }])))
  dns.set('healthy.test', { addresses: ['127.0.0.1'] })
  const proxy = await startWithDns(t, dns, { timeoutMs: 30_000, policy: `[network]\nallowed_domains = ["*"]\n[[network.rules]]\nid = "x"\nhosts = ["healthy.test:${origin.port}"]\nlocal = ["127.0.0.1/32"]\nverdict = "allow"\n` })
  let dead = 0
  for (let at = 0; at < 100; at++) void say(proxy.port, get(`dead${at}.test`)).then(() => (dead += 1))
  await Promise.all(Array.from({ length: 100 }, (_, at) => dns.seen(`dead${at}.test`, 1)))
  t.match(await say(proxy.port, get('healthy.test', origin.port)), /^HTTP\/1\.1 200 /)
  t.equal(dead, 0, 'while every other name is still being asked for')
})

t.test('an address is open to a rule that names it, and to nothing else', async (t) => {
  const origin = await strictOrigin(t)
  const proxy = await startProxy(t, { policy: `[network]\nallowed_domains = ["127.0.0.1:${origin.port}"]\n` })
  t.match(await say(proxy.port, get('127.0.0.1', origin.port)), /^HTTP\/1\.1 200 /)
  for (const host of ['[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[::7f00:1]', '[64:ff9b::7f00:1]', '[2002:7f00:1::]', '127.0.0.2', '[::1]', '0.0.0.0', '[::]']) {
    t.match(await say(proxy.port, get(host, origin.port)), /^HTTP\/1\.1 403 /, host)
  }
  t.equal(origin.connections(), 1)
})

t.test('the listeners of the proxy itself are closed by every spelling, whatever a rule opens', async (t) => {
  const interfaces = Object.values(networkInterfaces()).flatMap((list) => list ?? []).map(({ address }) => address).filter((address) => !address.includes('%') && !address.startsWith('fe80'))
  const names = { 'self.test': '127.0.0.1', 'self2.test': '127.0.0.77', 'self6.test': '::1', 'any.test': '0.0.0.0', ...Object.fromEntries(interfaces.map((address, at) => [`if${at}.test`, address])) }
  const own = hostname().toLowerCase()
  const hostnames = /^[a-z0-9-]+$/.test(own) ? [own] : []
  const literals = ['127.0.0.1', '127.0.0.2', '127.255.255.254', '[::1]', '0.0.0.0', '[::]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', ...interfaces.map((address) => (address.includes(':') ? `[${address}]` : address))]
  const ports = Array.from({ length: 2 }, () => 0)
  const proxy = await startProxy(t, {
    policy: '[network]\nallow_local_binding = true\nallowed_domains = ["*:1-65535", "localhost:1-65535", "127.0.0.0/8:1-65535", "[::1]:1-65535", "10.0.0.0/8:1-65535", "172.16.0.0/12:1-65535", "192.168.0.0/16:1-65535"]\n',
    hosts: { ...names, ...Object.fromEntries(hostnames.map((name) => [name, '127.0.1.1'])) },
    flags: { ops: '127.0.0.1:0' },
  })
  ports[0] = proxy.port
  ports[1] = Number(new URL(proxy.ops).port)
  for (const port of ports) {
    for (const host of ['localhost', 'LOCALHOST.', 'a.localhost', ...Object.keys(names), ...hostnames, ...literals]) {
      for (const bytes of [`CONNECT ${host}:${port} HTTP/1.1\r\nHost: ${host}:${port}\r\n\r\n`, get(host, port)]) {
        const received = await say(proxy.port, bytes)
        const expected = literals.includes(host) ? /^(?:self|ip_denied|ip_literal_denied)$/ : /^self$/
        t.match(codeOf(received), expected, `${bytes.slice(0, 7)} ${host}:${port}`)
      }
    }
  }
  t.equal(codeOf(await say(proxy.port, get('127.0.0.1', proxy.port))), 'self')
})

t.test('the collector is closed to agents under every name it goes by', async (t) => {
  const collector = await strictOrigin(t, () => ok('{}'))
  const proxy = await startProxy(t, {
    policy: `[network]\nallow_local_binding = true\nallowed_domains = ["localhost:${collector.port}", "127.0.0.1:${collector.port}", "collector.test:${collector.port}", "alias.test:${collector.port}"]\n`,
    hosts: { 'collector.test': '127.0.0.1', 'alias.test': '127.0.0.1' },
    change: (settings) => ({ ...settings, otel: { ...settings.otel, exporter: collectorAt(`http://collector.test:${collector.port}/v1/logs`) } }),
  })
  const forged = (host: string): string => `POST http://${host}:${collector.port}/v1/logs HTTP/1.1\r\nHost: ${host}:${collector.port}\r\nContent-Length: 6\r\nConnection: close\r\n\r\nforged`
  t.equal(codeOf(await say(proxy.port, forged('collector.test'))), 'reserved_destination')
  t.equal(codeOf(await say(proxy.port, `CONNECT collector.test:${collector.port} HTTP/1.1\r\nHost: collector.test:${collector.port}\r\n\r\n`)), 'reserved_destination')
  t.notOk(collector.requests.some(({ body }) => body === 'forged'))
})
