// The fetch service of the proxy, on the wire: whoever has a session is answered as the policy says, live or from the
// cache; nothing of the asker's reaches an origin but the URL; browsers get nothing.
import t from 'tap'
import { testCertificates } from '../support/certificates.ts'
import { ControlClient } from '../support/control.ts'
import { article, ask, codeOf, question, startFetching } from '../support/fetch-world.ts'
import { tlsOrigin } from '../support/origins.ts'
import { readAnswers, say, WireClient, type Answer } from '../support/wire-client.ts'

t.test('a page is fetched for a session, and the origin hears of nothing but the URL', async (t) => {
  const { proxy, origin, base, session, fetch } = await startFetching(t, {
    answer: (_, response) => response.writeHead(200, { 'content-type': 'text/html', 'set-cookie': 'a=b', 'access-control-allow-origin': '*', 'x-frame-options': 'DENY', 'last-modified': 'Sat, 21 Nov 2026 10:00:00 GMT' }).end('<p>hello'),
  })
  const answer = await fetch(`${base}/page?q=1&r=%20`, { fields: 'Cookie: secret=1\r\nX-Agent: 1\r\nUser-Agent: tool/1\r\nAccept-Language: de\r\nAccept: text/html\r\nRange: bytes=0-1\r\nIf-None-Match: "a"\r\n' })
  t.match(answer, { status: 200, body: '<p>hello' })
  t.match(Object.fromEntries(answer.fields), {
    'content-type': 'text/html', 'content-location': `${base}/page?q=1&r=%20`, 'content-security-policy': "sandbox; default-src 'none'", 'x-content-type-options': 'nosniff',
    'cross-origin-resource-policy': 'same-origin', 'cache-control': 'no-store', 'content-disposition': 'attachment', 'last-modified': 'Sat, 21 Nov 2026 10:00:00 GMT',
  })
  for (const name of ['set-cookie', 'access-control-allow-origin', 'x-frame-options']) t.notOk(answer.fields.has(name), name)
  const [request] = origin.requests
  t.equal(request?.url, '/page?q=1&r=%20')
  t.strictSame(Object.keys(request?.headers ?? {}).toSorted(), ['accept', 'accept-language', 'connection', 'host', 'user-agent', 'via'])
  t.match(request?.headers, { 'user-agent': 'sallyport/0.0.0-test', accept: 'text/html', 'accept-language': 'de' })
  const [decision] = proxy.decisions()
  t.match(decision?.attributes, { 'session.id': session.id, 'server.address': 'site.test', 'http.request.method': 'GET', 'url.path': '/page', 'network.policy.decision': 'allow' })
  const ended = await proxy.recorded(({ name }) => name === 'sallyport.exchange.ended')
  t.equal(ended.attributes['sallyport.request.id'], decision?.attributes['sallyport.request.id'])
  t.equal(answer.fields.get('x-request-id'), decision?.attributes['sallyport.request.id'])
})

t.test('credentials stand in either field, or the session has its own socket; without a session there is nothing', async (t) => {
  const { proxy, origin, base, session } = await startFetching(t)
  const target = question(`${base}/`)
  t.match(await ask(proxy, target, `Authorization: ${session.field}\r\n`), { status: 200 })
  const control = new ControlClient(proxy.controlSocket)
  const { socket } = await control.createSession({ socket: true })
  const client = await WireClient.openPath(socket)
  t.teardown(() => client.socket.destroy())
  client.send(`GET ${target} HTTP/1.1\r\nHost: 127.0.0.1:3128\r\n\r\n`)
  t.equal((await client.answers(1))[0]?.status, 200)
  const asked = origin.requests.length
  for (const fields of ['', 'Authorization: Basic eDp5\r\n', `Authorization: ${session.field}\r\nProxy-Authorization: ${session.field}\r\n`, `Authorization: Bearer ${session.token}\r\n`]) {
    const answer = await ask(proxy, target, fields)
    t.equal(answer.status, 407, fields)
    t.match(answer.fields.get('content-security-policy'), /sandbox/)
    t.match(codeOf(answer), /^credentials_/)
  }
  t.equal(origin.requests.length, asked)
})

t.test('the anonymous agent is told that the fetch service needs a session', async (t) => {
  const { proxy, base, origin } = await startFetching(t, { sessions: [{ isEnded: true }] })
  const answer = await ask(proxy, question(`${base}/`), '')
  t.equal(answer.status, 407)
  t.match(answer.body, /always needs a session/)
  t.equal(origin.requests.length, 0)
})

