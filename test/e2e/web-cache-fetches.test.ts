// What a reviewer's yes to one page fetches, and what it does not: redirects are decided anew, what may not be kept or
// does not come whole is no page, and the reviewer hears why.
import type http from 'node:http'
import t from 'tap'
import { problemIn } from '../support/ask-world.ts'
import { httpOrigin } from '../support/origins.ts'
import { docsHost, fetchPage, read, reading, startPages } from '../support/page-world.ts'

t.test('what is fetched varies with fields that no reviewer sees, and is read by whoever asks', async (t) => {
  const world = await startPages(t, {
    answer: (_request, response) => {
      response.writeHead(200, { vary: 'Accept, Accept-Language, Accept-Encoding', 'cache-control': 'max-age=60' })
      response.end('in its first language')
    },
  })
  const client = await reading(t, world, '/varies', 'Accept: text/html\r\nAccept-Language: de\r\n')
  t.equal((await fetchPage(world.control, await world.control.pending(docsHost))).status, 200)
  t.match(await client.next(), { status: 200, body: 'in its first language' })
})

/** `/hop/N` redirects N times. */
const hops = (to: (left: number, port: string) => string): http.RequestListener => (request, response) => {
  const left = Number(/^\/hop\/(\d+)$/.exec(request.url ?? '')?.[1] ?? '0')
  if (left > 0) response.writeHead(302, { location: to(left, request.headers.host?.split(':')[1] ?? '80'), 'cache-control': 'max-age=60' })
  else response.writeHead(200, { 'cache-control': 'max-age=60' })
  response.end('end')
}

t.test('five redirects are followed and kept; of six the first are, and the reviewer is told where it stopped', async (t) => {
  const world = await startPages(t, { answer: hops((left) => `/hop/${left - 1}`) })
  const { control, origin } = world
  const five = await reading(t, world, '/hop/5')
  const decided = await fetchPage(control, await control.pending(docsHost))
  t.match(decided.body, { decision: { is_fetched: true, fetch_note: null } })
  t.match(await five.next(), { status: 302 })
  t.match(await read(t, world, '/hop/0'), { status: 200, body: 'end' })
  t.equal(origin.requests.length, 6)
  const six = await reading(t, world, '/hop/6')
  const stopped = await fetchPage(control, await control.pending(docsHost))
  t.match(stopped.body, { state: 'allowed', decision: { fetch_note: /hop\/0, which was not fetched: more than 5 redirects/ } })
  t.match(await six.next(), { status: 302 })
})

t.test('a redirect is decided anew: to a host that policy denies or asks about it is not followed, and the note says so', async (t) => {
  const world = await startPages(t, { answer: hops((left, port) => `http://${left === 1 ? 'denied' : left === 2 ? 'asked' : 'other'}.test:${port}/hop/0`) })
  const { control, dns, origin } = world
  for (const [left, code] of [[1, 'denied_by_rule'], [2, 'approval_required']] as const) {
    const client = await reading(t, world, `/hop/${left}`)
    const decided = await fetchPage(control, await control.pending(docsHost))
    t.match(decided.body, { state: 'allowed', decision: { fetch_note: new RegExp(`which was not fetched: .*\\(${code}\\)`) } })
    t.match(await client.next(), { status: 302 })
  }
  t.equal(dns.count('denied.test') + dns.count('asked.test'), 0)
  t.equal(origin.requests.length, 2)
  const third = await reading(t, world, '/hop/3')
  t.match((await fetchPage(control, await control.pending(docsHost))).body, { decision: { fetch_note: null } })
  t.match(await third.next(), { status: 302 }, 'and one to a host that is read is followed')
  t.equal(origin.requests.length, 4)
})

t.test('a yes to a page is none to an unknown host, or to another port, that it leads to', async (t) => {
  const elsewhere = await httpOrigin(t)
  const places = [['/unknown', 'http://unknown.test/?what=it-knows'], ['/port', `http://docs.test:${elsewhere.port}/`]] as const
  const world = await startPages(t, {
    answer: (request, response) => response.writeHead(302, { location: places.find(([path]) => path === request.url)?.[1], 'cache-control': 'max-age=60' }).end(),
    more: `[[network.rules]]\nid = "port"\nhosts = ["docs.test:${elsewhere.port}"]\nlocal = ["127.0.0.0/8"]\nverdict = "ask"\n`,
  })
  for (const [path] of places) {
    await reading(t, world, path)
    const decided = await fetchPage(world.control, await world.control.pending(docsHost))
    t.match(decided.body, { decision: { fetch_note: /which was not fetched: .*\(approval_required\)/ } }, path)
  }
  t.equal(world.dns.count('unknown.test') + elsewhere.connections(), 0)
})

