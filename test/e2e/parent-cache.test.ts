// One cache for many proxies: a real squid behind two of them. What agents read comes out of squid, and neither it nor
// the proxies ask the origin, or a name server, for anything.
import t, { type Test } from 'tap'
import { testCertificates } from '../support/certificates.ts'
import { startDnsServer, type DnsServer } from '../support/dns-server.ts'
import { insideRequest, openInside } from '../support/inside.ts'
import { httpOrigin, tlsOrigin } from '../support/origins.ts'
import { pageAnswer, startFakeParent } from '../support/parent-cache.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'
import { rawExchange } from '../support/raw-client.ts'
import { needsSquid, startSquid, type Squid } from '../support/squid.ts'
import { WireClient, type Answer } from '../support/wire-client.ts'

interface Reader {
  readonly proxy: TestProxy
  readonly dns: DnsServer
}

/** A proxy that reads `docs.test` from its cache alone, behind which `parent` stands. */
async function startReader(t: Test, parent: { readonly url: string }, port: number, tables = ''): Promise<Reader> {
  const dns = await startDnsServer(t)
  const proxy = await startProxy(t, {
    policy: `[network]\nunknown = "deny"\nallowed_domains = ["127.0.0.1"]\nallow_local_binding = true\n[[network.rules]]\nid = "docs"\nhosts = ["docs.test", "docs.test:${port}"]\nvia = "cache"\nverdict = "allow"\n${tables}`,
    change: (settings) => ({
      ...settings, dns: { ...settings.dns, servers: [dns.text] },
      cache: { ...settings.cache, parent: { url: parent.url, timeoutMs: 10_000 } },
    }),
  })
  return { proxy, dns }
}

async function get({ proxy }: Reader, url: string, fields = '', method = 'GET'): Promise<Answer | undefined> {
  const client = await WireClient.open(proxy.port)
  client.send(`${method} ${url} HTTP/1.1\r\nHost: ${new URL(url).host}\r\n${fields}Connection: close\r\n\r\n`)
  const answer = await client.next()
  client.socket.destroy()
  return answer
}

/** As anybody who is not an agent has squid fetch it. */
function fill(squid: Squid, url: string, fields = ''): Promise<string> {
  return rawExchange(squid.port, `GET ${url} HTTP/1.1\r\nHost: ${new URL(url).host}\r\n${fields}Connection: close\r\n\r\n`)
}

function codeOf(answer: Answer | undefined): unknown {
  const body: unknown = JSON.parse(answer?.body ?? '{}')
  return typeof body === 'object' && body !== null && 'code' in body ? body.code : undefined
}

t.test('what one had squid fetch is read by agents of two proxies, with no request at the origin', needsSquid(), async (t) => {
  const origin = await httpOrigin(t, (_request, response) => {
    response.writeHead(200, { 'Cache-Control': 'max-age=600', 'Content-Type': 'text/plain', 'Set-Cookie': 'a=b', ETag: '"v1"' }).end('a page of docs')
  })
  const squid = await startSquid(t, { names: ['docs.test'] })
  const readers = [await startReader(t, squid, origin.port), await startReader(t, squid, origin.port)]
  const url = `http://docs.test:${origin.port}/page?a=b`
  t.match(await fill(squid, url), /^HTTP\/1\.1 200 [^]*a page of docs/)
  t.equal(origin.requests.length, 1)
  for (const reader of readers) {
    const answer = await get(reader, url, 'Cookie: mine=1\r\nUser-Agent: agent\r\n')
    t.equal(answer?.status, 200)
    t.equal(answer?.body, 'a page of docs')
    t.match(answer?.fields.get('cache-status'), /^parent; hit; ttl=[0-9]+, sallyport; fwd=miss$/)
    t.match(answer?.fields.get('age'), /^[0-9]+$/)
    t.equal(answer?.fields.get('etag'), '"v1"')
    for (const name of ['set-cookie', 'x-cache', 'x-cache-lookup']) t.notOk(answer?.fields.has(name), name)
    t.equal((await get(reader, url, 'If-None-Match: "v1"\r\n'))?.status, 304)
    t.equal((await get(reader, url, 'Range: bytes=2-5\r\n'))?.body, 'page')
    const { attributes } = await reader.proxy.recorded(({ name }) => name === 'sallyport.cache.hit')
    t.match(attributes, { 'sallyport.cache.source': 'parent', 'http.response.status_code': 200, 'http.response.body.size': 14 })
    t.same(reader.dns.queries, [])
  }
  t.equal(origin.requests.length, 1, 'the origin heard of none of it')
})