t.test('what a browser sends is refused, and another name for the proxy too', async (t) => {
  const { proxy, session, base, origin } = await startFetching(t)
  const target = question(`${base}/`)
  const own = `Proxy-Authorization: ${session.field}\r\n`
  for (const line of ['Origin: http://evil.test', 'Origin: null', 'Referer: http://evil.test/', 'Sec-Fetch-Site: none', 'Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: image']) {
    const answer = await ask(proxy, target, `${own}${line}\r\n`)
    t.equal(answer.status, 403, line)
    t.equal(codeOf(answer), 'fetch_from_browser')
    t.equal(answer.fields.get('cross-origin-resource-policy'), 'same-origin')
  }
  const [rebound] = readAnswers(await say(proxy.port, `GET ${target} HTTP/1.1\r\nHost: rebound.test:${proxy.port}\r\n${own}Connection: close\r\n\r\n`), ['GET'])
  t.match(rebound, { status: 400 })
  t.equal(codeOf(rebound as Answer), 'host_mismatch')
  t.equal(origin.requests.length, 0)
  t.match(await ask(proxy, target, `${own}Sec-Fetch-Mode: cors\r\n`), { status: 200 }, 'which is what the fetch of node sends')
  for (const record of proxy.decisions()) t.notMatch(JSON.stringify(record.attributes), /%3A%2F%2F/, 'what was asked for is in no event of a refusal')
})

t.test('a question is read strictly', async (t) => {
  const { proxy, session, base, origin } = await startFetching(t)
  const own = `Proxy-Authorization: ${session.field}\r\n`
  const url = encodeURIComponent(`${base}/`)
  const bad: readonly [string, number, string][] = [
    ['/fetch', 400, 'fetch_syntax'], ['/fetch?', 400, 'fetch_syntax'], ['/fetch?url=', 400, 'fetch_syntax'],
    [`/fetch?url=${url}&url=${url}`, 400, 'fetch_syntax'], [`/fetch?url=${url}&x=1`, 400, 'fetch_syntax'], [`/fetch?url=${url}&format=pdf`, 400, 'fetch_syntax'],
    [`/fetch?url=${url}%0d%0aX-Evil:%201`, 400, 'target_syntax'], [`/fetch?url=${url}%00`, 400, 'target_syntax'], [`/fetch?url=${url}%c3%a9`, 400, 'target_syntax'],
    [`/fetch?url=${url}a+b`, 400, 'fetch_syntax'], [`/fetch?url=${url}%zz`, 400, 'fetch_syntax'],
    ['/fetch?url=http://user:pw@site.test/', 400, 'target_syntax'], ['/fetch?url=file:///etc/passwd', 400, 'fetch_syntax'], ['/fetch?url=ftp://site.test/', 400, 'fetch_syntax'],
    ['/fetch?url=site.test', 400, 'target_syntax'], ['/fetch?url=http:/site.test/', 400, 'target_syntax'], ['/fetch?url=https:%5C%5Csite.test/', 400, 'target_syntax'],
    ['/fetch?url=http://0x7f.1/', 400, 'host_ambiguous_ip'],
  ]
  for (const [target, status, code] of bad) {
    const answer = await ask(proxy, target, own)
    t.equal(answer.status, status, target)
    t.equal(codeOf(answer), code, target)
  }
  const posted = await ask(proxy, `/fetch?url=${url}`, own, 'POST')
  t.match(posted, { status: 405 })
  t.equal(posted.fields.get('allow'), 'GET, HEAD')
  t.match(await ask(proxy, `/fetch?url=${url}`, `${own}Content-Length: 2\r\n`), { status: 400 })
  t.equal(origin.requests.length, 0)
  t.match(await ask(proxy, `/fetch?url=${url}%23part`, own), { status: 200, body: 'GET /\n' })
  t.match(await ask(proxy, `/fetch?url=${base}/a`, own), { status: 200, body: 'GET /a\n' })
})

