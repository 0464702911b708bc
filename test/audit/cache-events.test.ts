// What is written of a hit is what its parts say, however often it was said before.
import t from 'tap'
import { cacheHitEvent, type CacheReader } from '../../src/audit/cache-events.ts'
import { escapeText } from '../../src/audit/escape.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import { encodeEvent } from '../../src/audit/record.ts'
import { redactUrl, type Redaction } from '../../src/audit/redaction.ts'
import * as fc from '../support/property.ts'
import { anyText, redaction } from './fixture.ts'

type Hit = Parameters<typeof cacheHitEvent>[1]

/** The event as an object, part by part. */
function expected({ requestId, session, agent, place }: CacheReader, hit: Hit, how: Redaction): AuditEvent {
  const url = redactUrl(place.path, place.query, how)
  const host = place.host.slice(0, 253)
  return {
    name: 'sallyport.cache.hit',
    severity: 'INFO',
    body: escapeText(`${host}:${place.port} answered from the cache: ${hit.bytes} bytes, ${hit.ageS} s old`),
    attributes: {
      'sallyport.request.id': requestId.slice(0, 256), 'session.id': session.slice(0, 256), 'gen_ai.agent.name': agent.slice(0, 256),
      'url.scheme': place.scheme, 'server.address': host, 'server.port': place.port, 'url.path': url.path, 'url.query': url.query,
      'sallyport.cache.source': hit.source, 'sallyport.cache.age_s': hit.ageS, 'http.response.status_code': hit.status, 'http.response.body.size': hit.bytes,
    },
  }
}

const anyPlace = fc.record({
  scheme: fc.constantFrom('http' as const, 'https' as const), host: fc.oneof(fc.constantFrom('a.test', 'b.test'), anyText), port: fc.constantFrom(80, 443),
  path: fc.oneof(fc.constantFrom('/', '/a', '/b', '/ghp_0123456789abcdef01234'), anyText), query: fc.oneof(fc.constant(undefined), fc.constant('q=1'), anyText),
})
const anyReader: fc.Arbitrary<CacheReader> = fc.record({
  requestId: fc.constantFrom('01JD0000000000000000000000', '01JD0000000000000000000001'), session: fc.oneof(fc.constantFrom('s-1', 's-2'), anyText),
  agent: fc.oneof(fc.constantFrom('codex', 'claude'), anyText), owner: fc.constantFrom(undefined, 'alice', 'bob'), place: anyPlace,
})
const anyHit: fc.Arbitrary<Hit> = fc.record({ ageS: fc.nat(), source: fc.constantFrom('added' as const, 'fetched' as const, 'parent' as const), status: fc.constantFrom(200, 206, 304), bytes: fc.nat() })
const anyRedaction = fc.constantFrom<Redaction>(redaction, { ...redaction, url: 'host' }, { ...redaction, url: 'full' })

t.test('the line of a hit is the line of its parts, said once or again', async () => {
  fc.assert(fc.property(anyReader, anyHit, anyRedaction, (reader, hit, how) => {
    const line = encodeEvent(expected(reader, hit, how))
    for (const again of [reader, { ...reader }, reader]) if (encodeEvent(cacheHitEvent(again, hit, how)) !== line) return false
    return true
  }))
})

t.test('readers and pages that share a place in memory are told apart', async (t) => {
  const base: CacheReader = { requestId: 'r', session: 's', agent: 'a', owner: undefined, place: { scheme: 'http', host: 'a.test', port: 80, path: '/abcdefgh', query: undefined } }
  const hit: Hit = { ageS: 1, source: 'added', status: 200, bytes: 2 }
  const readers: CacheReader[] = [
    base, { ...base, session: 't' }, { ...base, agent: 'b' }, { ...base, requestId: 'q' }, ...[{ scheme: 'https' as const }, { host: 'b.test' }, { port: 81 }, { path: '/abcdeXgh' }, { query: 'q' }]
      .map((change) => ({ ...base, place: { ...base.place, ...change } })),
  ]
  for (const reader of [...readers, ...readers, ...readers]) t.equal(encodeEvent(cacheHitEvent(reader, hit, redaction)), encodeEvent(expected(reader, hit, redaction)))
  t.equal(encodeEvent(cacheHitEvent(base, { ...hit, source: 'fetched' }, redaction)), encodeEvent(expected(base, { ...hit, source: 'fetched' }, redaction)))
  t.match(cacheHitEvent(base, hit, redaction).attributes, { 'url.path': '/abcdefgh', 'sallyport.cache.age_s': 1 })
})
