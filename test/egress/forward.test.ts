import { once } from 'node:events'
import http from 'node:http'
import t from 'tap'
import { connectTo, exchange, listen, proxyTo, rawOrigin, readAll, readUntil } from './wire.ts'

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const get = (more = '', method = 'GET') => `${method} http://origin.test/a?b=%2f HTTP/1.1\r\nHost: origin.test\r\n${more}\r\n`

t.test('the request head at the origin is exactly the target, our Host and the end-to-end fields', async (t) => {
  const origin = await rawOrigin(ok)
  const proxy = await proxyTo(origin.port)
  t.teardown(() => {
    proxy.close()
    origin.close()
  })
  t.match(await exchange(proxy.port, get('Connection: close, X-Hop\r\nX-Hop: 1\r\nProxy-Authorization: Basic eDp5\r\nTE: trailers\r\nX-Raw: \u00e9\u00ff\r\naccept: a\r\nACCEPT: b\r\n')), /^HTTP\/1\.1 200 OK\r\n[^]*\r\nVia: 1\.1 sally-test\r\n[^]*ok$/)
  t.equal(origin.received(), 'GET /a?b=%2f HTTP/1.1\r\nhost: origin.test\r\nconnection: keep-alive\r\nX-Raw: \u00e9\u00ff\r\naccept: a\r\nACCEPT: b\r\nVia: 1.1 sally-test\r\n\r\n')
})

t.test('the answer keeps status, reason, case, order and duplicates, and loses what is hop-by-hop', async (t) => {
  const origin = await rawOrigin('HTTP/1.1 299 Fine By Me\r\nX-b: 2\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nX-A: \xe9\r\nConnection: X-Gone\r\nX-Gone: 1\r\nKeep-Alive: timeout=9\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\nTrailer: X\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 2\r\n\r\nok')
  const proxy = await proxyTo(origin.port)
  t.teardown(() => {
    proxy.close()
    origin.close()
  })
  t.equal(await exchange(proxy.port, get('Connection: close\r\n')),
    'HTTP/1.1 299 Fine By Me\r\nX-b: 2\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nX-A: \ufffd\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 2\r\nVia: 1.1 sally-test\r\nConnection: close\r\n\r\nok'.replace('\ufffd', '\xc3\xa9'))
})

t.test('request bodies are framed anew: length stays length, chunks are chunked again, trailers and extensions are gone', async (t) => {
  const origin = await rawOrigin((socket) => socket.write(ok))
  const proxy = await proxyTo(origin.port)
  t.teardown(() => {
    proxy.close()
    origin.close()
  })
  await exchange(proxy.port, `${get('Content-Length: 5\r\nConnection: close\r\n', 'POST')}hello`)
  t.match(origin.received(), /\r\nVia: 1\.1 sally-test\r\ncontent-length: 5\r\n\r\nhello$/)
  const before = origin.received().length
  await exchange(proxy.port, `${get('Transfer-Encoding: chunked\r\nConnection: close\r\nTrailer: Host\r\n', 'PUT')}5;ext="a"\r\nhello\r\n0\r\nHost: evil.test\r\nX-Trailer: evil\r\n\r\n`)
  const sent = origin.received().slice(before)
  t.match(sent, /transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n$/)
  t.notMatch(sent, /evil|ext|content-length/i)
})

t.test('a body on GET and DELETE is framed, an empty one on POST says so', async (t) => {
  const origin = await rawOrigin((socket) => socket.write(ok))
  const proxy = await proxyTo(origin.port)
  t.teardown(() => {
    proxy.close()
    origin.close()
  })
  for (const [method, more, body, want] of [
    ['GET', 'Content-Length: 5\r\n', 'hello', /^GET [^]*content-length: 5\r\n\r\nhello$/],
    ['DELETE', 'Transfer-Encoding: chunked\r\n', '5\r\nhello\r\n0\r\n\r\n', /^DELETE [^]*transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n$/],
    ['POST', 'Content-Length: 0\r\n', '', /^POST [^]*content-length: 0\r\n\r\n$/],
    ['POST', 'Transfer-Encoding: chunked\r\n', '0\r\n\r\n', /^POST [^]*content-length: 0\r\n\r\n$/],
  ] as const) {
    const before = origin.received().length
    t.match(await exchange(proxy.port, `${get(`${more}Connection: close\r\n`, method)}${body}`), /ok$/, method)
    t.match(origin.received().slice(before), want, method)
  }
})

