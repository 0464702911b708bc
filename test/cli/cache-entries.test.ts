// `cache ls`, `show`, `rm` and `stats` as people see them, over a real control API and a real store.
import { join } from 'node:path'
import t from 'tap'
import { cacheCommand } from '../../src/cli/cache.ts'
import type { Terminal } from '../../src/cli/terminal.ts'
import { cacheWorld, type CacheWorld } from '../control/cache-world.ts'
import { nowMs } from '../control/fakes.ts'
import { answering, run, type Ran } from './control-run.ts'
import { fakeIo } from './fake-io.ts'

const clock = { now: () => nowMs, monotonic: () => performance.now() }
const noTerminal: Terminal = { isInteractive: false, ask: async () => { throw new Error('nobody is there to be asked') }, open: () => { throw new Error('no screen here') } }
const dataOf = ({ world }: CacheWorld): string => join(world.dir, 'run')

async function cache(of: CacheWorld, argv: readonly string[], terminal: Terminal = noTerminal): Promise<Ran & { readonly bytes: string }> {
  const pieces: Uint8Array[] = []
  const io = { ...fakeIo('/'), bytes: (content: Uint8Array) => { pieces.push(Uint8Array.from(content)) } }
  const code = await cacheCommand({ env: {} }, { clock, terminal }).run([...argv, '--data', dataOf(of)], io)
  return { code, out: io.stdout(), err: io.stderr(), bytes: Buffer.concat(pieces).toString() }
}

