// What every call has in common: problem documents for whatever goes wrong, its event before its answer, and
// that looking changes nothing.
import t, { type Test } from 'tap'
import { ProxyError } from '../../src/errors.ts'
import { rawExchange } from '../support/raw-client.ts'
import { call, type Got } from './caller.ts'
import { approvalOf, sessionOf } from './fakes.ts'
import { openWorld, World } from './world.ts'

const token = 'sp_admin'

function isProblem(t: Test, answer: Got, status: number, code: string): void {
  t.equal(answer.status, status, code)
  t.match(answer.headers['content-type'], /^application\/problem\+json/)
  t.match(answer.json, { type: `urn:sallyport:error:${code}`, title: code.replaceAll('_', ' '), status, code, detail: /./, request_id: /^r-\d+$/ })
}

t.test('what does not exist is 404, and another method of what exists is 405', async (t) => {
  const world = await openWorld(t)
  for (const path of ['/', '/v1', '/v1/', '/v1/nothing', '/v1/approvals/', '/v1/approvals/A1/decision/x', '/v1/sessions/x', '/V1/policy', '//v1/policy', '/v1/policy/']) {
    isProblem(t, await call(world.url, path, { token }), 404, 'not_found')
  }
  for (const [method, path, allow] of [['DELETE', '/v1/sessions', 'GET, HEAD, POST'], ['POST', '/v1/approvals', 'GET, HEAD'], ['GET', '/v1/approvals/A1/decision', 'POST'], ['HEAD', '/v1/approvals/A1/decision', 'POST'], ['PUT', '/v1/policy?x=1', 'GET, HEAD'], ['OPTIONS', '/v1/policy', 'GET, HEAD'], ['PATCH', '/v1/tokens/t1/revoke', 'POST'], ['POST', '/openapi.json', 'GET, HEAD'], ['PROPFIND', '/v1/policy', 'GET, HEAD']] as const) {
    const answer = await call(world.url, path, { token, method, ...(['POST', 'PUT', 'PATCH'].includes(method) ? { body: {} } : {}) })
    t.equal(answer.status, 405, `${method} ${path}`)
    t.equal(answer.headers['allow'], allow, `${method} ${path}`)
    if (method !== 'HEAD') isProblem(t, answer, 405, 'method_not_allowed')
  }
})

t.test('what is no request at all is a problem document too', async (t) => {
  const world = await openWorld(t)
  const port = Number(new URL(world.url).port)
  for (const [bytes, status] of [['GET / HTTP/9.9\r\n\r\n', 400], ['\0\0\0\0', 400], [`GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431], [`POST /v1/tokens HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`, 400]] as const) {
    const answer = await rawExchange(port, bytes)
    t.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `))
    t.match(answer, /application\/problem\+json/)
  }
  isProblem(t, await call(world.url, '/v1/%zz', { token }), 400, 'bad_request')
})

t.test('a fault of our own tells its id and nothing else', async (t) => {
  const world = await openWorld(t)
  world.desk.grants = () => { throw new Error('no such table: secret') }
  const answer = await call(world.url, '/v1/grants', { token })
  isProblem(t, answer, 500, 'internal_error')
  t.notMatch(answer.text, /secret/)
  t.match(world.faults, [{ message: 'no such table: secret' }])
  t.strictSame(world.called, ['GET /v1/grants 500 admin'])
  t.equal(world.journaled[0]?.severity, 'ERROR')
})

t.test('what the desk cannot record is 503', async (t) => {
  const world = await openWorld(t)
  world.desk.put(approvalOf('A1'))
  world.desk.decide = async () => { throw new ProxyError('audit_unavailable', 'ENOSPC at /var/x') }
  const answer = await call(world.url, '/v1/approvals/A1/decision', { method: 'POST', token, headers: { 'if-match': '"1"' }, body: { verdict: 'allow' } })
  isProblem(t, answer, 503, 'audit_unavailable')
  t.notMatch(answer.text, /ENOSPC/)
})

t.test('a call that cannot be journaled is not answered', async (t) => {
  const world = await openWorld(t)
  world.desk.put(approvalOf('A1'))
  world.isJournalDown = true
  for (const path of ['/v1/approvals/A1', '/v1/tokens', '/v1/nothing']) {
    const answer = await call(world.url, path, { token })
    isProblem(t, answer, 503, 'audit_unavailable')
    t.equal(answer.headers['etag'], undefined)
  }
  isProblem(t, await call(world.url, '/v1/policy'), 503, 'audit_unavailable')
  const minted = await call(world.url, '/v1/tokens', { method: 'POST', token, body: { kind: 'person', name: 'new', role: 'viewer' } })
  isProblem(t, minted, 503, 'audit_unavailable')
  t.notMatch(minted.text, /sp_new/)
  const stream = await call(world.url, '/v1/events', { token, headers: { accept: 'text/event-stream' } })
  t.equal(stream.status >= 500, true)
  const head = await call(world.url, '/v1/policy', { token, method: 'HEAD' })
  t.match(head, { status: 503, text: '' })
})