t.test('what squid does not hold is a miss: 504, and nobody is asked', needsSquid(), async (t) => {
  const origin = await httpOrigin(t)
  const squid = await startSquid(t, { names: ['docs.test'] })
  const reader = await startReader(t, squid, origin.port)
  const answer = await get(reader, `http://docs.test:${origin.port}/unknown`)
  t.equal(answer?.status, 504)
  t.equal(codeOf(answer), 'cache_miss')
  t.equal(answer?.fields.get('cache-status'), 'sallyport; detail=not-in-cache')
  t.equal(origin.connections(), 0)
  t.same(reader.dns.queries, [])
})

t.test('squid chooses by the agent\'s language, as Vary says', needsSquid(), async (t) => {
  const origin = await httpOrigin(t, (request, response) => {
    response.writeHead(200, { 'Cache-Control': 'max-age=600', Vary: 'Accept-Language' }).end(request.headers['accept-language'] ?? 'none')
  })
  const squid = await startSquid(t, { names: ['docs.test'] })
  const reader = await startReader(t, squid, origin.port)
  const url = `http://docs.test:${origin.port}/`
  await fill(squid, url, 'Accept-Language: de\r\n')
  t.equal((await get(reader, url, 'Accept-Language: de\r\n'))?.body, 'de')
  t.equal((await get(reader, url, 'Accept-Language: en\r\n'))?.status, 504)
  t.equal((await get(reader, url))?.status, 504)
  t.equal(origin.requests.length, 1)
})

t.test('a stale page of squid is read where the policy takes stale ones, and nowhere else', needsSquid(), async (t) => {
  const origin = await httpOrigin(t, (_request, response) => {
    response.writeHead(200, { 'Cache-Control': 'max-age=60', Date: new Date(Date.now() - 3_600_000).toUTCString(), 'Last-Modified': 'Mon, 01 Jan 2024 00:00:00 GMT' }).end('an old page')
  })
  const squid = await startSquid(t, { names: ['docs.test'] })
  const url = `http://docs.test:${origin.port}/`
  await fill(squid, url)
  const stale = await get(await startReader(t, squid, origin.port), url)
  t.match(stale, { status: 200, body: 'an old page' })
  t.match(stale?.fields.get('cache-status'), /^parent; hit; ttl=-[0-9]+; detail=stale, sallyport; fwd=miss$/)
  const fresh = await startReader(t, squid, origin.port, '[web_fetch]\nmode = "cached"\nstale_ok = false\n')
  t.equal((await get(fresh, url))?.status, 504)
  const young = await startReader(t, squid, origin.port, '[web_fetch]\nmode = "cached"\nmax_age = "10 min"\n')
  t.equal((await get(young, url))?.status, 504)
  t.equal(origin.requests.length, 1)
})

t.test('an https page is read by its URL from a squid that looks into https', needsSquid(true), async (t) => {
  const certificates = await testCertificates()
  const origin = await tlsOrigin(t, ['docs.test'], certificates, (_request, response) => void response.writeHead(200, { 'Cache-Control': 'max-age=600' }).end('a secure page'))
  const squid = await startSquid(t, { names: ['docs.test'], ca: certificates.ca })
  const reader = await startReader(t, squid, origin.port)
  const authority = `docs.test:${origin.port}`
  t.match(await fill(squid, `https://${authority}/page`), /a secure page/)
  // the root is made with the first tunnel that needs it
  await rawExchange(reader.proxy.port, `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`, (received) => received.includes('\r\n\r\n'))
  const client = await openInside(t, reader.proxy, authority)
  client.send(insideRequest(authority, '/page'))
  const answer = await client.next()
  t.equal(answer?.status, 200)
  t.equal(answer?.body, 'a secure page')
  client.send(insideRequest(authority, '/other'))
  t.equal((await client.next())?.status, 504)
  t.equal(origin.requests.length, 1)
  t.same(reader.dns.queries, [])
})

