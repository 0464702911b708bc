// Cached-only reading: what is in the cache is answered from it, what is not is refused, and neither costs a packet.
// The name server and the origins count.
import t from 'tap'
import { testCertificates } from '../support/certificates.ts'
import { ControlClient } from '../support/control.ts'
import { startDnsServer } from '../support/dns-server.ts'
import { insideRequest, openInside } from '../support/inside.ts'
import { startWith } from '../support/issued-sessions.ts'
import { httpOrigin, tlsOrigin } from '../support/origins.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'
import { openTunnel } from '../support/raw-client.ts'
import type { Scope } from '../support/scope.ts'
import { readAnswers, say, WireClient, type Answer } from '../support/wire-client.ts'

interface Kept {
  readonly kept: readonly { readonly url: string; readonly status: number; readonly bytes: number }[]
  readonly fault: { readonly url: string; readonly code: string; readonly reason: string } | null
}

async function fetchInto(proxy: TestProxy, url: string, more: Readonly<Record<string, unknown>> = {}): Promise<Kept> {
  const { body } = await new ControlClient(proxy.controlSocket).call('POST', '/v1/cache/fetch', { body: { url, ...more } })
  return body as Kept
}

async function get(proxy: TestProxy, url: string, fields = '', method = 'GET'): Promise<Answer> {
  const { host } = new URL(url)
  const [answer] = readAnswers(await say(proxy.port, `${method} ${url} HTTP/1.1\r\nHost: ${host}\r\n${fields}Connection: close\r\n\r\n`), [method])
  if (answer === undefined) throw new Error('no answer')
  return answer
}

/** Two lines of policy, and a name server that counts. */
async function startCached(t: Scope, network = '', hosts: Readonly<Record<string, string>> = {}) {
  const dns = await startDnsServer(t)
  const proxy = await startProxy(t, {
    policy: `allowed_web_search_modes = ["cached"]\n[network]\nallowed_domains = ["api.test"]\n${network}`,
    hosts, change: (settings) => ({ ...settings, sessions: { ...settings.sessions, hold: 0 }, dns: { ...settings.dns, servers: [dns.text] } }),
  })
  return { proxy, dns }
}

const rule = (id: string, authority: string, more = '') => `[[network.rules]]\nid = "${id}"\nhosts = ["${authority}"]\nlocal = ["127.0.0.1/32"]\nvia = "cache"\nverdict = "allow"\n${more}\n`

t.test('a ceiling and a list are enough: a page that is not there is 504, and no packet leaves', async (t) => {
  const { proxy, dns } = await startCached(t)
  const answer = await get(proxy, 'http://docs.test/guide?x=1')
  t.match(answer, { status: 504 })
  t.equal(answer.fields.get('cache-status'), 'sallyport; detail=not-in-cache')
  t.match(JSON.parse(answer.body), { code: 'cache_miss', host: 'docs.test', rule: 'web_fetch', retryable: false })
  t.match(await get(proxy, 'http://docs.test/', '', 'HEAD'), { status: 504 })
  await proxy.recorded(({ name }) => name === 'sallyport.exchange.ended')
  t.equal(dns.queries.length, 0)
  const codes = proxy.decisions().map(({ attributes }) => [attributes['sallyport.verdict'] ?? attributes['network.policy.decision'], attributes['sallyport.code']])
  t.match(codes[1], [/deny/, 'cache_miss'])
  t.ok(proxy.records().some(({ name, attributes }) => name === 'sallyport.cache.missed' && attributes['sallyport.cache.detail'] === 'not-in-cache'))
  // what is on the list is live, what is not and is no reading is asked about
  t.match(await get(proxy, 'http://api.test/'), { status: 502 })
  t.equal(dns.count('api.test') > 0, true)
  t.match(await get(proxy, 'http://docs.test/', 'Content-Length: 0\r\n', 'POST'), { status: 403 })
  t.equal(dns.count('docs.test'), 0)
})

