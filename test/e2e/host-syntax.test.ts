// Hosts and authorities that can be read in two ways, at every place a request may name one: refused
// with 400 before anything is decided, resolved or dialled, and each with one event of one line.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startDnsServer } from '../support/dns-server.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'
import { strictOrigin } from '../support/strict-origin.ts'
import { readAnswers, say } from '../support/wire-client.ts'

const latin = (text: string): string => Buffer.from(text, 'utf8').toString('latin1')
const longName = `${'a'.repeat(60)}.`.repeat(4)

/** what no host is, by its group in the list of cases */
const badHosts: Readonly<Record<string, readonly string[]>> = {
  'a NUL': ['127.0.0.1\0.allowed.test', 'allowed.test\0evil', '\0'],
  'a control or a space': ['allowed\ttest', 'allowed test', 'allowed\x7f.test', 'allowed\x85.test', 'allowed\x1b[31m.test', 'allowed.test\x0b', 'allowed.test\r', 'allowed.test\n'],
  'dots in the wrong place': ['allowed.test..', '.allowed.test', 'a..b', '.', '..'],
  'brackets around no IPv6 address': ['[allowed.test]', '[[::1]]', '[::1', '::1]', '[127.0.0.1]', '[fe80::1%25lo]', '[fe80::1%lo]', '[]'],
  'a label or name too long': [`${'a'.repeat(64)}.test`, `${longName}${'b'.repeat(254 - longName.length)}`],
  'userinfo': ['user@allowed.test', 'u:p@allowed.test', 'allowed.test@evil.test', '@allowed.test'],
  'escapes and delimiters': ['%61llowed.test', 'allowed.test%00', 'allowed\\.test', 'allowed.test/x', 'allowed.test?x', 'allowed.test#x', 'allowed"test', '<allowed.test>', 'a,b', '*', '*.allowed.test', 'allowed;test', 'allowed$test'],
  'characters beyond ASCII': [latin('１２７.0.0.1'), latin('127。0。0。1'), latin('localhoſt'), latin('ⓛocalhost'), latin('local\u00adhost'), latin('аllowed.test'), 'b\xfccher.test'],
  'broken A-labels': ['xn--', 'xn--.test', 'xn--a.test', 'xn--zz--zz.test', 'xn--allowed-.test', 'xn--a-ecp.ru-.test'],
  'hyphens at an edge': ['-allowed.test', 'allowed-.test'],
  'numbers that resolvers take for addresses': ['127.1', '2130706433', '0x7f000001', '0177.0.0.1', '127.0.0.01', '0', '1.2.3', '256.256.256.256', '0x7f.1', '127.0.0.1.1', '1.2.3.4.5', '017700000001', '0xa9fea9fe', '2852039166', '169.254.43518'],
}

const badPorts = ['', ':', ':0', ':65536', ':99999', ':+443', ':0443', ': 443', ':443x', ':-1', ':65979', ':4 43', ':https']

const policy = (port: number): string => `[network]
unknown = "deny"
[[network.rules]]
id = "origin"
hosts = ["allowed.test:${port}", "*.below.test:${port}", "xn--bcher-kva.test:${port}"]
local = ["127.0.0.1/32"]
verdict = "allow"
`

function statusOf(received: string): number {
  return readAnswers(received)[0]?.status ?? 0
}

function oneEventEach(t: Test, proxy: TestProxy, cases: number): void {
  const decisions = proxy.decisions()
  t.equal(decisions.length, cases, 'one decision for each')
  t.ok(decisions.every((record) => record.attributes['network.policy.decision'] === 'deny'), 'all of them denials')
}

