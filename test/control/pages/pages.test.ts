// The pages over their routes: who gets in, what each role may do, what a form changes, what never changes.
import t from 'tap'
import { ReviewFault, reviewFaults, type ReviewFaultCode } from '../../../src/approvals/review-fault.ts'
import { hiddenFields, pageClient } from '../../support/page-client.ts'
import { actorOf, approvalOf, cookieName, eventOf, pagesOn, secretOf, startMs, stateOf, worldOf } from '../../support/review-pages.ts'
import { fullWorld } from '../../support/review-world.ts'

const one = '01JD000000000000000000AAAA'
const decision = `/approvals/${one}/decision`
const pages = ['/', `/approvals/${one}`, '/grants', '/sessions', '/proposals', '/events']
const answer = { verdict: 'allow', term: 'once', version: '1' }
const form = { 'content-type': 'application/x-www-form-urlencoded' }

t.test('without a cookie every page leads to the sign-in, and back afterwards', async (t) => {
  const server = await pagesOn(t, fullWorld())
  for (const url of pages) {
    const { statusCode, headers } = await server.inject({ url })
    t.match({ statusCode, location: headers.location }, { statusCode: 303, location: `/login?next=${encodeURIComponent(url)}` })
  }
  for (const cookie of [`${cookieName}=`, `${cookieName}=sp_wrong`, `${cookieName}=${secretOf('admin')}; ${cookieName}=${secretOf('admin')}`]) {
    t.equal((await server.inject({ url: '/', headers: { cookie } })).statusCode, 303, cookie)
  }
})

t.test('signing in leads to a page of this listener only', async (t) => {
  const server = await pagesOn(t, fullWorld())
  for (const next of ['//evil.example', 'https://evil.example', '/\\evil.example', '/approvals/../../x', '/v1/tokens', '/grants?x', '/approvals/%0d%0a', 'javascript:1']) {
    t.equal(hiddenFields((await server.inject({ url: `/login?next=${encodeURIComponent(next)}` })).body)['next'], '/', next)
  }
  t.equal(hiddenFields((await server.inject({ url: `/login?next=/approvals/${one}` })).body)['next'], `/approvals/${one}`)
})

t.test('a token signs in, a wrong one does not, and the form belongs to one browser', async (t) => {
  const world = fullWorld()
  const server = await pagesOn(t, world)
  const shown = await server.inject({ url: '/login' })
  const visitor = shown.cookies.map(({ name, value }) => `${name}=${value}`).join('; ')
  const csrf = hiddenFields(shown.body)['csrf'] ?? ''
  const post = (token: string, cookie = visitor, sent = csrf) =>
    server.inject({ method: 'POST', url: '/login', headers: { ...form, cookie }, payload: new URLSearchParams({ csrf: sent, token, next: '/grants' }).toString() })

  const right = await post(` ${secretOf('reviewer')}\n`)
  t.match({ status: right.statusCode, location: right.headers.location }, { status: 303, location: '/grants' })
  t.equal([right.headers['set-cookie']].flat()[0], `${cookieName}=${secretOf('reviewer')}; Path=/; HttpOnly; SameSite=Strict`)
  for (const wrong of ['', 'sp_wrong', 's3kq8v0d1m2xz', `${secretOf('reviewer')};x`, 'x'.repeat(5000)]) {
    const refused = await post(wrong)
    t.equal(refused.statusCode, 401, wrong.slice(0, 20))
    t.match(refused.body, 'That token is not in force')
    t.notMatch(String(refused.headers['set-cookie']), `${cookieName}=`)
    if (wrong !== '') t.notOk(refused.body.includes(wrong), 'what was typed is not shown again')
  }
  t.equal((await post(secretOf('reviewer'), '')).statusCode, 403)
  t.equal((await post(secretOf('reviewer'), visitor, 'x')).statusCode, 403)
  t.same(world.seen.map(({ actor, status }) => [actor?.name, status]).slice(0, 2), [['reviewer', 303], [undefined, 401]])
})

t.test('behind TLS the cookie is for TLS only', async (t) => {
  const server = await pagesOn(t, fullWorld(), { isSecure: true })
  t.match(String((await server.inject({ url: '/login' })).headers['set-cookie']), '; Secure')
})

