// What a connection begins with, however it is cut up and whatever its client does next: the same answers
// whether node's parser or the front reads it, whether the socket could be armed or not, and nothing left behind.
import { once } from 'node:events'
import net from 'node:net'
import t, { type Test } from 'tap'
import { Gate } from '../../src/gate/gate.ts'
import { hello, serverNames } from '../ingress/hello-bytes.ts'
import { request } from '../support/plain-world.ts'
import { readAnswers, WireClient } from '../support/wire-client.ts'
import { connect, disguise, established, lending, turns, world } from './first-bytes-world.ts'

// answered by the proxy itself, so that nothing need listen on port 80
const misdirected = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: other.test\r\n\r\n`

/** Sends pieces so that each is read by itself. */
async function apart(client: WireClient, ...pieces: readonly string[]): Promise<void> {
  for (const piece of pieces) {
    client.send(piece)
    await turns()
  }
}

/** Lets every call of a method of the gate wait until it is let go. */
function hold(t: Test, method: 'admit' | 'refuseMalformed'): { readonly called: Promise<void>; readonly letGo: () => void } {
  const called = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  const original = Reflect.get(Gate.prototype, method) as (...given: unknown[]) => Promise<unknown>
  Reflect.set(Gate.prototype, method, async function held(this: Gate, ...given: unknown[]) {
    called.resolve()
    await gate.promise
    return original.apply(this, given)
  })
  t.teardown(() => Reflect.set(Gate.prototype, method, original))
  return { called: called.promise, letGo: gate.resolve }
}

for (const way of ['armed', 'through data events'] as const) {
  t.test(`a socket that is read ${way}`, async (t) => {
    if (way !== 'armed') disguise(t)
    const { proxy, echo, http, nothingLeft } = await world(t)
    const raw = connect(`raw.test:${echo.port}`)

    await t.test('a CONNECT that is cut in two at any byte opens the same tunnel', async (t) => {
      const wrong: string[] = []
      for (let at = 1; at <= raw.length; at++) {
        const client = await WireClient.open(proxy.port)
        await apart(client, raw.slice(0, at), `${raw.slice(at)}hi`)
        const received = await client.until((all) => all.length >= established.length + 2)
        if (received !== `${established}hi`) wrong.push(`${at}: ${received}`)
        client.socket.destroy()
      }
      t.strictSame(wrong, [])
      await nothingLeft()
    })

    await t.test('bytes behind a CONNECT, few or many, all arrive and in order', async (t) => {
      const many = Buffer.from(Uint32Array.from({ length: 300_000 }, (_, index) => index).buffer)
      const first = hello(serverNames({ name: 'allowed.test' }))
      for (const [authority, early] of [['raw.test', Buffer.from('x')], ['raw.test', many], ['allowed.test', first], ['allowed.test', Buffer.concat([first, many])]] as const) {
        for (const isApart of [false, true]) {
          const client = await WireClient.open(proxy.port)
          const head = Buffer.from(connect(`${authority}:${echo.port}`))
          if (isApart) {
            client.send(head)
            client.send(early)
          } else {
            client.send(Buffer.concat([head, early]))
          }
          const received = await client.until((all) => all.length >= established.length + early.length)
          t.ok(received === established + early.toString('latin1'), `${early.length} bytes to ${authority}${isApart ? ' in segments of their own' : ''}`)
          client.socket.destroy()
        }
      }
      await nothingLeft()
    })

    await t.test('a tunnel to port 80 answers the HTTP inside it, however it was reached', async (t) => {
      const head = connect('allowed.test:80')
      const cut = [head.slice(0, 20), head.slice(20)] as const
      const inside = misdirected('/1')
      const ways: Readonly<Record<string, readonly string[]>> = {
        'in one segment': [head + inside],
        'in two': [head, inside],
        'in three': [head, inside.slice(0, 20), inside.slice(20)],
        'with the head in two': [cut[0], cut[1] + inside],
        'with the head in two and the request behind': [...cut, inside],
        'with all of it in two': [...cut, inside.slice(0, 20), inside.slice(20)],
        'behind another request': [request(http, '/'), head + inside],
        'behind another request, apart': [request(http, '/'), head, inside],
      }
      for (const [what, pieces] of Object.entries(ways)) {
        const client = await WireClient.open(proxy.port)
        const [before = '', ...more] = pieces
        await apart(client, before)
        if (what.startsWith('behind')) t.equal((await client.next())?.status, 200)
        await apart(client, ...more)
        await client.until((all) => all.includes('"code":"misdirected"'))
        t.ok(client.received.startsWith(established), what)
        t.strictSame(readAnswers(client.received.slice(established.length)).map(({ status }) => status), [421], what)
        client.socket.destroy()
      }
      await nothingLeft()
    })

    await t.test('a second CONNECT inside a tunnel is bytes like any other, or refused where HTTP is read', async (t) => {
      const client = await WireClient.open(proxy.port)
      client.send(raw + raw)
      t.equal(await client.until((all) => all.length >= established.length + raw.length), established + raw)
      client.socket.destroy()
      for (const pieces of [[connect('allowed.test:80') + raw], [connect('allowed.test:80'), raw], ['CON', connect('allowed.test:80').slice(3), raw]]) {
        const inner = await WireClient.open(proxy.port)
        await apart(inner, ...pieces)
        t.match(await inner.closed(), /^HTTP\/1\.1 200 [^]*HTTP\/1\.1 405 [^]*"code":"method_not_supported"/)
      }
      await nothingLeft()
    })

    await t.test('requests, bodies and a CONNECT behind them are read one after another', async (t) => {
      const client = await WireClient.open(proxy.port)
      client.send(request(http, '/1') + request(http, '/2'))
      t.strictSame((await client.answers(2)).map(({ body }) => body), ['/1', '/2'])
      client.send(request(http, '/3', 'Content-Length: 1000000\r\n', 'PUT', 'x'.repeat(1_000_000)) + raw.slice(0, 5))
      t.strictSame((await client.answers(3)).map(({ body }) => body), ['/1', '/2', '/3'])
      await apart(client, raw.slice(5), 'a', 'b')
      t.ok((await client.until((all) => all.endsWith(`${established}ab`))).endsWith(`${established}ab`))
      client.socket.destroy()
      await nothingLeft()
    })

    await t.test('what is no CONNECT is refused as the parser says', async (t) => {
      for (const [bytes, code] of [['\x16\x03\x01\x00\xa5\x01\x00', 'method_not_supported'], ['\0', 'method_not_supported'], ['CONNECT a.test:443 HTTP/2.0\r\n\r\n', 'version_unsupported'], ['CONNECT a.test:443 HTTP/1.1\r\nHo st: x\r\n\r\n', 'field_syntax'], [raw.toLowerCase(), 'method_not_supported']] as const) {
        const client = await WireClient.open(proxy.port)
        client.send(bytes)
        t.match(await client.closed(), new RegExp(`^HTTP/1\\.1 (?:400|405|505) [^]*"code":"${code}"`), JSON.stringify(bytes))
      }
      await nothingLeft()
    })
  })
}

t.test('what comes while a CONNECT to port 80 is decided on is read in order once it is allowed', async (t) => {
  const { proxy, nothingLeft } = await world(t)
  const head = connect('allowed.test:80')
  const inside = misdirected('/1')
  for (const pieces of [[head], [head.slice(0, 30), head.slice(30)], [head + inside.slice(0, 9)]]) {
    const begun = pieces.join('').length - head.length
    for (const cut of [20, inside.length]) {
      const { called, letGo } = hold(t, 'admit')
      const client = await WireClient.open(proxy.port)
      await apart(client, ...pieces)
      await called
      await apart(client, inside.slice(begun, cut))
      letGo()
      await apart(client, inside.slice(cut))
      await client.until((all) => all.includes('"code":'))
      t.ok(client.received.startsWith(established))
      t.match(readAnswers(client.received.slice(established.length)), [{ status: 421 }])
      client.socket.destroy()
      await nothingLeft()
    }
  }
})

t.test('a client that ends its side or resets while its CONNECT is decided on leaves nothing behind', async (t) => {
  const { proxy, echo, nothingLeft } = await world(t)
  for (const authority of ['allowed.test:80', `raw.test:${echo.port}`, `allowed.test:${echo.port}`, 'denied.test:443']) {
    for (const early of ['', misdirected('/')]) {
      for (const leave of ['end', 'reset'] as const) {
        const { called, letGo } = hold(t, 'admit')
        const client = await WireClient.open(proxy.port)
        client.send(connect(authority) + early)
        await called
        if (leave === 'end') client.socket.end()
        else client.socket.resetAndDestroy()
        await turns()
        letGo()
        const received = await client.closed()
        if (authority !== 'denied.test:443') t.ok(received === '' || (authority === 'allowed.test:80' && received === established), `${authority}: ${leave}`)
        else if (leave === 'end') t.match(received, /^HTTP\/1\.1 403 /, 'a refusal is still said')
        await nothingLeft()
      }
    }
  }
  const ids = new Set(proxy.decisions().map(({ attributes }) => attributes['sallyport.request.id']))
  for (const id of ids) await proxy.recorded(({ name, attributes }) => name === 'sallyport.exchange.ended' && attributes['sallyport.request.id'] === id)
  t.equal(ids.size, 16, 'each has its decision and its end')
})

t.test('a client that leaves without a word is let go at once and is no event', async (t) => {
  const { proxy, nothingLeft } = await world(t)
  for (const how of ['end', 'destroy', 'resetAndDestroy'] as const) {
    const client = await WireClient.open(proxy.port)
    await turns()
    client.socket[how]()
    t.equal(await client.closed(), '')
    await nothingLeft()
  }
  t.equal(proxy.decisions().length, 0)
})

t.test('a client that is silent does not keep a proxy that is stopping', async (t) => {
  const { proxy } = await world(t)
  const client = await WireClient.open(proxy.port)
  await turns()
  await proxy.stop(true)
  t.equal(await client.closed(), '')
})

t.test('what waits for a clock of the proxy', async (t) => {
  t.jobs = 2

  t.test('what a silent client says when its refusal is on the way is not served', async (t) => {
    const { proxy, echo, nothingLeft } = await world(t, 100)
    const { called, letGo } = hold(t, 'refuseMalformed')
    const client = await WireClient.open(proxy.port)
    await called
    await apart(client, connect(`raw.test:${echo.port}`), 'x')
    letGo()
    t.match(await client.closed(), /^HTTP\/1\.1 408 (?:(?!HTTP\/1\.1)[^])*"code":"request_timeout"(?:(?!HTTP\/1\.1)[^])*$/)
    t.strictSame(proxy.decisions().map(({ attributes }) => attributes['sallyport.code']), ['request_timeout'])
    t.equal(echo.connections(), 0)
    await nothingLeft()
  })

  t.test('a refused CONNECT reads its answer and is cut soon, however much it sends', async (t) => {
    const { proxy, nothingLeft } = await world(t)
    const before = lending.count
    const client = await WireClient.open(proxy.port)
    const block = Buffer.alloc(256 * 1024)
    const flood = (): void => {
      if (client.socket.writable) client.socket.write(block, () => setTimeout(flood, 1))
    }
    client.socket.removeAllListeners('end')
    client.send(connect('denied.test:443'))
    flood()
    const [answer] = readAnswers(await client.closed())
    t.match(answer, { status: 403, isWhole: true })
    t.equal(lending.count, before, 'what is dropped takes no buffer')
    await nothingLeft()
  })
})

t.test('an upgrade whose body has not come whole is refused and journaled', async (t) => {
  const { proxy, http, nothingLeft } = await world(t)
  const fields = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nContent-Length: 5\r\n'
  for (const pieces of [[request(http, '/', fields)], [request(http, '/', fields), 'abcde'], [`${request(http, '/', fields)}ab`, 'cdeGET'], [`${request(http, '/', fields)}abcde`]]) {
    const before = proxy.decisions().length
    const client = await WireClient.open(proxy.port)
    await apart(client, ...pieces)
    t.match(await client.closed(), /^HTTP\/1\.1 400 [^]*"code":"framing"/)
    t.strictSame(proxy.decisions().slice(before).map(({ attributes }) => attributes['sallyport.code']), ['framing'])
    await nothingLeft()
  }
})

t.test('2,000 connections that are reset at every stage leave nothing behind', async (t) => {
  const { proxy, echo, http, nothingLeft } = await world(t)
  const before = lending.count
  const bulk = Buffer.alloc(1024 * 1024)
  const stages: readonly (readonly [(received: string) => boolean, ...(readonly (string | Uint8Array)[])])[] = [
    [() => true],
    [() => true, 'CONN'],
    [() => true, connect(`raw.test:${echo.port}`)],
    [() => true, connect(`allowed.test:${echo.port}`), hello(serverNames({ name: 'allowed.test' }))],
    [() => true, connect('denied.test:443'), 'more'],
    [() => true, connect('allowed.test:80'), misdirected('/')],
    [() => true, request(http, '/')],
    [(received) => received.length > 0, connect(`raw.test:${echo.port}`)],
    [(received) => received.length > 0, connect(`allowed.test:${echo.port}`)],
    [(received) => received.length > established.length + 100_000, connect(`raw.test:${echo.port}`), bulk],
  ]
  for (let round = 0; round < 20; round++) {
    await Promise.all(Array.from({ length: 100 }, async (_, index) => {
      const [enough, ...pieces] = stages[index % stages.length] ?? [() => true]
      // bulk for a few of them: a megabyte each
      const isBulk = pieces[1] === bulk && index < 20
      const socket = net.connect({ host: '127.0.0.1', port: proxy.port, noDelay: true })
      let received = ''
      socket.on('error', () => socket.destroy())
      await once(socket, 'connect')
      socket.on('data', (chunk) => {
        received += chunk.toString('latin1')
        if (enough(received) || !isBulk) socket.resetAndDestroy()
      })
      for (const piece of pieces) if (piece !== bulk || isBulk) socket.write(piece)
      if (round % 2 === 1) await new Promise((resolve) => setImmediate(resolve))
      if (enough('')) socket.resetAndDestroy()
      if (!socket.closed) await once(socket, 'close')
    }))
  }
  await nothingLeft()
  t.ok(lending.count > before, 'buffers were lent')
  t.strictSame(proxy.decisions().filter(({ attributes }) => attributes['sallyport.code'] === 'client_not_allowed'), [], 'a client that is gone was not turned away')
  t.strictSame(proxy.log.filter((line) => line.startsWith('a fault')), [])
})
