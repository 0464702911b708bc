// The journal over the API: pages by number, and streams that are resumed, capped and ended.
import { request, type ClientRequest, type IncomingMessage } from 'node:http'
import t, { type Test } from 'tap'
import { call } from './caller.ts'
import { approvalOf, nowMs, recordOf, sessionOf } from './fakes.ts'
import { openWorld, type World } from './world.ts'
import { SearchUnavailable } from '../../src/audit/journal-searcher.ts'
import type { JournalRecord } from '../../src/audit/record.ts'

const token = 'sp_auditor'
const numbers = (items: readonly { readonly seq: number }[]): number[] => items.map(({ seq }) => seq)

interface Reader {
  readonly response: IncomingMessage
  readonly sent: ClientRequest
  /** resolves with all that was received, once `enough` says so, or the stream ended */
  until(enough: (text: string) => boolean): Promise<string>
}

function read(t: Test, world: World, path: string, headers: Record<string, string> = {}): Promise<Reader> {
  return new Promise((resolve, reject) => {
    const { hostname: host, port } = new URL(world.url)
    const sent = request({ host, port, path, agent: false, headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream', ...headers } }, (response) => {
      let text = ''
      let look = (): void => undefined
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
        look()
      })
      response.on('error', () => look())
      resolve({
        response,
        sent,
        until: (enough) => new Promise((done) => {
          look = () => {
            if (enough(text) || response.closed) done(text)
          }
          response.on('close', () => done(text))
          look()
        }),
      })
    })
    sent.on('error', reject)
    sent.end()
    t.teardown(() => sent.destroy())
  })
}

t.test('records come in pages by number', async (t) => {
  const world = await openWorld(t)
  world.events.append(5)
  const page = async (query: string) => (await call(world.url, `/v1/events${query}`, { token })).json
  const first = await page('?limit=2')
  t.strictSame(numbers(first.items), [1, 2])
  t.equal(first.next_cursor, '2')
  t.strictSame(numbers((await page('?after=2&limit=2')).items), [3, 4])
  t.match(await page('?after=4&limit=2'), { items: [{ seq: 5 }], next_cursor: null })
  t.match(await page('?last=2'), { items: [{ seq: 4 }, { seq: 5 }], next_cursor: null })
  for (const query of ['?after=-1', '?after=x', '?limit=501', '?last=1&after=2', '?last=1&limit=2', '?cursor=1']) t.equal((await call(world.url, `/v1/events${query}`, { token })).status, 400, query)
})

/** A record about a host of a team's session. */
function about(seq: number, host: string, more: JournalRecord['attributes'] = {}): JournalRecord {
  return { ...recordOf(seq), time: new Date(nowMs - (10 - seq) * 3_600_000).toISOString(), attributes: { 'server.address': host, 'server.port': 443, 'network.policy.decision': 'deny', ...more } }
}

t.test('records are filtered as on the command line, and a page says where to go on', async (t) => {
  const world = await openWorld(t)
  world.events.add(about(1, 'a.example', { 'gen_ai.agent.name': 'codex' }), about(2, 'b.example', { 'sallyport.team': 'web' }), about(3, 'c.test'), about(4, 'a.example', { 'network.policy.decision': 'allow' }), about(5, 'A.example', { 'user.name': 'alice' }))
  const page = async (query: string) => (await call(world.url, `/v1/events${query}`, { token })).json
  const found = async (query: string) => numbers((await page(query)).items)
  t.strictSame(await found('?host=*.example'), [1, 2, 4, 5])
  t.strictSame(await found('?host=*.example&verdict=deny&until=2026-01-01T21:00:00Z'), [1, 2])
  t.strictSame(await found('?since=6h'), [4, 5])
  t.strictSame(await found('?since=2026-01-01T23:04:05.678%2B01:00&event=decision'), [5])
  t.strictSame(await found('?team=web'), [2])
  t.strictSame(await found('?owner=ali*&agent=codex'), [])
  t.strictSame(await found('?last=2&host=a.example'), [4, 5])
  const first = await page('?host=*.example&limit=2')
  t.strictSame([numbers(first.items), first.next_cursor], [[1, 2], '2'])
  const next = await page(`?host=*.example&limit=2&after=${first.next_cursor}`)
  t.strictSame([numbers(next.items), next.next_cursor], [[4, 5], null])
  for (const [query, pointer] of [['?host=(a', '/host'], ['?verdict=maybe', '/verdict'], ['?since=yesterday', '/since'], ['?since=1h&until=2h', '/since'], ['?agent=', '/agent'], ['?hosts=a', '/hosts']] as const) {
    t.match(await call(world.url, `/v1/events${query}`, { token }), { status: 400, json: { code: 'invalid', errors: [{ pointer }] } }, query)
  }
  world.events.fault = new SearchUnavailable('no')
  t.match(await call(world.url, '/v1/events?host=a.example', { token }), { status: 503, json: { code: 'search_unavailable' } })
})