t.test('answers are framed anew: chunked for HTTP/1.1, by the close for HTTP/1.0, none for HEAD, 204 and 304', async (t) => {
  const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nX-Sum: 9\r\nSet-Cookie: a\r\n\r\n'
  const cases: [answer: string, request: string, want: RegExp][] = [
    [chunked, get('Connection: close\r\n'), /\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 9\r\n\r\n$/],
    [chunked, 'GET http://origin.test/ HTTP/1.0\r\n\r\n', /^HTTP\/1\.1 200 OK\r\n(?![^]*Transfer-Encoding)[^]*\r\n\r\nok$/],
    ['HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok', get('Connection: close\r\n'), /\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n$/],
    ['HTTP/1.0 200 OK\r\n\r\nok', get('Connection: close\r\n'), /\r\n2\r\nok\r\n0\r\n\r\n$/],
    ['HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n', get('Connection: close\r\n', 'HEAD'), /^HTTP\/1\.1 200 OK\r\n[^]*Content-Length: 2\r\n[^]*\r\n\r\n$/],
    ['HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 2\r\n\r\n', get('Connection: close\r\n'), /^HTTP\/1\.1 304 [^]*Content-Length: 2\r\n[^]*\r\n\r\n$/],
    ['HTTP/1.1 204 No Content\r\n\r\n', get('Connection: close\r\n'), /^HTTP\/1\.1 204 (?![^]*(Content-Length|Transfer-Encoding))[^]*\r\n\r\n$/],
    ['HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', get('Connection: close\r\n'), /^HTTP\/1\.1 200 (?![^]*Link)[^]*ok$/],
  ]
  for (const [answer, request, want] of cases) {
    const origin = await rawOrigin((socket) => {
      if (/^HTTP\/1\.0|close/.test(answer)) socket.end(answer)
      else socket.write(answer)
    })
    const proxy = await proxyTo(origin.port)
    t.match(await exchange(proxy.port, request), want)
    t.match(await proxy.result(0), { outcome: 'completed', error: undefined, headSent: true })
    proxy.close()
    origin.close()
  }
})

t.test('a kept-alive connection serves the next exchange, and one origin close in between is unseen', async (t) => {
  const origin = await rawOrigin((socket, _head, index) => {
    if (index === 2) socket.destroy()
    else socket.write(ok)
  })
  const proxy = await proxyTo(origin.port)
  t.teardown(() => {
    proxy.close()
    origin.close()
  })
  const client = await connectTo(proxy.port)
  const seen = readAll(client)
  client.write(get())
  await proxy.result(0)
  client.write(get())
  await proxy.result(1)
  t.equal(origin.connections(), 1)
  // the origin closes the reused connection instead of answering: a GET goes out once more on a new one
  client.write(get('Connection: close\r\n'))
  t.equal((await seen).toString().match(/200 OK/g)?.length, 3)
  t.equal(origin.connections(), 2)
})

t.test('a request that is not safe to repeat is never sent twice', async (t) => {
  let requests = 0
  const origin = await rawOrigin((socket, _head, index) => {
    requests += 1
    if (index === 1) socket.destroy()
    else socket.write(ok)
  })
  const proxy = await proxyTo(origin.port)
  t.teardown(() => {
    proxy.close()
    origin.close()
  })
  t.match(await exchange(proxy.port, get('Connection: close\r\n')), /ok$/)
  t.match(await exchange(proxy.port, `${get('Connection: close\r\nContent-Length: 1\r\n', 'POST')}x`), /connection_reset$/)
  t.equal(requests, 2)
})

