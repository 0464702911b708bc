import t from 'tap'
import { parseCase } from '../../src/policy/cases.ts'
import { compilePolicy } from '../../src/policy/compile.ts'
import { explain } from '../../src/policy/explain.ts'
import type { Explanation } from '../../src/policy/explain.ts'

const text = `[network]
unknown = "deny"
allowed_domains = ["a.example", "*.b.example", "p.example:8443"]
denied_domains = ["deep.b.example"]
denied_domains_files = [{ path = "f.txt", except = ["lifted.example"] }]
[[network.rules]]
id = "read"
hosts = ["api.example"]
methods = ["GET"]
paths = ["/repos/**"]
verdict = "allow"
reason = "read only"
[[network.rules]]
id = "robot"
hosts = ["*.robot.example"]
agents = ["robot"]
verdict = "allow"
`
const compiled = compilePolicy([{ path: 'p.toml', text, layer: 'policy' }], new Map([['f.txt', new TextEncoder().encode('bad.example\nlifted.example\n')]]))

function explained(request: string): Explanation {
  const facts = parseCase(request)
  if (compiled.policy === undefined || 'wrong' in facts) throw new Error(request)
  return explain(compiled.policy, { ...facts, principal: { session: 's', agent: 'coder', team: undefined, owner: undefined } }, 0)
}

t.test('says which rules matched', async (t) => {
  const both = explained('deep.b.example')
  t.match(both, { decision: { verdict: 'deny' }, matched: [{ verdict: 'deny', rule: { id: 'denied_domains', line: 4 } }, { verdict: 'allow', rule: { id: 'allowed_domains', pattern: '*.b.example', line: 3 } }] })
  t.strictSame(both.lines, [
    'deny: deep.b.example is on the denied list (denied_by_rule)',
    'decided by denied_domains `deep.b.example` (p.toml:4)',
    'matches: denied_domains `deep.b.example` (p.toml:4) denies it',
    'matches: allowed_domains `*.b.example` (p.toml:3) allows it',
  ])
  t.match(explained('CONNECT api.example:443').matched, [{ rule: { id: 'read' }, says: 'looks inside each request (read only)' }])
})

t.test('says which rules nearly matched, and what kept them', async (t) => {
  const misses: readonly (readonly [string, string, string, string])[] = [
    ['a.example:8443', 'port', 'allowed_domains', 'covers ports 443 (https) and 80 (http) and not port 8443'],
    ['p.example', 'port', 'allowed_domains', 'covers port 8443 and not port 443'],
    ['POST https://api.example/repos/x', 'method', 'read', 'covers GET and not POST'],
    ['GET https://api.example/other', 'path', 'read', 'covers /repos/** and not /other'],
    ['wss://api.example/repos/x', 'upgrade', 'read', 'names no websocket upgrade'],
    ['x.a.example', 'scope', 'allowed_domains', 'covers a.example alone and not what is below'],
    ['b.example', 'scope', 'allowed_domains', 'covers what is below and not the name itself'],
    ['x.api.example', 'scope', 'read', 'covers api.example alone and not what is below'],
    ['robot.example', 'scope', 'robot', 'covers what is below and not the name itself'],
    ['x.robot.example', 'agent', 'robot', 'is for robot and not for coder'],
    ['lifted.example', 'except', 'denied_domains_files', 'is lifted by `except`'],
  ]
  for (const [request, why, id, says] of misses) t.match(explained(request).near, [{ why, says, rule: { id } }], request)
})

t.test('is silent where nothing is near', async (t) => {
  const { matched, near, lines } = explained('elsewhere.org')
  t.strictSame([matched, near], [[], []])
  t.strictSame(lines, ['deny: no rule allows elsewhere.org (not_allowed)', 'decided by unknown `*` (p.toml:2)'])
})
