// What is kept and what never is; beside http-cache-semantics, which may keep more and never less strictly.
import CachePolicy from 'http-cache-semantics'
import t from 'tap'
import { isSameContent, keptHead, namedByAnswer, refreshedHead, withoutOwnVia } from '../../../src/cache/live/keeping.ts'
import { lifetimeMs } from '../../../src/cache/live/freshness.ts'
import * as fc from '../../support/property.ts'
import { answer, asked, date, flat, head, kept, nowMs } from './requests.ts'

const times = { requestMs: nowMs, responseMs: nowMs }

t.test('what is fresh for a while, or can be confirmed, is kept', async (t) => {
  for (const [lines, status] of [
    [['Cache-Control: max-age=5'], 200], [['Cache-Control: s-maxage=5, max-age=0'], 200], [[`Expires: ${date(5)}`], 200], [[`Last-Modified: ${date(-100)}`], 200], [['ETag: "a"'], 200],
    [['Cache-Control: no-cache', 'ETag: "a"'], 200], [['Cache-Control: max-age=5'], 299], [['Cache-Control: max-age=5'], 302], [['Cache-Control: max-age=5'], 500], [['Cache-Control: max-age=5'], 204],
    [['Cache-Control: max-age=0, stale-if-error=5'], 200], [['Cache-Control: max-age=5, must-understand'], 307],
  ] as const) t.ok(kept(lines, asked(), status), `${status} ${lines.join()}`)
})

t.test('what is private, cookied, a part, unclear or good for nothing is not', async (t) => {
  const fresh = 'Cache-Control: max-age=5'
  for (const [lines, status] of [
    [[], 200], [['Cache-Control: max-age=0'], 200], [['Cache-Control: no-store, max-age=5'], 200], [['Cache-Control: private, max-age=5'], 200], [['Cache-Control: private="x", max-age=5'], 200],
    [['Cache-Control: max-age=5, x="'], 200], [[fresh, 'Set-Cookie: a=b'], 200], [[fresh, 'Set-Cookie2: a=b'], 200], [[fresh, 'Vary: *'], 200], [[fresh, 'Age: x'], 200], [[fresh], 206], [[fresh], 304], [[fresh], 401], [[fresh], 407],
    [[fresh], 416], [['ETag: "a"'], 403], [['Cache-Control: max-age=0', 'ETag: "a"'], 500], [['Cache-Control: max-age=5, must-understand'], 599], [[`Last-Modified: ${date(-100)}`], 302],
  ] as const) t.notOk(kept(lines, asked(), status), `${status} ${lines.join()}`)
  t.notOk(kept([fresh, 'Age: 5', `Expires: ${date(50)}`]), 'stale when it comes')
  t.notOk(kept(['Cache-Control: max-age=5, public'], asked(['Authorization: x'])))
  t.notOk(kept(['Cache-Control: max-age=5'], asked(['Cookie: a=b'])))
  t.notOk(kept(['Cache-Control: max-age=5'], asked(['X-Forwarded-Host: x'])))
})

t.test('fields of a hop, and those made anew, are not kept; a date is put in where there is none', async (t) => {
  t.same(kept(['Cache-Control: max-age=5', 'Age: 2', 'Content-Length: 5', 'Alt-Svc: x', 'A: 1', 'Cache-Status: x; hit'])?.fields, flat('Cache-Control: max-age=5', 'A: 1', `Date: ${date()}`))
  t.equal(kept(['Cache-Control: max-age=5', 'Age: 2'])?.initialAgeMs, 2000)
  t.same(kept(['Cache-Control: max-age=5', 'Vary: Foo'], asked(['foo: 1']))?.vary, [['foo', '1']])
  t.same(kept(['Cache-Control: max-age=5'], asked([], { originRoots: ['a.pem'] }))?.vary, [[':origin-ca', 'a.pem']])
})

