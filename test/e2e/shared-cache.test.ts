// Copies of live traffic: what two clients ask for costs the network once, on every way in; what may not be shared never
// is; and the client gets what it would have got without a cache.
import { once } from 'node:events'
import type http from 'node:http'
import http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { startCached, ways, type CachedWorld, type Way } from '../support/cached-world.ts'
import { testCertificates } from '../support/certificates.ts'
import { openInside, insideRequest } from '../support/inside.ts'
import { startWith } from '../support/issued-sessions.ts'
import { MemoryCacheStore } from '../support/memory-cache-store.ts'
import { httpOrigin, rawOrigin } from '../support/origins.ts'
import { startProxy } from '../support/proxy.ts'
import { openTunnel } from '../support/raw-client.ts'
import { say } from '../support/wire-client.ts'

type Answers = (request: http.IncomingMessage, response: http.ServerResponse) => void

const fresh = { 'Cache-Control': 'max-age=600' }

/** Answers with these fields, and with how many requests there were. */
function counting(fields: http.OutgoingHttpHeaders, body = 'content'): Answers {
  let count = 0
  return (_request, response) => {
    count += 1
    const text = `${body} ${count}`
    response.writeHead(200, { 'Content-Length': text.length, ...fields }).end(text)
  }
}

function onEachWay(name: string, check: (t: Test, way: Way) => Promise<void>): void {
  for (const way of ways) t.test(`${name}: ${way}`, (t) => check(t, way))
}

const seen = ({ origin }: CachedWorld): string[] => origin.requests.map(({ method, url }) => `${method} ${url}`)

/** Waits until nothing is on its way into the store. */
async function copied({ store }: CachedWorld): Promise<void> {
  while (store.open.size > 0) await new Promise((resolve) => setImmediate(resolve))
}

onEachWay('two clients that ask for the same cost the network once, and both are decided and journaled', async (t, way) => {
  const world = await startCached(t, way, counting({ ...fresh, 'X-Kind': 'a', Date: new Date(Date.now() - 5_000).toUTCString() }))
  const first = await (await world.client()).ask('/a?b=1')
  const second = await (await world.client()).ask('/a?b=1')
  t.equal(first.fields.get('cache-status'), 'sallyport; fwd=uri-miss; stored')
  t.notOk(first.fields.has('age'))
  t.match(second.fields.get('cache-status'), /^sallyport; hit; ttl=59\d$/)
  t.match(second.fields.get('age'), /^[5-9]$/)
  t.equal(second.body, 'content 1')
  t.equal(first.body, 'content 1')
  t.equal(second.fields.get('date'), first.fields.get('date'))
  t.equal(second.fields.get('via'), first.fields.get('via'))
  t.equal(second.fields.get('x-kind'), 'a')
  t.same(seen(world), ['GET /a?b=1'])
  const ended = await Promise.all([first, second].map((_each, i) => world.proxy.recorded((record) =>
    record.name === 'sallyport.exchange.ended' && record === world.proxy.records().filter(({ name, attributes }) => name === 'sallyport.exchange.ended' && attributes['http.request.method'] === 'GET')[i])))
  t.same(ended.map(({ attributes }) => attributes['http.response.status_code']), [200, 200])
  t.equal(world.proxy.decisions().filter(({ attributes }) => attributes['http.request.method'] === 'GET').length, 2)
})

onEachWay('a kept answer reaches its reader byte for byte, however large, and encoded as it came', async (t, way) => {
  const body = Buffer.alloc(700_000, 'abcdefg')
  const world = await startCached(t, way, (_request, response) => response.writeHead(200, { ...fresh, 'Content-Encoding': 'gzip' }).end(body))
  const client = await world.client()
  for (let i = 0; i < 2; i++) {
    const answer = await client.ask('/large')
    t.ok(Buffer.from(answer.body, 'latin1').equals(body))
    t.equal(answer.fields.get('content-encoding'), 'gzip')
    await copied(world)
  }
  t.equal(world.origin.requests.length, 1)
})

