// What shelf `web` takes, and what of it.
import t from 'tap'
import { admit } from '../../src/cache/admission.ts'
import type { Answered, AskedFor, KeptAnswer } from '../../src/cache/admission.ts'
import { isFieldValue, isToken } from '../../src/target/field-syntax.ts'
import * as fc from '../support/property.ts'
import { noonMs } from './entries.ts'

const get: AskedFor = { method: 'GET', fields: [], isCredentialed: false }
const date = new Date(noonMs).toUTCString()

function answer(fields: readonly string[] = [], parts: Partial<Answered> = {}): Answered {
  return { status: 200, reason: 'OK', fields, askedMs: noonMs, answeredMs: noonMs, ...parts }
}

function kept(fields: readonly string[], parts: Partial<Answered> = {}, asked = get): { readonly kept: KeptAnswer } {
  const admission = admit(asked, answer(fields, parts))
  if ('refused' in admission) throw new Error(admission.refused)
  return admission
}

function refusal(fields: readonly string[], parts: Partial<Answered> = {}, asked: Partial<AskedFor> = {}): string | undefined {
  const admission = admit({ ...get, ...asked }, answer(fields, parts))
  return 'refused' in admission ? admission.refused : undefined
}

t.test('an answer is kept with its fields as they were, and the Date it came with', async (t) => {
  const fields = ['Date', date, 'content-type', 'text/html', 'X-A', '', 'x-b', 'caf\xe9', 'X-A', 'again']
  t.strictSame(kept(fields).kept, { head: { status: 200, reason: 'OK', fields, vary: [], storedMs: noonMs, initialAgeMs: 0 }, codings: [], contentLength: undefined })
  t.strictSame(kept([]).kept.head.fields, ['Date', date], 'a Date that is missing is when it came')
})

t.test('statuses that say something about the page are kept, and no others', async (t) => {
  const taken: number[] = []
  for (let status = 100; status < 600; status++) if (refusal([], { status }) === undefined) taken.push(status)
  t.strictSame(taken, [200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 451])
})

t.test('what its origin calls private or not to be stored is refused, however it is written', async (t) => {
  for (const value of ['private', 'Private', 'no-store', 'NO-STORE', 'public, no-store', 'max-age=60,private', 'private="x"', 'max-age=60 , No-Store', 'x="a, b", private', 'private=x', 'no-store="a"']) {
    t.match(refusal(['Cache-Control', value]), /Cache-Control/, value)
    t.ok('kept' in admit(get, answer(['Cache-Control', value]), 'import'), `${value} in an archive`)
  }
  t.match(refusal(['Cache-Control', 'public', 'cache-control', 'no-store']), /Cache-Control/)
  t.match(refusal([], {}, { fields: ['Cache-Control', 'no-store'] }), /Cache-Control/)
  for (const value of ['no-cache', 'max-age=0', 'x="private"', 'x="no-store, private"', 'must-revalidate', '', ',,', 'privately']) t.equal(refusal(['Cache-Control', value]), undefined, value)
})

t.test('what was asked for with a credential is refused, even if it is public', async (t) => {
  for (const name of ['Authorization', 'authorization', 'Cookie', 'cookie2', 'PROXY-AUTHORIZATION', 'Range', 'If-Range']) t.match(refusal(['Cache-Control', 'public, max-age=60'], {}, { fields: [name, 'x'] }), /asked for with/, name)
  t.match(refusal(['Cache-Control', 'public'], {}, { isCredentialed: true }), /credential/)
  for (const method of ['HEAD', 'POST', 'get', 'OPTIONS']) t.match(refusal([], {}, { method }), /only answers to GET/, method)
  t.ok('refused' in admit({ ...get, isCredentialed: true }, answer(), 'import'), 'an import is held to it as well')
})

