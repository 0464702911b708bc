import t from 'tap'
import { ProxyError } from '../../src/errors.ts'
import { checkHost, readHead } from '../../src/ingress/request-head.ts'
import { parseAuthority } from '../../src/target/authority.ts'

const limits = { headerCount: 200, headerBytes: 16_384, urlBytes: 8192 }

function codeOf(run: () => unknown): string {
  try {
    run()
    return 'fine'
  } catch (error) {
    if (error instanceof ProxyError) return error.code
    throw error
  }
}

function read(rawHeaders: readonly string[], httpVersion = '1.1', url = '/'): string {
  return codeOf(() => readHead({ rawHeaders, httpVersion, url }, limits))
}

t.test('an ordinary head is read', async (t) => {
  const head = readHead({ rawHeaders: ['hOsT', 'a.test', 'User-Agent', 'x/1', 'Content-Length', '5'], httpVersion: '1.1', url: 'http://a.test/' }, limits)
  t.strictSame(head, { host: 'a.test', hasBody: true, content: 5, credentials: [], userAgent: 'x/1', isWebSocket: false })
})

t.test('every Proxy-Authorization field is read, whatever its case', async (t) => {
  const { credentials } = readHead({ rawHeaders: ['Host', 'a', 'Proxy-Authorization', 'Basic YTpi', 'Authorization', 'Basic Yzpk', 'proxy-AUTHORIZATION', ''], httpVersion: '1.1', url: '/' }, limits)
  t.strictSame(credentials, ['Basic YTpi', ''])
})

t.test('Host has to stand exactly once on HTTP/1.1', async (t) => {
  t.equal(read([]), 'host_mismatch')
  t.equal(read(['Host', '']), 'host_mismatch')
  t.equal(read(['Host', 'a', 'HOST', 'a']), 'host_mismatch')
  t.equal(read([], '1.0'), 'fine')
})

t.test('versions other than 1.0 and 1.1 are refused', async (t) => {
  for (const version of ['0.9', '1.2', '2.0', '']) t.equal(read(['Host', 'a'], version), 'version_unsupported', version)
})

t.test('framing that two readers could take differently is refused', async (t) => {
  const cases: [string, string[], string?][] = [
    ['coding and length', ['Transfer-Encoding', 'chunked', 'Content-Length', '5']],
    ['two lengths', ['Content-Length', '5', 'content-length', '5']],
    ['list of lengths', ['Content-Length', '5, 5']],
    ['signed length', ['Content-Length', '+5']],
    ['hex length', ['Content-Length', '0x5']],
    ['empty length', ['Content-Length', '']],
    ['huge length', ['Content-Length', '9999999999999999']],
    ['leading comma', ['Transfer-Encoding', ',chunked']],
    ['list of codings', ['Transfer-Encoding', 'gzip, chunked']],
    ['chunked twice', ['Transfer-Encoding', 'chunked, chunked']],
    ['two codings', ['Transfer-Encoding', 'chunked', 'Transfer-Encoding', 'chunked']],
    ['identity', ['Transfer-Encoding', 'identity']],
    ['no-break space', ['Transfer-Encoding', '\u00a0chunked']],
    ['a coding on 1.0', ['Transfer-Encoding', 'chunked'], '1.0'],
  ]
  for (const [name, fields, version] of cases) t.equal(read(['Host', 'a', ...fields], version), 'framing', name)
  t.equal(read(['Host', 'a', 'Transfer-Encoding', 'Chunked']), 'fine')
})

t.test('too many fields and too long a target are refused, and the last that fits is not', async (t) => {
  const fields = (count: number): string[] => Array.from({ length: count }, (_, index) => [`x-${index}`, 'v']).flat()
  t.equal(read(['Host', 'a', ...fields(199)]), 'fine')
  t.equal(read(['Host', 'a', ...fields(200)]), 'fields_too_large')
  t.equal(read(['Host', 'a'], '1.1', `/${'x'.repeat(8191)}`), 'fine')
  t.equal(read(['Host', 'a'], '1.1', `/${'x'.repeat(8192)}`), 'uri_too_long')
})

t.test('a field named like a property of objects is a field', async (t) => {
  t.equal(read(['Host', 'a', '__proto__', 'x', 'constructor', 'y', 'hasOwnProperty', 'z']), 'fine')
})

t.test('Host is the authority of the request, in any spelling of it', async (t) => {
  const same: [string, string, number][] = [
    ['a.test', 'a.test:80', 80], ['a.test:80', 'a.test:80', 80], ['A.Test.', 'a.test:80', 80], ['a.test', 'a.test:443', 443], ['[::1]:8080', '[::1]:8080', 80],
  ]
  for (const [host, authority, port] of same) t.equal(codeOf(() => checkHost(host, parseAuthority(authority), port)), 'fine', host)
  const other: [string, string][] = [
    ['b.test', 'a.test:80'], ['a.test:81', 'a.test:80'], ['a.test', 'a.test:8080'], ['a.test, b.test', 'a.test:80'], ['a@b', 'a.test:80'], ['http://a.test', 'a.test:80'], ['a.test\0b', 'a.test:80'],
  ]
  for (const [host, authority] of other) t.equal(codeOf(() => checkHost(host, parseAuthority(authority), 80)), 'host_mismatch', host)
})

t.test('a request line that says 2.0 is refused, and a stream of HTTP/2 is not', async (t) => {
  t.equal(read(['Host', 'a'], '2.0'), 'version_unsupported')
  t.equal(readStream(['Host', 'a']), 'fine')
})

function readStream(rawHeaders: readonly string[], more: { complete?: boolean; readableLength?: number } = {}): string {
  return codeOf(() => readHead({ rawHeaders, httpVersion: '2.0', isStream: true, url: '/', ...more }, limits))
}

t.test('what frames or serves a connection has no place on a stream', async (t) => {
  for (const name of ['Connection', 'keep-alive', 'Proxy-Connection', 'transfer-encoding', 'upgrade']) t.equal(readStream(['Host', 'a', name, 'x']), 'framing', name)
  t.equal(readStream(['Host', 'a', 'te', 'gzip']), 'field_syntax')
  t.equal(readStream(['Host', 'a', 'te', 'trailers']), 'fine')
  t.equal(readStream(['Host', 'a', 'content-length', '5', 'content-length', '5']), 'framing')
  t.equal(readStream(['Host', 'a', 'content-length', '+5']), 'framing')
  t.equal(readStream([]), 'host_mismatch')
})

t.test('the fields of a stream are counted here: nobody else has', async (t) => {
  t.equal(readStream(['Host', 'a', 'x', 'a'.repeat(16_378)]), 'fine')
  t.equal(readStream(['Host', 'a', 'x', 'a'.repeat(16_379)]), 'fields_too_large')
  t.equal(readStream(Array.from({ length: 402 }, () => 'a')), 'fields_too_large')
})

t.test('a stream has content when it has not ended with its head, or when its length says so', async (t) => {
  const hasBody = (fields: readonly string[], more: { complete?: boolean; readableLength?: number }): boolean =>
    readHead({ rawHeaders: ['Host', 'a', ...fields], httpVersion: '2.0', isStream: true, url: '/', ...more }, limits).hasBody
  t.equal(hasBody([], { complete: false }), true)
  t.equal(hasBody([], { complete: true, readableLength: 5 }), true)
  t.equal(hasBody([], { complete: true, readableLength: 0 }), false)
  t.equal(hasBody(['content-length', '5'], { complete: false }), true)
  t.equal(hasBody(['content-length', '0'], { complete: false }), false)
})
