import t from 'tap'
import { parseHostsFile } from '../../src/egress/hosts-file.ts'
import * as fc from '../support/property.ts'

function read(text: string): Record<string, readonly string[]> {
  return Object.fromEntries([...parseHostsFile(text)].map(([name, ips]) => [name, ips.map((ip) => ip.text)]))
}

t.test('names, aliases, comments, tabs and CRLF are read as systems read them', async (t) => {
  const text = '# comment\r\n127.0.0.1\tlocalhost\r\n10.1.2.3  Web.Example.test. web # and more\n\n2001:DB8::1 web\n10.1.2.3 web\n'
  t.same(read(text), { localhost: ['127.0.0.1'], 'web.example.test': ['10.1.2.3'], web: ['10.1.2.3', '2001:db8::1'] })
})

t.test('lines whose address cannot be read strictly are skipped', async (t) => {
  t.same(read('127.1 a\n0x7f000001 b\n010.0.0.1 c\nfe80::1%lo d\nname 127.0.0.1\n10.0.0.1\n10.0.0.1 #x\n'), {})
})

t.test('a name like a property of every object is a name', async (t) => {
  const hosts = parseHostsFile('10.0.0.1 constructor __proto__')
  t.equal(hosts.get('constructor')?.[0]?.text, '10.0.0.1')
  t.equal(hosts.get('__proto__')?.[0]?.text, '10.0.0.1')
  t.equal(hosts.get('hasownproperty'), undefined)
})

t.test('whatever the file holds, it is read without an exception', async (t) => {
  const line = fc.tuple(fc.oneof(fc.ipV4(), fc.ipV6(), fc.string()), fc.string()).map(([a, b]) => `${a} ${b}`)
  fc.assert(fc.property(fc.array(line), (lines) => {
    for (const [name, ips] of parseHostsFile(lines.join('\n'))) if (name !== name.toLowerCase() || ips.length === 0) return false
    return true
  }))
  t.pass('no exception')
})
