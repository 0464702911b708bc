// What keeps foreign pages away from the control API, over real connections: a rebound name, another origin,
// another site, a form. And that nothing but a POST changes anything.
import t from 'tap'
import { rawExchange } from '../support/raw-client.ts'
import { call } from './caller.ts'
import { approvalOf } from './fakes.ts'
import { openWorld, World } from './world.ts'

const token = 'sp_admin'
const portOf = (world: World): number => Number(new URL(world.url).port)

t.test('its own names are answered', async (t) => {
  const world = await openWorld(t, { hosts: ['Sallyport.corp.example', 'proxy.example:8443'] })
  const port = portOf(world)
  for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `LOCALHOST:${port}`, 'sallyport.corp.example', `sallyport.corp.example:${port}`, 'proxy.example:8443']) {
    t.equal((await call(world.url, '/v1/policy', { token, headers: { host } })).status, 200, host)
  }
})

t.test('every other Host is misdirected, whatever the route and whoever calls', async (t) => {
  const world = await openWorld(t, { hosts: ['proxy.example:8443'] })
  const port = portOf(world)
  const foreign = [`evil.test:${port}`, 'evil.test', '127.0.0.1', 'localhost', `127.0.0.2:${port}`, `localhost.evil.test:${port}`, `localhost:${port + 1}`, '127.0.0.1:80', `[::1]:${port}`, 'proxy.example', `localhost.:${port}`]
  for (const host of foreign) {
    for (const path of ['/v1/policy', '/v1/events', '/v1/approvals/stream', '/openapi.json', '/']) {
      const answer = await call(world.url, path, { token, headers: { host } })
      t.equal(answer.status, 421, `${host} ${path}`)
      t.match(answer.json, { code: 'misdirected' })
      t.notMatch(answer.text, /0123456789ab/)
    }
  }
})

t.test('two Hosts, none, and an absolute request-target are refused', async (t) => {
  const world = await openWorld(t)
  const port = portOf(world)
  const own = `Host: 127.0.0.1:${port}\r\n`
  const rest = `Authorization: Bearer ${token}\r\nConnection: close\r\n\r\n`
  t.match(await rawExchange(port, `GET /v1/policy HTTP/1.1\r\n${own}${rest}`), /^HTTP\/1\.1 200 /)
  t.match(await rawExchange(port, `GET /v1/policy HTTP/1.1\r\n${own}Host: evil.test\r\n${rest}`), /^HTTP\/1\.1 4(?:00|21) /)
  t.match(await rawExchange(port, `GET /v1/policy HTTP/1.1\r\nHost:\r\n${rest}`), /^HTTP\/1\.1 421 /)
  t.match(await rawExchange(port, `GET /v1/policy HTTP/1.0\r\n${rest}`), /^HTTP\/1\.1 421 /)
  t.match(await rawExchange(port, `GET http://127.0.0.1:${port}/v1/policy HTTP/1.1\r\n${own}${rest}`), /^HTTP\/1\.1 400 /)
  t.notMatch(await rawExchange(port, `CONNECT 127.0.0.1:${port} HTTP/1.1\r\n${own}${rest}`), /^HTTP\/1\.1 2/)
})

t.test('several Authorization fields are refused, whatever is in them', async (t) => {
  const port = portOf(await openWorld(t))
  const lines = `GET /v1/policy HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${token}\r\n`
  t.match(await rawExchange(port, `${lines}Connection: close\r\n\r\n`), /^HTTP\/1\.1 200 /)
  for (const other of [token, 'x', '']) t.match(await rawExchange(port, `${lines}authorization: Bearer ${other}\r\nConnection: close\r\n\r\n`), /^HTTP\/1\.1 400 /)
})

t.test('another origin is refused, `null` and all', async (t) => {
  const world = await openWorld(t, { hosts: ['sallyport.corp.example'] })
  const port = portOf(world)
  for (const origin of ['https://evil.test', 'null', `http://localhost:${port}`, `https://127.0.0.1:${port}`, `http://127.0.0.1:${port + 1}`, `http://127.0.0.1:${port}.evil.test`, 'https://sallyport.corp.example', '']) {
    for (const path of ['/v1/policy', '/v1/events', '/v1/approvals/stream']) {
      const answer = await call(world.url, path, { token, headers: { origin } })
      t.equal(answer.status, 403, `${origin} ${path}`)
      t.match(answer.json, { code: 'foreign_origin' })
      t.equal(answer.headers['access-control-allow-origin'], undefined)
    }
  }
  t.equal((await call(world.url, '/v1/policy', { token, headers: { origin: world.url } })).status, 200)
  const behind = { host: 'sallyport.corp.example', origin: 'https://sallyport.corp.example' }
  t.equal((await call(world.url, '/v1/policy', { token, headers: behind })).status, 200, 'a configured name behind a reverse proxy with TLS')
})