t.test('a squid that is stopped is a miss, journaled as such, and never a live fetch', needsSquid(), async (t) => {
  const origin = await httpOrigin(t)
  const squid = await startSquid(t, { names: ['docs.test'] })
  const reader = await startReader(t, squid, origin.port)
  const url = `http://docs.test:${origin.port}/`
  t.equal((await get(reader, url))?.fields.get('cache-status'), 'sallyport; detail=not-in-cache')
  await squid.stop()
  const answer = await get(reader, url)
  t.equal(answer?.status, 504)
  t.equal(codeOf(answer), 'cache_miss')
  t.equal(answer?.fields.get('cache-status'), 'sallyport; detail=parent-unreachable')
  await reader.proxy.recorded(({ name, attributes }) => name === 'sallyport.cache.missed' && attributes['sallyport.cache.detail'] === 'parent-unreachable')
  t.ok(reader.proxy.log.some((line) => line.includes('is not asked')), 'the operator log says why')
  t.equal(origin.connections(), 0)
  t.same(reader.dns.queries, [])
})

t.test('agents do not reach the parent cache themselves', async (t) => {
  const parent = await startFakeParent(t)
  const reader = await startReader(t, parent, 80)
  const direct = await get(reader, `http://127.0.0.1:${parent.port}/`)
  t.equal(direct?.status, 403)
  const tunnel = await rawExchange(reader.proxy.port, `CONNECT 127.0.0.1:${parent.port} HTTP/1.1\r\nHost: 127.0.0.1:${parent.port}\r\n\r\n`)
  t.match(tunnel, /^HTTP\/1\.1 403 /)
  t.same(parent.asked, [])
})

t.test('readiness warns of a parent that has not passed its test, and stays ready', async (t) => {
  const parent = await startFakeParent(t)
  parent.onTest = pageAnswer('everything is here')
  parent.onPage = pageAnswer('a lie')
  const proxy = await startProxy(t, {
    flags: { ops: '127.0.0.1:0' },
    change: (settings) => ({ ...settings, cache: { ...settings.cache, parent: { url: parent.url, timeoutMs: 10_000 } } }),
  })
  const ready = await fetch(`${proxy.ops}/readyz`)
  t.equal(ready.status, 200)
  t.match(await ready.text(), /parent_cache/)
})

t.test('a large page whose rest does not come is cut, so that nobody takes it for whole', async (t) => {
  const parent = await startFakeParent(t)
  const bytes = 12 * 1024 * 1024
  const begun = Promise.withResolvers<void>()
  parent.onPage = (_request, response) => {
    response.writeHead(200, { Age: '1', 'Cache-Control': 'max-age=60', 'Content-Length': String(bytes) })
    response.write(Buffer.alloc(64 * 1024))
    void begun.promise.then(() => response.destroy())
  }
  const reader = await startReader(t, parent, 80)
  const client = await WireClient.open(reader.proxy.port)
  client.send('GET http://docs.test/large HTTP/1.1\r\nHost: docs.test\r\n\r\n')
  await client.until((received) => received.length > 1_000)
  begun.resolve()
  const received = await client.closed()
  t.match(received, new RegExp(`^HTTP/1\\.1 200 OK\\r\\n[^]*Content-Length: ${bytes}\\r\\n`))
  t.ok(received.length < bytes)
  const { attributes } = await reader.proxy.recorded(({ name }) => name === 'sallyport.exchange.ended')
  t.equal(attributes['sallyport.outcome'], 'failed')
  t.notOk(reader.proxy.log.some((line) => line.includes('the head was written already')))
})
