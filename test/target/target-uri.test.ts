import t from 'tap'
import { ProxyError } from '../../src/errors.ts'
import { formatAuthority, parseAuthority } from '../../src/target/authority.ts'
import { formatHost } from '../../src/target/host.ts'
import { formatTarget, parseAbsoluteForm, parseOriginForm, parseUrl } from '../../src/target/target-uri.ts'
import * as fc from '../support/property.ts'

const authority = parseAuthority('a.test:443')

t.test('absolute-form is taken apart and nothing in it is changed', async (t) => {
  for (const [target, host, path, query] of [
    ['http://a.test/', 'a.test:80', '/', undefined],
    ['http://a.test', 'a.test:80', '/', undefined],
    ['HTTP://A.test:8080/X', 'a.test:8080', '/X', undefined],
    ['http://a.test?q', 'a.test:80', '/', 'q'],
    ['http://a.test/?', 'a.test:80', '/', ''],
    ['http://a.test/a/../b/./c//d', 'a.test:80', '/a/../b/./c//d', undefined],
    ['http://a.test/%2e%2E/%00%zz?a=b?c=/d', 'a.test:80', '/%2e%2E/%00%zz', 'a=b?c=/d'],
    ['http://a.test/@types%2fnode', 'a.test:80', '/@types%2fnode', undefined],
    ['http://a.test/a:b@c', 'a.test:80', '/a:b@c', undefined],
    ['http://a.test?u@h', 'a.test:80', '/', 'u@h'],
    ['http://a.test/{x}|^`"<>', 'a.test:80', '/{x}|^`"<>', undefined],
    ['http://[::1]:81/', '[::1]:81', '/', undefined],
    ['http://127.0.0.1/x', '127.0.0.1:80', '/x', undefined],
  ] as const) {
    const uri = parseAbsoluteForm(target)
    t.equal(uri.scheme, 'http')
    t.equal(formatAuthority(uri.authority), host, target)
    t.equal(uri.path, path, target)
    t.equal(uri.query, query, target)
  }
  t.equal(formatTarget(parseAbsoluteForm('http://a.test/x/../y?z=%20?')), '/x/../y?z=%20?')
  t.equal(formatTarget(parseAbsoluteForm('http://a.test?')), '/?')
})

t.test('only http is an absolute-form of ours', async (t) => {
  for (const target of ['https://a.test/', 'HTTPS://a.test/', 'ftp://a.test/', 'file:///etc/passwd', 'file:/etc/passwd', 'gopher://a.test/', 'ws://a.test/', 'wss://a.test/', 'httpx://a.test/', 'http+unix://x/', 'view-source://a.test/']) {
    t.throws(() => parseAbsoluteForm(target), { code: 'scheme_unsupported' }, target)
  }
  for (const target of ['', '/', '*', 'a.test', 'a.test:443', 'http:', 'http:/a.test/', 'http:a.test', '://a.test/', '1http://a.test/', '//a.test/', 'h ttp://a.test/', 'http//a.test', 'mailto:a', 'data:,x', 'javascript:x']) {
    t.throws(() => parseAbsoluteForm(target), { code: 'target_syntax' }, target)
  }
})

t.test('userinfo, fragments, backslashes, spaces, controls and high bytes are refused anywhere', async (t) => {
  for (const target of ['http://u@a.test/', 'http://u:p@a.test/', 'http://allowed.test@evil.test/', 'http://@a.test/', 'http://a.test:80@evil.test/', 'http://a.test#x', 'http://a.test/#', 'http://a.test/?#x', 'http://a.test\\@evil.test/', 'http:\\\\a.test/', 'http://a.test/x\\y']) {
    t.throws(() => parseAbsoluteForm(target), { code: 'target_syntax' }, target)
  }
  for (let code = 0; code <= 0xff; code++) {
    if (code > 0x20 && code < 0x7f) continue
    const c = String.fromCharCode(code)
    for (const target of [`http://a${c}.test/`, `http://a.test/${c}`, `http://a.test/?${c}`, `${c}http://a.test/`, `http://a.test/${c}#`]) {
      t.throws(() => parseAbsoluteForm(target), { code: 'target_syntax' }, JSON.stringify(target))
    }
    t.throws(() => parseOriginForm(`/${c}`, 'https', authority), { code: 'target_syntax' })
  }
})

