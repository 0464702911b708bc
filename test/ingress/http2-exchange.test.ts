import { once } from 'node:events'
import { constants } from 'node:http2'
import t from 'tap'
import { wholeBody } from '../../src/ingress/presence.ts'
import type { PlainArrival } from '../../src/ingress/plain.ts'
import { data, headers, requestFields, rstStream } from '../support/http2-frames.ts'
import { answerOf, ask, bodyOf, http2Name, startHttp2 } from '../support/http2-world.ts'

async function echo(arrival: PlainArrival): Promise<void> {
  const { response } = arrival
  const body = await bodyOf(arrival)
  response.writeHead(200, 'OK', ['Content-Type', 'text/plain', 'Content-Length', String(body.length)])
  response.end(body)
}

t.test('a request is what one of HTTP/1 would be, and its answer is all that was written', async (t) => {
  const world = await startHttp2(t, ({ request, response }) => {
    response.writeHead(200, 'Fine By Me', ['X-One', '1', 'Set-Cookie', 'a=1', 'set-cookie', 'b=2', 'Connection', 'close', 'Keep-Alive', 'timeout=5', 'Transfer-Encoding', 'chunked', 'Upgrade', 'h2c', 'Proxy-Connection', 'close', 'Content-Type', 'a', 'Content-Type', 'b'])
    response.end(`${request.method} ${request.url} ${request.httpVersion} ${request.complete}`)
  })
  const answer = await ask(world.connect(), { ':path': '/a?b=%2f', 'x-raw': '\u00e9', cookie: ['a=1', 'b=2'] })
  t.equal(answer.status, 200)
  t.equal(answer.body.toString(), 'GET /a?b=%2f 2.0 true')
  t.strictSame(answer.headers['set-cookie'], ['a=1', 'b=2'])
  t.equal(answer.headers['x-one'], '1')
  for (const name of ['connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'proxy-connection']) t.notOk(name in answer.headers, name)
  const [arrival] = world.arrivals
  t.strictSame(arrival?.request.rawHeaders, ['Host', http2Name, 'x-raw', '\u00e9', 'cookie', 'a=1; b=2'])
  t.equal(arrival?.isFlood, false)
  t.equal(arrival?.expectation, 'none')
})

t.test('bodies go both ways and each stream is read to its end', async (t) => {
  const world = await startHttp2(t, echo)
  const session = world.connect()
  for (const size of [0, 1, 16_384, 65_535, 65_536, 1_000_000]) {
    const sent = Buffer.alloc(size, 'x')
    const answer = await ask(session, { ':method': 'POST' }, sent)
    t.equal(answer.status, 200)
    t.ok(answer.body.equals(sent), `${size} bytes`)
    t.notOk(answer.isBroken)
  }
  t.strictSame(world.faults, [])
})

t.test('an answer that may have no content has none, and is whole', async (t) => {
  const world = await startHttp2(t, ({ request, response }) => {
    const status = Number(request.url?.slice(1))
    response.writeHead(status, '', ['Content-Length', '5'])
    if (status === 304) response.write('hello')
    response.end('hello')
  })
  const session = world.connect()
  for (const [method, status] of [['HEAD', 200], ['GET', 204], ['GET', 205], ['GET', 304], ['POST', 204]] as const) {
    const answer = await ask(session, { ':method': method, ':path': `/${status}` }, method === 'POST' ? 'x' : undefined)
    t.equal(answer.status, status)
    t.equal(answer.body.length, 0)
    t.notOk(answer.isBroken, `${method} ${status}`)
  }
})

t.test('trailers follow the body, with or without one', async (t) => {
  const world = await startHttp2(t, async ({ request, response }) => {
    response.writeHead(200, '', [])
    if (request.url === '/streamed') {
      response.flushHeaders()
      response.write('hello ')
      await new Promise((resolve) => setImmediate(resolve))
    }
    t.equal(response.chunkedEncoding, true)
    if (request.url !== '/none') response.addTrailers([['Grpc-Status', '0'], ['x-two', 'a'], ['x-two', 'b'], ['connection', 'close'], ['bad name', 'x'], ['x-bad', 'a\0b']])
    const closed = once(response as never, 'close')
    response.end(request.url === '/none' ? undefined : 'world')
    await closed
    t.equal(response.writableFinished, true)
  })
  const session = world.connect()
  for (const path of ['/streamed', '/whole', '/none']) {
    const answer = await ask(session, { ':path': path })
    t.notOk(answer.isBroken)
    t.equal(answer.body.toString(), path === '/streamed' ? 'hello world' : path === '/whole' ? 'world' : '')
    t.equal(answer.trailers['grpc-status'], path === '/none' ? undefined : '0')
    t.equal(answer.trailers['x-two'], path === '/none' ? undefined : 'a, b')
    t.equal(answer.trailers['x-bad'], undefined)
    t.equal(answer.trailers.connection, undefined)
  }
})

t.test('trailers follow a body of declared length for a client that asks for them', async (t) => {
  const world = await startHttp2(t, ({ request, response }) => {
    response.writeHead(200, '', ['content-length', '5'])
    t.equal(response.chunkedEncoding, request.url === '/asked')
    response.write('hello')
    response.addTrailers([['grpc-status', '0']])
    response.end()
  })
  const session = world.connect()
  const asked = await ask(session, { ':path': '/asked', te: 'trailers' })
  t.equal(asked.trailers['grpc-status'], '0')
  const plain = await ask(session, { ':path': '/' })
  t.equal(plain.trailers['grpc-status'], undefined)
  for (const { body, isBroken } of [asked, plain]) t.strictSame([body.toString(), isBroken], ['hello', false])
})

t.test('a 100 goes out when it is asked for, and an unknown expectation is told', async (t) => {
  const world = await startHttp2(t, async (arrival) => {
    if (arrival.expectation === 'expected') arrival.response.writeContinue()
    await echo(arrival)
  })
  const session = world.connect()
  const stream = session.request({ ':method': 'POST', ':authority': http2Name, expect: '100-continue' })
  await once(stream, 'continue')
  const answer = answerOf(stream)
  stream.end('hello')
  t.equal((await answer).body.toString(), 'hello')
  await ask(session, { ':method': 'POST', expect: 'miracles' }, '')
  t.equal(world.arrivals[1]?.expectation, 'unknown')
})

t.test('an answer that comes before its request is whole reaches the client, and the rest is not asked for', async (t) => {
  const world = await startHttp2(t, ({ response }) => {
    response.writeHead(413, '', ['Content-Length', '3'])
    response.end('no!')
  })
  const session = world.connect()
  const stream = session.request({ ':method': 'POST', ':authority': http2Name })
  stream.write(Buffer.alloc(1_000_000))
  const answer = await answerOf(stream)
  t.equal(answer.status, 413)
  t.equal(answer.body.toString(), 'no!')
  t.equal(answer.code, constants.NGHTTP2_NO_ERROR)
  t.equal((await ask(session)).status, 413, 'its session goes on')
})

t.test('an answer that breaks off is reset, so that nobody takes it for whole', async (t) => {
  const world = await startHttp2(t, ({ request, response }) => {
    response.writeHead(200, '', [])
    response.write('half')
    setImmediate(() => {
      if (request.url === '/source') request.socket.destroy()
      else if (request.url === '/request') request.destroy()
      else response.destroy()
    })
  })
  const session = world.connect()
  for (const path of ['/response', '/source']) {
    const answer = await ask(session, { ':path': path })
    t.ok(answer.isBroken)
    t.equal(answer.code, constants.NGHTTP2_INTERNAL_ERROR, path)
  }
  const stream = session.request({ ':method': 'POST', ':authority': http2Name, ':path': '/request' })
  stream.write('x')
  t.equal((await answerOf(stream)).code, constants.NGHTTP2_CANCEL)
  t.notOk(session.closed)
})

t.test('a client that resets its stream is gone for its door, and only there', async (t) => {
  let left: PlainArrival | undefined
  const gone = Promise.withResolvers<string[]>()
  const world = await startHttp2(t, async (arrival) => {
    if (arrival.request.url !== '/left') {
      await echo(arrival)
      return
    }
    left = arrival
    const seen: string[] = []
    const see = (what: string) => () => {
      seen.push(what)
      if (seen.length === 3) gone.resolve(seen)
    }
    arrival.request.socket.on('close', see('source'))
    arrival.request.on('close', see('request'))
    arrival.response.on('close', see('response'))
    arrival.response.writeHead(200, '', [])
    arrival.response.write('x')
  })
  const { send, reader } = await world.raw(headers(1, requestFields(http2Name, '/left', 'POST'), false), data(1, 'some'))
  await reader.next((frame) => frame.type === 'data')
  send(rstStream(1, constants.NGHTTP2_CANCEL))
  t.strictSame((await gone.promise).toSorted(), ['request', 'response', 'source'])
  t.equal(left?.request.complete, false)
  t.equal(left?.request.socket.destroyed, true)
  t.equal(left?.response.destroyed, true)
  t.equal(left?.response.writableFinished, false)
  t.equal(left?.request.socket.readableEnded, false)
  // what is written after that goes nowhere
  t.equal(left?.response.write('more'), true)
  left?.response.end()
  left?.response.destroy()
  send(headers(3, requestFields(http2Name, '/', 'POST'), false), data(3, 'on', true))
  t.equal((await reader.next((frame) => frame.type === 'data' && frame.stream === 3))?.payload.toString(), 'on')
  t.strictSame(world.faults, [])
})

t.test('an upload that is half closed still gets its whole answer', async (t) => {
  const release = Promise.withResolvers<void>()
  const world = await startHttp2(t, async (arrival) => {
    await bodyOf(arrival)
    await release.promise
    arrival.response.writeHead(200, '', [])
    arrival.response.end('late')
  })
  const stream = world.connect().request({ ':method': 'POST', ':authority': http2Name })
  const answer = answerOf(stream)
  stream.end('all of it')
  await once(stream, 'finish')
  release.resolve()
  t.equal((await answer).body.toString(), 'late')
})

t.test('a field that cannot be written is an error of its writer, and nothing goes out', async (t) => {
  const errors: unknown[] = []
  const world = await startHttp2(t, ({ response }) => {
    for (const fields of [['bad name', 'x'], ['x', 'a\r\nb: c'], ['x', 'a\0b'], [':status', '200'], ['', 'x']]) {
      try {
        response.writeHead(200, '', fields)
      } catch (error) {
        errors.push(error)
      }
    }
    response.writeHead(502, '', ['X-Padded', '  a \t', 'content-length', '0'])
    response.end()
  })
  const answer = await ask(world.connect())
  t.equal(answer.status, 502)
  t.equal(answer.headers['x-padded'], 'a')
  t.equal(errors.length, 5)
})

t.test('white space inside a field takes no longer than other text', async (t) => {
  const field = `x${' '.repeat(15_000)}x`
  const world = await startHttp2(t, ({ response }) => {
    response.writeHead(200, '', ['X-Wide', field, 'X-Edge', ' \t x \t '])
    response.addTrailers([['x-last', field]])
    response.end('x')
  })
  const session = world.connect()
  // looked through once for each place in it, these take longer than a test may
  for (let at = 0; at < 40; at += 1) {
    const { headers: fields } = await ask(session, {})
    t.equal(fields['x-wide'], field)
    t.equal(fields['x-edge'], 'x')
  }
})

t.test('names of objects are names of fields like any other', async (t) => {
  const world = await startHttp2(t, ({ request, response }) => {
    response.writeHead(200, '', ['__proto__', 'a', 'constructor', 'b'])
    response.addTrailers([['__proto__', 'c'], ['hasOwnProperty', 'd']])
    response.end(request.rawHeaders.slice(2).join(' '))
  })
  const session = world.connect()
  const fields = Object.create(null) as Record<string, string>
  for (const name of ['__proto__', 'constructor', 'hasownproperty']) fields[name] = 'x'
  const stream = session.request(Object.assign(Object.create(null), { ':authority': http2Name }, fields))
  const answer = await answerOf(stream)
  t.equal(answer.body.toString(), '__proto__ x constructor x hasownproperty x')
  t.equal(Object.getOwnPropertyDescriptor(answer.headers, '__proto__')?.value, 'a')
  t.strictSame(world.faults, [])
})

t.test('a door that throws costs its stream', async (t) => {
  const world = await startHttp2(t, () => {
    throw new Error('broken')
  })
  const session = world.connect()
  t.equal((await ask(session)).code, constants.NGHTTP2_INTERNAL_ERROR)
  t.equal((await ask(session)).code, constants.NGHTTP2_INTERNAL_ERROR)
  t.equal(world.faults.length, 2)
})

t.test('a body of frames of every size comes as it was sent, whenever it is read', async (t) => {
  const release = Promise.withResolvers<void>()
  const bodies = new Map<string | undefined, Buffer>()
  const world = await startHttp2(t, async (arrival) => {
    const { request, response } = arrival
    if (request.url !== '/now') await release.promise
    if (request.url === '/whole') await wholeBody(request)
    bodies.set(request.url, await bodyOf(arrival))
    response.writeHead(200, '', [])
    response.end()
  })
  const paths = ['/now', '/later', '/whole']
  const ids = [1, 3, 5]
  const { send, reader } = await world.raw(...paths.map((path, at) => headers(ids[at] ?? 0, requestFields(http2Name, path, 'POST'), false)))
  const parts = Array.from({ length: 600 }, (_, at) => Buffer.alloc(at % 64 === 0 ? 4_096 : 1 + (at * 7) % 90, String.fromCharCode(33 + at % 90)))
  for (const part of parts) for (const id of ids) send(data(id, part))
  for (const id of ids) send(data(id, '', true))
  t.ok(await reader.next((each) => each.type === 'headers' && each.stream === 1))
  release.resolve()
  for (const id of [3, 5]) t.ok(await reader.next((each) => each.type === 'headers' && each.stream === id))
  const sent = Buffer.concat(parts)
  for (const path of paths) t.ok(bodies.get(path)?.equals(sent), path)
  t.strictSame(world.faults, [])
})
