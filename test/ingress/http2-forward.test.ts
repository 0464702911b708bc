// Streams of HTTP/2 through the forwarder to origins of HTTP/1.1: what reaches them, what comes back, and
// that neither side is held in memory for the other.
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { rm, writeFile } from 'node:fs/promises'
import { constants } from 'node:http2'
import type http from 'node:http'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t, { type Test } from 'tap'
import { createForwarder, type ForwardResult } from '../../src/egress/forward.ts'
import { data, headers, requestFields, rstStream } from '../support/http2-frames.ts'
import { answerOf, ask, http2Name, startHttp2, type Http2World } from '../support/http2-world.ts'
import { httpOrigin, rawOrigin } from '../support/origins.ts'

const mebibyte = 1024 * 1024

interface Forwarding extends Http2World {
  readonly results: readonly ForwardResult[]
  result(index: number): Promise<ForwardResult>
}

async function forwardTo(t: Test, originPort: number): Promise<Forwarding> {
  const forwarder = createForwarder({ pseudonym: 'sally-test', originTimeoutMs: 20_000 })
  const results: ForwardResult[] = []
  const world = await startHttp2(t, async ({ request, response, expectation }) => {
    if (expectation === 'expected') response.writeContinue()
    results.push(await forwarder.forward(request, response, {
      method: request.method ?? '',
      path: request.url ?? '',
      authority: http2Name,
      pool: { session: 's', host: http2Name, port: originPort, addresses: ['127.0.0.1'], revision: 'r1' },
      connect: async () => {
        const socket = net.connect({ port: originPort, host: '127.0.0.1' })
        socket.on('error', () => socket.destroy())
        await once(socket, 'connect')
        return socket
      },
    }))
    const [result] = results.slice(-1)
    if (result?.outcome === 'failed' && !result.headSent) {
      response.writeHead(502, '', ['content-length', '0'])
      response.end()
    }
  })
  t.teardown(() => forwarder.close())
  return {
    ...world,
    results,
    result: async (index) => {
      for (;;) {
        const found = results[index]
        if (found !== undefined) return found
        await new Promise((resolve) => setImmediate(resolve))
      }
    },
  }
}

async function echoBody(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
  for await (const chunk of request) if (!response.write(chunk)) await once(response, 'drain')
  response.end()
}

t.test('the origin gets one request of HTTP/1.1, whose fields are those of the stream', async (t) => {
  const origin = await httpOrigin(t)
  const world = await forwardTo(t, origin.port)
  const answer = await ask(world.connect(), { ':path': '/a?b=%2f', cookie: ['a=1', 'b=2'], te: 'trailers', 'x-raw': '\u00e9', host: http2Name })
  t.equal(answer.body.toString(), 'GET /a?b=%2f\n')
  const [request] = origin.requests
  const raw = request?.rawHeaders ?? []
  t.strictSame(raw.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase()).toSorted(), ['connection', 'cookie', 'host', 'via', 'x-raw'])
  t.match(request?.headers, { host: http2Name, cookie: 'a=1; b=2', via: '2.0 sally-test', 'x-raw': '\u00e9' })
  t.match(world.results[0], { outcome: 'completed', status: 200, bytesFromClient: 0 })
})

t.test('a body is framed by its length, or chunked when it has none, or not there at all', async (t) => {
  const origin = await httpOrigin(t, (request, response) => void echoBody(request, response))
  const world = await forwardTo(t, origin.port)
  const session = world.connect()
  for (const [fields, body, framing] of [
    [{ ':method': 'POST', 'content-length': '5' }, 'hello', { 'content-length': '5' }],
    [{ ':method': 'POST' }, 'hello', { 'transfer-encoding': 'chunked' }],
    [{ ':method': 'GET' }, 'hello', { 'transfer-encoding': 'chunked' }],
    [{ ':method': 'POST', 'content-length': '0' }, undefined, { 'content-length': '0' }],
    [{ ':method': 'GET' }, undefined, {}],
  ] as const) {
    const answer = await ask(session, fields, body)
    t.equal(answer.body.toString(), body ?? '')
    t.match(origin.requests.at(-1)?.headers, framing)
    if (!('transfer-encoding' in framing)) t.equal(origin.requests.at(-1)?.headers['transfer-encoding'], undefined)
  }
})

