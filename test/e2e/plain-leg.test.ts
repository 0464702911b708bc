// Plain requests that are read and answered without node's parser: the client must not be able to tell, whatever
// the origin answers, whatever comes behind a request, and whoever leaves when.
import type { Socket } from 'node:net'
import t from 'tap'
import { plainHosts, plainPolicy, request, startPlain } from '../support/plain-world.ts'
import { startProxy } from '../support/proxy.ts'
import { ok, strictOrigin, type StrictRequest } from '../support/strict-origin.ts'
import { readAnswers, say, WireClient } from '../support/wire-client.ts'

/** An empty line before a request is what its reader leaves to node's parser, which skips it. */
const throughNode = '\r\n'

/** What differs from answer to answer, and the chunks that the origin's happen to arrive in. */
function masked(received: string, methods: readonly string[]): readonly unknown[] {
  const text = received.replaceAll(/[0-9A-HJKMNP-TV-Z]{26}/g, 'I'.repeat(26)).replaceAll(/^Date: .*$/gm, 'Date: now')
  return [...text.matchAll(/^HTTP[^]*?\r\n\r\n/gm).map(([head]) => head), ...readAnswers(text, methods).map(({ body, isWhole }) => [body, isWhole])]
}

const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`
const big = 'x'.repeat(300_000)

/** by the path that asks for them */
const answers: Readonly<Record<string, string>> = {
  '/small': ok('hello', 'X-One: 1\r\nx-two: 2\r\nX-One: again\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n'),
  '/undated': ok('hello'),
  '/empty': ok(''),
  '/big': ok(big),
  '/16k': ok('y'.repeat(16 * 1024)),
  '/17k': ok('y'.repeat(17 * 1024)),
  '/chunked': `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunk('hello')}${chunk(' world')}0\r\n\r\n`,
  '/chunked-empty': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  '/chunked-big': `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunk(big)}0\r\n\r\n`,
  '/trailers': `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n${chunk('hello')}0\r\nX-Sum: 5\r\n\r\n`,
  '/no-content': 'HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n',
  '/not-modified': 'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 5\r\n\r\n',
  '/not-found': 'HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno',
  '/no-reason': 'HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok',
  '/latin1': 'HTTP/1.1 200 OK\r\nX-Name: caf\xe9\r\nContent-Length: 2\r\n\r\n\xff\0',
  '/interim': `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${ok('hello')}`,
  '/closes': `HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok`,
  '/both': 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  '/garbage': 'not http\r\n\r\n',
}

function answerOf({ target, method }: StrictRequest, socket: Socket): string {
  const answer = answers[target] ?? ''
  if (target === '/until-close') {
    socket.end('HTTP/1.1 200 OK\r\n\r\nhello')
    return ''
  }
  if (target === '/cut') {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhello', () => socket.resetAndDestroy())
    return ''
  }
  return method === 'HEAD' ? answer.slice(0, answer.lastIndexOf('\r\n\r\n', target === '/interim' ? undefined : answer.indexOf('\r\n\r\n')) + 4) : answer
}

t.test('an answer is the same, byte for byte, as the one to a request that node\'s parser reads', async (t) => {
  const origin = await strictOrigin(t, answerOf)
  const proxy = await startPlain(t, origin.port)
  const denied = (more: string): string => `GET http://denied.test/x HTTP/1.1\r\nHost: denied.test\r\n${more}\r\n`
  const ofOrigin = [...Object.keys(answers), '/until-close', '/cut']
  const requests = [
    ...ofOrigin.flatMap((path) => ['GET', 'HEAD'].map((method) => request(origin.port, path, 'Connection: close\r\n', method))),
    ...ofOrigin.filter((path) => path !== '/cut').map((path) => request(origin.port, path) + request(origin.port, '/small', 'Connection: close\r\n')),
    denied('Connection: close\r\n'),
    denied('') + request(origin.port, '/small', 'Connection: close\r\n'),
    request(origin.port, '/small', 'Host: again.test\r\n'),
    'GET http://allowed.test/ HTTP/1.1\r\n\r\n',
    `GET http://:80/ HTTP/1.1\r\nHost: allowed.test\r\n\r\n`,
    `GET http://allowed.test:${origin.port}/small HTTP/1.1\r\nHost: other.test\r\n\r\n`,
    `GET http://allowed.test:1/small HTTP/1.1\r\nHost: allowed.test:1\r\nProxy-Connection: close\r\n\r\n`,
    request(origin.port, '/small', 'Proxy-Authorization: Basic eDp5\r\n'),
  ]
  for (const each of requests) {
    // one at a time, as a client does that does not pipeline: the second when the first is answered
    const parts = each.split(/(?<=\r\n\r\n)(?=GET|HEAD)/)
    const [without, through] = await Promise.all(['', throughNode].map(async (before) => {
      const client = await WireClient.open(proxy.port)
      for (const [at, part] of parts.entries()) {
        client.send(before + part)
        if (at + 1 < parts.length) await client.answers(at + 1)
      }
      return masked(await client.closed(), parts.map((part) => part.slice(0, part.indexOf(' '))))
    }))
    t.ok(without !== undefined && (without.length > 0 || each.includes('/cut')), each.slice(0, 60))
    t.strictSame(without, through, each.slice(0, 60))
  }
  t.strictSame(origin.complaints, [])
})

