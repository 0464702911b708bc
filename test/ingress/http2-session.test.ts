import { constants } from 'node:http2'
import t from 'tap'
import type { PlainArrival } from '../../src/ingress/plain.ts'
import { continuation, data, fieldBlock, flags, frame, headers, ping, preface, requestFields, rstStream, settings, windowUpdate, type Field } from '../support/http2-frames.ts'
import { answerOf, ask, bodyOf, http2Name, startHttp2 } from '../support/http2-world.ts'

const base = requestFields(http2Name)
// RFC 8441 section 3
const enableConnectProtocol = 8
const [method = ['', ''], scheme = ['', ''], authority = ['', ''], path = ['', '']]: readonly Field[] = base

function hello({ response }: PlainArrival): void {
  response.writeHead(200, '', ['content-length', '5'])
  response.end('hello')
}

const malformed: Readonly<Record<string, readonly Field[]>> = {
  'no :method': [scheme, authority, path],
  'no :scheme': [method, authority, path],
  'no :path': [method, scheme, authority],
  'neither :authority nor Host': [method, scheme, path],
  ':method twice': [...base, method],
  ':scheme twice': [...base, scheme],
  ':authority twice': [...base, authority],
  ':path twice': [...base, path],
  ':path behind other fields': [method, scheme, authority, ['x', 'y'], path],
  'an unknown pseudo-header field': [[':foo', 'x'], ...base],
  'one of an answer': [[':status', '200'], ...base],
  'a scheme of http': [method, [':scheme', 'http'], authority, path],
  'an unknown scheme': [method, [':scheme', 'ftp'], authority, path],
  'a path without a slash': requestFields(http2Name, 'a'),
  'an absolute path': requestFields(http2Name, `https://${http2Name}/`),
  'an empty path': requestFields(http2Name, ''),
  'a star that is none of OPTIONS': requestFields(http2Name, '*'),
  'a space in the path': requestFields(http2Name, '/a b'),
  'a line end in the path': requestFields(http2Name, '/a\r\nx: y'),
  'NUL in the path': requestFields(http2Name, '/\0'),
  'a space before the path': requestFields(http2Name, ' /'),
  'a space behind the path': requestFields(http2Name, '/ '),
  'a space in the method': requestFields(http2Name, '/', 'G T'),
  'a line end in :authority': requestFields(`${http2Name}\r\n`),
  'a space in :authority': requestFields(` ${http2Name}`),
  'an empty :authority': requestFields(''),
  'a user in :authority': requestFields(`u@${http2Name}`),
  'upper case in a name': [...base, ['X-Up', '1']],
  'a space before a value': [...base, ['x', ' a']],
  'a space behind a value': [...base, ['x', 'a ']],
  'Connection': [...base, ['connection', 'close']],
  'Keep-Alive': [...base, ['keep-alive', 'timeout=5']],
  'Proxy-Connection': [...base, ['proxy-connection', 'close']],
  'Transfer-Encoding': [...base, ['transfer-encoding', 'chunked']],
  'Upgrade': [...base, ['upgrade', 'h2c']],
  'another TE than trailers': [...base, ['te', 'gzip']],
  'two lengths': [...base, ['content-length', '0'], ['content-length', '0']],
  'a length that is no number': [...base, ['content-length', '+0']],
  'a length without content': [...base, ['content-length', '5']],
  'two Host fields': [...base, ['host', http2Name], ['host', http2Name]],
  'CONNECT': [[':method', 'CONNECT'], [':authority', `${http2Name}:443`]],
  'extended CONNECT': [[':method', 'CONNECT'], [':protocol', 'websocket'], scheme, authority, path],
}