t.test('a large page is whole each time: from the disk, from memory, in part, and behind another answer', async (t) => {
  const page = Array.from({ length: 300_000 }, (_, at) => String(at).padStart(11, '.')).join('')
  const origin = await httpOrigin(t, (_request, response) => void response.writeHead(200, { 'content-type': 'text/plain', 'cache-control': 'max-age=60' }).end(page))
  const at = `site.test:${origin.port}`
  const { proxy } = await startCached(t, rule('site', at), { 'site.test': '127.0.0.1' })
  const url = `http://${at}/large`
  t.match(await fetchInto(proxy, url), { kept: [{ status: 200, bytes: page.length }] })
  for (const turn of [1, 2, 3]) {
    const { status, body, isWhole } = await get(proxy, url)
    t.strictSame([status, isWhole, body === page], [200, true, true], `turn ${turn}`)
  }
  const part = await get(proxy, url, 'Range: bytes=2000000-2000020\r\n')
  t.strictSame([part.status, part.body], [206, page.slice(2_000_000, 2_000_021)])
  const request = `GET ${url} HTTP/1.1\r\nHost: ${at}\r\n`
  const both = readAnswers(await say(proxy.port, `${request}\r\n${request}Connection: close\r\n\r\n`), ['GET', 'GET'])
  t.strictSame(both.map(({ status, body }) => [status, body === page]), [[200, true], [200, true]])
  t.match(await get(proxy, url, '', 'HEAD'), { status: 200, body: '' })
  t.equal(origin.requests.length, 1)
  const hits = proxy.records().filter(({ name }) => name === 'sallyport.cache.hit').map(({ attributes }) => attributes['http.response.body.size'])
  t.strictSame(hits.slice(0, 6), [page.length, page.length, page.length, 21, page.length, page.length])
  for (const { attributes } of proxy.records().filter(({ name }) => name === 'sallyport.exchange.ended')) t.match(attributes, { 'sallyport.outcome': 'completed' })
})

t.test('a page that is read again and again is the one that is there, and is gone when it is removed', async (t) => {
  let page = 'first'
  const origin = await httpOrigin(t, (_request, response) => void response.writeHead(200, { 'content-type': 'text/plain', 'cache-control': 'max-age=60' }).end(page))
  const at = `site.test:${origin.port}`
  const { proxy } = await startCached(t, rule('site', at), { 'site.test': '127.0.0.1' })
  const control = new ControlClient(proxy.controlSocket)
  const url = `http://${at}/page`
  const client = await WireClient.open(proxy.port)
  t.teardown(() => client.socket.destroy())
  const ask = async (more = ''): Promise<Answer | undefined> => {
    client.send(`GET ${url} HTTP/1.1\r\nHost: ${at}\r\n${more}\r\n`)
    return client.next()
  }
  await fetchInto(proxy, url)
  for (const turn of [1, 2, 3, 4]) {
    const answer = await ask()
    t.match(answer, { status: 200, body: 'first', isWhole: true }, `turn ${turn}`)
    t.match(answer?.fields.get('age'), /^\d+$/)
    t.match(answer?.fields.get('cache-status'), /^sallyport; hit; ttl=\d+$/)
    t.match(answer?.fields.get('via'), /^1\.1 \S+$/)
    t.equal(answer?.fields.get('connection'), 'keep-alive')
  }
  t.match(await ask('Range: bytes=1-2\r\n'), { status: 206, body: 'ir' })
  t.match(await get(proxy, url, '', 'HEAD'), { status: 200, body: '' })
  const closing = await get(proxy, url)
  t.match(closing, { status: 200, body: 'first' })
  t.equal(closing.fields.get('connection'), 'close')
  page = 'second'
  await fetchInto(proxy, url)
  t.match(await ask(), { status: 200, body: 'second' })
  t.match(await ask(), { status: 200, body: 'second' })
  const { body } = await control.call('GET', '/v1/cache/entries')
  const [kept] = (body as { readonly items: readonly { readonly id: string }[] }).items
  t.match(await control.call('POST', `/v1/cache/entries/${kept?.id}/remove`, { body: {} }), { status: 200 })
  t.match(await ask(), { status: 504 })
  await proxy.recorded(({ name }) => name === 'sallyport.cache.missed')
  t.equal(proxy.records().filter(({ name }) => name === 'sallyport.cache.hit').length, 9)
})

