// Lists of URLs: what is in them comes out once and as the cache writes it, and what is none is counted.
import t from 'tap'
import { listLimits, readSitemap, readUrlList } from '../../src/cache/sitemap.ts'
import type { UrlList } from '../../src/cache/sitemap.ts'
import * as fc from '../support/property.ts'
import { anyLengths, inPieces } from './entries.ts'

const head = '<?xml version="1.0" encoding="UTF-8"?>\n'
const empty: UrlList = { pages: [], sitemaps: [], faults: [], faultCount: 0, isCut: false }
const sitemap = (text: string, lengths?: readonly number[], limits = listLimits): Promise<UrlList> => readSitemap(inPieces(Buffer.from(text), lengths), limits)
const list = (text: string, lengths?: readonly number[], limits = listLimits): Promise<UrlList> => readUrlList(inPieces(Buffer.from(text), lengths), limits)
const urlset = (...urls: readonly string[]): string => `${head}<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">${urls.map((url) => `<url><loc>${url}</loc><priority>1</priority></url>`).join('\n')}</urlset>`

t.test('a sitemap gives its pages, an index its sitemaps', async (t) => {
  t.strictSame(await sitemap(urlset('http://a.test/', ' \n https://A.test:443/x?a=1&amp;b=%C3%A9#top ', 'http://a.test:80', '<![CDATA[http://a.test/c?d&e]]>')), { ...empty, pages: ['http://a.test/', 'https://a.test/x?a=1&b=%C3%A9', 'http://a.test/c?d&e'] })
  t.strictSame(await sitemap(`${head}<sitemapindex><sitemap><loc>http://a.test/1.xml.gz</loc><lastmod>2026</lastmod></sitemap><sitemap><loc>http://a.test/2.xml</loc></sitemap></sitemapindex>`), { ...empty, sitemaps: ['http://a.test/1.xml.gz', 'http://a.test/2.xml'] })
  t.strictSame(await sitemap('\ufeff<urlset/>'), empty)
})

t.test('only the loc of a url is a page', async (t) => {
  t.strictSame(await sitemap('<urlset><url><image:image><image:loc>http://i.test/</image:loc><loc>http://deep.test/</loc></image:image><xhtml:link href="http://l.test/"/><loc>http://a.test/</loc></url><loc>http://out.test/</loc><sitemap><loc>http://s.test/</loc></sitemap><!-- <url><loc>http://c.test/</loc></url> --></urlset>'), { ...empty, pages: ['http://a.test/'] })
})

t.test('what is no http or https URL is counted and told, and the rest is read', async (t) => {
  const read = await sitemap(urlset('http://a.test/', 'ftp://a.test/', 'javascript:alert(1)', 'http://u:p@a.test/', '/relative', '', `http://a.test/${'x'.repeat(9000)}`, 'http://127.1/', 'http://a.test/é'))
  t.strictSame(read.pages, ['http://a.test/'])
  t.equal(read.faultCount, 8)
  t.match(read.faults, [/ftp/, /absolute|target/, /userinfo/])
  t.equal((await sitemap(urlset(...Array.from({ length: 100 }, () => 'x')))).faults.length, 20)
})

t.test('entities are not expanded and nothing outside is read', async (t) => {
  const bomb = `${head}<!DOCTYPE urlset [<!ENTITY a "http://a.test/"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY x SYSTEM "file:///etc/passwd">]><urlset><url><loc>&b;</loc></url><url><loc>&x;</loc></url></urlset>`
  const read = await sitemap(bomb)
  t.strictSame([read.pages, read.faultCount], [[], 2])
  t.strictSame((await sitemap(urlset('http://a.test/&#x41;&#66;&lt;'))).pages, ['http://a.test/AB<'])
})

t.test('what is no sitemap is refused, and so is one that is too large', async (t) => {
  for (const text of ['', 'hello', '<html><body><loc>http://a.test/</loc></body></html>', '{"a":1}', '<rss/>', '\0\0\0']) await t.rejects(sitemap(text), { code: 'cache_failed', detail: /not a sitemap/ }, JSON.stringify(text))
  await t.rejects(sitemap(urlset('http://a.test/'), undefined, { maxUrls: 10, maxBytes: 50 }), { code: 'cache_failed', detail: /larger than 50 bytes/ })
  const cut = await sitemap(urlset(...Array.from({ length: 12 }, (_, i) => `http://a.test/${i % 11}`)), undefined, { ...listLimits, maxUrls: 10 })
  t.strictSame([cut.pages.length, cut.isCut], [10, true])
})

t.test('a sitemap of deep, open or endless elements ends in bounded memory', async (t) => {
  await t.rejects(sitemap(`<urlset>${'<url>'.repeat(1_000_000)}<loc>http://a.test/</loc>`), { code: 'cache_failed', detail: /within each other/ })
  t.strictSame((await sitemap(`<urlset><url><loc>${'x'.repeat(3_000_000)}</loc></url><url><loc>http://a.test/</loc></url></urlset>`, [65_536])).pages, ['http://a.test/'])
})

t.test('a list is one URL a line, with comments', async (t) => {
  t.strictSame(await list('# pages\nhttp://a.test/ # home\r\n\r\n  https://b.test/x#y\t\nhttp://a.test\n#http://c.test/\nhttp://d.test/a#b'), { ...empty, pages: ['http://a.test/', 'https://b.test/x', 'http://d.test/a'] })
  const read = await list('http://a.test/\nb.test\nhttp://a b.test/\n\nftp://x/')
  t.strictSame([read.pages, read.faultCount, read.faults.map((fault) => fault.slice(0, 8))], [['http://a.test/'], 3, ['line 2: ', 'line 3: ', 'line 5: ']])
  t.strictSame((await list(`${'x'.repeat(300_000)}\nhttp://a.test/`, [4096])).pages, ['http://a.test/'])
  t.strictSame(await list('\ufeffhttp://a.test/'), { ...empty, pages: ['http://a.test/'] })
  await t.rejects(list('http://a.test/\n'.repeat(100), undefined, { maxUrls: 10, maxBytes: 99 }), { code: 'cache_failed' })
})

t.test('the same comes out in whatever pieces it comes', async () => {
  const url = fc.oneof(fc.webUrl({ withQueryParameters: true, withFragments: true }), fc.constantFrom('x', 'http://é.test/', '', 'http://a.test/'))
  const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  await fc.assert(fc.asyncProperty(fc.array(url, { maxLength: 10 }), anyLengths, async (urls, lengths) => {
    const whole = await sitemap(urlset(...urls.map(escaped)))
    const pieces = await sitemap(urlset(...urls.map(escaped)), lengths)
    const lines = await list(urls.join('\n'), lengths)
    return JSON.stringify(whole) === JSON.stringify(pieces) && JSON.stringify(lines.pages) === JSON.stringify(whole.pages)
  }), { numRuns: 200 })
})

t.test('whatever text comes, a list or a fault of ours comes out', async () => {
  const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 200 }), fc.array(fc.constantFrom('<urlset>', '<url>', '<loc>', '</loc>', '</url>', 'http://a.test/', '<![CDATA[', ']]>', '<!--', '&', ';', '#', '\n', '<?', '<!DOCTYPE', '"', '/>'), { maxLength: 30 }).map((parts) => parts.join('')))
  await fc.assert(fc.asyncProperty(text, async (from) => {
    await list(from)
    return sitemap(from).then(({ pages }) => pages.every((page) => page.startsWith('http')), (error: unknown) => error instanceof Error && error.name === 'ProxyError')
  }), { numRuns: 1000 })
})
