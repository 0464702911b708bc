import { once } from 'node:events'
import http2 from 'node:http2'
import https from 'node:https'
import type net from 'node:net'
import t, { type Test } from 'tap'
import { OriginProtocols, needsHttp2, takesTrailers } from '../../src/egress/origin-protocols.ts'
import { httpsTo, tlsPlace, type Https } from './tls-origin.ts'
import { ask, http2Front, type Http2Front } from './http2-front.ts'
import { listen } from './wire.ts'

const place = await tlsPlace()
const { cert, key } = await place.certificates.issue(['origin.test'])
const grpc = { ':method': 'POST', ':path': '/echo.Echo/Say', 'content-type': 'application/grpc+proto', te: 'trailers' }

async function frontTo(t: Test, server: net.Server): Promise<{ readonly front: Http2Front; readonly https: Https }> {
  const origin = await listen(server)
  const toOrigin = httpsTo(place, origin.port)
  const front = await http2Front(toOrigin)
  t.teardown(() => [front, origin].map(({ close }) => close()))
  return { front, https: toOrigin }
}

interface Seen {
  readonly headers: http2.IncomingHttpHeaders
  body: string
  readonly trailers: string[]
}

/** Answers every stream with its body, and trailers as gRPC has them. */
function grpcOrigin(seen: Seen[], over: http2.SecureServerOptions = {}): net.Server {
  const server = http2.createSecureServer({ cert, key, ...over })
  server.on('stream', (stream: http2.ServerHttp2Stream, headers) => {
    stream.on('error', () => {})
    const each: Seen = { headers, body: '', trailers: [] }
    seen.push(each)
    stream.on('trailers', (fields: http2.IncomingHttpHeaders) => each.trailers.push(...Object.keys(fields)))
    stream.respond({ ':status': 200, 'content-type': 'application/grpc+proto' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'grpc-message': 'fine', 'grpc-status-details-bin': 'CAA', 'set-cookie': 'a=1' }))
    stream.on('data', (chunk: Buffer) => {
      each.body += chunk.toString()
      stream.write(`<${chunk.toString()}>`)
    })
    stream.on('end', () => stream.end())
  })
  return server
}

t.test('gRPC goes in HTTP/2 both ways, with te, its status as trailers, and nothing of the request\'s own', async (t) => {
  const seen: Seen[] = []
  const { front, https: { offers } } = await frontTo(t, grpcOrigin(seen))
  const answer = await ask(front.session, { ...grpc, 'x-a': '1' }, 'hello')
  t.match(answer, { status: 200, body: '<hello>', headers: { 'content-type': 'application/grpc+proto', via: '2.0 sally-test' }, trailers: { 'grpc-status': '0', 'grpc-message': 'fine', 'grpc-status-details-bin': 'CAA' } })
  t.notOk('set-cookie' in answer.trailers)
  t.match(seen[0], { body: 'hello', trailers: [], headers: { ':method': 'POST', ':path': '/echo.Echo/Say', ':authority': 'origin.test', ':scheme': 'https', 'content-type': 'application/grpc+proto', te: 'trailers', 'x-a': '1', via: '2.0 sally-test' } })
  t.same(offers, ['h2,http/1.1'])
  t.match(front.results[0], { outcome: 'completed', status: 200, bytesFromClient: 5, bytesFromOrigin: 7 })
  await ask(front.session, grpc, 'again')
  t.equal(offers.length, 1)
})

t.test('a call streams both ways at once, and its request\'s trailers stay here', async (t) => {
  const seen: Seen[] = []
  const { front } = await frontTo(t, grpcOrigin(seen))
  const stream = front.session.request({ ':authority': 'origin.test', ...grpc }, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers({ 'x-trailer': '1' }))
  let text = ''
  const arrived = new Map<string, () => void>()
  stream.on('data', (chunk: Buffer) => {
    text += chunk.toString()
    for (const [wanted, resolve] of arrived) if (text.includes(wanted)) resolve()
  })
  for (const word of ['one', 'two', 'three']) {
    const echoed = new Promise<void>((resolve) => arrived.set(`<${word}>`, resolve))
    stream.write(word)
    await echoed
  }
  stream.end()
  await once(stream, 'end')
  t.equal(text, '<one><two><three>')
  t.same(seen[0]?.trailers, [])
})

t.test('an answer of trailers alone, as gRPC refuses, passes as it is', async (t) => {
  const server = http2.createSecureServer({ cert, key })
  server.on('stream', (stream: http2.ServerHttp2Stream) => stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '12', 'grpc-message': 'unimplemented' }, { endStream: true }))
  const { front } = await frontTo(t, server)
  t.match(await ask(front.session, grpc, 'x'), { status: 200, body: '', headers: { 'grpc-status': '12', 'grpc-message': 'unimplemented' } })
})

