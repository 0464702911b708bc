// Sessions that record: what an admin's session reads live is read by others from the cache, on every way in; what may not
// be kept is not, and its own client gets what it would have got.
import type http from 'node:http'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { openClient, ways, type Way } from '../support/cached-world.ts'
import { ControlClient } from '../support/control.ts'
import { fillWorld, page } from '../support/fill-world.ts'
import { reading, recording, startRecording, type RecordWorld } from '../support/record-world.ts'

function onEachWay(name: string, check: (t: Test, way: Way) => Promise<void>): void {
  for (const way of ways) t.test(`${name}: ${way}`, (t) => check(t, way))
}

const hello: http.RequestListener = (request, response) => {
  response.writeHead(200, { 'Content-Type': 'text/plain', 'Cache-Control': 'max-age=600', 'Set-Cookie': 'a=b' }).end(`page ${request.url}`)
}

/** Waits until the only request for this path is over. */
async function over({ proxy }: RecordWorld, path: string): Promise<void> {
  const { attributes } = await proxy.recorded(({ name, attributes: { 'url.path': asked } }) => name === 'sallyport.decision' && asked === path)
  const id = attributes['sallyport.request.id']
  await proxy.recorded(({ name, attributes: { 'sallyport.request.id': ended } }) => name === 'sallyport.exchange.ended' && ended === id)
}

/** Waits until nothing is on its way into the store. */
async function nothingOpen({ store }: RecordWorld): Promise<void> {
  while (store.open.size > 0) await new Promise((resolve) => setTimeout(resolve, 5))
}

const filled = ({ proxy }: RecordWorld) => proxy.records().filter(({ name }) => name === 'sallyport.cache.filled')

onEachWay('what it reads live another session of its team reads from the cache, and its origin hears nothing', async (t, way) => {
  const world = await startRecording(t, way, hello)
  const recorder = await world.control.createSession(recording)
  const first = await world.ask(recorder, '/guide?a=b%20c')
  t.match(first, { status: 200, body: 'page /guide?a=b%20c' })
  t.equal(first.fields.get('set-cookie'), 'a=b', 'its own client gets all of it')
  t.notOk(first.fields.has('cache-status'))
  await world.kept('/guide?a=b%20c')
  const asked = world.origin.requests.length
  const second = await world.ask(await world.control.createSession(reading), '/guide?a=b%20c')
  t.match(second, { status: 200, body: 'page /guide?a=b%20c' })
  t.match(second.fields.get('cache-status'), /^sallyport; hit/)
  t.notOk(second.fields.has('set-cookie'))
  t.equal(world.origin.requests.length, asked)
  t.match(await world.ask(await world.control.createSession({ ...reading, team: 'other' }), '/guide?a=b%20c'), { status: 504 })
  t.equal(world.origin.requests.length, asked)
  const [event, ...more] = filled(world)
  t.strictSame(more, [])
  const decided = world.proxy.decisions().find(({ attributes }) => attributes['url.path'] === '/guide')
  t.match(event?.attributes, {
    'sallyport.cache.source': 'recorded', 'sallyport.cache.partition': 'team:web', 'sallyport.request.id': decided?.attributes['sallyport.request.id'], 'http.response.body.size': 19,
  })
  t.match(world.store.list({ shelf: 'web' }, 9), [{ source: 'recorded', pinned: false, by: event?.attributes['sallyport.actor.name'] }])
})

onEachWay('what was asked for with credentials, conditions, a range or content is not kept', async (t, way) => {
  const world = await startRecording(t, way, hello)
  const client = await world.client(await world.control.createSession(recording))
  const asked: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
    ['/cookie', { cookie: 'a=b' }], ['/authorization', { authorization: 'Bearer x' }], ['/key', { 'x-api-key': 'x' }], ['/token', { 'private-token': 'x' }],
    ['/condition', { 'if-none-match': '"x"' }], ['/since', { 'if-modified-since': 'Fri, 01 Jan 2021 00:00:00 GMT' }], ['/range', { range: 'bytes=0-1' }], ['/no-store', { 'cache-control': 'no-store' }],
  ]
  for (const [path, fields] of asked) t.match(await client.ask(path, { fields }), { status: 200, body: `page ${path}` }, path)
  t.match(await client.ask('/head', { method: 'HEAD' }), { status: 200 })
  t.match(await client.ask('/post', { method: 'POST', body: 'x' }), { status: 200 })
  t.match(await client.ask('/content', { body: 'x' }), { status: 200 })
  await client.ask('/last')
  await world.kept('/last')
  t.strictSame(world.paths(), ['/last'])
  t.equal(filled(world).length, 1)
})

