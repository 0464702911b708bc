// Several requests on one connection, on one leg: each decided by itself, answered in order, and nothing that changes
// the connection's protocol may overtake an answer that is still owed.
import type { Test } from 'tap'
import type { Leg, LegWorld } from './legs.ts'
import { ok } from './strict-origin.ts'
import { readAnswers } from './wire-client.ts'

const handshake = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'

export function checkPipelining(t: Test, leg: Leg): void {
  t.test(`${leg.name}: allowed, denied and allowed in one segment are answered in order, with an event each`, async (t) => {
    const { open, request, denied, decisions } = await leg.start(t)
    const client = await open()
    client.send(request('/1') + denied() + request('/3', 'Connection: close\r\n'))
    const answers = readAnswers(await client.closed())
    t.strictSame(answers.map(({ status }) => status), [200, 403, 200])
    t.strictSame([answers[0]?.body, answers[2]?.body], ['GET /1\n', 'GET /3\n'])
    t.strictSame(decisions().map((record) => record.attributes['network.policy.decision']), ['allow', 'deny', 'allow'])
    t.equal(new Set(decisions().map((record) => record.attributes['sallyport.request.id'])).size, 3)
  })

  t.test(`${leg.name}: bytes that are no request wait for the answer before them, also when that one is not yet looked at`, async (t) => {
    // the first connection of a proxy waits for the uid of its client
    const { open, request, decisions } = await leg.start(t)
    const client = await open()
    client.send(request('/1', 'Content-Length: 5\r\n', 'POST', 'hello') + 'Expect: 100-continue\r\n')
    const answers = readAnswers(await client.closed())
    t.strictSame(answers.map(({ status }) => status), [200, 405])
    t.strictSame(decisions().map((record) => record.attributes['network.policy.decision']), ['allow', 'deny'])
  })

  t.test(`${leg.name}: a slow first answer holds back the later ones, and none is mixed up`, async (t) => {
    const gate = Promise.withResolvers<void>()
    const { proxy, open, request, denied } = await leg.start(t, { answer: (each, socket) => {
      if (each.target !== '/slow') return ok(each.target)
      void gate.promise.then(() => socket.write(ok('/slow')))
      return undefined
    } })
    const client = await open()
    const paths = Array.from({ length: 20 }, (_, at) => `/${at}`)
    client.send(request('/slow') + paths.map((path) => request(path)).join('') + denied())
    await proxy.recorded(({ name, attributes }) => name === 'sallyport.decision' && attributes['network.policy.decision'] === 'deny')
    t.equal(client.received, '')
    gate.resolve()
    const answers = await client.answers(22)
    t.strictSame(answers.map(({ body, status }) => (status === 200 ? body : status)), ['/slow', ...paths, 403])
    client.socket.destroy()
  })

  for (const [what, second] of [
    ['CONNECT', ({ host }) => `CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`],
    ['an upgrade', ({ request }) => request('/ws', handshake)],
    ['CONNECT to port 80', () => 'CONNECT other.test:80 HTTP/1.1\r\nHost: other.test:80\r\n\r\n'],
  ] as const satisfies readonly (readonly [string, (world: LegWorld) => string])[]) {
    t.test(`${leg.name}: ${what} behind an unanswered request is refused, after that request's answer`, async (t) => {
      const gate = Promise.withResolvers<void>()
      const world = await leg.start(t, { answer: (each, socket) => {
        if (each.target !== '/slow') return ok(each.target)
        // more than one socket buffer, so that the answer needs the connection for a while
        void gate.promise.then(() => socket.write(ok('x'.repeat(3_000_000))))
        return undefined
      } })
      const { proxy, origin, open, request } = world
      const client = await open()
      client.send(request('/slow') + second(world))
      await proxy.recorded((record) => record.attributes['sallyport.code'] === 'pipelined')
      t.equal(client.received, '', 'nothing overtakes')
      gate.resolve()
      const answers = readAnswers(await client.closed())
      t.strictSame(answers.map(({ status }) => status), [200, 400])
      t.equal(answers[0]?.body.length, 3_000_000)
      t.match(answers[1]?.body, /"code":"pipelined"/)
      t.equal(origin.requests.length, 1)
    })
  }

  t.test(`${leg.name}: a client that leaves with several answers owed leaves nothing open behind it`, async (t) => {
    const { proxy, origin, open, request, decisions } = await leg.start(t, { answer: () => undefined })
    const client = await open()
    client.send(request('/1') + request('/2') + request('/3'))
    while (origin.requests.length < 1) await new Promise((resolve) => setTimeout(resolve, 5))
    client.reset()
    const ids = new Set(decisions().map((record) => record.attributes['sallyport.request.id']))
    t.equal(ids.size, 3)
    for (const id of ids) {
      const ended = await proxy.recorded((record) => record.name === 'sallyport.exchange.ended' && record.attributes['sallyport.request.id'] === id)
      t.equal(ended.attributes['sallyport.outcome'], 'failed')
    }
  })

  t.test(`${leg.name}: a flood of pipelined requests is cut at 64 that are unanswered, and the origin sees one at a time`, async (t) => {
    const { proxy, origin, open, request, decisions } = await leg.start(t, { answer: () => undefined })
    const client = await open()
    client.send(Array.from({ length: 100 }, (_, index) => request(`/${index}`)).join(''))
    await proxy.recorded((record) => record.attributes['sallyport.code'] === 'pipelined')
    while (origin.requests.length < 1) await new Promise((resolve) => setTimeout(resolve, 5))
    t.equal(origin.requests.length, 1)
    t.equal(decisions().length, 65)
    client.socket.destroy()
  })
}
