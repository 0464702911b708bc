// `cache import` and `cache export` over a whole proxy: what comes in, what does not and why, and that it is on record first.
import { existsSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { answer, record } from '../cache/warc-records.ts'
import { fillWorld, page, type FillWorld } from '../support/fill-world.ts'

const html = ['Content-Type: text/html', 'Cache-Control: private, no-store', 'Set-Cookie: a=b']

function archive(world: FillWorld, name: string, urls: readonly string[], date = '2020-02-03T04:05:06Z'): string {
  const path = join(world.proxy.dir, name)
  writeFileSync(path, Buffer.concat(urls.map((url, at) => record({
    fields: { 'WARC-Target-URI': url, 'WARC-Date': date, 'WARC-Record-ID': `<urn:uuid:${at}>` }, block: answer(`content of ${url}`, html),
  }))))
  return path
}

t.test('pages of an archive are read from the cache, with the day they were captured, and are on record', async (t) => {
  const world = await fillWorld(t)
  const path = archive(world, 'a.warc', [`${world.site}/one`, `${world.site}/two`])
  t.match(await world.cache('import', path), { code: 0, out: '2 pages kept of 2 records\n' })
  t.match(await world.read(`${world.site}/one`), { status: 200, text: `content of ${world.site}/one` })
  t.strictSame(world.asked, [])
  const { out } = await world.cache('show', `${world.site}/one`)
  t.match(out, /source +imported by /)
  t.match(out, /captured +2020-02-03 04:05Z/)
  t.notMatch(out, /set-cookie/i)
  const records = world.proxy.records()
  t.strictSame(records.filter(({ name }) => name === 'sallyport.cache.filled').map(({ attributes }) => [attributes['sallyport.cache.source'], attributes['url.path']]), [['imported', '/one'], ['imported', '/two']])
  const called = records.find(({ attributes }) => attributes['http.route'] === '/v1/cache/import')
  t.equal(called?.attributes['sallyport.control.detail'], path)
})

t.test('what policy lets no agent read is not imported, and the reason is told', async (t) => {
  const world = await fillWorld(t)
  const path = archive(world, 'a.warc', [`${world.site}/one`, 'http://denied.test/x', 'https://denied.test/y'])
  const { code, out } = await world.cache('import', 'a.warc')
  t.equal(code, 0)
  t.match(out, '1 page kept of 3 records; left out: 2 not for the cache\n')
  t.match(out, /^ +2 {2}policy lets no agent read it: denied\.test is on the denied list/m)
  t.ok(existsSync(path))
  const { items } = JSON.parse((await world.cache('ls', '--json')).out)
  t.strictSame(items.map(({ url }: { url: string }) => url), [`${world.site}/one`])
})

t.test('--domains, --team and --dry-run', async (t) => {
  const world = await fillWorld(t)
  archive(world, 'a.warc', [`${world.site}/one`, `http://other.test:${world.port}/two`])
  t.match(await world.cache('import', 'a.warc', '--domains', `**.docs.test:${world.port}, x.example`, '--dry-run'), { code: 0, out: /^1 page would be kept of 2 records; left out: 1 not for the cache\n +1 {2}other\.test is not one of the domains that are imported/ })
  t.match(await world.cache('ls'), { out: /there is nothing in the cache/ })
  t.strictSame(world.proxy.records().filter(({ name }) => name === 'sallyport.cache.filled'), [])
  t.match(await world.cache('import', 'a.warc', '--domains', `docs.test:${world.port}`, '--team', 'web'), { code: 0, out: /^1 page kept/ })
  t.match(JSON.parse((await world.cache('ls', '--json')).out).items, [{ partition: 'team:web', source: 'imported' }])
  t.match(await world.read(`${world.site}/one`), { status: 504 }, 'others do not read it')
  t.match(await world.cache('import', 'a.warc', '--domains', 'https://x'), { code: 1, err: /a URL: write the host alone/ })
})

t.test('an archive that breaks off leaves whole entries, and the exit code says so', async (t) => {
  const world = await fillWorld(t)
  const path = archive(world, 'a.warc', [`${world.site}/one`, `${world.site}/two`])
  writeFileSync(path, readFileSync(path).subarray(0, -30))
  t.match(await world.cache('import', path), { code: 1, out: /^1 page kept of 2 records; left out: 1 broken/, err: /the archive ends within this record; what was kept before stays/ })
  t.match(await world.read(`${world.site}/one`), { status: 200 })
  t.match(await world.read(`${world.site}/two`), { status: 504 })
})

t.test('what is no file of ours to read is told before anything begins', async (t) => {
  const world = await fillWorld(t)
  t.match(await world.cache('import', '/nowhere/a.warc'), { code: 1, err: /does not exist on the machine of the proxy/ })
  t.match(await world.cache('import', world.proxy.dir), { code: 1, err: /is no file|is a folder/ })
  t.match(await world.cache('import', world.proxy.policyFile), { code: 1, err: /no WARC record|not a WARC/ })
})

t.test('an export is read back as it was, is its user\'s alone, and takes no file\'s place unasked', async (t) => {
  const world = await fillWorld(t)
  world.pages.set('/one', page('<p>one', { etag: '"1"' }))
  world.pages.set('/two', page('<p>two'))
  t.match(await world.cache('add', `${world.site}/one`, `${world.site}/two`), { code: 0 })
  // a team's pages are in no archive that does not name the team
  t.match(await world.cache('add', `${world.site}/two`, '--team', 'web'), { code: 0 })
  t.match(await world.cache('export', join(world.proxy.dir, 'all.warc.gz')), { code: 0, out: /^2 pages/ })
  t.match(await world.cache('export', join(world.proxy.dir, 'web.warc.gz'), '--team', 'web'), { code: 0, out: /^1 pages/ })
  t.match(await world.cache('rm', '**', '--team', 'web', '--yes'), { code: 0 })
  const path = join(world.proxy.dir, 'out.warc.gz')
  t.match(await world.cache('export', path, `${world.site}/o*`), { code: 0, out: /^1 pages in .*out\.warc\.gz, \d+ B\n$/ })
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.match(gunzipSync(readFileSync(path)).toString('latin1'), /WARC-Target-URI: http:\/\/docs\.test:\d+\/one\r\n/)
  t.match(await world.cache('export', path), { code: 1, err: /is there already/ })
  t.match(await world.cache('export', path, '--force'), { code: 0, out: /^2 pages/ })
  t.match(await world.cache('export', join(world.proxy.dir, 'x.txt')), { code: 2, err: /does not end in \.warc\.gz/ })
  symlinkSync(world.proxy.policyFile, join(world.proxy.dir, 'link.warc.gz'))
  t.match(await world.cache('export', 'link.warc.gz', '--force'), { code: 1, err: /is no file/ })

  t.match(await world.cache('rm', '**', '--yes'), { code: 0, out: '2 entries removed\n' })
  t.match(await world.read(`${world.site}/one`), { status: 504 })
  t.match(await world.cache('import', path), { code: 0, out: /^2 pages kept/ })
  t.match(await world.read(`${world.site}/one`), { status: 200, text: '<p>one' })
  t.equal(world.asked.filter((asked) => asked === '/one').length, 1)
})

t.test('files are named on the socket only', async (t) => {
  const world = await fillWorld(t, { flags: { control: '127.0.0.1:0' } })
  const made: unknown = (await world.control.call('POST', '/v1/tokens', { body: { kind: 'person', name: 'ana', role: 'admin' } })).body
  const secret = typeof made === 'object' && made !== null && 'secret' in made ? String(made.secret) : ''
  const path = archive(world, 'a.warc', [`${world.site}/one`])
  for (const word of [['import', path], ['export', join(world.proxy.dir, 'o.warc.gz')]]) {
    const io = await world.at(world.proxy.control, secret, ...word)
    t.match(io, { code: 1, err: /on its unix socket only/ })
  }
  t.match(await world.at(world.proxy.control, secret, 'ls'), { code: 0 })
})