onEachWay('what its origin calls private, what is cut short and what is too large is not kept', async (t, way) => {
  const large = Buffer.alloc(200_000, 'x')
  const world = await startRecording(t, way, (request, response) => {
    if (request.url === '/private') response.writeHead(200, { 'Cache-Control': 'private' }).end('mine')
    else if (request.url === '/vary') response.writeHead(200, { Vary: 'User-Agent' }).end('yours')
    else if (request.url === '/error') response.writeHead(500).end('error')
    else if (request.url === '/large') response.writeHead(200).end(large)
    else if (request.url === '/bomb') response.writeHead(200, { 'Content-Encoding': 'gzip' }).end(gzipSync(large))
    else if (request.url === '/broken') response.writeHead(200, { 'Content-Encoding': 'gzip' }).end(gzipSync('whole').subarray(0, 12))
    else if (request.url === '/cut') response.writeHead(200, { 'Content-Length': '100' }).write('begun', () => response.destroy())
    else hello(request, response)
  }, { maxBodyBytes: 100_000 })
  const recorder = await world.control.createSession(recording)
  const client = await world.client(recorder)
  for (const path of ['/private', '/vary']) t.match(await client.ask(path), { status: 200 }, path)
  t.match(await client.ask('/error'), { status: 500 })
  t.equal((await client.ask('/large')).body, large.toString('latin1'))
  t.equal((await client.ask('/bomb')).body, gzipSync(large).toString('latin1'))
  t.equal((await client.ask('/broken')).body.length, 12)
  await (await world.client(recorder)).leaveWithin('/cut')
  await over(world, '/cut')
  await client.ask('/last')
  await world.kept('/last')
  t.strictSame(world.paths(), ['/last'])
  await nothingOpen(world)
  t.strictSame(world.paths(), ['/last'], 'nothing is left of what was begun')
})

onEachWay('an answer in a coding reaches its client as it came, and is kept without', async (t, way) => {
  const text = Array.from({ length: 40_000 }, (_each, i) => `line ${i}\n`).join('')
  const coded = gzipSync(text)
  const world = await startRecording(t, way, (_request, response) => response.writeHead(200, { 'Content-Encoding': 'gzip', Vary: 'Accept-Encoding' }).end(coded))
  const first = await world.ask(await world.control.createSession(recording), '/coded', { fields: { 'accept-encoding': 'gzip' } })
  t.equal(first.body, coded.toString('latin1'))
  t.equal(first.fields.get('content-encoding'), 'gzip')
  await world.kept('/coded')
  const second = await world.ask(await world.control.createSession(reading), '/coded')
  t.equal(second.body, text)
  t.notOk(second.fields.has('content-encoding'))
})

onEachWay('a client that leaves keeps nothing, and nothing is kept once the session has ended', async (t, way) => {
  const { promise: isOver, resolve: finish } = Promise.withResolvers<void>()
  const world = await startRecording(t, way, (request, response) => {
    if (request.url === '/last') {
      hello(request, response)
      return
    }
    response.writeHead(200, { 'Content-Length': '10' }).write('begun')
    void isOver.then(() => response.end('ended'))
  })
  const recorder = await world.control.createSession(recording)
  await (await world.client(recorder)).leaveWithin('/left')
  const client = await world.client(recorder)
  const asked = client.ask('/ended').catch(() => undefined)
  while (world.store.open.size === 0 || !world.origin.requests.some(({ url }) => url === '/ended')) await new Promise((resolve) => setTimeout(resolve, 5))
  await world.control.endSession(recorder.id)
  finish()
  await over(world, '/ended')
  await Promise.race([asked, new Promise((resolve) => setImmediate(resolve))])
  await world.ask(await world.control.createSession(recording), '/last')
  await world.kept('/last')
  t.strictSame(world.paths(), ['/last'])
})

