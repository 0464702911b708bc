// The journal over the API: pages by number, and streams that are resumed, capped and ended.
import { request, type ClientRequest, type IncomingMessage } from 'node:http'
import t, { type Test } from 'tap'
import { call } from './caller.ts'
import { approvalOf } from './fakes.ts'
import { openWorld, type World } from './world.ts'

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
