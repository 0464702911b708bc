// The head of a GET as it is written without undici: the bytes that undici writes, or none.
import t from 'tap'
import { bareRequest } from '../../src/egress/bare-request.ts'
import type { OriginRequest } from '../../src/egress/origin-connection.ts'
import { exchange, proxyTo, rawOrigin } from './wire.ts'

const plain: OriginRequest = { method: 'GET', path: '/a?b', headers: ['Host', 'a.test', 'X-A', 'caf\xe9', 'x-b', '', 'Via', '1.1 x'], body: null }

t.test('a plain GET is written with Host and Connection first', async (t) => {
  t.equal(bareRequest(plain), 'GET /a?b HTTP/1.1\r\nhost: a.test\r\nconnection: keep-alive\r\nX-A: caf\xe9\r\nx-b: \r\nVia: 1.1 x\r\n\r\n')
})

t.test('what is anything else, or could end a line, is not written', async (t) => {
  const others: Readonly<Record<string, Partial<OriginRequest>>> = {
    'another method': { method: 'POST' }, 'HEAD': { method: 'HEAD' }, 'lower case': { method: 'get' }, 'a body': { body: 'x' }, 'an upgrade': { upgrade: 'websocket' },
    'a space in the path': { path: '/a b' }, 'a line end in the path': { path: '/a\r\nX: y' }, 'no path': { path: '' }, 'a byte above ASCII in the path': { path: '/\xe9' },
    'no Host': { headers: ['X', 'y'] }, 'Host not first': { headers: ['X', 'y', 'Host', 'a.test'] }, 'a line end in Host': { headers: ['Host', 'a.test\r\nX: y'] },
    'a line end in a value': { headers: ['Host', 'a.test', 'X', 'y\r\nZ: z'] }, 'a line feed in a value': { headers: ['Host', 'a.test', 'X', 'y\n'] }, 'NUL in a value': { headers: ['Host', 'a.test', 'X', '\0'] }, 'what is no byte': { headers: ['Host', 'a.test', 'X', '\u010d'] },
    'a colon in a name': { headers: ['Host', 'a.test', 'X:', 'y'] }, 'no name': { headers: ['Host', 'a.test', '', 'y'] }, 'a length': { headers: ['Host', 'a.test', 'content-Length', '0'] },
  }
  for (const [what, change] of Object.entries(others)) t.equal(bareRequest({ ...plain, ...change }), undefined, what)
})

t.test('the origin reads the same bytes, whoever wrote them', async (t) => {
  const origin = await rawOrigin('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  const proxy = await proxyTo(origin.port)
  t.teardown(() => {
    proxy.close()
    origin.close()
  })
  const fields = 'User-Agent: x\r\nACCEPT: */*\r\nX-N: caf\xe9\r\nCookie: a=b\r\ncookie: c=d\r\nTE: trailers\r\nConnection: close\r\n'
  for (const method of ['GET', 'OPTIONS']) await exchange(proxy.port, `${method} http://origin.test/x?y HTTP/1.1\r\nHost: origin.test\r\n${fields}\r\n`)
  const [bare = '', through = ''] = origin.received().split(/(?=OPTIONS )/)
  t.equal(bare.replace('GET ', ''), through.replace('OPTIONS ', ''))
  t.match(bare, /^GET \/x\?y HTTP\/1\.1\r\nhost: origin\.test\r\nconnection: keep-alive\r\n/)
  await exchange(proxy.port, `GET http://origin.test/z HTTP/1.1\r\nHost: origin.test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`)
  t.notMatch(origin.received(), /content-length/i)
  t.strictSame(origin.dirty, [])
})