t.test('pools are apart by session, address and revision, and a closed revision is not used again', async (t) => {
  const origin = await rawOrigin(ok)
  const proxy = await proxyTo(origin.port, {}, (request) => ({
    pool: {
      session: String(request.headers['x-session']), host: 'origin.test', port: 80,
      addresses: [String(request.headers['x-address'])], revision: String(request.headers['x-revision']),
    },
  }))
  t.teardown(() => {
    proxy.close()
    origin.close()
  })
  const send = (session: string, address: string, revision: string) =>
    exchange(proxy.port, get(`Connection: close\r\nX-Session: ${session}\r\nX-Address: ${address}\r\nX-Revision: ${revision}\r\n`))
  await send('a', '192.0.2.1', 'r1')
  await send('a', '192.0.2.1', 'r1')
  t.equal(proxy.dials(), 1)
  await send('b', '192.0.2.1', 'r1')
  await send('a', '192.0.2.2', 'r1')
  await send('a', '192.0.2.1', 'r2')
  t.equal(proxy.dials(), 4)
  t.equal(proxy.forwarder.pools, 4)
  proxy.forwarder.closeRevision('r1')
  t.equal(proxy.forwarder.pools, 1)
  await send('a', '192.0.2.1', 'r2')
  t.equal(proxy.dials(), 4)
  await send('a', '192.0.2.1', 'r1')
  t.equal(proxy.dials(), 5)
})

t.test('a full pool makes exchanges wait their turn, and one whose client leaves is forgotten', async (t) => {
  const held: (() => void)[] = []
  const arrived = new Map<number, () => void>()
  const origin = await rawOrigin((socket, _head, index) => {
    held.push(() => socket.write(ok))
    arrived.get(index)?.()
  })
  const proxy = await proxyTo(origin.port, { connectionsPerPool: 1 })
  t.teardown(() => {
    proxy.close()
    origin.close()
  })
  const reached = (index: number) => new Promise<void>((resolve) => arrived.set(index, resolve))
  const first = reached(0)
  const one = exchange(proxy.port, get('Connection: close\r\n'))
  await first
  const leaver = await connectTo(proxy.port)
  leaver.write(get())
  const second = reached(1)
  leaver.resetAndDestroy()
  t.match(await proxy.result(0), { outcome: 'client_closed' })
  const two = exchange(proxy.port, get('Connection: close\r\n'))
  held[0]?.()
  t.match(await one, /ok$/)
  await second
  held[1]?.()
  t.match(await two, /ok$/)
  t.equal(origin.connections(), 1)
})

t.test('a client that leaves within the answer, or within its request, closes the origin connection', async (t) => {
  for (const [request, answer] of [
    [get(), 'HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\ngood'],
    [`${get('Content-Length: 10\r\n', 'POST')}12345`, ''],
    [get(), ''],
  ] as const) {
    const { promise, resolve } = Promise.withResolvers<void>()
    const asked = Promise.withResolvers<void>()
    const origin = await rawOrigin((socket) => {
      socket.once('close', resolve)
      socket.write(answer)
      asked.resolve()
    }, 'early')
    const proxy = await proxyTo(origin.port)
    const client = await connectTo(proxy.port)
    client.write(request)
    if (answer === '') await asked.promise
    else await readUntil(client, 'good')
    client.resetAndDestroy()
    await promise
    t.match(await proxy.result(0), { outcome: 'client_closed' })
    proxy.close()
    origin.close()
  }
})

