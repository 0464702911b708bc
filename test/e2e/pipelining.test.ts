// Several requests on one connection: each decided by itself, answered in order, and nothing that changes
// the connection's protocol may overtake an answer that is still owed.
import t from 'tap'
import { request, startPlain } from '../support/plain-world.ts'
import { ok, strictOrigin } from '../support/strict-origin.ts'
import { readAnswers, WireClient } from '../support/wire-client.ts'

const denied = 'GET http://denied.test/ HTTP/1.1\r\nHost: denied.test\r\n\r\n'
const handshake = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'

t.test('allowed, denied and allowed in one segment are answered in order, with an event each', async (t) => {
  const origin = await strictOrigin(t)
  const proxy = await startPlain(t, origin.port)
  const client = await WireClient.open(proxy.port)
  client.send(request(origin.port, '/1') + denied + request(origin.port, '/3', 'Connection: close\r\n'))
  const answers = readAnswers(await client.closed())
  t.strictSame(answers.map(({ status }) => status), [200, 403, 200])
  t.strictSame([answers[0]?.body, answers[2]?.body], ['GET /1\n', 'GET /3\n'])
  t.strictSame(proxy.decisions().map((record) => record.attributes['network.policy.decision']), ['allow', 'deny', 'allow'])
  t.equal(new Set(proxy.decisions().map((record) => record.attributes['sallyport.request.id'])).size, 3)
})

t.test('bytes that are no request wait for the answer before them, also when that one is not yet looked at', async (t) => {
  const origin = await strictOrigin(t)
  // the first connection of a proxy waits for the uid of its client
  const proxy = await startPlain(t, origin.port)
  const client = await WireClient.open(proxy.port)
  client.send(request(origin.port, '/1', 'Content-Length: 5\r\n', 'POST', 'hello') + 'Expect: 100-continue\r\n')
  const answers = readAnswers(await client.closed())
  t.strictSame(answers.map(({ status }) => status), [200, 405])
  t.strictSame(proxy.decisions().map((record) => record.attributes['network.policy.decision']), ['allow', 'deny'])
})

t.test('a slow first answer holds back the later ones, and none is mixed up', async (t) => {
  const gate = Promise.withResolvers<void>()
  const origin = await strictOrigin(t, (each, socket) => {
    if (each.target !== '/slow') return ok(each.target)
    void gate.promise.then(() => socket.write(ok('/slow')))
    return undefined
  })
  const proxy = await startPlain(t, origin.port)
  const client = await WireClient.open(proxy.port)
  const paths = Array.from({ length: 20 }, (_, at) => `/${at}`)
  client.send(request(origin.port, '/slow') + paths.map((path) => request(origin.port, path)).join('') + denied)
  await proxy.recorded((record) => record.attributes['server.address'] === 'denied.test')
  t.equal(client.received, '')
  gate.resolve()
  const answers = await client.answers(22)
  t.strictSame(answers.map(({ body, status }) => (status === 200 ? body : status)), ['/slow', ...paths, 403])
  client.socket.destroy()
})

for (const [what, second] of [
  ['CONNECT', (port: number) => `CONNECT allowed.test:${port} HTTP/1.1\r\nHost: allowed.test:${port}\r\n\r\n`],
  ['an upgrade', (port: number) => request(port, '/ws', handshake)],
  ['CONNECT to port 80', () => 'CONNECT other.test:80 HTTP/1.1\r\nHost: other.test:80\r\n\r\n'],
] as const) {
  t.test(`${what} behind an unanswered request is refused, after that request's answer`, async (t) => {
    const gate = Promise.withResolvers<void>()
    const origin = await strictOrigin(t, (each, socket) => {
      if (each.target !== '/slow') return ok(each.target)
      // more than one socket buffer, so that the answer needs the connection for a while
      void gate.promise.then(() => socket.write(ok('x'.repeat(12_000_000))))
      return undefined
    })
    const proxy = await startPlain(t, origin.port)
    const client = await WireClient.open(proxy.port)
    client.send(request(origin.port, '/slow') + second(origin.port))
    await proxy.recorded((record) => record.attributes['sallyport.code'] === 'pipelined')
    t.equal(client.received, '', 'nothing overtakes')
    // more waits than the origin is let send ahead of its client
    client.socket.pause()
    gate.resolve()
    await new Promise((resolve) => setTimeout(resolve, 200))
    client.socket.resume()
    const answers = readAnswers(await client.closed())
    t.strictSame(answers.map(({ status }) => status), [200, 400])
    t.equal(answers[0]?.body.length, 12_000_000)
    t.match(answers[1]?.body, /"code":"pipelined"/)
    t.equal(origin.requests.length, 1)
  })
}

t.test('a client that leaves with several answers owed leaves nothing open behind it', async (t) => {
  const origin = await strictOrigin(t, () => undefined)
  const proxy = await startPlain(t, origin.port)
  const client = await WireClient.open(proxy.port)
  client.send(request(origin.port, '/1') + request(origin.port, '/2') + request(origin.port, '/3'))
  while (origin.requests.length < 1) await new Promise((resolve) => setTimeout(resolve, 5))
  client.socket.resetAndDestroy()
  const ids = new Set(proxy.decisions().map((record) => record.attributes['sallyport.request.id']))
  t.equal(ids.size, 3)
  for (const id of ids) {
    const ended = await proxy.recorded((record) => record.name === 'sallyport.exchange.ended' && record.attributes['sallyport.request.id'] === id)
    t.equal(ended.attributes['sallyport.outcome'], 'failed')
  }
})

t.test('a flood of pipelined requests is cut at 64 that are unanswered, and the origin sees one at a time', async (t) => {
  const origin = await strictOrigin(t, () => undefined)
  const proxy = await startPlain(t, origin.port)
  const client = await WireClient.open(proxy.port)
  client.send(Array.from({ length: 100 }, (_, index) => request(origin.port, `/${index}`)).join(''))
  await proxy.recorded((record) => record.attributes['sallyport.code'] === 'pipelined')
  while (origin.requests.length < 1) await new Promise((resolve) => setTimeout(resolve, 5))
  t.equal(origin.requests.length, 1)
  t.equal(proxy.decisions().length, 65)
  client.socket.destroy()
})
