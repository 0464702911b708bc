import { once } from 'node:events'
import t from 'tap'
import type { PlainArrival } from '../../src/ingress/plain.ts'
import { continuation, data, fieldBlock, flags, frame, headers, ping, requestFields, rstStream, settings, windowUpdate } from '../support/http2-frames.ts'
import { ask, http2Name, startHttp2, type Http2World, type RawHttp2 } from '../support/http2-world.ts'

const held = requestFields(http2Name, '/held', 'POST')
// more than any of them needs; a flood that gets this far was not stopped
const enough = 64 * 1024 * 1024

function door({ request, response }: PlainArrival): void {
  if (request.url === '/held') return
  response.writeHead(200, '', [])
  response.end('fine')
}

function many(count: number, make: (at: number) => Uint8Array): Buffer {
  return Buffer.concat(Array.from({ length: count }, (_, at) => make(at)))
}

/** A maker of stream numbers, which begin behind the ones that stand open. */
function numbers(): () => number {
  let last = 3
  return () => (last += 2)
}

/** Sends until the connection is closed; resolves with the bytes that it took. */
async function flood({ socket, reader }: RawHttp2, make: () => Uint8Array): Promise<number> {
  let sent = 0
  while (!reader.isClosed && !socket.destroyed && sent < enough) {
    const bytes = make()
    sent += bytes.length
    const isTaken = socket.write(bytes)
    await new Promise<void>((resolve) => {
      if (isTaken) setImmediate(resolve)
      else for (const event of ['drain', 'close']) socket.once(event, () => resolve())
    })
  }
  return sent
}

async function begun(world: Http2World): Promise<RawHttp2> {
  const client = await world.raw(headers(1, held, false), headers(3, requestFields(http2Name)))
  await client.reader.next((each) => each.type === 'data')
  return client
}

const floods: Readonly<Record<string, () => () => Uint8Array>> = {
  'PINGs': () => () => many(1_000, ping),
  'PINGs, some at a time': () => () => many(100, ping),
  'SETTINGS': () => () => many(1_000, () => settings()),
  'SETTINGS, some at a time': () => () => many(100, () => settings()),
  'SETTINGS with values': () => () => many(300, (at) => settings({ 1: 4_096 + at, 4: 65_535 })),
  'answers to settings that were not sent': () => () => many(1_000, () => frame('settings', flags.ack, 0)),
  'answers to PINGs that were not sent': () => () => many(1_000, () => frame('ping', flags.ack, 0, Buffer.alloc(8))),
  'PRIORITY': () => () => many(1_000, () => frame('priority', 0, 1, Buffer.of(0, 0, 0, 0, 5))),
  'window updates of the connection': () => () => many(1_000, () => windowUpdate(0, 1)),
  'window updates of a stream': () => () => many(1_000, () => windowUpdate(1, 1)),
  'window updates of a stream that is closed': () => () => many(1_000, () => windowUpdate(3, 1)),
  'empty DATA': () => () => many(1_000, () => data(1, '')),
  'DATA of nothing but padding': () => () => many(100, () => frame('data', flags.padded, 1, Buffer.alloc(256).fill(255, 0, 1))),
  'resets of a stream that is closed': () => () => many(1_000, () => rstStream(3, 8)),
  'frames of an unknown type': () => () => many(1_000, () => frame(0xcc, 0, 0)),
  'requests that are taken back at once': () => {
    const next = numbers()
    return () => many(100, () => {
      const id = next()
      return Buffer.concat([headers(id, held, false), rstStream(id, 8)])
    })
  },
  'requests that are taken back a little later': () => {
    const next = numbers()
    let before: number[] = []
    return () => {
      const resets = Buffer.concat(before.map((id) => rstStream(id, 8)))
      before = Array.from({ length: 50 }, next)
      return Buffer.concat([resets, ...before.map((id) => headers(id, held, false))])
    }
  },
  'requests that make us reset them': () => {
    const next = numbers()
    return () => many(100, () => {
      const id = next()
      return Buffer.concat([headers(id, held, false), windowUpdate(id, 0)])
    })
  },
  'malformed requests': () => {
    const next = numbers()
    return () => many(100, () => headers(next(), held.slice(1)))
  },
  'more streams than may be open': () => {
    const next = numbers()
    return () => many(300, () => headers(next(), held, false))
  },
  'CONTINUATION without an end': () => {
    const block = fieldBlock([['x', 'a'.repeat(16_000)]])
    let isBegun = false
    return () => {
      const head = isBegun ? [] : [frame('headers', 0, 5, fieldBlock(held))]
      isBegun = true
      return Buffer.concat([...head, ...Array.from({ length: 64 }, () => continuation(5, block))])
    }
  },
  'CONTINUATION of nothing': () => {
    let isBegun = false
    return () => {
      const head = isBegun ? [] : [frame('headers', 0, 5, fieldBlock(held))]
      isBegun = true
      return Buffer.concat([...head, many(1_000, () => continuation(5, Buffer.alloc(0)))])
    }
  },
}

