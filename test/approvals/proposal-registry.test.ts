// Proposals: what an answer for good proposes, and their way from open to accepted or rejected.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Answer, Approval } from '../../src/approvals/approval.ts'
import { migrations } from '../../src/approvals/migrations.ts'
import { proposalOf, ProposalRegistry } from '../../src/approvals/proposal-registry.ts'
import type { NewProposal } from '../../src/approvals/proposal-registry.ts'
import { addApproved } from '../../src/config/approved-edit.ts'
import { openSqliteStore } from '../../src/store/sqlite-store.ts'
import type { Store } from '../../src/store/store.ts'
import { anAnswer, anApproval } from '../support/approvals.ts'

const proposal = (more: Partial<NewProposal> = {}): NewProposal => ({ approvalId: 'a1', verdict: 'allow', pattern: 'shop.example', agent: 'codex', team: undefined, by: 'bea', ...more })

function registryOf(store: Store): ProposalRegistry {
  let made = 0
  let now = 0
  return new ProposalRegistry({ store, clock: { now: () => (now += 1000), monotonic: () => now }, nextId: () => `p${made++}` })
}

t.test('a proposal is open until somebody decides, and the first to decide wins', async (t) => {
  const registry = registryOf(openSqliteStore(':memory:', migrations))
  const made = registry.add(proposal())
  t.same(made, { id: 'p0', ...proposal(), createdMs: 1000, state: 'open', decidedBy: undefined })
  t.same(registry.get('p0'), made)
  t.match(registry.resolve('p0', true, 'ada'), { state: 'accepted', decidedBy: 'ada' })
  t.equal(registry.resolve('p0', false, 'cid'), undefined)
  t.equal(registry.resolve('p9', true, 'ada'), undefined)
  t.equal(registry.get('p9'), undefined)
  t.match(registry.get('p0'), { state: 'accepted', decidedBy: 'ada' })
})

t.test('the same proposal is not open twice, and another one is another', async (t) => {
  const registry = registryOf(openSqliteStore(':memory:', migrations))
  const first = registry.add(proposal())
  t.equal(registry.add(proposal({ approvalId: 'a2', by: 'cid' })).id, first.id)
  for (const more of [{ agent: undefined }, { team: 'red' }, { verdict: 'deny' }, { pattern: 'b.example' }] as const) t.not(registry.add(proposal(more)).id, first.id)
  registry.resolve(first.id, false, 'ada')
  t.not(registry.add(proposal()).id, first.id, 'a rejected one may be proposed again')
})

t.test('open ones are listed first, the newest of each first', async (t) => {
  const registry = registryOf(openSqliteStore(':memory:', migrations))
  for (const pattern of ['a.example', 'b.example', 'c.example', 'd.example']) registry.add(proposal({ pattern }))
  registry.resolve('p2', true, 'ada')
  registry.resolve('p0', false, 'ada')
  t.same(registry.list().map(({ id, state }) => `${id} ${state}`), ['p3 open', 'p1 open', 'p2 accepted', 'p0 rejected'])
})

t.test('proposals outlive the process', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'proposals-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const path = join(dir, 'store.sqlite')
  const store = openSqliteStore(path, migrations)
  const made = registryOf(store).add(proposal({ agent: undefined, team: 'red' }))
  store.close()
  const again = openSqliteStore(path, migrations)
  t.teardown(() => again.close())
  t.same(registryOf(again).list(), [made])
})

const open = { managedOnly: false }
const cases: readonly (readonly [name: string, approval: Partial<Approval>, answer: Partial<Answer>, made: Partial<NewProposal> | undefined, policy?: { readonly managedOnly: boolean }])[] = [
  ['the host, for the agent that asked', {}, {}, { verdict: 'allow', pattern: 'www.shop.example:443', agent: 'codex', team: undefined }],
  ['for the team, of which there is none: for the agent', {}, { who: 'team' }, { agent: 'codex', team: undefined }],
  ['for the agent', { team: 'red' }, { who: 'agent' }, { agent: 'codex', team: undefined }],
  ['for the team', { team: 'red' }, { who: 'team' }, { agent: undefined, team: 'red' }],
  ['for the agent without credentials: for everybody', { session: 'anonymous', agent: 'local' }, {}, { agent: undefined, team: undefined }],
  ['names below, and the name', {}, { subdomains: true }, { pattern: '**.www.shop.example:443' }],
  ['another port is written', { port: 8443 }, {}, { pattern: 'www.shop.example:8443' }],
  ['another port is written behind a wildcard', { port: 8443 }, { subdomains: true }, { pattern: '**.www.shop.example:8443' }],
  ['of http its own', { port: 80, scheme: 'http' }, {}, { pattern: 'www.shop.example:80' }],
  ['all ports are not more than the one that was asked about', { port: 8443 }, { allPorts: true }, { pattern: 'www.shop.example:8443' }],
  ['a deny names no port', { port: 8443 }, { verdict: 'deny' }, { verdict: 'deny', pattern: 'www.shop.example' }],
  ['a v6 address stands in brackets', { host: '2001:db8::7', port: 8443 }, {}, { pattern: '[2001:db8::7]:8443' }],
  ['nothing of an answer for a while', {}, { term: 'session' }, undefined],
  ['nothing of one request', { kind: 'request' }, {}, undefined],
  ['no allow where only the managed layer allows', {}, {}, undefined, { managedOnly: true }],
  ['a deny there too', {}, { verdict: 'deny' }, { verdict: 'deny' }, { managedOnly: true }],
]
t.test('an answer for good proposes what was asked and no more, in words that the policy file takes', async (t) => {
  for (const [name, approval, answer, made, policy = open] of cases) {
    const proposed = proposalOf(anApproval(approval), anAnswer({ term: 'always', ...answer }), 'bea', policy)
    if (made === undefined || proposed === undefined) t.equal(proposed, made, name)
    else {
      t.same(proposed, { ...proposed, by: 'bea', approvalId: anApproval().id, ...made }, name)
      t.match(addApproved(undefined, { ...proposed, atMs: 0 }), { text: String }, name)
    }
  }
})
