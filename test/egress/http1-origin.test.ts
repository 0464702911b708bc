// A connection of a pool that is read without undici as long as it can be: who reads it when, and what makes it
// unfit for another exchange.
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { connectTo, exchange, proxyTo, rawOrigin, readAll, readUntil, type ProxyFixture, type RawOrigin } from './wire.ts'
import type { ForwarderOptions } from '../../src/egress/forward.ts'

const request = (method = 'GET', path = '/', more = '', body = ''): string => `${method} http://origin.test${path} HTTP/1.1\r\nHost: origin.test\r\nConnection: close\r\n${more}\r\n${body}`
const post = request('POST', '/', 'Content-Length: 2\r\n', 'ok')
const fine = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine'

/** A proxy before an origin that gives these answers in turn, the last of them for ever. */
async function world(t: Test, answers: readonly (string | ((socket: Socket) => void))[], options: Partial<ForwarderOptions> = {}): Promise<{ readonly origin: RawOrigin; readonly proxy: ProxyFixture }> {
  let given = 0
  const origin = await rawOrigin((socket) => {
    const answer = answers[Math.min(given, answers.length - 1)] ?? fine
    given += 1
    if (typeof answer === 'string') socket.write(answer, 'latin1')
    else answer(socket)
  })
  const proxy = await proxyTo(origin.port, options)
  t.teardown(() => {
    proxy.close()
    origin.close()
  })
  return { origin, proxy }
}

t.test('requests of every kind share a connection, whichever comes first', async (t) => {
  for (const order of [[request(), post, request(), request('DELETE')], [post, request(), post], [request('OPTIONS'), request(), request()]]) {
    const { origin, proxy } = await world(t, [fine])
    for (const each of order) t.match(await exchange(proxy.port, each), /^HTTP\/1\.1 200 OK\r\n[^]*fine$/)
    t.equal(origin.connections(), 1)
    t.strictSame(origin.dirty, [])
  }
})

