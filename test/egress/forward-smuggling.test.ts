// What a client can say to make two readers disagree, against an origin that reads strictly: nothing dirty
// arrives there, and never a request that the proxy did not decide on.
import http from 'node:http'
import t from 'tap'
import { connectTo, exchange, proxyTo, rawOrigin, readAll, strictRequest } from './wire.ts'
import { array, assert, asyncProperty, constantFrom, integer } from '../support/property.ts'

const line = 'POST http://origin.test/seen HTTP/1.1\r\n'
const host = 'Host: origin.test\r\n'
const smuggled = 'GET /evil HTTP/1.1\r\nHost: origin.test\r\n\r\n'
const chunk = `0\r\n\r\n${smuggled}`

const payloads: [name: string, request: string][] = [
  ['CL and TE', `${line}${host}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}`],
  ['TE and CL', `${line}${host}Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n${chunk}`],
  ['two CL', `${line}${host}Content-Length: 0\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`],
  ['two equal CL', `${line}${host}Content-Length: 0\r\ncontent-length: 0\r\n\r\n${smuggled}`],
  ['list CL', `${line}${host}Content-Length: 0, 5\r\n\r\n${smuggled}`],
  ['signed CL', `${line}${host}Content-Length: +0\r\n\r\n${smuggled}`],
  ['hexadecimal CL', `${line}${host}Content-Length: 0x0\r\n\r\n${smuggled}`],
  ['empty CL', `${line}${host}Content-Length:\r\n\r\n${smuggled}`],
  ['huge CL', `${line}${host}Content-Length: 99999999999999999999\r\n\r\n${smuggled}`],
  ['comma TE', `${line}${host}Transfer-Encoding: ,chunked\r\n\r\n${chunk}`],
  ['gzip TE', `${line}${host}Transfer-Encoding: gzip, chunked\r\n\r\n${chunk}`],
  ['TE twice', `${line}${host}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}`],
  ['padded TE', `${line}${host}Transfer-Encoding: chunked\xa0\r\n\r\n${chunk}`],
  ['unknown TE', `${line}${host}Transfer-Encoding: xchunked\r\n\r\n${chunk}`],
  ['identity TE', `${line}${host}Transfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n${smuggled}`],
  ['space before colon', `${line}${host}Content-Length : 5\r\n\r\n${smuggled}`],
  ['folded', `${line}${host}X: a\r\n Content-Length: 5\r\n\r\n${smuggled}`],
  ['bare LF', `${line}${host}X: a\nContent-Length: 5\r\n\r\n${smuggled}`],
  ['bare CR', `${line}${host}X: a\rContent-Length: 5\r\n\r\n${smuggled}`],
  ['NUL', `${line}${host}X: a\0b\r\n\r\n${smuggled}`],
  ['no colon', `${line}${host}nonsense\r\n\r\n${smuggled}`],
  ['empty name', `${line}${host}: x\r\n\r\n${smuggled}`],
  ['negative chunk', `${line}${host}Transfer-Encoding: chunked\r\n\r\n-1\r\n${smuggled}`],
  ['hex-prefixed chunk', `${line}${host}Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n${smuggled}`],
  ['underscored chunk', `${line}${host}Transfer-Encoding: chunked\r\n\r\n0_0\r\n\r\n${smuggled}`],
  ['17 digit chunk', `${line}${host}Transfer-Encoding: chunked\r\n\r\n00000000000000000\r\n${smuggled}`],
  ['chunk without CRLF', `${line}${host}Transfer-Encoding: chunked\r\n\r\n1\r\nab0\r\n\r\n${smuggled}`],
  ['64 KiB extension', `${line}${host}Transfer-Encoding: chunked\r\n\r\n0;${'x'.repeat(65_536)}\r\n\r\n`],
  ['Connection names CL', `${line}${host}Connection: content-length\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`],
  ['Connection names TE', `${line}${host}Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`],
  ['trailers', `${line}${host}Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: ${smuggled.length}\r\nHost: evil\r\nAuthorization: x\r\n\r\n`],
]

// a request that is the client's own and arrives as content is no smuggling: it is framed
function pathsAt(received: string): string[] {
  const paths: string[] = []
  for (let read = strictRequest(received); read !== undefined; read = strictRequest(read.rest)) paths.push(read.head.split(' ')[1] ?? '')
  return paths
}

