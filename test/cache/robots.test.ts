// What robots.txt says to us, and what we do where it says nothing.
import t from 'tap'
import { readRobots } from '../../src/cache/robots.ts'
import * as fc from '../support/property.ts'

const url = 'https://a.test/robots.txt'
const page = 'https://a.test/x/y?z'

t.test('our group counts, or that of everybody', async (t) => {
  const both = 'User-agent: *\nDisallow: /\n\nUser-agent: Sallyport/2.0 # us\nDisallow: /private\nAllow: /private/open$\nCrawl-delay: 2.5\nSitemap: https://a.test/s.xml\n'
  const robots = readRobots(url, 200, both)
  t.equal(robots.isAllowed(page), true)
  t.equal(robots.isAllowed('https://a.test/private/x'), false)
  t.equal(robots.isAllowed('https://a.test/private/open'), true)
  t.equal(robots.isAllowed('https://a.test/private/open/x'), false)
  t.equal(robots.crawlDelay, 2.5)
  t.strictSame(robots.sitemaps, ['https://a.test/s.xml'])
  t.equal(readRobots(url, 200, 'User-agent: *\nDisallow: /*/y').isAllowed(page), false)
  t.equal(readRobots(url, 200, 'User-agent: other\nDisallow: /').isAllowed(page), true)
  t.equal(readRobots(url, 200, 'User-agent: other\nUser-agent: SALLYPORT\nDisallow: /').isAllowed(page), false)
  t.equal(readRobots(url, 200, '\ufeffUser-agent: *\r\nDisallow: /x\r\n').isAllowed(page), false)
  t.equal(readRobots(url, 200, '').isAllowed(page), true)
})

t.test('it speaks for its own origin alone', async (t) => {
  for (const status of [200, 404]) {
    for (const other of ['http://a.test/', 'https://b.test/', 'https://a.test:8443/', 'x', '']) t.equal(readRobots(url, status, 'User-agent: *\nAllow: /').isAllowed(other), false, other)
    t.equal(readRobots(url, status, '').isAllowed('https://a.test:443/x'), true)
  }
})

t.test('a site without one allows all, and one that cannot say allows nothing', async (t) => {
  for (const status of [400, 401, 403, 404, 410, 499]) t.equal(readRobots(url, status, 'User-agent: *\nDisallow: /').isAllowed(page), true, String(status))
  for (const status of [500, 503, 504, 599, 429, 301, 100, 0]) t.strictSame([readRobots(url, status, 'User-agent: *\nAllow: /').isAllowed(page), readRobots(url, status, '').crawlDelay], [false, undefined], String(status))
})

t.test('delays are numbers of seconds up to an hour', async (t) => {
  for (const [text, delay] of [['10', 10], ['0', 0], ['0.5', 0.5], ['99999', 3600], ['Infinity', 3600], ['-1', undefined], ['x', undefined]] as const) t.equal(readRobots(url, 200, `User-agent: *\nCrawl-delay: ${text}`).crawlDelay, delay, text)
})

t.test('rules that cost too much to be matched allow nothing, and what is behind 512 KiB is not read', async (t) => {
  const costly = `User-agent: *\n${`Disallow: /${'*a'.repeat(500)}b\n`.repeat(400)}`
  t.equal(readRobots(url, 200, costly).isAllowed(`https://a.test/${'a'.repeat(500)}`), false)
  t.equal(readRobots(url, 200, costly).isAllowed('https://a.test/'), true, 'a short URL costs little')
  const long = `User-agent: *\n${'# comment\n'.repeat(60_000)}Disallow: /\n`
  t.equal(readRobots(url, 200, long).isAllowed(page), true)
})

t.test('whatever text comes, it says yes or no', async () => {
  const line = fc.oneof(fc.constantFrom('User-agent: *', 'user-agent:sallyport', 'Disallow: /', 'Allow: /x', 'Disallow:', 'Crawl-delay: 1', 'Host: x', 'Sitemap:', '__proto__: x', 'User-agent: __proto__'), fc.string({ unit: 'binary', maxLength: 20 }))
  fc.assert(fc.property(fc.array(line, { maxLength: 10 }), fc.webUrl(), (lines, other) => {
    const robots = readRobots(url, 200, lines.join('\n'))
    return typeof robots.isAllowed(page) === 'boolean' && !robots.isAllowed(other.replace('a.test', 'b.test')) && (robots.crawlDelay ?? 0) >= 0
  }))
})
