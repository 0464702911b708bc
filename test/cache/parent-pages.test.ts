import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import type { AgeRules } from '../../src/cache/freshness.ts'
import { fieldsOfHit, sourceOf, type Hit, type MissDetail } from '../../src/cache/page-source.ts'
import { heldBytes, missAnswer, pageAnswer, parentWorld, startFakeParent, type ParentWorld } from '../support/parent-cache.ts'

const anyAge: AgeRules = { maxAgeMs: undefined, staleOk: true }
const url = 'http://docs.example.test/a?b=c'
const nobody = { team: undefined }

async function bodyOf({ held }: Hit, range?: { readonly first: number; readonly last: number }): Promise<string> {
  const read = held?.read(range) ?? []
  if (read instanceof Uint8Array) return Buffer.from(read).toString()
  const chunks: Uint8Array[] = []
  for await (const chunk of read) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

async function hit(t: Test, { pages }: ParentWorld, fields: readonly string[] = [], rules = anyAge, of = url): Promise<Hit> {
  const found = await pages.find(of, fields, nobody, rules)
  if (found.kind === 'hit') return found
  t.fail(`it is a miss: ${found.detail}`)
  throw new Error('no page')
}

async function miss({ pages }: ParentWorld, rules = anyAge, of = url): Promise<MissDetail | 'hit'> {
  const found = await pages.find(of, [], nobody, rules)
  return found.kind === 'miss' ? found.detail : 'hit'
}

t.test('a page of the parent is handed out with its age, without what belongs to the exchange that brought it', async (t) => {
  const parent = await startFakeParent(t)
  parent.onPage = pageAnswer('hello', { 'Set-Cookie': 'a=b', Via: '1.1 parent (squid/5.7)', ETag: '"x"', 'Cache-Control': 'public, max-age=3600' })
  const world = parentWorld(t, parent)
  const found = await hit(t, world)
  t.equal(sourceOf(found), 'parent')
  t.equal(await bodyOf(found), 'hello')
  t.equal(found.entry.bodyBytes, 5)
  t.ok(found.standing.ageMs >= 10_000)
  t.notMatch(found.entry.fields.map((text) => text.toLowerCase()), ['set-cookie'])
  for (const name of ['set-cookie', 'via', 'x-cache', 'age']) t.notOk(found.entry.fields.some((text) => text.toLowerCase() === name), name)
  const made = fieldsOfHit(found)
  t.match(made[made.indexOf('Cache-Status') + 1], /^parent; hit; ttl=35[0-9]{2}, sallyport; fwd=miss$/)
  t.equal(made[made.indexOf('Age') + 1], String(Math.floor(found.standing.ageMs / 1000)))
})

t.test('the parent is asked for the absolute URL with only-if-cached, and hears nothing of the agent but two choices', async (t) => {
  const parent = await startFakeParent(t)
  const world = parentWorld(t, { url: parent.url, username: 'fleet', password: 'pä:ss' })
  const fields = ['Host', 'other.test', 'Accept', 'text/html', 'Accept-Language', 'de', 'Cookie', 'a=b', 'Authorization', 'Bearer x', 'User-Agent', 'agent', 'Accept-Encoding', 'br', 'If-None-Match', '"x"', 'Range', 'bytes=0-1', 'X-Any', 'y']
  await world.pages.find(url, fields, nobody, { maxAgeMs: undefined, staleOk: false })
  await world.pages.find('https://docs.example.test:8443/b', [], nobody, anyAge)
  const credentials = ['Proxy-Authorization', `Basic ${Buffer.from('fleet:pä:ss').toString('base64')}`]
  t.same(parent.asked.map((one) => ({ ...one, rawHeaders: one.rawHeaders.filter((_, i, all) => !/^connection$/i.test(all[i - (i % 2)] ?? '')) })), [
    { url, rawHeaders: ['host', 'docs.example.test', 'Cache-Control', 'only-if-cached', 'Accept', 'text/html', 'Accept-Language', 'de', ...credentials] },
    { url: 'https://docs.example.test:8443/b', rawHeaders: ['host', 'docs.example.test:8443', 'Cache-Control', 'only-if-cached, max-stale', ...credentials] },
  ])
})

t.test('a choice that is longer than choices are is not asked with', async (t) => {
  const parent = await startFakeParent(t)
  const found = await parentWorld(t, parent).pages.find(url, ['Accept', 'x/'.padEnd(2000, 'y')], nobody, anyAge)
  t.same(found, { kind: 'miss', detail: 'not-in-cache' })
  t.same(parent.asked, [])
})

t.test('504 is a miss, and its content is no page', async (t) => {
  const parent = await startFakeParent(t)
  const world = parentWorld(t, parent)
  t.equal(await miss(world), 'not-in-cache')
  t.equal(await miss(world), 'not-in-cache')
  t.equal(parent.asked.length, 2, 'a miss is no fault')
  t.equal(world.watch.state().isOn, true)
})

t.test('what does not plainly come out of the cache is refused', async (t) => {
  const parent = await startFakeParent(t)
  const world = parentWorld(t, parent)
  for (const [what, fields] of [
    ['a live answer', { 'X-Cache': 'MISS from parent' }],
    ['a live answer of a cache further on', { 'Cache-Status': 'cdn; hit, parent; fwd=uri-miss' }],
    ['private', { 'Cache-Control': 'private' }],
    ['no-store', { 'Cache-Control': 'no-store' }],
    ['another Vary', { Vary: 'User-Agent' }],
    ['an unknown coding', { 'Content-Encoding': 'x-odd' }],
    ['an error page', { 'X-Squid-Error': 'ERR_ACCESS_DENIED 0' }],
  ] as const) {
    parent.onPage = pageAnswer('lie', fields)
    t.equal(await miss(world), 'parent-doubtful', what)
  }
  parent.onPage = (_request, response) => void response.writeHead(200, { 'Content-Length': '4' }).end('live')
  t.equal(await miss(world), 'parent-doubtful', 'no Age')
  for (const status of [206, 304, 403, 407, 500, 502, 503]) {
    parent.onPage = (_request, response) => void response.writeHead(status, { Age: '1' }).end()
    t.equal(await miss(world), 'parent-doubtful', String(status))
  }
  parent.onPage = pageAnswer('page')
  t.equal(await miss(world), 'hit', 'the next page is read all the same')
})

t.test('age rules hold for its pages, by the Age it says', async (t) => {
  const parent = await startFakeParent(t)
  const world = parentWorld(t, parent)
  parent.onPage = pageAnswer('old', { Age: '7200' })
  t.equal(await miss(world, { maxAgeMs: 3_600_000, staleOk: true }), 'too-old')
  t.equal(await miss(world, { maxAgeMs: undefined, staleOk: false }), 'stale')
  const found = await hit(t, world)
  t.match(fieldsOfHit(found).join('\n'), /parent; hit; ttl=-360[0-9]; detail=stale, sallyport; fwd=miss/)
})

t.test('content codings are undone, within bounds', async (t) => {
  const parent = await startFakeParent(t)
  const world = parentWorld(t, parent)
  const coded = (bytes: Buffer) => pageAnswer(bytes, { 'Content-Encoding': 'gzip' })
  parent.onPage = coded(gzipSync('hello'))
  const found = await hit(t, world)
  t.equal(await bodyOf(found), 'hello')
  t.notOk(found.entry.fields.some((text) => text.toLowerCase() === 'content-encoding'))
  parent.onPage = coded(gzipSync(Buffer.alloc(4 * 1024 * 1024)))
  t.equal(await miss(world), 'parent-doubtful', 'a bomb')
  parent.onPage = coded(gzipSync('hello').subarray(0, 12))
  t.equal(await miss(world), 'parent-doubtful', 'cut short')
  parent.onPage = coded(Buffer.from('not gzip'))
  t.equal(await miss(world), 'parent-doubtful', 'no gzip')
})

t.test('a body of unknown length is held whole, up to a bound, before anybody sees it', async (t) => {
  const parent = await startFakeParent(t)
  const world = parentWorld(t, parent)
  const chunked = (bytes: number, isCut = false) => {
    parent.onPage = (_request, response) => {
      response.writeHead(200, { Age: '1', 'Cache-Control': 'max-age=60' })
      response.write(Buffer.alloc(bytes, 'x'), () => (isCut ? response.destroy() : response.end()))
    }
  }
  chunked(heldBytes)
  t.equal((await bodyOf(await hit(t, world))).length, heldBytes)
  chunked(heldBytes + 1)
  t.equal(await miss(world), 'parent-doubtful', 'too large')
  chunked(100, true)
  t.equal(await miss(world), 'parent-doubtful', 'broken off')
  chunked(10)
  const found = await hit(t, world)
  t.equal(await bodyOf(found, { first: 2, last: 4 }), 'xxx')
})

t.test('a large body with a length is handed on as it comes, and never ends early in silence', async (t) => {
  const parent = await startFakeParent(t)
  const world = parentWorld(t, parent)
  const text = 'abcdefghij'.repeat(heldBytes / 5)
  parent.onPage = pageAnswer(text)
  t.equal(await bodyOf(await hit(t, world)), text)
  t.equal(await bodyOf(await hit(t, world), { first: 70_001, last: 70_003 }), 'bcd')
  parent.onPage = (_request, response) => {
    response.writeHead(200, { Age: '1', 'Content-Length': String(text.length), 'Cache-Control': 'max-age=60' })
    response.write(text.slice(0, 1000), () => response.destroy())
  }
  await t.rejects(bodyOf(await hit(t, world)), { code: 'cache_failed' }, 'broken off')
  const unread = await hit(t, world)
  unread.held?.release()
  parent.onPage = pageAnswer('x', { 'Content-Length': '2000000' })
  t.equal(await miss(world), 'parent-doubtful', 'larger than a body may be')
  parent.onPage = pageAnswer('fine')
  t.equal(await bodyOf(await hit(t, world)), 'fine')
})

t.test('what all held bodies take together is bounded, and given back', async (t) => {
  const parent = await startFakeParent(t)
  const world = parentWorld(t, parent)
  parent.onPage = pageAnswer('y'.repeat(heldBytes))
  const held = [await hit(t, world), await hit(t, world), await hit(t, world), await hit(t, world)]
  t.equal(await miss(world), 'parent-doubtful', 'there is no room for a fifth')
  for (const { held: page } of held) {
    page?.release()
    page?.release()
  }
  t.ok(world.budget.take(4 * heldBytes), 'all of it is free again, and no more')
  t.notOk(world.budget.take(1))
})

t.test('bodies that are handed on as they come leave connections for others, and end in their time', async (t) => {
  const parent = await startFakeParent(t)
  const world = parentWorld(t, parent)
  const text = 'z'.repeat(heldBytes * 8)
  parent.onPage = pageAnswer(text)
  const large: Hit[] = []
  for (let i = 0; i < 16; i++) large.push(await hit(t, world))
  t.equal(await miss(world), 'parent-doubtful', 'half of the connections are for others')
  parent.onPage = pageAnswer('small')
  t.equal(await bodyOf(await hit(t, world)), 'small')
  for (const one of large) {
    t.equal((await bodyOf(one)).length, text.length)
    one.held?.release()
  }
  parent.onPage = (_request, response) => {
    response.writeHead(200, { Age: '1', 'Content-Length': String(text.length), 'Cache-Control': 'max-age=60' })
    response.write(text.slice(1))
  }
  await t.rejects(bodyOf(await hit(t, parentWorld(t, parent, { bodyTimeoutMs: 100 }))), { code: 'cache_failed' })
})

t.test('a parent that is down costs one attempt, and is tested again after the pause', async (t) => {
  const parent = await startFakeParent(t)
  const world = parentWorld(t, parent)
  t.equal(await miss(world), 'not-in-cache')
  await parent.close()
  t.equal(await miss(world), 'parent-unreachable')
  t.equal(world.watch.state().isOn, false)
  t.equal(world.faults.length, 1)
  t.equal(await miss(world), 'parent-unreachable')
  t.equal(await miss(world), 'parent-unreachable')
  t.equal(world.faults.length, 1, 'nobody was asked meanwhile')
})

t.test('an answer that is late, or whose connection breaks, is a miss, and the next ones do not wait', async (t) => {
  const parent = await startFakeParent(t)
  const world = parentWorld(t, { url: parent.url, timeoutMs: 1_000 })
  await world.watch.test()
  parent.onPage = () => undefined
  t.equal(await miss(world), 'parent-unreachable', 'silent')
  t.equal(parent.asked.length, 1)
  t.equal(await miss(world), 'parent-unreachable')
  t.equal(parent.asked.length, 1, 'it is not asked in the pause')
  world.later(1_000)
  parent.onPage = pageAnswer('back')
  t.equal(await miss(world), 'hit', 'asked again after the pause, and its test')
  t.equal(parent.tests.length, 4)
  parent.onPage = (request) => void request.socket.destroy()
  t.equal(await miss(world), 'parent-unreachable', 'reset')
})

t.test('a connection that was closed while it was kept is no fault', async (t) => {
  const parent = await startFakeParent(t)
  const world = parentWorld(t, parent)
  await world.watch.test()
  let isFirst = true
  parent.onPage = (request, response) => {
    if (isFirst) request.socket.destroy()
    else pageAnswer('second')(request, response)
    isFirst = false
  }
  t.equal(await miss(world), 'hit')
})

t.test('a body that falls silent is a miss', async (t) => {
  const parent = await startFakeParent(t)
  for (const world of [parentWorld(t, { url: parent.url, timeoutMs: 1_000 }), parentWorld(t, parent, { bodyTimeoutMs: 100 })]) {
    await world.watch.test()
    parent.onPage = (_request, response) => {
      response.writeHead(200, { Age: '1', 'Content-Length': '10', 'Cache-Control': 'max-age=60' })
      response.write('five.')
    }
    t.equal(await miss(world), 'parent-doubtful')
  }
})

t.test('a parent that fails its test is never asked for a page', async (t) => {
  const parent = await startFakeParent(t)
  for (const [what, onTest] of [
    ['it fetches, and finds no such name', (_request, response) => void response.writeHead(504, { 'X-Squid-Error': 'ERR_DNS_FAIL 0' }).end()],
    ['it fetches, and says so', (_request, response) => void response.writeHead(503).end()],
    ['it answers anything', pageAnswer('everything')],
    ['it is no proxy', (_request, response) => void response.writeHead(404).end()],
    ['it wants credentials', (_request, response) => void response.writeHead(407, { 'Proxy-Authenticate': 'Basic' }).end()],
  ] as const satisfies readonly (readonly [string, typeof missAnswer])[]) {
    parent.onTest = onTest
    parent.onPage = pageAnswer('secret')
    const world = parentWorld(t, parent)
    t.equal(await miss(world), 'parent-unreachable', what)
    t.match(world.faults, [/is not asked: it answered /])
    t.same(world.watch.state().isOn, false)
  }
  t.same(parent.asked, [])
})

t.test('a parent that cannot hold https pages is asked for those of http alone', async (t) => {
  const parent = await startFakeParent(t)
  parent.onTest = (request, response) => (request.url?.startsWith('https:') === true ? response.writeHead(400).end() : missAnswer(request, response))
  parent.onPage = pageAnswer('page')
  const world = parentWorld(t, parent)
  t.equal(await miss(world, anyAge, 'https://docs.example.test/'), 'not-in-cache')
  t.equal(await miss(world), 'hit')
  t.match(world.watch.state(), { isOn: true, detail: /https/ })
  t.same(parent.asked.map((one) => one.url), [url])
})

t.test('a test that is under way is not begun again, and one that passed is good for ten minutes', async (t) => {
  const parent = await startFakeParent(t)
  const world = parentWorld(t, parent)
  await Promise.all([world.watch.test(), miss(world), miss(world), world.watch.test()])
  t.equal(parent.tests.length, 2, 'one of each scheme')
  world.later(9 * 60_000)
  await miss(world)
  t.equal(parent.tests.length, 2)
  world.later(2 * 60_000)
  parent.onTest = pageAnswer('set up anew')
  t.equal(await miss(world), 'parent-unreachable')
  t.equal(parent.tests.length, 4)
})

t.test('a URL that a request cannot carry is not asked for', async (t) => {
  const parent = await startFakeParent(t)
  const world = parentWorld(t, parent)
  await world.watch.test()
  for (const odd of ['http://a.test/\r\nX: y', 'http://a.test/ b', 'ftp://a.test/', 'http://a.test', 'http://u@a.test/']) {
    t.equal(await miss(world, anyAge, odd), 'not-in-cache', JSON.stringify(odd))
  }
  t.same(parent.asked, [])
})
