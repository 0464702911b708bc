// A client whose request is asked about: held, and then let through whole or refused with the reviewer's words.
import { once } from 'node:events'
import tls from 'node:tls'
import t, { type Test } from 'tap'
import { askHosts, connectBytes, headOf, problemIn, requestBytes, sent, startAsking, switching, webSocketFields } from '../support/ask-world.ts'
import { startDnsServer } from '../support/dns-server.ts'
import { rawOrigin, tlsOrigin } from '../support/origins.ts'
import { fieldOf, strictOrigin } from '../support/strict-origin.ts'
import type { WireClient } from '../support/wire-client.ts'
import { helloFor } from './hello.ts'

async function isUnanswered(t: Test, client: WireClient): Promise<void> {
  // whatever had been on its way would have been read by the time of a further turn of the loop and a round trip
  await new Promise((resolve) => setTimeout(resolve, 50))
  t.equal(client.received, '')
  t.equal(client.isClosed, false)
}

t.test('a CONNECT is held, approved, and its tunnel carries bytes', async (t) => {
  const origin = await tlsOrigin(t, ['one.ask.test'])
  const { proxy, control } = await startAsking(t, origin.port)
  const client = await sent(t, proxy, connectBytes(`one.ask.test:${origin.port}`))
  const approval = await control.pending('one.ask.test')
  await isUnanswered(t, client)
  t.match(approval, { state: 'pending', kind: 'host', host: 'one.ask.test', port: origin.port, attempts: 1, waiting: 1 })
  t.equal(origin.connections(), 0)
  await control.decide('one.ask.test', { verdict: 'allow' })
  t.match(await headOf(client), /^HTTP\/1\.1 200 /)
  client.socket.removeAllListeners('data')
  const secure = tls.connect({ socket: client.socket, servername: 'one.ask.test', ca: origin.ca })
  await once(secure, 'secureConnect')
  secure.end('GET /x HTTP/1.1\r\nHost: one.ask.test\r\nConnection: close\r\n\r\n')
  let answer = ''
  for await (const chunk of secure) answer += String(chunk)
  t.match(answer, /GET \/x/)
  await proxy.recorded(({ name }) => name === 'sallyport.exchange.ended')
  const names = ['sallyport.decision', 'sallyport.approval.requested', 'sallyport.approval.decided', 'sallyport.grant.created', 'sallyport.grant.used', 'sallyport.decision', 'sallyport.exchange.ended']
  t.strictSame(proxy.records().map(({ name }) => name).filter((name) => names.includes(name)), names)
  t.strictSame(proxy.decisions().map(({ attributes }) => [attributes['network.policy.decision'], attributes['sallyport.stage']]), [['ask', 'policy'], ['allow', 'approval']])
  t.match(proxy.decisions()[1]?.attributes, { 'sallyport.approval.id': approval.id, 'network.policy.override': true, 'sallyport.advisory': true })
})

t.test('a hello that is sent before the answer reaches the origin after the release, whole and once', async (t) => {
  const received: Buffer[] = []
  const origin = await rawOrigin(t, (socket) => socket.on('data', (chunk: Buffer) => received.push(chunk)))
  const { proxy, control } = await startAsking(t, origin.port)
  const hello = await helloFor('one.ask.test')
  const client = await sent(t, proxy, Buffer.concat([Buffer.from(connectBytes(`one.ask.test:${origin.port}`)), hello.subarray(0, 40)]))
  await control.pending('one.ask.test')
  client.send(hello.subarray(40, 200))
  await isUnanswered(t, client)
  t.equal(origin.connections(), 0)
  await control.decide('one.ask.test', { verdict: 'allow' })
  t.match(await headOf(client), /^HTTP\/1\.1 200 /)
  client.send(hello.subarray(200))
  client.send('after')
  const expected = Buffer.concat([hello, Buffer.from('after')])
  while (Buffer.concat(received).length < expected.length) await new Promise((resolve) => setTimeout(resolve, 10))
  t.ok(Buffer.concat(received).equals(expected))
  t.equal(origin.connections(), 1)
})

