import t from 'tap'
import { parseAnswerHead } from '../../src/egress/connect-answer.ts'
import * as fc from '../support/property.ts'

const parse = (text: string) => parseAnswerHead(Buffer.from(text, 'latin1'))

t.test('valid heads give status and reason', async (t) => {
  t.same(parse('HTTP/1.1 200 Connection established'), { status: 200, reason: 'Connection established' })
  t.same(parse('HTTP/1.0 200'), { status: 200, reason: '' })
  t.same(parse('HTTP/1.1 200 '), { status: 200, reason: '' })
  t.same(parse('HTTP/1.1 407 Proxy Auth\r\nProxy-Authenticate: Basic realm="x"\r\nX-Empty:\r\nX: \xe9'), { status: 407, reason: 'Proxy Auth' })
})

t.test('anything else is no head', async (t) => {
  const broken = [
    '', 'HTTP/1.1', 'HTTP/1.1 20', 'HTTP/1.1 2000 x', 'HTTP/1.1 600 x', 'HTTP/1.1 099 x', 'HTTP/2 200 OK', 'http/1.1 200 OK', 'HTTP/1.1  200 OK', ' HTTP/1.1 200 OK',
    'SSH-2.0-OpenSSH', 'HTTP/1.1 200 OK\nX: y', 'HTTP/1.1 200 OK\r\nX: y\rz', 'HTTP/1.1 200 O\0K', 'HTTP/1.1 200 OK\r\nX : y', 'HTTP/1.1 200 OK\r\n: y',
    'HTTP/1.1 200 OK\r\nX: y\r\n folded', 'HTTP/1.1 200 OK\r\nno colon', 'HTTP/1.1 200 OK\r\nX: \x1b[31m',
  ]
  for (const text of broken) t.equal(parse(text), undefined, JSON.stringify(text))
})

t.test('whatever bytes come, the parser answers, and what it accepts is one line each', async (t) => {
  const piece = fc.constantFrom('HTTP/1.1 200 OK', 'HTTP/1.0 503 ', '\r\n', '\n', '\r', ':', 'X: y', ' ', '\0')
  fc.assert(fc.property(fc.array(fc.oneof(piece, fc.string({ unit: 'binary' }))), (pieces) => {
    const head = parse(pieces.join(''))
    return head === undefined || (head.status >= 100 && head.status < 600 && !/[\r\n\0]/.test(head.reason))
  }), { numRuns: 3000 })
  t.pass('no exception')
})
