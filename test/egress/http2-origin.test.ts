import http2 from 'node:http2'
import type tls from 'node:tls'
import t, { type Test } from 'tap'
import { closed, httpsTo, tlsPlace } from './tls-origin.ts'
import { data, fieldBlock, flag, frame, frameType, goaway, headers, rawHttp2, reset, uint32, type RawHttp2 } from './raw-http2.ts'
import { connectTo, exchange, listen, proxyTo, readAll, type ProxyFixture } from './wire.ts'

const place = await tlsPlace()
const issued = await place.certificates.issue(['origin.test'])
const get = (method = 'GET', more = '') => `${method} http://origin.test/a?b HTTP/1.1\r\nHost: origin.test\r\nConnection: close\r\n${more}\r\n`
const ok = [':status', '200'] as const
const ended = flag.endHeaders | flag.endStream

type Answer = (socket: tls.TLSSocket, stream: number, index: number) => void

function say(...parts: ((stream: number) => Buffer)[]): Answer {
  return (socket, stream) => socket.write(Buffer.concat(parts.map((part) => part(stream))))
}

const head = (...fields: readonly (readonly [string, string])[]) => (stream: number): Buffer => headers(stream, fields)
const end = (text: string) => (stream: number): Buffer => data(stream, text, flag.endStream)
const part = (text: string) => (stream: number): Buffer => data(stream, text)
const fine = say(head(ok, ['content-length', '4']), end('fine'))

async function between(t: Test, answer: Answer, options: Parameters<typeof proxyTo>[1] = {}): Promise<{ readonly origin: RawHttp2; readonly proxy: ProxyFixture; readonly offers: readonly string[] }> {
  const origin = await rawHttp2(issued, answer)
  const https = httpsTo(place, origin.port)
  const proxy = await proxyTo(origin.port, options, () => https)
  t.teardown(() => {
    proxy.close()
    origin.close()
  })
  return { origin, proxy, offers: https.offers }
}

t.test('an origin that speaks HTTP/2 alone is found out once, and its connection serves one exchange after the other', async (t) => {
  const { origin, proxy, offers } = await between(t, fine)
  for (let i = 0; i < 3; i += 1) t.match(await exchange(proxy.port, get()), /^HTTP\/1\.1 200 OK\r\ncontent-length: 4\r\nVia: 2\.0 sally-test\r\n[^]*fine$/)
  t.same(offers, ['http/1.1', 'h2'])
  t.equal(origin.connections(), 1)
  t.same(origin.frames.filter(({ type }) => type === frameType.headers).map(({ stream }) => stream), [1, 3, 5])
})

t.test('what HTTP/2 has and HTTP/1 has not passes as HTTP/1 says it', async (t) => {
  const cases: [name: string, method: string, answer: Answer, want: RegExp][] = [
    ['no length', 'GET', say(head(ok), end('fine')), /Transfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\n\r\n$/],
    ['no content', 'GET', say((id) => headers(id, [ok], ended)), /\r\n\r\n0\r\n\r\n$/],
    ['trailers', 'GET', say(head(ok), part('fine'), (id) => headers(id, [['grpc-status', '0'], ['set-cookie', 'a']], ended)), /\r\n\r\n4\r\nfine\r\n0\r\ngrpc-status: 0\r\n\r\n$/],
    ['interim answers', 'GET', say(head([':status', '103'], ['link', 'x']), head([':status', '100']), head(ok), end('fine')), /^HTTP\/1\.1 200 OK\r\n(?!link)[^]*\r\n\r\n4\r\nfine\r\n0\r\n\r\n$/],
    ['HEAD', 'HEAD', say((id) => headers(id, [ok, ['content-length', '4']], ended)), /^HTTP\/1\.1 200 OK\r\ncontent-length: 4\r\n[^]*\r\n\r\n$/],
    ['204', 'GET', say((id) => headers(id, [[':status', '204']], ended)), /^HTTP\/1\.1 204 No Content\r\n(?![^]*encoding)[^]*\r\n\r\n$/],
    ['304 with a length', 'GET', say((id) => headers(id, [[':status', '304'], ['content-length', '9']], ended)), /^HTTP\/1\.1 304 Not Modified\r\ncontent-length: 9\r\n[^]*\r\n\r\n$/],
    ['an unknown status', 'GET', say((id) => headers(id, [[':status', '299']], ended)), /^HTTP\/1\.1 299 \r\n/],
    ['fields twice', 'GET', say((id) => headers(id, [ok, ['set-cookie', 'a'], ['x-a', '1'], ['set-cookie', 'b']], ended)), /\r\nset-cookie: a\r\nx-a: 1\r\nset-cookie: b\r\n/],
    ['Alt-Svc', 'GET', say((id) => frame(frameType.altsvc, 0, id, '\0\0h3=":443"'), (id) => headers(id, [ok, ['alt-svc', 'h3=":443"'], ['x-kept', '1']], ended)), /^(?![^]*(?:alt-svc|h3))[^]*x-kept: 1/],
    // nghttp2 leaves them out (RFC 9113 section 8.2.1 would have the answer refused)
    ['names and values that are none', 'GET', say(head(ok, ['x evil', '1'], ['x-a', '1\r\nevil: 1'], ['x-b', '1\0evil'], ['x-kept', '1']), end('fine')), /^HTTP\/1\.1 200 OK\r\nx-kept: 1\r\nVia(?![^]*evil)/],
    ['a ping and an unknown frame', 'GET', say(() => frame(frameType.ping, 0, 0, '12345678'), () => frame(0xee, 0, 0, 'x'), head(ok), end('fine')), /fine\r\n0\r\n\r\n$/],
  ]
  for (const [name, method, answer, want] of cases) {
    const { proxy } = await between(t, answer)
    t.match(await exchange(proxy.port, get(method)), want, name)
    t.match(await proxy.result(0), { outcome: 'completed' }, name)
  }
})

