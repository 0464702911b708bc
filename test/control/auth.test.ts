// Who may call: every route with every role, nobody, and an agent. Each refusal is an event.
import t from 'tap'
import type { Role } from '../../src/approvals/actor.ts'
import { ControlContext } from '../../src/control/context.ts'
import { controlRoutes } from '../../src/control/control.ts'
import { call, type Asked } from './caller.ts'
import { agentToken, approvalOf, sessionOf } from './fakes.ts'
import { openWorld, roleNames, type World } from './world.ts'

const everyone: readonly Role[] = roleNames
const readers: readonly Role[] = ['viewer', 'auditor', 'reviewer', 'admin']
/** The contract: who may call what. */
const table: Readonly<Record<string, readonly Role[]>> = {
  'GET /v1/approvals': readers,
  'GET /v1/approvals/stream': readers,
  'GET /v1/approvals/{id}': readers,
  'POST /v1/approvals/{id}/decision': ['reviewer', 'admin'],
  'POST /v1/approvals/{id}/snooze': ['reviewer', 'admin'],
  'GET /v1/grants': readers,
  'POST /v1/grants/{id}/revoke': ['reviewer', 'admin'],
  'GET /v1/sessions': everyone,
  'POST /v1/sessions': ['launcher', 'admin'],
  'POST /v1/sessions/{id}/end': ['launcher', 'admin'],
  'GET /v1/tokens': ['admin'],
  'POST /v1/tokens': ['admin'],
  'POST /v1/tokens/{id}/revoke': ['admin'],
  'POST /v1/people/erase': ['admin'],
  'GET /v1/policy': readers,
  'POST /v1/policy/explain': readers,
  'GET /v1/policy/proposals': readers,
  'POST /v1/policy/proposals/{id}/decision': ['admin'],
  'GET /v1/events': ['auditor', 'admin'],
  'GET /v1/cache/entries': readers,
  'GET /v1/cache/entries/{id}': readers,
  'GET /v1/cache/entries/{id}/content': readers,
  'POST /v1/cache/entries/{id}/remove': ['admin'],
  'POST /v1/cache/entries/{id}/pin': ['admin'],
  'POST /v1/cache/entries/{id}/unpin': ['admin'],
  'POST /v1/cache/remove': ['admin'],
  'GET /v1/cache/stats': readers,
  'POST /v1/cache/fetch': ['admin'],
  'POST /v1/cache/warm': ['admin'],
  'POST /v1/cache/import': ['admin'],
  'POST /v1/cache/export': ['admin'],
}

function routesOf(world: World): readonly { readonly method: 'GET' | 'POST'; readonly path: string; readonly isStream?: true }[] {
  return controlRoutes(new ControlContext(world.deps))
}

const asOf = (method: string): Asked => (method === 'POST' ? { method, body: {} } : { method })

t.test('the table of the contract names every route', async (t) => {
  const world = await openWorld(t)
  t.strictSame(routesOf(world).map(({ method, path }) => `${method} ${path}`).toSorted(), Object.keys(table).toSorted())
})

t.test('every route lets in the roles it is for, and no other', async (t) => {
  const world = await openWorld(t)
  for (const { method, path, isStream } of routesOf(world)) {
    for (const role of everyone) {
      const permitted = table[`${method} ${path}`]?.includes(role) === true
      // a stream has no end to wait for
      if (isStream === true && permitted) continue
      const answer = await call(world.url, path.replace('{id}', 'X1'), { ...asOf(method), token: `sp_${role}` })
      if (permitted) t.notMatch([401, 403], answer.status, `${role} ${method} ${path}: ${answer.status}`)
      else t.match(answer, { status: 403, json: { code: 'not_permitted' } }, `${role} ${method} ${path}`)
    }
  }
  const refused = world.called.filter((line) => line.includes(' 403 '))
  t.equal(refused.length, routesOf(world).reduce((sum, { method, path }) => sum + everyone.length - (table[`${method} ${path}`]?.length ?? 0), 0))
})

t.test('a body says nothing before the role is right', async (t) => {
  const world = await openWorld(t)
  t.match(await call(world.url, '/v1/tokens', { method: 'POST', token: 'sp_viewer', body: 'not json' }), { status: 403 })
})

t.test('nobody gets 401 everywhere, by TCP, and it is an event', async (t) => {
  const world = await openWorld(t)
  for (const { method, path } of routesOf(world)) {
    for (const headers of [{}, { authorization: 'Bearer sp_unknown' }, { authorization: 'Bearer' }, { authorization: 'Bearer  ' }, { authorization: 'Digest x' }, { authorization: 'sp_admin' }, { cookie: 'sallyport_deadbeef=sp_unknown' }, { cookie: 'sallyport_00000000=sp_admin' }, { cookie: 'sallyport=sp_admin' }]) {
      const answer = await call(world.url, path.replace('{id}', 'X1'), { ...asOf(method), headers })
      t.match(answer, { status: 401, json: { code: 'unauthenticated' } }, `${method} ${path} ${JSON.stringify(headers)}`)
      t.match(answer.headers['www-authenticate'], /^Bearer/)
    }
    t.ok(world.called.includes(`${method} ${path} 401 none`), path)
  }
})