t.test('a page that came before its session ended, and is written after, is not kept', async (t) => {
  const world = await startRecording(t, 'bare', hello)
  const { promise, resolve } = Promise.withResolvers<void>()
  world.store.gate = promise
  const recorder = await world.control.createSession(recording)
  t.match(await world.ask(recorder, '/slow'), { status: 200, body: 'page /slow' }, 'a disk that is slow holds no answer up')
  await world.control.endSession(recorder.id)
  resolve()
  world.store.gate = undefined
  await world.ask(await world.control.createSession(recording), '/last')
  await world.kept('/last')
  t.strictSame(world.paths(), ['/last'])
  t.equal(filled(world).length, 1)
})

t.test('what other sessions read live is not kept, and a disk that takes nothing costs its client nothing', async (t) => {
  const world = await startRecording(t, 'bare', hello)
  t.match(await world.ask(await world.control.createSession({ agent: 'other', team: 'web' }), '/other'), { status: 200 })
  const recorder = await world.control.createSession(recording)
  world.store.fault = new Error('the disk is full')
  t.match(await world.ask(recorder, '/full'), { status: 200, body: 'page /full' })
  await nothingOpen(world)
  world.store.fault = undefined
  await world.ask(recorder, '/last')
  await world.kept('/last')
  t.strictSame(world.paths(), ['/last'])
})

t.test('a page that people pinned stays as it is', async (t) => {
  let turn = 0
  const world = await startRecording(t, 'bare', (_request, response) => response.writeHead(200, { 'Cache-Control': 'max-age=600' }).end(`turn ${++turn}`))
  const recorder = await world.control.createSession(recording)
  await world.ask(recorder, '/page')
  await world.kept('/page')
  const [entry] = world.store.list({ shelf: 'web' }, 1)
  t.ok(world.store.setPinned(entry?.id ?? 0, true))
  t.match(await world.ask(recorder, '/page'), { body: 'turn 2' })
  await world.ask(recorder, '/last')
  await world.kept('/last')
  t.match(await world.ask(await world.control.createSession(reading), '/page'), { body: 'turn 1' })
})

t.test('what a session without a team reads is kept for everybody', async (t) => {
  const world = await startRecording(t, 'bare', hello)
  await world.ask(await world.control.createSession({ ...recording, team: undefined }), '/common')
  await world.kept('/common')
  for (const team of ['web', undefined]) t.match(await world.ask(await world.control.createSession({ ...reading, team }), '/common'), { status: 200, body: 'page /common' })
})

t.test('a rule that sets a field keeps nothing', async (t) => {
  const world = await startRecording(t, 'bare', hello, { rule: 'set_headers = { "X-Tenant" = "a" }\n' })
  t.match(await world.ask(await world.control.createSession(recording), '/set'), { status: 200 })
  t.equal(world.store.open.size, 0)
  t.strictSame(world.paths(), [])
  t.strictSame(filled(world), [])
})

t.test('in cached mode it reads live what a reviewer opens, who is told that it is kept', async (t) => {
  const world = await startRecording(t, 'bare', hello, { top: '[web_fetch]\nmode = "cached"\non_miss = "ask"\n', rule: 'via = "cache"\n' })
  const recorder = await world.control.createSession({ ...recording, hold: '1m' })
  const asked = world.ask(recorder, '/page')
  const approval = await world.control.pending('origin.test')
  const card = JSON.stringify((await world.control.call('GET', `/v1/approvals/${approval.id}`)).body)
  t.match(card, /this session records, so what it reads is kept in the web cache for others/)
  t.strictSame(world.origin.requests.length, 0)
  t.match(await world.control.answer(approval, { verdict: 'allow', term: 'session' }), { status: 200 })
  t.match(await asked, { status: 200, body: 'page /page' })
  await world.kept('/page')
  const count = world.origin.requests.length
  t.match(await world.ask(await world.control.createSession({ agent: 'other', team: 'web' }), '/page'), { status: 200, body: 'page /page' })
  t.equal(world.origin.requests.length, count)
})

