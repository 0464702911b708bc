// Crowds that come, break or are cut together while some of them wait their turn: each is decided once and ended
// once, and nothing of one is taken for another.
import type { Socket } from 'node:net'
import t from 'tap'
import { hello, recordHello, serverNames } from '../ingress/hello-bytes.ts'
import { rawOrigin } from '../support/origins.ts'
import { request, startPlain } from '../support/plain-world.ts'
import type { JournalRecord } from '../support/proxy.ts'
import { startSecureWorld } from '../support/secure-world.ts'
import { WireClient } from '../support/wire-client.ts'
import { connect, disguise, established, turns, world } from './first-bytes-world.ts'

const size = 60

/** Clients that are all taken in. */
async function crowd(port: number): Promise<readonly WireClient[]> {
  const clients = await Promise.all(Array.from({ length: size }, () => WireClient.open(port)))
  await turns(4 * size)
  return clients
}

/** ids of decided exchanges without an end of their own */
function unended(records: readonly JournalRecord[]): readonly unknown[] {
  const idsOf = (name: string): readonly unknown[] => records.filter((record) => record.name === name).map(({ attributes }) => attributes['sallyport.request.id'])
  const ended = idsOf('sallyport.exchange.ended')
  return idsOf('sallyport.decision').filter((id) => ended.filter((each) => each === id).length !== 1)
}

t.test('a stop while handshakes wait their turn leaves no decision without its end', async (t) => {
  const secure = await startSecureWorld(t, { rules: { read: 'methods = ["GET"]' } })
  const first = await recordHello({ servername: 'origin.test' })
  const clients = await crowd(secure.proxy.port)
  for (const client of clients) client.send(Buffer.concat([Buffer.from(connect(secure.authority)), first]))
  while (clients.filter(({ received }) => received.length > 0).length < size / 2) await turns(1)
  const shaken = clients.filter(({ received }) => received.length > 100).length
  t.ok(shaken < size / 2, `${shaken} had their turn`)
  await secure.proxy.stop(false)
  const records = secure.proxy.records()
  t.ok(records.length > size / 2)
  t.strictSame(unended(records), [])
})

t.test('bodies that break together are refused, and name nothing that they hold', async (t) => {
  const asked: Socket[] = []
  const origin = await rawOrigin(t, (socket) => {
    let seen = ''
    socket.on('data', (chunk: Buffer) => {
      if (seen === '') asked.push(socket)
      seen += chunk.toString('latin1')
    })
  })
  const proxy = await startPlain(t, origin.port)
  const clients = await crowd(proxy.port)
  for (const client of clients) client.send(`${request(origin.port, '/', 'Transfer-Encoding: chunked\r\n', 'POST')}5\r\nhello\r\n`)
  while (asked.length < size) await turns(1)
  await turns(20)
  for (const client of clients) client.send('GET http://in-a-body.test/ HTTP/1.1\r\nX: y\r\n\r\n')
  for (const socket of asked) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  await Promise.all(clients.map((client) => client.closed()))
  const records = proxy.records()
  t.equal(records.filter(({ attributes }) => attributes['sallyport.code'] === 'framing' && attributes['network.policy.decision'] === 'deny').length, size)
  t.notMatch(JSON.stringify(records), 'in-a-body')
})

for (const way of ['armed', 'through data events'] as const) {
  t.test(`crowds whose sockets are read ${way}`, async (t) => {
    if (way !== 'armed') disguise(t)
    const { proxy, echo, http, nothingLeft } = await world(t)
    const raw = connect(`raw.test:${echo.port}`)

    await t.test('a crowd that speaks all at once is served, each with all of its bytes and those behind them', async (t) => {
      const many = Buffer.from(Uint32Array.from({ length: 30_000 }, (_, index) => index).buffer).toString('latin1')
      const clients = await crowd(proxy.port)
      const first = hello(serverNames({ name: 'allowed.test' })).toString('latin1')
      const told: readonly (readonly [string, string, RegExp | string])[] = [
        [raw, '', established],
        [raw, many, established + many],
        [connect(`allowed.test:${echo.port}`), first, established + first],
        [request(http, '/crowd', 'Content-Length: 5\r\nConnection: close\r\n', 'POST'), 'hello', /^HTTP\/1\.1 200 [^]*\/crowd/],
        [request(http, '/', 'Connection: close\r\n'), '', /^HTTP\/1\.1 200 /],
        ['GET http://a.test/ HTTP/1.1\r\nHo', 'st : a\r\n\r\n', /^HTTP\/1\.1 400 /],
      ]
      for (const [at, client] of clients.entries()) client.send(Buffer.from(told[at % told.length]?.[0] ?? '', 'latin1'))
      for (const [at, client] of clients.entries()) client.send(Buffer.from(told[at % told.length]?.[1] ?? '', 'latin1'))
      const wrong: string[] = []
      await Promise.all(clients.map(async (client, at) => {
        const [, , wanted = ''] = told[at % told.length] ?? []
        const isRight = (all: string): boolean => (typeof wanted === 'string' ? all === wanted : wanted.test(all))
        const received = await client.until((all) => isRight(all) || (typeof wanted === 'string' && all.length > wanted.length))
        if (!isRight(received)) wrong.push(`${at}: ${received.slice(0, 100)}`)
        client.socket.destroy()
      }))
      t.strictSame(wrong, [])
      await nothingLeft()
    })

    await t.test('who ends its side behind its request while it waits its turn gets its answer', async (t) => {
      const clients = await crowd(proxy.port)
      const told: readonly (readonly [string, RegExp])[] = [
        [request(http, '/', 'Content-Length: 5\r\n', 'POST', 'hello'), /^HTTP\/1\.1 200 /],
        [request(http, '/'), /^HTTP\/1\.1 200 /],
        ['GET http://a.test/ HTT', /^HTTP\/1\.1 400 /],
      ]
      for (const [at, client] of clients.entries()) client.socket.end(told[at % told.length]?.[0] ?? '')
      const wrong: string[] = []
      await Promise.all(clients.map(async (client, at) => {
        const received = await client.closed()
        if (told[at % told.length]?.[1].test(received) !== true) wrong.push(`${at}: ${received.slice(0, 100)}`)
      }))
      t.strictSame(wrong, [])
      await nothingLeft()
    })

    await t.test('who leaves a crowd before it is looked at leaves nothing behind', async (t) => {
      const decided = proxy.decisions().length
      const clients = await crowd(proxy.port)
      for (const client of clients) {
        client.send(raw)
        client.socket.resetAndDestroy()
      }
      await nothingLeft()
      const records = proxy.decisions().slice(decided)
      t.ok(records.length <= clients.length, `${records.length} decisions`)
      t.strictSame([...new Set(records.map(({ attributes }) => attributes['server.port']))], records.length === 0 ? [] : [echo.port])
    })
  })
}