t.test('trailers of an origin reach the client', async (t) => {
  const origin = await httpOrigin(t, (_request, response) => {
    response.writeHead(200, { Trailer: 'Grpc-Status' })
    response.write('message')
    response.addTrailers([['Grpc-Status', '0'], ['Location', '/elsewhere']])
    response.end()
  })
  const world = await forwardTo(t, origin.port)
  const answer = await ask(world.connect(), { ':method': 'POST', te: 'trailers' }, 'x')
  t.equal(answer.trailers['grpc-status'], '0')
  t.equal(answer.trailers.location, undefined)
  t.equal(answer.body.toString(), 'message')
  t.notOk(answer.isBroken)
})

t.test('a 100 comes from us, and the body goes on', async (t) => {
  const origin = await httpOrigin(t, (request, response) => void echoBody(request, response))
  const world = await forwardTo(t, origin.port)
  const stream = world.connect().request({ ':method': 'PUT', ':authority': http2Name, expect: '100-continue', 'content-length': '5' })
  await once(stream, 'continue')
  const answer = answerOf(stream)
  stream.end('hello')
  t.equal((await answer).body.toString(), 'hello')
  t.equal(origin.requests[0]?.headers.expect, undefined)
})

t.test('a hundred streams at once are all answered, each with its own', async (t) => {
  const origin = await httpOrigin(t, (request, response) => {
    setImmediate(() => void echoBody(request, response))
  })
  const world = await forwardTo(t, origin.port)
  const session = world.connect()
  const bodies = Array.from({ length: 100 }, (_, at) => Buffer.alloc(20_000, String.fromCharCode(40 + at % 80)))
  const answers = await Promise.all(bodies.map((body) => ask(session, { ':method': 'POST' }, body)))
  for (const [at, answer] of answers.entries()) t.ok(!answer.isBroken && answer.body.equals(bodies[at] ?? Buffer.alloc(0)), String(at))
  t.notOk(world.arrivals.some(({ isFlood }) => isFlood))
  t.strictSame(world.faults, [])
})

t.test('an origin that breaks off breaks the stream, with what came before it', async (t) => {
  const origin = await rawOrigin(t, (socket) => {
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n')
      setTimeout(() => socket.resetAndDestroy(), 20)
    })
  })
  const world = await forwardTo(t, origin.port)
  const session = world.connect()
  const answer = await ask(session)
  t.equal(answer.status, 200)
  t.equal(answer.body.toString(), 'half')
  t.equal(answer.code, constants.NGHTTP2_INTERNAL_ERROR)
  t.match(await world.result(0), { outcome: 'failed', headSent: true })
  t.notOk(session.closed)
})

t.test('an origin that breaks off before its answer is a 502', async (t) => {
  const origin = await rawOrigin(t, (socket) => {
    socket.once('data', () => socket.resetAndDestroy())
  })
  const world = await forwardTo(t, origin.port)
  const answer = await ask(world.connect(), { ':method': 'POST' }, Buffer.alloc(1_000))
  t.equal(answer.status, 502)
  t.notOk(answer.isBroken)
})

t.test('a client that resets its stream within either body ends the request at the origin', async (t) => {
  const closed: Promise<unknown>[] = []
  const origin = await httpOrigin(t, (request, response) => {
    closed.push(new Promise((resolve) => request.socket.on('close', resolve)))
    request.resume()
    if (request.method === 'GET') response.write('some')
  })
  const world = await forwardTo(t, origin.port)
  const { send, reader } = await world.raw(headers(1, requestFields(http2Name)), headers(3, requestFields(http2Name, '/', 'POST'), false), data(3, 'some'))
  await reader.next((each) => each.type === 'data' && each.stream === 1)
  while (closed.length < 2) await new Promise((resolve) => setImmediate(resolve))
  send(rstStream(1, 8), rstStream(3, 8))
  await Promise.all(closed)
  for (const at of [0, 1]) t.equal((await world.result(at)).outcome, 'client_closed')
  t.match(world.results.find(({ status }) => status === 200), { bytesFromOrigin: 4 })
})

