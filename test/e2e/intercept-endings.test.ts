// How clients leave connections on which TLS ended at the proxy: each is let go of, with the end of its exchange, however
// little its client says.
import { once } from 'node:events'
import http2 from 'node:http2'
import t from 'tap'
import { carrierOf, secureTunnel } from '../support/inside.ts'
import { insideLeg, type LegWorld } from '../support/legs.ts'
import type { JournalRecord } from '../support/proxy.ts'

/** Ends of CONNECTs whose TLS ended here: one for each connection that is gone. */
function connectionsEnded({ proxy }: LegWorld): JournalRecord[] {
  return proxy.records().filter(({ name, attributes }) => name === 'sallyport.exchange.ended' && attributes['http.request.method'] === 'none')
}

async function allEnded(world: LegWorld, count: number): Promise<void> {
  await world.proxy.recorded(() => connectionsEnded(world).length >= count)
}

t.test('HTTP/1.1: clients that reset right behind their first request leave no connection behind', async (t) => {
  // a write of TLS itself that fails for the reset is told to nobody: what is still written then never ends
  const world = await insideLeg.start(t, { change: (settings) => ({ ...settings, limits: { ...settings.limits, requestTimeoutMs: 500 } }) })
  const clients = await Promise.all(Array.from({ length: 40 }, () => secureTunnel(t, world.proxy, world.host)))
  for (const client of clients) {
    client.write(world.request('/a'))
    setImmediate(() => carrierOf(client).resetAndDestroy())
  }
  // and the one that the leg began with
  await allEnded(world, clients.length + 1)
  t.equal(connectionsEnded(world).length, clients.length + 1)
})

for (const [how, leave] of [
  ['ends its connection without a word of TLS', (client) => void carrierOf(client).end()],
  ['resets its connection', (client) => carrierOf(client).resetAndDestroy()],
  ['ends TLS', (client) => void client.end()],
] satisfies readonly (readonly [string, (client: Awaited<ReturnType<typeof secureTunnel>>) => void])[]) {
  for (const when of ['while it waits for an answer', 'after an answer']) {
    t.test(`HTTP/2: a client that ${how} ${when} is gone at once`, async (t) => {
      const world = await insideLeg.start(t, { answer: ({ target }) => (target === '/never' ? undefined : 'HTTP/1.1 204 No Content\r\n\r\n') })
      const client = await secureTunnel(t, world.proxy, world.host, { protocols: ['h2'] })
      const session = http2.connect(`https://${world.host}`, { createConnection: () => client })
      session.on('error', () => session.destroy())
      const stream = session.request({ ':path': when === 'after an answer' ? '/' : '/never', ':authority': world.host })
      stream.on('error', () => stream.destroy())
      if (when === 'after an answer') await once(stream.resume(), 'close')
      else await world.proxy.recorded(() => world.origin.requests.length === 1)
      leave(client)
      await allEnded(world, 2)
      const ended = await world.proxy.recorded(({ name, attributes }) => name === 'sallyport.exchange.ended' && attributes['http.request.method'] === 'GET')
      t.equal(ended.attributes['sallyport.outcome'], when === 'after an answer' ? 'completed' : 'failed')
    })
  }
}

t.test('HTTP/2: a proxy that stops within answers leaves no time limit that runs', async (t) => {
  const world = await insideLeg.start(t, { answer: () => 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n' })
  for (let at = 0; at < 10; at++) {
    const client = await secureTunnel(t, world.proxy, world.host, { protocols: ['h2'] })
    const session = http2.connect(`https://${world.host}`, { createConnection: () => client })
    session.on('error', () => session.destroy())
    const stream = session.request({ ':path': '/', ':authority': world.host })
    stream.on('error', () => stream.destroy())
    await once(stream, 'data')
  }
  await world.proxy.stop()
  // that of a connection that is gone would run for as long as an idle one may stay
  while (process.getActiveResourcesInfo().includes('Timeout')) await new Promise((resolve) => setImmediate(resolve))
  t.pass('none')
})

t.test('HTTP/1.1: a client that ends its side behind its request still gets the whole answer', async (t) => {
  const world = await insideLeg.start(t, { answer: () => `HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n${'x'.repeat(2_000_000)}` })
  const client = await secureTunnel(t, world.proxy, world.host)
  let bytes = 0
  client.on('data', (chunk: Buffer) => (bytes += chunk.length))
  client.end(world.request('/', 'Connection: close\r\n'))
  await once(client, 'close')
  t.ok(bytes > 2_000_000)
  const ended = await world.proxy.recorded(({ name, attributes }) => name === 'sallyport.exchange.ended' && attributes['http.request.method'] === 'GET')
  t.match(ended.attributes, { 'sallyport.outcome': 'completed', 'sallyport.bytes_from_origin': 2_000_000 })
})

t.test('what came in TLS never leaves without it: a target of http inside is misdirected', async (t) => {
  const world = await insideLeg.start(t)
  for (const target of [`http://${world.host}/secret`, 'http://allowed.test/secret']) {
    t.match(await world.say(`GET ${target} HTTP/1.1\r\nHost: ${world.host}\r\nAuthorization: Bearer t\r\n\r\n`), /^HTTP\/1\.1 421 /)
  }
  t.equal(world.origin.connections(), 0)
})
