import t from 'tap'
import { GlobFault, UrlGlob } from '../../src/cache/url-glob.ts'

const fits = (glob: string, ...urls: readonly string[]) => new UrlGlob(glob).fits(urls)

t.test('a glob is over the whole URL; without a scheme it begins with the host', async (t) => {
  t.strictSame(fits('docs.example', 'https://docs.example/', 'http://docs.example/a/b?c', 'https://docs.example.evil/', 'https://x.docs.example/'), [true, true, false, false])
  t.strictSame(fits('*.example', 'https://docs.example/a', 'https://a.docs.example/a', 'https://example/a'), [true, true, false])
  t.strictSame(fits('docs.example/api/**', 'https://docs.example/api/v1/x', 'https://docs.example/guide'), [true, false])
  t.strictSame(fits('https://docs.example/*', 'https://docs.example/a', 'https://docs.example/a/b', 'http://docs.example/a'), [true, false, false])
  t.strictSame(fits('**/*.pdf', 'https://docs.example/x/.hidden/y.pdf', 'https://docs.example/y.html'), [true, false])
  t.strictSame(fits('https://{a,b}.example/**', 'https://a.example/', 'https://b.example/x', 'https://c.example/'), [true, true, false])
  t.strictSame(fits('**', 'https://a.example/', 'http://b.example/?q'), [true, true])
})

t.test('a URL that is written as it is means itself, whatever it is as a glob', async (t) => {
  for (const url of ['https://a.example/x?y=1', 'https://a.example/[x]', 'https://a.example/(x)', 'https://a.example/!x*']) t.strictSame(fits(url, url), [true], url)
})

t.test('there is no negation: a list of all but one is not a glob', async (t) => {
  t.strictSame(fits('!docs.example', 'https://other.example/', 'https://docs.example/'), [false, false])
})

t.test('a glob that would hold up the proxy is given up', async (t) => {
  t.throws(() => fits('https://x.example/*-*-*-*.tgz', `https://x.example/${'-'.repeat(8000)}`), GlobFault)
  t.throws(() => new UrlGlob(''), GlobFault)
  t.throws(() => new UrlGlob('x'.repeat(513)), GlobFault)
})
