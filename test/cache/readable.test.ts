// What a file may put into the cache: what policy lets some agent read from it.
import t from 'tap'
import { whyNotReadable } from '../../src/cache/readable.ts'
import { compilePolicy } from '../../src/policy/compile.ts'
import { parseHostPattern, type HostPattern } from '../../src/policy/pattern.ts'
import type { Policy } from '../../src/policy/policy.ts'

function policyOf(text: string): Policy {
  const { policy, problems } = compilePolicy([{ path: 'p.toml', text, layer: 'policy' }], new Map())
  if (policy === undefined) throw new Error(JSON.stringify(problems))
  return policy
}

function patterns(...texts: readonly string[]): readonly HostPattern[] {
  return texts.map((text) => {
    const pattern = parseHostPattern(text)
    if ('wrong' in pattern) throw new Error(pattern.wrong)
    return pattern
  })
}

const cached = `[network]
unknown = "ask"
denied_domains = ["denied.example"]
review_domains = ["review.example"]
[web_fetch]
mode = "cached"
[[network.rules]]
id = "paths"
hosts = ["paths.example"]
paths = ["/open/**"]
via = "cache"
verdict = "allow"
`

const why = (url: string, policy: Policy | undefined = policyOf(cached), domains?: readonly HostPattern[]) => whyNotReadable(url, { policy, team: undefined, domains, nowMs: 0 })

t.test('what the cache may answer is readable, what policy denies or asks about is not', async (t) => {
  t.equal(why('https://docs.example/x'), undefined)
  t.match(why('https://denied.example/x'), /policy lets no agent read it: denied\.example is on the denied list/)
  t.match(why('https://review.example/x'), /policy lets no agent read it/)
  t.equal(why('https://paths.example/open/x'), undefined)
  t.match(why('https://paths.example/closed'), /policy lets no agent read it/)
  t.match(why('http://10.0.0.1/'), /policy lets no agent read it/)
})

t.test('without a policy nothing is', async (t) => {
  t.match(whyNotReadable('https://docs.example/', { policy: undefined, team: undefined, domains: undefined, nowMs: 0 }), /no valid policy/)
})

t.test('a web that is read live, or not at all, is not read from the cache', async (t) => {
  t.match(why('https://docs.example/', policyOf('[web_fetch]\nmode = "disabled"\n')), /disabled|lets no agent/)
  t.ok(why('https://docs.example/', policyOf('[network]\nallowed_domains = ["docs.example"]\n[web_fetch]\nmode = "live"\n')) !== undefined)
})

t.test('monitor mode takes what enforcing would read from the cache, and no more', async (t) => {
  const monitoring = policyOf(cached.replace('[network]', '[network]\nmode = "monitor"'))
  t.equal(why('https://docs.example/x', monitoring), undefined)
  t.match(why('https://denied.example/x', monitoring), /denied list/)
})

t.test('domains narrow it, by host and port', async (t) => {
  const policy = policyOf(cached)
  t.equal(why('https://docs.example/', policy, patterns('docs.example')), undefined)
  t.equal(why('https://a.b.example/', policy, patterns('x.example', '**.b.example')), undefined)
  for (const url of ['https://docs.example:8443/', 'https://x.docs.example/', 'https://docs.example.evil/']) t.match(why(url, policy, patterns('docs.example')), /is not one of the domains/, url)
  t.equal(why('http://docs.example:8080/', policy, patterns('docs.example:8080')), undefined)
})