for (const [name, payload] of payloads) {
  t.test(`${name} puts nothing dirty on the wire and smuggles no request`, async (t) => {
    const origin = await rawOrigin('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    const proxy = await proxyTo(origin.port)
    t.teardown(() => {
      proxy.close()
      origin.close()
    })
    // the smuggled bytes may be a request of their own to the front: it is told apart by its origin-form
    const text = await exchange(proxy.port, `${payload}GET http://origin.test/last HTTP/1.1\r\nHost: origin.test\r\nConnection: close\r\n\r\n`)
    t.ok(/^HTTP\/1\.1 (200|4\d\d|502) /.test(text) || text === '', text)
    t.same(origin.dirty, [])
    t.ok(origin.requests() <= proxy.results.length, 'no more requests at the origin than exchanges here')
    t.notMatch(origin.received(), /\r\nAuthorization|\r\nHost: evil/i)
  })
}

t.test('any order of well-formed and broken pieces leaves the origin with whole, clean requests', async (t) => {
  const origin = await rawOrigin('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  const proxy = await proxyTo(origin.port)
  t.teardown(() => {
    proxy.close()
    origin.close()
  })
  const piece = constantFrom(
    line, host, 'Content-Length: 5\r\n', 'Transfer-Encoding: chunked\r\n', 'Connection: close, x-a\r\n', 'X-A: 1\r\n', '\r\n', 'hello', '5\r\nhello\r\n', '0\r\n\r\n',
    'GET http://origin.test/seen HTTP/1.1\r\nHost: origin.test\r\n\r\n', 'Upgrade: h2c\r\n', '\n', '\0', 'Expect: x\r\n', 'TE: trailers\r\n',
  )
  await assert(asyncProperty(array(piece, { minLength: 1, maxLength: 12 }), integer({ min: 0, max: 3 }), async (pieces, cut) => {
    const client = await connectTo(proxy.port)
    const text = pieces.join('')
    client.write(text.slice(0, text.length - cut), 'latin1')
    client.end(text.slice(text.length - cut), 'latin1')
    await readAll(client)
    client.destroy()
    return origin.dirty.length === 0 && origin.requests() <= proxy.results.length + 1
  }), { numRuns: 200 })
  t.same(pathsAt(origin.received()).filter((path) => path !== '/seen'), [])
})

t.test('any answer of an origin is passed on whole, refused, or cut, and the proxy goes on', async (t) => {
  let answer = ''
  const origin = await rawOrigin((socket) => socket.end(answer, 'latin1'))
  const proxy = await proxyTo(origin.port)
  t.teardown(() => {
    proxy.close()
    origin.close()
  })
  const piece = constantFrom(
    'HTTP/1.1 200 OK\r\n', 'HTTP/1.1 204 No Content\r\n', 'HTTP/1.1 103 Early Hints\r\n', 'HTTP/1.0 200 OK\r\n', 'Content-Length: 5\r\n', 'Content-Length: 6\r\n',
    'Transfer-Encoding: chunked\r\n', 'Connection: close\r\n', 'X-A: \xe9\r\n', '\r\n', 'hello', '5\r\nhello\r\n', '0\r\n\r\n', '\n', '\0', 'Trailer: X\r\n', '__proto__: x\r\n', 'HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
  )
  await assert(asyncProperty(array(piece, { minLength: 1, maxLength: 9 }), async (pieces) => {
    answer = pieces.join('')
    const before = proxy.results.length
    const outcome = await new Promise<string>((resolve) => {
      const request = http.get({ port: proxy.port, host: '127.0.0.1', path: 'http://origin.test/', agent: false }, (response) => {
        response.resume()
        response.once('end', () => resolve(response.statusCode === 502 ? 'refused' : 'whole'))
        response.once('error', () => resolve('cut'))
      })
      request.once('error', () => resolve('cut'))
    })
    const result = await proxy.result(before)
    if (outcome === 'whole') return result.outcome === 'completed'
    return outcome === 'refused' ? result.outcome === 'failed' && !result.headSent : result.outcome === 'failed' && result.headSent
  }), { numRuns: 200 })
})