const many = (count: number) => Array.from({ length: count }, (_, i) => [`x-${i}`, 'v'] as const)
const broken: [name: string, answer: Answer, code: string | RegExp][] = [
  ['no status', say(head(['x-a', '1']), end('evil')), 'origin_protocol_error'],
  ['two of them', say(head(ok, ok), end('evil')), 'origin_protocol_error'],
  ['a status of 99', say(head([':status', '099']), end('evil')), 'origin_protocol_error'],
  ['a status that is no number', say(head([':status', '2oo']), end('evil')), 'origin_protocol_error'],
  ['a status of 101', say(head([':status', '101']), end('evil')), 'origin_protocol_error'],
  ['a pseudo-field that is the request\'s', say(head(ok, [':path', '/evil']), end('evil')), 'origin_protocol_error'],
  ['an unknown pseudo-field', say(head(ok, [':evil', '1']), end('evil')), 'origin_protocol_error'],
  ['the status behind other fields', say(head(['x-a', '1'], ok), end('evil')), 'origin_protocol_error'],
  ['a name in capitals', say(head(ok, ['X-Evil', '1']), end('evil')), 'origin_protocol_error'],
  ['Transfer-Encoding', say(head(ok, ['transfer-encoding', 'chunked']), end('0\r\n\r\nevil')), 'origin_protocol_error'],
  ['Connection', say(head(ok, ['connection', 'close']), end('evil')), 'origin_protocol_error'],
  ['an interim status and no more', say((id) => headers(id, [[':status', '103']], ended)), 'origin_protocol_error'],
  ['Content-Length twice', say(head(ok, ['content-length', '4'], ['content-length', '4']), end('evil')), 'origin_protocol_error'],
  ['a signed Content-Length', say(head(ok, ['content-length', '+4']), end('evil')), 'origin_protocol_error'],
  ['a Content-Length that is a list', say(head(ok, ['content-length', '4, 4']), end('evil')), 'origin_protocol_error'],
  ['content before its head', say(part('evil'), head(ok), end('evil')), 'origin_protocol_error'],
  ['a stream that nobody opened', say((id) => headers(id + 100, [ok], ended)), 'origin_protocol_error'],
  ['a pushed answer', say((id) => frame(frameType.push, flag.endHeaders, id, Buffer.concat([uint32(2), fieldBlock([[':method', 'GET'], [':path', '/evil'], [':scheme', 'https'], [':authority', 'origin.test']])]))), 'origin_protocol_error'],
  ['HTTP/1.1', (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'), 'origin_protocol_error'],
  ['a frame larger than agreed', say((id) => frame(frameType.data, 0, id, Buffer.alloc(20_000))), 'origin_protocol_error'],
  ['a thousand fields', say(head(ok, ...many(1_000)), end('evil')), /connection_reset|origin_protocol_error/],
  ['a field of 70,000 bytes', say((id) => frame(frameType.headers, 0, id, fieldBlock([ok, ['x-a', 'a'.repeat(16_000)]])),
    ...Array.from({ length: 4 }, () => (id: number) => frame(frameType.continuation, 0, id, fieldBlock([['x-a', 'a'.repeat(16_000)]]))),
    (id) => frame(frameType.continuation, flag.endHeaders, id), end('evil')), /connection_reset|origin_protocol_error/],
  ['fields that never end', say((id) => frame(frameType.headers, 0, id, fieldBlock([ok])), ...Array.from({ length: 200 }, (_, i) => (id: number) => frame(frameType.continuation, 0, id, fieldBlock([[`x-${i}`, 'a'.repeat(8_000)]])))), /connection_reset|origin_protocol_error/],
  ['a thousand interim answers', say(...Array.from({ length: 1_000 }, () => head([':status', '103'], ['link', 'x'])), head(ok), end('evil')), 'origin_protocol_error'],
  ['a window beyond all bounds', say((id) => frame(frameType.window, 0, id, uint32(0x7fffffff)), head(ok), end('evil')), 'origin_protocol_error'],
  ['ten thousand pings', (socket, stream) => {
    for (let i = 0; i < 10_000; i += 1) socket.write(frame(frameType.ping, 0, 0, '12345678'))
    socket.write(Buffer.concat([reset(stream, 2)]))
  }, /connection_reset|origin_protocol_error/],
  ['a reset that says protocol error', say((id) => reset(id, 1)), 'origin_protocol_error'],
  ['a reset that says internal error', say((id) => reset(id, 2)), 'connection_reset'],
  ['a reset that says calm down', say((id) => reset(id, 11)), 'connection_reset'],
  ['a goaway that says protocol error', say(() => goaway(0, 1)), 'origin_protocol_error'],
  ['a close', (socket) => socket.end(), 'connection_reset'],
]
for (const [name, answer, code] of broken) {
  t.test(`an HTTP/2 answer with ${name} is refused, and its connection is not used again`, async (t) => {
    const { origin, proxy } = await between(t, (socket, stream, index) => (index === 0 ? answer : fine)(socket, stream, index))
    const text = await exchange(proxy.port, get('POST', 'Content-Length: 0\r\n'))
    t.match(text, /^HTTP\/1\.1 502 /)
    t.notMatch(text, /evil/)
    const result = await proxy.result(0)
    t.match(result, { outcome: 'failed', headSent: false })
    t.match(result.error?.code, code)
    t.match(await exchange(proxy.port, get()), /fine$/)
    t.equal(origin.connections(), 2)
  })
}

const breaking: [name: string, answer: Answer][] = [
  ['a reset without an error', say(head(ok), part('good'), (id) => reset(id, 0))],
  ['a reset', say(head(ok), part('good'), (id) => reset(id, 8))],
  ['an end before Content-Length is reached', say(head(ok, ['content-length', '40']), end('good'))],
  ['content beyond Content-Length', say(head(ok, ['content-length', '6']), part('good'), end('evil'))],
  ['content without a length, and a close', (socket, id) => socket.end(Buffer.concat([headers(id, [ok]), data(id, 'good')]))],
  ['a goaway with an error', say(head(ok), part('good'), () => goaway(1, 2))],
  ['trailers with a pseudo-field', say(head(ok), part('good'), (id) => headers(id, [[':status', '200']], ended))],
  ['trailers that end nothing', say(head(ok), part('good'), head(['x-a', '1']), end('evil'))],
]
for (const [name, answer] of breaking) {
  t.test(`an HTTP/2 answer that breaks by ${name} never looks complete to the client`, async (t) => {
    const { origin, proxy } = await between(t, (socket, stream, index) => (index === 0 ? answer : fine)(socket, stream, index))
    const text = await exchange(proxy.port, get())
    t.match(text, /^HTTP\/1\.1 200 OK|^$/)
    t.notMatch(text, /evil/)
    t.notMatch(text, /\r\n0\r\n\r\n$/)
    const result = await proxy.result(0)
    t.match(result, { outcome: 'failed', headSent: true, status: 200 })
    t.ok(['origin_incomplete', 'origin_protocol_error'].includes(result.error?.code ?? ''), result.error?.code ?? 'no code')
    t.match(await exchange(proxy.port, get()), /fine$/)
    t.equal(origin.connections(), 2)
  })
}

t.test('a request that the origin says it has not looked at is sent once more, on a new connection', async (t) => {
  for (const [name, first] of [['a refused stream', say((id) => reset(id, 7))], ['a goaway', say(() => goaway(0, 0))]] as const) {
    const { origin, proxy } = await between(t, (socket, stream, index) => (index === 0 ? first : fine)(socket, stream, index))
    t.match(await exchange(proxy.port, get('POST', 'Content-Length: 0\r\n')), /fine$/, name)
    t.equal(origin.connections(), 2, name)
    const twice = await between(t, first)
    t.match(await exchange(twice.proxy.port, get()), /connection_reset$/, name)
    t.equal(twice.origin.connections(), 2, name)
  }
})

t.test('a kept-alive connection that goes when it is used again costs a GET nothing and a POST its answer', async (t) => {
  for (const [method, want] of [['GET', /fine$/], ['POST', /connection_reset$/]] as const) {
    const { proxy } = await between(t, (socket, stream, index) => {
      if (index === 1) socket.destroy()
      else fine(socket, stream, index)
    })
    t.match(await exchange(proxy.port, get()), /fine$/)
    t.match(await exchange(proxy.port, get(method, method === 'POST' ? 'Content-Length: 0\r\n' : '')), want)
  }
})

t.test('an idle connection closes in time, when its origin says goodbye, and when it closes', async (t) => {
  const sockets: tls.TLSSocket[] = []
  const { origin, proxy } = await between(t, (socket, stream, index) => {
    sockets.push(socket)
    fine(socket, stream, index)
  }, { keepAliveMs: 50 })
  await exchange(proxy.port, get())
  const [first] = sockets
  if (first === undefined) throw new Error('no connection')
  await closed(first)
  while (proxy.forwarder.pools > 0) await new Promise((resolve) => setImmediate(resolve))
  const lasting = await between(t, (socket, stream, index) => {
    fine(socket, stream, index)
    if (index === 0) socket.write(goaway(stream, 0))
    else socket.end()
  })
  for (let count = 1; count <= 3; count += 1) {
    t.match(await exchange(lasting.proxy.port, get()), /fine$/)
    while (lasting.proxy.forwarder.pools > 0) await new Promise((resolve) => setImmediate(resolve))
    t.equal(lasting.origin.connections(), count)
  }
  t.equal(origin.connections(), 1)
})

t.test('content where none can be never reaches the client', async (t) => {
  for (const [method, status] of [['HEAD', '200'], ['GET', '204'], ['GET', '304']] as const) {
    const { proxy } = await between(t, say(head([':status', status], ['x-a', '1']), end('evil')))
    t.notMatch(await exchange(proxy.port, get(method)), /evil/, `${method} ${status}`)
  }
})

t.test('a client that is slow to send its request is not the origin\'s silence', async (t) => {
  const server = http2.createSecureServer(issued, (request, response) => {
    request.resume()
    request.on('end', () => response.end('fine'))
  })
  const origin = await listen(server)
  const https = httpsTo(place, origin.port)
  const proxy = await proxyTo(origin.port, { originTimeoutMs: 1_500 }, () => https)
  t.teardown(() => [proxy, origin].map(({ close }) => close()))
  const client = await connectTo(proxy.port)
  client.write(`${get('POST', 'Content-Length: 10\r\n')}12345`)
  // well beyond the limit, which leaves a busy machine time to shake hands and to answer
  await new Promise((resolve) => setTimeout(resolve, 3_000))
  client.write('67890')
  t.match((await readAll(client)).toString(), /^HTTP\/1\.1 200 [^]*fine/)
})

t.test('an origin that says nothing, or falls silent within its answer, is origin_timeout', async (t) => {
  const silent = await between(t, () => {}, { originTimeoutMs: 100 })
  t.match(await exchange(silent.proxy.port, get()), /^HTTP\/1\.1 502 [^]*origin_timeout$/)
  const stalls = await between(t, say(head(ok, ['content-length', '40']), part('good')), { originTimeoutMs: 1_500 })
  t.match(await exchange(stalls.proxy.port, get()), /good$/)
  t.match(await stalls.proxy.result(0), { outcome: 'failed', headSent: true, error: { code: 'origin_timeout' } })
})

t.test('a client that leaves within the answer resets the stream at the origin, and closes its connection', async (t) => {
  const gone = Promise.withResolvers<tls.TLSSocket>()
  const { origin, proxy } = await between(t, (socket, stream) => {
    socket.write(Buffer.concat([headers(stream, [ok]), data(stream, 'good')]))
    gone.resolve(socket)
  })
  const client = await connectTo(proxy.port)
  client.write(get())
  const socket = await gone.promise
  client.resetAndDestroy()
  await closed(socket)
  t.match(await proxy.result(0), { outcome: 'client_closed' })
  t.ok(origin.frames.some(({ type, payload }) => type === frameType.reset && payload.equals(uint32(8))))
})
