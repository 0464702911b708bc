// Plain requests inside TLS that ends at the proxy, read and answered without node's parser: whoever leaves when,
// whatever comes behind a request, and whatever else is not plain.
import t from 'tap'
import { testCertificates } from '../support/certificates.ts'
import { ControlClient } from '../support/control.ts'
import { insideRequest, openInside } from '../support/inside.ts'
import { startWith } from '../support/issued-sessions.ts'
import { insideLeg } from '../support/legs.ts'
import { tlsOrigin } from '../support/origins.ts'
import { openTunnel } from '../support/raw-client.ts'
import { ok } from '../support/strict-origin.ts'
import { readAnswers, type WireClient } from '../support/wire-client.ts'

const ways: Readonly<Record<string, (client: WireClient) => void>> = {
  closes: (client) => client.socket.destroy(),
  resets: (client) => client.reset(),
  'ends its side': (client) => client.socket.end(),
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
})

t.test('what comes behind an unanswered request waits for its answer, whatever it is', async (t) => {
  for (const [what, behind, expected] of [
    ['a plain request', ['GET', '', ''], [200, 200]],
    ['one with a body', ['POST', 'Content-Length: 2\r\n', 'ok'], [200, 200]],
    ['a request that is smuggled', ['POST', 'Content-Length: 2\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'], [200, 400]],
    ['a CONNECT', undefined, [200, 405]],
    ['what is no request', undefined, [200, 405]],
  ] as const) {
    const gate = Promise.withResolvers<void>()
    const asked = Promise.withResolvers<void>()
    const leg = await insideLeg.start(t, {
      answer: ({ target }, socket) => {
        if (target !== '/slow') return ok(target)
        asked.resolve()
        void gate.promise.then(() => socket.write(ok('/slow')))
        return ''
      },
    })
    const client = await leg.open()
    client.send(leg.request('/slow'))
    await asked.promise
    const [method, fields, body] = behind ?? []
    const other = what === 'a CONNECT' ? `CONNECT ${leg.host} HTTP/1.1\r\nHost: ${leg.host}\r\n\r\n` : 'nonsense\r\n\r\n'
    client.send(behind === undefined ? other : leg.request('/second', `Connection: close\r\n${fields}`, method, body))
    await new Promise((resolve) => setTimeout(resolve, 50))
    t.equal(client.received, '', `${what}: nothing overtakes`)
    t.equal(leg.origin.requests.length, 1, `${what}: nothing is forwarded before`)
    gate.resolve()
    const received = readAnswers(await client.closed())
    t.strictSame(received.map(({ status }) => status), expected, what)
    t.equal(received[0]?.body, '/slow', what)
    t.strictSame(leg.origin.complaints, [], what)
  }
})