t.test('a host that can be read in two ways', async (t) => {
  const dns = await startDnsServer(t)
  const origin = await strictOrigin(t)
  const proxy = await startProxy(t, { policy: policy(origin.port), change: (settings) => ({ ...settings, dns: { ...settings.dns, servers: [dns.text] } }) })
  const good = `allowed.test:${origin.port}`
  let cases = 0
  for (const [what, hosts] of Object.entries(badHosts)) {
    t.test(`with ${what} is refused in CONNECT, in absolute-form and in Host`, async (t) => {
      for (const host of hosts) {
        const forms = {
          connect: `CONNECT ${host}:${origin.port} HTTP/1.1\r\nHost: ${good}\r\n\r\n`,
          absolute: `GET http://${host}:${origin.port}/ HTTP/1.1\r\nHost: ${good}\r\n\r\n`,
          field: `GET http://${good}/ HTTP/1.1\r\nHost: ${host}:${origin.port}\r\n\r\n`,
        }
        for (const [form, bytes] of Object.entries(forms)) {
          // beyond the authority of a URL these are its path, query or fragment, and the host before them is fine
          if (form === 'absolute' && /[/?]/.test(host)) continue
          const received = await say(proxy.port, bytes)
          cases += 1
          t.ok([400, 405, 505].includes(statusOf(received)), `${JSON.stringify(host)} in ${form}: ${received.slice(0, 60)}`)
        }
      }
    })
  }
  t.test('with a port that is none is refused', async (t) => {
    for (const port of badPorts) {
      const received = await say(proxy.port, `CONNECT allowed.test${port} HTTP/1.1\r\nHost: ${good}\r\n\r\n`)
      cases += 1
      t.ok([400, 505].includes(statusOf(received)), `CONNECT ${JSON.stringify(port)}: ${received.slice(0, 60)}`)
      if (port === '') continue
      const plain = await say(proxy.port, `GET http://allowed.test${port}/ HTTP/1.1\r\nHost: ${good}\r\n\r\n`)
      cases += 1
      t.ok([400, 505].includes(statusOf(plain)), `GET ${JSON.stringify(port)}: ${plain.slice(0, 60)}`)
    }
  })
  t.test('or a CONNECT target that is no authority at all is refused', async (t) => {
    for (const target of ['', ' ', '*:443', '/', '/x', 'http://allowed.test/', `http://${good}`, 'https://allowed.test:443/', ':443', '443', 'allowed.test', '::1:443', '*', 'allowed.test:443:443']) {
      const received = await say(proxy.port, `CONNECT ${target} HTTP/1.1\r\nHost: ${good}\r\n\r\n`)
      cases += 1
      t.ok([400, 405, 505].includes(statusOf(received)), `${JSON.stringify(target)}: ${received.slice(0, 60)}`)
    }
  })
  t.test('leaves one event each, and nothing was asked or dialled', async (t) => {
    oneEventEach(t, proxy, cases)
    t.equal(origin.connections(), 0)
    t.equal(dns.queries.length, 0)
    const dir = join(proxy.dir, 'var', 'journal')
    const lines = readdirSync(dir).filter((name) => /^segment-.*\.jsonl$/.test(name)).flatMap((name) => readFileSync(join(dir, name), 'latin1').split('\n'))
    t.notOk(lines.some((line) => /[^\x20-\x7e]/.test(line)), 'every record is one line of visible ASCII')
  })
})

t.test('the spellings that are one name are one name: decided, resolved and dialled alike', async (t) => {
  const dns = await startDnsServer(t, { 'allowed.test': { addresses: ['127.0.0.1'] } })
  const origin = await strictOrigin(t)
  const proxy = await startProxy(t, { policy: policy(origin.port), change: (settings) => ({ ...settings, dns: { ...settings.dns, servers: [dns.text] } }) })
  const spellings = ['allowed.test', 'ALLOWED.TEST', 'allowed.test.', 'Allowed.Test.']
  for (const host of spellings) {
    const received = await say(proxy.port, `GET http://${host}:${origin.port}/ HTTP/1.1\r\nHost: ${host}:${origin.port}\r\nConnection: close\r\n\r\n`)
    t.equal(statusOf(received), 200, host)
  }
  t.same(new Set(proxy.decisions().map(({ attributes }) => `${String(attributes['server.address'])} ${String(attributes['security_rule.name'])}`)), new Set(['allowed.test origin']))
  t.strictSame(origin.complaints, [])
  t.same(new Set(origin.requests.flatMap(({ fields }) => fields.filter(([name]) => name.toLowerCase() === 'host').map(([, value]) => value))), new Set([`allowed.test:${origin.port}`]))
  t.ok(dns.queries.every(({ name }) => name === 'allowed.test'))
  t.equal(dns.count('allowed.test', 'A'), 1, 'and one cache entry')
})

