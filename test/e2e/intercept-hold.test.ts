// Questions about https where the session trusts our root: the CONNECT is answered, and the request inside waits.
import { writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { problemIn } from '../support/ask-world.ts'
import { testCertificates } from '../support/certificates.ts'
import { ControlClient } from '../support/control.ts'
import { insideRequest, openInside } from '../support/inside.ts'
import { startWith, type Issued } from '../support/issued-sessions.ts'
import { tlsOrigin, type HttpOrigin } from '../support/origins.ts'
import type { TestProxy } from '../support/proxy.ts'
import { openTunnel } from '../support/raw-client.ts'
import type { WireClient } from '../support/wire-client.ts'

interface World {
  readonly proxy: TestProxy
  readonly control: ControlClient
  readonly origin: HttpOrigin
  readonly authority: string
  readonly trusting: Issued
  readonly plain: Issued
  open(): Promise<WireClient>
}

async function start(t: Test, { more = '', holdMs = 60_000 } = {}): Promise<World> {
  const certificates = await testCertificates()
  const origin = await tlsOrigin(t, ['one.ask.test'], certificates)
  const authority = `one.ask.test:${origin.port}`
  const policy = `[network]
unknown = "deny"
${more}
[[network.rules]]
id = "asked"
hosts = ["${authority}"]
local = ["127.0.0.1/32"]
origin_ca = ["roots.pem"]
verdict = "ask"
`
  const { proxy, sessions: [trusting, plain] } = await startWith(t, [{ trustsCa: true, hold: holdMs }, { hold: 0 }], {
    policy, hosts: { 'one.ask.test': '127.0.0.1' },
    policies: { 'roots.pem': certificates.ca },
  })
  if (trusting === undefined || plain === undefined) throw new Error('no sessions')
  await openTunnel(proxy.port, authority, trusting.field)
  const open = (): Promise<WireClient> => openInside(t, proxy, authority, { credentials: trusting.field })
  return { proxy, control: new ControlClient(proxy.controlSocket), origin, authority, trusting, plain, open }
}

t.test('the request waits inside TLS, is released by a yes, and reaches the origin once', async (t) => {
  const { control, origin, authority, open } = await start(t)
  const client = await open()
  client.send(insideRequest(authority, '/inside?a=b'))
  t.match(await control.pending('one.ask.test'), { host: 'one.ask.test', port: origin.port })
  t.equal(origin.connections(), 0, 'nothing is dialled for a question')
  await control.decide('one.ask.test', { verdict: 'allow' })
  t.match(await client.next(), { status: 200, body: 'GET /inside?a=b\n' })
  client.send(insideRequest(authority, '/more'))
  t.match(await client.next(), { status: 200 }, 'the yes is for the host: it covers what the client does next')
  t.equal(origin.requests.length, 2)
})

t.test('a no is a body that can be read', async (t) => {
  const { control, origin, authority, open } = await start(t)
  const client = await open()
  client.send(insideRequest(authority, '/inside'))
  await control.decide('one.ask.test', { verdict: 'deny', comment: 'not this one' })
  const answer = await client.next()
  t.equal(answer?.status, 403)
  t.match(problemIn(answer?.body), { code: 'approval_denied', reason: /not this one/ })
  t.equal(origin.connections(), 0)
})

t.test('a client that is not held is told to come back, inside', async (t) => {
  const { authority, open } = await start(t, { holdMs: 0 })
  const client = await open()
  client.send(insideRequest(authority, '/inside'))
  const answer = await client.next()
  t.match(answer, { status: 403 })
  t.match(problemIn(answer?.body), { code: 'approval_pending', approval: String })
  t.match(answer?.fields.get('retry-after'), /^\d+$/)
})

t.test('a session that does not trust the root is asked about its CONNECT, as before', async (t) => {
  const { proxy, authority, plain } = await start(t)
  const { head } = await openTunnel(proxy.port, authority, plain.field)
  t.match(head, /^HTTP\/1\.1 403 Waiting for approval/)
})

t.test('a host that is never intercepted is asked about by its CONNECT', async (t) => {
  const { proxy, authority, trusting } = await start(t, { more: 'never_intercept = ["one.ask.test"]', holdMs: 0 })
  const { head } = await openTunnel(proxy.port, authority, trusting.field)
  t.match(head, /^HTTP\/1\.1 403 Waiting for approval/)
})

t.test('the connection stays open across the question, and a deny of the host closes it', async (t) => {
  const { proxy, control, authority, open } = await start(t)
  const client = await open()
  client.send(insideRequest(authority, '/inside'))
  await control.decide('one.ask.test', { verdict: 'allow' })
  t.match(await client.next(), { status: 200 })
  writeFileSync(proxy.policyFile, '[network]\nunknown = "deny"\ndenied_domains = ["one.ask.test"]\n')
  await client.closed()
  await proxy.recorded(({ attributes }) => attributes['sallyport.outcome'] === 'expired' && attributes['sallyport.code'] === 'policy_changed')
})
