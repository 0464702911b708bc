import t from 'tap'
import { formatAuthority, parseAuthority } from '../../src/target/authority.ts'
import { anyAuthority } from './authority-arbitrary.ts'
import { authorityFault } from './authority-property.ts'
import * as fc from '../support/property.ts'

t.test('host and port are read and written in one spelling', async (t) => {
  for (const [text, written] of [
    ['EXAMPLE.com:443', 'example.com:443'],
    ['example.com.:443', 'example.com:443'],
    ['127.0.0.1:1', '127.0.0.1:1'],
    ['[::1]:65535', '[::1]:65535'],
    ['[2001:DB8:0::1]:443', '[2001:db8::1]:443'],
  ] as const) {
    t.equal(formatAuthority(parseAuthority(text)), written, text)
  }
  t.same(parseAuthority('a.test:8443'), { host: { kind: 'name', text: 'a.test' }, port: 8443 })
})

t.test('a default port fills in and is left out again', async (t) => {
  t.equal(parseAuthority('a.test', 80).port, 80)
  t.equal(parseAuthority('[::1]', 80).port, 80)
  t.equal(parseAuthority('a.test:8080', 80).port, 8080)
  t.equal(formatAuthority(parseAuthority('a.test:80', 80), 80), 'a.test')
  t.equal(formatAuthority(parseAuthority('[::1]:80'), 80), '[::1]')
  t.equal(formatAuthority(parseAuthority('a.test:80')), 'a.test:80')
})

t.test('a port has one spelling', async (t) => {
  for (const port of ['', '0', '00', '0443', '+443', '-443', ' 443', '443 ', '4 3', '65536', '65616', '99999', '100000', '4294967739', '0x1bb', '44a', '４４３', '443/x', '443?x', '443#x', '443:443', '443\0', '443\r\n']) {
    t.throws(() => parseAuthority(`a.test:${port}`), { code: 'authority_syntax' }, JSON.stringify(port))
    t.throws(() => parseAuthority(`a.test:${port}`, 443), { code: 'authority_syntax' }, JSON.stringify(port))
  }
  t.throws(() => parseAuthority('a.test'), { code: 'authority_syntax' }, 'missing')
  t.throws(() => parseAuthority('[::1]'), { code: 'authority_syntax' }, 'missing after a bracket')
})

t.test('what is not host:port is refused', async (t) => {
  for (const [text, code] of [
    ['', 'host_syntax'],
    [':443', 'host_syntax'],
    ['*:443', 'host_syntax'],
    ['a@b:443', 'host_syntax'],
    ['u:p@h:443', 'authority_syntax'],
    ['http://a.test/', 'authority_syntax'],
    ['//a.test:443', 'host_syntax'],
    ['../../x:443', 'host_syntax'],
    ['::1:443', 'host_syntax'],
    ['[::1', 'host_syntax'],
    ['[::1]443', 'authority_syntax'],
    ['[::1]x:443', 'authority_syntax'],
    ['[[::1]]:443', 'authority_syntax'],
    ['[allowed.test]:443', 'host_syntax'],
    ['[127.0.0.1]:443', 'host_syntax'],
    ['[fe80::1%25lo]:443', 'host_syntax'],
    ['127.1:443', 'host_ambiguous_ip'],
    ['%61llowed.test:443', 'host_syntax'],
    ['a.test%00:443', 'host_syntax'],
    ['a\\b:443', 'host_syntax'],
    ['a.test/x:443', 'host_syntax'],
    ['127.0.0.1\0.allowed.test:443', 'host_syntax'],
    ['allowed.test\0evil:443', 'host_syntax'],
  ] as const) {
    t.throws(() => parseAuthority(text, 443), { code }, JSON.stringify(text))
  }
})

t.test('any authority is refused with a code or stable in its only spelling', async (t) => {
  const inputs = fc.tuple(anyAuthority, fc.constantFrom(undefined, 80))
  fc.assert(
    fc.property(inputs, ([text, port]) => {
      const fault = authorityFault(text, port)
      if (fault !== undefined) throw new Error(fault)
    }),
    { numRuns: 20_000 },
  )
  t.equal(authorityFault('a.test:443', undefined), undefined)
  let read = 0
  for (const text of fc.sample(anyAuthority, { numRuns: 2000, seed: 1 })) {
    try {
      parseAuthority(text, 80)
      read++
    } catch {
      continue
    }
  }
  t.ok(read > 200, 'the generator makes enough that is valid')
  t.ok(read < 1800, 'and enough that is not')
})