t.test('names that only look like an allowed one are another name', async (t) => {
  const dns = await startDnsServer(t)
  const origin = await strictOrigin(t)
  const proxy = await startProxy(t, { policy: policy(origin.port), change: (settings) => ({ ...settings, dns: { ...settings.dns, servers: [dns.text] } }) })
  const others = ['evilallowed.test', 'allowed.test.evil.test', 'allowed-test', 'allowed.tes', 'x.allowed.test', 'below.test', 'evilbelow.test', 'a.below.test.evil.test', 'bcher-kva.test', `${'a'.repeat(63)}.test`, `${longName}${'b'.repeat(253 - longName.length)}`]
  for (const host of others) {
    for (const bytes of [`CONNECT ${host}:${origin.port} HTTP/1.1\r\nHost: ${host}:${origin.port}\r\n\r\n`, `GET http://${host}:${origin.port}/ HTTP/1.1\r\nHost: ${host}:${origin.port}\r\nConnection: close\r\n\r\n`]) {
      const received = await say(proxy.port, bytes)
      t.match(received, /^HTTP\/1\.1 403 [^]*"code":"not_allowed"/, host.slice(0, 40))
    }
  }
  t.equal(origin.connections() + dns.queries.length, 0)
})

t.test('ports of services that take commands are closed for an allowed host', async (t) => {
  const proxy = await startProxy(t, { policy: '[network]\nunknown = "allow"\nallowed_domains = ["allowed.test"]\n' })
  for (const port of [22, 25, 465, 587, 6379, 9200, 11211]) {
    t.match(await say(proxy.port, `CONNECT allowed.test:${port} HTTP/1.1\r\nHost: allowed.test:${port}\r\n\r\n`), /"code":"port_denied"/, `CONNECT ${port}`)
    t.match(await say(proxy.port, `GET http://allowed.test:${port}/ HTTP/1.1\r\nHost: allowed.test:${port}\r\nConnection: close\r\n\r\n`), /"code":"port_denied"/, `GET ${port}`)
  }
})

t.test('URLs of other schemes and requests that are not for a proxy are refused, never sent in clear text', async (t) => {
  const origin = await strictOrigin(t)
  const proxy = await startProxy(t, { policy: policy(origin.port), hosts: { 'allowed.test': '127.0.0.1' } })
  const good = `allowed.test:${origin.port}`
  for (const target of [`https://${good}/`, `HTTPS://${good}/`, `ftp://${good}/`, 'file:///etc/passwd', `gopher://${good}/`, `ws://${good}/`, `wss://${good}/`, 'http:///', 'http://', 'http:', `http:${good}/`, `http:/${good}/`, `//${good}/`, '/etc/passwd', 'javascript:alert(1)', `http://${good}/a#b`, `http://${good}/a b`, `http://${good}\\@evil.test/`, `http://u:p@${good}/`, `http://${good}/\x00`, `http://${good}/\xe9`, `http://${good}/\x7f`, '*']) {
    const received = await say(proxy.port, `GET ${target} HTTP/1.1\r\nHost: ${good}\r\nConnection: close\r\n\r\n`)
    t.ok([400, 405, 505].includes(statusOf(received)), `${JSON.stringify(target)}: ${received.slice(0, 60)}`)
    t.ok(readAnswers(received)[0]?.fields.get('connection') === 'close', 'and the connection closes')
  }
  t.equal(origin.connections(), 0)
  t.match(await say(proxy.port, `OPTIONS * HTTP/1.1\r\nHost: ${good}\r\nConnection: close\r\n\r\n`), /^HTTP\/1\.1 400 /)
})

t.test('credentials in an authority are refused and stand nowhere in the journal', async (t) => {
  const proxy = await startProxy(t, { policy: policy(9) })
  t.match(await say(proxy.port, 'CONNECT user:hunter2hunter2@allowed.test:443 HTTP/1.1\r\nHost: allowed.test:443\r\n\r\n'), /^HTTP\/1\.1 400 /)
  t.match(await say(proxy.port, 'GET http://user:hunter2hunter2@allowed.test/ HTTP/1.1\r\nHost: allowed.test\r\n\r\n'), /^HTTP\/1\.1 400 /)
  t.match(await say(proxy.port, `GET http://allowed.test:9/ HTTP/1.1\r\nHost: allowed.test:9\r\nProxy-Authorization: Basic ${Buffer.from('user:hunter2hunter2').toString('base64')}\r\n\r\n`), /^HTTP\/1\.1 407 /)
  t.equal(proxy.decisions().length, 3)
  t.notMatch(JSON.stringify(proxy.records()), /hunter2|aHVudGVyM|dXNlcjpodW/)
})
