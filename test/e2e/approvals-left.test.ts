// A client that leaves while its request is held: noticed, not served, and its question stays for the retry.
import t, { type Test } from 'tap'
import { connectBytes, requestBytes, sent, startAsking, webSocketFields, type AskWorld } from '../support/ask-world.ts'
import { startDnsServer, type DnsServer } from '../support/dns-server.ts'
import { strictOrigin, type StrictOrigin } from '../support/strict-origin.ts'
import type { WireClient } from '../support/wire-client.ts'

interface Left extends AskWorld {
  readonly origin: StrictOrigin
  readonly dns: DnsServer
}

interface Shape {
  /** of a name that only the name server knows */
  readonly name: string
  bytes(authority: string): string
}

const shapes: Readonly<Record<string, Shape>> = {
  'a CONNECT': { name: 'one', bytes: (authority) => connectBytes(authority) },
  'a CONNECT with more behind it': { name: 'two', bytes: (authority) => connectBytes(authority) + 'x'.repeat(20_000) },
  'a GET': { name: 'three', bytes: (authority) => requestBytes(authority, '/') },
  'a POST with an unread body': { name: 'four', bytes: (authority) => requestBytes(authority, '/', { method: 'POST', body: 'x'.repeat(30_000) }) },
  'a POST within its body': { name: 'five', bytes: (authority) => requestBytes(authority, '/', { method: 'POST', fields: 'Content-Length: 40000\r\n' }) + 'x'.repeat(30_000) },
  'an upgrade': { name: 'six', bytes: (authority) => requestBytes(authority, '/', { fields: webSocketFields }) },
}

async function world(t: Test): Promise<Left> {
  const origin = await strictOrigin(t)
  const dns = await startDnsServer(t, Object.fromEntries(Object.values(shapes).map(({ name }) => [`${name}.ask.test`, { addresses: ['127.0.0.1'] }])))
  const asking = await startAsking(t, origin.port, { hosts: {}, change: (settings) => ({ ...settings, dns: { ...settings.dns, servers: [dns.text] } }) })
  return { ...asking, origin, dns }
}

// far above what is needed, far below the hold
const noticedWithinMs = 5_000

/** Nobody waits any more; the approval is still there, and a yes to it opens nothing until somebody asks again. */
async function noticed(t: Test, { control, dns, origin, proxy }: Left, { name, bytes }: Shape, leave: (client: WireClient) => void, what: string): Promise<void> {
  const host = `${name}.ask.test`
  const authority = `${host}:${origin.port}`
  const client = await sent(t, proxy, bytes(authority))
  const approval = await control.pending(host)
  const before = Date.now()
  leave(client)
  const now = await control.pending(host, ({ waiting }) => waiting === 0)
  t.ok(Date.now() - before < noticedWithinMs, `${what} is noticed`)
  t.match(now, { id: approval.id, state: 'pending', waiting: 0 }, what)
  const dialled = origin.connections()
  t.equal((await control.answer(now, { verdict: 'allow' })).status, 200, what)
  // the decision is followed by a request that is served, so that whatever the first one did has been done
  await (await sent(t, proxy, connectBytes('denied.test:443'))).next()
  t.equal(dns.count(host), 0, `${what}: no name was looked up`)
  t.equal(origin.connections(), dialled, `${what}: nothing was dialled`)
  const ended = proxy.records().filter((record) => record.name === 'sallyport.exchange.ended' && record.attributes['server.address'] === host)
  t.strictSame(ended.map(({ attributes }) => attributes['sallyport.outcome']), ['pending'], what)
  if (approval.scheme === 'https') return
  const retry = await sent(t, proxy, requestBytes(authority, '/retry'))
  t.equal((await retry.next())?.body, 'GET /retry\n', `${what}: and the retry passes`)
}