t.test('ls says how old, how large, from where, for whom', async (t) => {
  const world = await cacheWorld(t)
  t.match(await cache(world, ['ls']), { code: 0, out: 'there is nothing in the cache: `sallyport cache add URL` fetches a page\n' })
  await world.put('https://a.example/guide', 'x'.repeat(2048))
  await world.put('https://a.example/\u001b[31m', 'x', { partition: 'team:web', source: 'imported', capturedMs: nowMs - 30 * 86_400_000, pinned: true, status: 404 })
  const { out } = await cache(world, ['ls'])
  t.match(out, /^ID {2}AGE +SIZE +SOURCE +READ BY +PIN +URL\n/)
  t.match(out, /^2 +30 d +1 B +imported +team web +yes +https:\/\/a\.example\/\\x1b\[31m \(404\)$/m)
  t.match(out, /^1 +60 min +2\.0 KiB +added +everybody +https:\/\/a\.example\/guide$/m)
  t.match(await cache(world, ['ls', 'b.example']), { code: 0, out: 'nothing in the cache is like that\n' })
})

t.test('on a terminal a URL is cut in its middle, elsewhere it is whole', async (t) => {
  const world = await cacheWorld(t)
  const url = `https://a.example/${'long/'.repeat(40)}end.html`
  await world.put(url, 'x')
  t.ok((await cache(world, ['ls'])).out.includes(url))
  const { out } = await cache(world, ['ls'], { ...noTerminal, isInteractive: true, columns: 100 })
  const lines = out.trimEnd().split('\n')
  t.ok(lines.every((line) => line.length <= 100), out)
  t.match(lines[1], /https:\/\/a\.example\/long.*….*end\.html$/)
})

t.test('several globs are listed together, and --json is what the API says', async (t) => {
  const world = await cacheWorld(t)
  for (const name of ['a', 'b', 'c']) await world.put(`https://${name}.example/`, 'x')
  const { items, more } = JSON.parse((await cache(world, ['ls', 'a.example', 'b.example', '{a,b}.example', '--json'])).out)
  t.strictSame(items.map(({ url }: { url: string }) => url), ['https://b.example/', 'https://a.example/'])
  t.strictSame(Object.keys(items[0]), ['id', 'url', 'partition', 'status', 'content_type', 'bytes', 'digest', 'source', 'by', 'pinned', 'stored_at', 'captured_at', 'vary'])
  t.equal(more, false)
  t.match(await cache(world, ['ls', '-n', '2']), { code: 0, err: 'there are more: -n 20 shows them\n' })
  t.match(JSON.parse((await cache(world, ['ls', '--source', 'imported', '--json'])).out), { items: [] })
})

t.test('show names one entry by id or URL, with its fields', async (t) => {
  const world = await cacheWorld(t)
  const { id } = await world.put('https://a.example/x?y=[1]', 'hello', { fields: ['Content-Type', 'text/plain', 'X-Odd', '\u202e'], vary: [['accept-language', 'de']] })
  const { out, code } = await cache(world, ['show', 'https://a.example/x?y=[1]'])
  t.equal(code, 0)
  t.match(out, new RegExp(`^entry ${id}\n {2}url +https://a\\.example/x\\?y=\\[1\\]\n {2}status +200 OK\n {2}content +5 B, text/plain\n {2}sha-256 +2cf24dba`))
  t.match(out, /asked with +accept-language: de\n {2}fields +Content-Type: text\/plain\n +X-Odd: \\u\{202e\}\n$/)
  t.equal((await cache(world, ['show', String(id)])).out, out)
  t.match(JSON.parse((await cache(world, ['show', String(id), '--json'])).out), { id, fields: [{ name: 'Content-Type' }, { name: 'X-Odd' }] })
  t.match(await cache(world, ['show', 'https://a.example/none']), { code: 1, err: /is not in the cache/ })
  await world.put('https://a.example/x?y=[1]', 'hello', { partition: 'team:web' })
  t.match(await cache(world, ['show', 'https://a.example/x?y=[1]']), { code: 1, err: /is 2 entries; name one by its id:\n {2}2 .* for team web\n {2}1 .* for everybody/ })
})

t.test('content goes to a file as it is, and to a terminal without what would drive it', async (t) => {
  const world = await cacheWorld(t)
  const { id } = await world.put('https://a.example/', 'a\u001b[2Jb\r\nc\td\n')
  t.equal((await cache(world, ['show', String(id), '--content'])).bytes, 'a\u001b[2Jb\r\nc\td\n')
  const shown = await cache(world, ['show', String(id), '--content'], { ...noTerminal, isInteractive: true })
  t.equal(shown.bytes, '')
  t.match(shown.out, /^a\\x1b\[2Jb\nc/)
  t.notOk(shown.out.includes('\u001b'))
})

t.test('rm takes an id, a URL or a glob, and asks when there are many', async (t) => {
  const world = await cacheWorld(t)
  const { id } = await world.put('https://a.example/x?y', 'x')
  await world.put('https://a.example/xzy', 'x')
  t.match(await cache(world, ['rm', 'https://a.example/x?y']), { code: 0, out: '1 entry removed\n' }, 'a URL means itself, not what it matches as a glob')
  t.match(await cache(world, ['rm', String(id)]), { code: 1, err: /no such entry/ })
  for (let index = 0; index < 11; index++) await world.put(`https://b.example/${index}`, 'x')
  t.match(await cache(world, ['rm', 'b.example']), { code: 1, err: /11 entries are like that: --yes removes them/ })
  const no = answering('no')
  t.match(await cache(world, ['rm', 'b.example'], no), { code: 1, err: 'nothing was removed\n' })
  t.strictSame(no.asked, ['remove 11 entries? [y/N] '])
  t.equal(world.store.stats().entries, 12)
  t.match(await cache(world, ['rm', 'b.example'], answering('y')), { code: 0, out: '11 entries removed\n' })
  t.match(await cache(world, ['rm', '**', '--json']), { code: 0, out: '{"removed":1}\n' })
  t.match(await cache(world, ['rm', '**']), { code: 1, err: /nothing in the cache is like that/ })
})

t.test('stats draws how full it is, and of what', async (t) => {
  const world = await cacheWorld(t)
  t.match((await cache(world, ['stats'])).out, /^\[-{30}\] 0 B of 977 KiB \(0 %\)\n0 entries, 0 pinned/)
  await world.put('https://a.example/', 'x'.repeat(50_000))
  await world.put('https://b.example/', 'y'.repeat(90_000), { partition: 'team:web', source: 'warmed', pinned: true })
  const { out } = await cache(world, ['stats'])
  t.match(out, /^\[#{4}-{26}\] 137 KiB of 977 KiB \(14 %\)\n2 entries, 1 pinned; since the proxy started 0 evicted, 0 damaged\n\n/)
  t.match(out, /^warmed +team web +1 +88 KiB\nadded +everybody +1 +49 KiB$/m)
})

t.test('each word has its help, with examples', async (t) => {
  for (const word of ['warm', 'import', 'export', 'ls', 'show', 'rm', 'stats']) {
    const { code, out } = await run(['cache', word, '--help'])
    t.equal(code, 0)
    t.match(out, new RegExp(`^usage: sallyport cache ${word}`), word)
    t.match(out, /\nexamples:\n {2}sallyport cache /, word)
    t.ok(out.split('\n').every((line) => line.length <= 120), word)
  }
  t.match((await run(['cache', '--help'])).out, /^usage: sallyport cache add/)
  t.equal((await run(['cache', 'add', '--help'])).out, (await run(['cache', '--help'])).out)
})

t.test('wrong command lines end with 2', async (t) => {
  for (const argv of [['ls', '-n', '0'], ['ls', '--team', 'a', '--partition', 'common'], ['show'], ['show', '1', '2'], ['show', '1', '--content', '--json'], ['rm'], ['export', 'x'], ['export'], ['export', 'x.warc.gz', 'a', 'b'], ['import'], ['import', 'x', '--team', 'a', '--partition', 'b'],
    ['warm'], ['warm', 'https://a.example/', '--rate', 'fast'], ['warm', 'https://a.example/', '--rate', '0'], ['warm', 'https://a.example/', '--limit', '0'], ['warm', '/nowhere/list'], ['warm', '/nowhere', '--sitemap'], ['list']]) {
    t.equal((await run(['cache', ...argv, '--data', '/nowhere'])).code, 2, argv.join(' '))
  }
})
