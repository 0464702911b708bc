// The digest that a yes to one request is bound to: what is not the same request has another one.
import t from 'tap'
import { digestOf } from '../../src/approvals/question.ts'
import type { Facts } from '../../src/policy/facts.ts'
import { parseHost } from '../../src/target/host.ts'

const facts: Facts = {
  stage: 'request', scheme: 'https', host: parseHost('one.test'), port: 443, method: 'POST', path: '/up', query: 'a=b', upgrade: undefined,
  principal: { session: 's1', agent: 'coder', owner: undefined, team: undefined },
}
const body = new TextEncoder().encode('hello')
const digest = (...fields: readonly string[]): string => digestOf(facts, fields, body)

t.test('a retry of the same request has the same digest', async (t) => {
  const plain = ['Content-Type', 'text/plain', 'X-A', '1', 'X-A', '2']
  const wanted = digest(...plain)
  t.equal(digest('X-A', '1', 'content-type', 'text/plain', 'x-a', '2'), wanted, 'in another order of names, in other letters')
  for (const [name, value] of [
    ['Date', 'Tue, 29 Sep 2026 10:00:00 GMT'], ['traceparent', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'],
    ['X-Request-Id', '0af76519-16cd-43dd-8448-eb211c80319c'], ['X-Correlation-Id', '01JD0000000000000000000000'], ['Idempotency-Key', '"8e03978e-40d5-43dd-bc93-6894a57f9324"'],
    ['Sec-WebSocket-Key', 'AAAAAAAAAAAAAAAAAAAAAA=='],
  ] as const) t.equal(digest(...plain, name, value), wanted, name)
})

t.test('fields of one name in another order are another request', async (t) => {
  t.not(digest('X-Role', 'reader', 'X-Role', 'admin'), digest('X-Role', 'admin', 'X-Role', 'reader'))
  t.not(digest('X-Role', 'reader, admin'), digest('X-Role', 'reader', 'X-Role', 'admin'))
})

t.test('no field can carry what nobody said yes to', async (t) => {
  const wanted = digest()
  const secret = Buffer.from('the contents of ~/.aws/credentials').toString('base64url')
  for (const name of ['User-Agent', 'Accept-Encoding', 'Date', 'traceparent', 'tracestate', 'baggage', 'X-Request-Id', 'X-Correlation-Id', 'Idempotency-Key', 'Sec-WebSocket-Key', 'Via', 'Cookie', 'X-Anything']) {
    t.not(digest(name, secret), wanted, name)
  }
})