t.test('a URL of a list or an archive is http or https, and its fragment is dropped', async (t) => {
  for (const [text, host, path, query] of [['https://A.test', 'a.test:443', '/', undefined], ['HTTPS://a.test:8443/x?y#z', 'a.test:8443', '/x', 'y'], ['http://a.test/#', 'a.test:80', '/', undefined], ['https://[::1]?#\n', '[::1]:443', '/', '']] as const) {
    const uri = parseUrl(text)
    t.strictSame([formatAuthority(uri.authority), uri.path, uri.query, uri.scheme], [host, path, query, text.slice(0, 5).toLowerCase() === 'https' ? 'https' : 'http'], text)
  }
  for (const text of ['https:/a.test/', 'https:a.test', 'https://u@a.test/', 'https://a.test\\@b.test/', '#https://a.test/', 'https://a.test/ #', '//a.test/']) t.throws(() => parseUrl(text), { code: 'target_syntax' }, text)
  t.throws(() => parseUrl('ftp://a.test/'), { code: 'scheme_unsupported' })
})

t.test('the authority is held to the same grammar as that of CONNECT', async (t) => {
  for (const [target, code] of [
    ['http:///x', 'host_syntax'],
    ['http://', 'host_syntax'],
    ['http://?x', 'host_syntax'],
    ['http://:80/', 'host_syntax'],
    ['http://a.test:/', 'authority_syntax'],
    ['http://a.test:0/', 'authority_syntax'],
    ['http://a.test:080/', 'authority_syntax'],
    ['http://a.test:+80/', 'authority_syntax'],
    ['http://a.test:65616/', 'authority_syntax'],
    ['http://%61llowed.test/', 'host_syntax'],
    ['http://%31%32%37.0.0.1/', 'host_syntax'],
    ['http://127.1/', 'host_ambiguous_ip'],
    ['http://127.0.0.1./', 'host_ambiguous_ip'],
    ['http://[fe80::1%25lo]/', 'host_syntax'],
    ['http://[a.test]/', 'host_syntax'],
    ['http://a..test/', 'host_syntax'],
    ['http://*/', 'host_syntax'],
  ] as const) {
    t.throws(() => parseAbsoluteForm(target), { code }, target)
  }
})

t.test('origin-form keeps the connection\'s authority and every byte', async (t) => {
  const uri = parseOriginForm('//evil.test/../x?y?z', 'https', authority)
  t.same(uri, { scheme: 'https', authority, path: '//evil.test/../x', query: 'y?z' })
  t.equal(formatTarget(uri), '//evil.test/../x?y?z')
  for (const target of ['', '*', 'x', '?x', 'http://a.test/', 'a.test:443', '/#', '/\\', '/ x']) {
    t.throws(() => parseOriginForm(target, 'http', authority), { code: 'target_syntax' }, target)
  }
})

t.test('any target is refused with a code or goes out as it came in', async (t) => {
  const piece = fc.oneof(fc.constantFrom('/', '//', '.', '..', '%2f', '%', '?', '#', '@', ':', '\\', ' ', '\0', '\xe9', 'a', 'b.test'), fc.string({ unit: 'grapheme-ascii', maxLength: 5 }))
  const tail = fc.array(piece, { maxLength: 8 }).map((parts) => parts.join(''))
  const starts = fc.constantFrom('http://a.test', 'http://a.test/', 'HTTP://a.test:81/', 'http://', '/', '')
  let read = 0
  fc.assert(
    fc.property(starts, tail, (start, rest) => {
      const target = start + rest
      let uri
      try {
        uri = parseAbsoluteForm(target)
      } catch (error) {
        if (error instanceof ProxyError) return
        throw error
      }
      read++
      const authorityEnd = 7 + target.slice(7).search(/[/?]|$/)
      const expected = target.slice(authorityEnd)
      const sent = formatTarget(uri)
      if (sent !== (expected.startsWith('/') ? expected : `/${expected}`)) throw new Error(`sent ${sent}`)
      const seen = URL.parse(target)
      const host = formatHost(uri.authority.host)
      // a URL parser keeps the root dot
      if (seen?.hostname.replace(/\.$/, '') !== host || (seen.port || '80') !== `${uri.authority.port}`) throw new Error(`a URL parser sees ${String(seen?.host)}`)
    }),
    { numRuns: 5000 },
  )
  t.ok(read > 300, `${read} were read`)
})