t.test('what the policy says of the URL is what the fetch service says', async (t) => {
  const { proxy, base, origin, session, fetch } = await startFetching(t, {
    rule: 'methods = ["GET"]\npaths = ["/open/**"]\nverdict = "allow"', hosts: { 'self.test': '127.0.0.1' },
    more: '[[network.rules]]\nid = "loop"\nhosts = ["self.test:1-65535"]\nlocal = ["127.0.0.1/32"]\nverdict = "allow"\n',
  })
  for (const [url, code] of [['http://denied.test/', 'denied_by_rule'], ['http://unknown.test/', 'not_allowed'], [`${base}/closed`, 'request_not_allowed'], ['http://127.0.0.1:80/', 'ip_denied'], ['http://1.1.1.1/', 'ip_literal_denied'], ['http://site.test:25/', 'port_denied']] as const) {
    const answer = await fetch(url)
    t.equal(answer.status, 403, url)
    t.equal(codeOf(answer), code)
    t.match(answer.fields.get('proxy-status'), /^sallyport; error=(?:http_request_denied|destination_ip_prohibited)/)
  }
  t.match(await fetch(`${base}/open/x`), { status: 200 })
  t.match(await fetch(`${base}/open/x`, { method: 'HEAD' }), { status: 403 })
  for (const own of [`http://self.test:${proxy.port}/`, `http://self.test:${proxy.port}${question(`${base}/open/y`)}`]) {
    const answer = await fetch(own)
    t.match(answer, { status: 403 })
    t.equal(codeOf(answer), 'self')
  }
  t.match(codeOf(await fetch(`http://localhost:${proxy.port}/`)), /^(?:self|not_allowed|ip_denied)$/)
  t.equal(origin.requests.length, 1)
  t.ok(proxy.decisions().every(({ attributes }) => attributes['session.id'] === session.id))
})

t.test('what a rule opens for something else than TLS is not spoken to in TLS', async (t) => {
  const { fetch, proxy } = await startFetching(t, { more: '[[network.rules]]\nid = "shell"\nhosts = ["site.test:22"]\nlocal = ["127.0.0.1/32"]\nraw = "any"\nverdict = "allow"\n' })
  const answer = await fetch('https://site.test:22/')
  t.match(answer, { status: 403 })
  t.equal(codeOf(answer), 'obligation_conflict')
  t.strictSame(proxy.decisions().map(({ attributes }) => attributes['network.policy.decision']), ['allow', 'deny'])
})

t.test('redirects are decided anew, at most five, and the last URL is told', async (t) => {
  const { base, origin, fetch, proxy } = await startFetching(t, {
    answer: (request, response) => {
      const { url = '' } = request
      const hop = /^\/hop\/(\d+)$/.exec(url)?.[1]
      if (hop !== undefined && hop !== '0') response.writeHead(302, { location: `${Number(hop) - 1}`, 'set-cookie': 'a=b' }).end('moved')
      else if (url === '/away') response.writeHead(301, { location: 'http://denied.test/' }).end()
      else if (url === '/odd') response.writeHead(301, { location: 'http://user:pw@site.test/' }).end()
      else if (url === '/file') response.writeHead(301, { location: 'file:///etc/passwd' }).end('there')
      else response.writeHead(404, { 'content-type': 'text/plain' }).end('not here')
    },
  })
  const five = await fetch(`${base}/hop/5`)
  t.match(five, { status: 404, body: 'not here' })
  t.equal(five.fields.get('content-location'), `${base}/hop/0`)
  t.ok(origin.requests.every(({ headers }) => headers.cookie === undefined && headers.referer === undefined))
  t.equal(proxy.decisions().length, 6)
  const six = await fetch(`${base}/hop/6`)
  t.equal(six.status, 502)
  t.equal(codeOf(six), 'fetch_redirects')
  const away = await fetch(`${base}/away`)
  t.match(away, { status: 403 })
  t.equal(codeOf(away), 'denied_by_rule')
  t.equal(codeOf(await fetch(`${base}/odd`)), 'fetch_redirects')
  const file = await fetch(`${base}/file`)
  t.match(file, { status: 301, body: 'there' })
  t.notOk(file.fields.has('location'))
  const ended = proxy.records().filter(({ name }) => name === 'sallyport.exchange.ended')
  t.equal(new Set(ended.map(({ attributes }) => attributes['sallyport.request.id'])).size, ended.length, 'each hop ends once')
})

