// Requests to model providers that are looked into: what asks the provider to read the web is refused before anything is
// dialled, and everything else goes out as it came, byte for byte.
import { createHash, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import type http from 'node:http'
import zlib from 'node:zlib'
import http2 from 'node:http2'
import t, { type Test } from 'tap'
import { testCertificates } from '../support/certificates.ts'
import { answerOf, type Answer } from '../support/http2-world.ts'
import { insideRequest, openInside, secureTunnel } from '../support/inside.ts'
import { httpOrigin, tlsOrigin, type HttpOrigin } from '../support/origins.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'
import { openTunnel } from '../support/raw-client.ts'
import { WireClient } from '../support/wire-client.ts'

const searching = JSON.stringify({ model: 'gpt-5', input: 'x', tools: [{ type: 'web_search' }] })
const cachedSearch = JSON.stringify({ model: 'gpt-5', input: 'x', tools: [{ type: 'web_search', external_web_access: false }] })
const harmless = JSON.stringify({ model: 'gpt-5', input: 'hello', tools: [{ type: 'function', name: 'web_search' }] })

interface World {
  readonly proxy: TestProxy
  readonly origin: HttpOrigin
  readonly authority: string
}

/** What the origin got: bytes and their digest. */
const digesting: http.RequestListener = (request, response) => {
  const hash = createHash('sha256')
  let bytes = 0
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    hash.update(chunk)
  })
  request.on('end', () => response.end(`${bytes} ${hash.digest('hex')}`))
}

function digestOf(body: string | Uint8Array): string {
  const bytes = typeof body === 'string' ? Buffer.from(body, 'latin1') : body
  return `${bytes.length} ${createHash('sha256').update(bytes).digest('hex')}`
}

interface Options {
  readonly mode?: string
  readonly network?: string
  readonly requestTimeoutMs?: number
}

async function start(t: Test, { mode = 'cached', network = '', requestTimeoutMs }: Options = {}): Promise<World> {
  const certificates = await testCertificates()
  const origin = await tlsOrigin(t, ['llm.test'], certificates, digesting)
  const authority = `llm.test:${origin.port}`
  const policy = `[network]
${network}
[[network.rules]]
id = "llm"
hosts = ["${authority}"]
local = ["127.0.0.1/32"]
verdict = "allow"
origin_ca = ["roots.pem"]

[web_fetch]
mode = "${mode}"
providers = [{ host = "${authority}", api = "openai" }]
inspect_providers = true
`
  const proxy = await startProxy(t, {
    policy, hosts: { 'llm.test': '127.0.0.1' }, policies: { 'roots.pem': certificates.ca },
    ...(requestTimeoutMs === undefined ? {} : { change: (settings) => ({ ...settings, limits: { ...settings.limits, requestTimeoutMs } }) }),
  })
  // makes the root that clients trust
  const { socket } = await openTunnel(proxy.port, authority)
  socket.destroy()
  return { proxy, origin, authority }
}

function post(authority: string, body: string, fields = 'Content-Type: application/json\r\n', path = '/v1/responses'): string {
  return insideRequest(authority, path, { method: 'POST', fields, body })
}

function codes({ proxy }: Pick<World, 'proxy'>): string[] {
  return proxy.decisions().filter(({ attributes }) => attributes['http.request.method'] === 'POST').map(({ attributes }) => String(attributes['sallyport.code']))
}

t.test('HTTP/1.1: a search is refused before anything is dialled, and the connection goes on', async (t) => {
  const world = await start(t)
  const { proxy, origin, authority } = world
  const client = await openInside(t, proxy, authority)
  client.send(post(authority, searching))
  const [refused] = await client.answers(1)
  t.equal(refused?.status, 403)
  t.match(JSON.parse(refused?.body ?? ''), {
    code: 'provider_search_refused', host: 'llm.test', retryable: false, hint: /The host is allowed, and this request to it is not/,
    reason: /web reading is cached, so what llm\.test is asked is looked at: `tools\[0\]\.type` is "web_search"/,
  })
  t.equal(origin.connections(), 0)
  client.send(post(authority, cachedSearch))
  client.send(post(authority, harmless))
  const [, second, third] = await client.answers(3)
  t.equal(second?.body, digestOf(cachedSearch))
  t.equal(third?.body, digestOf(harmless))
  t.same(codes(world), ['allowed', 'provider_search_refused', 'allowed', 'allowed'])
  const ended = await proxy.recorded(({ name, attributes }) => name === 'sallyport.exchange.ended' && attributes['sallyport.code'] === 'provider_search_refused')
  t.equal(ended.attributes['sallyport.outcome'], 'refused')
})