t.test('who has teams reads what is theirs, by page, by line and by stream', async (t) => {
  const world = await openWorld(t)
  world.tokens.add('auditor', 'webby', ['web'])
  world.sessions.byId.set('s-web', sessionOf('s-web', undefined, { principal: { session: 's-web', agent: 'codex', team: 'web', owner: undefined } }))
  world.sessions.byId.set('s-data', sessionOf('s-data', undefined, { principal: { session: 's-data', agent: 'codex', team: 'data', owner: undefined } }))
  const records = [about(1, 'a.example', { 'sallyport.team': 'web' }), about(2, 'a.example', { 'session.id': 's-web' }), about(3, 'a.example', { 'session.id': 's-data' }), about(4, 'a.example'), about(5, 'a.example', { 'sallyport.team': 'data' })]
  world.events.add(...records)
  const as = { token: 'sp_webby' }
  t.strictSame(numbers((await call(world.url, '/v1/events', as)).json.items), [1, 2])
  t.strictSame(numbers((await call(world.url, '/v1/events?last=500&team=*', as)).json.items), [1])
  t.strictSame(numbers((await call(world.url, '/v1/events', { token })).json.items), [1, 2, 3, 4, 5])
  const reader = await read(t, world, '/v1/events?after=0&host=*.example', { authorization: 'Bearer sp_webby' })
  await reader.until((text) => text.includes('id: 2'))
  world.events.add({ ...about(6, 'a.example', { 'sallyport.team': 'web' }) }, about(7, 'c.test', { 'sallyport.team': 'web' }), about(8, 'a.example', { 'sallyport.team': 'web' }))
  t.strictSame([...(await reader.until((text) => text.includes('id: 8'))).matchAll(/id: (\d)/g)].map(([, id]) => id), ['1', '2', '6', '8'])
  const lines = await read(t, world, '/v1/events', { authorization: 'Bearer sp_webby', accept: 'application/x-ndjson' })
  t.strictSame((await lines.until(() => false)).trimEnd().split('\n').map((line) => JSON.parse(line).seq), [1, 2, 6, 7, 8])
})

t.test('as lines everything there is comes on one connection, page after page', async (t) => {
  const world = await openWorld(t)
  world.events.append(1234)
  const get = async (path: string) => {
    const { response, until } = await read(t, world, path, { accept: 'application/x-ndjson' })
    const text = await until(() => false)
    return { status: response.statusCode, type: response.headers['content-type'], seqs: text.trimEnd().split('\n').map((line) => JSON.parse(line).seq) }
  }
  const all = await get('/v1/events?after=10')
  t.strictSame([all.status, all.type], [200, 'application/x-ndjson; charset=utf-8'])
  t.strictSame(all.seqs, Array.from({ length: 1224 }, (_, index) => index + 11))
  t.equal((await get('/v1/events?host=*.example')).seqs.length, 1234)
  t.strictSame((await get('/v1/events?limit=3&after=5')).seqs, [6, 7, 8])
  t.strictSame((await get('/v1/events?last=2')).seqs, [1233, 1234])
  t.strictSame(world.called, Array.from({ length: 4 }, () => 'GET /v1/events 200 auditor'))
  world.isJournalDown = true
  for (let at = 0; at < 12; at++) t.equal((await call(world.url, '/v1/events', { token, headers: { accept: 'application/x-ndjson' } })).status, 503)
  world.isJournalDown = false
  t.equal((await get('/v1/events?after=1230')).seqs.length, 4, 'no place among the streams was lost')
})