for (const [what, fields] of Object.entries(malformed)) {
  t.test(`a request with ${what} is reset and recorded once, never reaches the door, and its session goes on`, async (t) => {
    const world = await startHttp2(t, hello)
    const { send, reader } = await world.raw(headers(1, base))
    await reader.next((each) => each.type === 'data')
    send(headers(3, fields))
    t.equal(await reader.reset(3), 'PROTOCOL_ERROR')
    send(headers(5, base))
    t.ok(await reader.next((each) => each.type === 'data' && each.stream === 5))
    await world.refusals(1)
    t.equal(world.arrivals.length, 2)
    t.equal(world.refused.length, 1)
    t.strictSame(world.faults, [])
  })
}

t.test('a malformed request is recorded before its client hears of it, with what is known of it', async (t) => {
  const world = await startHttp2(t, hello)
  const { reader } = await world.raw(headers(1, [method, [':scheme', 'http'], authority, path, ['user-agent', 'x/1']]))
  const [refused] = await world.refusals(1)
  t.match(refused, { code: 'field_syntax', about: { method: 'GET', rawTarget: '/', userAgent: 'x/1' } })
  t.equal(await reader.reset(1), 'PROTOCOL_ERROR')
})

t.test('a malformed request that is the first and the last of its connection is recorded while it is open', async (t) => {
  const world = await startHttp2(t, hello)
  const { reader } = await world.raw(headers(1, [...base, ['X', '1']]))
  await reader.reset(1)
  t.match(await world.refusals(1), [{ code: 'framing', about: { rawTarget: '' } }])
  t.equal(reader.isClosed, false)
})

t.test('numbers that a client leaves out at first are no requests', async (t) => {
  const world = await startHttp2(t, hello)
  const { send, reader } = await world.raw(headers(15, base))
  await reader.next((each) => each.type === 'data')
  send(headers(17, base))
  await reader.next((each) => each.type === 'data' && each.stream === 17)
  t.strictSame(world.refused, [])
})

t.test('numbers that are left out by the hundred end the connection', async (t) => {
  const world = await startHttp2(t, hello)
  const { send, reader } = await world.raw(headers(1, base))
  await reader.next((each) => each.type === 'data')
  send(headers(2_001, base))
  t.equal(await reader.goaway(), 'ENHANCE_YOUR_CALM')
  t.equal((await world.refusals(1)).length, 1)
})

t.test('a malformed request that is the last of its connection is recorded at its end', async (t) => {
  const world = await startHttp2(t, hello)
  const { socket, reader } = await world.raw(headers(1, [...base, ['X', '1']]))
  await reader.reset(1)
  socket.destroy()
  t.match((await world.refusals(1))[0], { code: 'framing' })
})

