import assert from 'node:assert/strict'
import t from 'tap'
import { parseCase } from '../../src/policy/cases.ts'
import { compilePolicy, transferables } from '../../src/policy/compile.ts'
import type { Policy } from '../../src/policy/compile.ts'
import { evaluate } from '../../src/policy/evaluate.ts'
import type { Facts } from '../../src/policy/facts.ts'
import * as fc from '../support/property.ts'

function policyOf(text: string): Policy {
  const { policy, problems } = compilePolicy([{ path: 'p.toml', text, layer: 'policy' }], new Map())
  if (policy === undefined) throw new Error(problems.map(({ line, message }) => `${line}: ${message}`).join('\n'))
  return policy
}

function factsOf(text: string): Facts {
  const facts = parseCase(text)
  if ('wrong' in facts) throw new Error(facts.wrong)
  return facts
}

interface RuleText {
  readonly hosts: readonly string[]
  readonly verdict: string
  readonly methods: readonly string[] | null
  readonly paths: readonly string[] | null
  readonly otherwise: string
}

interface World {
  readonly unknown: string
  readonly allowed: readonly string[]
  readonly review: readonly string[]
  readonly denied: readonly string[]
  readonly rules: readonly RuleText[]
}

const host = fc.constantFrom('a.example', 'b.example', 'x.a.example', 'example', '10.0.0.1', '9.9.9.9')
const request = fc.oneof(
  fc.tuple(host, fc.constantFrom(443, 80, 22, 8443)).map(([name, port]) => `CONNECT ${name}:${port}`),
  fc.tuple(fc.constantFrom('GET', 'POST'), fc.constantFrom('http', 'https', 'ws'), host, fc.constantFrom('/', '/p', '/p/q')).map(([method, scheme, name, path]) => `${method} ${scheme}://${name}${path}`),
)
const pattern = fc.constantFrom<string>('a.example', '*.a.example', '**.example', 'b.example', '10.0.0.1', '9.9.9.0/24', 'a*.example')
const quoted = (list: readonly string[]): string => `[${list.map((each) => `"${each}"`).join(', ')}]`
const rule: fc.Arbitrary<RuleText> = fc.record({
  hosts: fc.uniqueArray(pattern, { minLength: 1, maxLength: 2 }),
  verdict: fc.constantFrom('allow', 'deny', 'ask'),
  methods: fc.option(fc.constantFrom(['GET'], ['POST'], ['GET', 'POST'])),
  paths: fc.option(fc.constantFrom(['/p/**'], ['/'], ['/*'])),
  otherwise: fc.constantFrom('deny', 'ask', 'allow'),
})
const ruleText = (each: RuleText, id: string): string =>
  `[[network.rules]]\nid = "${id}"\nhosts = ${quoted(each.hosts)}\nverdict = "${each.verdict}"\notherwise = "${each.otherwise}"\nbroad = true\n` +
  (each.methods === null ? '' : `methods = ${quoted(each.methods)}\n`) +
  (each.paths === null ? '' : `paths = ${quoted(each.paths)}\n`)
const world: fc.Arbitrary<World> = fc.record({
  unknown: fc.constantFrom('deny', 'ask', 'allow'),
  allowed: fc.uniqueArray(pattern.filter((text) => !text.includes('*')), { maxLength: 3 }),
  review: fc.uniqueArray(pattern, { maxLength: 2 }),
  denied: fc.uniqueArray(pattern, { maxLength: 2 }),
  rules: fc.array(rule, { maxLength: 4 }),
})

function textOf({ unknown, allowed, review, denied, rules }: World): string {
  const lists = `[network]\nunknown = "${unknown}"\nallowed_domains = ${quoted(allowed)}\nreview_domains = ${quoted(review)}\ndenied_domains = ${quoted(denied)}\n`
  return lists + rules.map((each, i) => ruleText(each, `r${i}`)).join('')
}
const rank = { allow: 0, ask: 1, deny: 2 }

t.test('the order of rules and lists never matters', async () => {
  fc.assert(fc.property(world, request, (w, text) => {
    const facts = factsOf(text)
    const one = evaluate(policyOf(textOf(w)), facts, 0)
    const other = evaluate(policyOf(textOf({ ...w, rules: w.rules.toReversed(), allowed: w.allowed.toReversed(), denied: w.denied.toReversed() })), facts, 0)
    assert.equal(other.verdict, one.verdict)
    assert.equal(other.code, one.code)
    assert.deepEqual(other.obligations.inspect, one.obligations.inspect)
  }), { numRuns: 1500 })
})

