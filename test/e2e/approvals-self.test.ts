// The agent's side and the control plane: not by its own credentials, not through the proxy by any spelling, and
// nobody answers a question of their own.
import { once } from 'node:events'
import { hostname, networkInterfaces } from 'node:os'
import http from 'node:http'
import net from 'node:net'
import t, { type Test } from 'tap'
import { connectBytes, headOf, problemIn, requestBytes, sent, startAsking } from '../support/ask-world.ts'
import { ControlClient } from '../support/control.ts'
import type { TestProxyOptions } from '../support/proxy.ts'
import { WireClient } from '../support/wire-client.ts'

const tcp: TestProxyOptions = { flags: { control: '127.0.0.1:0' } }

const routes = [
  ['GET', '/v1/approvals'], ['GET', '/v1/approvals/ID'], ['POST', '/v1/approvals/ID/decision'], ['POST', '/v1/approvals/ID/snooze'], ['GET', '/v1/grants'],
  ['POST', '/v1/grants/ID/revoke'], ['GET', '/v1/sessions'], ['POST', '/v1/sessions'], ['GET', '/v1/tokens'], ['POST', '/v1/tokens'], ['GET', '/v1/policy'],
  ['POST', '/v1/policy/explain'], ['GET', '/v1/policy/proposals'], ['GET', '/v1/events'],
] as const

t.test('no credentials at the control API are 401, those of an agent 403 in every form, and both are on record', async (t) => {
  const { proxy, control } = await startAsking(t, 8443, tcp)
  const session = await control.createSession({ agent: 'codex' })
  await sent(t, proxy, connectBytes('one.ask.test:443', session.line))
  const { id, version } = await control.pending('one.ask.test')
  const basic = session.line.slice('Proxy-Authorization: '.length).trim()
  const api = new ControlClient(proxy.control)
  const call = async (method: string, path: string, headers: Readonly<Record<string, string>>): Promise<number> =>
    (await api.call(method, path.replace('ID', id), { ...(method === 'POST' ? { body: { verdict: 'allow' } } : {}), headers: { 'if-match': `"${version}"`, ...headers } })).status
  for (const [method, path] of routes) t.equal(await call(method, path, {}), 401, `${method} ${path} without credentials`)
  const forms: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    'as Basic': { authorization: basic },
    'as Bearer': { authorization: `Bearer ${session.token}` },
    'as to the proxy': { 'proxy-authorization': basic },
  }
  for (const [form, headers] of Object.entries(forms)) t.equal(await call('POST', '/v1/approvals/ID/decision', headers), 403, form)
  t.equal(await call('POST', '/v1/approvals/ID/decision', { authorization: `Bearer sp_${'A'.repeat(43)}` }), 401, 'a token that nobody has')
  const approval = await control.approval(id)
  t.match(approval, { state: 'pending', version })
  const called = proxy.records().filter((record) => record.name === 'sallyport.control.called' && Number(record.attributes['http.response.status_code']) >= 400)
  t.strictSame(called.map(({ attributes }) => attributes['http.response.status_code']), [...routes.map(() => 401), 403, 403, 403, 401])
})

t.test('an agent that uses its credentials at the socket is an agent there too', async (t) => {
  const { proxy, control } = await startAsking(t, 8443)
  const session = await control.createSession()
  await sent(t, proxy, connectBytes('one.ask.test:443', session.line))
  const approval = await control.pending('one.ask.test')
  const answer = await control.answer(approval, { verdict: 'allow' }, { authorization: `Bearer ${session.token}` })
  t.equal(answer.status, 403)
  t.match(answer.body, { code: 'agent_credential' })
  t.match(await proxy.recorded(({ name, attributes }) => name === 'sallyport.control.called' && attributes['http.response.status_code'] === 403), { attributes: { 'sallyport.code': 'agent_credential' } })
})

