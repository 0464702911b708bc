import { execFileSync } from 'node:child_process'
import t from 'tap'
import { run } from './control-run.ts'
import { fakeControl } from './fake-control.ts'

const url = 'http://s1a2b3c4d5e6f:T0ken-secret_x@127.0.0.1:3128'

t.test('create prints the proxy URL and lines to paste', async (t) => {
  const control = await fakeControl(t)
  const { code, out } = await run(['sessions', 'create', '--agent', 'codex', '--owner', 'ana', '--team', 'web', '--hold', '4s', '--unattended', '--ttl', '8h', '--data', control.data])
  t.equal(code, 0)
  t.match(out, /^session s1a2b3c4d5e6f: agent codex, owner ana, team web; until it is ended; unattended\n/)
  t.match(out, `\n${url}\n`)
  t.same(control.seen[0]?.body, { agent: 'codex', owner: 'ana', team: 'web', hold: '4s', unattended: true, ttl: '8h' })
})

t.test('--trusts-ca says so of its clients', async (t) => {
  const control = await fakeControl(t)
  const { out } = await run(['sessions', 'create', '--agent', 'codex', '--trusts-ca', '--data', control.data])
  t.same(control.seen[0]?.body, { agent: 'codex', trusts_ca: true })
  t.match(out, /^session s1a2b3c4d5e6f: agent codex, owner ana; until it is ended; trusts the CA\n/)
})

t.test('--record makes a session that records, and says so before anything else is done with it', async (t) => {
  const control = await fakeControl(t)
  const create = ['sessions', 'create', '--agent', 'recorder', '--team', 'web', '--record', '--data', control.data]
  t.match(await run(create), { code: 2, err: /--record needs --ttl TIME/ })
  t.match(await run([...create, '--ttl', '1h', '--web-fetch']), { code: 2, err: /not both/ })
  const { out } = await run([...create, '--ttl', '1h'])
  t.same(control.seen[0]?.body, { agent: 'recorder', team: 'web', ttl: '1h', record: true })
  t.match(out, /\nIT RECORDS: pages that it reads live are kept in the web cache, where all agents of team web read them\nhttp/)
  const exported = await run([...create, '--ttl', '1h', '--export'])
  t.match(exported, { out: /^export HTTPS_PROXY/, err: /^IT RECORDS/ })
  t.match((await run(['sessions', 'list', '--data', control.data])).out, /^s9 .* ended \d+ s ago, records /m)
})

t.test('--web-fetch makes a session that reads the web', async (t) => {
  const control = await fakeControl(t)
  const { out } = await run(['sessions', 'create', '--agent', 'fetcher', '--web-fetch', '--data', control.data])
  t.same(control.seen[0]?.body, { agent: 'fetcher', web_fetch: true })
  t.match(out, /; reads the web, and nothing else\n/)
})

t.test('--export prints what a shell can evaluate, and nothing else', async (t) => {
  const control = await fakeControl(t)
  const { out } = await run(['sessions', 'create', '--agent', 'codex', '--export', '--data', control.data])
  const told = execFileSync('/bin/sh', ['-c', `${out}\nprintf '%s\\n' "$HTTPS_PROXY" "$HTTP_PROXY" "$https_proxy" "$http_proxy" "$NO_PROXY" "$NODE_USE_ENV_PROXY"`], { encoding: 'utf8', env: {} })
  t.same(told.trim().split('\n'), [url, url, url, url, 'localhost,127.0.0.1,::1', '1'])
  t.ok(out.trim().split('\n').every((line) => line.startsWith('export ')))
})

t.test('--json is what the API says', async (t) => {
  const control = await fakeControl(t)
  t.match(JSON.parse((await run(['sessions', 'create', '--agent', 'codex', '--json', '--data', control.data])).out), { session: { agent: 'codex' }, proxy_url: url })
  t.same(control.seen[0]?.body, { agent: 'codex' }, 'what is not given is not sent')
})

t.test('list shows live and ended ones, escaped', async (t) => {
  const control = await fakeControl(t)
  const { out } = await run(['sessions', 'list', '--data', control.data])
  t.match(out, /^s1a2b3c4d5e6f +codex +ana +- +auto +live +never +ana$/m)
  t.match(out, /^s9 .* web\\u\{202e\} +4s +ended /m)
  t.match(JSON.parse((await run(['sessions', 'list', '--json', '--data', control.data])).out), { items: [{ id: 's1a2b3c4d5e6f' }, { id: 's9' }] })
})

t.test('end ends one', async (t) => {
  const control = await fakeControl(t)
  t.match(await run(['sessions', 'end', 's9', '--data', control.data]), { code: 0, out: 'session s9 has ended\n' })
  t.match(control.seen, [{ method: 'POST', path: '/v1/sessions/s9/end', body: {} }])
})

t.test('wrong command lines end with 2 and reach nobody', async (t) => {
  const control = await fakeControl(t)
  for (const argv of [['create'], ['create', '--agent', 'x', '--hold', 'long'], ['create', '--agent', 'x', '--ttl', '8'], ['create', '--agent', 'x', '--export', '--json'], ['end'], ['end', 'a', 'b'], ['make']]) {
    t.equal((await run(['sessions', ...argv, '--data', control.data])).code, 2, argv.join(' '))
  }
  t.same(control.seen, [])
})
