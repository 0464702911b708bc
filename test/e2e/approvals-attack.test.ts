// Attacks on what is held, granted and closed, over the wire.
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { request, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { connectBytes, sent, startAsking } from '../support/ask-world.ts'
import { ControlClient } from '../support/control.ts'
import { startDnsServer } from '../support/dns-server.ts'
import { rawOrigin } from '../support/origins.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'

t.test('a request that waits behind another one asks no name server once its host is denied', async (t) => {
  const origin = await rawOrigin(t, (socket) => socket.resume())
  const names = await startDnsServer(t)
  names.set('second.test', { addresses: ['127.0.0.1'] })
  const rules = (denied: string): string => `[network]\nunknown = "deny"\ndenied_domains = ["${denied}"]\n[[network.rules]]\nid = "both"\nhosts = ["first.test:${origin.port}", "second.test:${origin.port}"]\nlocal = ["127.0.0.1/32"]\nverdict = "allow"\n`
  const proxy = await startProxy(t, {
    policy: rules('denied.test'), hosts: { 'first.test': '127.0.0.1' },
    change: (settings) => ({ ...settings, dns: { ...settings.dns, servers: [names.text] } }),
  })
  const get = (host: string): string => `GET http://${host}:${origin.port}/ HTTP/1.1\r\nHost: ${host}:${origin.port}\r\n\r\n`
  const client = await sent(t, proxy, get('first.test') + get('second.test'))
  await proxy.recorded(({ name, attributes }) => name === 'sallyport.decision' && attributes['server.address'] === 'second.test')
  writeFileSync(proxy.policyFile, rules('second.test'))
  await client.closed()
  await proxy.recorded(({ name, attributes }) => name === 'sallyport.exchange.ended' && attributes['server.address'] === 'second.test')
  t.equal(names.count('second.test'), 0)
  t.equal(origin.connections(), 1)
})

t.test('who reviews for one team sees its questions behind any number of others, and nothing of the others', async (t) => {
  const limits = { perSession: 100, perSessionPerMinute: 100 }
  const { proxy, control } = await startAsking(t, 8443, { holdMs: 0, flags: { control: '127.0.0.1:0' }, change: (settings) => ({ ...settings, approvals: { ...settings.approvals, ...limits } }) })
  const sessions = { ops: await control.createSession({ team: 'ops', owner: 'olga' }), web: await control.createSession({ team: 'web' }) }
  const api = new ControlClient(proxy.control)
  const tokenOf = async (name: string, role: string, team: string): Promise<Readonly<Record<string, string>>> => ({ authorization: `Bearer ${await control.createToken({ name, role, teams: [team] })}` })
  const [web, ops, owner] = [await tokenOf('wanda', 'reviewer', 'web'), await tokenOf('oscar', 'reviewer', 'ops'), await tokenOf('olga', 'viewer', 'web')]
  const ask = async (host: string, line: string): Promise<unknown> => (await sent(t, proxy, connectBytes(`${host}:443`, line))).next()
  for (let at = 0; at < 60; at++) await ask(`h${at}.flood.test`, sessions.ops.line)
  await ask('one.ask.test', sessions.web.line)
  const hostsFor = async (headers: Readonly<Record<string, string>>, query: string): Promise<unknown> => {
    const { body } = await api.call('GET', `/v1/approvals?limit=1&${query}`, { headers })
    return (body as { readonly items: readonly { readonly host: string }[] }).items.map(({ host }) => host)
  }
  for (const query of ['state=pending', 'session=', ''].map((each) => each.replace('session=', `session=${sessions.web.id}`))) t.strictSame(await hostsFor(web, query), ['one.ask.test'], query)
  t.strictSame(await hostsFor(owner, ''), ['h0.flood.test'], 'an owner sees its own, whatever its teams')
  t.strictSame(await hostsFor(ops, ''), ['h0.flood.test'])

  const [first] = await control.approvals()
  if (first === undefined) throw new Error('nothing was asked')
  t.equal((await api.answer(first, { verdict: 'allow', term: 'always' }, ops)).status, 200)
  for (const path of ['/v1/policy/proposals', '/v1/grants']) {
    t.match((await api.call('GET', path, { headers: ops })).body, { items: [{ approval_id: first.id }] }, path)
    t.strictSame((await api.call('GET', path, { headers: web })).body, { items: [] }, path)
  }
  const page = async ({ authorization = '' }: Readonly<Record<string, string>>): Promise<string> => {
    const cookie = `sallyport_${instanceOf(proxy)}=${authorization.slice('Bearer '.length)}`
    return pageOf(Number(new URL(proxy.control).port), '/sessions', cookie)
  }
  t.match(await page(ops), sessions.ops.id)
  t.notMatch(await page(web), sessions.ops.id)
})

/** As in the name of the cookie. */
function instanceOf(proxy: TestProxy): string {
  const id = proxy.records()[0]?.instance
  return typeof id === 'string' ? id.replaceAll('-', '').slice(0, 8) : ''
}

t.test('who starts agents for one team starts none with the rules and grants of another', async (t) => {
  const { proxy, control } = await startAsking(t, 8443, { flags: { control: '127.0.0.1:0' } })
  const authorization = `Bearer ${await control.createToken({ name: 'lara', role: 'launcher', teams: ['web'] })}`
  const api = new ControlClient(proxy.control)
  const start = async (team?: string): Promise<number> => (await api.call('POST', '/v1/sessions', { body: { agent: 'coder', team }, headers: { authorization } })).status
  t.equal(await start('ops'), 403)
  t.equal(await start('web'), 201)
  t.equal(await start(), 201)
})

t.test('an answer that is kept for one token is none of the next token of that name', async (t) => {
  const { proxy, control } = await startAsking(t, 8443, { holdMs: 0, flags: { control: '127.0.0.1:0' } })
  const session = await control.createSession({ team: 'ops' })
  await (await sent(t, proxy, connectBytes('one.ask.test:443', session.line))).next()
  const approval = await control.pending('one.ask.test', () => true)
  const api = new ControlClient(proxy.control)
  const decide = async (secret: string): Promise<number> => (await api.answer(approval, { verdict: 'allow' }, { authorization: `Bearer ${secret}`, 'idempotency-key': 'k' })).status
  t.equal(await decide(await control.createToken({ name: 'ann', role: 'reviewer', teams: ['ops'] })), 200)
  const { body } = await control.call('GET', '/v1/tokens')
  const [{ id }] = (body as { readonly items: readonly [{ readonly id: string }] }).items
  await control.call('POST', `/v1/tokens/${id}/revoke`, { body: {} })
  t.equal(await decide(await control.createToken({ name: 'ann', role: 'reviewer', teams: ['web'] })), 404)
})

/** A page as a browser asks for it under the pages' own name, which a resolver need not know. */
async function pageOf(port: number, path: string, cookie: string): Promise<string> {
  const [response]: IncomingMessage[] = await once(request({ host: '127.0.0.1', port, path, headers: { host: `sallyport.localhost:${port}`, cookie } }).end(), 'response')
  return response === undefined ? '' : text(response)
}