t.test('what needs nothing of HTTP/2 goes in HTTP/1.1, its Cookie in one piece and its body in chunks', async (t) => {
  const seen: { readonly raw: readonly string[]; readonly body: string }[] = []
  const { front, https: { offers } } = await frontTo(t, https.createServer({ cert, key }, (request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString()
    })
    request.on('end', () => {
      seen.push({ raw: request.rawHeaders, body })
      response.end('ok')
    })
  }))
  t.match(await ask(front.session, { ':path': '/', cookie: ['a=1', 'b=2', 'c=3'], accept: 'x' }), { status: 200, body: 'ok' })
  t.match(await ask(front.session, { ':method': 'POST', ':path': '/' }, 'hello'), { status: 200, body: 'ok' })
  t.match(await ask(front.session, { ':method': 'POST', ':path': '/', 'content-length': '5' }, 'hello'), { status: 200, body: 'ok' })
  t.same(seen[0]?.raw, ['host', 'origin.test', 'connection', 'keep-alive', 'cookie', 'a=1; b=2; c=3', 'accept', 'x', 'Via', '2.0 sally-test'])
  t.match(seen[1], { body: 'hello', raw: ['host', 'origin.test', 'connection', 'keep-alive', 'Via', '2.0 sally-test', 'transfer-encoding', 'chunked'] })
  t.match(seen[2], { body: 'hello', raw: ['host', 'origin.test', 'connection', 'keep-alive', 'Via', '2.0 sally-test', 'content-length', '5'] })
  t.same(offers, ['http/1.1'])
})

t.test('gRPC to an origin that has HTTP/1.1 alone goes in HTTP/1.1, without te', async (t) => {
  const seen: (readonly string[])[] = []
  const { front, https: { offers } } = await frontTo(t, https.createServer({ cert, key, ALPNProtocols: ['http/1.1'] }, (request, response) => {
    seen.push(request.rawHeaders)
    request.resume()
    response.writeHead(200, { Trailer: 'grpc-status' })
    response.addTrailers({ 'grpc-status': '0' })
    response.end('ok')
  }))
  t.match(await ask(front.session, grpc, 'x'), { status: 200, body: 'ok', trailers: { 'grpc-status': '0' } })
  t.notOk(seen[0]?.includes('te'))
  t.same(offers, ['h2,http/1.1'])
})

t.test('an answer with a length and trailers keeps both', async (t) => {
  const server = http2.createSecureServer({ cert, key })
  server.on('stream', (stream: http2.ServerHttp2Stream) => {
    stream.respond({ ':status': 200, 'content-length': 2 }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '9' }))
    stream.end('ok')
  })
  const { front } = await frontTo(t, server)
  t.match(await ask(front.session, grpc, 'x'), { body: 'ok', headers: { 'content-length': '2' }, trailers: { 'x-sum': '9' } })
})

t.test('what asks for HTTP/2 by its fields is told from what does not', async (t) => {
  for (const [fields, wanted] of [
    [['content-type', 'application/grpc'], true], [['Content-Type', 'application/grpc+json;x=y'], true], [['content-type', 'Application/GRPC-web'], true], [['te', 'trailers'], true],
    [['TE', 'gzip;q=0.5, trailers'], true], [['content-type', 'application/json'], false], [['te', 'gzip'], false], [['te', 'trailersx'], false], [[], false],
  ] as const) t.equal(needsHttp2(fields), wanted, fields.join(': '))
  t.equal(takesTrailers(['content-type', 'application/grpc']), false)
})

t.test('what an origin has shown is remembered by host and port, for so many origins', async (t) => {
  const protocols = new OriginProtocols()
  const first = protocols.offer('a.test', 443, false)
  t.same(first, ['http/1.1'])
  t.equal(protocols.disagreed('a.test', 443, first), true)
  t.same(protocols.offer('a.test', 443, false), ['h2'])
  t.same(protocols.offer('a.test', 443, true), ['h2'])
  t.same(protocols.offer('a.test', 8443, false), ['http/1.1'])
  const both = protocols.offer('b.test', 443, true)
  t.same(both, ['h2', 'http/1.1'])
  t.equal(protocols.disagreed('b.test', 443, both), false)
  t.equal(protocols.disagreed('a.test', 443, protocols.offer('a.test', 443, false)), true)
  t.same(protocols.offer('a.test', 443, false), ['http/1.1'])
  protocols.disagreed('a.test', 443, first)
  for (let i = 0; i < 5_000; i += 1) protocols.disagreed(`${i}.test`, 443, first)
  t.same(protocols.offer('a.test', 443, false), ['http/1.1'])
  t.same(protocols.offer('4999.test', 443, false), ['h2'])
})