t.test('signing out clears the cookie', async (t) => {
  const { status, headers } = await pageClient(await pagesOn(t, fullWorld()), 'viewer').post('/logout')
  t.equal(status, 303)
  t.match(String(headers['set-cookie']), `${cookieName}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0`)
})

t.test('a browser that comes from another site is sent on by itself, since its cookie was kept back', async (t) => {
  const server = await pagesOn(t, fullWorld())
  const arrived = await server.inject({ url: `/approvals/${one}`, headers: { 'sec-fetch-site': 'cross-site', 'sec-fetch-dest': 'document' } })
  t.equal(arrived.statusCode, 200)
  t.match(arrived.body, '<meta http-equiv="refresh" content="0">')
  t.notMatch(arrived.body, 'example.org')
})

t.test('every answer carries the policy that keeps foreign script out', async (t) => {
  const client = pageClient(await pagesOn(t, fullWorld()), 'admin')
  for (const url of [...pages, '/login', '/approvals/none']) {
    t.match((await client.get(url)).headers, {
      'content-security-policy': "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
      'x-content-type-options': 'nosniff', 'referrer-policy': 'same-origin', 'cache-control': 'no-store', 'cross-origin-resource-policy': 'same-origin',
    }, url)
  }
})

t.test('no page has a script or style of its own, nor a handler in an attribute', async (t) => {
  const client = pageClient(await pagesOn(t, fullWorld()), 'admin')
  for (const url of [...pages, '/login']) {
    const { body } = await client.get(url)
    t.same([...body.matchAll(/<script[^>]*>/g)].map(([tag]) => /^<script src="\/assets\/page\.[0-9a-f]{16}\.js" defer>$/.test(tag)), [true], url)
    t.notMatch(body, /<style| style="| on[a-z]+="|javascript:/)
  }
})

t.test('the style sheet and the script keep for good under the name of their content', async (t) => {
  const server = await pagesOn(t, fullWorld())
  const { body } = await server.inject({ url: '/login' })
  const names = [...body.matchAll(/"(\/assets\/[^"]+)"/g)].map(([, name = '']) => name)
  t.equal(names.length, 2)
  for (const url of names) {
    const asset = await server.inject({ url })
    t.equal(asset.statusCode, 200)
    t.match(asset.headers, { 'cache-control': 'public, max-age=31536000, immutable', 'content-type': /^text\/(?:css|javascript); charset=utf-8$/, 'x-content-type-options': 'nosniff' })
  }
  for (const url of ['/assets/page.js', '/assets/..%2fpages.ts', '/assets/__proto__']) t.equal((await server.inject({ url })).statusCode, 404, url)
})

