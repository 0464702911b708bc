// Whether a policy needs a certificate authority at all: nothing that evaluate wants looked into is missed.
import t from 'tap'
import { compilePolicy } from '../../src/policy/compile.ts'
import { evaluate } from '../../src/policy/evaluate.ts'
import { looksInside } from '../../src/policy/looks-inside.ts'
import { parseHost } from '../../src/target/host.ts'

const rule = (more: string) => `[[network.rules]]\nid = "r"\nhosts = ["a.example"]\nverdict = "allow"\n${more}\n`
const principal = { session: 's', agent: 'a', team: undefined, owner: undefined }

for (const [name, text, expected] of [
  ['lists and questions do not', '[network]\nunknown = "ask"\nallowed_domains = ["a.example"]\nreview_domains = ["b.example"]\n', false],
  ['a rule about a host does not', rule(''), false],
  ['methods do', rule('methods = ["GET"]'), true],
  ['a deny of a path does', rule('paths = ["/x"]').replace('"allow"', '"deny"') + rule('').replace('"r"', '"s"'), true],
  ['a query does', rule('query = { q = [] }'), true],
  ['fields that are set do', rule('set_headers = { "X-Team" = "core" }'), true],
  ['a ceiling for all requests does', '[network]\nread_only = true\nallowed_domains = ["a.example"]\n', true],
  ['limited mode does', '[network]\nmode = "limited"\nallowed_domains = ["a.example"]\n', true],
  ['the cache does', rule('via = "cache"'), true],
  ['pins do', '[network]\nallowed_domains = ["mail.google.com"]\n[network.pins]\ngoogle_domains = ["corp.example"]\n', true],
] as const) {
  t.test(name, async (t) => {
    const { policy, problems } = compilePolicy([{ path: 'p.toml', layer: 'policy', text }], new Map())
    if (policy === undefined) throw new Error(problems.map(({ message }) => message).join('\n'))
    t.equal(looksInside(policy), expected)
    const looked = ['a.example', 'b.example', 'mail.google.com'].some((host) => evaluate(policy, {
      stage: 'connect', scheme: 'https', host: parseHost(host), port: 443, method: undefined, path: undefined, query: undefined, upgrade: undefined, principal,
    }, 0).obligations.inspect !== 'none')
    t.equal(looked, expected, 'and so does evaluate')
  })
}
