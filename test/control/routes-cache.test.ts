// The web cache over the API: who sees what of it, in pages; content that is saved and never shown; what takes entries out.
import t from 'tap'
import { cacheWorld, type CacheWorld } from './cache-world.ts'
import { call, type Got } from './caller.ts'
import { openWorld } from './world.ts'

const get = ({ world }: CacheWorld, path: string, token = 'sp_admin'): Promise<Got> => call(world.url, path, { token })
const post = ({ world }: CacheWorld, path: string, body: object = {}): Promise<Got> => call(world.url, path, { method: 'POST', token: 'sp_admin', body })
const urls = ({ json }: Got): string[] => json.items.map(({ url }: { url: string }) => url)

t.test('entries are listed newest first, in pages', async (t) => {
  const cache = await cacheWorld(t)
  for (const name of ['1', '2', '3']) await cache.put(`https://a.example/${name}`, name)
  const first = await get(cache, '/v1/cache/entries?limit=2')
  t.strictSame(urls(first), ['https://a.example/3', 'https://a.example/2'])
  t.match(first.json.items[0], { partition: 'common', status: 200, content_type: 'text/html', bytes: 1, source: 'added', by: 'ana', pinned: false, stored_at: '2026-01-02T02:04:05.678Z', captured_at: null, vary: [] })
  const second = await get(cache, `/v1/cache/entries?limit=2&cursor=${first.json.next_cursor}`)
  t.strictSame([urls(second), second.json.next_cursor], [['https://a.example/1'], null])
  t.equal((await get(cache, '/v1/cache/entries?limit=3')).json.next_cursor, null)
})

t.test('entries are found by glob, source and partition', async (t) => {
  const cache = await cacheWorld(t)
  await cache.put('https://a.example/x', 'x')
  await cache.put('https://b.example/x', 'x', { source: 'imported', partition: 'team:web' })
  await cache.put('https://a.example/deep/x.pdf', 'x', { source: 'warmed' })
  t.strictSame(urls(await get(cache, '/v1/cache/entries?match=a.example')), ['https://a.example/deep/x.pdf', 'https://a.example/x'])
  t.strictSame(urls(await get(cache, `/v1/cache/entries?match=${encodeURIComponent('**/*.pdf')}`)), ['https://a.example/deep/x.pdf'])
  t.strictSame(urls(await get(cache, '/v1/cache/entries?source=imported')), ['https://b.example/x'])
  t.strictSame(urls(await get(cache, '/v1/cache/entries?partition=team:web')), ['https://b.example/x'])
  t.match(await get(cache, `/v1/cache/entries?match=${encodeURIComponent('https://a.example/' + '*-'.repeat(200))}`), { status: 200 }, 'odd, and harmless')
})

t.test('a glob that holds the proxy up is refused', async (t) => {
  const cache = await cacheWorld(t)
  await cache.put(`https://a.example/${'-'.repeat(8000)}`, 'x')
  t.match(await get(cache, `/v1/cache/entries?match=${encodeURIComponent('https://a.example/*-*-*-*.tgz')}`), { status: 400, json: { code: 'invalid', errors: [{ pointer: '/match', message: /too long to be compared/ }] } })
})

t.test('live copies are no entries', async (t) => {
  const cache = await cacheWorld(t)
  const { id } = await cache.put('https://a.example/x', 'x', { key: { shelf: 'live', partition: 'common', url: 'https://a.example/x' } })
  t.strictSame(urls(await get(cache, '/v1/cache/entries')), [])
  t.equal((await get(cache, `/v1/cache/entries/${id}`)).status, 404)
  t.equal((await post(cache, `/v1/cache/entries/${id}/remove`)).status, 404)
})

t.test('who has teams sees what everybody reads and what those read', async (t) => {
  const cache = await cacheWorld(t)
  const ids = [(await cache.put('https://common.example/')).id, (await cache.put('https://web.example/', 'x', { partition: 'team:web' })).id, (await cache.put('https://data.example/', 'x', { partition: 'team:data' })).id, (await cache.put('https://none.example/', 'x', { partition: 'teamless' })).id]
  const webby = cache.world.tokens.add('reviewer', 'webby', ['web'])
  t.strictSame(urls(await get(cache, '/v1/cache/entries', webby)), ['https://web.example/', 'https://common.example/'])
  for (const path of ['', '/content']) {
    t.strictSame(await Promise.all(ids.map(async (id) => (await get(cache, `/v1/cache/entries/${id}${path}`, webby)).status)), [200, 200, 404, 404])
  }
  t.strictSame((await get(cache, '/v1/cache/stats', webby)).json.groups.map(({ partition }: { partition: string }) => partition).toSorted(), ['common', 'team:web'])
  t.equal(urls(await get(cache, '/v1/cache/entries', 'sp_viewer')).length, 4)
})

t.test('an entry has its fields, and its content is saved and never shown', async (t) => {
  const cache = await cacheWorld(t)
  const { id } = await cache.put('https://a.example/', '<script>alert(1)</script>', { fields: ['Content-Type', 'text/html', 'ETag', '"1"'] })
  t.match((await get(cache, `/v1/cache/entries/${id}`)).json, { id, reason: 'OK', fields: [{ name: 'Content-Type', value: 'text/html' }, { name: 'ETag', value: '"1"' }] })
  const { status, headers, text } = await get(cache, `/v1/cache/entries/${id}/content`)
  t.equal(status, 200)
  t.equal(text, '<script>alert(1)</script>')
  t.match(headers, { 'content-type': 'application/octet-stream', 'content-disposition': /^attachment; /, 'x-content-type-options': 'nosniff', 'content-security-policy': /^sandbox; default-src 'none'/, 'content-length': '25' })
  t.equal((await get(cache, `/v1/cache/entries/${id + 1}/content`)).status, 404)
  for (const odd of ['0', '-1', '1e3', '9'.repeat(20)]) t.equal((await get(cache, `/v1/cache/entries/${odd}`)).status, 404, odd)
})