t.test('https is fetched by the proxy, whose certificate checks hold, for sessions that trust nothing', async (t) => {
  const certificates = await testCertificates()
  const origin = await tlsOrigin(t, ['secure.test'], certificates)
  const other = await tlsOrigin(t, ['elsewhere.test'], certificates)
  const rule = (id: string, port: number, ca: string) => `[[network.rules]]\nid = "${id}"\nhosts = ["secure.test:${port}"]\nlocal = ["127.0.0.1/32"]\n${ca}verdict = "allow"\n`
  const { fetch } = await startFetching(t, {
    more: `${rule('good', origin.port, 'origin_ca = ["roots.pem"]\n')}${rule('name', other.port, 'origin_ca = ["roots.pem"]\n')}`, policies: { 'roots.pem': certificates.ca }, hosts: { 'secure.test': '127.0.0.1' },
  })
  const answer = await fetch(`https://secure.test:${origin.port}/path`)
  t.match(answer, { status: 200, body: 'GET /path\n' })
  t.equal(answer.fields.get('content-location'), `https://secure.test:${origin.port}/path`)
  const wrong = await fetch(`https://secure.test:${other.port}/`)
  t.match(wrong, { status: 502 })
  t.equal(codeOf(wrong), 'tls_certificate_name')
  t.equal(other.requests.length, 0)
})