onEachWay('a stale answer is confirmed, and a 304 costs no content', async (t, way) => {
  const world = await startCached(t, way, (request, response) => {
    const fields = { 'Cache-Control': 'max-age=1', 'ETag': '"one"', 'X-Turn': String(world.origin.requests.length) }
    if (request.headers['if-none-match'] === '"one"') response.writeHead(304, { ...fields, 'Cache-Control': 'max-age=600' }).end()
    else response.writeHead(200, { ...fields, Age: '5' }).end('content')
  })
  const client = await world.client()
  t.equal((await client.ask('/')).fields.get('x-turn'), '1')
  const confirmed = await client.ask('/')
  t.same([confirmed.status, confirmed.body, confirmed.fields.get('x-turn')], [200, 'content', '2'])
  t.equal(confirmed.fields.get('cache-status'), 'sallyport; fwd=stale; fwd-status=304')
  t.match((await client.ask('/')).fields.get('cache-status'), /hit/)
  t.equal((await client.ask('/', { fields: { 'If-None-Match': '"one"' } })).status, 304)
  t.equal((await client.ask('/', { fields: { 'If-None-Match': '"two"' } })).status, 200)
  t.equal(world.origin.requests.length, 2)
})

onEachWay('a stale answer that has changed is replaced', async (t, way) => {
  const world = await startCached(t, way, (_request, response) => {
    const turn = world.origin.requests.length
    response.writeHead(200, { 'Cache-Control': 'max-age=600', 'ETag': `"${turn}"`, ...(turn === 1 ? { Age: '900' } : {}) }).end(`content ${turn}`)
  })
  const client = await world.client()
  t.same([(await client.ask('/')).body, (await client.ask('/')).body, (await client.ask('/')).body], ['content 1', 'content 2', 'content 2'])
  t.equal(world.origin.requests[1]?.headers['if-none-match'], '"1"')
  t.equal(world.store.stats().entries, 1)
})

onEachWay('what Vary names chooses, and two spellings of one list are one', async (t, way) => {
  const world = await startCached(t, way, (request, response) => {
    response.writeHead(200, { ...fresh, Vary: 'Accept-Encoding' }).end(String(request.headers['accept-encoding']))
  })
  const client = await world.client()
  const ask = async (encodings: string) => (await client.ask('/', { fields: { 'Accept-Encoding': encodings } })).body
  t.same([await ask('gzip, br'), await ask('BR,gzip'), await ask('zstd'), await ask('gzip, br')], ['gzip, br', 'gzip, br', 'zstd', 'gzip, br'])
  t.equal(world.origin.requests.length, 2)
})

onEachWay('what a credential fetches is kept for nobody, and nobody with one is given what others fetched', async (t, way) => {
  const world = await startCached(t, way, counting({ 'Cache-Control': 'max-age=600, public' }))
  const client = await world.client()
  for (const fields of [{ Authorization: 'Bearer a' }, { 'X-Api-Key': 'a' }, { Cookie: 'a=b' }]) {
    await client.ask('/secret', { fields })
    await copied(world)
  }
  t.equal(world.store.stats().entries, 0)
  t.equal(world.origin.requests.length, 3)
  const closed = await startCached(t, way, counting(fresh))
  const other = await closed.client()
  await other.ask('/')
  t.equal((await other.ask('/', { fields: { Authorization: 'Bearer a' } })).body, 'content 2')
  t.equal((await other.ask('/', { fields: { Cookie: 'a=b' } })).body, 'content 1')
  t.equal((await other.ask('/')).body, 'content 1')
})

onEachWay('one part is cut from a whole answer, several go to the origin', async (t, way) => {
  const world = await startCached(t, way, (_request, response) => response.writeHead(200, { ...fresh, ETag: '"e"' }).end('0123456789'))
  const client = await world.client()
  await client.ask('/')
  const ask = async (range: string, more = {}) => {
    const { status, body, fields } = await client.ask('/', { fields: { Range: range, ...more } })
    return [status, body, fields.get('content-range')]
  }
  t.same(await ask('bytes=2-4'), [206, '234', 'bytes 2-4/10'])
  t.same(await ask('bytes=7-'), [206, '789', 'bytes 7-9/10'])
  t.same(await ask('bytes=-3'), [206, '789', 'bytes 7-9/10'])
  t.same(await ask('bytes=0-0', { 'If-Range': '"e"' }), [206, '0', 'bytes 0-0/10'])
  t.same(await ask('bytes=0-0', { 'If-Range': '"f"' }), [200, '0123456789', undefined])
  t.same(await ask('bytes=10-'), [416, '', 'bytes */10'])
  t.equal(world.origin.requests.length, 1)
  await ask('bytes=0-1, 3-4')
  t.equal(world.origin.requests.length, 2)
})