t.test('the socket has no origin', async (t) => {
  const world = await openWorld(t)
  t.equal((await call(world.socket, '/v1/policy', { headers: { origin: 'http://localhost' } })).status, 403)
  t.equal((await call(world.socket, '/v1/policy', { headers: { host: 'evil.test' } })).status, 421)
})

t.test('a fetch from another site is refused, a link to a page is not', async (t) => {
  const pages: World['deps']['pages'] = async (server) => void server.get('/approvals/:id', async () => ({ page: true }))
  const world = await openWorld(t, { pages })
  const navigation = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }
  for (const site of ['cross-site', 'same-site', 'unheard-of']) {
    t.equal((await call(world.url, '/v1/policy', { token, headers: { 'sec-fetch-site': site } })).status, 403, site)
    t.equal((await call(world.url, '/v1/policy', { token, headers: { 'sec-fetch-site': site, ...navigation } })).status, 403, `${site}, by a link to the API`)
    t.equal((await call(world.url, '/approvals/A1', { headers: { 'sec-fetch-site': site, 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' } })).status, 403, `${site}, as an image`)
    t.equal((await call(world.url, '/approvals/A1', { headers: { 'sec-fetch-site': site, 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' } })).status, 403, `${site}, in a frame`)
    t.match((await call(world.url, '/v1/tokens', { method: 'POST', token, headers: { 'sec-fetch-site': site, ...navigation }, body: {} })).json, { code: 'cross_site' })
  }
  for (const site of ['cross-site', 'same-site']) t.equal((await call(world.url, '/approvals/A1', { headers: { 'sec-fetch-site': site, ...navigation } })).status, 200, `${site}, by a link`)
  for (const site of ['same-origin', 'none']) t.equal((await call(world.url, '/v1/policy', { token, headers: { 'sec-fetch-site': site } })).status, 200, site)
})

t.test('a body that a form can send is not taken', async (t) => {
  const world = await openWorld(t)
  world.desk.put(approvalOf('A1'))
  const body = '{"verdict":"allow"}'
  for (const type of ['application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data; boundary=x', 'application/json; charset=utf-16', 'application/jsonp', 'text/json', 'application/json, text/plain', '']) {
    const answer = await call(world.url, '/v1/approvals/A1/decision', { method: 'POST', token, headers: { 'content-type': type, 'if-match': '"1"' }, body })
    t.equal(answer.status, 415, type)
    t.match(answer.json, { code: 'unsupported_media_type' })
  }
  t.equal((await call(world.url, '/v1/approvals/A1/decision', { method: 'POST', token, headers: { 'if-match': '"1"' } })).status, 415, 'no body')
  t.equal(world.desk.approvals.get('A1')?.state, 'pending')
  t.equal((await call(world.url, '/v1/approvals/A1/decision', { method: 'POST', token, headers: { 'content-type': 'application/json; charset=utf-8', 'if-match': '"1"' }, body })).status, 200)
})

t.test('a cookie is sent by browsers unasked, so a change that it stands for says where it comes from', async (t) => {
  const world = await openWorld(t)
  const cookie = 'sallyport_deadbeef=sp_admin'
  t.equal((await call(world.url, '/v1/policy', { headers: { cookie } })).status, 200)
  t.match(await call(world.url, '/v1/tokens', { method: 'POST', headers: { cookie }, body: { kind: 'person', name: 'x', role: 'viewer' } }), { status: 403, json: { code: 'foreign_origin' } })
  t.equal((await call(world.url, '/v1/tokens', { method: 'POST', headers: { cookie, origin: world.url }, body: { kind: 'person', name: 'x', role: 'viewer' } })).status, 201)
})

t.test('every answer says that it may be neither kept, sniffed, framed nor loaded from', async (t) => {
  const world = await openWorld(t)
  for (const [path, asked] of [['/v1/policy', { token }], ['/v1/policy', {}], ['/nothing', {}], ['/openapi.json', {}], ['/v1/policy', { token, headers: { host: 'evil.test' } }], ['/%zz', {}]] as const) {
    const { headers } = await call(world.url, path, asked)
    t.equal(headers['x-content-type-options'], 'nosniff', path)
    t.equal(headers['cache-control'], 'no-store', path)
    t.match(headers['content-security-policy'], /default-src 'none'/, path)
    t.equal(headers['access-control-allow-origin'], undefined)
  }
})

t.test('the body has a limit', async (t) => {
  const world = await openWorld(t)
  world.desk.put(approvalOf('A1'))
  const answer = await call(world.url, '/v1/approvals/A1/decision', { method: 'POST', token, headers: { 'if-match': '"1"' }, body: JSON.stringify({ verdict: 'allow', comment: 'x'.repeat(64 * 1024) }) })
  t.match(answer, { status: 413, json: { code: 'body_too_large' } })
  t.match(answer.headers['content-type'], /^application\/problem\+json/)
})