t.test('64 MiB pass up and down byte by byte, and a slow reader holds the origin back', async (t) => {
  const size = 64 * 1024 * 1024
  const block = Buffer.alloc(1024 * 1024, 97)
  let sent = 0
  const server = http.createServer((request, response) => {
    if (request.method === 'POST') {
      let bytes = 0
      request.on('data', (chunk: Buffer) => {
        bytes += chunk.length
      })
      request.on('end', () => response.end(String(bytes)))
      return
    }
    response.writeHead(200, { 'Content-Length': size })
    const go = (): void => {
      while (sent < size) {
        sent += block.length
        if (!response.write(block)) {
          response.once('drain', go)
          return
        }
      }
      response.end()
    }
    go()
  })
  const origin = await listen(server)
  const proxy = await proxyTo(origin.port)
  t.teardown(() => {
    proxy.close()
    origin.close()
  })
  const down = http.get({ port: proxy.port, host: '127.0.0.1', path: 'http://origin.test/', agent: false })
  const answer = await new Promise<http.IncomingMessage>((resolve) => down.once('response', resolve))
  let got = 0
  // an unread answer: the origin stops long before the end, whatever the kernels between buffer
  for (let still = -1; still !== sent;) {
    still = sent
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  t.ok(sent < size, `the origin could write ${sent} bytes to a client that reads nothing`)
  for await (const chunk of answer) {
    got += Buffer.byteLength(chunk)
  }
  t.equal(got, size)
  t.match(await proxy.result(0), { outcome: 'completed', bytesFromOrigin: size })
  const up = http.request({ port: proxy.port, host: '127.0.0.1', path: 'http://origin.test/', method: 'POST', agent: false })
  for (let i = 0; i < 64; i += 1) if (!up.write(block)) await once(up, 'drain')
  up.end()
  const reply = await new Promise<http.IncomingMessage>((resolve) => up.once('response', resolve))
  let text = ''
  for await (const chunk of reply) text += String(chunk)
  t.equal(text, String(size))
  t.match(await proxy.result(1), { outcome: 'completed', bytesFromClient: size })
})

t.test('the first event of a stream reaches the client before the second exists', async (t) => {
  const { promise, resolve } = Promise.withResolvers<(text: string) => void>()
  const origin = await rawOrigin((socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n')
    resolve((text) => socket.write(`${text.length.toString(16)}\r\n${text}\r\n`))
  })
  const proxy = await proxyTo(origin.port)
  t.teardown(() => {
    proxy.close()
    origin.close()
  })
  const client = await connectTo(proxy.port)
  client.write(get())
  t.match(await readUntil(client, '\r\n\r\n'), /text\/event-stream/)
  const send = await promise
  const first = readUntil(client, 'data: 1')
  send('data: 1\n\n')
  await first
  const second = readUntil(client, 'data: 2')
  send('data: 2\n\n')
  await second
  client.destroy()
})

t.test('a client that ends its side after the request still gets the whole answer', async (t) => {
  const origin = await rawOrigin((socket) => {
    setImmediate(() => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n'))
    setImmediate(() => socket.write(Buffer.alloc(200_000, 97)))
  })
  const proxy = await proxyTo(origin.port)
  t.teardown(() => {
    proxy.close()
    origin.close()
  })
  const client = await connectTo(proxy.port)
  client.end(get())
  const text = (await readAll(client)).toString('latin1')
  t.equal(text.length - text.indexOf('\r\n\r\n') - 4, 200_000)
  t.match(await proxy.result(0), { outcome: 'completed', bytesFromOrigin: 200_000 })
})

t.test('an unused connection closes in time and its pool with it, and so does the least recently used pool', async (t) => {
  const closed: Promise<void>[] = []
  const origin = await rawOrigin((socket, _head, index) => {
    closed[index] = new Promise((resolve) => socket.once('close', () => resolve()))
    socket.write(ok)
  })
  const brief = await proxyTo(origin.port, { keepAliveMs: 50 })
  const few = await proxyTo(origin.port, { maxPools: 1 }, (request) => ({
    pool: { session: String(request.headers['x-session']), host: 'origin.test', port: 80, addresses: [], revision: 'r' },
  }))
  t.teardown(() => {
    for (const each of [brief, few, origin]) each.close()
  })
  await exchange(brief.port, get('Connection: close\r\n'))
  await closed[0]
  // the far end may hear of it first
  while (brief.forwarder.pools > 0) await new Promise((resolve) => setImmediate(resolve))
  t.equal(brief.forwarder.pools, 0)
  await exchange(few.port, get('Connection: close\r\nX-Session: a\r\n'))
  await exchange(few.port, get('Connection: close\r\nX-Session: b\r\n'))
  await closed[1]
  t.equal(few.forwarder.pools, 1)
})

t.test('a kept-alive connection that the origin closed while it was idle is not used, for any method', async (t) => {
  let gone = Promise.resolve()
  const origin = await rawOrigin((socket, _head, index) => {
    if (index > 0) {
      socket.write(ok)
      return
    }
    gone = new Promise((resolve) => socket.once('close', () => resolve()))
    socket.end(ok)
  })
  const proxy = await proxyTo(origin.port)
  t.teardown(() => {
    proxy.close()
    origin.close()
  })
  t.match(await exchange(proxy.port, get('Connection: close\r\n')), /ok$/)
  await gone
  t.match(await exchange(proxy.port, `${get('Connection: close\r\nContent-Length: 1\r\n', 'POST')}x`), /ok$/)
  t.equal(origin.connections(), 2)
})
