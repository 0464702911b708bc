// Held requests among others on a connection, inside a tunnel to port 80, past the limits of time that are for
// clients that stall, and when the process stops.
import t from 'tap'
import { connectBytes, headOf, problemIn, requestBytes, sent, startAsking, webSocketFields } from '../support/ask-world.ts'
import { strictOrigin } from '../support/strict-origin.ts'

t.test('what is pipelined behind a held request is answered after it', async (t) => {
  const origin = await strictOrigin(t)
  const { proxy, control } = await startAsking(t, origin.port)
  const host = `one.ask.test:${origin.port}`
  const client = await sent(t, proxy, requestBytes(host, '/1') + requestBytes('denied.test', '/') + requestBytes(host, '/2'))
  await control.pending('one.ask.test', ({ waiting }) => waiting === 2)
  t.equal(client.received, '')
  await control.decide('one.ask.test', { verdict: 'allow' })
  t.strictSame((await client.answers(3)).map(({ status, body }) => (status === 200 ? body : status)), ['GET /1\n', 403, 'GET /2\n'])
})

t.test('a client that leaves with two requests held on its connection is noticed for both', async (t) => {
  const { proxy, control } = await startAsking(t, 8443)
  const client = await sent(t, proxy, requestBytes('one.ask.test', '/') + requestBytes('two.ask.test', '/'))
  for (const host of ['one.ask.test', 'two.ask.test']) await control.pending(host)
  client.socket.destroy()
  for (const host of ['one.ask.test', 'two.ask.test']) t.equal((await control.pending(host, ({ waiting }) => waiting === 0)).state, 'pending')
})

t.test('a tunnel to port 80 is held, and one yes covers the requests inside it', async (t) => {
  const { proxy, control } = await startAsking(t, 8443)
  const client = await sent(t, proxy, connectBytes('inside.test:80') + 'GET /a HTTP/1.1\r\nHost: inside.test\r\n\r\n')
  t.match(await control.pending('inside.test'), { scheme: 'http', port: 80, attempts: 1 })
  t.equal(client.received, '')
  await control.decide('inside.test', { verdict: 'allow' })
  await client.until((text) => text.includes('"code"'))
  t.match(client.received, /^HTTP\/1\.1 200 Connection established\r\n\r\nHTTP\/1\.1 502 [^]*"code":"dns_failed"/, 'let through to a name that nothing resolves')
  t.strictSame(await control.approvals(), [])
})

t.test('a client that leaves while a request inside its tunnel is held is noticed', async (t) => {
  const policy = '[network]\nunknown = "deny"\n[[network.rules]]\nid = "writes"\nhosts = ["inside.test"]\nmethods = ["POST"]\nverdict = "ask"\n'
  const { proxy, control } = await startAsking(t, 8443, { policy })
  const client = await sent(t, proxy, connectBytes('inside.test:80'))
  t.match(await headOf(client), /^HTTP\/1\.1 200 /, 'which holds nothing by itself')
  client.send('POST /a HTTP/1.1\r\nHost: inside.test\r\nContent-Length: 5\r\n\r\nhello')
  t.match(await control.pending('inside.test'), { kind: 'request', method: 'POST', url: 'http://inside.test/a' })
  client.socket.destroy()
  t.equal((await control.pending('inside.test', ({ waiting }) => waiting === 0)).state, 'pending')
})

t.test('the limits for clients that stall are not for one that is held', async (t) => {
  const origin = await strictOrigin(t)
  const short = { requestTimeoutMs: 1_000, headersTimeoutMs: 1_000, keepAliveTimeoutMs: 1_000, helloTimeoutMs: 1_000, connectTimeoutMs: 1_000, tunnelIdleMs: 1_000, originTimeoutMs: 1_000 }
  const { proxy, control } = await startAsking(t, origin.port, { change: (settings) => ({ ...settings, limits: { ...settings.limits, ...short } }) })
  const host = (name: string): string => `${name}.ask.test:${origin.port}`
  const clients = {
    one: await sent(t, proxy, connectBytes(host('one'))),
    two: await sent(t, proxy, requestBytes(host('two'), '/')),
    three: await sent(t, proxy, requestBytes(host('three'), '/', { method: 'POST', fields: 'Content-Length: 5\r\nExpect: 100-continue\r\n' })),
    four: await sent(t, proxy, `${requestBytes(host('four'), '/', { method: 'POST', fields: 'Content-Length: 5\r\n' })}hel`),
    five: await sent(t, proxy, requestBytes(host('five'), '/', { fields: webSocketFields })),
  }
  for (const name of Object.keys(clients)) await control.pending(`${name}.ask.test`)
  // longer than each of these limits and the sweeps that look for them
  await new Promise((resolve) => setTimeout(resolve, 5_000))
  for (const [name, client] of Object.entries(clients)) {
    t.equal(client.received, '', name)
    t.equal(client.isClosed, false, name)
  }
  for (const name of Object.keys(clients)) await control.decide(`${name}.ask.test`, { verdict: name === 'five' ? 'deny' : 'allow' }, () => true)
  clients.four.send('lo')
  t.equal((await clients.four.next())?.status, 200)
  t.match(await headOf(clients.one), /^HTTP\/1\.1 200 /)
  t.equal((await clients.two.next())?.status, 200)
  await clients.three.until((text) => text.includes('100 Continue'))
  clients.three.send('hello')
  t.equal((await clients.three.next())?.status, 200)
  t.equal((await clients.five.next())?.status, 403)
})

t.test('a proxy that stops tells whoever is held to come again, and does not wait for them', async (t) => {
  const { proxy, control } = await startAsking(t, 8443)
  const clients = [await sent(t, proxy, connectBytes('one.ask.test:443')), await sent(t, proxy, requestBytes('two.ask.test', '/')), await sent(t, proxy, requestBytes('three.ask.test', '/', { fields: webSocketFields }))]
  for (const host of ['one.ask.test', 'two.ask.test', 'three.ask.test']) await control.pending(host)
  const before = Date.now()
  const stopped = proxy.stop(true)
  for (const client of clients) {
    const answer = await client.next()
    t.equal(answer?.status, 503)
    t.match(problemIn(answer?.body), { code: 'draining', retryable: true })
    t.ok(answer?.fields.has('retry-after'))
  }
  await stopped
  t.ok(Date.now() - before < 15_000)
})
