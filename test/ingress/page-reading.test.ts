// Pages as text and Markdown: what stands in them, and nothing that acts where it is shown.
import t from 'tap'
import { pageText } from '../../src/ingress/page-charset.ts'
import type { PageJob } from '../../src/ingress/page-job.ts'
import { readPage } from '../../src/ingress/page-reading.ts'
import * as fc from '../support/property.ts'

const url = 'https://docs.test/guide/page'

function read(html: string, format: PageJob['format'] = 'markdown', more: Partial<PageJob> = {}): string {
  return readPage({ id: 1, bytes: Buffer.from(html), contentType: 'text/html; charset=utf-8', url, format, ageS: undefined, ...more })
}

/** Without what stands before it. */
function body(html: string, format: PageJob['format'] = 'markdown'): string {
  const whole = read(html, format)
  return whole.slice(whole.indexOf(format === 'text' ? '\n\n' : '---\n\n') + (format === 'text' ? 2 : 5)).trim()
}

t.test('title, URL and age come first', async (t) => {
  t.equal(read('<title> A\n  *title* </title><p>words', 'text', { ageS: 90_000 }), 'A *title*\nURL: https://docs.test/guide/page\nFrom the cache, 25 h old\n\nwords\n')
  t.equal(read('<title>A *title*</title><p>words'), '# A \\*title\\*\n\nURL: https://docs.test/guide/page\n\n---\n\nwords\n')
  t.match(read('<p>x', 'text', { ageS: 5 }), 'From the cache, 5 s old')
  t.match(read('<p>x', 'text', { ageS: 600 }), 'From the cache, 10 min old')
  t.match(read('<p>x', 'text', { ageS: 1e6 }), 'From the cache, 11 days old')
})

t.test('blocks, lists, code, tables and links are written as Markdown', async (t) => {
  t.equal(body('<h2>One</h2><p>a <b>b</b> <i>c</i> <code>d</code><br>e</p><hr><p>f'), '## One\n\na **b** _c_ `d`\ne\n\n---\n\nf')
  t.equal(body('<p>before<ul><li>a<li>b<ol><li>c<li>d</ol></ul><p>after'), 'before\n\n- a\n- b\n  1. c\n  2. d\n\nafter')
  t.equal(body('<blockquote><p>a<p>b</blockquote>c'), '> a\n\n> b\n\nc')
  t.equal(body('<pre><code>a\n  b &lt;c&gt;\n```\n</code></pre>'), '````\na\n  b <c>\n```\n````')
  t.equal(body('<table><tr><th>a<th>b<tr><td>1<td><p>2</p></table>'), 'a | b\n--- | ---\n1 | 2')
  t.equal(body('<p><a href="../x(1)?a=b&amp;c">link</a> <a href="#part">here</a>'), '[link](https://docs.test/x%281%29?a=b&c) here')
  t.equal(body('<base href="https://other.test/dir/"><p><a href="x">link</a>'), '[link](https://other.test/dir/x)')
  t.equal(body('<p>- no list<p># no heading<p>1. no item<p>a*b* [c](d) snake_case _e_'), '\\- no list\n\n\\# no heading\n\n\\1. no item\n\na\\*b\\* \\[c\\](d) snake_case \\_e\\_')
})

t.test('text is the words alone', async (t) => {
  t.equal(body('<h2>One</h2><p>a <b>b</b> <a href="/x">c</a> *d*<ul><li>e<li>f</ul><pre>g\n  h</pre>', 'text'), 'One\n\na b c *d*\n\n- e\n- f\n\ng\n  h')
})

