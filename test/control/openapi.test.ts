// docs/openapi.json is what the routes make of themselves, and answers are what it says they are.
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import fastify from 'fastify'
import t from 'tap'
import { cardJson, explainJson, grantJson, policyJson, proposalJson, sessionJson, tokenJson, approvalJson } from '../../src/control/wire.ts'
import { named, type SchemaName } from '../../src/control/schemas.ts'
import { call } from './caller.ts'
import { approvalOf, cardOf, explained, nowMs, recordOf, sessionOf } from './fakes.ts'
import { openWorld } from './world.ts'

const onceYes = { verdict: 'allow', term: 'once', untilMs: undefined, subdomains: false, allPorts: false, who: 'session', comment: undefined, version: 1 } as const
const file = resolve(import.meta.dirname, '../../docs/openapi.json')

t.test('the committed document is the one that is served, to anyone', async (t) => {
  const world = await openWorld(t)
  const served = await call(world.url, '/openapi.json')
  t.equal(served.status, 200)
  t.strictSame(JSON.parse(readFileSync(file, 'utf8')), served.json, 'write it anew: node test/scripts/write-openapi.ts')
})

t.test('every reference leads somewhere, and every operation has its own name', async (t) => {
  const text = readFileSync(file, 'utf8')
  const document = JSON.parse(text)
  for (const [, name = ''] of text.matchAll(/"#\/components\/schemas\/(\w+)"/g)) t.ok(Object.hasOwn(document.components.schemas, name), name)
  const operations: { readonly operationId: string; readonly responses: Readonly<Record<string, unknown>> }[] = Object.values<object>(document.paths).flatMap((item) => Object.values(item))
  t.equal(new Set(operations.map(({ operationId }) => operationId)).size, operations.length)
  for (const { operationId, responses } of operations) t.ok(['401', '403', '421', '429', '500'].every((status) => status in responses), operationId)
})

t.test('whatever is answered fits its schema', async (t) => {
  const checker = fastify({ ajv: { customOptions: { coerceTypes: false, removeAdditional: false, strict: true, allErrors: true } } })
  t.teardown(() => checker.close())
  const { Problem, ...others } = named
  // `Problem` refers to another schema of the document
  t.ok(Problem)
  for (const [name, schema] of Object.entries(others)) checker.post(`/${name}`, { schema: { body: schema } }, async () => 'fits')
  const fits = async (name: Exclude<SchemaName, 'Problem'>, payload: object) => {
    const answer = await checker.inject({ method: 'POST', url: `/${name}`, payload })
    t.equal(answer.body, 'fits', name)
  }
  const bare = approvalOf('A1')
  const rule = { id: 'r', pattern: 'a.example', file: 'policies/10.toml', line: 3 }
  const full = approvalOf('A2', {
    state: 'allowed', kind: 'request', method: 'POST', url: 'https://a.example/', upgrade: 'websocket', rule, statedReason: 'x', snoozedUntilMs: nowMs, firstYes: { by: 'a', mintedBy: undefined, atMs: nowMs, answer: onceYes },
    decision: { verdict: 'allow', term: 'until', by: 'a', secondBy: 'b', atMs: nowMs, comment: 'c', grantId: 'g' },
  })
  for (const approval of [bare, full]) {
    await fits('Approval', approvalJson(approval))
    await fits('Card', cardJson(cardOf(approval)))
  }
  await fits('Card', cardJson({ ...cardOf(full), unicodeHost: 'ä.example', similar: [{ approvalId: 'A0', host: 'b.example', verdict: 'deny', term: 'once', by: 'r', atMs: nowMs, comment: 'no' }] }))
  await fits('Grant', grantJson({ id: 'g', approvalId: 'a', verdict: 'deny', term: 'once', who: 'team', holder: 'web', scheme: 'http', host: 'a.example', subdomains: false, port: 80, requestDigest: 'd', by: 'r', createdMs: nowMs, expiresMs: undefined, comment: 'no' }))
  await fits('Session', sessionJson(sessionOf('s', undefined, { hold: 4500, expiresMs: nowMs, endedMs: nowMs, lastSeenMs: nowMs }), 3))
  await fits('Session', sessionJson(sessionOf('s', 'alice'), 0))
  await fits('Token', tokenJson({ id: 't', kind: 'program', name: 'n', role: 'launcher', teams: ['w'], createdMs: nowMs, createdBy: 'r', expiresMs: nowMs, revokedMs: nowMs, lastUsedMs: nowMs }))
  await fits('Proposal', proposalJson({ id: 'p', approvalId: 'a', verdict: 'allow', pattern: '*.a.example', agent: 'codex', team: 'web', by: 'r', createdMs: nowMs, state: 'rejected', decidedBy: 'r' }))
  await fits('Policy', policyJson({ revision: 'r', mode: 'monitor', unknown: 'deny', files: [], ruleCount: 0, feedNames: 0, problems: [] }))
  await fits('Explained', explainJson(explained))
  await fits('Explained', explainJson({ ...explained, rule, inner: explained.outer, monitored: { verdict: 'deny', code: 'not_allowed', reason: 'x', rule } }))
  await fits('Record', recordOf(1))
  const wrong = await checker.inject({ method: 'POST', url: '/Approval', payload: { ...approvalJson(bare), surprise: 1 } })
  t.equal(wrong.statusCode, 400, 'the check can fail')
})
