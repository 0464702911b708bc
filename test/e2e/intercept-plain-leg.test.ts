// Plain requests inside TLS that ends at the proxy, read and answered without node's parser: whoever leaves when,
// whatever comes behind a request, and whatever else is not plain.
import { writeFileSync } from 'node:fs'
import t from 'tap'
import { testCertificates } from '../support/certificates.ts'
import { ControlClient } from '../support/control.ts'
import { insideRequest, openInside } from '../support/inside.ts'
import { startWith } from '../support/issued-sessions.ts'
import { insideLeg, type LegWorld } from '../support/legs.ts'
import { tlsOrigin } from '../support/origins.ts'
import { openTunnel } from '../support/raw-client.ts'
import type { Scope } from '../support/scope.ts'
import { ok } from '../support/strict-origin.ts'
import { readAnswers, type WireClient } from '../support/wire-client.ts'

const ways: Readonly<Record<string, (client: WireClient) => void>> = {
  closes: (client) => client.socket.destroy(),
  resets: (client) => client.reset(),
  'ends its side': (client) => client.socket.end(),
}

/** A leg whose origin answers `/slow` with `first` at once and with `rest` when it is told to. */
async function haltedLeg(t: Scope, first: string, rest: string): Promise<{ readonly leg: LegWorld; readonly asked: Promise<void>; readonly goOn: () => void }> {
  const gate = Promise.withResolvers<void>()
  const asked = Promise.withResolvers<void>()
  const leg = await insideLeg.start(t, {
    answer: ({ target }, socket) => {
      if (target !== '/slow') return ok(target)
      asked.resolve()
      void gate.promise.then(() => socket.write(rest))
      return first
    },
  })
  return { leg, asked: asked.promise, goOn: gate.resolve }
}

t.test('a client that sends more behind its held GET and then leaves is noticed, however it does', async (t) => {
  const certificates = await testCertificates()
  const origin = await tlsOrigin(t, ['one.ask.test'], certificates)
  const authority = `one.ask.test:${origin.port}`
  const { proxy, sessions: [session] } = await startWith(t, [{ trustsCa: true, hold: 60_000 }], {
    policy: `[network]\nunknown = "deny"\n[[network.rules]]\nid = "asked"\nhosts = ["${authority}"]\nlocal = ["127.0.0.1/32"]\norigin_ca = ["roots.pem"]\nverdict = "ask"\n`,
    hosts: { 'one.ask.test': '127.0.0.1' }, policies: { 'roots.pem': certificates.ca },
  })
  if (session === undefined) throw new Error('no session')
  const control = new ControlClient(proxy.controlSocket)
  const credentials = session.field
  await openTunnel(proxy.port, authority, credentials)
  for (const [how, leave] of Object.entries(ways)) {
    for (const more of ['', 'GET ', 'x'.repeat(200_000)]) {
      const client = await openInside(t, proxy, authority, { credentials })
      client.send(insideRequest(authority, '/inside'))
      await control.pending('one.ask.test', ({ waiting }) => waiting === 1)
      if (more !== '') client.send(more)
      leave(client)
      t.match(await control.pending('one.ask.test', ({ waiting }) => waiting === 0), { state: 'pending' }, `${how}, ${more.length} bytes`)
    }
  }
  t.equal(origin.connections(), 0)
  const client = await openInside(t, proxy, authority, { credentials })
  client.send(insideRequest(authority, '/one'))
  await control.pending('one.ask.test', ({ waiting }) => waiting === 1)
  client.send(insideRequest(authority, '/two', { method: 'POST', body: 'x'.repeat(100_000) }) + insideRequest(authority, '/three'))
  await control.decide('one.ask.test', { verdict: 'allow' })
  for (const line of ['GET /one\n', 'POST /two\n', 'GET /three\n']) t.equal((await client.next())?.body, line, 'and one that stays is served, in order')
})

t.test('what comes behind an unanswered request waits for its answer, whatever it is', async (t) => {
  for (const [what, behind, expected] of [
    ['a plain request', ['GET', '', ''], [200, 200]],
    ['one with a body', ['POST', 'Content-Length: 2\r\n', 'ok'], [200, 200]],
    ['a request that is smuggled', ['POST', 'Content-Length: 2\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'], [200, 400]],
    ['a CONNECT', undefined, [200, 405]],
    ['what is no request', undefined, [200, 405]],
  ] as const) {
    const { leg, asked, goOn } = await haltedLeg(t, '', ok('/slow'))
    const client = await leg.open()
    client.send(leg.request('/slow'))
    await asked
    const [method, fields, body] = behind ?? []
    const other = what === 'a CONNECT' ? `CONNECT ${leg.host} HTTP/1.1\r\nHost: ${leg.host}\r\n\r\n` : 'nonsense\r\n\r\n'
    client.send(behind === undefined ? other : leg.request('/second', `Connection: close\r\n${fields}`, method, body))
    await new Promise((resolve) => setTimeout(resolve, 50))
    t.equal(client.received, '', `${what}: nothing overtakes`)
    t.equal(leg.origin.requests.length, 1, `${what}: nothing is forwarded before`)
    goOn()
    const received = readAnswers(await client.closed())
    t.strictSame(received.map(({ status }) => status), expected, what)
    t.equal(received[0]?.body, '/slow', what)
    t.strictSame(leg.origin.complaints, [], what)
  }
})