t.test('an answer that depends on more than its language and type is refused', async (t) => {
  for (const value of ['*', 'Cookie', 'accept, *', 'Origin', 'User-Agent', 'Accept-Language, Cookie', '"accept"', 'x y']) t.match(refusal(['Vary', value]), /depends on more/, value)
  t.match(refusal(['Vary', 'Accept', 'vary', 'Origin']), /depends on more/)
  const fields = ['ACCEPT', 'text/html', 'Accept', 'a/b', 'accept-encoding', 'br']
  t.strictSame(kept(['Vary', 'accept , Accept-Language,Accept-Encoding,,ACCEPT'], {}, { ...get, fields }).kept.head.vary, [['accept', 'text/html, a/b'], ['accept-language', null]])
})

t.test('parts and lengths that are not plain are refused', async (t) => {
  t.match(refusal(['Content-Range', 'bytes 0-1/2']), /Content-Range/)
  for (const value of ['', '-1', '+1', '1.5', '0x10', '1, 1', '1 2', '9'.repeat(16), 'x']) t.match(refusal(['Content-Length', value]), /Content-Length/, value)
  t.match(refusal(['Content-Length', '5', 'content-length', '5']), /Content-Length/)
  t.match(refusal(['Content-Length', '5', 'Transfer-Encoding', 'chunked']), /Content-Length/)
  t.equal(kept(['Content-Length', '12']).kept.contentLength, 12)
})

t.test('codings that are known are undone, others refused', async (t) => {
  t.strictSame(kept(['Content-Encoding', 'GZIP, br', 'content-encoding', 'identity']).kept.codings, ['gzip', 'br'])
  for (const value of ['compress', 'gzip, br, zstd', 'dcb', 'gzip;q=1', 'x']) t.match(refusal(['Content-Encoding', value]), /Content-Encoding/, value)
  const coded = kept(['Content-Encoding', 'gzip', 'ETag', '"a"', 'Content-MD5', 'x', 'Repr-Digest', 'x', 'Content-Digest', 'x', 'Digest', 'x', 'Date', date])
  t.strictSame(coded.kept.head.fields, ['ETag', 'W/"a"', 'Date', date])
  t.strictSame(kept(['ETag', '"a"', 'Repr-Digest', 'x', 'Date', date]).kept.head.fields, ['ETag', '"a"', 'Repr-Digest', 'x', 'Date', date])
})

t.test('fields that are not valid, and too many of them, refuse the answer', async (t) => {
  for (const [name, value] of [['', 'x'], ['a b', 'x'], ['a:', 'x'], ['a\r\nSet-Cookie', 'x'], ['a', 'x\r\ny'], ['a', '\0'], ['a', '\x7f'], ['a', '\u0100']] as const) t.match(refusal([name, value]), /not valid/, JSON.stringify([name, value]))
  t.match(refusal(['a']), /not whole/)
  t.match(refusal(['a', 'x'.repeat(70_000)]), /larger/)
  t.match(refusal([], { reason: 'a\r\nb' }), /reason phrase/)
})

t.test('what outlives the page, and what belongs to the exchange, stays behind', async (t) => {
  const gone = [
    'Set-Cookie', 'Set-Cookie2', 'Alt-Svc', 'Strict-Transport-Security', 'Clear-Site-Data', 'NEL', 'Report-To', 'Reporting-Endpoints', 'Public-Key-Pins', 'Expect-CT', 'Server-Timing', 'Accept-CH', 'Critical-CH',
    'Service-Worker-Allowed', 'Connection', 'Keep-Alive', 'TE', 'Trailer', 'Upgrade', 'Proxy-Authenticate', 'Proxy-Status', 'Proxy-Anything', 'Via', 'Age', 'X-Cache', 'X-Cache-Hits', 'Cache-Status', 'Warning', 'Memento-Datetime', 'X-Proxy-Error', 'Speculation-Rules',
  ]
  const fields = [...gone.flatMap((name) => [name, '1', name.toLowerCase(), '2']), 'Date', date]
  t.strictSame(kept(fields).kept.head.fields, ['Date', date])
  t.strictSame(kept(['Connection', 'X-Mine, close', 'x-mine', 'x', 'Y', 'y', 'Date', date]).kept.head.fields, ['Y', 'y', 'Date', date])
})