t.test('one deny more never opens anything', async () => {
  fc.assert(fc.property(world, request, pattern, fc.boolean(), (w, text, more, asList) => {
    const facts = factsOf(text)
    const before = evaluate(policyOf(textOf(w)), facts, 0)
    const stricter = asList
      ? { ...w, denied: [...new Set([...w.denied, more])] }
      : { ...w, rules: [...w.rules, { hosts: [more], verdict: 'deny', methods: ['GET'], paths: null, otherwise: 'deny' }] }
    const after = evaluate(policyOf(textOf(stricter)), facts, 0)
    // a host that is now looked into is decided inside instead of at CONNECT
    if (after.verdict === 'allow' && after.obligations.inspect !== 'none' && facts.stage === 'connect') return
    assert.ok(rank[after.verdict] >= rank[before.verdict], `${before.verdict} -> ${after.verdict}`)
  }), { numRuns: 1500 })
})

t.test('a denied host is denied whatever else is said of it', async () => {
  fc.assert(fc.property(world, request, (w, text) => {
    const facts = factsOf(text)
    const denied = { ...w, denied: [...new Set([...w.denied, facts.host.text])] }
    const decision = evaluate(policyOf(textOf(denied)), facts, 0)
    assert.equal(decision.verdict, 'deny')
    assert.equal(decision.code, 'denied_by_rule')
  }), { numRuns: 200 })
})

t.test('a policy from another thread answers the same', async () => {
  fc.assert(fc.property(world, request, (w, text) => {
    const policy = policyOf(textOf(w))
    const facts = factsOf(text)
    const here = evaluate(policy, facts, 0)
    assert.deepEqual(evaluate(structuredClone(policy), facts, 0), here)
    assert.deepEqual(evaluate(structuredClone(policy, { transfer: transferables(policy) }), facts, 0), here)
  }), { numRuns: 100 })
})

const good = factsOf('GET http://a.example/p')

t.test('facts that are out of order are denied, and nothing throws', async (t) => {
  const open = policyOf('[network]\nunknown = "allow"\n[[network.rules]]\nid = "p"\nhosts = ["*.example"]\npaths = ["/**"]\nverdict = "allow"\n')
  t.equal(evaluate(open, good, 0).verdict, 'allow')
  const odd: Record<string, unknown>[] = [
    { stage: 'tunnel' }, { scheme: 'ftp' }, { port: 0 }, { port: 65536 }, { port: 443.5 }, { port: '443' }, { port: Number.NaN }, { host: undefined }, { host: null },
    { host: { kind: 'x', text: 'a.example' } }, { host: { kind: 'name', text: '' } }, { host: { kind: 'name', text: 'a'.repeat(300) } },
    { host: { kind: 'ip', text: '9.9.9.9' } }, { method: undefined }, { method: '' }, { path: undefined }, { path: '' }, { path: 'p' }, { path: '*' },
    { upgrade: 'h2c' }, { upgrade: null }, { principal: undefined, host: { kind: 'name', text: 'localhost' } },
  ]
  for (const change of odd) {
    const facts: Facts = Object.assign(structuredClone(good), change)
    t.equal(evaluate(open, facts, 0).verdict, 'deny', JSON.stringify(change))
  }
  t.equal(evaluate(open, good, Number.NaN).verdict, 'deny', 'no time')
  const monitor = policyOf('[network]\nmode = "monitor"\n')
  t.equal(evaluate(monitor, Object.assign(structuredClone(good), { port: 0 }), 0).verdict, 'deny', 'in monitor mode too')
})

t.test('arbitrary facts yield a decision', async () => {
  const policy = policyOf('[network]\nunknown = "allow"\n')
  fc.assert(fc.property(fc.object(), (junk) => {
    const facts: Facts = Object.assign(Object.create(null), junk)
    assert.equal(evaluate(policy, facts, 0).verdict, 'deny')
  }), { numRuns: 300 })
})

t.test('reasons are sentences for the user of an agent', async (t) => {
  const policy = policyOf(`[network]
unknown = "deny"
allowed_domains = ["a.example"]
denied_domains = ["pastebin.com"]
review_domains = ["r.example"]
[[network.rules]]
id = "gh"
hosts = ["api.github.com"]
methods = ["GET"]
verdict = "allow"
reason = "read-only GitHub API"
`)
  const reasons: readonly (readonly [string, string])[] = [
    ['pastebin.com', 'pastebin.com is on the denied list'],
    ['example.org', 'no rule allows example.org'],
    ['a.example', 'a.example is on the allowed list'],
    ['a.example:8443', 'a.example is allowed, but no rule allows its port 8443'],
    ['r.example', 'r.example is on the review list, so it needs an approval'],
    ['GET https://api.github.com/x', 'rule gh allows api.github.com: read-only GitHub API'],
    ['POST https://api.github.com/x', 'no rule of api.github.com allows POST /x'],
    ['wss://api.github.com/x', 'no rule of api.github.com allows a websocket upgrade'],
    ['example.org:25', 'port 25 is closed unless a rule names host and port'],
    ['9.9.9.9:443', 'no rule names the address 9.9.9.9'],
    ['[::1]:443', 'no rule names the loopback address [::1]'],
  ]
  for (const [text, reason] of reasons) t.equal(evaluate(policy, factsOf(text), 0).reason, reason, text)
})