onEachWay('HEAD is answered from a GET', async (t, way) => {
  const world = await startCached(t, way, counting(fresh))
  const client = await world.client()
  const { fields } = await client.ask('/')
  const head = await client.ask('/', { method: 'HEAD' })
  t.same([head.status, head.body, head.fields.get('content-length')], [200, '', fields.get('content-length')])
  t.equal(world.origin.requests.length, 1)
})

onEachWay('a request that may change something drops what is kept of its URL and of those its answer names', async (t, way) => {
  const world = await startCached(t, way, (request, response) => {
    if (request.method === 'GET') response.writeHead(200, fresh).end(`turn ${world.origin.requests.length}`)
    else if (request.url === '/fails') response.writeHead(500).end()
    else response.writeHead(201, { 'Location': '/named', 'Content-Location': 'http://other.test/kept' }).end()
  })
  const client = await world.client()
  const paths = ['/changed', '/named', '/kept', '/fails']
  for (const path of paths) await client.ask(path)
  await client.ask('/changed', { method: 'POST', body: 'x' })
  await client.ask('/fails', { method: 'DELETE' })
  const hits: string[] = []
  for (const path of paths) if (/hit/.test((await client.ask(path)).fields.get('cache-status') ?? '')) hits.push(path)
  t.same(hits, ['/kept', '/fails'])
})

onEachWay('a client that leaves within an answer leaves nothing behind, and the next one gets all of it', async (t, way) => {
  const world = await startCached(t, way, (_request, response) => {
    response.writeHead(200, { ...fresh, 'Content-Length': 300_000 })
    response.write('x'.repeat(1_000))
    if (world.origin.requests.length > 1) response.end('x'.repeat(299_000))
  })
  await (await world.client()).leaveWithin('/')
  await world.proxy.recorded(({ name, attributes }) => name === 'sallyport.exchange.ended' && attributes['http.request.method'] === 'GET')
  t.same([world.store.stats().entries, world.store.open.size], [0, 0])
  const client = await world.client()
  t.equal((await client.ask('/')).body.length, 300_000)
  await copied(world)
  t.equal((await client.ask('/')).body.length, 300_000)
  t.equal(world.origin.requests.length, 2)
})

onEachWay('only-if-cached is answered from the cache or not at all', async (t, way) => {
  const world = await startCached(t, way, counting(fresh))
  const client = await world.client()
  const only = { fields: { 'Cache-Control': 'only-if-cached' } }
  const missed = await client.ask('/', only)
  t.equal(missed.status, 504)
  t.match(missed.body, /"code":"only_if_cached"/)
  t.equal(missed.fields.get('cache-status'), 'sallyport; detail=only-if-cached')
  t.equal(world.origin.connections(), 0)
  await client.ask('/')
  t.equal((await client.ask('/', only)).status, 200)
})

onEachWay('equal misses at one time are one request', async (t, way) => {
  const { promise, resolve } = Promise.withResolvers<void>()
  const answer = counting(fresh)
  const world = await startCached(t, way, (request, response) => {
    void promise.then(() => answer(request, response))
  })
  const clients = await Promise.all(Array.from({ length: 5 }, () => world.client()))
  const asked = clients.map((client) => client.ask('/'))
  await world.proxy.recorded(() => world.proxy.decisions().filter(({ attributes }) => attributes['http.request.method'] === 'GET').length === 5)
  resolve()
  const answers = await Promise.all(asked)
  t.same(answers.map(({ body }) => body), Array(5).fill('content 1'))
  t.equal(answers.filter(({ fields }) => fields.get('cache-status') === 'sallyport; fwd=uri-miss; collapsed').length, 4)
  t.equal(world.origin.requests.length, 1)
})

t.test('those who wait for an answer that turns out to be private go out by themselves', async (t) => {
  const { promise, resolve } = Promise.withResolvers<void>()
  const answer = counting({ 'Cache-Control': 'private' })
  const world = await startCached(t, 'bare', (request, response) => {
    void promise.then(() => answer(request, response))
  })
  const clients = await Promise.all(Array.from({ length: 3 }, () => world.client()))
  const asked = clients.map((client) => client.ask('/'))
  await world.proxy.recorded(() => world.proxy.decisions().length === 3)
  resolve()
  t.same((await Promise.all(asked)).map(({ body }) => body).toSorted(), ['content 1', 'content 2', 'content 3'])
})