t.test('a HEAD is the last of its connection, as its origin may send content all the same', async (t) => {
  const { origin, proxy } = await world(t, [fine, 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil', fine])
  for (const method of ['GET', 'HEAD', 'GET']) t.notMatch(await exchange(proxy.port, request(method)), /evil/)
  t.equal(origin.connections(), 2)
})

t.test('an answer that is not plain is read by undici from its first byte, and the connection goes on', async (t) => {
  const odd: Readonly<Record<string, string | ((socket: Socket) => void)>> = {
    'an interim answer': `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${fine}`,
    'a folded reason': 'HTTP/1.1 200\r\nContent-Length: 4\r\n\r\nfine',
    'an empty field': 'HTTP/1.1 200 OK\r\nX-A:\r\nContent-Length: 4\r\n\r\nfine',
    'a head in two pieces': (socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-')
      setTimeout(() => socket.write('Length: 4\r\n\r\nfine'), 50)
    },
    'a head byte by byte': (socket) => {
      for (const [at, byte] of Array.from(fine).entries()) setTimeout(() => socket.write(byte), at)
    },
  }
  for (const [what, answer] of Object.entries(odd)) {
    const { origin, proxy } = await world(t, [fine, answer, fine])
    for (let turn = 0; turn < 4; turn++) t.match(await exchange(proxy.port, request()), /^HTTP\/1\.1 200 [^]*fine$/, `${what}, ${turn}`)
    t.match(await exchange(proxy.port, post), /^HTTP\/1\.1 200 [^]*fine$/, what)
    t.equal(origin.connections(), 1, what)
    t.equal(origin.requests(), 5, `${what}: nothing is sent twice`)
    t.strictSame(origin.dirty, [], what)
    t.strictSame(proxy.results.map(({ bytesFromOrigin, peerAddress }) => [bytesFromOrigin, peerAddress]), Array.from({ length: 5 }, () => [4, '127.0.0.1']), what)
  }
})

t.test('an answer that ends with its connection is whole, and one to HTTP/1.0 too', async (t) => {
  for (const head of ['HTTP/1.1 200 OK\r\n\r\n', 'HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\n', 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n']) {
    const { origin, proxy } = await world(t, [(socket) => socket.end(`${head}fine`), fine])
    for (let turn = 0; turn < 2; turn++) t.match(await exchange(proxy.port, request()), /^HTTP\/1\.1 200 OK\r\n[^]*fine/)
    t.strictSame(proxy.results.map(({ outcome, bytesFromOrigin }) => [outcome, bytesFromOrigin]), [['completed', 4], ['completed', 4]])
    t.equal(origin.connections(), 2)
  }
})

t.test('what comes unasked, with the answer or after it, ends the connection and is no answer', async (t) => {
  const evil = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'
  const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\n\r\n'
  for (const [what, answer] of Object.entries({
    'in one segment': fine + evil,
    'in one segment, chunked': chunked + evil,
    'behind no content': `HTTP/1.1 204 No Content\r\n\r\n${evil}`,
    'at once': (socket: Socket) => {
      socket.write(fine)
      setImmediate(() => socket.write(evil))
    },
    'later': (socket: Socket) => {
      socket.write(fine)
      setTimeout(() => socket.write(evil), 20)
    },
  })) {
    const { origin, proxy } = await world(t, [answer, fine])
    await exchange(proxy.port, request())
    await sleep(100)
    t.match(await exchange(proxy.port, request()), /fine$/, what)
    t.equal(origin.connections(), 2, what)
    t.strictSame(proxy.results.map(({ outcome }) => outcome), ['completed', 'completed'], what)
  }
})

t.test('what was said unasked is read before a request of any kind is written on a used connection', async (t) => {
  for (const next of [request(), post, request('DELETE'), request('HEAD')]) {
    let first: Socket | undefined
    const { origin, proxy } = await world(t, [(socket) => {
      first = socket
      socket.write(fine)
    }, fine])
    const client = await connectTo(proxy.port)
    client.write(request().replace('Connection: close\r\n', ''))
    await readUntil(client, 'fine')
    const answered = readAll(client)
    // both wait to be read in one turn of the loop, the request first
    client.write(next)
    first?.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Evil: yes\r\n\r\nevil')
    const answer = (await answered).toString('latin1')
    t.match(answer, /^HTTP\/1\.1 200 OK/, next.slice(0, 5))
    t.notMatch(answer, /evil/i, next.slice(0, 5))
    t.equal(origin.connections(), 2, next.slice(0, 5))
    t.equal(origin.requests(), 2, `${next.slice(0, 5)}: nothing is sent twice`)
  }
})

t.test('an origin\'s word on how long it keeps a connection shortens the time, and never lengthens it', async (t) => {
  for (const [field, waits, connections] of [['Connection: close', 0, 2], ['Keep-Alive: timeout=2', 0, 2], ['Keep-Alive: timeout=60', 0, 1], ['Keep-Alive: timeout=60', 700, 2], ['X: y', 0, 1]] as const) {
    const { origin, proxy } = await world(t, [`HTTP/1.1 200 OK\r\n${field}\r\nContent-Length: 4\r\n\r\nfine`], { keepAliveMs: 300 })
    await exchange(proxy.port, request())
    await sleep(waits)
    await exchange(proxy.port, request())
    t.equal(origin.connections(), connections, `${field} after ${waits} ms`)
  }
})

t.test('silence within an answer is counted from its last byte, and not while the client holds it back', async (t) => {
  const { proxy } = await world(t, [(socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n')
    for (let sent = 0; sent < 10; sent++) setTimeout(() => socket.write('x'), 100 * sent)
  }, (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nxx'), (socket) => socket.write('HTTP/1.1 200 OK\r\n')], { originTimeoutMs: 400 })
  t.match(await exchange(proxy.port, request()), /x{10}$/)
  await exchange(proxy.port, request())
  await exchange(proxy.port, request())
  t.match(proxy.results, [{ outcome: 'completed' }, { outcome: 'failed', headSent: true, error: { code: 'origin_timeout' } }, { outcome: 'failed', headSent: false, error: { code: 'origin_timeout' } }])
})
