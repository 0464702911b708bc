// Which URLs a reviewer is asked to look at twice: those that may carry data out, and few others.
import { createHash, randomBytes } from 'node:crypto'
import t from 'tap'
import { doubtsAbout, partsOf } from '../../src/approvals/url-look.ts'
import * as fc from '../support/property.ts'

const ordinary: readonly string[] = [
  'https://docs.example.com/',
  'https://docs.python.org/3/library/asyncio-subprocess.html#asyncio.create_subprocess_exec',
  'https://developer.mozilla.org/en-US/docs/Web/HTTP/Headers/Content-Security-Policy/require-trusted-types-for',
  'https://github.com/nodejs/node/blob/main/doc/contributing/internationalization-guidelines.md',
  'https://example.org/search?q=how+to+read+a+file&page=2&lang=en',
  'https://en.wikipedia.org/wiki/Llanfairpwllgwyngyll',
  'http://localhost:8099/page',
  'https://www.rfc-editor.org/rfc/rfc9111.html',
  'https://example.com/2026/11/21/a-post-with-a-rather-long-title-about-nothing',
]

t.test('an ordinary page of documentation raises no doubt', async (t) => {
  for (const url of ordinary) t.strictSame(doubtsAbout(url), [], url)
})

const odd: readonly (readonly [url: string, why: RegExp])[] = [
  [`https://example.com/${'a/'.repeat(120)}`, /^it is 252 characters long$/],
  ['https://example.com/?a=1&b=2&c=3&d=4&e=5&f=6&g=7&h=8&i=9&j=10&k=11&l=12', /^it has \d+ parts$/],
  [`https://example.com/?q=${Buffer.from('AWS_SECRET_ACCESS_KEY=abc').toString('base64url')}`, /looks like data/],
  [`https://example.com/${createHash('sha1').update('x').digest('hex')}`, /looks like data/],
  [`https://${Buffer.from('user 4711 is in the room').toString('hex')}.example.com/`, /looks like data/],
  ['https://example.com/?n=31415926535897932384626', /looks like data/],
  ['https://example.com/QWxhZGRpbjpvcGVuIHNlc2FtZSBhbmQgbW9yZQ', /looks like data/],
  [`https://example.com/${'%41'.repeat(13)}`, /13 of its bytes are percent-encoded/],
]

t.test('a URL that is long, in many parts, or holds what looks like data is looked at twice', async (t) => {
  for (const [url, why] of odd) t.match(doubtsAbout(url).find((doubt) => why.test(doubt)), why, url)
})

t.test('what is marked is what the doubt is about, and the pieces make the URL up', async (t) => {
  const data = randomBytes(24).toString('hex')
  const url = `https://example.com/guide?id=${data}`
  t.strictSame(partsOf(url).filter(({ isOdd }) => isOdd), [{ text: data, isOdd: true }])
  fc.assert(fc.property(fc.webUrl({ withQueryParameters: true, withFragments: false }), (any) => partsOf(any).map(({ text }) => text).join('') === any))
})

t.test('random bytes in any usual spelling are doubted', async () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 24, maxLength: 60 }), fc.constantFrom('hex', 'base64url'), (bytes, spelling) => {
    const isVaried = new Set(bytes).size > 16
    return !isVaried || doubtsAbout(`https://example.com/?q=${Buffer.from(bytes).toString(spelling).replaceAll('-', '_')}`).length > 0
  }))
})