t.test('a GET and a POST with a body are held and forwarded whole', async (t) => {
  const origin = await strictOrigin(t)
  const { proxy, control } = await startAsking(t, origin.port)
  const get = await sent(t, proxy, requestBytes(`one.ask.test:${origin.port}`, '/a?b=c'))
  const body = 'x'.repeat(30_000)
  const post = await sent(t, proxy, requestBytes(`two.ask.test:${origin.port}`, '/up', { method: 'POST', body: body.slice(0, 10_000) }).replace('Content-Length: 10000', 'Content-Length: 30000'))
  await control.pending('one.ask.test')
  await control.pending('two.ask.test')
  post.send(body.slice(10_000))
  await isUnanswered(t, get)
  await isUnanswered(t, post)
  t.equal(origin.connections(), 0)
  await control.decide('one.ask.test', { verdict: 'allow' })
  await control.decide('two.ask.test', { verdict: 'allow' })
  t.equal((await get.next())?.body, 'GET /a?b=c\n')
  t.equal((await post.next())?.body, 'POST /up\n')
  t.equal(origin.requests.find(({ method }) => method === 'POST')?.body, body)
  t.strictSame(origin.complaints, [])
})

t.test('a chunked body that arrives while its request is held is forwarded whole', async (t) => {
  const origin = await strictOrigin(t)
  const { proxy, control } = await startAsking(t, origin.port)
  const post = await sent(t, proxy, requestBytes(`one.ask.test:${origin.port}`, '/up', { method: 'POST', fields: 'Transfer-Encoding: chunked\r\n' }))
  await control.pending('one.ask.test')
  post.send('5\r\nhello\r\n')
  await isUnanswered(t, post)
  await control.decide('one.ask.test', { verdict: 'allow' })
  post.send('6\r\n world\r\n0\r\n\r\n')
  t.equal((await post.next())?.status, 200)
  t.equal(origin.requests[0]?.body, 'hello world')
})

t.test('a WebSocket upgrade is held, and goes both ways when it is approved', async (t) => {
  const origin = await strictOrigin(t, (request, socket) => {
    socket.on('data', (chunk) => socket.write(`echo ${chunk.toString('latin1')}`))
    return switching(fieldOf(request, 'sec-websocket-key'))
  })
  const { proxy, control } = await startAsking(t, origin.port)
  const client = await sent(t, proxy, requestBytes(`one.ask.test:${origin.port}`, '/ws', { fields: webSocketFields }))
  const approval = await control.pending('one.ask.test')
  t.match(approval, { kind: 'host', method: 'GET', url: `http://one.ask.test:${origin.port}/ws`, upgrade: 'websocket' })
  await isUnanswered(t, client)
  t.equal(origin.connections(), 0)
  await control.decide('one.ask.test', { verdict: 'allow' })
  t.match(await headOf(client), /^HTTP\/1\.1 101 /)
  client.send('frame')
  await client.until((text) => text.endsWith('echo frame'))
  t.match(client.received, /echo frame$/)
})

t.test('a client that waits hears of the refusal, with what the reviewer said', async (t) => {
  const { proxy, control } = await startAsking(t, 8443)
  const connect = await sent(t, proxy, connectBytes('one.ask.test:443'))
  const get = await sent(t, proxy, requestBytes('two.ask.test', '/'))
  for (const host of ['one.ask.test', 'two.ask.test']) await control.decide(host, { verdict: 'deny', comment: 'use the mirror instead' })
  for (const [client, host] of [[connect, 'one.ask.test'], [get, 'two.ask.test']] as const) {
    const answer = await client.next()
    t.equal(answer?.status, 403)
    t.match(answer?.reason, new RegExp(`^Denied by policy: ${host}:\\d+: a reviewer refused this \\(approval [0-9A-Z]{26}\\): use the mirror instead`))
    const problem = problemIn(answer?.body)
    t.match(problem, { code: 'approval_denied', host, retryable: false, approval: /^[0-9A-Z]{26}$/, reason: /use the mirror instead/ })
    t.match(problem['hint'], /A reviewer looked at this and said no/)
    t.equal(answer?.fields.get('x-proxy-error'), 'blocked-by-policy')
  }
  t.strictSame(proxy.decisions().slice(2).map(({ attributes }) => [attributes['network.policy.decision'], attributes['sallyport.code'], attributes['sallyport.stage']]), Array.from({ length: 2 }, () => ['deny', 'approval_denied', 'approval']))
  const retried = await (await sent(t, proxy, connectBytes('one.ask.test:443'))).next()
  t.equal(retried?.status, 403, 'the retry at once is refused without a new question')
  t.match(retried?.reason, /^Denied by policy: a reviewer refused one\.ask\.test: use the mirror instead/)
  t.strictSame(await control.approvals(), [])
})