const faults: Readonly<Record<string, readonly Buffer[]>> = {
  'no preface': [Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n')],
  'something before its settings': [preface, headers(1, base)],
  'a stream of an even number': [preface, settings(), headers(2, base)],
  'DATA of the connection': [preface, settings(), data(0, 'x')],
  'DATA of a stream that is idle': [preface, settings(), data(5, 'x')],
  'RST_STREAM of a stream that is idle': [preface, settings(), rstStream(5, 8)],
  'DATA behind the end of a stream': [preface, settings(), headers(1, requestFields(http2Name, '/held')), data(1, 'x')],
  'a window update of nothing': [preface, settings(), windowUpdate(0, 0)],
  'a window that overflows': [preface, settings(), windowUpdate(0, 0x7fffffff)],
  'a window of a stream that overflows': [preface, settings(), headers(1, requestFields(http2Name, '/held')), windowUpdate(1, 0x7fffffff)],
  'more content than the window': [preface, settings(), headers(1, requestFields(http2Name, '/held'), false), ...Array.from({ length: 6 }, () => data(1, Buffer.alloc(16_384)))],
  'a frame that is too large': [preface, settings(), data(1, Buffer.alloc(16_385))],
  'settings that are no list': [preface, settings(), frame('settings', 0, 0, Buffer.alloc(5))],
  'a setting out of its range': [preface, settings({ 4: 0xffffffff })],
  'a PING of seven bytes': [preface, settings(), frame('ping', 0, 0, Buffer.alloc(7))],
  'a PING of a stream': [preface, settings(), frame('ping', 0, 1, Buffer.alloc(8))],
  'a field block that cannot be read': [preface, settings(), frame('headers', flags.endHeaders, 1, Buffer.alloc(6, 0xff))],
  'a frame within a field block': [preface, settings(), frame('headers', 0, 1, fieldBlock(base)), ping()],
  'CONTINUATION of nothing': [preface, settings(), continuation(1, Buffer.alloc(0), true)],
  'a promise': [preface, settings(), frame('pushPromise', flags.endHeaders, 1, Buffer.alloc(8))],
  'more padding than there is': [preface, settings(), headers(1, base, false), frame('data', flags.padded, 1, Buffer.of(200, 0))],
}

for (const [what, frames] of Object.entries(faults)) {
  t.test(`a connection that sends ${what} is told, closed and recorded once`, async (t) => {
    const world = await startHttp2(t, ({ request, response }) => {
      if (request.url !== '/held') hello({ response } as PlainArrival)
    })
    const { send, reader } = await world.bare()
    send(...frames)
    await reader.closed()
    t.not(await reader.goaway(), 'NO_ERROR')
    t.match(await world.refusals(1), [{ code: 'framing' }])
    t.equal(world.leg.size, 0)
    t.equal(world.refused.length, 1)
    for (const { request, response } of world.arrivals) t.ok(request.socket.destroyed || response.closed)
    t.strictSame(world.faults, [])
  })
}

t.test('content that does not agree with its length ends its request', async (t) => {
  const world = await startHttp2(t, async (arrival) => {
    await bodyOf(arrival)
    if (arrival.request.complete) hello(arrival)
  })
  const fields = requestFields(http2Name, '/', 'POST', [['content-length', '6']])
  const { reader } = await world.raw(headers(1, fields, false), data(1, 'hello', true))
  t.equal(await reader.reset(1), 'PROTOCOL_ERROR')
  const long = await world.raw(headers(1, fields, false), data(1, 'hello, world'))
  await long.reader.next((each) => each.type === 'rstStream' || each.type === 'goaway')
  for (const { request } of world.arrivals) t.equal(request.complete, false)
  t.notOk(reader.frames.some((each) => each.type === 'headers'))
})

t.test('trailers of a request end it and go nowhere; malformed ones reset it', async (t) => {
  const world = await startHttp2(t, async (arrival) => {
    const body = await bodyOf(arrival)
    arrival.response.writeHead(200, '', [])
    arrival.response.end(`${body.toString()} ${arrival.request.complete} ${arrival.request.rawHeaders.join()}`)
  })
  const post = requestFields(http2Name, '/', 'POST')
  const { send, reader } = await world.raw(headers(1, post, false), data(1, 'hello'), headers(1, [['x-trailer', 'evil']]))
  const answer = await reader.next((each) => each.type === 'data' && each.stream === 1)
  t.equal(answer?.payload.toString(), `hello true Host,${http2Name}`)
  send(headers(3, post, false), headers(3, [[':path', '/evil']]))
  t.equal(await reader.reset(3), 'PROTOCOL_ERROR')
  send(headers(5, post, false), headers(5, [['x', 'does not end the stream']], false))
  t.equal(await reader.reset(5), 'PROTOCOL_ERROR')
})

t.test('too many fields and too large ones reach the door within bounds, and are reset beyond them', async (t) => {
  const world = await startHttp2(t, hello)
  const many = (count: number): Field[] => [...base, ...Array.from({ length: count }, () => ['x', 'a'] as const)]
  const { send, reader } = await world.raw(headers(1, many(201)), headers(3, [...base, ['x', 'a'.repeat(16_000)]]))
  t.ok(await reader.next((each) => each.type === 'headers' && each.stream === 1))
  t.ok(await reader.next((each) => each.type === 'headers' && each.stream === 3))
  send(headers(5, many(410)))
  t.equal(await reader.reset(5), 'ENHANCE_YOUR_CALM')
  const block = fieldBlock([...base, ['x', 'a'.repeat(40_000)]])
  send(frame('headers', flags.endStream, 7, block.subarray(0, 16_384)), continuation(7, block.subarray(16_384, 32_768)), continuation(7, block.subarray(32_768), true))
  t.equal(await reader.reset(7), 'ENHANCE_YOUR_CALM')
  t.equal((await world.refusals(2)).length, 2)
  t.equal(world.arrivals.length, 2)
})

t.test('our settings say what is offered', async (t) => {
  const world = await startHttp2(t, hello)
  const { reader } = await world.raw()
  const sent = await reader.next((each) => each.type === 'settings' && (each.flags & flags.ack) === 0)
  const values = new Map<number, number>()
  const payload = sent?.payload ?? Buffer.alloc(0)
  for (let at = 0; at < payload.length; at += 6) values.set(payload.readUInt16BE(at), payload.readUInt32BE(at + 2))
  t.equal(values.get(constants.NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS), 100)
  t.equal(values.get(constants.NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE), 32_768)
  t.not(values.get(enableConnectProtocol), 1)
})

t.test('a stream is judged as its connection, and closes nothing but itself', async (t) => {
  const world = await startHttp2(t, (arrival) => {
    t.equal(arrival.connection.isClosing, false)
    t.equal(arrival.connection.owed, 0)
    t.equal(arrival.connection.client.address, '127.0.0.1')
    arrival.connection.isClosing = true
    hello(arrival)
  })
  const session = world.connect()
  for (const _ of [1, 2, 3]) t.equal((await ask(session)).status, 200)
})

t.test('a connection that does not begin is closed', async (t) => {
  const world = await startHttp2(t, hello, { headersTimeoutMs: 50 })
  const silent = await world.bare()
  await silent.reader.closed()
  t.match(await world.refusals(1), [{ code: 'request_timeout' }])
  const unsettled = await world.bare()
  unsettled.send(preface)
  await unsettled.reader.closed()
  t.equal((await world.refusals(2)).length, 2)
  t.equal(world.leg.size, 0)
})

t.test('a connection whose client never says that our settings are in force is closed', async (t) => {
  const world = await startHttp2(t, hello, { headersTimeoutMs: 50 })
  const { send, reader } = await world.bare()
  send(preface, settings())
  t.equal(await reader.goaway(), 'SETTINGS_TIMEOUT')
  await reader.closed()
})

const settingsAck = frame('settings', flags.ack, 0)

t.test('a field block that does not end is not waited for', async (t) => {
  const world = await startHttp2(t, () => undefined, { headersTimeoutMs: 400 })
  const { send, reader } = await world.bare()
  send(preface, settings(), settingsAck, headers(1, base), frame('headers', 0, 3, fieldBlock(base)))
  await reader.closed()
  t.match(await world.refusals(1), [{ code: 'request_timeout' }])
})

t.test('a body that stops arriving is cut, and a slow one is not', async (t) => {
  const world = await startHttp2(t, async (arrival) => {
    arrival.bodies.watch(arrival.request)
    await bodyOf(arrival)
    if (arrival.request.complete) hello(arrival)
  }, { requestTimeoutMs: 200 })
  const { send, reader } = await world.raw(headers(1, requestFields(http2Name, '/', 'POST'), false), data(1, 'x'))
  send(headers(3, requestFields(http2Name, '/', 'POST'), false))
  const drip = setInterval(() => send(data(3, 'x')), 20)
  t.equal(await reader.reset(1), 'CANCEL')
  clearInterval(drip)
  send(data(3, 'x', true))
  t.ok(await reader.next((each) => each.type === 'data' && each.stream === 3))
})

t.test('an answer that its client does not take is cut', async (t) => {
  const world = await startHttp2(t, hello, { requestTimeoutMs: 50 })
  const { send, reader } = await world.bare()
  send(preface, settings({ 4: 0 }), settingsAck, headers(1, base))
  t.equal(await reader.reset(1), 'INTERNAL_ERROR')
  t.equal(reader.isClosed, false)
})

t.test('an idle connection is closed in peace', async (t) => {
  const world = await startHttp2(t, hello, { keepAliveTimeoutMs: 50 })
  const { reader } = await world.raw(headers(1, base))
  t.ok(await reader.next((each) => each.type === 'data'))
  t.equal(await reader.goaway(), 'NO_ERROR')
  await reader.closed()
  while (world.leg.size > 0) await new Promise((resolve) => setImmediate(resolve))
  t.strictSame(world.refused, [])
})

t.test('a drain says GOAWAY, takes no new stream, and lets those that are open finish', async (t) => {
  const release = Promise.withResolvers<void>()
  const world = await startHttp2(t, async (arrival) => {
    await release.promise
    hello(arrival)
  })
  const session = world.connect()
  const idle = await world.raw()
  const stream = session.request({ ':authority': http2Name })
  const answer = answerOf(stream)
  while (world.arrivals.length === 0) await new Promise((resolve) => setImmediate(resolve))
  const goaway = new Promise((resolve) => session.once('goaway', resolve))
  world.leg.drain()
  t.equal(await goaway, 0)
  await idle.reader.closed()
  release.resolve()
  t.equal((await answer).body.toString(), 'hello')
  if (!session.destroyed) await new Promise((resolve) => session.once('close', resolve))
  t.equal(world.arrivals.length, 1)
})

t.test('the leg cuts everything when it is told to', async (t) => {
  const world = await startHttp2(t, () => undefined)
  const { reader } = await world.raw(headers(1, base))
  while (world.arrivals.length === 0) await new Promise((resolve) => setImmediate(resolve))
  world.leg.destroy()
  await reader.closed()
  t.equal(world.arrivals[0]?.request.socket.destroyed, true)
})

t.test('a client that leaves takes its streams with it', async (t) => {
  const world = await startHttp2(t, () => undefined)
  const { socket } = await world.raw(headers(1, base), headers(3, requestFields(http2Name, '/', 'POST'), false), data(3, 'x'))
  while (world.arrivals.length < 2) await new Promise((resolve) => setImmediate(resolve))
  const gone = world.arrivals.map(({ response }) => new Promise<void>((resolve) => response.on('close', () => resolve())))
  socket.destroy()
  await Promise.all(gone)
  while (world.leg.size > 0) await new Promise((resolve) => setImmediate(resolve))
  t.strictSame(world.refused, [])
})

t.test('a connection that errs behind its GOAWAY, of which nothing is heard any more, is closed', async (t) => {
  const world = await startHttp2(t, () => undefined, { headersTimeoutMs: 100 })
  const { send, reader } = await world.raw(headers(1, base), frame('goaway', 0, 0, Buffer.alloc(8)))
  await reader.goaway()
  send(frame('data', 0, 1, Buffer.alloc(10), 0x7fffff))
  await reader.closed()
  t.equal(world.arrivals[0]?.request.socket.destroyed, true)
})

t.test('a connection that is closing goes on for as long as its streams do', async (t) => {
  const release = Promise.withResolvers<void>()
  const world = await startHttp2(t, async (arrival) => {
    await release.promise
    hello(arrival)
  }, { headersTimeoutMs: 20 })
  const { send, reader } = await world.raw(headers(1, base), frame('goaway', 0, 0, Buffer.alloc(8)))
  const goaways = (): number => reader.frames.filter((each) => each.type === 'goaway').length
  // looked at again and again
  while (goaways() < 4 && !reader.isClosed) await new Promise((resolve) => setTimeout(resolve, 10))
  send(ping())
  release.resolve()
  t.ok(await reader.next((each) => each.type === 'data'))
})
