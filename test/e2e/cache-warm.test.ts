// `cache warm` over a whole proxy: what is fetched, from whom, how often, and what agents read then.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { fillWorld, page, sitemap } from '../support/fill-world.ts'

t.test('a sitemap index is followed, gzip or not, and what it names is read from the cache', async (t) => {
  const world = await fillWorld(t)
  const { site, pages, asked } = world
  pages.set('/index.xml', (_request, response) => response.end(`<sitemapindex><sitemap><loc>${site}/a.xml.gz</loc></sitemap><sitemap><loc>${site}/b.xml</loc></sitemap></sitemapindex>`))
  pages.set('/a.xml.gz', sitemap([`${site}/one`, `${site}/two`], true))
  pages.set('/b.xml', sitemap([`${site}/two`, `http://other.test:${world.port}/three`]))
  pages.set('/one', page('<p>one'))
  pages.set('/two', page('<p>two'))
  const { code, out, err } = await world.cache('warm', `${site}/index.xml`, '--rate', '100/s')
  t.equal(err.match(/left out 1: http:\/\/other\.test:\d+ was not named/)?.length, 1, err)
  t.match(out, /^2 pages kept, 0 not, 12 B\n$/)
  t.equal(code, 0)
  t.strictSame(asked, ['/robots.txt', '/index.xml', '/a.xml.gz', '/b.xml', '/one', '/two'])
  t.match(await world.read(`${site}/one`), { status: 200, text: '<p>one' })
  t.match(await world.read(`${site}/robots.txt`), { status: 504 }, 'robots.txt and sitemaps are not kept')
  t.match(await world.read(`${site}/a.xml.gz`), { status: 504 })
  t.equal(asked.length, 6, 'reading asks the site for nothing')
  const filled = world.proxy.records().filter(({ name }) => name === 'sallyport.cache.filled')
  t.strictSame(filled.map(({ attributes }) => [attributes['sallyport.cache.source'], attributes['url.path']]), [['warmed', '/one'], ['warmed', '/two']])
  t.equal(world.proxy.decisions().filter(({ attributes }) => attributes['session.id'] === 'cache').length, 6, 'every fetch was decided')
})

t.test('robots.txt is heeded, unless an admin says otherwise, which is on record', async (t) => {
  const world = await fillWorld(t)
  const { site, pages, asked } = world
  pages.set('/robots.txt', (_request, response) => response.end('User-agent: *\nDisallow: /private/\n'))
  pages.set('/private/x', page('secret'))
  pages.set('/open', page('open'))
  const list = join(world.proxy.dir, 'urls.txt')
  writeFileSync(list, `# pages\n${site}/private/x  # not this\n${site}/open\n`)
  const heeding = await world.cache('warm', list, '--rate', '100')
  t.match(heeding, { code: 0, out: '1 page kept, 0 not, 4 B\n', err: /left out 1: the robots\.txt of http:\/\/docs\.test:\d+ asks not to crawl it/ })
  t.notOk(asked.includes('/private/x'))
  t.match(await world.cache('warm', list, '--rate', '100', '--ignore-robots'), { code: 0, out: '2 pages kept, 0 not, 10 B\n' })
  t.ok(asked.includes('/private/x'))
  const called = world.proxy.records().filter(({ name, attributes }) => name === 'sallyport.control.called' && attributes['http.route'] === '/v1/cache/warm')
  t.strictSame(called.map(({ attributes }) => attributes['sallyport.control.detail']), [undefined, 'ignores robots.txt'])
})

t.test('where robots.txt cannot be read nothing is fetched, and that is a failure', async (t) => {
  const world = await fillWorld(t)
  world.pages.set('/robots.txt', (_request, response) => response.writeHead(500).end())
  world.pages.set('/x', page('x'))
  t.match(await world.cache('warm', `${world.site}/x`), { code: 0, out: '0 pages kept, 0 not, 0 B\n', err: /asks not to crawl/ })
  world.pages.set('/robots.txt', (request) => request.socket.destroy())
  t.match(await world.cache('warm', `${world.site}/x`), { code: 1, out: '0 pages kept, 1 not, 0 B\n', err: /could not be read/ })
  t.notOk(world.asked.includes('/x'))
})