t.test('what comes behind an unanswered request waits for its answer, whatever it is', async (t) => {
  for (const [what, behind, expected] of [
    ['a plain request', (port: number) => request(port, '/second', 'Connection: close\r\n'), [200, 200]],
    ['two of them', (port: number) => request(port, '/second') + request(port, '/third', 'Connection: close\r\n'), [200, 200, 200]],
    ['one with a body', (port: number) => request(port, '/second', 'Connection: close\r\nContent-Length: 2\r\n', 'POST', 'ok'), [200, 200]],
    ['one that is refused', () => 'GET http://denied.test/ HTTP/1.1\r\nHost: denied.test\r\nConnection: close\r\n\r\n', [200, 403]],
    ['what is no request', () => 'nonsense\r\n\r\n', [200, 405]],
    ['a request that is smuggled', (port: number) => request(port, '/second', 'Content-Length: 2\r\nTransfer-Encoding: chunked\r\n', 'POST', '0\r\n\r\n'), [200, 400]],
  ] as const) {
    const gate = Promise.withResolvers<void>()
    const origin = await strictOrigin(t, (each, socket) => {
      if (each.target !== '/slow') return ok(each.target)
      void gate.promise.then(() => socket.write(ok('/slow')))
      return undefined
    })
    const proxy = await startPlain(t, origin.port)
    const client = await WireClient.open(proxy.port)
    client.send(request(origin.port, '/slow'))
    while (origin.requests.length < 1) await new Promise((resolve) => setTimeout(resolve, 5))
    client.send(behind(origin.port))
    await new Promise((resolve) => setTimeout(resolve, 50))
    t.equal(client.received, '', `${what}: nothing overtakes`)
    t.equal(origin.requests.length, 1, `${what}: nothing is forwarded before`)
    gate.resolve()
    const received = readAnswers(await client.closed())
    t.strictSame(received.map(({ status }) => status), expected, what)
    t.equal(received[0]?.body, '/slow', what)
    t.strictSame(origin.complaints, [], what)
  }
})

t.test('a CONNECT behind a plain request gets its tunnel when that is answered', async (t) => {
  const origin = await strictOrigin(t)
  const proxy = await startPlain(t, origin.port)
  const client = await WireClient.open(proxy.port)
  client.send(request(origin.port, '/first'))
  await client.answers(1)
  client.send('CONNECT denied.test:443 HTTP/1.1\r\nHost: denied.test:443\r\n\r\n')
  t.strictSame(readAnswers(await client.closed()).map(({ status }) => status), [200, 403])
})

t.test('a client that ends its side behind a request still gets the answer, and so do those it sent behind it', async (t) => {
  const gate = Promise.withResolvers<void>()
  const origin = await strictOrigin(t, (each, socket) => {
    void gate.promise.then(() => socket.write(ok(each.target)))
    return undefined
  })
  const proxy = await startPlain(t, origin.port)
  const one = await WireClient.open(proxy.port)
  one.send(request(origin.port, '/one'))
  one.socket.end()
  const two = await WireClient.open(proxy.port)
  two.send(request(origin.port, '/two'))
  while (origin.requests.length < 2) await new Promise((resolve) => setTimeout(resolve, 5))
  two.send(request(origin.port, '/behind'))
  two.socket.end()
  await new Promise((resolve) => setTimeout(resolve, 50))
  gate.resolve()
  const [only, ...more] = readAnswers(await one.closed())
  t.strictSame([only?.body, only?.fields.get('connection'), more.length], ['/one', 'close', 0])
  t.strictSame(readAnswers(await two.closed()).map(({ body }) => body), ['/two', '/behind'])
})