t.test('a host that is read from the cache alone is answered from it, and a miss costs no packet', async (t) => {
  const { proxy, base, origin, fetch } = await startFetching(t, {
    top: 'allowed_web_search_modes = ["cached"]', rule: 'via = "cache"\nverdict = "allow"',
    answer: (request, response) => {
      if (request.url === '/old') response.writeHead(301, { location: '/page' }).end('moved')
      else response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', age: '7200' }).end(article)
    },
  })
  const miss = await fetch(`${base}/page`)
  t.match(miss, { status: 504 })
  t.equal(codeOf(miss), 'cache_miss')
  t.equal(miss.fields.get('cache-status'), 'sallyport; detail=not-in-cache')
  t.equal(origin.connections(), 0)
  t.match((await new ControlClient(proxy.controlSocket).call('POST', '/v1/cache/fetch', { body: { url: `${base}/old` } })).body, { fault: null })
  const asked = origin.requests.length
  const raw = await fetch(`${base}/old`)
  t.match(raw, { status: 200, body: article })
  t.equal(raw.fields.get('content-location'), `${base}/page`)
  t.match(raw.fields.get('cache-status'), /^sallyport; hit/)
  t.match(raw.fields.get('age'), /^720\d$/)
  const text = await fetch(`${base}/page`, { format: 'markdown' })
  t.match(text.body, /^# A page & more\n\nURL: http:\/\/site\.test:\d+\/page\nFrom the cache, 2 h old\n\n---\n\n/)
  t.match(await fetch(`${base}/page`, { method: 'HEAD' }), { status: 200, body: '' })
  t.equal(origin.requests.length, asked)
  t.ok(proxy.records().some(({ name }) => name === 'sallyport.cache.hit'))
  t.ok(proxy.records().some(({ name }) => name === 'sallyport.cache.missed'))
})

t.test('what is asked about is held or pending as always, and a yes lets the retry through', async (t) => {
  const { proxy, base, origin, fetch } = await startFetching(t, { rule: 'verdict = "ask"', change: (settings) => ({ ...settings, sessions: { ...settings.sessions, hold: 0 } }) })
  const pending = await fetch(`${base}/page`, { fields: 'User-Agent: tool/1\r\n' })
  t.match(pending, { status: 403 })
  t.match(JSON.parse(pending.body), { code: 'approval_pending', approval: String })
  t.ok(pending.fields.has('retry-after'))
  t.equal(origin.connections(), 0)
  const control = new ControlClient(proxy.controlSocket)
  const [approval] = await control.approvals()
  t.match(approval, { kind: 'host', host: 'site.test', scheme: 'http', user_agent: 'tool/1' })
  await control.decide('site.test', { verdict: 'allow', term: 'session' }, () => true)
  t.match(await fetch(`${base}/page`), { status: 200, body: 'GET /page\n' })
})

t.test('questions on one connection are answered in their order', async (t) => {
  const { proxy, base, session } = await startFetching(t)
  const client = await WireClient.open(proxy.port)
  t.teardown(() => client.socket.destroy())
  const line = `Host: 127.0.0.1:${proxy.port}\r\nProxy-Authorization: ${session.field}\r\n\r\n`
  client.send(`GET ${question(`${base}/one`)} HTTP/1.1\r\n${line}GET ${question('http://denied.test/')} HTTP/1.1\r\n${line}GET ${question(`${base}/three`)} HTTP/1.1\r\n${line}`)
  const answers = await client.answers(3)
  t.match(answers.map(({ status }) => status), [200, 403, 200])
  t.match(answers[2]?.body, 'GET /three')
})

t.test('a miss that reviewers are asked about is held, and their yes answers it from the cache', async (t) => {
  const { proxy, base, origin, fetch } = await startFetching(t, {
    top: 'allowed_web_search_modes = ["cached"]\n[web_fetch]\nmode = "cached"\non_miss = "ask"', rule: 'via = "cache"\nverdict = "allow"',
    change: (settings) => ({ ...settings, sessions: { ...settings.sessions, hold: 60_000 } }),
  })
  const held = fetch(`${base}/page?a=1`)
  const control = new ControlClient(proxy.controlSocket)
  const asked = await control.pending('site.test')
  t.match(asked, { kind: 'fetch', url: `${base}/page?a=1` })
  t.equal(origin.connections(), 0)
  const { status } = await control.answer(asked, { verdict: 'allow', fetch: true, confirmed: true })
  t.equal(status, 200)
  const answer = await held
  t.match(answer, { status: 200, body: 'GET /page?a=1\n' })
  t.match(answer.fields.get('cache-status'), /^sallyport; hit/)
  t.equal(origin.requests.length, 1)
  t.match(await fetch(`${base}/page?a=1`), { status: 200 })
  t.equal(origin.requests.length, 1)
})

t.test('an unknown host is asked about as through the proxy, and one yes serves both', async (t) => {
  const { proxy, base, origin, fetch, session } = await startFetching(t, { rule: 'verdict = "ask"', change: (settings) => ({ ...settings, sessions: { ...settings.sessions, hold: 60_000 } }) })
  const held = fetch(`${base}/page`)
  const control = new ControlClient(proxy.controlSocket)
  await control.decide('site.test', { verdict: 'allow', term: 'session' })
  t.match(await held, { status: 200, body: 'GET /page\n' })
  const { host } = new URL(base)
  t.match(await say(proxy.port, `GET ${base}/other HTTP/1.1\r\nHost: ${host}\r\nProxy-Authorization: ${session.field}\r\nConnection: close\r\n\r\n`), /^HTTP\/1\.1 200 /)
  t.equal(origin.requests.length, 2)
  t.equal(proxy.records().filter(({ name }) => name === 'sallyport.approval.requested').length, 1)
})

t.test('a rule that is about one request is asked about with what would be sent', async (t) => {
  const { proxy, base, origin, fetch } = await startFetching(t, { rule: 'methods = ["GET"]\npaths = ["/one"]\nverdict = "ask"', change: (settings) => ({ ...settings, sessions: { ...settings.sessions, hold: 0 } }) })
  const control = new ControlClient(proxy.controlSocket)
  t.equal(codeOf(await fetch(`${base}/one?a=1`, { fields: 'X-Agent: 1\r\n' })), 'approval_pending')
  const [asked] = await control.approvals()
  t.match(asked, { kind: 'request', url: `${base}/one?a=1`, method: 'GET' })
  await control.decide('site.test', { verdict: 'allow' }, () => true)
  t.equal(codeOf(await fetch(`${base}/one?a=2`)), 'approval_pending', 'another request is another question')
  t.match(await fetch(`${base}/one?a=1`, { fields: 'X-Agent: 2\r\n' }), { status: 200 }, 'what is not sent is no part of it')
  t.equal(origin.requests.length, 1)
  t.equal(codeOf(await fetch(`${base}/one?a=1`)), 'approval_pending', 'once is once')
})

t.test('what is under way ends with its session', async (t) => {
  const { proxy, base, session, fetch } = await startFetching(t, { answer: (_, response) => response.writeHead(200).write('x'.repeat(100)) })
  const under = fetch(`${base}/`).then(() => 'answered', () => 'cut')
  await proxy.recorded(({ name }) => name === 'sallyport.decision')
  await new ControlClient(proxy.controlSocket).endSession(session.id)
  t.equal(await under, 'cut')
  const ended = await proxy.recorded(({ name }) => name === 'sallyport.exchange.ended')
  t.equal(ended.attributes['sallyport.code'], 'session_ended')
})