const ways: Readonly<Record<string, (client: WireClient) => void>> = {
  closes: (client) => client.socket.destroy(),
  resets: (client) => client.socket.resetAndDestroy(),
  'ends its side': (client) => client.socket.end(),
}

for (const [how, leave] of Object.entries(ways)) {
  t.test(`a client that ${how} while it is held is noticed, and an approval afterwards dials nothing`, async (t) => {
    const left = await world(t)
    for (const [what, shape] of Object.entries(shapes)) await noticed(t, left, shape, leave, `${what} whose client ${how}`)
    t.strictSame(left.origin.complaints, [])
  })
}

t.test('a body that fills its buffer while nobody reads it is answered, so that no client is lost behind it', async (t) => {
  const left = await world(t)
  const host = 'one.ask.test'
  const authority = `${host}:${left.origin.port}`
  const client = await sent(t, left.proxy, requestBytes(authority, '/', { method: 'POST', fields: 'Content-Length: 4000000\r\n' }) + 'x'.repeat(1_000_000))
  const answer = await client.next()
  t.equal(answer?.status, 403)
  t.match(answer?.body, /"code":"approval_pending"/)
  t.match((await left.control.approvals())[0], { host, waiting: 0, state: 'pending' })
})

t.test('one of two that wait leaves, and the other one is served', async (t) => {
  const left = await world(t)
  const host = 'one.ask.test'
  const authority = `${host}:${left.origin.port}`
  const [one, two] = [await sent(t, left.proxy, requestBytes(authority, '/one')), await sent(t, left.proxy, requestBytes(authority, '/two'))]
  const { id } = await left.control.pending(host, ({ waiting }) => waiting === 2)
  one.socket.destroy()
  t.match(await left.control.pending(host, ({ waiting }) => waiting === 1), { id, attempts: 2 })
  await left.control.decide(host, { verdict: 'allow' })
  t.equal((await two.next())?.body, 'GET /two\n')
  t.strictSame(left.origin.requests.map(({ target }) => target), ['/two'])
})

for (const [how, leave] of Object.entries(ways)) {
  t.test(`a client that sends more behind its held GET and then ${how} is noticed too`, async (t) => {
    const left = await world(t)
    for (const [name, more] of [['one', 'GET '], ['two', 'x'.repeat(200_000)]] as const) {
      const host = `${name}.ask.test`
      const client = await sent(t, left.proxy, requestBytes(`${host}:${left.origin.port}`, '/'))
      await left.control.pending(host)
      client.send(more)
      leave(client)
      t.match(await left.control.pending(host, ({ waiting }) => waiting === 0), { state: 'pending' }, name)
    }
    t.equal(left.origin.connections(), 0)
  })
}

t.test('a client that sends more behind its held GET than is kept is answered, and not held', async (t) => {
  const left = await world(t)
  const authority = `one.ask.test:${left.origin.port}`
  const client = await sent(t, left.proxy, requestBytes(authority, '/'))
  await left.control.pending('one.ask.test')
  client.send('x'.repeat(1_000_000))
  const answer = await client.next()
  t.match(answer?.body, /"code":"approval_pending"/)
  t.match((await left.control.approvals())[0], { waiting: 0, state: 'pending' })
})

t.test('what a client sends behind its held GET is served behind it after a yes, in order', async (t) => {
  const left = await world(t)
  const authority = `one.ask.test:${left.origin.port}`
  const client = await sent(t, left.proxy, requestBytes(authority, '/one'))
  await left.control.pending('one.ask.test')
  const body = 'x'.repeat(100_000)
  client.send(requestBytes(authority, '/two', { method: 'POST', body }) + requestBytes(authority, '/three'))
  await left.control.decide('one.ask.test', { verdict: 'allow' })
  for (const line of ['GET /one\n', 'POST /two\n', 'GET /three\n']) t.equal((await client.next())?.body, line)
  t.strictSame(left.origin.requests.map((request) => request.body.length), [0, body.length, 0])
})