t.test('a redirect to a host that needs two people is not followed on a single yes', async (t) => {
  const world = await startPages(t, { approvals: 'four_eyes = ["other.test"]', answer: hops((_left, port) => `http://other.test:${port}/hop/0`) })
  await reading(t, world, '/hop/1')
  const decided = await fetchPage(world.control, await world.control.pending(docsHost))
  t.match(decided.body, { decision: { fetch_note: /two people have to allow other\.test/ } })
  t.equal(world.dns.count('other.test'), 0)
})

const faults: readonly (readonly [path: string, fields: Readonly<Record<string, string>>, body: string, why: RegExp])[] = [
  ['/private', { 'cache-control': 'private' }, 'x', /forbids a shared cache to keep it/],
  ['/no-store', { 'cache-control': 'no-store' }, 'x', /forbids a shared cache to keep it/],
  ['/large', {}, 'x'.repeat(5000), /larger|bytes/],
  ['/broken', { 'content-length': '100' }, 'x', /broke off|in time/],
  ['/coded', { 'content-encoding': 'gzip' }, 'not gzip', /gzip/],
  ['/partial', { vary: 'User-Agent' }, 'x', /depends on more/],
]

t.test('a page that may not be kept, or does not come whole, is not fetched: the reviewer hears why and the question stays open', async (t) => {
  const world = await startPages(t, {
    maxBodyBytes: 4000,
    answer: (request, response) => {
      const [, fields = {}, body = ''] = faults.find(([path]) => path === request.url) ?? []
      response.writeHead(200, fields)
      if (request.url !== '/broken') return void response.end(body)
      response.write(body)
      response.socket?.end()
    },
  })
  const { control } = world
  for (const [path, , , why] of faults) {
    const client = await reading(t, world, path)
    const asked = await control.pending(docsHost)
    t.match(await fetchPage(control, asked), { status: 502, body: { code: 'fetch_failed', detail: why } }, path)
    t.match(await control.approval(asked.id), { state: 'pending', version: asked.version, fetching: null })
    t.equal((await control.answer(asked, { verdict: 'deny', comment: 'no such page' })).status, 200, 'the same version can be answered otherwise')
    t.match(problemIn((await client.next())?.body), { code: 'approval_denied', reason: /no such page/ })
  }
})

t.test('what agents could not read is not called fetched', async (t) => {
  const world = await startPages(t, {
    webFetch: 'stale_ok = false',
    answer: (_request, response) => {
      response.writeHead(200, { 'cache-control': 'max-age=0' })
      response.end('old')
    },
  })
  await reading(t, world, '/stale')
  t.match(await fetchPage(world.control, await world.control.pending(docsHost)), { status: 502, body: { code: 'fetch_failed', detail: /stale_ok/ } })
})

t.test('while a page is fetched a second reviewer is told who has it fetched, and an origin that says nothing ends with the time limit', async (t) => {
  let hangs: (() => void) | undefined
  const arrived = new Promise<void>((resolve) => (hangs = resolve))
  const world = await startPages(t, { fetchTimeoutMs: 1500, answer: () => hangs?.() })
  const { control } = world
  await reading(t, world, '/slow')
  const asked = await control.pending(docsHost)
  const fetching = fetchPage(control, asked, {})
  await arrived
  t.match(await control.approval(asked.id), { state: 'pending', version: asked.version, fetching: { by: String, since: String } })
  t.match(await fetchPage(control, asked), { status: 409, body: { code: 'already_decided', detail: /has the page fetched at this moment/ } })
  t.match(await control.answer(asked, { verdict: 'deny' }), { status: 409 })
  t.match(await fetching, { status: 502, body: { code: 'fetch_failed', detail: /in time/ } })
  t.match(await control.approval(asked.id), { state: 'pending', fetching: null })
})