t.test('an origin that fails is stood in for where it has said so, and only there', async (t) => {
  const world = await startCached(t, 'bare', (request, response) => {
    const isBroken = world.origin.requests.filter(({ url }) => url === request.url).length > 1
    if (isBroken && request.url?.startsWith('/cut') === true) request.socket.destroy()
    else if (isBroken) response.writeHead(503).end('broken')
    else response.writeHead(200, { 'Cache-Control': `max-age=1${request.url?.endsWith('kept') === true ? ', stale-if-error=600' : ''}`, 'ETag': '"a"', 'Age': '5' }).end('content')
  })
  const client = await world.client()
  for (const path of ['/kept', '/cut-kept', '/status', '/cut']) await client.ask(path)
  const kept = await client.ask('/kept')
  t.same([kept.status, kept.body], [200, 'content'])
  t.match(kept.fields.get('cache-status'), /^sallyport; hit; ttl=-[45]; detail=stale-if-error$/)
  t.same((await client.ask('/cut-kept')).body, 'content')
  t.same((await client.ask('/status')).body, 'broken')
  t.equal((await client.ask('/cut')).status, 502)
})

t.test('an answer whose end is that of its connection, or that breaks off, is not kept', async (t) => {
  const origin = await rawOrigin(t, (socket) => {
    socket.on('data', (bytes: Buffer) => {
      const isShort = bytes.toString('latin1').includes('/short')
      socket.end(`HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\n${isShort ? 'Content-Length: 20\r\n' : ''}\r\nhello`)
    })
    socket.on('error', () => socket.destroy())
  })
  const authority = `origin.test:${origin.port}`
  const store = new MemoryCacheStore()
  const proxy = await startProxy(t, {
    hosts: { 'origin.test': '127.0.0.1' }, cacheStore: store,
    policy: `[[network.rules]]\nid = "cached"\nhosts = ["${authority}"]\nlocal = ["127.0.0.1/32"]\nshared_cache = true\nverdict = "allow"\n`,
  })
  for (const path of ['/short', '/close']) {
    t.match(await say(proxy.port, `GET http://${authority}${path} HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`), /hello/)
  }
  t.same([store.stats().entries, store.open.size], [0, 0])
})

t.test('no answer with a cookie, no private one and none for a steered request is kept', async (t) => {
  const answers: Record<string, http.OutgoingHttpHeaders> = {
    '/cookie': { ...fresh, 'Set-Cookie': 'a=b' }, '/private': { 'Cache-Control': 'private, max-age=600' },
    '/unclosed': { 'Cache-Control': 'max-age=600, x="no-store' }, '/star': { ...fresh, Vary: '*' }, '/steered': fresh,
  }
  const world = await startCached(t, 'bare', (request, response) => response.writeHead(200, answers[request.url ?? '']).end('content'))
  const client = await world.client()
  for (const path of Object.keys(answers)) {
    const fields = path === '/steered' ? { 'X-Forwarded-Host': 'evil.test' } : {}
    for (let i = 0; i < 2; i++) t.equal((await client.ask(path, { fields })).body, 'content', path)
  }
  t.equal(world.store.stats().entries, 0)
  t.equal(world.origin.requests.length, 10)
})

t.test('a store that fails is no cache: clients notice nothing', async (t) => {
  const store = new MemoryCacheStore()
  store.fault = new Error('the disk is full')
  const world = await startCached(t, 'bare', counting(fresh), { store })
  const client = await world.client()
  t.equal((await client.ask('/')).body, 'content 1')
  t.equal((await client.ask('/')).body, 'content 2')
  t.ok(world.proxy.log.some((line) => line.includes('the disk is full')))
  store.fault = undefined
  t.equal((await client.ask('/')).body, 'content 3')
  t.equal((await client.ask('/')).body, 'content 3')
  store.lose()
  t.equal((await client.ask('/')).body, 'content 4')
})

