// A page that is not in the web cache, end to end: the agent is held, a reviewer has the page fetched or lets its host be
// read live, and nothing is resolved or dialled for the agent before that.
import { writeFileSync } from 'node:fs'
import t from 'tap'
import { headOf, problemIn, sent } from '../support/ask-world.ts'
import { ControlClient, type WireApproval } from '../support/control.ts'
import { insideRequest, openInside } from '../support/inside.ts'
import { docsHost, fetchPage, pagePolicy, pageRequest, read, reading, startPages, untouched } from '../support/page-world.ts'
import type { WireClient } from '../support/wire-client.ts'

const agentFields = 'User-Agent: agent/1\r\nX-Agent-Secret: tell-nobody\r\nCookie: a=b\r\nAccept-Language: de\r\nReferer: http://inner.example/secret\r\n'
/** what a fetch of the proxy's own says */
const ownFields = ['host', 'connection', 'user-agent', 'accept', 'via']
const tcp = { flags: { control: '127.0.0.1:0' } }

t.test('over plain http a held client is served after the fetch, and the origin sees no field of the agent', async (t) => {
  const world = await startPages(t)
  const { control, origin, proxy } = world
  const client = await reading(t, world, '/guide?lang=en', agentFields)
  const asked = await control.pending(docsHost)
  t.match(asked, { kind: 'fetch', method: 'GET', url: `http://${world.authority}/guide?lang=en`, host: docsHost, state: 'pending' })
  t.ok(untouched(world), 'nothing was resolved or dialled')
  const decided = await fetchPage(control, asked)
  t.equal(decided.status, 200)
  t.match(decided.body, { state: 'allowed', decision: { is_fetched: true, fetch_note: null, grant_id: null, by: String } })
  const answer = await client.next()
  t.match(answer, { status: 200, body: 'page /guide?lang=en' })
  t.match(answer?.fields.get('cache-status'), /^sallyport; hit/)
  t.equal(origin.requests.length, 1)
  const [seen] = origin.requests
  t.strictSame(Object.keys(seen?.headers ?? {}), ownFields)
  t.match(seen?.headers, { 'user-agent': /^sallyport\//, accept: '*/*' })
  const told = proxy.records().filter(({ name }) => name === 'sallyport.approval.decided')
  t.match(told, [{ attributes: { 'sallyport.approval.fetch': true, 'sallyport.approval.kind': 'fetch' } }])
  t.equal(proxy.records().some(({ name }) => name === 'sallyport.grant.created'), false, 'nothing was opened')
})

t.test('inside TLS a held client is served after the fetch', async (t) => {
  const world = await startPages(t, { scheme: 'https' })
  const { control, proxy, authority } = world
  const session = await control.createSession({ trusts_ca: true })
  const credentials = session.line.slice('Proxy-Authorization: '.length).trim()
  const inside = await openInside(t, proxy, authority, { credentials })
  inside.send(insideRequest(authority, '/inner', { fields: agentFields }))
  const asked = await control.pending(docsHost)
  t.match(asked, { kind: 'fetch', url: `https://${authority}/inner` })
  t.ok(untouched(world))
  t.equal((await fetchPage(control, asked)).status, 200)
  t.match(await inside.next(), { status: 200, body: 'page /inner' })
  t.strictSame(world.origin.requests.map(({ headers }) => Object.keys(headers)), [ownFields])
  inside.send(insideRequest(authority, '/inner'))
  t.match(await inside.next(), { status: 200, body: 'page /inner' }, 'and the next one too')
  t.equal(world.origin.requests.length, 1)
})

t.test('a client that left and comes back is served, and is told meanwhile how to follow its question', async (t) => {
  const world = await startPages(t, { holdMs: 0 })
  const { control } = world
  const pending = await read(t, world, '/later')
  t.equal(pending?.status, 403)
  t.match(problemIn(pending?.body), { code: 'approval_pending', approval: String })
  t.match(pending?.fields.get('cache-status'), 'sallyport; detail=not-in-cache')
  const asked = await control.pending(docsHost, () => true)
  t.equal((await fetchPage(control, asked)).status, 200)
  t.match(await read(t, world, '/later'), { status: 200, body: 'page /later' })
  t.equal(world.origin.requests.length, 1)
})

t.test('a client that leaves while it is held takes nothing with it: the page is fetched all the same', async (t) => {
  const world = await startPages(t)
  const { control } = world
  const client = await reading(t, world, '/left')
  await control.pending(docsHost)
  client.reset()
  const asked = await control.pending(docsHost, ({ waiting }) => waiting === 0)
  t.equal((await fetchPage(control, asked)).status, 200)
  t.match(await read(t, world, '/left'), { status: 200 })
})

t.test('a yes to live reading opens GETs of the host live, for that session, until it is revoked', async (t) => {
  const world = await startPages(t)
  const { control, proxy, origin, authority } = world
  const session = await control.createSession()
  const first = await reading(t, world, '/live', agentFields + session.line)
  const decided = await control.answer(await control.pending(docsHost), { verdict: 'allow', term: 'session' })
  t.match(decided.body, { state: 'allowed', decision: { is_fetched: false, grant_id: String } })
  t.match(await first.next(), { status: 200, body: 'page /live' })
  t.match(origin.requests[0]?.headers, { 'x-agent-secret': 'tell-nobody' }, 'it is the request of the agent')
  t.match(await read(t, world, '/more', session.line), { status: 200, body: 'page /more' })
  t.equal(origin.requests.length, 2)
  t.match(await (await sent(t, proxy, pageRequest(authority, '/write', session.line, 'DELETE'))).next(), { status: 403 }, 'and nothing but reading')
  await reading(t, world, '/more', (await control.createSession()).line)
  t.match(await control.pending(docsHost, ({ session: of }) => of !== session.id), { state: 'pending' }, 'nor anything for another session')
  t.equal(origin.requests.length, 2)
  t.match((await control.call('GET', '/v1/grants')).body, { items: [{ live_reading: true, request_digest: null }] })
  await control.revoke(await firstGrant(control))
  await reading(t, world, '/again', session.line)
  t.match(await control.pending(docsHost, ({ session: of }) => of === session.id), { url: `http://${authority}/again` }, 'what was opened is closed')
})

t.test('a live page that is still coming ends with the grant that let it', async (t) => {
  const world = await startPages(t, { answer: (_request, response) => void response.write('the beginning') })
  const { control } = world
  const client = await reading(t, world, '/endless')
  const decided = await control.answer(await control.pending(docsHost), { verdict: 'allow', term: 'session' })
  await client.until((text) => text.includes('the beginning'))
  await control.revoke((decided.body as WireApproval).decision?.grant_id ?? '')
  await client.closed()
  t.match((await world.proxy.recorded(({ name }) => name === 'sallyport.exchange.ended')).attributes, { 'sallyport.outcome': 'expired', 'sallyport.code': 'grant_ended' })
})

t.test('a yes to live reading is none to writing, and a yes to writing is none to live reading', async (t) => {
  const world = await startPages(t)
  const { control, proxy, origin } = world
  const host = `team.test:${origin.port}`
  const say = (path: string, method: string): Promise<WireClient> => sent(t, proxy, pageRequest(host, path, '', method))
  const page = await say('/page', 'GET')
  await control.decide('team.test', { verdict: 'allow', term: 'session' }, ({ kind, waiting }) => kind === 'fetch' && waiting > 0)
  t.match(problemIn((await page.next())?.body), { code: 'ip_denied' }, 'it went out, where no rule opens loopback')
  await say('/write', 'DELETE')
  const writing = await control.pending('team.test')
  t.match(writing, { kind: 'host', method: 'DELETE' })
  await control.revoke(await firstGrant(control))
  t.equal((await control.answer(writing, { verdict: 'allow', term: 'session' })).status, 200)
  await say('/page', 'GET')
  t.match(await control.pending('team.test'), { kind: 'fetch', method: 'GET' })
})

async function firstGrant(control: ControlClient): Promise<string> {
  const { items } = (await control.call('GET', '/v1/grants')).body as { readonly items: readonly { readonly id: string }[] }
  return items[0]?.id ?? ''
}

t.test('no session answers its own question', async (t) => {
  const world = await startPages(t, tcp)
  const { control, proxy } = world
  const session = await control.createSession()
  await reading(t, world, '/own', session.line)
  const asked = await control.pending(docsHost)
  const api = new ControlClient(proxy.control)
  const basic = session.line.slice('Proxy-Authorization: '.length).trim()
  for (const headers of [{ authorization: `Bearer ${session.token}` }, { authorization: basic }, { 'proxy-authorization': basic }]) {
    t.equal((await api.answer(asked, { verdict: 'allow', fetch: true }, headers)).status, 403)
    t.match((await control.answer(asked, { verdict: 'allow', fetch: true }, headers)).status, 403, 'nor at the socket')
  }
  t.ok(untouched(world))
  t.match(await control.approval(asked.id), { state: 'pending' })
})

t.test('the owner of a session has its pages fetched where policy leaves `once` to owners, and not otherwise', async (t) => {
  for (const [approvals, status] of [['', 403], ['owner_may = ["once"]', 200], ['owner_may = ["once"]\nfour_eyes = ["docs.test"]', 403]] as const) {
    const world = await startPages(t, { ...tcp, approvals })
    const { control, proxy } = world
    const session = await control.createSession({ owner: 'ann' })
    await reading(t, world, '/owned', session.line)
    const asked = await control.pending(docsHost)
    const ann = { authorization: `Bearer ${await control.createToken({ name: 'ann', role: 'reviewer' })}` }
    const answer = await new ControlClient(proxy.control).answer(asked, { verdict: 'allow', fetch: true }, ann)
    t.equal(answer.status, status, approvals)
    if (status === 403) t.match(answer.body, { code: 'self_approval' })
  }
})

t.test('with four eyes the second yes fetches, and it may not be more than the first', async (t) => {
  const world = await startPages(t, { ...tcp, approvals: 'four_eyes = ["docs.test"]' })
  const { control, proxy, origin } = world
  const api = new ControlClient(proxy.control)
  const asWho = async (name: string) => ({ authorization: `Bearer ${await control.createToken({ name, role: 'reviewer' })}` })
  const [bea, cid] = [await asWho('bea'), await asWho('cid')]
  const client = await reading(t, world, '/two')
  const first = await api.answer(await control.pending(docsHost), { verdict: 'allow', fetch: true }, bea)
  t.match(first, { status: 200, body: { state: 'pending', first_yes: { by: 'bea', is_fetch: true } } })
  t.equal(origin.requests.length, 0)
  const now = first.body as WireApproval
  t.match(await api.answer(now, { verdict: 'allow', fetch: true }, bea), { status: 403 }, 'one person is not two')
  t.match(await api.answer(now, { verdict: 'allow' }, cid), { status: 403, body: { code: 'scope_not_allowed' } })
  t.match(await api.answer(now, { verdict: 'allow', fetch: true }, cid), { status: 200, body: { state: 'allowed', decision: { by: 'bea', second_by: 'cid', is_fetched: true } } })
  t.match(await client.next(), { status: 200 })
})

t.test('a long URL, or one that looks like data, is fetched only when it is confirmed, and by no program', async (t) => {
  const world = await startPages(t, tcp)
  const { control, proxy } = world
  const bot = { authorization: `Bearer ${await control.createToken({ name: 'bot', role: 'reviewer', kind: 'program' })}` }
  const data = Buffer.from('the quick brown fox jumps over 13 lazy dogs').toString('base64url')
  for (const [path, why] of [[`/a?q=${data}`, /looks like data/], [`/${'long/'.repeat(60)}`, /characters long/]] as const) {
    const client = await reading(t, world, path)
    const asked = await control.pending(docsHost)
    t.equal(asked.url, `http://${world.authority}${path}`, 'the reviewer sees all of it')
    t.match(await control.approval(asked.id), { doubts: [why] })
    const seenBefore = world.origin.requests.length
    t.match(await fetchPage(control, asked), { status: 422, body: { code: 'confirmation_required', detail: why } })
    t.match(await new ControlClient(proxy.control).answer(asked, { verdict: 'allow', fetch: true, confirmed: true }, bot), { status: 403, body: { code: 'scope_not_allowed' } })
    t.equal(world.origin.requests.length, seenBefore)
    t.equal((await fetchPage(control, asked, { confirmed: true })).status, 200)
    t.match(await client.next(), { status: 200 })
  }
})

t.test('a reviewer of another team sees nothing of it, and a page that is fetched is its team\'s alone', async (t) => {
  const world = await startPages(t, tcp)
  const { control, proxy } = world
  const web = await control.createSession({ team: 'web' })
  const client = await reading(t, world, '/team', web.line)
  const asked = await control.pending(docsHost)
  const api = new ControlClient(proxy.control)
  const ops = { authorization: `Bearer ${await control.createToken({ name: 'olga', role: 'reviewer', teams: ['ops'] })}` }
  t.match((await api.call('GET', '/v1/approvals?state=pending', { headers: ops })).body, { items: [] })
  t.equal((await api.call('GET', `/v1/approvals/${asked.id}`, { headers: ops })).status, 404)
  t.equal((await api.answer(asked, { verdict: 'allow', fetch: true }, ops)).status, 404)
  const wim = { authorization: `Bearer ${await control.createToken({ name: 'wim', role: 'reviewer', teams: ['web'] })}` }
  t.equal((await api.answer(asked, { verdict: 'allow', fetch: true }, wim)).status, 200)
  t.match(await client.next(), { status: 200 })
  const other = await control.createSession({ team: 'ops' })
  await reading(t, world, '/team', other.line)
  t.match(await control.pending(docsHost), { session: other.id, state: 'pending' })
})

t.test('what another session of the team asks about the same page is answered with it', async (t) => {
  const world = await startPages(t)
  const { control, proxy, origin } = world
  const [one, two] = [await control.createSession({ team: 'web' }), await control.createSession({ team: 'web' })]
  const clients = [await reading(t, world, '/same', one.line), await reading(t, world, '/same', two.line)]
  const asked = await control.pending(docsHost, ({ session, waiting }) => session === one.id && waiting > 0)
  const other = await control.pending(docsHost, ({ session, waiting }) => session === two.id && waiting > 0)
  t.equal((await fetchPage(control, asked)).status, 200)
  for (const client of clients) t.match(await client.next(), { status: 200, body: 'page /same' })
  t.equal(origin.requests.length, 1)
  t.equal((await control.approval(other.id)).state, 'withdrawn')
  t.match((await proxy.recorded(({ name }) => name === 'sallyport.approval.withdrawn')).attributes, { 'sallyport.approval.cause': 'cached' })
})

t.test('a fetch is asked for once under one Idempotency-Key', async (t) => {
  const world = await startPages(t)
  const { control, origin } = world
  await reading(t, world, '/once')
  const asked = await control.pending(docsHost)
  const body = { verdict: 'allow', fetch: true } as const
  t.equal((await control.answer(asked, body, { 'idempotency-key': 'k1' })).status, 200)
  t.match(await control.answer(asked, body, { 'idempotency-key': 'k1' }), { status: 200, headers: { 'idempotency-replayed': 'true' } })
  t.equal(origin.requests.length, 1)
})

t.test('a no is to this page: another page of the host is asked about by itself', async (t) => {
  const world = await startPages(t)
  const { control, proxy } = world
  const client = await reading(t, world, '/no')
  const asked = await control.pending(docsHost)
  t.match(await control.answer(asked, { verdict: 'deny', subdomains: true }), { status: 400 }, 'and cannot be wider')
  t.equal((await control.answer(asked, { verdict: 'deny', term: 'session', comment: 'ask the docs team' })).status, 200)
  t.match(problemIn((await client.next())?.body), { code: 'approval_denied', reason: /ask the docs team/ })
  t.match(problemIn((await read(t, world, '/no'))?.body), { code: 'approval_denied' })
  const other = await reading(t, world, '/yes')
  t.equal((await control.answer(await control.pending(docsHost), { verdict: 'allow', term: 'session' })).status, 200)
  t.match(await other.next(), { status: 200 })
  t.match(problemIn((await read(t, world, '/no'))?.body), { code: 'approval_denied' }, 'nor does a later yes to the host open it')
  t.equal(proxy.records().filter(({ name }) => name === 'sallyport.approval.requested').length, 2)
})

t.test('a policy that no longer asks withdraws the question, one that closes the host refuses', async (t) => {
  const world = await startPages(t)
  const { control, proxy, origin } = world
  const client = await reading(t, world, '/policy')
  const asked = await control.pending(docsHost)
  writeFileSync(proxy.policyFile, pagePolicy(origin.port).replace('on_miss = "ask"', 'on_miss = "deny"'))
  t.match(problemIn((await client.next())?.body), { code: 'cache_miss' })
  t.equal((await control.approval(asked.id)).state, 'withdrawn')
  t.match(await fetchPage(control, asked), { status: 409 })
  t.ok(untouched(world))
})

t.test('the end of a session withdraws its questions about pages', async (t) => {
  const world = await startPages(t)
  const { control } = world
  const session = await control.createSession()
  const client = await reading(t, world, '/ends', session.line)
  const asked = await control.pending(docsHost)
  await control.endSession(session.id)
  t.match(await headOf(client), /^HTTP\/1\.1 403/)
  t.equal((await control.approval(asked.id)).state, 'withdrawn')
  t.ok(untouched(world))
})

t.test('where reading a host is asked about too, the yes to the request leads to the question about the page', async (t) => {
  const world = await startPages(t, { more: '[[network.rules]]\nid = "team"\nhosts = ["team.test:PORT"]\nlocal = ["127.0.0.0/8"]\nvia = "cache"\nverdict = "ask"\n' })
  const { control, proxy, origin } = world
  const host = `team.test:${origin.port}`
  const client = await sent(t, proxy, pageRequest(host, '/both'))
  await control.decide('team.test', { verdict: 'allow' }, ({ kind, waiting }) => kind === 'request' && waiting > 0)
  const asked = await control.pending('team.test', ({ kind, waiting }) => kind === 'fetch' && waiting > 0)
  t.match(asked, { is_review: true }, 'a rule asks about it always')
  t.equal((await fetchPage(control, asked)).status, 200)
  t.match(await client.next(), { status: 200, body: 'page /both' })
})