t.test('a token in the URL is no credential', async (t) => {
  const world = await openWorld(t)
  t.equal((await call(world.url, '/v1/policy?token=sp_admin&access_token=sp_admin')).status, 401)
})

t.test('an agent gets 403 on every route, whatever form its credentials have, and it is an event', async (t) => {
  const world = await openWorld(t)
  const basic = `Basic ${Buffer.from(`s-1:${agentToken}`).toString('base64')}`
  const forms = [
    { authorization: basic },
    { 'proxy-authorization': basic },
    { authorization: `Bearer ${agentToken}` },
    { authorization: `Bearer s-1:${agentToken}` },
    { authorization: `Basic ${Buffer.from(`:${agentToken}`).toString('base64')}` },
    { cookie: `sallyport_deadbeef=${agentToken}` },
    { authorization: 'Bearer sp_admin', 'proxy-authorization': basic },
  ]
  for (const { method, path } of routesOf(world)) {
    for (const headers of forms) {
      for (const door of [world.url, world.socket]) {
        const answer = await call(door, path.replace('{id}', 'X1'), { ...asOf(method), headers: { ...headers, ...(door === world.url ? { origin: world.url } : {}) } })
        t.match(answer, { status: 403, json: { code: 'agent_credential' } }, `${method} ${path} ${JSON.stringify(headers)}`)
      }
    }
    t.equal(world.called.filter((line) => line === `${method} ${path} 403 none`).length, forms.length * 2, path)
  }
})

t.test('a token that is revoked is nobody at once', async (t) => {
  const world = await openWorld(t)
  t.equal((await call(world.url, '/v1/tokens/t-viewer/revoke', { method: 'POST', token: 'sp_admin', body: {} })).status, 200)
  t.equal((await call(world.url, '/v1/policy', { token: 'sp_viewer' })).status, 401)
})

t.test('a reviewer of a team sees and decides that team\'s approvals alone', async (t) => {
  const world = await openWorld(t)
  const token = world.tokens.add('reviewer', 'webby', ['web'])
  world.desk.put(approvalOf('A1', { team: 'web' }))
  world.desk.put(approvalOf('A2', { team: 'data' }))
  world.sessions.byId.set('s-2', sessionOf('s-2', 'bob', { principal: { session: 's-2', agent: 'codex', team: 'data', owner: 'bob' } }))
  t.strictSame((await call(world.url, '/v1/approvals', { token })).json.items.map(({ id }: { id: string }) => id), ['A1'])
  t.equal((await call(world.url, '/v1/approvals/A2', { token })).status, 404)
  t.equal((await call(world.url, '/v1/approvals/A2/decision', { method: 'POST', token, headers: { 'if-match': '"1"' }, body: { verdict: 'allow' } })).status, 404)
  t.strictSame((await call(world.url, '/v1/sessions', { token })).json.items.map(({ id }: { id: string }) => id), ['s-1'])
  t.equal(world.desk.approvals.get('A2')?.state, 'pending')
})

t.test('calls of one actor have a rate, and so have refused ones, apart', async (t) => {
  const world = await openWorld(t, { limits: { ...(await openWorld(t)).deps.limits, actorBurst: 3, actorPerSecond: 1, refusedBurst: 2, refusedPerSecond: 1 } })
  const statuses: number[] = []
  for (let index = 0; index < 5; index++) statuses.push((await call(world.url, '/v1/policy')).status)
  t.strictSame(statuses, [401, 401, 429, 429, 429])
  t.strictSame(world.called, ['GET /v1/policy 401 none', 'GET /v1/policy 401 none', 'GET /v1/policy 429 none'], 'what is refused for its rate is one event')
  for (const left of [2, 1, 0]) {
    const { status, headers } = await call(world.url, '/v1/policy', { token: 'sp_viewer' })
    t.equal(status, 200, 'who is known is not held back by who is not')
    t.match(headers, { 'ratelimit-policy': '"actor";q=3;w=3', ratelimit: new RegExp(`^"actor";r=${left};t=\\d+$`) })
  }
  const refused = await call(world.url, '/v1/policy', { token: 'sp_viewer' })
  t.match(refused, { status: 429, headers: { 'retry-after': '1' }, json: { code: 'rate_limited' } })
  t.equal((await call(world.url, '/v1/policy', { token: 'sp_admin' })).status, 200, 'each has its own')
  world.clock.move(1000)
  t.equal((await call(world.url, '/v1/policy', { token: 'sp_viewer' })).status, 200)
})

t.test('a token alone is looked for among sessions only while its sender was not refused too often', async (t) => {
  const looked: string[] = []
  const isAgentCredential = (id: string): boolean => {
    looked.push(id)
    return false
  }
  const world = await openWorld(t, { isAgentCredential, limits: { ...(await openWorld(t)).deps.limits, refusedBurst: 2, refusedPerSecond: 1 } })
  const ask = () => call(world.url, '/v1/policy', { token: 'x'.repeat(43) })
  t.strictSame([(await ask()).status, (await ask()).status, (await ask()).status], [401, 401, 429])
  t.strictSame(looked, ['s-1', 's-1'])
})