t.test('large content comes whole', async (t) => {
  const cache = await cacheWorld(t)
  const text = 'x'.repeat(99_999)
  const { id } = await cache.put('https://a.example/', text)
  t.equal((await get(cache, `/v1/cache/entries/${id}/content`)).text, text)
})

t.test('an entry is pinned, unpinned and removed', async (t) => {
  const cache = await cacheWorld(t)
  const { id } = await cache.put('https://a.example/', 'x')
  t.match((await post(cache, `/v1/cache/entries/${id}/pin`)).json, { id, pinned: true })
  t.match((await get(cache, '/v1/cache/stats')).json, { entries: 1, pinned: 1, body_bytes: 1, max_bytes: 1_000_000, groups: [{ source: 'added', partition: 'common', entries: 1, bytes: 1 }], groups_partial: false })
  t.match((await post(cache, `/v1/cache/entries/${id}/unpin`)).json, { id, pinned: false })
  t.match((await post(cache, `/v1/cache/entries/${id}/remove`)).json, { id, url: 'https://a.example/' })
  t.equal((await post(cache, `/v1/cache/entries/${id}/remove`)).status, 404)
  t.equal(cache.store.stats().entries, 0)
})

t.test('what matches is removed, a bounded number at a time, and on record with its filter', async (t) => {
  const cache = await cacheWorld(t)
  for (let index = 0; index < 1100; index++) await cache.put(`https://a.example/${index}`)
  await cache.put('https://b.example/', 'x')
  t.match((await post(cache, '/v1/cache/remove', { match: 'a.example' })).json, { more: true })
  t.match((await post(cache, '/v1/cache/remove', { match: 'a.example' })).json, { more: false })
  t.strictSame(urls(await get(cache, '/v1/cache/entries')), ['https://b.example/'])
  t.equal(cache.world.journaled.filter(({ attributes }) => attributes['http.route'] === '/v1/cache/remove')[0]?.attributes['sallyport.control.detail'], 'a.example')
  t.equal((await post(cache, '/v1/cache/remove', {})).status, 400, 'everything is not what nothing says')
  t.equal((await post(cache, '/v1/cache/remove', { all: true, match: 'b.example' })).status, 400)
  t.match((await post(cache, '/v1/cache/remove', { all: true })).json, { removed: 1, more: false })
})

t.test('without a web cache every route says so', async (t) => {
  const world = await openWorld(t)
  for (const path of ['/v1/cache/entries', '/v1/cache/entries/1', '/v1/cache/stats']) t.match(await call(world.url, path, { token: 'sp_admin' }), { status: 503, json: { code: 'cache_unavailable' } }, path)
  for (const [path, body] of [['/v1/cache/remove', { all: true }], ['/v1/cache/import', { path: '/x' }], ['/v1/cache/export', { path: '/x.warc.gz' }], ['/v1/cache/warm', { urls: ['https://a.example/'] }]] as const) {
    t.match(await call(world.socket, path, { method: 'POST', body }), { status: 503, json: { code: 'cache_unavailable' } }, path)
  }
})

t.test('a file is named by whoever is on the machine, and by nobody else', async (t) => {
  const cache = await cacheWorld(t)
  for (const [path, body] of [['/v1/cache/import', { path: '/etc/passwd' }], ['/v1/cache/export', { path: '/tmp/x.warc.gz' }]] as const) {
    t.match(await post(cache, path, body), { status: 403, json: { code: 'not_permitted', detail: /unix socket only/ } }, path)
    t.match(await call(cache.world.socket, path, { method: 'POST', body: { ...body, path: 'relative.warc.gz' } }), { status: 400, json: { errors: [{ pointer: '/path' }] } })
    t.match(await call(cache.world.socket, path, { method: 'POST', token: 'sp_reviewer', body }), { status: 403 })
  }
  t.match(await call(cache.world.socket, '/v1/cache/import', { method: 'POST', body: { path: '/nowhere.warc' } }), { status: 400, json: { errors: [{ pointer: '/path', message: /does not exist/ }] } })
  t.match(await call(cache.world.socket, '/v1/cache/import', { method: 'POST', body: { path: '/dev/zero' } }), { status: 400, json: { errors: [{ message: /is no file/ }] } })
  t.match(await call(cache.world.socket, '/v1/cache/import', { method: 'POST', body: { path: '/x', domains: ['*.com/x'] } }), { status: 400, json: { errors: [{ pointer: '/domains/0' }] } })
})

t.test('a crawl has bounds, and something to begin with', async (t) => {
  const cache = await cacheWorld(t)
  for (const body of [{}, { urls: [] }, { urls: ['https://a.example/'], per_second: 0 }, { urls: ['https://a.example/'], per_second: 101 }, { urls: ['https://a.example/'], depth: 11 }, { urls: ['https://a.example/'], limit: 0 }]) {
    t.match(await post(cache, '/v1/cache/warm', body), { status: 400, json: { code: 'invalid' } }, JSON.stringify(body))
  }
})