t.test('a 304 brings fields up to date and leaves content as it is', async (t) => {
  const old = head(['Cache-Control: max-age=1', 'ETag: "a"', 'Content-Encoding: gzip', 'A: 1', 'B: 1', `Date: ${date(-500)}`])
  const told = flat('Cache-Control: max-age=9', 'ETag: "b"', 'Content-Encoding: br', 'a: 2', 'a: 3', 'Set-Cookie: x=y', 'Content-Length: 3')
  const fresh = refreshedHead(old, asked(), told, times)
  t.same(fresh?.fields, flat('ETag: "a"', 'Content-Encoding: gzip', 'B: 1', 'Cache-Control: max-age=9', 'a: 2', 'a: 3', `Date: ${date()}`))
  t.match(fresh, { initialAgeMs: 0, storedMs: nowMs, status: 200 })
  t.equal(refreshedHead(old, asked(), flat('Cache-Control: no-store'), times), undefined)
  t.equal(refreshedHead(old, asked(), flat('Vary: *'), times), undefined)
})

t.test('a HEAD is about the same content when length, tag and date agree', async (t) => {
  const old = head(['ETag: "a"', `Last-Modified: ${date(-5)}`])
  t.ok(isSameContent(old, 5, []))
  t.ok(isSameContent(old, 5, flat('Content-Length: 5', 'ETag: "a"', `Last-Modified: ${date(-5)}`)))
  for (const line of ['Content-Length: 6', 'ETag: "b"', `Last-Modified: ${date()}`]) t.notOk(isSameContent(old, 5, flat(line)), line)
})

t.test('our own hop is taken out of Via, and no other', async (t) => {
  t.same(withoutOwnVia(flat('Via: 1.1 a', 'B: 1', 'Via: 2.0 us'), 'us'), flat('Via: 1.1 a', 'B: 1'))
  t.same(withoutOwnVia(flat('Via: 1.1 a, 1.1 us (x)'), 'us'), flat('Via: 1.1 a'))
  t.same(namedByAnswer(flat('Location: /a', 'content-location: /b', 'Refresh: /c')), ['/a', '/b'])
})

const directive = fc.constantFrom('max-age=5', 'max-age=0', 's-maxage=7', 'public', 'private', 'no-store', 'no-cache', 'must-revalidate', 'foo')
const line = fc.constantFrom(`Expires: ${date(60)}`, 'Expires: 0', `Last-Modified: ${date(-1000)}`, 'ETag: "a"', 'Set-Cookie: a=b', 'Age: 3', 'Vary: Foo', 'Vary: *', 'Pragma: no-cache')
/** those it knows, and those that are never kept */
const status = fc.constantFrom(200, 203, 204, 206, 300, 301, 302, 304, 307, 308, 401, 404, 405, 410, 414, 416, 501)
const request = fc.constantFrom<readonly string[]>([], ['Authorization: x'], ['Cookie: a=b'], ['Cache-Control: no-store'], ['Foo: 1'])

t.test('what is kept is what http-cache-semantics would keep, and for no longer', async (t) => {
  class Standing extends CachePolicy {
    now(): number {
      return nowMs
    }
  }
  let compared = 0
  fc.assert(fc.property(fc.uniqueArray(directive, { maxLength: 3 }), fc.uniqueArray(line, { maxLength: 4, selector: (text) => text.split(':')[0] ?? '' }), status, request, (directives, lines, code, asks) => {
    const all = directives.length === 0 ? lines : [`Cache-Control: ${directives.join(', ')}`, ...lines]
    const ours = keptHead(asked(asks), answer([`Date: ${date()}`, ...all], code), times)
    if (ours === undefined) return true
    compared += 1
    const objectOf = (texts: readonly string[]) => Object.fromEntries(texts.map((text) => [text.slice(0, text.indexOf(':')).toLowerCase(), text.slice(text.indexOf(':') + 2)]))
    const theirs = new Standing({ url: '/', method: 'GET', headers: objectOf(asks) }, { status: code, headers: objectOf([`Date: ${date()}`, ...all]) }, { shared: true })
    // it reads what it is given once, when it is made
    return theirs.storable() && (directives.includes('no-cache') || all.includes('Pragma: no-cache') || lifetimeMs(ours) <= theirs.maxAge() * 1000)
  }), { numRuns: 2_000 })
  t.ok(compared > 50)
})
