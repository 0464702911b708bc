// What of a request may be answered from the cache, and what of its answer may be kept.
import t from 'tap'
import { asked } from './requests.ts'

t.test('GET and HEAD are read, and GET alone is kept', async (t) => {
  t.match(asked(), { use: 'read', mayKeep: true, hasCredentials: false })
  t.match(asked([], { method: 'HEAD' }), { use: 'read', mayKeep: false })
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'M-SEARCH', 'get']) t.match(asked([], { method }), { use: 'unsafe', mayKeep: false }, method)
  t.match(asked([], { method: 'OPTIONS' }), { use: 'none', mayKeep: false })
})

t.test('what cannot be answered from a cache goes by', async (t) => {
  for (const lines of [['Cache-Control: no-store'], ['Cache-Control: x="no-store'], ['Range: bytes=0-1, 2-3'], ['Range: bytes=0-1', 'Range: bytes=2-3'], ['Range: items=1'], ['If-Match: "a"'], ['If-Unmodified-Since: x']]) {
    t.match(asked(lines), { use: 'none', mayKeep: false }, lines.join())
  }
  t.match(asked([], { hasContent: true }), { use: 'none', mayKeep: false })
  t.match(asked([], { isChanged: true }), { use: 'none', mayKeep: false })
  t.match(asked(['Range: bytes=0-1']), { use: 'read', range: 'bytes=0-1' })
  t.match(asked(['Range: bytes=0-1'], { method: 'HEAD' }), { use: 'none' })
})

t.test('nothing is kept of a request with a credential, or that could steer its answer', async (t) => {
  for (const line of ['authorization: x', 'X-API-Key: x', 'Private-Token: x', 'x-jfrog-art-api: x']) t.match(asked([line]), { use: 'read', mayKeep: false, isAuthorized: true, hasCredentials: true }, line)
  t.match(asked(['Cookie: a=b']), { use: 'read', mayKeep: false, isAuthorized: false, hasCredentials: true })
  for (const line of ['X-Forwarded-Host: x', 'x_forwarded_proto: x', 'Forwarded: x', 'X-Original-URL: x', 'X-HTTP-Method-Override: x', 'X-Scheme: x', 'x-now-route-matches: 1']) t.match(asked([line]), { use: 'read', mayKeep: false, speaksForAll: false }, line)
})

t.test('what rules strip is not there', async (t) => {
  t.match(asked(['Cookie: a=b', 'Foo: 1'], { stripped: ['cookie'] }), { mayKeep: true, fields: ['Foo', '1'] })
})

t.test('no-cache is Pragma\'s to say only where there is no Cache-Control', async (t) => {
  t.ok(asked(['Cache-Control: No-Cache']).wantsConfirmed)
  t.ok(asked(['Pragma: no-cache']).wantsConfirmed)
  t.notOk(asked(['Pragma: no-cache', 'Cache-Control: max-age=5']).wantsConfirmed)
  t.notOk(asked(['Pragma: foo']).wantsConfirmed)
})