t.test('a client that is not waited for gets 403 approval_pending, and its retry passes once it is approved', async (t) => {
  const origin = await strictOrigin(t)
  const { proxy, control } = await startAsking(t, origin.port, { holdMs: 0 })
  const host = `one.ask.test:${origin.port}`
  for (const bytes of [connectBytes(host), requestBytes(host, '/', { method: 'POST', body: 'hello' }), requestBytes(host, '/')]) {
    const scheme = bytes.startsWith('CONNECT') ? 'https' : 'http'
    const answer = await (await sent(t, proxy, bytes)).next()
    t.equal(answer?.status, 403, bytes)
    t.equal(answer?.fields.get('retry-after'), '5', bytes)
    const id = (await control.approvals()).find((approval) => approval.scheme === scheme)?.id
    t.match(problemIn(answer?.body), { code: 'approval_pending', approval: id, retryable: true, hint: /GET \/approvals\/ID\?wait=20/ }, bytes)
    t.match(answer?.reason, `(approval ${id})`, bytes)
  }
  const open = await control.approvals()
  t.strictSame(open.map(({ attempts, waiting }) => [attempts, waiting]), [[1, 0], [2, 0]])
  for (const approval of open) t.equal((await control.answer(approval, { verdict: 'allow' })).status, 200)
  t.equal((await (await sent(t, proxy, requestBytes(host, '/again'))).next())?.body, 'GET /again\n')
  t.match(await headOf(await sent(t, proxy, connectBytes(host))), /^HTTP\/1\.1 200 /)
  t.equal(proxy.records().filter(({ name }) => name === 'sallyport.approval.requested').length, 2)
  const ended = proxy.records().filter(({ name, attributes }) => name === 'sallyport.exchange.ended' && attributes['sallyport.code'] === 'approval_pending')
  t.strictSame(ended.map(({ attributes }) => attributes['sallyport.outcome']), ['pending', 'pending', 'pending'], 'which is no denial')
})

t.test('a hold that runs out ends as approval_pending, and the question stays for the retry', async (t) => {
  const { proxy, control } = await startAsking(t, 8443, { holdMs: 300 })
  const connect = await sent(t, proxy, connectBytes('one.ask.test:443'))
  const post = await sent(t, proxy, requestBytes('two.ask.test', '/', { method: 'POST', body: 'hello' }))
  for (const client of [connect, post]) t.match(problemIn((await client.next())?.body), { code: 'approval_pending' })
  t.strictSame((await control.approvals()).map(({ waiting, state }) => [waiting, state]), [[0, 'pending'], [0, 'pending']])
})

t.test('nothing is resolved and nothing is dialled while a request is held or pending', async (t) => {
  const origin = await strictOrigin(t)
  const dns = await startDnsServer(t, { 'six.ask.test': { addresses: ['127.0.0.1'] } })
  const { proxy, control } = await startAsking(t, origin.port, { hosts: {}, change: (settings) => ({ ...settings, dns: { ...settings.dns, servers: [dns.text] } }) })
  const host = `six.ask.test:${origin.port}`
  const clients = await Promise.all([connectBytes(host), requestBytes(host, '/'), requestBytes(host, '/', { fields: webSocketFields }), connectBytes('unheard-of.test:443')].map((bytes) => sent(t, proxy, bytes)))
  // one for https, one for http with the GET and the upgrade
  await control.pending('six.ask.test', ({ waiting }) => waiting === 2)
  await control.pending('unheard-of.test')
  for (const client of clients) await isUnanswered(t, client)
  t.strictSame(dns.queries, [])
  t.equal(origin.connections(), 0)
  for (const approval of await control.approvals('state=pending&host=six.ask.test')) await control.answer(approval, { verdict: 'allow' })
  t.equal((await clients[1]?.next())?.status, 200)
  t.ok(dns.count('six.ask.test') > 0, 'and then it is')
  t.equal(dns.count('unheard-of.test'), 0)
  await control.decide('unheard-of.test', { verdict: 'deny' })
  t.equal((await clients[3]?.next())?.status, 403)
  t.equal(dns.count('unheard-of.test'), 0)
})

t.test('an approval opens no address that the policy keeps closed', async (t) => {
  const { proxy, control } = await startAsking(t, 8443, { hosts: { ...askHosts, 'new.test': '127.0.0.1', 'far.ask.test': '10.1.2.3' } })
  for (const host of ['new.test', 'far.ask.test']) {
    const client = await sent(t, proxy, connectBytes(`${host}:443`))
    await control.decide(host, { verdict: 'allow', term: 'session' })
    const answer = await client.next()
    t.equal(answer?.status, 403)
    t.match(problemIn(answer?.body), { code: 'ip_denied' })
  }
})
