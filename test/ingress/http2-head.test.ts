import t from 'tap'
import { readHttp2Head } from '../../src/ingress/http2-head.ts'
import { readHead } from '../../src/ingress/request-head.ts'
import { ProxyError } from '../../src/errors.ts'
import * as fc from '../support/property.ts'

const limits = { headerCount: 200, headerBytes: 16_384, urlBytes: 8192 }
const base = [':method', 'GET', ':scheme', 'https', ':authority', 'a.test', ':path', '/'] as const

function code(raw: readonly string[]): string {
  const read = readHttp2Head(raw)
  return read.kind === 'malformed' ? read.error.code : 'fine'
}

function without(name: string): string[] {
  return base.flatMap((text, at) => (at % 2 === 0 && text !== name ? [text, base[at + 1] ?? ''] : []))
}

function replaced(name: string, value: string): string[] {
  return [...without(name), name, value]
}

t.test('an ordinary list is a method, a target and fields with Host first', async (t) => {
  t.strictSame(readHttp2Head([...base, 'accept', '*/*', 'x', 'a', 'x', 'b']), {
    kind: 'head', method: 'GET', url: '/', rawHeaders: ['Host', 'a.test', 'accept', '*/*', 'x', 'a', 'x', 'b'],
  })
})

t.test('pseudo-header fields stand once, first, and are those of a request', async (t) => {
  for (const name of [':method', ':scheme', ':path']) t.not(code(without(name)), 'fine', `without ${name}`)
  for (const name of [':method', ':scheme', ':path', ':authority']) t.equal(code([...base, name, name === ':path' ? '/' : 'a.test']), 'field_syntax', `${name} twice`)
  t.equal(code([...base.slice(0, 6), 'x', 'y', ':path', '/']), 'field_syntax')
  for (const name of [':protocol', ':status', ':foo', ':', ':Path']) t.equal(code([name, 'websocket', ...base]), 'field_syntax', name)
})

t.test('scheme, path and method are those of a request inside TLS', async (t) => {
  for (const scheme of ['http', 'HTTPS', 'ws', '']) t.equal(code(replaced(':scheme', scheme)), 'field_syntax', scheme)
  for (const path of ['', 'a', '*', 'https://a.test/', '?a', ' /', '/ ']) t.not(code(replaced(':path', path)), 'fine', path)
  for (const method of ['', 'G T', 'G\tT', 'CONNECT']) t.not(code(replaced(':method', method)), 'fine', method)
  t.equal(code(replaced(':method', 'CONNECT')), 'method_not_supported')
  t.equal(code([':method', 'OPTIONS', ':scheme', 'https', ':authority', 'a.test', ':path', '*']), 'fine')
})

t.test('names are tokens in lower case, and values hold no line ends and no spaces around them', async (t) => {
  for (const name of ['X', 'a b', 'a:b', '', '\u00e9', 'a\0', 'x\r\ny']) t.equal(code([...base, name, '1']), 'field_syntax', name)
  for (const value of ['a\rb', 'a\nb', 'a\0b', ' a', 'a ', '\ta', 'a\t', ' ']) {
    t.equal(code([...base, 'x', value]), 'field_syntax')
    t.equal(code(replaced(':authority', value)), 'field_syntax')
  }
  t.equal(code([...base, 'x', '']), 'fine')
  t.equal(code([...base, 'x', 'a b\tc \u00e9']), 'fine')
})

t.test('crumbs of a cookie are one field, where the first one stood', async (t) => {
  const read = readHttp2Head([...base, 'cookie', 'a=1', 'x', 'y', 'cookie', 'b=2', 'cookie', 'c=3'])
  t.strictSame(read.kind === 'head' && read.rawHeaders, ['Host', 'a.test', 'cookie', 'a=1; b=2; c=3', 'x', 'y'])
})

t.test('a Host that names :authority goes, one that names another stays, and then the request is misdirected', async (t) => {
  const judged = (...fields: readonly string[]): string => {
    const read = readHttp2Head([...base, ...fields])
    if (read.kind === 'malformed') return read.error.code
    try {
      return String(readHead({ rawHeaders: read.rawHeaders, httpVersion: '2.0', isStream: true, url: read.url }, limits).host)
    } catch (error) {
      if (error instanceof ProxyError) return error.code
      throw error
    }
  }
  t.equal(judged(), 'a.test')
  for (const host of ['a.test', 'A.test', 'a.test:443', 'a.test.']) t.equal(judged('host', host), 'a.test', host)
  for (const host of ['b.test', 'a.test:444', '', 'a.test, b.test', 'u@a.test']) t.equal(judged('host', host), 'misdirected', host)
})

t.test('a Host without :authority stays', async (t) => {
  const read = readHttp2Head([...without(':authority'), 'host', 'a.test'])
  t.strictSame(read.kind === 'head' && read.rawHeaders, ['host', 'a.test'])
})

t.test('of what is malformed its method, target and client are known, as far as they were read', async (t) => {
  t.match(readHttp2Head([...base, 'user-agent', 'x/1', 'X', '1']), { kind: 'malformed', method: 'GET', url: '/', userAgent: 'x/1' })
  t.match(readHttp2Head([]), { kind: 'malformed', method: undefined, url: '', userAgent: undefined })
})

t.test('no list of fields throws, and no name or value of a list that is read could be two', async () => {
  const text = fc.oneof(fc.string(), fc.constantFrom(':method', ':path', ':scheme', ':authority', 'host', 'cookie', 'x', '/', 'https', 'a.test', '__proto__', 'a\r\nb', 'a\0b'))
  fc.assert(fc.property(fc.array(text), (more) => {
    for (const raw of [more, [...base, ...more]]) {
      const read = readHttp2Head(raw)
      if (read.kind === 'head' && read.rawHeaders.some((each) => /[\r\n\0]/.test(each))) return false
    }
    return true
  }))
})