t.test('links are followed to a depth, on the same site, and no further', async (t) => {
  const world = await fillWorld(t)
  const { site, pages, asked } = world
  pages.set('/', page(`<a href="/1">1</a><a href="http://other.test:${world.port}/">o</a><a href="mailto:x@y">m</a>`))
  pages.set('/1', page('<a href="2?q=1">2</a><a href="/">back</a>'))
  pages.set('/2?q=1', page('<a href="/3">3</a>'))
  pages.set('/3', page('3'))
  t.match(await world.cache('warm', `${site}/`, '--depth', '2', '--rate', '100'), { code: 0, out: /^3 pages kept/ })
  t.strictSame(asked, ['/robots.txt', '/', '/1', '/2?q=1'])
})

t.test('--limit ends it, and says that there is more', async (t) => {
  const world = await fillWorld(t)
  for (const name of ['1', '2', '3']) world.pages.set(`/${name}`, page(name))
  world.pages.set('/s.xml', sitemap(['1', '2', '3'].map((name) => `${world.site}/${name}`)))
  t.match(await world.cache('warm', `${world.site}/s.xml`, '--limit', '2', '--rate', '100'), { code: 0, out: '2 pages kept, 0 not, 2 B; there is more: --limit fetches it\n' })
})

t.test('what is not kept is listed with its reason, and the exit code says so', async (t) => {
  const world = await fillWorld(t)
  const { site, pages } = world
  pages.set('/no', page('mine', { 'cache-control': 'private' }))
  pages.set('/away', (_request, response) => response.writeHead(302, { location: `http://other.test:${world.port}/there` }).end())
  const list = join(world.proxy.dir, 'urls.txt')
  writeFileSync(list, `${site}/no\n${site}/away\nhttp://denied.test/\nnot a url\n`)
  const { code, out, err } = await world.cache('warm', list, '--rate', '100')
  t.equal(code, 1)
  t.match(out, /^1 page kept, 4 not, 0 B\n$/, 'the redirect itself is kept')
  t.match(err, /^not kept: http:\/\/docs\.test:\d+\/no: it cannot be kept: its Cache-Control/m)
  t.match(err, /^not kept: http:\/\/other\.test:\d+\/there: http:\/\/other\.test:\d+ was not named$/m)
  t.match(err, /^not kept: http:\/\/denied\.test\/: the robots\.txt of http:\/\/denied\.test could not be read: denied\.test is on the denied list/m)
  t.match(err, /^not kept: not a url: /m)
  const of = (name: string): string[] => world.proxy.records().filter((each) => each.name === name && each.attributes['session.id'] === 'cache').map(({ attributes }) => String(attributes['sallyport.request.id'])).toSorted()
  await world.proxy.recorded(({ name, attributes }) => name === 'sallyport.exchange.ended' && attributes['sallyport.request.id'] === of('sallyport.decision').at(-1))
  t.strictSame(of('sallyport.exchange.ended'), of('sallyport.decision'), 'every fetch that was decided has its end on record')
  const lines = (await world.cache('warm', list, '--rate', '100', '--json')).out.trim().split('\n').map((line) => JSON.parse(line))
  t.strictSame(lines.filter(({ event }) => event === 'missed').length, 4)
  t.match(lines.at(-1), { event: 'done', kept: 1, failed: 4, interrupted: false })
})

t.test('it stops when its caller leaves', async (t) => {
  const world = await fillWorld(t)
  const stop = new AbortController()
  const { promise, resolve } = Promise.withResolvers<void>()
  world.pages.set('/slow', (request) => {
    request.socket.once('close', () => resolve())
    stop.abort()
  })
  const ran = await world.interrupted(stop.signal, 'warm', `${world.site}/slow`, '--rate', '100')
  t.match(ran, { code: 1, out: '0 pages kept, 0 not, 0 B; interrupted\n' })
  await promise
  t.pass('and the fetch that was under way is broken off')
})
