// A rule that asks about requests: a yes is for one method, URL and body, and is used up by one exchange.
import t, { type Test } from 'tap'
import { problemIn, requestBytes, sent, startAsking, type AskWorld } from '../support/ask-world.ts'
import { strictOrigin, type StrictOrigin } from '../support/strict-origin.ts'

const host = 'one.ask.test'

interface World extends AskWorld {
  readonly origin: StrictOrigin
  readonly authority: string
}

async function world(t: Test, holdMs = 60_000, requestTimeoutMs = 60_000): Promise<World> {
  const origin = await strictOrigin(t)
  const policy = `[network]
unknown = "deny"
[[network.rules]]
id = "uploads"
hosts = ["${host}:${origin.port}"]
methods = ["POST", "PUT"]
paths = ["/up/**"]
local = ["127.0.0.1/32"]
verdict = "ask"
[[network.rules]]
id = "reads"
hosts = ["${host}:${origin.port}"]
methods = ["GET"]
local = ["127.0.0.1/32"]
verdict = "allow"
`
  return { ...(await startAsking(t, origin.port, { policy, holdMs, change: (settings) => ({ ...settings, limits: { ...settings.limits, requestTimeoutMs } }) })), origin, authority: `${host}:${origin.port}` }
}

function post(authority: string, path: string, body: string, fields = ''): string {
  return requestBytes(authority, path, { method: 'POST', body, fields })
}

t.test('a POST is held with its body, shown with its URL, and forwarded whole after the yes', async (t) => {
  const { proxy, control, origin, authority } = await world(t)
  const body = 'x'.repeat(900_000)
  const client = await sent(t, proxy, post(authority, '/up/a?name=b', body))
  const approval = await control.pending(host)
  t.match(approval, { kind: 'request', method: 'POST', url: `http://${authority}/up/a?name=b`, version: 1 })
  t.equal(origin.connections(), 0)
  await control.decide(host, { verdict: 'allow' })
  t.equal((await client.next())?.body, 'POST /up/a?name=b\n')
  t.equal(origin.requests[0]?.body, body)
  t.strictSame(origin.complaints, [])
  t.equal((await (await sent(t, proxy, requestBytes(authority, '/up/a'))).next())?.status, 200, 'what another rule allows is not asked about')
})

t.test('a chunked body is bound and forwarded like any other', async (t) => {
  const { proxy, control, origin, authority } = await world(t)
  const client = await sent(t, proxy, `${requestBytes(authority, '/up/a', { method: 'POST', fields: 'Transfer-Encoding: chunked\r\n' })}5\r\nhello\r\n`)
  client.send('6\r\n world\r\n0\r\n\r\n')
  await control.decide(host, { verdict: 'allow' })
  t.equal((await client.next())?.status, 200)
  t.equal(origin.requests[0]?.body, 'hello world')
})

t.test('a chunked body of nothing is forwarded once it was shown', async (t) => {
  const { proxy, control, origin, authority } = await world(t)
  const client = await sent(t, proxy, `${requestBytes(authority, '/up/a', { method: 'POST', fields: 'Transfer-Encoding: chunked\r\n' })}0\r\n\r\n`)
  await control.decide(host, { verdict: 'allow' })
  t.equal((await client.next())?.status, 200)
  t.equal(origin.requests[0]?.body, '')
})

t.test('a yes is used by one exchange, and the same request asks again', async (t) => {
  const { proxy, control, origin, authority } = await world(t, 0)
  const bytes = post(authority, '/up/a', 'hello')
  const codeOf = async (text: string): Promise<unknown> => problemIn(((await (await sent(t, proxy, text)).next())?.body ?? '').replace(/^POST .*\n$/, '{"code":"served"}'))['code']
  t.equal(await codeOf(bytes), 'approval_pending')
  await control.decide(host, { verdict: 'allow' }, () => true)
  for (const other of [post(authority, '/up/a', 'hellO'), post(authority, '/up/b', 'hello'), post(authority, '/up/a?x', 'hello'), bytes.replace('POST', 'PUT'), post(authority, '/up/a', 'hello', 'X-Other: 1\r\n')]) {
    t.equal(await codeOf(other), 'approval_pending', other)
  }
  const codes = await Promise.all(Array.from({ length: 5 }, () => codeOf(bytes)))
  t.strictSame([codes.filter((code) => code === 'approval_pending').length, codes.filter((code) => code === 'served').length], [4, 1], 'of five at once one is served')
  t.equal(await codeOf(bytes), 'approval_pending')
  t.strictSame(origin.requests.map(({ method, target, body }) => [method, target, body]), [['POST', '/up/a', 'hello']])
  t.equal((await control.approvals()).length, 6)
})

t.test('of two equal requests that are held one goes through by a once, and the other is asked about again', async (t) => {
  const { proxy, control, origin, authority } = await world(t, 2_000)
  const clients = [await sent(t, proxy, post(authority, '/up/a', 'hello')), await sent(t, proxy, post(authority, '/up/a', 'hello'))]
  await control.decide(host, { verdict: 'allow' }, ({ waiting }) => waiting === 2)
  const answers = await Promise.all(clients.map((client) => client.next()))
  t.strictSame(new Set(answers.map((answer) => answer?.status)), new Set([200, 403]))
  t.equal(origin.requests.length, 1)
  t.match(problemIn(answers.find((answer) => answer?.status === 403)?.body), { code: 'approval_required', retryable: true, reason: /used by an equal request/ }, 'which is nobody\'s no')
})