t.test('a client that leaves within an answer leaves nothing open behind it, and its end is in the journal', async (t) => {
  const open = new Set<Socket>()
  const origin = await strictOrigin(t, (_each, socket) => {
    open.add(socket)
    const beat = setInterval(() => socket.write('5\r\nhello\r\n'), 10)
    socket.on('close', () => {
      clearInterval(beat)
      open.delete(socket)
    })
    return 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'
  })
  const proxy = await startPlain(t, origin.port)
  for (const leave of [(socket: Socket) => socket.destroy(), (socket: Socket) => socket.resetAndDestroy()]) {
    const client = await WireClient.open(proxy.port)
    client.send(request(origin.port, '/endless'))
    await client.until((received) => received.includes('hello'))
    const before = proxy.records().filter(({ name }) => name === 'sallyport.exchange.ended').length
    leave(client.socket)
    await proxy.recorded(() => proxy.records().filter(({ name }) => name === 'sallyport.exchange.ended').length > before)
  }
  while (open.size > 0) await new Promise((resolve) => setTimeout(resolve, 5))
  t.strictSame(proxy.records().filter(({ name }) => name === 'sallyport.exchange.ended').map(({ attributes }) => attributes['sallyport.outcome']), ['failed', 'failed'])
})

t.test('a client that does not read holds its origin back, and gets all of it when it does', async (t) => {
  const size = 64 * 1024 * 1024
  const sent = Promise.withResolvers<Socket>()
  const origin = await strictOrigin(t, (_each, socket) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`)
    socket.write(Buffer.alloc(size, 'z'))
    sent.resolve(socket)
    return undefined
  })
  const proxy = await startPlain(t, origin.port)
  const client = await WireClient.open(proxy.port)
  let received = 0
  client.socket.removeAllListeners('data')
  client.socket.pause()
  client.send(request(origin.port, '/', 'Connection: close\r\n'))
  const socket = await sent.promise
  let last = -1
  while (socket.writableLength !== last) {
    last = socket.writableLength
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  t.ok(last > size / 2, 'most of it is still the origin\'s')
  client.socket.on('data', (bytes: Buffer) => (received += bytes.length))
  client.socket.resume()
  await client.closed()
  t.ok(received > size, `${received} bytes came`)
})

t.test('an idle connection is closed after its time, and one that is begun and not ended is told so', async (t) => {
  const origin = await strictOrigin(t)
  const proxy = await startProxy(t, {
    policy: plainPolicy(origin.port), hosts: plainHosts,
    change: (settings) => ({ ...settings, limits: { ...settings.limits, headersTimeoutMs: 500, keepAliveTimeoutMs: 300 } }),
  })
  const [idle, begun] = await Promise.all([WireClient.open(proxy.port), WireClient.open(proxy.port)])
  for (const client of [idle, begun]) {
    client.send(request(origin.port, '/'))
    await client.answers(1)
    client.send(request(origin.port, '/'))
    await client.answers(2)
  }
  begun.send('GET http://allowed')
  t.strictSame(readAnswers(await idle.closed()).map(({ status }) => status), [200, 200])
  t.strictSame(readAnswers(await begun.closed()).map(({ status }) => status), [200, 200, 408])
})

t.test('a long answer is not cut by the time that an idle connection has', async (t) => {
  const origin = await strictOrigin(t, (_each, socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello')
    setTimeout(() => socket.write('world'), 3_500)
    return undefined
  })
  const proxy = await startProxy(t, { policy: plainPolicy(origin.port), hosts: plainHosts, change: (settings) => ({ ...settings, limits: { ...settings.limits, keepAliveTimeoutMs: 200 } }) })
  const [answer] = readAnswers(await say(proxy.port, request(origin.port, '/', 'Connection: close\r\n')))
  t.strictSame([answer?.body, answer?.isWhole], ['helloworld', true])
})
