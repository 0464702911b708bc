import t from 'tap'
import { malformedOf } from '../../src/ingress/malformed.ts'
import { RequestIds } from '../../src/gate/request-id.ts'
import * as fc from '../support/property.ts'

const clock = { now: () => 0, monotonic: () => 0 }
const context = { clock, ids: new RequestIds(clock) }
const client = { address: '127.0.0.1', port: 1, advisory: true }

function read(text: string | undefined): { method: string | undefined; rawTarget: string; protocol: string } {
  const { method, rawTarget, protocol } = malformedOf(context, client, text === undefined ? undefined : Buffer.from(text, 'latin1'))
  return { method, rawTarget, protocol }
}

const nothing = { method: undefined, rawTarget: '', protocol: 'http' }

t.test('a request line that the parser refused names method and target', async (t) => {
  t.same(read('GET http://a.test/x HTTP/1.1\r\nbad field: x\r\n\r\n'), { method: 'GET', rawTarget: 'http://a.test/x', protocol: 'http' })
  t.same(read('CONNECT a.test:443 HTTP/1.1\r\n'), { method: 'CONNECT', rawTarget: 'a.test:443', protocol: 'https_connect' })
  t.same(read('FROB http://a.test/ HTTP/3.1\n'), { method: 'FROB', rawTarget: 'http://a.test/', protocol: 'http' })
  t.same(read('GET http://a.test/\r\n'), { method: 'GET', rawTarget: 'http://a.test/', protocol: 'http' })
})

t.test('bytes of a body or of a field are no request line', async (t) => {
  for (const text of [
    'my-card-4111111111111111 cvc-of-it-123\r\n', 'Cookie: sid=SeSSionSecretValue\r\nbad field: x\r\n', 'password hunter2\r\n', 'password hunter2 next\r\n',
    'SeSSionSecretValue\r\n', ' GET http://a.test/ HTTP/1.1\r\n', 'GET  http://a.test/\r\n', 'sid=a HTTP/1.1\r\n', '\r\nGET http://a.test/ HTTP/1.1\r\n', '\n', '',
  ]) t.same(read(text), nothing, text)
  t.same(read(undefined), nothing)
})

t.test('a line that its segment cuts short names nothing: what ends it may be half of a password', async (t) => {
  for (const text of ['GET http://bob:hunter2', 'GET http://bob:hunter2 ', `GET http://bob:${'hunter2'.repeat(9000)}@a.test/ HTTP/1.1\r\n`]) t.same(read(text), nothing)
})

t.test('a target with spaces is kept whole, so that the user information in it can be told', async (t) => {
  t.equal(read('GET http://bob:hunter two@a.test/ HTTP/1.1\r\n').rawTarget, 'http://bob:hunter two@a.test/')
})

t.test('any bytes give a method that is a word or none at all', async () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => /^[A-Za-z-]{1,20}$/.test(malformedOf(context, client, bytes).method ?? 'none')))
})
