import t from 'tap'
import { namesAgents } from '../../src/policy/agents.ts'
import { compilePolicy } from '../../src/policy/compile.ts'
import type { Policy } from '../../src/policy/policy.ts'

function policyOf(more: string): Policy {
  const text = `[network]\nallowed_domains = ["a.test"]\n[[network.rules]]\nid = "r"\nhosts = ["b.test"]\nverdict = "allow"\n${more}`
  const { policy, problems } = compilePolicy([{ path: 'p.toml', text, layer: 'policy' }], new Map())
  if (policy === undefined) throw new Error(JSON.stringify(problems))
  return policy
}

t.test('a policy tells agents apart when a rule or a limit is for some of them or of their teams', async (t) => {
  const plain = policyOf('')
  t.equal(namesAgents(plain), false)
  t.equal(namesAgents(plain), false, 'asked again')
  const byAgent = policyOf('agents = ["codex"]\n')
  t.equal(namesAgents(byAgent), true)
  t.equal(namesAgents(byAgent), true, 'asked again')
  t.equal(namesAgents(policyOf('teams = ["web"]\n')), true)
  t.equal(namesAgents(policyOf('[[network.limits]]\nagents = ["codex"]\nopen_approvals = 1\n')), true)
  t.equal(namesAgents(policyOf('[[network.limits]]\nteams = ["web"]\nopen_approvals = 1\n')), true)
  t.equal(namesAgents(policyOf('[[network.limits]]\nopen_approvals = 1\n')), false, 'a limit for everybody')
  t.equal(namesAgents(plain), false)
})