for (const [what, make] of Object.entries(floods)) {
  t.test(`a flood of ${what} closes its connection, is recorded and leaves other clients alone`, async (t) => {
    const world = await startHttp2(t, door)
    const other = world.connect()
    t.equal((await ask(other)).status, 200)
    const client = await begun(world)
    const sent = await flood(client, make())
    t.ok(sent < enough, `closed after ${sent} bytes`)
    await client.reader.closed()
    t.not(await client.reader.goaway(), 'NO_ERROR')
    t.ok((await world.refusals(1)).length <= 202, 'what is recorded of it is bounded')
    t.ok(world.arrivals.length <= 700, `${world.arrivals.length} requests reached the door`)
    t.equal((await ask(other)).body.toString(), 'fine')
    t.equal(world.leg.size, 1)
    t.strictSame(world.faults, [])
  })
}

for (const [what, make] of [['PINGs', ping], ['SETTINGS', () => settings()]] as const) {
  t.test(`a flood of ${what} whose answers are not read holds nothing`, async (t) => {
    const world = await startHttp2(t, door)
    const client = await begun(world)
    client.socket.pause()
    const before = process.memoryUsage().rss
    const sent = await flood(client, () => many(1_000, make))
    t.ok(sent < enough)
    t.ok(process.memoryUsage().rss - before < 64 * 1024 * 1024)
    while (world.leg.size > 0) await new Promise((resolve) => setImmediate(resolve))
    client.socket.resume()
    await client.reader.closed()
  })
}

t.test('10,000 rapid resets cost a bounded number of requests', async (t) => {
  const world = await startHttp2(t, door)
  const client = await begun(world)
  const next = numbers()
  client.send(many(10_000, () => {
    const id = next()
    return Buffer.concat([headers(id, requestFields(http2Name)), rstStream(id, 8)])
  }))
  await client.reader.closed()
  t.ok(world.arrivals.length <= 700, `${world.arrivals.length} requests reached the door`)
  t.match(await world.refusals(1), [{ code: 'framing' }])
  t.equal(world.leg.size, 0)
})

t.test('a client that takes back a hundred requests now and then is no flood', async (t) => {
  const world = await startHttp2(t, door)
  const session = world.connect()
  for (let round = 0; round < 3; round += 1) {
    const streams = Array.from({ length: 100 }, () => session.request({ ':authority': http2Name, ':path': '/held' }))
    await Promise.all(streams.map(async (stream) => {
      stream.on('error', () => undefined)
      stream.close(8)
      await once(stream, 'close')
    }))
  }
  t.equal((await ask(session)).status, 200)
  t.strictSame(world.refused, [])
})

t.test('small messages both ways, with the updates that some clients send for each, are no flood', async (t) => {
  const world = await startHttp2(t, ({ request, response }) => {
    response.writeHead(200, '', [])
    response.flushHeaders()
    request.on('data', (chunk: Uint8Array) => response.write(chunk))
    request.on('end', () => response.end())
  })
  const client = await world.raw(headers(1, held, false))
  const total = 20_000
  let sent = 0
  let echoed = 0
  const done = Promise.withResolvers<void>()
  // as much as comes back is sent again, and every frame is said to have been read
  client.socket.on('data', () => {
    const read = client.reader.frames.splice(0).filter((each) => each.type === 'data').reduce((sum, each) => sum + each.payload.length, 0)
    if (read === 0) return
    echoed += read
    if (echoed >= total) done.resolve()
    const more = Math.min(20, total - sent)
    sent += more
    client.send(windowUpdate(0, read), windowUpdate(1, read), ...Array.from({ length: more }, () => data(1, 'x')), ...(sent === total && more > 0 ? [data(1, '', true)] : []))
  })
  sent += 20
  client.send(...Array.from({ length: 20 }, () => data(1, 'x')))
  await Promise.race([done.promise, client.reader.closed()])
  t.equal(echoed, total)
  t.strictSame(world.refused, [])
})