t.test('a stream goes on from a number, and tells what is appended', async (t) => {
  const world = await openWorld(t)
  world.events.append(3)
  const reader = await read(t, world, '/v1/events?after=1')
  t.equal(reader.response.statusCode, 200)
  t.match(reader.response.headers, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' })
  const early = await reader.until((text) => text.includes('id: 3'))
  t.match(early, /^retry: 2000\n\nid: 2\nevent: sallyport\.decision\ndata: \{"v":1,"seq":2,/)
  world.events.append(1)
  t.match(await reader.until((text) => text.includes('id: 4')), /id: 4\nevent: sallyport\.decision\n/)
  t.strictSame(world.called, ['GET /v1/events 200 auditor'], 'its event is there before it ends')
})

t.test('a stream is resumed where it broke off, whatever its URL says', async (t) => {
  const world = await openWorld(t)
  world.events.append(5)
  const reader = await read(t, world, '/v1/events?after=1', { 'last-event-id': '4' })
  const text = await reader.until((got) => got.includes('id: 5'))
  t.notMatch(text, /id: [1-4]\n/)
  for (const id of ['x', '-1', '1e3', '9'.repeat(20)]) t.equal((await call(world.url, '/v1/events', { token, headers: { accept: 'text/event-stream', 'last-event-id': id } })).status, 400, id)
})

t.test('without a number a stream tells what is to come', async (t) => {
  const world = await openWorld(t)
  world.events.append(3)
  const reader = await read(t, world, '/v1/events')
  await reader.until((text) => text.includes('retry'))
  world.events.append(1)
  t.notMatch(await reader.until((text) => text.includes('id: 4')), /id: [1-3]\n/)
})

t.test('one actor has so many streams, and a place is free again when one ends', async (t) => {
  const world = await openWorld(t, { limits: { ...(await openWorld(t)).deps.limits, streamsPerActor: 1 } })
  const first = await read(t, world, '/v1/events')
  t.match(await call(world.url, '/v1/events', { token, headers: { accept: 'text/event-stream' } }), { status: 429, json: { code: 'too_many_streams' } })
  first.sent.destroy()
  for (;;) {
    const { response, sent } = await read(t, world, '/v1/events')
    if (response.statusCode === 200) break
    sent.destroy()
  }
  t.pass('the place came free')
})

t.test('a viewer is told what changed, by kind and id alone, and only what it may see', async (t) => {
  const world = await openWorld(t)
  world.tokens.add('viewer', 'webby', ['web'])
  const reader = await read(t, world, '/v1/approvals/stream', { authorization: 'Bearer sp_webby' })
  await reader.until((text) => text.includes('retry'))
  world.desk.put(approvalOf('A1', { team: 'data' }))
  world.desk.put(approvalOf('A2', { team: 'web' }))
  world.desk.grantsById.set('G1', { id: 'G1', approvalId: 'A0', verdict: 'allow', term: 'session', who: 'session', holder: 's-1', scheme: 'https', host: 'hidden.example', subdomains: false, port: 443, requestDigest: undefined, by: 'rita', createdMs: 0, expiresMs: undefined, comment: undefined })
  await world.desk.revoke('G1')
  const text = await reader.until((got) => got.includes('event: grant'))
  t.equal(text, 'retry: 2000\n\nevent: approval\ndata: {"kind":"approval","id":"A2"}\n\nevent: grant\ndata: {"kind":"grant","id":"G1"}\n\n')
  reader.sent.destroy()
  while (world.desk.listeners > 0) await new Promise<void>((resolve) => { setImmediate(resolve) })
  t.equal(world.desk.listeners, 0, 'nothing listens for who has left')
})

t.test('stopping ends streams', async (t) => {
  const world = await openWorld(t)
  const reader = await read(t, world, '/v1/events')
  const ended = reader.until(() => false)
  await world.control.stop()
  t.match(await ended, 'retry')
})

t.test('a token that is revoked ends its streams', async (t) => {
  const world = await openWorld(t)
  const reader = await read(t, world, '/v1/events')
  await reader.until((text) => text.includes('retry'))
  world.tokens.revoke('t-auditor')
  world.clock.move(1000)
  world.events.append(1)
  t.equal(await reader.until(() => false), 'retry: 2000\n\n')
})