t.test('a call is one event: who, what route, what about, and never the path itself', async (t) => {
  const world = await openWorld(t)
  world.desk.put(approvalOf('A1'))
  await call(world.url, '/v1/approvals/A1?x=%0ahostile', { token })
  await call(world.url, '/v1/approvals/A1', { token: 'sp_viewer' })
  await call(world.url, `/v1/approvals/${'%0a'.repeat(20)}`, { token })
  await call(world.url, '/v1/hostile%0apath', { token })
  await call(world.url, '/openapi.json')
  t.strictSame(world.called, ['GET /v1/approvals/{id} 400 admin', 'GET /v1/approvals/{id} 200 viewer', 'GET /v1/approvals/{id} 404 admin', 'GET none 404 admin'])
  t.match(world.journaled[1]?.attributes, { 'sallyport.subject.id': 'A1', 'client.address': '127.0.0.1', 'sallyport.request.id': 'r-2', 'sallyport.actor.kind': 'person', 'sallyport.actor.role': 'viewer' })
  t.notMatch(JSON.stringify(world.journaled), /hostile/)
})

t.test('looking changes nothing: GET and HEAD of every route, and every method without a body', async (t) => {
  const world = await openWorld(t)
  world.desk.put(approvalOf('A1'))
  world.desk.grantsById.set('A1', { id: 'A1', approvalId: 'A0', verdict: 'allow', term: 'session', who: 'session', holder: 's-1', scheme: 'https', host: 'a.example', subdomains: false, port: 443, requestDigest: undefined, by: 'rita', createdMs: 0, expiresMs: undefined, comment: undefined })
  world.sessions.byId.set('A1', sessionOf('A1', 'admin'))
  const state = () => JSON.stringify([[...world.desk.approvals], [...world.desk.grantsById], [...world.desk.proposalsById], [...world.sessions.byId], [...world.tokens.bySecret], world.desk.calls])
  const before = state()
  const document = (await call(world.url, '/openapi.json')).json
  for (const path of Object.keys(document.paths).filter((each) => !each.endsWith('/stream'))) {
    const url = path.replace('{id}', 'A1')
    for (const query of ['', '?verdict=allow', '?accept=true', '?_method=POST']) {
      for (const method of ['GET', 'HEAD', 'OPTIONS']) {
        const headers = { 'if-match': '"1"', 'x-http-method-override': 'POST' }
        const answer = await call(world.url, `${url}${query}`, { token, method, headers })
        if (method === 'HEAD') t.equal(answer.text, '')
      }
    }
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) await call(world.url, url, { token, method, headers: { 'if-match': '"1"' } })
  }
  t.equal(state(), before)
})

t.test('HEAD is GET without the body', async (t) => {
  const world = await openWorld(t)
  world.desk.put(approvalOf('A1', { version: 5 }))
  t.match(await call(world.url, '/v1/approvals/A1', { token, method: 'HEAD' }), { status: 200, text: '', headers: { etag: '"5"' } })
  t.equal((await call(world.url, '/v1/events', { token, method: 'HEAD', headers: { accept: 'text/event-stream' } })).status, 200)
})

t.test('pages have the guards and the caller, and neither the JSON rule nor the token rule', async (t) => {
  const pages: World['deps']['pages'] = async (server) => {
    server.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) => done(null, body))
    server.get('/', async ({ actor }, reply) => reply.header('content-security-policy', "default-src 'self'").send({ name: actor?.name ?? 'nobody' }))
    server.post('/login', async ({ body }) => ({ body }))
  }
  const world = await openWorld(t, { pages })
  t.match((await call(world.url, '/')).json, { name: 'nobody' })
  t.match(await call(world.url, '/', { headers: { cookie: 'a=b; sallyport_deadbeef=sp_reviewer' } }), { json: { name: 'reviewer' }, headers: { 'content-security-policy': "default-src 'self'" } })
  t.match((await call(world.url, '/', { headers: { cookie: 'sallyport_deadbeef=sp_expired' } })).json, { name: 'nobody' })
  t.match((await call(world.url, '/login', { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'token=x' })).json, { body: 'token=x' })
  t.equal((await call(world.url, '/', { headers: { host: 'evil.test' } })).status, 421)
  t.equal((await call(world.url, '/login', { method: 'POST', headers: { origin: 'null', 'content-type': 'application/x-www-form-urlencoded' }, body: 'token=x' })).status, 403)
  t.equal((await call(world.url, '/v1/policy', { method: 'POST', token, headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'a=b' })).status, 415)
  t.equal((await call(world.socket, '/')).status, 404, 'the socket has no pages')
})