t.test('a slow disk holds no answer up', async (t) => {
  const store = new MemoryCacheStore()
  const { promise, resolve } = Promise.withResolvers<void>()
  store.gate = promise
  const world = await startCached(t, 'bare', counting(fresh), { store })
  t.equal((await (await world.client()).ask('/')).body, 'content 1')
  t.equal(store.stats().entries, 0)
  resolve()
  await copied(world)
  t.equal((await (await world.client()).ask('/')).body, 'content 1')
})

t.test('rules that do not say so are not cached, and a request that another rule changes is not', async (t) => {
  const plain = await startCached(t, 'bare', counting(fresh), { more: '[[network.rules]]\nid = "set"\nhosts = ["ORIGIN"]\nlocal = ["127.0.0.1/32"]\npaths = ["/set/**"]\nset_headers = { X-Tenant = "a" }\nverdict = "allow"\n', rule: 'methods = ["GET", "POST"]\n' })
  const client = await plain.client()
  t.equal((await client.ask('/set/a')).fields.get('cache-status'), 'sallyport; fwd=bypass')
  t.equal((await client.ask('/set/a')).body, 'content 2')
  const post = await client.ask('/a', { method: 'POST', body: 'x' })
  t.equal(post.fields.get('cache-status'), 'sallyport; fwd=method')
})

t.test('what one team fetched is for that team alone, and sessions without one share among themselves', async (t) => {
  const origin = await httpOrigin(t, counting(fresh))
  const authority = `origin.test:${origin.port}`
  const { proxy, sessions } = await startWith(t, [{ team: 'red' }, { team: 'red' }, { team: 'blue' }, {}, {}], {
    hosts: { 'origin.test': '127.0.0.1' }, cacheStore: new MemoryCacheStore(),
    policy: `[[network.rules]]\nid = "cached"\nhosts = ["${authority}"]\nlocal = ["127.0.0.1/32"]\nshared_cache = true\nverdict = "allow"\n`,
  })
  const got: string[] = []
  for (const { field } of sessions) {
    const answer = await say(proxy.port, `GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\nProxy-Authorization: ${field}\r\nConnection: close\r\n\r\n`)
    got.push(answer.slice(-1))
  }
  t.same(got, ['1', '1', '2', '3', '3'])
})

t.test('a request that the rules no longer allow is not answered from what is kept', async (t) => {
  const world = await startCached(t, 'bare', counting(fresh), { rule: 'paths = ["/open/**"]\n', more: '[[network.rules]]\nid = "no"\nhosts = ["ORIGIN"]\npaths = ["/open/**"]\nheaders = { X-Denied = ["*"] }\nverdict = "deny"\n' })
  const client = await world.client()
  await client.ask('/open/a')
  t.equal((await client.ask('/open/a')).body, 'content 1')
  t.equal((await client.ask('/open/a', { fields: { 'X-Denied': 'yes' } })).status, 403)
})

t.test('an origin that speaks HTTP/2 alone frames its answers well enough to be kept', async (t) => {
  const certificates = await testCertificates()
  let count = 0
  const origin = http2.createSecureServer({ ...(await certificates.issue(['origin.test'])), allowHTTP1: false }, (_request, response) => {
    count += 1
    response.writeHead(200, fresh)
    response.write('con')
    response.end(`tent ${count}`)
  })
  origin.listen(0, '127.0.0.1')
  await once(origin, 'listening')
  t.teardown(() => origin.close())
  const authority = `origin.test:${(origin.address() as AddressInfo).port}`
  const proxy = await startProxy(t, {
    hosts: { 'origin.test': '127.0.0.1' }, cacheStore: new MemoryCacheStore(), policies: { 'roots.pem': certificates.ca },
    policy: `[[network.rules]]\nid = "cached"\nhosts = ["${authority}"]\nlocal = ["127.0.0.1/32"]\norigin_ca = ["roots.pem"]\nshared_cache = true\nverdict = "allow"\n`,
  })
  const first = await openTunnel(proxy.port, authority)
  first.socket.destroy()
  const client = await openInside(t, proxy, authority)
  for (let i = 0; i < 2; i++) {
    client.send(insideRequest(authority, '/'))
    const answer = await client.next()
    t.equal(answer?.body, 'content 1')
    t.match(answer?.fields.get('cache-status'), i === 0 ? /stored/ : /hit/)
  }
})