t.test('what a reviewer lets it read inside TLS is kept, with the grant at hand as well', async (t) => {
  const world = await startRecording(t, 'inside', hello, { verdict: 'ask' })
  const recorder = await world.control.createSession({ ...recording, hold: '1m' })
  const asked = world.ask(recorder, '/first')
  const approval = await world.control.pending('origin.test')
  t.match(await world.control.answer(approval, { verdict: 'allow', term: 'session' }), { status: 200 })
  t.match(await asked, { status: 200, body: 'page /first' })
  t.match(await world.ask(recorder, '/second'), { status: 200, body: 'page /second' })
  await world.kept('/second')
  t.strictSame(world.paths(), ['/first', '/second'])
})

t.test('in monitor mode what policy would refuse is read, and not kept', async (t) => {
  const world = await startRecording(t, 'bare', hello, { mode: 'monitor', verdict: 'ask' })
  t.match(await world.ask(await world.control.createSession(recording), '/page'), { status: 200, body: 'page /page' })
  await over(world, '/page')
  t.equal(world.store.open.size, 0)
  t.strictSame(world.paths(), [])
})

t.test('the commands show what was recorded, and the journal has it by whoever made the session', async (t) => {
  const world = await fillWorld(t, {}, (port) => `[network]
unknown = "deny"
[[network.rules]]
id = "site"
hosts = ["docs.test:${port}"]
local = ["127.0.0.1/32"]
verdict = "allow"
`)
  world.pages.set('/guide', page('guide'))
  const { line } = await world.control.createSession(recording)
  const client = await openClient(t, 'bare', world.proxy, `docs.test:${world.port}`, line.slice('Proxy-Authorization: '.length).trim())
  t.match(await client.ask('/guide'), { status: 200, body: 'guide' })
  await world.proxy.recorded(({ name }) => name === 'sallyport.cache.filled')
  const listed = await world.cache('ls', '--source', 'recorded')
  t.match(listed, { code: 0, out: /recorded +team web +http:\/\/docs\.test:\d+\/guide\n/ })
  t.match(await world.cache('ls', '--source', 'added'), { code: 0 })
})

t.test('a shared cache neither answers it nor keeps what it records', async (t) => {
  const world = await startRecording(t, 'bare', (_request, response) => response.writeHead(200, { 'Cache-Control': 'max-age=600' }).end('page'), { rule: 'shared_cache = true\n' })
  t.match((await world.ask(await world.control.createSession({ agent: 'other', team: 'web' }), '/page')).fields.get('cache-status'), /stored/)
  const answer = await world.ask(await world.control.createSession(recording), '/page')
  t.notOk(answer.fields.has('cache-status'))
  await world.kept('/page')
  t.equal(world.origin.requests.length, 2)
})

t.test('only an admin makes one, and not for long', async (t) => {
  const world = await startRecording(t, 'bare', hello)
  const make = (body: object) => world.control.call('POST', '/v1/sessions', { body: { agent: 'recorder', ...body } })
  t.match(await make({ record: true }), { status: 400, body: { errors: [{ pointer: '/ttl' }] } })
  t.match(await make({ record: true, ttl: '25h' }), { status: 400, body: { errors: [{ pointer: '/ttl', message: 'is longer than 24 hours' }] } })
  t.match(await make({ record: true, ttl: '1h', web_fetch: true }), { status: 400, body: { errors: [{ pointer: '/web_fetch' }] } })
  t.match(await make({ record: true, ttl: '1h', trusts_ca: false }), { status: 400, body: { errors: [{ pointer: '/trusts_ca' }] } })
  t.match(await make({ record: true, ttl: '24h' }), { status: 201, body: { session: { record: true, trusts_ca: true }, trusted_pem: /BEGIN CERTIFICATE/ } })
  t.match(world.proxy.records().filter(({ name }) => name === 'sallyport.session.started').map(({ attributes }) => attributes['sallyport.session.record']), [true])
})

t.test('the token of a launcher cannot make one', async (t) => {
  const { proxy, control } = await startRecording(t, 'bare', hello)
  const token = await control.createToken({ kind: 'program', name: 'starter', role: 'launcher' })
  const launcher = new ControlClient(proxy.controlSocket)
  const headers = { authorization: `Bearer ${token}` }
  t.match(await launcher.call('POST', '/v1/sessions', { body: { agent: 'codex', ttl: '1h', record: true }, headers }), { status: 403, body: { code: 'not_permitted' } })
  t.match(await launcher.call('POST', '/v1/sessions', { body: { agent: 'codex', ttl: '1h' }, headers }), { status: 201, body: { session: { record: false } } })
})
