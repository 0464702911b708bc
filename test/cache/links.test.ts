// Links of a page to its own origin.
import t from 'tap'
import { sameOriginLinks } from '../../src/cache/links.ts'
import { parseUrl } from '../../src/target/target-uri.ts'
import * as fc from '../support/property.ts'
import { anyLengths, inPieces } from './entries.ts'

const page = parseUrl('https://a.test/dir/page?q')
const links = (html: string, lengths?: readonly number[], max = 100): Promise<string[]> => sameOriginLinks(page, inPieces(Buffer.from(html), lengths), max)
const a = (href: string, rest = ''): string => `<a href="${href}"${rest}>x</a>`

t.test('links are resolved as a browser does, and each comes once', async (t) => {
  t.strictSame(await links([a('/x'), a('y'), a('../z?a=1&amp;b=2#top'), a('?r'), a('https://A.test:443/x'), a('//a.test/p'), '<AREA HREF=area>', a(' /blank\n'), a('#here'), a('caf\u00e9')].join('')), [
    'https://a.test/x', 'https://a.test/dir/y', 'https://a.test/z?a=1&b=2', 'https://a.test/dir/page?r', 'https://a.test/p', 'https://a.test/dir/area', 'https://a.test/blank', 'https://a.test/dir/page?q', 'https://a.test/dir/caf%C3%A9',
  ])
})

t.test('what leads elsewhere, or nowhere, is left out', async (t) => {
  const out = ['http://a.test/', 'https://b.test/', '//b.test/', 'https://a.test:8443/', 'https://a.test.b.test/', 'mailto:x@a.test', 'javascript:alert(1)', 'data:text/html,x', 'ftp://a.test/', 'https://u:p@a.test/', 'https://', 'http://[', `/${'x'.repeat(9000)}`]
  t.strictSame(await links(out.map((href) => a(href)).join('')), [])
  t.strictSame(await links(`<link href="/l"><img src="/i"><form action="/f"></form><script>document.write('<a href="/s">')</script><!-- ${a('/c')} --><style>${a('/st')}</style><textarea>${a('/t')}</textarea><title>${a('/ti')}</title>`), [])
})

t.test('base changes what links are relative to, and not which origin is meant', async (t) => {
  t.strictSame(await links(`<base href="/other/"><base href="/second/">${a('x')}`), ['https://a.test/other/x'])
  t.strictSame(await links(`<base href="https://b.test/">${a('x')}${a('https://a.test/y')}`), ['https://a.test/y'])
  t.strictSame(await links(`<base href="http://[">${a('x')}`), ['https://a.test/dir/x'])
})

t.test('a page that does not want to be followed is not', async (t) => {
  t.strictSame(await links(a('/x', ' rel="noopener nofollow"') + a('/y', ' rel=next')), ['https://a.test/y'])
  for (const says of ['nofollow', 'noindex, NOFOLLOW', 'none']) t.strictSame(await links(`${a('/x')}<META NAME=Robots CONTENT="${says}">${a('/y')}`), [], says)
  t.strictSame(await links(`<meta name=robots content=noindex>${a('/y')}`), ['https://a.test/y'])
})

t.test('there are no more than asked for', async (t) => {
  const many = Array.from({ length: 50 }, (_, i) => a(`/${i}`)).join('')
  t.equal((await links(many, undefined, 7)).length, 7)
  t.strictSame(await links(many, undefined, 0), [])
})

t.test('what stands behind a thousand levels is not read', async (t) => {
  t.strictSame(await links(`${a('/x')}${'<div>'.repeat(1_000_000)}${a('/y')}`), ['https://a.test/x'])
  t.strictSame(await links(`${'<p>'.repeat(5000)}${'<br>'.repeat(5000)}${'<div></div>'.repeat(5000)}${a('/y')}`), ['https://a.test/y'], 'what closes by itself is no level')
})

t.test('whatever the page holds, links are of its origin and the same in whatever pieces it comes', async () => {
  const part = fc.oneof(fc.constantFrom('<a href="', '">', "'", '<base href=', '<a ', 'href=/x', '>', '</a>', '<!--', '-->', '<script>', '</script>', '&amp;', '&#x2f;', '//b.test/', 'https://a.test/', '\u00e9', '\0', '<svg>', '<![CDATA['), fc.webUrl(), fc.string({ maxLength: 10 }))
  await fc.assert(fc.asyncProperty(fc.array(part, { maxLength: 30 }), anyLengths, async (parts, lengths) => {
    const whole = await links(parts.join(''))
    const pieces = await links(parts.join(''), lengths)
    return JSON.stringify(whole) === JSON.stringify(pieces) && whole.every((url) => url.startsWith('https://a.test/'))
  }), { numRuns: 500 })
})
