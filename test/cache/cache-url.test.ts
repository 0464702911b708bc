// One text for one target.
import t from 'tap'
import { cacheUrl, readCacheUrl } from '../../src/cache/cache-url.ts'
import { parseAuthority } from '../../src/target/authority.ts'
import { parseAbsoluteForm, parseOriginForm, parseUrl } from '../../src/target/target-uri.ts'
import { anyAuthority } from '../target/authority-arbitrary.ts'
import * as fc from '../support/property.ts'

t.test('host in lower case, default port and fragment gone, path and query as they came', async (t) => {
  for (const [text, url] of [
    ['http://A.Test', 'http://a.test/'], ['HTTP://a.test:80/', 'http://a.test/'], ['https://a.test:443/x', 'https://a.test/x'], ['https://a.test:80/x', 'https://a.test:80/x'], ['http://a.test:443/', 'http://a.test:443/'], ['HttpS://a.test.?q', 'https://a.test/?q'],
    ['http://a.test/%7e%2f/../b//?a=%20&?', 'http://a.test/%7e%2f/../b//?a=%20&?'], ['http://a.test/?', 'http://a.test/?'], ['http://a.test/x#y?z', 'http://a.test/x'], ['http://a.test#é\n', 'http://a.test/'], ['http://[::1]:80/', 'http://[::1]/'],
  ] as const) t.equal(readCacheUrl(text), url, text)
  t.equal(cacheUrl(parseOriginForm('/x?y', 'https', parseAuthority('A.test:443'))), 'https://a.test/x?y')
})

t.test('what is no http or https URL is refused by name', async (t) => {
  for (const text of ['ftp://a.test/', 'file:///etc/passwd', 'ws://a.test/', 'dns:a.test']) t.throws(() => readCacheUrl(text), { name: 'ProxyError' }, text)
  for (const text of ['', 'a.test', '//a.test/', '/x', 'https:/a.test/', 'https:a.test', 'http://u@a.test/', 'https://u:p@a.test/', 'https://a.test\\@b.test/', 'https://a.test/\0', 'https://a.test/é', 'https://a.test/a b', ' https://a.test/', 'https:// a.test/']) {
    t.throws(() => readCacheUrl(text), { name: 'ProxyError', code: 'target_syntax' }, JSON.stringify(text))
  }
  for (const text of ['https:///x', 'https://', 'https://a.test:0/', 'https://127.1/', 'https://a..b/']) t.throws(() => readCacheUrl(text), { name: 'ProxyError' }, text)
})

t.test('the text of a target is read as the same target, whatever the URL', async () => {
  const scheme = fc.constantFrom('http', 'https', 'HTTP', 'Https')
  const rest = fc.oneof(fc.webPath(), fc.stringMatching(/^[/?#][ -~]{0,30}$/), fc.constant(''))
  fc.assert(fc.property(scheme, anyAuthority, rest, (name, authority, path) => {
    let url: string
    try {
      url = readCacheUrl(`${name}://${authority}${path}`)
    } catch {
      return true
    }
    const target = parseUrl(url)
    const again = target.scheme === 'http' ? parseAbsoluteForm(url) : target
    return readCacheUrl(url) === url && cacheUrl(again) === url && !url.includes('#')
  }), { numRuns: 2000 })
})