t.test('a denial names the one rule that its query or fields kept it from, and no value', async (t) => {
  const text = (id: string, more: string) => `[[network.rules]]\nid = "${id}"\nhosts = ["q.example"]\nmethods = ["GET"]\nverdict = "allow"\n${more}\n`
  const one = policyOf(text('read', 'paths = ["/p"]\nquery = { part = ["s3cret*"], size = ["1"] }\nheaders = { x-token = ["hush"] }'))
  const asked = (policy: typeof one, what: string, fields: readonly string[] = []) => {
    const { verdict, code, reason, rule: decided } = evaluate(policy, { ...factsOf(what), fields, content: 0 }, 0)
    t.match({ verdict, code, decided }, { verdict: 'deny', code: 'request_not_allowed', decided: { id: /^(?:read|other)$/ } })
    t.notMatch(reason, /s3cret|hush|mine/)
    return reason.replace('no rule of q.example allows ', '')
  }
  const url = 'GET https://q.example/p'
  t.equal(asked(one, url), 'GET /p; rule read allows it, but not without the query keys part and size')
  t.equal(asked(one, `${url}?part=mine&size=1`), 'GET /p; rule read allows it, but not with the query key part as it is')
  t.equal(asked(one, `${url}?part=mine&size=2`), 'GET /p; rule read allows it, but not with the query keys part and size as they are')
  t.equal(asked(one, `${url}?part=s3cret1&size=1&Size=1`), 'GET /p; rule read allows it, but the query key size can be read in more ways than one')
  t.equal(asked(one, `${url}?part=s3cret1;size=1`), 'GET /p; rule read allows it, but not with a query that can be read in more ways than one: a `;` may separate keys')
  t.equal(asked(one, `${url}?part=s3cret1&size=1`), 'GET /p; rule read allows it, but not without the field x-token')
  t.equal(asked(one, `${url}?part=s3cret1&size=1`, ['X-Token', 'mine']), 'GET /p; rule read allows it, but not with the field x-token as it is')
  t.equal(asked(one, 'GET https://q.example/other'), 'GET /other', 'the path is missed first')
  t.equal(asked(one, 'POST https://q.example/p'), 'POST /p', 'and the method')
  t.equal(asked(policyOf(text('read', 'query = { a = ["1"] }') + text('other', 'query = { b = ["1"] }')), url), 'GET /p', 'of two none is the one')
  t.equal(asked(policyOf(text('read', 'query = { a = ["1"] }') + text('other', 'paths = ["/z"]\nquery = { b = ["1"] }')), url), 'GET /p; rule read allows it, but not without the query key a')
  t.equal(asked(policyOf(text('read', 'query = { "a\\nb" = [], "\u00e4" = [] }')), url), 'GET /p; rule read allows it, but not without the query keys that it names', 'a status line takes no such key')
})

t.test('the decision says where the rule stands', async (t) => {
  const policy = policyOf('[network]\nallowed_domains = [\n  "a.example",\n  "*.b.example",\n]\n[[network.rules]]\nid = "x"\nhosts = [\n  "c.example",\n  "d.example",\n]\nverdict = "deny"\n')
  t.strictSame(evaluate(policy, factsOf('a.example'), 0).rule, { id: 'allowed_domains', pattern: 'a.example', file: 'p.toml', line: 3 })
  t.strictSame(evaluate(policy, factsOf('q.b.example'), 0).rule, { id: 'allowed_domains', pattern: '*.b.example', file: 'p.toml', line: 4 })
  t.strictSame(evaluate(policy, factsOf('d.example'), 0).rule, { id: 'x', pattern: 'd.example', file: 'p.toml', line: 10 })
  t.strictSame(evaluate(policy, factsOf('e.example'), 0).rule, { id: 'unknown', pattern: '*', file: 'built-in', line: 0 })
  t.equal(evaluate(policy, factsOf('q.b.example'), 0).wildcard, true)
  t.equal(evaluate(policy, factsOf('a.example'), 0).wildcard, false)
})

t.test('ten thousand rules are ten thousand entries of an index, and answered by lookup', async (t) => {
  const rules = Array.from({ length: 10_000 }, (_, i) => `[[network.rules]]\nid = "r${i}"\nhosts = ["h${i}.example", "*.w${i}.example"]\nmethods = ["GET"]\npaths = ["/a/**/b/**/c", "/x*y*z"]\nverdict = "allow"\n`)
  const policy = policyOf(`[network]\nunknown = "deny"\n${rules.join('')}`)
  t.equal(policy.ruleCount, 10_000)
  t.equal(evaluate(policy, factsOf('GET http://h9999.example/a/b/c'), 0).rule?.id, 'r9999')
  t.equal(evaluate(policy, factsOf('GET http://q.w5000.example/xyz'), 0).rule?.id, 'r5000')
  t.equal(evaluate(policy, factsOf('GET http://none.example/'), 0).code, 'not_allowed')
})