t.test('every link and every GET leaves everything as it was', async (t) => {
  const world = fullWorld()
  const client = pageClient(await pagesOn(t, world), 'admin')
  const before = stateOf(world)
  const seen = new Set<string>()
  const queue = [...pages, '/login', '/logout', decision, `/approvals/${one}/snooze`, '/grants/01JD00000000000000000GRANT/revoke', '/sessions/s3kq8v0d1m2xz/end',
    '/proposals/01JD000000000000000000PROP/decision', `${decision}?verdict=allow&term=once&version=1`, '/?about=01JD00000000000000000DONE0']
  for (let url = queue.pop(); url !== undefined; url = queue.pop()) {
    if (seen.has(url)) continue
    seen.add(url)
    const { body, status } = await client.get(url)
    t.ok(status < 500, url)
    queue.push(...[...body.matchAll(/ (?:href|action)="(\/[^"]*)"/g)].map(([, link = '']) => link))
  }
  t.ok(seen.size > 15, `${seen.size} addresses`)
  t.equal(stateOf(world), before)
})

t.test('a form without the token of this person changes nothing', async (t) => {
  const world = fullWorld()
  const server = await pagesOn(t, world)
  const before = stateOf(world)
  const foreign = hiddenFields((await pageClient(server, 'admin').get('/sessions')).body)['csrf'] ?? ''
  const client = pageClient(server, 'reviewer')
  for (const csrf of ['', 'x', foreign, `${foreign}x`]) {
    for (const url of [decision, `/approvals/${one}/snooze`, '/grants/01JD00000000000000000GRANT/revoke', '/logout']) {
      const refused = await client.post(url, { ...answer, duration: '1h', csrf })
      t.equal(refused.status, 403, url)
      t.match(refused.body, 'nothing has changed')
    }
  }
  t.equal((await server.inject({ method: 'POST', url: decision, headers: form, payload: 'verdict=allow&term=once&version=1' })).statusCode, 401)
  t.equal(stateOf(world), before)
})

t.test('events are filtered by the query, page by page, and an exchange is told from its beginning', async (t) => {
  const world = fullWorld()
  const deny = (seq: number) => eventOf({ seq, severity: 'WARN', body: `denied number ${seq}.`, attributes: { 'server.address': 'a.example', 'server.port': 443, 'network.policy.decision': 'deny', 'sallyport.request.id': `R<${seq % 2}`, 'http.request.method': 'GET', 'url.path': '/a&b' } })
  world.events = [...world.events, ...Array.from({ length: 150 }, (_, at) => deny(5000 + at))]
  const server = await pagesOn(t, world)
  const client = pageClient(server, 'auditor')
  const seqs = (body: string) => [...body.matchAll(/<li class="event[^>]*><span class="mono quiet">(\d+)</g)].map(([, seq]) => Number(seq))
  t.strictSame(seqs((await client.get('/events?host=*.example&verdict=deny')).body), Array.from({ length: 100 }, (_, at) => 5149 - at))
  const first = (await client.get('/events?host=*.example&verdict=deny')).body
  t.match(first, '<a class="button" href="/events?host=*.example&amp;verdict=deny&amp;before=5050">Older</a>')
  t.match(first, 'name="host" value="*.example"')
  t.match(first, '<option value="deny" selected>')
  t.match(first, '<a href="/events?request=R%3C1">exchange</a>')
  t.match(first, '<span class="mono">GET /a&amp;b</span> denied number 5149.')
  const second = (await client.get('/events?host=*.example&verdict=deny&before=5050')).body
  t.strictSame(seqs(second), Array.from({ length: 50 }, (_, at) => 5049 - at))
  t.notMatch(second, 'Older')
  const story = (await client.get('/events?request=R%3C1')).body
  t.strictSame(seqs(story), Array.from({ length: 75 }, (_, at) => 5001 + 2 * at))
  t.match(story, 'Exchange <span class="mono wrap">R&lt;1</span>')
  t.match((await client.get('/events?host=nobody.test')).body, 'Nothing fits')
  const wrong = await client.get('/events?host=(a&since=yesterday')
  t.equal(wrong.status, 400)
  t.match(wrong.body, /role="alert">since: is neither a time/)
  t.match(wrong.body, 'name="host" value="(a"')
  t.equal((await pageClient(server, 'reviewer').get('/events?host=a')).status, 403)
})

t.test('an auditor with teams sees the events of those', async (t) => {
  const world = fullWorld()
  world.actors.set(secretOf('webby'), { ...actorOf('auditor', 'webby'), teams: ['platform'] })
  const client = pageClient(await pagesOn(t, world), 'webby')
  const { body } = await client.get('/events')
  t.match(body, 'codex asks for files.example.org')
  t.match(body, 'allowed registry.npmjs.org', 'of a session of the team')
  t.notMatch(body, 'pastebin.com')
})

t.test('only forms are read, and only short ones without doubles', async (t) => {
  const world = fullWorld()
  const server = await pagesOn(t, world)
  const cookie = `${cookieName}=${secretOf('admin')}`
  const before = stateOf(world)
  const send = async (type: string, payload: string) => (await server.inject({ method: 'POST', url: decision, headers: { cookie, 'content-type': type }, payload })).statusCode
  t.equal(await send('application/json', '{"verdict":"allow"}'), 415)
  t.equal(await send('text/plain', 'verdict=allow'), 415)
  t.equal(await send('multipart/form-data; boundary=x', '--x--'), 415)
  t.equal(await send(form['content-type'], `comment=${'x'.repeat(17_000)}`), 413)
  t.equal(await send(form['content-type'], 'csrf=a&csrf=b'), 400)
  t.equal(stateOf(world), before)
})

t.test('each role sees and does what it may, and is told where it may not', async (t) => {
  const may: Record<string, { open: string[]; act: string[] }> = {
    viewer: { open: ['/', `/approvals/${one}`, '/grants', '/sessions', '/proposals'], act: [] },
    auditor: { open: pages, act: [] },
    launcher: { open: ['/sessions'], act: [] },
    reviewer: { open: ['/', `/approvals/${one}`, '/grants', '/sessions', '/proposals'], act: ['decision', 'snooze', 'revoke'] },
    admin: { open: pages, act: ['decision', 'snooze', 'revoke', 'end', 'proposal'] },
  }
  const acts: Record<string, [url: string, fields: Record<string, string>]> = {
    decision: [decision, answer],
    snooze: [`/approvals/${one}/snooze`, { version: '1', duration: '1h' }],
    revoke: ['/grants/01JD00000000000000000GRANT/revoke', {}],
    end: ['/sessions/s3kq8v0d1m2xz/end', {}],
    proposal: ['/proposals/01JD000000000000000000PROP/decision', { accept: 'yes' }],
  }
  for (const [role, { open, act }] of Object.entries(may)) {
    for (const url of pages) {
      const { status, body } = await pageClient(await pagesOn(t, fullWorld()), role).get(url)
      if (role === 'launcher' && url === '/') t.equal(status, 303)
      else t.equal(status, open.includes(url) ? 200 : 403, `${role} ${url}`)
      for (const [word, allowed] of [['/decision"', 'decision'], ['/revoke"', 'revoke'], ['/end"', 'end']] as const) {
        if (!act.includes(allowed) && role !== 'launcher') t.notOk(body.includes(word), `${role} is not shown ${word} on ${url}`)
      }
    }
    for (const [name, [url, fields]] of Object.entries(acts)) {
      const world = fullWorld()
      const before = stateOf(world)
      const { status } = await pageClient(await pagesOn(t, world), role).post(url, fields)
      if (act.includes(name)) t.equal(status, 303, `${role} ${name}`)
      else {
        t.ok(status === 403 || (role === 'launcher' && status === 404), `${role} ${name}: ${status}`)
        t.equal(stateOf(world), before)
      }
    }
  }
})

t.test('a launcher sees and ends the sessions of its own', async (t) => {
  const world = fullWorld()
  const client = pageClient(await pagesOn(t, world), 'launcher')
  const { body } = await client.get('/sessions')
  t.match(body, 's1nightly0run')
  t.notMatch(body, 's3kq8v0d1m2xz')
  t.equal((await client.post('/sessions/s1nightly0run/end')).status, 303)
  t.same(world.calls, [['end', 's1nightly0run', 'launcher']])
})

t.test('a narrow answer is given at once, and the queue says so', async (t) => {
  const world = fullWorld()
  const client = pageClient(await pagesOn(t, world), 'reviewer')
  const given = await client.post(decision, { ...answer, term: 'until:15m', comment: 'ok' })
  t.match({ status: given.status, location: given.headers['location'] }, { status: 303, location: `/?about=${one}` })
  t.same(world.calls, [['decide', one, { verdict: 'allow', term: 'until', untilMs: startMs + 900_000, subdomains: false, allPorts: false, who: 'session', comment: 'ok', version: 1 }, 'reviewer']])
  t.match((await client.get(`/?about=${one}`)).body, 'files.example.org was allowed for a time by reviewer.')
})

t.test('a wide answer is shown in full first, and counts only as it was shown', async (t) => {
  const world = fullWorld()
  const client = pageClient(await pagesOn(t, world), 'reviewer')
  const wide = { ...answer, term: 'until:8h', subdomains: 'yes', all_ports: 'yes', who: 'team', comment: 'a "b"\r\nc' }
  const asked = await client.post(decision, wide)
  t.equal(asked.status, 200)
  t.same(world.calls, [])
  for (const said of ['*.files.example.org', 'every port', '2026-11-20 22:32:05 UTC</time>, in 8 h', 'everybody in team platform', 'a &quot;b&quot;<br>c']) t.match(asked.body, said)

  const { csrf: _, ...hidden } = hiddenFields(asked.body)
  const confirmed = { ...hidden, comment: 'a "b"\r\nc' }
  for (const changed of [{ who: 'agent' }, { until: String(startMs + 10 * 86_400_000) }, { term: 'always' }, { verdict: 'deny' }, { comment: 'else' }, { confirmed: '' }, { confirmed: 'x' }]) {
    t.equal((await client.post(decision, { ...confirmed, ...changed })).status, 200, `${JSON.stringify(changed)} is asked about again`)
  }
  t.same(world.calls, [])
  world.now += 60_000
  t.equal((await client.post(decision, confirmed)).status, 303)
  t.match(world.calls, [['decide', one, { verdict: 'allow', term: 'until', untilMs: startMs + 8 * 3_600_000, subdomains: true, allPorts: true, who: 'team' }, 'reviewer']])
})

t.test('what one person was shown, another cannot confirm', async (t) => {
  const world = fullWorld()
  const server = await pagesOn(t, world)
  const { csrf: _, ...confirmed } = hiddenFields((await pageClient(server, 'admin').post(decision, { ...answer, term: 'always' })).body)
  t.equal((await pageClient(server, 'reviewer').post(decision, confirmed)).status, 200)
  t.same(world.calls, [])
})

t.test('always takes a second step, for a deny too', async (t) => {
  const world = fullWorld()
  const asked = await pageClient(await pagesOn(t, world), 'reviewer').post(decision, { ...answer, verdict: 'deny', term: 'always' })
  t.match(asked.body, 'Deny all of this')
  t.match(asked.body, 'no end')
  t.same(world.calls, [])
})

t.test('an answer to what has changed shows it as it is now, and asks again', async (t) => {
  const world = fullWorld()
  const client = pageClient(await pagesOn(t, world), 'reviewer')
  world.approvals[0] = approvalOf({ version: 2, statedReason: 'a new reason' })
  const stale = await client.post(decision, { ...answer, term: 'session', comment: 'keep me' })
  t.equal(stale.status, 412)
  for (const said of ['changed while you looked at it', 'a new reason', 'keep me', 'name="version" value="2"']) t.match(stale.body, said)
  t.match(stale.body, 'value="once" checked')
  t.same(world.calls, [])
})

t.test('an answer to what is answered shows who was faster', async (t) => {
  const world = fullWorld()
  const server = await pagesOn(t, world)
  t.equal((await pageClient(server, 'admin').post(decision, { ...answer, verdict: 'deny' })).status, 303)
  const late = await pageClient(server, 'reviewer').post(decision, { ...answer, version: '2' })
  t.equal(late.status, 409)
  t.match(late.body, 'Somebody was faster')
  t.match(late.body, 'was denied once by admin')
  t.notMatch(late.body, '/decision"')
})

t.test('each refusal of the desk is a sentence on the question, with its status', async (t) => {
  const codes: ReviewFaultCode[] = ['invalid', 'not_permitted', 'self_approval', 'scope_not_allowed', 'already_decided', 'comment_required', 'audit_unavailable']
  for (const code of codes) {
    const world = fullWorld()
    world.fault = new ReviewFault(code, 'It <b>cannot</b> be done')
    const { status, body } = await pageClient(await pagesOn(t, world), 'reviewer').post(decision, { ...answer, term: 'session', comment: 'kept' })
    t.equal(status, reviewFaults[code], code)
    t.match(body, 'role="alert" tabindex="-1" autofocus>It &lt;b&gt;cannot&lt;/b&gt; be done.</p>')
    t.match(body, 'kept')
    t.match(body, 'value="session" checked')
  }
})

t.test('a comment that policy wants is asked for before anything is confirmed', async (t) => {
  const world = fullWorld()
  world.cards.set(one, { rules: { fourEyes: false, commentFor: ['wide'], ownerMay: [] } })
  const { status, body } = await pageClient(await pagesOn(t, world), 'reviewer').post(decision, { ...answer, who: 'agent' })
  t.equal(status, 422)
  t.match(body, 'Policy wants a comment')
  t.same(world.calls, [])
})

t.test('an owner gives what policy delegates, and nothing else', async (t) => {
  const world = fullWorld()
  world.actors.set(secretOf('mara'), { kind: 'person', name: 'mara', role: 'viewer', teams: [], tokenId: 't', mintedBy: 'admin' })
  world.cards.set(one, { rules: { fourEyes: false, commentFor: [], ownerMay: ['once'] } })
  const client = pageClient(await pagesOn(t, world), 'mara')
  t.match((await client.get(`/approvals/${one}`)).body, decision)
  t.equal((await client.post(decision, answer)).status, 303)
})

t.test('what is not there, or not for this reader, is a page that says so', async (t) => {
  const client = pageClient(await pagesOn(t, fullWorld()), 'admin')
  for (const url of ['/approvals/none', '/approvals/__proto__']) t.equal((await client.get(url)).status, 404)
  t.equal((await client.post('/approvals/none/decision', answer)).status, 404)
  t.equal((await client.post('/grants/none/revoke')).status, 404)
  t.equal((await client.post('/sessions/none/end')).status, 404)
})

t.test('a fault of the proxy itself shows a number and nothing else', async (t) => {
  const world = fullWorld()
  Object.defineProperty(world, 'grants', { get: () => { throw new Error('SQL of the store') } })
  const { status, body } = await pageClient(await pagesOn(t, world), 'admin').get('/grants')
  t.equal(status, 500)
  t.notMatch(body, 'SQL')
})

t.test('each call of somebody who is signed in is told, by its route', async (t) => {
  const world = fullWorld()
  const server = await pagesOn(t, world)
  await server.inject({ url: '/' })
  await server.inject({ url: '/login' })
  await pageClient(server, 'viewer').get(`/approvals/${one}`)
  await pageClient(server, 'viewer').post(decision, answer)
  t.match(world.seen.map(({ actor, method, route, status, subjectId }) => [actor?.name, method, route, status, subjectId]), [
    ['viewer', 'GET', '/approvals/:id', 200, one],
    ['viewer', 'GET', '/sessions', 200, undefined],
    ['viewer', 'POST', '/approvals/:id/decision', 403, one],
  ])
})

t.test('a page says by its stamp whether it would look different, and time alone changes nothing', async (t) => {
  const world = fullWorld()
  const client = pageClient(await pagesOn(t, world), 'reviewer')
  const stamp = async (): Promise<unknown> => (await client.get('/')).headers['etag']
  const first = await stamp()
  t.match(first, /^"[0-9a-f]{16}"$/)
  t.match((await client.get('/')).body, `data-stamp=${String(first)}`)
  world.now += 30_000
  t.equal(await stamp(), first)
  world.approvals[0] = approvalOf({ waiting: 0 })
  t.not(await stamp(), first)
})

t.test('an empty queue says what will appear', async (t) => {
  const { body } = await pageClient(await pagesOn(t, worldOf()), 'viewer').get('/')
  t.match(body, 'its question appears here')
})

t.test('nobody is signed in under a name that other programs of the machine serve too', async (t) => {
  const server = await pagesOn(t, fullWorld(), { ownHost: 'sallyport.localhost' })
  for (const host of ['127.0.0.1:3129', 'localhost:3129', '[::1]:3129', '127.0.0.9:3129']) {
    const asked = await server.inject({ url: '/approvals/x?y', headers: { host } })
    t.same([asked.statusCode, asked.headers['location'], asked.headers['set-cookie']], [302, 'http://sallyport.localhost:3129/approvals/x?y', undefined], host)
    const posted = await server.inject({ method: 'POST', url: '/login', headers: { host, 'content-type': 'application/x-www-form-urlencoded' }, payload: 'token=sp_x' })
    t.same([posted.statusCode, posted.headers['set-cookie']], [403, undefined], host)
  }
  t.equal((await server.inject({ url: '/login', headers: { host: 'sallyport.localhost:3129' } })).statusCode, 200)
})
