// Which names a policy can ever open, and when that cannot be said.
import t from 'tap'
import { compilePolicy } from '../../src/policy/compile.ts'
import { evaluate } from '../../src/policy/evaluate.ts'
import { parseCase } from '../../src/policy/cases.ts'
import type { Policy } from '../../src/policy/policy.ts'
import { staticNames } from '../../src/policy/static-names.ts'
import * as fc from '../support/property.ts'

function policyOf(text: string): Policy {
  const { policy, problems } = compilePolicy([{ path: 'p.toml', text, layer: 'policy' }], new Map())
  if (policy === undefined) throw new Error(problems.map(({ message }) => message).join('; '))
  return policy
}

const head = '[network]\nunknown = "deny"\n'

t.test('a closed list is told, without names that lie below others', async (t) => {
  t.same(staticNames(policyOf(`${head}allowed_domains = ["b.test", "a.b.test", "*.c.test", "**.d.test", "api-*.e.test", "b.test:8443"]`)), ['b.test', 'c.test', 'd.test', 'e.test'])
  t.same(staticNames(policyOf(`${head}denied_domains = ["a.test", "**.z.test"]\nallowed_domains = ["b.test"]`)), ['b.test'])
  t.same(staticNames(policyOf(`${head}[[network.rules]]\nid = "r"\nhosts = ["r.test"]\nverdict = "allow"\nmethods = ["GET"]\n`)), ['r.test'])
  t.same(staticNames(policyOf(head)), [])
})

t.test('a policy that may open more is bound to nothing', async (t) => {
  const open = [
    '[network]\nunknown = "ask"\n',
    '[network]\nunknown = "allow"\n',
    '[network]\nunknown = "deny"\nmode = "monitor"\n',
    `${head}review_domains = ["b.test"]`,
    `${head}ip_literals = "ask"`,
    `${head}allowed_domains = ["*"]`,
    `${head}[[network.rules]]\nid = "r"\nhosts = ["a*"]\nbroad = true\nverdict = "allow"\n`,
    `${head}[[network.rules]]\nid = "r"\nhosts = ["r.test"]\nverdict = "ask"\n`,
    `${head}[[network.rules]]\nid = "r"\nhosts = ["r.test"]\nverdict = "allow"\nmethods = ["GET"]\notherwise = "ask"\n`,
    `${head}[[network.rules]]\nid = "r"\nhosts = ["192.0.2.7"]\nverdict = "allow"\nmethods = ["GET"]\n`,
    `${head}allowed_domains = [${Array.from({ length: 101 }, (_, i) => `"n${i}.test"`).join(',')}]`,
  ]
  for (const text of open) t.equal(staticNames(policyOf(text)), undefined, text)
})

t.test('whatever a random policy allows is at or below one of its names', async (t) => {
  const label = fc.constantFrom('a', 'b', 'c', 'test')
  const name = fc.array(label, { minLength: 1, maxLength: 3 }).map((parts) => `${parts.join('.')}.corp.example`)
  const pattern = fc.oneof(name, name.map((text) => `*.${text}`), name.map((text) => `**.${text}`), name.map((text) => `a*.${text}`))
  let allowed = 0
  fc.assert(fc.property(fc.array(pattern, { maxLength: 4 }), fc.array(pattern, { maxLength: 2 }), fc.array(name, { minLength: 20, maxLength: 20 }), (allow, deny, hosts) => {
    const policy = policyOf(`${head}allowed_domains = ${JSON.stringify(allow)}\ndenied_domains = ${JSON.stringify(deny)}\n`)
    const names = staticNames(policy)
    return hosts.every((host) => {
      const facts = parseCase(`https://${host}/`)
      if ('wrong' in facts || evaluate(policy, facts, 0).verdict !== 'allow') return true
      allowed += 1
      return names?.some((each) => host === each || host.endsWith(`.${each}`)) === true
    })
  }), { numRuns: 300 })
  t.ok(allowed > 50)
})