t.test('what was fetched into the cache is read from it: whole, in part, by condition and by HEAD, and the origin hears of nothing', async (t) => {
  const origin = await httpOrigin(t, (request, response) => {
    if (request.url === '/moved') response.writeHead(302, { location: '/page' }).end()
    else response.writeHead(200, { etag: '"v1"', 'set-cookie': 'a=b', 'alt-svc': 'h3=":443"', 'strict-transport-security': 'max-age=1', 'content-type': 'text/plain', age: '7' }).end('0123456789')
  })
  const at = `site.test:${origin.port}`
  const { proxy } = await startCached(t, rule('site', at), { 'site.test': '127.0.0.1' })
  t.match(await fetchInto(proxy, `http://${at}/moved`), { kept: [{ status: 302 }, { url: `http://${at}/page`, status: 200, bytes: 10 }], fault: null })
  const asked = origin.requests.length
  t.equal(asked, 2)
  for (const { headers } of origin.requests) {
    t.strictSame(Object.keys(headers).toSorted(), ['accept', 'connection', 'host', 'user-agent', 'via'])
    t.match(headers, { 'user-agent': /^sallyport\//, accept: '*/*' })
  }
  const page = await get(proxy, `http://${at}/page`, 'Cookie: secret=1\r\nX-From-Agent: 1\r\n')
  t.match(page, { status: 200, body: '0123456789' })
  t.match(page.fields.get('age'), /^[7-9]$/)
  t.match(page.fields.get('cache-status'), /^sallyport; hit; ttl=-?\d+; detail=stale$/)
  t.notMatch([...page.fields.keys()].join(' '), /set-cookie|alt-svc|strict-transport/)
  t.match(await get(proxy, `http://${at}/page`, 'Range: bytes=2-4\r\n'), { status: 206, body: '234' })
  t.match(await get(proxy, `http://${at}/page`, 'Range: bytes=99-\r\n'), { status: 416 })
  t.match(await get(proxy, `http://${at}/page`, 'If-None-Match: "v1"\r\n'), { status: 304, body: '' })
  t.match(await get(proxy, `http://${at}/page`, '', 'HEAD'), { status: 200, body: '' })
  const moved = await get(proxy, `http://${at}/moved`)
  t.match(moved, { status: 302 })
  t.equal(moved.fields.get('location'), '/page')
  t.match(await get(proxy, `http://${at}/page?x`), { status: 504 })
  t.match(await get(proxy, `http://${at}/page`, 'Content-Length: 0\r\n', 'POST'), { status: 403 })
  // a GET with content is no reading
  t.match(await get(proxy, `http://${at}/page`, 'Content-Length: 3\r\n'), { status: 403 })
  t.equal(origin.requests.length, asked)
  const filled = proxy.records().filter(({ name }) => name === 'sallyport.cache.filled')
  t.match(filled[1]?.attributes, { 'sallyport.actor.name': /.+/, 'sallyport.cache.source': 'added', 'sallyport.cache.partition': 'common', 'url.path': '/page' })
  const fills = proxy.decisions().filter(({ attributes }) => attributes['session.id'] === 'cache')
  t.equal(fills.length, 2, 'each hop is decided by itself')
})

t.test('a credential that a rule spells out is not sent for what everybody reads', async (t) => {
  const origin = await httpOrigin(t)
  const at = `site.test:${origin.port}`
  const { proxy } = await startCached(t, rule('site', at, 'set_headers = { Authorization = "Bearer x", Cookie = "a=b", X-Api-Key = "c", X-Tenant = "d" }'), { 'site.test': '127.0.0.1' })
  t.match(await fetchInto(proxy, `http://${at}/`), { fault: null })
  const [{ headers } = { headers: {} }] = origin.requests
  t.match(headers, { 'x-tenant': 'd', authorization: undefined, cookie: undefined, 'x-api-key': undefined })
})

t.test('what may not be kept is not, and says why', async (t) => {
  const big = Buffer.alloc(3 * 1024 * 1024, 'x')
  const origin = await httpOrigin(t, (request, response) => {
    switch (request.url) {
      case '/private': return void response.writeHead(200, { 'cache-control': 'private' }).end('x')
      case '/no-store': return void response.writeHead(200, { 'cache-control': 'no-store' }).end('x')
      case '/star': return void response.writeHead(200, { vary: '*' }).end('x')
      case '/cookie-vary': return void response.writeHead(200, { vary: 'Cookie' }).end('x')
      case '/large': return void response.writeHead(200).end(big)
      case '/cut': return void response.writeHead(200, { 'content-length': '100' }).write('part', () => response.destroy())
      case '/cut-chunked': return void response.writeHead(200).write('part', () => response.destroy())
      case '/gone': return void response.writeHead(500).end()
      case '/coded': return void response.writeHead(200, { 'content-encoding': 'gzip' }).end('no gzip')
      case '/out': return void response.writeHead(302, { location: 'http://denied.test/' }).end()
      default: return void response.end('fine')
    }
  })
  const at = `site.test:${origin.port}`
  const { proxy, dns } = await startCached(t, `denied_domains = ["denied.test"]\n${rule('site', at)}`, { 'site.test': '127.0.0.1' })
  for (const [path, reason] of [
    ['/private', /Cache-Control/], ['/no-store', /Cache-Control/], ['/star', /Vary/i], ['/cookie-vary', /Vary/i], ['/cut', /broke off|incomplete|closed/], ['/cut-chunked', /broke off|incomplete|closed/], ['/gone', /500/], ['/coded', /gzip/],
  ] as const) {
    t.match(await fetchInto(proxy, `http://${at}${path}`), { kept: [], fault: { reason } }, path)
    t.match(await get(proxy, `http://${at}${path}`), { status: 504 }, path)
  }
  t.match(await fetchInto(proxy, `http://${at}/out`), { kept: [{ status: 302 }], fault: { code: 'denied_by_rule', url: 'http://denied.test/' } })
  t.match(await fetchInto(proxy, 'http://denied.test/'), { kept: [], fault: { code: 'denied_by_rule' } })
  t.match(await fetchInto(proxy, 'http://127.0.0.1:1/'), { kept: [], fault: { code: 'ip_denied' } })
  t.match(await fetchInto(proxy, `http://u:p@${at}/`), { kept: [], fault: { code: 'target_syntax' } })
  t.equal(dns.count('denied.test'), 0)
})

t.test('teams are kept apart, and keys are whole URLs', async (t) => {
  const origin = await httpOrigin(t, (request, response) => response.writeHead(200, { 'cache-control': 'max-age=60', vary: request.url === '/lang' ? 'Accept-Language' : 'Accept-Encoding' }).end(`${request.url}`))
  const other = await httpOrigin(t)
  const at = `site.test:${origin.port}`
  const { proxy, sessions: [red, blue, none] } = await startWith(t, [{ team: 'red' }, { team: 'blue' }, {}], {
    policy: `[network]\n${rule('site', at)}${rule('other', `other.test:${origin.port}`)}${rule('port', `site.test:${other.port}`)}`,
    hosts: { 'site.test': '127.0.0.1', 'other.test': '127.0.0.1' },
  })
  if (red === undefined || blue === undefined || none === undefined) throw new Error('no sessions')
  const as = (session: typeof red, url: string, fields = ''): Promise<Answer> => get(proxy, url, `Proxy-Authorization: ${session.field}\r\n${fields}`)
  t.match(await fetchInto(proxy, `http://${at}/a?b=1`, { team: 'red' }), { fault: null })
  t.match(await as(red, `http://${at}/a?b=1`, 'Accept-Encoding: gzip\r\n'), { status: 200, body: '/a?b=1' })
  for (const session of [blue, none]) t.match(await as(session, `http://${at}/a?b=1`), { status: 504 })
  for (const url of [`http://${at}/a`, `http://${at}/a?b=2`, `http://${at}/a?b=1&c`, `http://${at}/A?b=1`, `http://${at}/a?B=1`, `http://other.test:${origin.port}/a?b=1`, `http://site.test:${other.port}/a?b=1`, `http://${at}/a%3Fb=1`]) {
    t.match(await as(red, url), { status: 504 }, url)
  }
  t.match(await as(red, `http://SITE.test:${origin.port}/a?b=1`), { status: 200 })
  t.match(await fetchInto(proxy, `http://${at}/lang`), { fault: null })
  for (const session of [red, blue, none]) t.match(await as(session, `http://${at}/lang`), { status: 200 })
  t.match(await as(red, `http://${at}/lang`, 'Accept-Language: fr\r\n'), { status: 200 }, 'people had one form of it fetched, and an agent that prefers another reads that one')
})

t.test('inside TLS of a session that trusts the proxy, reading is answered from the cache, and a CONNECT resolves nothing', async (t) => {
  const certificates = await testCertificates()
  const origin = await tlsOrigin(t, ['docs.test', 'live.test'], certificates, (_, response) => response.end('hello'))
  const dns = await startDnsServer(t)
  const { proxy, sessions: [trusting, other] } = await startWith(t, [{ trustsCa: true }, { hold: 0 }], {
    policy: `allowed_web_search_modes = ["cached"]\n[web_fetch]\ndomains = ["live.test:${origin.port}"]\n[network]\nallowed_domains = []\n[[network.rules]]\nid = "live"\nhosts = ["live.test:${origin.port}"]\nlocal = ["127.0.0.1/32"]\norigin_ca = ["roots.pem"]\nverdict = "allow"\n`,
    policies: { 'roots.pem': certificates.ca }, hosts: { 'live.test': '127.0.0.1' },
    change: (settings) => ({ ...settings, dns: { ...settings.dns, servers: [dns.text] } }),
  })
  if (trusting === undefined || other === undefined) throw new Error('no sessions')
  const credentials = trusting.field
  // the root is made with the first CONNECT that needs it
  const first = await openTunnel(proxy.port, 'docs.test:443', credentials)
  t.match(first.head, /^HTTP\/1.1 200/)
  first.socket.destroy()
  const client = await openInside(t, proxy, 'docs.test:443', { credentials })
  client.send(insideRequest('docs.test', '/') + insideRequest('docs.test', '/again'))
  t.match(await client.next(), { status: 504 })
  t.match(await client.next(), { status: 504 })
  const asked = await openTunnel(proxy.port, 'docs.test:443', other.field)
  t.match(asked.head, /^HTTP\/1.1 403/, 'a session that does not trust it is asked about')
  asked.socket.destroy()
  // live allow and cached is cached, and nobody gets around it by not trusting
  t.match(await fetchInto(proxy, `https://live.test:${origin.port}/page`), { kept: [{ status: 200, bytes: 5 }], fault: null })
  for (const session of [trusting, other]) {
    const live = await openInside(t, proxy, `live.test:${origin.port}`, { credentials: session.field })
    live.send(insideRequest(`live.test:${origin.port}`, '/page'))
    t.match(await live.next(), { status: 200, body: 'hello' })
    live.send(insideRequest(`live.test:${origin.port}`, '/other'))
    t.match(await live.next(), { status: 504 })
    live.send(insideRequest(`live.test:${origin.port}`, '/other', { method: 'POST', body: 'x' }))
    t.match(await live.next(), { status: 200 }, 'what is no reading is live')
  }
  t.equal(origin.requests.filter(({ method }) => method === 'GET').length, 1)
  t.equal(dns.queries.length, 0)
})

t.test('an empty ceiling and a session of another mind read nothing', async (t) => {
  const proxy = await startProxy(t, { policy: 'allowed_web_search_modes = []\n[web_fetch]\ndomains = ["docs.test"]\n[network]\nallowed_domains = ["docs.test"]\n', hosts: { 'docs.test': '127.0.0.1' } })
  const answer = await get(proxy, 'http://docs.test/')
  t.match(answer, { status: 403 })
  t.match(JSON.parse(answer.body), { code: 'web_fetch_disabled' })
})

t.test('without a cache nothing that may only be read from it is answered', async (t) => {
  const proxy = await startProxy(t, { policy: 'allowed_web_search_modes = ["cached"]\n[network]\n', change: (settings) => ({ ...settings, cache: { ...settings.cache, enabled: false } }) })
  const answer = await get(proxy, 'http://docs.test/')
  t.match(answer, { status: 403 })
  t.match(JSON.parse(answer.body), { code: 'cache_unavailable' })
})
