// Answers for good, the answers of others, and where policy leaves no room for a question.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { askPolicy, connectBytes, problemIn, requestBytes, sent, startAsking } from '../support/ask-world.ts'
import { ControlClient } from '../support/control.ts'
import { strictOrigin } from '../support/strict-origin.ts'

t.test('an answer for good holds at once, and an admin\'s yes to the proposal writes it into the policy', async (t) => {
  const origin = await strictOrigin(t)
  const { proxy, control } = await startAsking(t, origin.port, { flags: { control: '127.0.0.1:0' }, policy: '[network]\nunknown = "ask"\nallow_local_binding = true\n', hosts: { 'new.example.net': '127.0.0.1' } })
  const reviewer = new ControlClient(proxy.control)
  const authorization = `Bearer ${await control.createToken({ name: 'ann', role: 'reviewer' })}`
  const [mine, other] = [await control.createSession(), await control.createSession()]
  const bytes = (line: string): string => requestBytes(`new.example.net:${origin.port}`, '/', { fields: line })
  const first = await sent(t, proxy, bytes(mine.line))
  const asked = await control.pending('new.example.net')
  t.equal((await reviewer.answer(asked, { verdict: 'allow', term: 'always', comment: 'we build on it' }, { authorization })).status, 200)
  t.equal((await first.next())?.status, 200)
  const approved = join(proxy.dir, 'policies/90-approved.toml')
  t.notOk(existsSync(approved), 'nobody has changed the policy')
  const waiting = await sent(t, proxy, bytes(other.line))
  await control.pending('new.example.net', ({ session }) => session === other.id)
  const { body } = await control.call('GET', '/v1/policy/proposals')
  const [proposal] = (body as { readonly items: readonly { readonly id: string; readonly pattern: string; readonly state: string }[] }).items
  t.match(proposal, { state: 'open', pattern: /^new\.example\.net/ })
  const decision = `/v1/policy/proposals/${proposal?.id}/decision`
  t.equal((await reviewer.call('POST', decision, { body: { accept: true }, headers: { authorization } })).status, 403, 'a reviewer does not')
  t.equal((await control.call('POST', decision, { body: { accept: true } })).status, 200)
  t.equal((await waiting.next())?.status, 200, 'whoever is held goes on by the new policy')
  t.match(readFileSync(approved, 'utf8'), 'new.example.net')
  t.equal((await (await sent(t, proxy, bytes(other.line))).next())?.status, 200)
  t.strictSame(await control.approvals(), [])
})

t.test('a refusal for the team is stronger than a permission for the session', async (t) => {
  const origin = await strictOrigin(t)
  const { proxy, control } = await startAsking(t, origin.port)
  const [one, two] = [await control.createSession({ team: 'web' }), await control.createSession({ team: 'web' })]
  const bytes = (line: string): string => requestBytes(`one.ask.test:${origin.port}`, '/', { fields: line })
  const first = await sent(t, proxy, bytes(one.line))
  await control.decide('one.ask.test', { verdict: 'allow', term: 'session' })
  t.equal((await first.next())?.status, 200)
  const second = await sent(t, proxy, bytes(two.line))
  await control.decide('one.ask.test', { verdict: 'deny', term: 'until', duration: '1h', who: 'team', comment: 'not this one' })
  t.equal((await second.next())?.status, 403)
  const again = await (await sent(t, proxy, bytes(one.line))).next()
  t.match(problemIn(again?.body), { code: 'approval_denied' })
  t.equal(origin.requests.length, 1)
})

t.test('what a managed layer closes is denied, and nobody is asked', async (t) => {
  const { proxy, control } = await startAsking(t, 8443, {
    policy: '[network]\nunknown = "ask"\n',
    flags: { requirements: 'managed.toml' },
    before: async (dataDir) => writeFileSync(join(dataDir, '../managed.toml'), '[experimental_network]\nmanaged_allowed_domains_only = true\nallowed_domains = ["api.example.net"]\n'),
  })
  for (const host of ['one.ask.test', 'unheard-of.test']) {
    const answer = await (await sent(t, proxy, connectBytes(`${host}:443`))).next()
    t.equal(answer?.status, 403)
    t.notMatch(problemIn(answer?.body)['code'], /^approval/)
  }
  t.strictSame(await control.approvals(''), [])
})

t.test('a denied host, a closed port and an address are refused without a question', async (t) => {
  const { proxy, control } = await startAsking(t, 8443)
  for (const [authority, code] of [['denied.test:443', 'denied_by_rule'], ['one.ask.test:25', 'port_denied'], ['93.184.216.34:443', 'ip_literal_denied'], ['127.0.0.1:443', /denied/]] as const) {
    t.match(problemIn((await (await sent(t, proxy, connectBytes(authority))).next())?.body), { code }, authority)
  }
  t.strictSame(await control.approvals(''), [])
})

t.test('a host of two reviewers waits for the second, who is somebody else', async (t) => {
  const origin = await strictOrigin(t)
  const { proxy, control } = await startAsking(t, origin.port, { flags: { control: '127.0.0.1:0' }, policy: askPolicy(origin.port, '[network.approvals]\nfour_eyes = ["one.ask.test"]\n') })
  const api = new ControlClient(proxy.control)
  const [ann, bob] = await Promise.all(['ann', 'bob'].map(async (name) => ({ authorization: `Bearer ${await control.createToken({ name, role: 'reviewer' })}` })))
  const client = await sent(t, proxy, requestBytes(`one.ask.test:${origin.port}`, '/'))
  const first = await api.answer(await control.pending('one.ask.test'), { verdict: 'allow' }, ann)
  t.equal(first.status, 200)
  t.match(first.body, { state: 'pending', first_yes: { by: 'ann' } })
  t.equal(client.received, '')
  const now = await control.pending('one.ask.test')
  t.equal((await api.answer(now, { verdict: 'allow' }, ann)).status, 403)
  t.equal(client.received, '')
  t.match((await api.answer(now, { verdict: 'allow' }, bob)).body, { state: 'allowed', decision: { by: 'ann', second_by: 'bob' } })
  t.equal((await client.next())?.body, 'GET /\n')
})

t.test('a decision that names no version, or another one, is not made, and the client waits on', async (t) => {
  const { proxy, control } = await startAsking(t, 8443)
  const client = await sent(t, proxy, connectBytes('one.ask.test:443'))
  const approval = await control.pending('one.ask.test')
  t.equal((await control.call('POST', `/v1/approvals/${approval.id}/decision`, { body: { verdict: 'allow' } })).status, 428)
  t.equal((await control.answer({ ...approval, version: 7 }, { verdict: 'allow' })).status, 412)
  t.match(await control.approval(approval.id), { state: 'pending', version: 1 })
  t.equal(client.received, '')
})