t.test('links that have their reader fetch or connect stay behind, others do not', async (t) => {
  for (const [value, left] of [
    ['<https://b.test>; rel=preconnect', undefined], ['<a.css>; rel="preload"; as=style', undefined], ['<a>;REL=Prefetch', undefined], ['<a>; rel="next dns-prefetch"', undefined], ['<a>', undefined], ['a; rel=next', undefined], ['<a; rel=next', undefined],
    ['<a>; rel=next', '<a>; rel=next'], ['<a,b>; rel="next"; title="x, y", <c>; rel=preload, <d>; rel=prev', '<a,b>; rel="next"; title="x, y", <d>; rel=prev'], ['<a;rel=next>; rel=modulepreload', undefined],
  ] as const) t.strictSame(kept(['Link', value, 'Date', date]).kept.head.fields, left === undefined ? ['Date', date] : ['Link', left, 'Date', date], value)
})

t.test('its age on arrival is the larger of what Date and Age say, and of an archive the time since', async (t) => {
  const ago = (ms: number): string => new Date(noonMs - ms).toUTCString()
  for (const [fields, parts, age] of [
    [['Date', date], {}, 0], [['Date', ago(5000)], {}, 5000], [['Date', ago(-5000)], {}, 0], [['Date', ago(5000), 'Age', '7'], {}, 7000], [['Age', '7'], { askedMs: noonMs - 300 }, 7300], [['Age', '-7'], {}, 0], [['Age', 'x'], {}, 0], [['Age', '9'.repeat(15)], {}, 2 ** 31 * 1000],
    [['Date', 'never'], {}, 0], [['Date', date, 'Date', date], {}, 0], [['Date', ago(86_400_000)], { capturedMs: noonMs - 86_400_000 }, 86_400_000], [['Date', ago(86_401_000)], { capturedMs: noonMs - 86_400_000 }, 86_401_000], [[], { capturedMs: noonMs + 5000 }, 0],
  ] as const) t.equal(kept(fields, parts).kept.head.initialAgeMs, age, fields.join(' '))
  t.strictSame(kept([], { capturedMs: 0 }).kept.head.fields, ['Date', 'Thu, 01 Jan 1970 00:00:00 GMT'])
})

t.test('whatever comes, what is kept is valid and holds none of what stays behind', async (t) => {
  const name = fc.oneof(fc.constantFrom('Set-Cookie', 'set-cookie', 'Vary', 'Cache-Control', 'Connection', 'Link', 'Content-Encoding', 'Content-Length', 'Age', 'Date', 'ETag', '__proto__', 'constructor'), fc.string({ maxLength: 12 }))
  const value = fc.oneof(fc.constantFrom('private', 'no-store', 'x-a', 'set-cookie', 'gzip', '<a>; rel=next', '*', '0'), fc.string({ unit: 'binary', maxLength: 30 }))
  fc.assert(fc.property(fc.array(fc.tuple(name, value), { maxLength: 8 }), fc.integer({ min: 0, max: 700 }), fc.constantFrom('answer', 'import'), (pairs, status, mode) => {
    const admission = admit(get, answer(pairs.flat(), { status }), mode === 'import' ? 'import' : 'answer')
    if ('refused' in admission) return admission.refused.length > 0 && !/[^\x20-\x7e]/.test(admission.refused)
    const { fields } = admission.kept.head
    for (let i = 0; i < fields.length; i += 2) if (!isToken(fields[i] ?? '') || !isFieldValue(fields[i + 1] ?? '\0') || /^(?:set-cookie|connection|age|content-(?:length|encoding))$/i.test(fields[i] ?? '')) return false
    return fields.length % 2 === 0
  }), { numRuns: 2000 })
  t.pass('held')
})