t.test('an origin that answers early is heard, and the rest of a large upload is not read', async (t) => {
  const origin = await rawOrigin(t, (socket) => {
    socket.once('data', () => socket.end('HTTP/1.1 413 No\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!'))
  })
  const world = await forwardTo(t, origin.port)
  const session = world.connect()
  const stream = session.request({ ':method': 'POST', ':authority': http2Name })
  const answer = answerOf(stream)
  let accepted = 0
  const more = (): void => {
    while (!stream.destroyed && !stream.writableEnded && accepted < 64 * mebibyte) {
      accepted += 65_536
      if (!stream.write(Buffer.alloc(65_536))) break
    }
  }
  stream.on('drain', more)
  more()
  const { status, body, code } = await answer
  t.equal(status, 413)
  t.equal(body.toString(), 'no!')
  t.equal(code, constants.NGHTTP2_NO_ERROR)
  t.ok(accepted < 8 * mebibyte, `${accepted} bytes of the upload`)
})

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Bytes that are held outside the heap. */
async function held(): Promise<number> {
  for (const _ of [1, 2, 3]) {
    collect()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return process.memoryUsage().arrayBuffers
}

/** Bytes that are held outside the heap, at most: looked at each time that 4 MiB more have moved. */
function peakMeter(): { readonly moved: (bytes: number) => void; readonly peak: () => number } {
  const now = (): number => {
    // what the first one finds is given back while the second one runs
    collect()
    collect()
    return process.memoryUsage().arrayBuffers
  }
  const before = now()
  let [unseen, peak] = [0, 0]
  return {
    moved: (bytes) => {
      unseen += bytes
      if (unseen < 4 * mebibyte) return
      unseen = 0
      peak = Math.max(peak, now() - before)
    },
    peak: () => peak,
  }
}

t.test('32 MiB go up and come down again, and little of it is ever held', async (t) => {
  const total = 32 * mebibyte
  const origin = await httpOrigin(t, (request, response) => void echoBody(request, response))
  const world = await forwardTo(t, origin.port)
  const stream = world.connect().request({ ':method': 'POST', ':authority': http2Name })
  const chunk = Buffer.alloc(65_536, 'x')
  const { moved, peak } = peakMeter()
  let received = 0
  stream.on('data', (bytes: Buffer) => {
    received += bytes.length
    moved(bytes.length)
    // reads more slowly than it sends: what nobody holds back would pile up
    stream.pause()
    setImmediate(() => stream.resume())
  })
  for (let sent = 0; sent < total; sent += chunk.length) {
    moved(chunk.length)
    if (!stream.write(chunk)) await once(stream, 'drain')
  }
  stream.end()
  await once(stream, 'close')
  t.equal(received, total)
  t.ok(peak() > 0, 'something is held at times')
  t.ok(peak() < total / 2, `${Math.round(peak() / mebibyte)} MiB held of ${total / mebibyte} each way`)
  t.match(await world.result(0), { outcome: 'completed', bytesFromClient: total, bytesFromOrigin: total })
})

t.test('a client that does not read holds its origin back, and gets it all when it does', async (t) => {
  const total = 64 * mebibyte
  let written = 0
  const origin = await httpOrigin(t, (_request, response) => {
    const chunk = Buffer.alloc(65_536)
    const more = (): void => {
      for (; written < total; written += chunk.length) if (!response.write(chunk)) return void (written += chunk.length)
      response.end()
    }
    response.on('drain', more)
    more()
  })
  const world = await forwardTo(t, origin.port)
  const stream = world.connect().request({ ':authority': http2Name })
  stream.pause()
  await once(stream, 'response')
  // still for a while: neither side moves any more
  for (let before = -1, same = 0; same < 20; before = written) {
    same = written === before ? same + 1 : 0
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  t.ok(written < 24 * mebibyte, `${Math.round(written / mebibyte)} MiB taken from the origin`)
  let received = 0
  stream.on('data', (bytes: Buffer) => {
    received += bytes.length
  })
  stream.resume()
  await once(stream, 'end')
  t.equal(received, total)
})

t.test('an origin that does not read holds its client back', async (t) => {
  const origin = await rawOrigin(t, (socket) => socket.pause())
  const world = await forwardTo(t, origin.port)
  const stream = world.connect().request({ ':method': 'POST', ':authority': http2Name })
  stream.on('error', () => undefined)
  let accepted = 0
  const more = (): void => {
    do accepted += 65_536
    while (accepted < 64 * mebibyte && stream.write(Buffer.alloc(65_536)))
  }
  stream.on('drain', more)
  more()
  for (let before = -1, same = 0; same < 20; before = accepted) {
    same = accepted === before ? same + 1 : 0
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  t.ok(accepted < 24 * mebibyte, `${Math.round(accepted / mebibyte)} MiB taken from the client`)
  stream.destroy()
  t.equal((await world.result(0)).outcome, 'client_closed')
})

t.test('a byte at a time that nobody reads does not hold what it came with', async (t) => {
  const world = await startHttp2(t, ({ request }) => {
    if (request.url === '/taken') request.resume()
    else request.pause()
  })
  const post = (path: string) => requestFields(http2Name, path, 'POST')
  const { send, reader } = await world.raw(headers(1, post('/left'), false), headers(3, post('/taken'), false))
  const size = 16_000
  let window = 65_535
  const work = async (): Promise<void> => {
    for (let at = 0; at < 4_000; at += 1) {
      while (window < size) {
        await new Promise((resolve) => setImmediate(resolve))
        for (const { type, stream, payload } of reader.frames.splice(0)) if (type === 'windowUpdate' && stream === 3) window += payload.readUInt32BE(0)
      }
      window -= size
      // in one record of TLS
      send(data(1, 'x'), data(3, Buffer.alloc(size)))
    }
  }
  const before = await held()
  await work()
  const [left] = world.arrivals
  while (left?.request.socket.bytesRead !== 4_000) await new Promise((resolve) => setImmediate(resolve))
  const more = (await held()) - before
  t.ok(more < 16 * mebibyte, `${Math.round(more / mebibyte)} MiB held`)
  t.notOk(reader.isClosed)
})

const run = promisify(execFile)
const curl = await run('curl', ['--version']).then(({ stdout }) => stdout.includes('HTTP2'), () => false)

t.test('curl speaks to it', { skip: curl ? false : 'no curl with HTTP/2' }, async (t) => {
  const origin = await httpOrigin(t, (request, response) => void echoBody(request, response))
  const world = await forwardTo(t, origin.port)
  const file = join(tmpdir(), `sallyport-http2-${process.pid}.pem`)
  await writeFile(file, world.ca)
  t.teardown(() => rm(file))
  const speak = async (...more: string[]): Promise<string> => {
    const args = ['-sS', '--http2', '--cacert', file, '--resolve', `${http2Name}:${world.port}:127.0.0.1`, '-w', '|%{http_code}|%{http_version}|%{size_upload}', ...more]
    return (await run('curl', [...args, `${world.url}/x`])).stdout
  }
  t.equal(await speak('--data-binary', 'hello'), 'hello|200|2|5')
  t.equal(await speak('-H', 'Expect: 100-continue', '-T', file, '-o', '/dev/null'), `|200|2|${world.ca.length}`)
  t.equal(await speak('-I', '-o', '/dev/null'), '|200|2|0')
})