t.test('a body of more than 1 MiB cannot be approved, and says so', async (t) => {
  const { proxy, control, origin, authority } = await world(t)
  for (const bytes of [
    post(authority, '/up/a', 'x'.repeat(1024 * 1024 + 1)),
    `${requestBytes(authority, '/up/a', { method: 'POST', fields: 'Transfer-Encoding: chunked\r\n' })}110000\r\n${'x'.repeat(0x110000)}\r\n0\r\n\r\n`,
  ]) {
    const answer = await (await sent(t, proxy, bytes)).next()
    t.equal(answer?.status, 403)
    t.match(problemIn(answer?.body), { code: 'body_too_large_to_approve', retryable: false })
  }
  t.strictSame(await control.approvals(''), [])
  t.equal(origin.connections(), 0)
  const whole = await sent(t, proxy, post(authority, '/up/a', 'x'.repeat(1024 * 1024)))
  await control.decide(host, { verdict: 'allow' })
  t.equal((await whole.next())?.status, 200, 'one of exactly 1 MiB can')
})

t.test('a body that stops coming before it can be shown is cut', async (t) => {
  const { proxy, control, origin, authority } = await world(t, 60_000, 200)
  const client = await sent(t, proxy, `${requestBytes(authority, '/up/a', { method: 'POST', fields: 'Content-Length: 5\r\n' })}hel`)
  await client.closed()
  t.ok(client.isClosed)
  t.strictSame(await control.approvals(''), [])
  t.equal(origin.connections(), 0)
})

t.test('a POST that expects a 100 gets it before the question, because a reviewer decides about its body', async (t) => {
  const { proxy, control, origin, authority } = await world(t)
  const head = requestBytes(authority, '/up/a', { method: 'POST', fields: 'Expect: 100-continue\r\nContent-Length: 5\r\n' })
  const client = await sent(t, proxy, head)
  await client.until((text) => text.includes('\r\n\r\n'))
  t.match(client.received, /^HTTP\/1\.1 100 Continue\r\n\r\n$/)
  t.strictSame(await control.approvals(), [])
  client.send('hello')
  await control.decide(host, { verdict: 'allow' })
  const answer = await client.next()
  t.equal(answer?.status, 200)
  t.equal(origin.requests[0]?.body, 'hello')
})

t.test('a POST to an unknown host that expects a 100 gets none until it is approved, and none when it is refused', async (t) => {
  const origin = await strictOrigin(t)
  const { proxy, control } = await startAsking(t, origin.port)
  const head = (name: string): string => requestBytes(`${name}.ask.test:${origin.port}`, '/', { method: 'POST', fields: 'Expect: 100-continue\r\nContent-Length: 5\r\n' })
  const [allowed, denied] = [await sent(t, proxy, head('one')), await sent(t, proxy, head('two'))]
  await control.pending('one.ask.test')
  await control.decide('two.ask.test', { verdict: 'deny' })
  t.equal((await denied.next())?.status, 403)
  t.notMatch(denied.received, /100 Continue/)
  t.equal(allowed.received, '')
  await control.decide('one.ask.test', { verdict: 'allow' })
  t.match(await allowed.until((text) => text.includes('\r\n\r\n')), /^HTTP\/1\.1 100 Continue\r\n\r\n$/)
  allowed.send('hello')
  t.equal((await allowed.next())?.status, 200)
  t.equal(origin.requests[0]?.body, 'hello')
})

t.test('a client that leaves within the body that is read for a question asks nothing', async (t) => {
  const { proxy, control, origin, authority } = await world(t)
  const client = await sent(t, proxy, `${requestBytes(authority, '/up/a', { method: 'POST', fields: 'Content-Length: 50\r\n' })}hello`)
  client.socket.destroy()
  await proxy.recorded(({ name }) => name === 'sallyport.exchange.ended')
  t.strictSame(await control.approvals(''), [])
  t.equal(origin.connections(), 0)
  t.strictSame(new Set(proxy.decisions().map(({ attributes }) => attributes['network.policy.decision'])), new Set(['deny']))
})

t.test('a client that leaves while its request is held with its body read is noticed', async (t) => {
  const { proxy, control, origin, authority } = await world(t)
  const client = await sent(t, proxy, post(authority, '/up/a', 'x'.repeat(800_000)))
  const { id } = await control.pending(host)
  client.socket.destroy()
  t.equal((await control.pending(host, ({ waiting }) => waiting === 0)).id, id)
  await control.decide(host, { verdict: 'allow' }, () => true)
  t.equal(origin.connections(), 0)
})

t.test('a field that Connection takes away on the next try makes it another request', async (t) => {
  const { proxy, control, origin, authority } = await world(t)
  const first = await sent(t, proxy, post(authority, '/up/a', 'hello', 'X-Dry-Run: true\r\n'))
  await control.decide(host, { verdict: 'allow', term: 'session' })
  t.equal((await first.next())?.status, 200)
  const second = await sent(t, proxy, post(authority, '/up/a', 'hello', 'X-Dry-Run: true\r\nConnection: x-dry-run\r\n'))
  await control.pending(host)
  t.equal(origin.requests.length, 1)
  second.socket.destroy()
  const third = await sent(t, proxy, post(authority, '/up/a', 'hello', 'X-Dry-Run: true\r\nConnection: close\r\n'))
  t.equal((await third.next())?.status, 200, 'what stays on this hop is none of it')
})
