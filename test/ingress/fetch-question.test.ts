// What is asked of the fetch service, read strictly.
import t from 'tap'
import { ProxyError } from '../../src/errors.ts'
import { formatAuthority } from '../../src/target/authority.ts'
import { checkFetchFields, fetchFields, isFetchTarget, readFetchQuestion } from '../../src/ingress/fetch-question.ts'
import * as fc from '../support/property.ts'

function codeOf(read: () => unknown): string {
  try {
    read()
    return 'none'
  } catch (error) {
    if (error instanceof ProxyError) return error.code
    throw error
  }
}

t.test('only /fetch is the fetch service', async (t) => {
  for (const target of ['/fetch', '/fetch?', '/fetch?url=x']) t.ok(isFetchTarget(target), target)
  for (const target of ['/', '/fetch/', '/fetched', '/Fetch?url=x', '//fetch', '/fetch%3Furl=x', '/a/../fetch', undefined]) t.notOk(isFetchTarget(target), String(target))
})

t.test('a URL comes out as it went in, and a fragment is dropped', async (t) => {
  const { target, format, method } = readFetchQuestion('GET', `/fetch?format=text&url=${encodeURIComponent('https://docs.test:8443/a%20b/?x=1&y=%2B#part')}`)
  t.match({ ...target, authority: formatAuthority(target.authority) }, { scheme: 'https', authority: 'docs.test:8443', path: '/a%20b/', query: 'x=1&y=%2B' })
  t.strictSame([format, method], ['text', 'GET'])
  t.match(readFetchQuestion('HEAD', '/fetch?url=http://docs.test'), { method: 'HEAD', format: 'raw', target: { path: '/' } })
})

t.test('whatever is percent-encoded is read back byte for byte, or refused', async () => {
  const byte = fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code))
  fc.assert(fc.property(fc.array(byte, { maxLength: 40 }).map((bytes) => bytes.join('')), (text) => {
    const encoded = Array.from(text, (each) => `%${each.charCodeAt(0).toString(16).padStart(2, '0')}`).join('')
    const isClean = /^[\x21-\x7e]*$/.test(text.replace(/#.*$/s, '')) && !text.replace(/#.*$/s, '').includes('\\')
    const url = `/fetch?url=http://docs.test/${encoded}`
    if (!isClean) return codeOf(() => readFetchQuestion('GET', url)) === 'target_syntax'
    const { path, query } = readFetchQuestion('GET', url).target
    return `${path}${query === undefined ? '' : `?${query}`}` === `/${text.replace(/#.*$/s, '')}`
  }))
})

t.test('everything else is refused with its code', async (t) => {
  const bad: readonly [string, string][] = [
    ['/fetch', 'fetch_syntax'], ['/fetch?&url=http://a.test/', 'fetch_syntax'], ['/fetch?url', 'fetch_syntax'], ['/fetch?URL=http://a.test/', 'fetch_syntax'],
    ['/fetch?u%72l=http://a.test/', 'fetch_syntax'], ['/fetch?url=http://a.test/&format', 'fetch_syntax'], ['/fetch?url=http://a.test/&format=TEXT', 'fetch_syntax'],
    ['/fetch?url=http://a.test/&format=text&format=raw', 'fetch_syntax'], ['/fetch?url=http://a.test/%', 'fetch_syntax'], ['/fetch?url=http://a.test/%u0041', 'fetch_syntax'],
    ['/fetch?url=javascript:alert(1)', 'target_syntax'], ['/fetch?url=gopher://a.test/', 'fetch_syntax'], ['/fetch?url=http:%0a//a.test/', 'target_syntax'], ['/fetch?url=%20http://a.test/', 'target_syntax'],
  ]
  for (const [target, code] of bad) t.equal(codeOf(() => readFetchQuestion('GET', target)), code, target)
  t.equal(codeOf(() => readFetchQuestion('POST', '/fetch?url=http://a.test/')), 'method_not_supported')
})

t.test('what browsers send is refused in any case of letters; what node sends is not', async (t) => {
  for (const name of ['Origin', 'oRIGIN', 'Referer', 'Sec-Fetch-Site', 'sec-fetch-anything', 'Sec-Fetch-Dest', 'Sec-Fetch-User']) t.equal(codeOf(() => checkFetchFields([name, 'x'], 'us')), 'fetch_from_browser', name)
  t.equal(codeOf(() => checkFetchFields(['Sec-Fetch-Mode', 'no-cors'], 'us')), 'fetch_from_browser')
  t.equal(codeOf(() => checkFetchFields(['Sec-Fetch-Mode', 'cors', 'Sec-Fetch-Site', 'same-origin'], 'us')), 'fetch_from_browser')
  t.equal(codeOf(() => checkFetchFields(['sec-fetch-mode', 'cors', 'Accept', '*/*'], 'us')), 'none')
  t.equal(codeOf(() => checkFetchFields(['Via', '1.1 us'], 'us')), 'loop_detected')
})

t.test('of the fields of the asker only what it takes goes on', async (t) => {
  t.strictSame(fetchFields(['Accept', 'text/html', 'Cookie', 'a=b', 'accept-language', 'de', 'X-A', '1', 'Range', 'bytes=0-1'], 'us/1'), ['User-Agent', 'us/1', 'Accept', 'text/html', 'Accept-Language', 'de'])
  t.strictSame(fetchFields(['User-Agent', 'agent'], 'us/1'), ['User-Agent', 'us/1', 'Accept', '*/*'])
})