t.test('on a stop an idle connection goes at once, and one with an answer under way when that is out', async (t) => {
  const { leg, asked, goOn } = await haltedLeg(t, 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel', 'lo')
  const [idle, busy] = await Promise.all([leg.open(), leg.open()])
  idle.send(leg.request('/first'))
  await idle.answers(1)
  busy.send(leg.request('/slow'))
  await asked
  await busy.until((received) => received.endsWith('hel'))
  const stopped = leg.proxy.stop(true)
  await idle.closed()
  t.notOk(busy.isClosed)
  goOn()
  t.strictSame(readAnswers(await busy.closed()).map(({ body, isWhole }) => [body, isWhole]), [['hello', true]])
  await stopped
})

t.test('an idle connection is closed after its time, one that is begun and not ended is told so, and so is a silent one', async (t) => {
  const leg = await insideLeg.start(t, {
    change: (settings) => ({ ...settings, limits: { ...settings.limits, headersTimeoutMs: 500, keepAliveTimeoutMs: 300 } }),
  })
  const [idle, begun, silent] = await Promise.all([leg.open(), leg.open(), leg.open()])
  for (const client of [idle, begun]) {
    client.send(leg.request('/'))
    await client.answers(1)
    client.send(leg.request('/'))
    await client.answers(2)
  }
  begun.send('GET /')
  t.strictSame(readAnswers(await idle.closed()).map(({ status }) => status), [200, 200])
  t.strictSame(readAnswers(await begun.closed()).map(({ status }) => status), [200, 200, 408])
  t.strictSame(readAnswers(await silent.closed()).map(({ status }) => status), [408])
})

t.test('a rule that is taken away cuts the answer that streams, and the client sees that it is not whole', async (t) => {
  for (const [head, part] of [['Content-Length: 100', 'hello'], ['Transfer-Encoding: chunked', '5\r\nhello\r\n']]) {
    const leg = await insideLeg.start(t, { answer: () => `HTTP/1.1 200 OK\r\n${head}\r\n\r\n${part}` })
    const client = await leg.open()
    client.send(leg.request('/stream'))
    await client.until((received) => received.includes('hello'))
    writeFileSync(leg.proxy.policyFile, '[network]\nunknown = "deny"\n')
    t.strictSame(readAnswers(await client.closed()).map(({ body, isWhole }) => [body, isWhole]), [['hello', false]])
    await leg.proxy.recorded(({ name, attributes }) => name === 'sallyport.exchange.ended' && attributes['http.request.method'] === 'GET'
      && attributes['sallyport.outcome'] === 'expired' && attributes['sallyport.code'] === 'policy_changed')
  }
})

t.test('an answer that its origin cuts is not whole, wherever it is cut', async (t) => {
  const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a="b"\r\nhello\r\n0\r\nX-Sum: 5\r\n\r\n'
  const sized = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello'
  const leg = await insideLeg.start(t, {
    answer: ({ target }, socket) => {
      const [, kind, length] = target.split('/')
      socket.end((kind === 'sized' ? sized : chunked).slice(0, Number(length)))
      return ''
    },
  })
  for (const [kind, text] of [['sized', sized], ['chunked', chunked]] as const) {
    for (let length = 1; length < text.length; length++) {
      const client = await leg.open()
      client.send(leg.request(`/${kind}/${length}`, 'Connection: close\r\n'))
      const [answer] = readAnswers(await client.closed())
      if (answer !== undefined && answer.isWhole !== (answer.status === 502)) t.fail(`${kind}, ${length} bytes: ${JSON.stringify(answer)}`)
    }
  }
  await leg.proxy.recorded(() => leg.proxy.records().filter(({ attributes }) => attributes['sallyport.outcome'] === 'failed').length === sized.length + chunked.length - 2)
  t.pass('every end is in the journal')
})

t.test('a client that ends its side behind a request gets the answer, and so do those it sent behind it', async (t) => {
  const gate = Promise.withResolvers<void>()
  const asked = Promise.withResolvers<void>()
  const leg = await insideLeg.start(t, {
    answer: ({ target }, socket) => {
      asked.resolve()
      void gate.promise.then(() => socket.write(ok(target)))
      return ''
    },
  })
  const client = await leg.open()
  client.send(leg.request('/one'))
  await asked.promise
  client.send(leg.request('/behind', '', 'POST', ''))
  client.socket.end()
  await new Promise((resolve) => setTimeout(resolve, 50))
  gate.resolve()
  t.strictSame(readAnswers(await client.closed()).map(({ body }) => body), ['/one', '/behind'])
})
