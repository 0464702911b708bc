// Which requests may have their answers kept for others, and what of them counts.
import t from 'tap'
import { recordableFields } from '../../src/cache/recordable.ts'

t.test('fields that say what is wanted leave as they came, and those to the proxy are none of the origin\'s', async (t) => {
  const fields = ['Host', 'docs.example', 'Accept', '*/*', 'accept-language', 'de', 'Accept-Encoding', 'gzip', 'User-Agent', 'curl/8', 'Sec-Fetch-Mode', 'navigate', 'Upgrade-Insecure-Requests', '1', 'Referer', 'x', 'traceparent', '00']
  t.strictSame(recordableFields([...fields, 'Proxy-Authorization', 'Basic x', 'proxy-connection', 'close'], {}), fields)
})

t.test('what may be somebody\'s credential is none, whatever it is called', async (t) => {
  for (const name of [
    'Authorization', 'AUTHORIZATION', 'Cookie', 'cookie2', 'X-Auth-Token', 'X-Amz-Security-Token', 'X-API-Key', 'apikey', 'Api_Key', 'Private-Token', 'X-Goog-IAP-JWT-Assertion', 'X-CSRF', 'X-Session-Id', 'connect.sid', 'X-Client-Secret',
    'X-Vault-Token', 'Ocp-Apim-Subscription-Key', 'X-Password', 'Signature', 'If-None-Match', 'if-modified-since', 'If-Match', 'If-Unmodified-Since', 'If-Range', 'Range',
  ]) t.equal(recordableFields(['Host', 'docs.example', name, 'x'], {}), undefined, name)
})

t.test('what a rule sets keeps nothing, and what it strips has not left, unless it was a credential', async (t) => {
  const text = { kind: 'text', text: 'x' } as const
  const change = { rule: 'r', strip: ['accept-language', 'cookie'], set: [] }
  t.strictSame(recordableFields(['Accept-Language', 'de', 'Accept', 'x'], { fieldChanges: [change] }), ['Accept', 'x'])
  t.equal(recordableFields(['Cookie', 'a=b'], { fieldChanges: [change] }), undefined)
  t.equal(recordableFields([], { fieldChanges: [change, { rule: 's', strip: [], set: [{ name: 'X-Team', value: text }] }] }), undefined)
})

t.test('an origin whose certificate nobody judges says nothing for others', async (t) => {
  t.equal(recordableFields([], { originTrust: { insecure: true, caFiles: [] } }), undefined)
  t.strictSame(recordableFields([], { originTrust: { insecure: false, caFiles: ['roots.pem'] } }), [])
})
