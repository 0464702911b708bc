// Ways to put into the shared cache what others of the team would not have got: fields that only the sender has, and
// answers to one request that are taken for answers to another.
import type http from 'node:http'
import t from 'tap'
import { startCached, ways } from '../support/cached-world.ts'

/** Answers in the language that it was asked for, and names the host that it believes to be. */
const answers: http.RequestListener = ({ method, headers }, response) => {
  const host = headers['x-forwarded-host']
  response.writeHead(200, { 'Cache-Control': 'max-age=600', Vary: 'Accept-Language', ETag: '"1"', 'Content-Length': '4', Link: `<http://${String(host ?? 'good.test')}/>` })
  response.end(method === 'HEAD' ? undefined : (headers['accept-language'] ?? 'none'))
}

for (const way of ways) {
  t.test(`a HEAD that steers its origin changes nothing of what is kept: ${way}`, async (t) => {
    const world = await startCached(t, way, answers)
    const client = await world.client()
    await client.ask('/')
    const steered = await (await world.client()).ask('/', { method: 'HEAD', fields: { 'X-Forwarded-Host': 'evil.test', 'Cache-Control': 'no-cache' } })
    t.equal(steered.fields.get('link'), '<http://evil.test/>')
    const kept = await client.ask('/')
    t.match(kept.fields.get('cache-status'), /^sallyport; hit/)
    t.equal(kept.fields.get('link'), '<http://good.test/>')
    // one that does not steer does
    await client.ask('/', { method: 'HEAD', fields: { 'Cache-Control': 'no-cache' } })
    t.match((await client.ask('/')).fields.get('cache-status'), /^sallyport; hit/)
  })

  // HTTP/2 has no Connection
  if (way !== 'http2') t.test(`what Connection takes from a request has chosen no answer: ${way}`, async (t) => {
    const world = await startCached(t, way, answers)
    const client = await world.client()
    t.equal((await client.ask('/', { fields: { 'Accept-Language': 'frfr', Connection: 'keep-alive, accept-language' } })).body, 'none')
    t.equal((await (await world.client()).ask('/', { fields: { 'Accept-Language': 'frfr' } })).body, 'frfr')
    t.match((await (await world.client()).ask('/')).fields.get('cache-status'), /hit/, 'it is the answer to a request without it')
  })
}