t.test('whoever owns the session does not answer its questions, but a reviewer does', async (t) => {
  const { proxy, control } = await startAsking(t, 8443, tcp)
  const session = await control.createSession({ owner: 'Ann' })
  await sent(t, proxy, connectBytes('nowhere.test:443', session.line))
  const approval = await control.pending('nowhere.test')
  const api = new ControlClient(proxy.control)
  const asWho = async (name: string, role: string) => ({ authorization: `Bearer ${await control.createToken({ name, role })}` })
  const owner = await api.answer(approval, { verdict: 'allow' }, await asWho('ann', 'reviewer'))
  t.equal(owner.status, 403)
  t.match(owner.body, { code: 'self_approval' })
  t.match(await control.approval(approval.id), { state: 'pending', version: approval.version })
  const [refused] = proxy.records().filter(({ name, attributes }) => name === 'sallyport.control.called' && attributes['http.response.status_code'] === 403)
  t.match(refused, { attributes: { 'sallyport.code': 'self_approval', 'sallyport.actor.name': 'ann', 'sallyport.subject.id': approval.id } }, 'the attempt is on record')
  t.equal((await api.answer(approval, { verdict: 'allow' }, await asWho('viola', 'viewer'))).status, 403, 'nor does a viewer')
  t.equal((await api.answer(approval, { verdict: 'allow' }, await asWho('bob', 'reviewer'))).status, 200)
})

/** Names and spellings of this machine, and of loopback in particular. */
function ownHosts(): readonly string[] {
  const interfaces = Object.values(networkInterfaces()).flatMap((list) => list ?? []).map(({ address, family }) => (family === 'IPv6' ? `[${address}]` : address))
  return [
    '127.0.0.1', 'localhost', 'LOCALHOST', 'localhost.', 'x.localhost', '0.0.0.0', '127.0.0.2', '127.1', '127.0.1', '2130706433', '0x7f000001', '0x7f.1', '0177.0.0.1', '0',
    '[::1]', '[::]', '[0:0:0:0:0:0:0:1]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[::127.0.0.1]', '[64:ff9b::7f00:1]', '[2002:7f00:1::]', '[::ffff:0:127.0.0.1]',
    hostname(), 'self.test', 'six.test', 'mapped.test', 'any.test', 'mixed.test', ...interfaces,
  ]
}

const names = { 'self.test': '127.0.0.1', 'six.test': '::1', 'mapped.test': '::ffff:127.0.0.1', 'any.test': '0.0.0.0', 'mixed.test': ['127.0.0.1', '93.184.216.34'], [hostname()]: '127.0.0.1' }

interface OpenPolicy {
  readonly toml: string
  /** codes of 403 */
  readonly codes: readonly string[]
}

const openPolicies: Readonly<Record<string, OpenPolicy>> = {
  'that asks': { toml: '[network]\nunknown = "ask"\nip_literals = "ask"\n', codes: ['ip_denied', 'approval_pending'] },
  'that allows everything and local addresses': {
    toml: '[network]\nunknown = "allow"\nallow_local_binding = true\n',
    codes: ['self', 'ip_denied', 'ip_literal_denied'],
  },
  'that names every address, with every port, and local ones': {
    toml: `[network]
unknown = "allow"
allow_local_binding = true
[[network.rules]]
id = "everything"
hosts = ["0.0.0.0/0:1-65535", "[::/0]:1-65535", "*:1-65535", "127.0.0.1:1-65535", "[::1]:1-65535"]
broad = true
local = ["127.0.0.0/8", "::1/128", "192.168.0.0/16", "fc00::/7"]
verdict = "allow"
`,
    // the second for the unspecified address and for translated ones
    codes: ['self', 'ip_denied'],
  },
}

