import { domainToASCII, domainToUnicode } from 'node:url'
import t from 'tap'
import { formatHost, parseHost, unicodeHost } from '../../src/target/host.ts'
import * as fc from '../support/property.ts'

const label63 = 'a'.repeat(63)

t.test('a name has one spelling', async (t) => {
  for (const [text, name] of [
    ['example.com', 'example.com'],
    ['EXAMPLE.Com', 'example.com'],
    ['example.com.', 'example.com'],
    ['EXAMPLE.COM.', 'example.com'],
    ['localhost', 'localhost'],
    ['_dmarc.example.com', '_dmarc.example.com'],
    ['a_b.example', 'a_b.example'],
    ['r3---sn-x.example', 'r3---sn-x.example'],
    ['1.example', '1.example'],
    ['1password.com', '1password.com'],
    ['0xabc.example', '0xabc.example'],
    ['example.0xg', 'example.0xg'],
    ['example.1a', 'example.1a'],
    ['x', 'x'],
    ['a-1', 'a-1'],
  ] as const) {
    t.same(parseHost(text), { kind: 'name', text: name }, text)
    t.equal(formatHost(parseHost(text)), name)
  }
})

t.test('the lengths are those of DNS', async (t) => {
  const name253 = `${label63}.${label63}.${label63}.${'b'.repeat(61)}`
  t.equal(parseHost(label63).text, label63)
  t.equal(parseHost(name253).text, name253)
  t.equal(parseHost(`${name253}.`).text, name253, 'the root dot does not count')
  t.throws(() => parseHost(`${label63}a`), { code: 'host_syntax' })
  t.throws(() => parseHost(`${label63}a.test`), { code: 'host_syntax' })
  t.throws(() => parseHost(`${name253}b`), { code: 'host_syntax' })
  t.throws(() => parseHost(`${name253}b.`), { code: 'host_syntax' })
  t.throws(() => parseHost(`${'a.'.repeat(100_000)}a`), { code: 'host_syntax' })
})

t.test('every code unit outside the grammar is refused, wherever it stands', async (t) => {
  const allowed = /^[A-Za-z0-9._-]$/
  for (let code = 0; code <= 0x17f; code++) {
    const c = String.fromCharCode(code)
    if (allowed.test(c)) continue
    for (const text of [`a${c}b.test`, `${c}a.test`, `a.test${c}`, `127.0.0.1${c}.allowed.test`]) {
      t.throws(() => parseHost(text), { code: 'host_syntax' }, JSON.stringify(text))
    }
  }
})

t.test('other spellings of a letter, a dot or nothing are refused', async (t) => {
  for (const text of ['１２７.0.0.1', '127。0。0。1', 'ⓛocalhost', 'localhoſt', 'local\u00adhost', 'ß.test', 'bücher.example', 'a\ud83d\ude00.test', 'a\ud800.test', '%61llowed.test', '%31%32%37.0.0.1', '%00']) {
    t.throws(() => parseHost(text), { code: 'host_syntax' }, JSON.stringify(text))
  }
})

t.test('labels are not empty and have no hyphen at an edge', async (t) => {
  for (const text of ['', '.', '..', '.a', 'a..', 'a..b', '.a.', '-a.test', 'a-.test', 'a.-b', 'a.b-', '-', 'a.-', 'a.b-.']) {
    t.throws(() => parseHost(text), { code: 'host_syntax' }, JSON.stringify(text))
  }
})

t.test('what a resolver takes for an address is a dotted quad or refused', async (t) => {
  for (const text of [
    '127.1', '127.0.1', '1.2.3', '2130706433', '0', '0x7f000001', '0x7f.1', '0X7F.0.0.1', '0177.0.0.1', '127.0.0.01', '127.0.0.1.',
    '256.256.256.256', '1.2.3.256', '1.2.3.4.5', '0x', 'a.0x', '127.0.0.0x1', 'foo.1', 'foo.08', '00.0.0.0', '4294967296',
    '2852039166', '0xa9fea9fe', '0251.0376.0251.0376', '169.254.43518', '0xA9.254.0251.254', '169.16689662',
  ]) {
    t.throws(() => parseHost(text), { code: 'host_ambiguous_ip' }, text)
  }
  const host = parseHost('127.0.0.1')
  t.equal(host.kind, 'ip')
  t.equal(host.text, '127.0.0.1')
  t.equal(formatHost(host), '127.0.0.1')
})