t.test('nothing acts where it is shown', async (t) => {
  const hostile = `<script>evil1()</script><style>evil2</style><noscript>evil3</noscript><iframe srcdoc="evil4"></iframe><svg><text>evil5</text></svg><template>evil6</template>
    <p hidden>evil7</p><p style="color:red; display : none">evil8</p><p aria-hidden="true">evil9</p><input value="evil10"><!-- evil11 -->
    <p><a href="javascript:evil12()">a</a> <a href="JaVa&#10;script:evil13()">b</a> <a href="data:text/html,evil14">c</a> <a href="vbscript:evil15">d</a> <a href="file:///evil16">e</a>
    <img src="https://evil17.test/?q" alt="f" onerror="evil18()"> &#27;]0;g&#7; &#x9b;h \u001b[31mi`
  for (const format of ['text', 'markdown'] as const) {
    const written = body(hostile, format)
    t.notMatch(written, /evil/, format)
    t.notMatch(written, /(?!\n)\p{Cc}/u)
    for (const word of 'abcdef') t.match(written, word)
  }
})

t.test('a main part is found where one stands out', async (t) => {
  const words = 'Words that make up a paragraph of some length, with a comma or two, as they do. '.repeat(5)
  const page = `<html><head><title>T</title></head><body><nav>Menu</nav><div class="sidebar">Buy</div><article>${`<p>${words}</p>`.repeat(4)}</article><footer>Imprint</footer></body></html>`
  t.notMatch(body(page), /Menu|Buy|Imprint/)
  t.match(body('<html><body><nav>Menu</nav><p>short</body></html>'), 'short')
})

t.test('what is deep, long or endless is written in time, cut, or refused', async (t) => {
  t.match(body(`${'<div>'.repeat(3_000)}deep`), 'deep')
  t.match(body(`${'<ul><li>'.repeat(500)}deep`), 'deep')
  t.match(body('<a href="/x"><b><i>'.repeat(3_000)), '')
  t.throws(() => read('<b>'.repeat(400_000)), { message: /more than 300000 tags/ })
  t.throws(() => read('&amp;'.repeat(400_000)), { message: /character references/ })
  const long = body(`<base href="https://docs.test/${'x'.repeat(4_000)}/">${'<a href="y">z</a>'.repeat(3_000)}`)
  t.match(long, /\[cut off here: the page is longer\]$/)
  t.ok(long.length < 5_000_000)
})

t.test('any bytes at all give text without control characters', async () => {
  const piece = fc.oneof(fc.constantFrom('<p>', '</p>', '<a href=', '<table><tr><td>', '</table>', '<ul><li>', '</ul>', '<pre>', '</pre>', '<blockquote>', '<b>', '</i>', '<!--', '-->', '<![CDATA[', '<script>', '</script>', '&#', '&#0;', '&#x1b;', '<h1>', '<br>', '\u0000', '<html>', '<body>', '<title>', '<base href=x>', '<select><option>', '<svg>', '<template>'), fc.string({ maxLength: 8 }))
  fc.assert(fc.property(fc.array(piece, { maxLength: 30 }), fc.constantFrom('text' as const, 'markdown' as const), (pieces, format) => {
    const written = read(pieces.join(''), format)
    return written.includes(`URL: ${url}`) && !/(?![\n\t])\p{Cc}/u.test(written)
  }))
})

t.test('the charset is that of the mark, the field, the page, or UTF-8 where it can be', async (t) => {
  const latin = Buffer.from('caf\u00e9', 'latin1')
  t.equal(pageText(latin, 'text/html; charset=ISO-8859-1'), 'caf\u00e9')
  t.equal(pageText(latin, 'text/html'), 'caf\u00e9')
  t.equal(pageText(Buffer.from('caf\u00e9'), 'text/html'), 'caf\u00e9')
  t.equal(pageText(Buffer.from('\ufeffcaf\u00e9'), 'text/html; charset=latin1'), 'caf\u00e9')
  t.equal(pageText(Buffer.from('\ufeffcaf\u00e9', 'utf16le'), ''), 'caf\u00e9')
  t.equal(pageText(Buffer.from('<meta charset="utf-16"><p>caf\u00e9'), ''), '<meta charset="utf-16"><p>caf\u00e9')
  t.match(pageText(Buffer.concat([Buffer.from('<meta http-equiv=x content="text/html; charset=koi8-r">'), Buffer.from([0xc1])]), ''), '\u0430')
  t.match(pageText(Buffer.concat([Buffer.from('<meta charset=no-such>'), latin]), 'text/html; charset=nor-this'), 'caf\u00e9')
})