t.test('HTTP/1.1: pipelined requests are each looked at, and answered in order', async (t) => {
  const { proxy, authority } = await start(t)
  const client = await openInside(t, proxy, authority)
  client.send(post(authority, harmless) + post(authority, searching) + post(authority, cachedSearch) + insideRequest(authority, '/v1/models'))
  const answers = await client.answers(4)
  t.same(answers.map(({ status }) => status), [200, 403, 200, 200])
  t.equal(answers[2]?.body, digestOf(cachedSearch))
})

t.test('HTTP/1.1: a chunked body is put together first', async (t) => {
  const { proxy, authority } = await start(t)
  const client = await openInside(t, proxy, authority)
  const chunked = (body: string): string => {
    const half = body.indexOf('web_') + 3
    const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`
    return insideRequest(authority, '/v1/responses', { method: 'POST', fields: 'Transfer-Encoding: chunked\r\n' }) + chunk(body.slice(0, half)) + chunk(body.slice(half)) + '0\r\n\r\n'
  }
  client.send(chunked(searching) + chunked(harmless))
  const [refused, passed] = await client.answers(2)
  t.equal(refused?.status, 403)
  t.equal(passed?.body, digestOf(harmless))
})

t.test('HTTP/1.1: a client that waits for a 100 gets it, and then its answer', async (t) => {
  const { proxy, origin, authority } = await start(t)
  for (const [body, status] of [[harmless, 200], [searching, 403]] as const) {
    const client = await openInside(t, proxy, authority)
    client.send(insideRequest(authority, '/v1/responses', { method: 'POST', fields: `Content-Length: ${body.length}\r\nExpect: 100-continue\r\n` }))
    await client.until((text) => text.startsWith('HTTP/1.1 100 Continue\r\n\r\n'))
    t.equal(origin.requests.length, status === 200 ? 0 : 1, 'nothing went out for the head alone')
    client.send(body)
    await client.until((text) => text.includes(`HTTP/1.1 ${status} `))
    t.match(client.received, ` ${status} `)
    client.socket.destroy()
  }
})

t.test('content codings are taken off to look, and left on to send', async (t) => {
  const world = await start(t)
  const { proxy, authority } = world
  const codings = { gzip: zlib.gzipSync, deflate: zlib.deflateSync, br: zlib.brotliCompressSync, zstd: zlib.zstdCompressSync }
  for (const [coding, compress] of Object.entries(codings)) {
    const client = await openInside(t, proxy, authority)
    const fields = `Content-Type: application/json\r\nContent-Encoding: ${coding}\r\n`
    const [good, bad] = [harmless, searching].map((body) => compress(Buffer.from(body)).toString('latin1'))
    client.send(post(authority, good ?? '', fields) + post(authority, bad ?? '', fields))
    const answers = await client.answers(2)
    t.equal(answers[0]?.body, digestOf(good ?? ''), coding)
    t.match(answers[1]?.body, /provider_search_refused/, coding)
  }
  const garbage = `${zlib.deflateSync(Buffer.from(harmless)).toString('latin1')}{}`
  const odd: readonly (readonly [string, string, string])[] = [
    ['compress', harmless, 'body_unreadable'],
    ['gzip, gzip', harmless, 'body_unreadable'],
    ['gzip', harmless, 'body_unreadable'],
    ['deflate', garbage, 'body_unreadable'],
    ['gzip', zlib.gzipSync(Buffer.alloc(33 * 1024 * 1024, ' ')).toString('latin1'), 'body_too_large_to_inspect'],
  ]
  for (const [coding, body, code] of odd) {
    const client = await openInside(t, proxy, authority)
    client.send(post(authority, body, `Content-Encoding: ${coding}\r\n`))
    const [answer] = await client.answers(1)
    t.match(JSON.parse(answer?.body ?? ''), { code }, coding)
  }
})

t.test('what cannot be read is refused, where tools are taken', async (t) => {
  const { proxy, origin, authority } = await start(t)
  const unreadable = ['{"tools":[{"type":"web_search"}],"tools":[]}', '{"tools":[],"\\u0074ools":[]}', '\xef\xbb\xbf{}', '{} x', '{"a":"\xff"}', 'web_search']
  for (const body of unreadable) {
    const client = await openInside(t, proxy, authority)
    client.send(post(authority, body))
    t.match(JSON.parse((await client.answers(1))[0]?.body ?? ''), { code: 'body_unreadable', status: 403 }, body)
  }
  t.equal(origin.connections(), 0)
  const client = await openInside(t, proxy, authority)
  const upload = '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n"web_search"\r\n--b--\r\n'
  client.send(post(authority, upload, 'Content-Type: multipart/form-data; boundary=b\r\n', '/v1/files'))
  t.equal((await client.answers(1))[0]?.body, digestOf(upload))
})

t.test('large bodies go out as they came, and too large ones are refused', async (t) => {
  const { proxy, origin, authority } = await start(t)
  const large = JSON.stringify({ input: randomBytes(6 * 1024 * 1024).toString('base64') })
  const client = await openInside(t, proxy, authority)
  client.send(post(authority, large))
  t.equal((await client.answers(1))[0]?.body, digestOf(large))
  const declared = await openInside(t, proxy, authority)
  declared.send(insideRequest(authority, '/v1/responses', { method: 'POST', fields: `Content-Length: ${33 * 1024 * 1024}\r\nExpect: 100-continue\r\n` }))
  await declared.until((text) => text.includes('body_too_large_to_inspect'))
  t.notMatch(declared.received, /100 Continue/)
  const undeclared = await openInside(t, proxy, authority)
  undeclared.send(insideRequest(authority, '/v1/responses', { method: 'POST', fields: 'Transfer-Encoding: chunked\r\n' }))
  const chunk = Buffer.concat([Buffer.from('100000\r\n'), Buffer.alloc(1024 * 1024, ' '), Buffer.from('\r\n')])
  for (let sent = 0; sent < 33; sent++) undeclared.send(chunk)
  await undeclared.until((text) => text.includes('body_too_large_to_inspect'))
  t.equal(origin.requests.length, 1)
})

t.test('a client that leaves within its body leaves nothing behind, and nothing is dialled', async (t) => {
  const { proxy, origin, authority } = await start(t)
  const client = await openInside(t, proxy, authority)
  client.send(insideRequest(authority, '/v1/responses', { method: 'POST', fields: 'Content-Length: 100\r\n' }) + '{"tools":')
  await proxy.recorded(({ name, attributes }) => name === 'sallyport.decision' && attributes['http.request.method'] === 'POST')
  client.reset()
  const ended = await proxy.recorded(({ name, attributes }) => name === 'sallyport.exchange.ended' && attributes['http.request.method'] === 'POST')
  t.equal(ended.attributes['sallyport.outcome'], 'failed')
  t.equal(origin.connections(), 0)
})

t.test('a body that stops coming is cut, in both versions', async (t) => {
  const { proxy, origin, authority } = await start(t, { requestTimeoutMs: 200 })
  const client = await openInside(t, proxy, authority)
  client.send(insideRequest(authority, '/v1/responses', { method: 'POST', fields: 'Content-Length: 100\r\n' }) + '{"tools":')
  await client.closed()
  t.ok(client.isClosed)
  const socket = await secureTunnel(t, proxy, authority, { protocols: ['h2'] })
  const session = http2.connect(`https://${authority}`, { createConnection: () => socket })
  session.on('error', () => session.destroy())
  t.teardown(() => session.destroy())
  const stream = session.request({ ':method': 'POST', ':path': '/v1/responses' })
  stream.write('{"tools":')
  const { status, isBroken } = await answerOf(stream)
  t.same([status, isBroken], [0, true])
  t.equal(origin.connections(), 0)
})

t.test('an upgrade cannot be looked at, so it is refused', async (t) => {
  const { proxy, origin, authority } = await start(t)
  const client = await openInside(t, proxy, authority)
  client.send(insideRequest(authority, '/v1/realtime', { fields: 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n' }))
  await client.until((text) => text.includes('provider_search_refused'))
  t.match(client.received, /^HTTP\/1\.1 403 /)
  t.equal(origin.connections(), 0)
})

t.test('in disabled mode a cached search is refused, in live mode nothing is looked at', async (t) => {
  const disabled = await start(t, { mode: 'disabled' })
  const client = await openInside(t, disabled.proxy, disabled.authority)
  client.send(post(disabled.authority, cachedSearch))
  t.match((await client.answers(1))[0]?.body, /web reading is disabled/)
  t.equal(disabled.origin.connections(), 0)
  t.equal(disabled.origin.connections(), 0)
  // nothing looks inside, so the tunnel that `start` opened went to the origin
  const live = await start(t, { mode: 'live' })
  t.equal(live.origin.connections(), 1)
})

t.test('inspect_providers alone has a tunnel to a known provider looked into', async (t) => {
  const policy = '[network]\nallowed_domains = ["api.openai.com"]\n[web_fetch]\nmode = "cached"\ninspect_providers = true\n'
  const proxy = await startProxy(t, { policy, hosts: { 'api.openai.com': '192.0.2.1' } })
  const { socket } = await openTunnel(proxy.port, 'api.openai.com:443')
  socket.destroy()
  const client = await openInside(t, proxy, 'api.openai.com:443')
  client.send(post('api.openai.com', searching))
  t.match((await client.answers(1))[0]?.body, /provider_search_refused/)
})

t.test('in monitor mode the finding is recorded, and the request goes on as it came', async (t) => {
  const world = await start(t, { network: 'mode = "monitor"' })
  const { proxy, authority } = world
  const client = await openInside(t, proxy, authority)
  client.send(post(authority, searching) + post(authority, 'no JSON'))
  const answers = await client.answers(2)
  t.same(answers.map(({ body }) => body), [digestOf(searching), digestOf('no JSON')])
  t.same(codes(world), ['allowed', 'allowed', 'allowed', 'allowed'], 'two decisions each')
  const would = proxy.decisions().flatMap(({ attributes }) => attributes['sallyport.monitored.code'] ?? [])
  t.same(would, ['provider_search_refused', 'body_unreadable'])
})

async function ask(session: http2.ClientHttp2Session, path: string, body: string | Uint8Array, fields: http2.OutgoingHttpHeaders = {}): Promise<Answer> {
  const stream = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/json', ...fields })
  stream.end(body)
  return answerOf(stream)
}

t.test('HTTP/2: every stream is looked at by itself', async (t) => {
  const { proxy, origin, authority } = await start(t)
  const socket = await secureTunnel(t, proxy, authority, { protocols: ['h2'] })
  t.equal(socket.alpnProtocol, 'h2')
  const session = http2.connect(`https://${authority}`, { createConnection: () => socket })
  session.on('error', () => session.destroy())
  t.teardown(() => session.destroy())
  const large = JSON.stringify({ input: randomBytes(3 * 1024 * 1024).toString('base64') })
  const gzipped = zlib.gzipSync(Buffer.from(searching))
  const [refused, passed, big, zipped, bodiless] = await Promise.all([
    ask(session, '/v1/responses', searching),
    ask(session, '/v1/responses', harmless),
    ask(session, '/v1/responses', large),
    ask(session, '/v1/responses', gzipped, { 'content-encoding': 'gzip' }),
    ask(session, '/v1/responses/r/cancel', ''),
  ])
  t.equal(refused.status, 403)
  t.match(JSON.parse(refused.body.toString()), { code: 'provider_search_refused' })
  t.equal(refused.code, 0, 'and is not reset')
  t.equal(passed.body.toString(), digestOf(harmless))
  t.equal(big.body.toString(), digestOf(large))
  t.match(zipped.body.toString(), /provider_search_refused/)
  t.equal(bodiless.body.toString(), digestOf(''))
  t.equal(origin.requests.length, 3)
})

t.test('plain http to a gateway is looked at too', async (t) => {
  const origin = await httpOrigin(t, digesting)
  const authority = `llm.test:${origin.port}`
  const policy = `allowed_web_search_modes = ["cached"]
[network]
[[network.rules]]
id = "llm"
hosts = ["${authority}"]
local = ["127.0.0.1/32"]
verdict = "allow"

[web_fetch]
mode = "live"
providers = [{ host = "${authority}", api = "anthropic" }]
`
  const proxy = await startProxy(t, { policy, hosts: { 'llm.test': '127.0.0.1' } })
  const client = await WireClient.open(proxy.port)
  t.teardown(() => client.socket.destroy())
  const send = (body: string): void => client.send(`POST http://${authority}/v1/messages HTTP/1.1\r\nHost: ${authority}\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
  send(JSON.stringify({ tools: [{ type: 'web_fetch_20250910', name: 'web_fetch' }] }))
  send(harmless)
  const [refused, passed] = await client.answers(2)
  t.match(refused?.body, /provider_search_refused/)
  t.equal(passed?.body, digestOf(harmless))
})

t.test('a request that is still being sent when reading becomes cached is cut: the rest of it would go out unread', async (t) => {
  const came = Promise.withResolvers<void>()
  let body = ''
  const origin = await httpOrigin(t, (request) => request.on('data', (chunk: Buffer) => {
    body += chunk.toString('latin1')
    came.resolve()
  }))
  const at = `llm.test:${origin.port}`
  const policy = (mode: string): string => `[web_fetch]\nmode = "${mode}"\nproviders = [{ host = "${at}", api = "openai" }]\n[[network.rules]]\nid = "llm"\nhosts = ["${at}"]\nlocal = ["127.0.0.1/32"]\nverdict = "allow"\n`
  const proxy = await startProxy(t, { policy: policy('live'), hosts: { 'llm.test': '127.0.0.1' } })
  const client = await WireClient.open(proxy.port)
  t.teardown(() => client.socket.destroy())
  const sent = searching.slice(0, 8)
  client.send(`POST http://${at}/v1/responses HTTP/1.1\r\nHost: ${at}\r\nContent-Type: application/json\r\nContent-Length: ${searching.length}\r\n\r\n${sent}`)
  await came.promise
  writeFileSync(proxy.policyFile, policy('cached'))
  const ended = await proxy.recorded(({ name }) => name === 'sallyport.exchange.ended')
  t.match(ended.attributes, { 'sallyport.outcome': 'expired', 'sallyport.code': 'policy_changed' })
  client.send(searching.slice(8))
  t.equal(body, sent)
})