for (const [what, { toml, codes }] of Object.entries(openPolicies)) {
  t.test(`the listeners are reached by no spelling through the proxy, with a policy ${what}`, async (t) => {
    const flags = { control: '127.0.0.1:0', ops: '127.0.0.1:0' }
    const { proxy, control } = await startAsking(t, 8443, { policy: toml, hosts: names, flags, holdMs: 0, change: (settings) => ({ ...settings, approvals: { ...settings.approvals, perSession: 1000, perSessionPerMinute: 1000 } }) })
    const listeners = { control: proxy.control, ops: proxy.ops, proxy: proxy.url }
    for (const [listener, url] of Object.entries(listeners)) {
      const port = Number(new URL(url).port)
      for (const host of ownHosts()) {
        const authority = `${host}:${port}`
        for (const bytes of [connectBytes(authority), requestBytes(authority, '/v1/approvals'), requestBytes(authority, '/', { method: 'POST', body: '{}' })]) await unreached(t, proxy.port, bytes, codes, `${listener}: ${bytes.slice(0, bytes.indexOf('\r'))}`)
      }
    }
    t.strictSame(proxy.records().filter(({ name, attributes }) => name === 'sallyport.control.called' && attributes['client.address'] !== 'local'), [], 'nobody called')
    // what was asked about is answered yes, and still nothing of it leads here
    for (const approval of await control.approvals()) await control.answer(approval, { verdict: 'allow', term: 'session' })
    const port = Number(new URL(proxy.control).port)
    for (const host of ['127.0.0.1', 'localhost', '[::1]', '[::ffff:127.0.0.1]', 'self.test']) await unreached(t, proxy.port, requestBytes(`${host}:${port}`, '/v1/approvals'), [...codes, 'self'].filter((code) => code !== 'approval_pending'), `after a yes: ${host}`)
  })
}

const unreadable: readonly unknown[] = ['host_syntax', 'host_ambiguous_ip', 'authority_syntax', 'scheme_unsupported']

async function unreached(t: Test, port: number, bytes: string, codes: readonly string[], what: string): Promise<void> {
  const client = await WireClient.open(port)
  client.send(bytes)
  const head = await headOf(client)
  const answer = head.startsWith('HTTP/1.1 200') ? undefined : await client.next()
  client.socket.destroy()
  const code = problemIn(answer?.body)['code']
  if (answer?.status === 400 && unreadable.includes(code)) return
  if (answer?.status !== 403 || !codes.includes(String(code))) t.fail(`${what}: ${head.slice(0, head.indexOf('\r'))}`)
}

t.test('a page of another name that leads here is not answered, by the control listener or the proxy', async (t) => {
  const { proxy, control } = await startAsking(t, 8443, tcp)
  const token = await control.createToken({ name: 'ann', role: 'reviewer' })
  const api = new ControlClient(proxy.control)
  const own = new URL(proxy.control).host
  const authorization = `Bearer ${token}`
  t.equal((await api.call('GET', '/v1/approvals', { headers: { authorization } })).status, 200)
  t.equal((await api.call('GET', '/v1/approvals', { headers: { authorization, host: 'evil.test' } })).status, 421)
  for (const origin of ['http://evil.test', 'null', `https://${own}`]) t.equal((await api.call('GET', '/v1/approvals', { headers: { authorization, origin } })).status, 403, origin)
  t.equal((await api.call('GET', '/v1/approvals', { headers: { authorization, 'sec-fetch-site': 'cross-site' } })).status, 403)
  const form = http.request({ host: '127.0.0.1', port: new URL(proxy.control).port, method: 'POST', path: '/v1/tokens', headers: { authorization, 'content-type': 'application/x-www-form-urlencoded' }, agent: false })
  form.end('a=b')
  const [answer] = (await once(form, 'response')) as [http.IncomingMessage]
  t.equal(answer.resume().statusCode, 415)
})

t.test('the address of this machine that others see leads to no listener of ours', async (t) => {
  const { proxy } = await startAsking(t, 8443, tcp)
  const [address] = Object.values(networkInterfaces()).flatMap((list) => list ?? []).filter(({ internal, family }) => !internal && family === 'IPv4')
  if (address === undefined) return t.pass('it has none')
  const socket = net.connect({ host: address.address, port: Number(new URL(proxy.control).port) })
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
  t.equal(error.code, 'ECONNREFUSED')
})
