// Grants, policy, explain and proposals over the API.
import t from 'tap'
import type { ExplainQuery } from '../../src/control/deps.ts'
import { ProxyError } from '../../src/errors.ts'
import type { Grant } from '../../src/policy/grant.ts'
import { call } from './caller.ts'
import { explained, nowMs } from './fakes.ts'
import { openWorld } from './world.ts'

const grant: Grant = {
  id: 'G1', approvalId: 'A1', verdict: 'allow', term: 'until', who: 'agent', holder: 'codex', scheme: 'https', host: 'a.example', subdomains: true, port: undefined,
  requestDigest: undefined, by: 'rita', createdMs: nowMs, expiresMs: nowMs + 1000, comment: undefined,
}

t.test('grants are listed and revoked', async (t) => {
  const world = await openWorld(t)
  world.desk.grantsById.set('G1', grant)
  const wire = {
    id: 'G1', approval_id: 'A1', verdict: 'allow', term: 'until', who: 'agent', holder: 'codex', scheme: 'https', host: 'a.example', subdomains: true, port: null,
    request_digest: null, live_reading: false, by: 'rita', created_at: '2026-01-02T03:04:05.678Z', expires_at: '2026-01-02T03:04:06.678Z',
  }
  t.strictSame((await call(world.url, '/v1/grants', { token: 'sp_viewer' })).json, { items: [wire] })
  const revoke = () => call(world.url, '/v1/grants/G1/revoke', { method: 'POST', token: 'sp_reviewer', body: {} })
  t.match(await revoke(), { status: 200, json: wire })
  t.match(await revoke(), { status: 404, json: { code: 'not_found' } })
})

t.test('the policy in force is told with its problems', async (t) => {
  const world = await openWorld(t)
  t.strictSame((await call(world.url, '/v1/policy', { token: 'sp_viewer' })).json, {
    revision: '0123456789ab', mode: 'enforce', unknown: 'ask', files: ['policies/10-base.toml'], rule_count: 3, feed_names: 0,
    problems: [{ file: 'policies/10-base.toml', line: 4, column: 1, severity: 'warning', message: 'covers nothing' }],
  })
})

t.test('without a policy there is nothing to tell', async (t) => {
  const world = await openWorld(t, { policy: { state: () => undefined, explain: () => undefined, looksInside: () => true } })
  t.match(await call(world.url, '/v1/policy', { token: 'sp_viewer' }), { status: 503, json: { code: 'policy_unavailable' } })
  t.match(await call(world.url, '/v1/policy/explain', { method: 'POST', token: 'sp_viewer', body: { url: 'https://a.example/' } }), { status: 503, json: { code: 'policy_unavailable' } })
})

t.test('explain hands on what is asked, and says what the command says', async (t) => {
  const asked: ExplainQuery[] = []
  const explain = (query: ExplainQuery) => {
    asked.push(query)
    if (query.url === 'https://0177.1/') throw new ProxyError('host_ambiguous_ip', '`0177.1`')
    return explained
  }
  const world = await openWorld(t, { policy: { state: () => undefined, explain, looksInside: () => true } })
  const post = (body: unknown) => call(world.url, '/v1/policy/explain', { method: 'POST', token: 'sp_viewer', body })
  t.match((await post({ url: 'https://a.example/' })).json, { asked: 'CONNECT a.example:443', verdict: 'ask', rule: null, monitored: null, revision: '0123456789ab', near: [{ rule: { line: 3 }, why: 'scope' }], inner: null })
  await post({ url: 'a.example:22', method: 'post', agent: 'codex', team: 'web' })
  t.strictSame(asked, [{ url: 'https://a.example/', method: 'GET', agent: 'anonymous', team: undefined }, { url: 'a.example:22', method: 'POST', agent: 'codex', team: 'web' }])
  t.match(await post({ url: 'https://0177.1/' }), { status: 422, json: { code: 'target_refused', errors: [{ pointer: '/url', message: 'host_ambiguous_ip' }] } })
  for (const body of [{}, { url: '' }, { url: 'x', method: 'G T' }, { url: 'x', upgrade: 'websocket' }, { url: 5 }]) t.equal((await post(body)).status, 400, JSON.stringify(body))
})

t.test('proposals are read by readers and decided by admins', async (t) => {
  const world = await openWorld(t)
  world.desk.proposalsById.set('P1', { id: 'P1', approvalId: 'A1', verdict: 'allow', pattern: 'a.example', agent: undefined, team: undefined, by: 'rita', createdMs: nowMs, state: 'open', decidedBy: undefined })
  t.match((await call(world.url, '/v1/policy/proposals', { token: 'sp_viewer' })).json, { items: [{ id: 'P1', approval_id: 'A1', state: 'open', agent: null, decided_by: null, created_at: '2026-01-02T03:04:05.678Z' }] })
  const decide = (token: string, body: unknown) => call(world.url, '/v1/policy/proposals/P1/decision', { method: 'POST', token, body })
  t.equal((await decide('sp_reviewer', { accept: true })).status, 403)
  t.equal((await decide('sp_admin', { accept: 'true' })).status, 400)
  t.equal(world.desk.proposalsById.values().next().value?.state, 'open')
  t.match(await decide('sp_admin', { accept: true }), { status: 200, json: { state: 'accepted', decided_by: 'admin' } })
})
