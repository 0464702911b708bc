// What a yes opens has an end: its term, a revocation, the end of its session, a deny of policy. And it is nobody else's.
import { writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { askPolicy, connectBytes, headOf, problemIn, requestBytes, sent, startAsking, switching, webSocketFields } from '../support/ask-world.ts'
import type { ControlClient, WireApproval } from '../support/control.ts'
import { rawOrigin } from '../support/origins.ts'
import type { TestProxy } from '../support/proxy.ts'
import { fieldOf, strictOrigin } from '../support/strict-origin.ts'
import type { WireClient } from '../support/wire-client.ts'
import { helloFor } from './hello.ts'

const minute = 60_000

/** A clock that can be put forward, for this process and so for its proxies. */
function clock(t: Test): { forward(ms: number): void } {
  const { now } = Date
  let ahead = 0
  Object.assign(Date, { now: () => now.call(Date) + ahead })
  t.teardown(() => Object.assign(Date, { now }))
  return { forward: (ms) => (ahead += ms) }
}

/** The next request for the host is a question again, and not held by anything but that. */
async function asksAgain(t: Test, proxy: TestProxy, control: ControlClient, bytes: string, host: string, what: string): Promise<void> {
  const client = await sent(t, proxy, bytes)
  const { id } = await control.pending(host)
  client.socket.destroy()
  await control.pending(host, ({ waiting }) => waiting === 0)
  t.ok(id, what)
}

/** A tunnel with a hello through it, in both directions. */
async function openTunnel(t: Test, proxy: TestProxy, port: number, fields = ''): Promise<WireClient> {
  const client = await sent(t, proxy, Buffer.concat([Buffer.from(connectBytes(`one.ask.test:${port}`, fields)), await helloFor('one.ask.test')]))
  await client.until((text) => text.endsWith('hello back'))
  t.match(client.received, /^HTTP\/1\.1 200 [^]*hello back$/)
  return client
}

async function talkingOrigin(t: Test): Promise<{ readonly port: number; readonly connections: () => number }> {
  return rawOrigin(t, (socket) => socket.once('data', () => socket.write('hello back')))
}

function grantOf({ decision }: WireApproval): string {
  return decision?.grant_id ?? ''
}

async function endedBy(proxy: TestProxy, code: string): Promise<void> {
  await proxy.recorded(({ name, attributes }) => name === 'sallyport.exchange.ended' && attributes['sallyport.code'] === code && attributes['sallyport.outcome'] === 'expired')
}

t.test('once serves for a minute what it was asked for, and then the question is asked again', async (t) => {
  const origin = await strictOrigin(t)
  const { proxy, control } = await startAsking(t, origin.port)
  const time = clock(t)
  const host = `one.ask.test:${origin.port}`
  const first = await sent(t, proxy, requestBytes(host, '/1'))
  await control.decide('one.ask.test', { verdict: 'allow', term: 'once' })
  t.equal((await first.next())?.body, 'GET /1\n')
  t.equal((await (await sent(t, proxy, requestBytes(host, '/2'))).next())?.body, 'GET /2\n', 'a second connection of the same client')
  await asksAgain(t, proxy, control, connectBytes(host), 'one.ask.test', 'the other scheme is another question')
  time.forward(minute + 1)
  await asksAgain(t, proxy, control, requestBytes(host, '/3'), 'one.ask.test', 'and after it all is')
  t.strictSame(origin.requests.map(({ target }) => target), ['/1', '/2'])
})

t.test('a tunnel that a once opened is closed after ten minutes', async (t) => {
  const origin = await talkingOrigin(t)
  const { proxy, control } = await startAsking(t, origin.port)
  const time = clock(t)
  const [tunnel] = await Promise.all([openTunnel(t, proxy, origin.port), control.decide('one.ask.test', { verdict: 'allow' })])
  time.forward(9 * minute)
  await new Promise((resolve) => setTimeout(resolve, 700))
  t.equal(tunnel.isClosed, false)
  time.forward(minute + 1)
  await tunnel.closed()
  await endedBy(proxy, 'grant_ended')
})

t.test('an answer until a time ends at that time: what is open closes, and the next one is asked about', async (t) => {
  const origin = await talkingOrigin(t)
  const { proxy, control } = await startAsking(t, origin.port)
  const time = clock(t)
  const [tunnel, decided] = await Promise.all([openTunnel(t, proxy, origin.port), control.decide('one.ask.test', { verdict: 'allow', term: 'until', duration: '15m' })])
  time.forward(14 * minute)
  const second = await openTunnel(t, proxy, origin.port)
  t.equal(tunnel.isClosed, false)
  time.forward(minute + 1)
  await Promise.all([tunnel.closed(), second.closed()])
  await endedBy(proxy, 'grant_ended')
  await proxy.recorded(({ name, attributes }) => name === 'sallyport.grant.expired' && attributes['sallyport.grant.id'] === grantOf(decided))
  await asksAgain(t, proxy, control, connectBytes(`one.ask.test:${origin.port}`), 'one.ask.test', 'it is over')
})

t.test('a revoked grant closes the tunnel and the WebSocket that it opened, and the next one is asked about', async (t) => {
  const origin = await talkingOrigin(t)
  const sockets = await strictOrigin(t, (request) => switching(fieldOf(request, 'sec-websocket-key')))
  const { proxy, control } = await startAsking(t, origin.port, { policy: askPolicy(origin.port, `[[network.rules]]\nid = "sockets"\nhosts = ["*.ask.test:${sockets.port}"]\nlocal = ["127.0.0.1/32"]\nverdict = "ask"\n`) })
  const [tunnel, one] = await Promise.all([openTunnel(t, proxy, origin.port), control.decide('one.ask.test', { verdict: 'allow', term: 'session' })])
  const socket = await sent(t, proxy, requestBytes(`two.ask.test:${sockets.port}`, '/', { fields: webSocketFields }))
  const two = await control.decide('two.ask.test', { verdict: 'allow', term: 'session' })
  t.match(await headOf(socket), /^HTTP\/1\.1 101 /)
  await control.revoke(grantOf(two))
  await socket.closed()
  t.equal(tunnel.isClosed, false, 'nothing else is closed')
  await control.revoke(grantOf(one))
  await tunnel.closed()
  await endedBy(proxy, 'grant_ended')
  await asksAgain(t, proxy, control, connectBytes(`one.ask.test:${origin.port}`), 'one.ask.test', 'the tunnel is asked about')
  t.equal(proxy.records().filter(({ name }) => name === 'sallyport.grant.revoked').length, 2)
})

t.test('a session that ends takes its tunnels, its questions and its grants with it, and those of no other', async (t) => {
  const origin = await talkingOrigin(t)
  const { proxy, control } = await startAsking(t, origin.port)
  const [mine, other] = [await control.createSession(), await control.createSession()]
  const [tunnel] = await Promise.all([openTunnel(t, proxy, origin.port, mine.line), control.decide('one.ask.test', { verdict: 'allow', term: 'session' })])
  const [kept] = await Promise.all([openTunnel(t, proxy, origin.port, other.line), control.decide('one.ask.test', { verdict: 'allow', term: 'session' })])
  const held = await sent(t, proxy, connectBytes(`two.ask.test:${origin.port}`, mine.line))
  const heldToo = await sent(t, proxy, connectBytes(`two.ask.test:${origin.port}`, other.line))
  const asked = await control.pending('two.ask.test', ({ session, waiting }) => session === mine.id && waiting > 0)
  await control.pending('two.ask.test', ({ session, waiting }) => session === other.id && waiting > 0)
  await control.endSession(mine.id)
  const answer = await held.next()
  t.equal(answer?.status, 403)
  t.match(problemIn(answer?.body), { code: 'approval_withdrawn' })
  await tunnel.closed()
  await endedBy(proxy, 'session_ended')
  t.equal((await control.approval(asked.id)).state, 'withdrawn')
  t.equal((await control.answer(asked, { verdict: 'allow' })).status, 409)
  t.equal((await (await sent(t, proxy, connectBytes(`one.ask.test:${origin.port}`, mine.line))).next())?.status, 407)
  t.equal(kept.isClosed, false)
  await control.decide('two.ask.test', { verdict: 'allow' })
  t.match(await headOf(heldToo), /^HTTP\/1\.1 200 /)
  t.equal((await control.approvals()).length, 0)
})

t.test('a grant of one session is of no use to another, to the same agent or to its team', async (t) => {
  const origin = await strictOrigin(t)
  const { proxy, control } = await startAsking(t, origin.port)
  const label = { agent: 'codex', owner: 'ann', team: 'web' }
  const [mine, other] = [await control.createSession(label), await control.createSession(label)]
  const bytes = (line: string): string => requestBytes(`one.ask.test:${origin.port}`, '/', { fields: line })
  const first = await sent(t, proxy, bytes(mine.line))
  await control.decide('one.ask.test', { verdict: 'allow', term: 'session' })
  t.equal((await first.next())?.status, 200)
  await asksAgain(t, proxy, control, bytes(other.line), 'one.ask.test', 'another session asks for itself')
  t.equal((await control.approvals())[0]?.session, other.id)
  t.equal((await (await sent(t, proxy, bytes(mine.line))).next())?.status, 200)
  t.equal(origin.requests.length, 2)
})

t.test('a grant for the team is for its sessions, and for nobody else', async (t) => {
  const origin = await strictOrigin(t)
  const { proxy, control } = await startAsking(t, origin.port)
  const [one, two, stranger] = [await control.createSession({ team: 'web' }), await control.createSession({ team: 'web' }), await control.createSession({ team: 'ops' })]
  const bytes = (line: string): string => requestBytes(`one.ask.test:${origin.port}`, '/', { fields: line })
  const first = await sent(t, proxy, bytes(one.line))
  await control.decide('one.ask.test', { verdict: 'allow', term: 'until', duration: '1h', who: 'team' })
  t.equal((await first.next())?.status, 200)
  t.equal((await (await sent(t, proxy, bytes(two.line))).next())?.status, 200)
  await asksAgain(t, proxy, control, bytes(stranger.line), 'one.ask.test', 'another team asks')
})

t.test('a deny that comes into the policy while a request is held refuses it at once, and what had been opened closes', async (t) => {
  const origin = await talkingOrigin(t)
  const { proxy, control } = await startAsking(t, origin.port)
  const [tunnel] = await Promise.all([openTunnel(t, proxy, origin.port), control.decide('one.ask.test', { verdict: 'allow', term: 'session' })])
  const held = [await sent(t, proxy, connectBytes('two.ask.test:443')), await sent(t, proxy, requestBytes('two.ask.test', '/'))]
  for (const port of [443, 80]) await control.pending('two.ask.test', (approval) => approval.port === port && approval.waiting > 0)
  const other = await sent(t, proxy, connectBytes('three.ask.test:443'))
  const asked = await control.approvals('state=pending&host=two.ask.test')
  await control.pending('three.ask.test')
  writeFileSync(proxy.policyFile, askPolicy(origin.port).replace('"denied.test"', '"one.ask.test", "two.ask.test"'))
  for (const client of held) t.match(problemIn((await client.next())?.body), { code: 'denied_by_rule' })
  await tunnel.closed()
  await endedBy(proxy, 'policy_changed')
  for (const approval of asked) {
    t.equal((await control.approval(approval.id)).state, 'withdrawn')
    t.equal((await control.answer(approval, { verdict: 'allow' })).status, 409)
  }
  t.match(problemIn((await (await sent(t, proxy, connectBytes(`one.ask.test:${origin.port}`))).next())?.body), { code: 'denied_by_rule' }, 'no grant lifts a deny')
  t.equal(other.isClosed, false)
  t.equal((await control.pending('three.ask.test')).waiting, 1, 'who is still asked about waits on')
})

t.test('an allow that comes into the policy while a request is held lets it through', async (t) => {
  const origin = await strictOrigin(t)
  const { proxy, control } = await startAsking(t, origin.port)
  const held = await sent(t, proxy, requestBytes(`one.ask.test:${origin.port}`, '/'))
  await control.pending('one.ask.test')
  writeFileSync(proxy.policyFile, askPolicy(origin.port).replace('verdict = "ask"', 'verdict = "allow"'))
  t.equal((await held.next())?.body, 'GET /\n')
  t.equal(proxy.records().filter(({ name }) => name === 'sallyport.approval.withdrawn').length, 1)
})

t.test('a question that nobody answers expires, and an answer that comes late is 409', async (t) => {
  const { proxy, control } = await startAsking(t, 8443, { change: (settings) => ({ ...settings, approvals: { ...settings.approvals, waitingTtlMs: 1_000 } }) })
  const held = await sent(t, proxy, connectBytes('one.ask.test:443'))
  const asked = await control.pending('one.ask.test')
  const answer = await held.next()
  t.equal(answer?.status, 403)
  t.match(problemIn(answer?.body), { code: 'approval_expired', retryable: true })
  t.equal((await control.answer(asked, { verdict: 'allow' })).status, 409)
  await asksAgain(t, proxy, control, connectBytes('one.ask.test:443'), 'one.ask.test', 'a retry asks anew')
})

t.test('an unattended session is refused at once, and nobody is asked', async (t) => {
  const { proxy, control } = await startAsking(t, 8443)
  const session = await control.createSession({ unattended: true })
  for (const bytes of [connectBytes('one.ask.test:443', session.line), requestBytes('one.ask.test', '/', { method: 'POST', fields: session.line, body: 'x' })]) {
    const answer = await (await sent(t, proxy, bytes)).next()
    t.equal(answer?.status, 403)
    t.match(problemIn(answer?.body), { code: 'approval_unavailable', retryable: false })
    t.equal(answer?.fields.get('retry-after'), undefined)
  }
  t.strictSame(await control.approvals(''), [])
})
