import t from 'tap'
import { parseNameServer } from '../../src/egress/name-server.ts'
import { parseResolvConf } from '../../src/egress/resolv-conf.ts'
import * as fc from '../support/property.ts'

t.test('name servers come in order, of both families, without repeats', async (t) => {
  const conf = parseResolvConf('# x\nnameserver 192.0.2.1\nnameserver\t2001:db8::53 \n; y\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\nnameserver dns.test\nnameserver\n')
  t.same(conf.servers.map((server) => server.text), ['192.0.2.1:53', '[2001:db8::53]:53', '[fe80::1%eth0]:53'])
})

t.test('timeout and attempts are honoured within limits', async (t) => {
  t.match(parseResolvConf('options timeout:2 attempts:3 rotate edns0'), { timeoutMs: 2000, attempts: 3 })
  t.match(parseResolvConf('options timeout:0 attempts:0'), { timeoutMs: 1000, attempts: 1 })
  t.match(parseResolvConf('options timeout:999 attempts:99'), { timeoutMs: 30_000, attempts: 5 })
  t.match(parseResolvConf('options timeout:x attempts:-1 timeout: attempts'), { timeoutMs: 5000, attempts: 3 })
})

t.test('search, domain and ndots leave nothing behind', async (t) => {
  t.same(parseResolvConf('search a.test b.test\ndomain c.test\noptions ndots:5\n'), { servers: [], timeoutMs: 5000, attempts: 3 })
})

t.test('at most 8 servers are taken', async (t) => {
  const text = Array.from({ length: 20 }, (_, i) => `nameserver 192.0.2.${i}`).join('\n')
  t.equal(parseResolvConf(text).servers.length, 8)
})

t.test('a name server is an address, with or without a port', async (t) => {
  const forms: Readonly<Record<string, string | undefined>> = {
    '192.0.2.1': '192.0.2.1:53',
    '192.0.2.1:5353': '192.0.2.1:5353',
    '[2001:db8::1]:5353': '[2001:db8::1]:5353',
    '2001:DB8:0::1': '[2001:db8::1]:53',
    '[192.0.2.1]:53': '192.0.2.1:53',
    '[fe80::1%eth0]:53': '[fe80::1%eth0]:53',
    'dns.test': undefined,
    '127.1': undefined,
    '192.0.2.1:0': undefined,
    '192.0.2.1:65536': undefined,
    '192.0.2.1:': undefined,
    '192.0.2.1%eth0': undefined,
    'fe80::1%': undefined,
    'fe80::1%a b': undefined,
    '[2001:db8::1]': undefined,
    '': undefined,
  }
  for (const [text, expected] of Object.entries(forms)) t.equal(parseNameServer(text)?.text, expected, text)
})

t.test('whatever the file holds, it is read without an exception', async (t) => {
  const word = fc.constantFrom('nameserver', 'options', 'timeout:', 'attempts:', 'search', '::', '127.0.0.1', '%', '[', ']:53', '\n', ' ', '\r')
  fc.assert(fc.property(fc.array(fc.oneof(word, fc.string())), (words) => {
    const conf = parseResolvConf(words.join(''))
    return conf.servers.length <= 8 && conf.attempts >= 1 && conf.attempts <= 5 && conf.timeoutMs >= 1000 && conf.timeoutMs <= 30_000
  }))
  t.pass('no exception')
})