t.test('brackets hold IPv6 and nothing else', async (t) => {
  for (const [text, canonical] of [
    ['[::1]', '::1'],
    ['[0:0:0:0:0:0:0:1]', '::1'],
    ['[2001:DB8::A]', '2001:db8::a'],
    ['[::FFFF:7f00:1]', '::ffff:127.0.0.1'],
    ['[::ffff:127.0.0.1]', '::ffff:127.0.0.1'],
  ] as const) {
    const host = parseHost(text)
    t.equal(host.kind, 'ip')
    t.equal(host.text, canonical)
    t.equal(formatHost(host), `[${canonical}]`)
  }
  for (const text of ['[example.com]', '[127.0.0.1]', '[]', '[', ']', '[::1', '::1]', '[[::1]]', '[::1]]', '[::1].', '[::1%25lo]', '[fe80::1%lo]', '[::1 ]', '[*]', '::1', 'fe80::1']) {
    t.throws(() => parseHost(text), { code: 'host_syntax' }, text)
  }
})

t.test('an A-label is the one spelling of what it decodes to', async (t) => {
  for (const [text, unicode] of [
    ['xn--bcher-kva.example', 'bücher.example'],
    ['XN--BCHER-KVA.example', 'bücher.example'],
    ['xn--zca.test', 'ß.test'],
    ['xn--ls8h.la', '💩.la'],
    ['_a.xn--bcher-kva.de.', '_a.bücher.de'],
    ['xn--fiqs8s', '中国'],
    ['www.xn--80ak6aa92e.com', 'www.аррӏе.com'],
    ['xn--4dbrk0ce', 'ישראל'],
  ] as const) {
    const host = parseHost(text)
    t.equal(host.text, text.toLowerCase().replace(/\.$/, ''))
    t.equal(unicodeHost(host.text), unicode)
  }
  for (const text of [
    'xn--', 'a.xn--', 'xn--.test', 'xn--a', 'xn--0.pt', 'xn--abc-', 'xn--abc', 'xn--a-b-', 'xn--99999999', 'xn--a-99999999999999999999',
    'xn--wca', 'xn--a-kfa', // an upper-case letter
    'xn--mi7c', 'xn--6uh', // a full-width and a circled letter
    'xn--a-vca', 'xn--1ug', // a soft hyphen, a joiner alone
    'xn--e-xbb', // a letter and a combining accent that are one letter
    'xn--xn--a--8ya', // a label that would look like an A-label again
    'xn--ss-', 'xn--\u00fc', `xn--${'9'.repeat(59)}`,
  ]) {
    t.throws(() => parseHost(text), { code: 'host_syntax' }, text)
  }
  t.equal(unicodeHost('xn--a.test'), 'xn--a.test', 'what does not decode is shown as it is')
  t.equal(unicodeHost('example.com'), 'example.com')
})

t.test('what the runtime makes of international text, and only that, is an A-label', async (t) => {
  const text = fc.oneof(
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }),
    fc.string({ unit: fc.constantFrom(...Array.from('äöüßéabcxyz019жшщ中文日本語한국어ไทยअआ')), minLength: 1, maxLength: 20 }),
  )
  let compared = 0
  fc.assert(
    fc.property(text, (label) => {
      const ascii = domainToASCII(label)
      const labels = ascii.split('.')
      if (!ascii.startsWith('xn--') || labels.some((part) => part === '' || part.length > 63 || /^-|-$/.test(part)) || /[^a-z0-9._-]|(^|\.)(\d+|0x[0-9a-f]*)$/.test(ascii)) return
      compared++
      const host = parseHost(ascii)
      if (host.text !== ascii) throw new Error(`${ascii} became ${host.text}`)
      if (unicodeHost(ascii) !== domainToUnicode(ascii)) throw new Error(`${ascii}: ${unicodeHost(ascii)}`)
    }),
    { numRuns: 5000 },
  )
  t.ok(compared > 1000, `${compared} compared`)
})

t.test('a random xn-- label is refused or is what the runtime would write', async () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[a-z0-9-]{1,20}$/), (tail) => {
      const label = `xn--${tail}`
      let text
      try {
        ;({ text } = parseHost(label))
      } catch {
        return
      }
      const unicode = unicodeHost(text)
      if (unicode === text || domainToASCII(unicode) !== label) throw new Error(`${label} as ${unicode}`)
    }),
    { numRuns: 10_000 },
  )
})

t.test('a refusal is one visible line whatever the host holds', async (t) => {
  for (const text of ['a\r\nb', 'a\u001b[31m', 'a`b', 'a\u202eb', 'x'.repeat(100_000)]) {
    t.throws(() => parseHost(text), { code: 'host_syntax', message: /^[\x20-\x7e]{1,220}$/ }, JSON.stringify(text.slice(0, 20)))
  }
})
