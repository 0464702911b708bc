// `[network.approvals]`: what it takes, how files merge, and which hosts need two people.
import t from 'tap'
import { needsFourEyes } from '../../src/policy/approval-rules.ts'
import { compilePolicy, transferables } from '../../src/policy/compile.ts'
import type { CompileResult, Policy } from '../../src/policy/compile.ts'
import { parseHost } from '../../src/target/host.ts'

const compile = (...texts: readonly string[]): CompileResult =>
  compilePolicy(texts.map((text, i) => ({ path: `${i}.toml`, text, layer: i === 0 ? 'managed' : 'policy' })), new Map())

function policyOf(...texts: readonly string[]): Policy {
  const { policy, problems } = compile(...texts)
  if (policy === undefined) throw new Error(JSON.stringify(problems))
  return policy
}

const approvals = (text: string): string => `[network.approvals]\n${text}\n`

t.test('without the table an owner may nothing and nothing is asked of anybody', async (t) => {
  for (const text of ['[network]\nunknown = "ask"\n', approvals('')]) {
    const { ownerMay, commentRequired, fourEyes } = policyOf(text).approvals
    t.same(ownerMay, [])
    t.same(commentRequired, [])
    t.same(fourEyes.patterns, [])
  }
})

const merges: readonly { readonly name: string; readonly files: readonly string[]; readonly ownerMay: readonly string[]; readonly commentRequired: readonly string[] }[] = [
  { name: 'one file', files: ['owner_may = ["session", "once"]\ncomment_required = ["wide", "deny"]'], ownerMay: ['once', 'session'], commentRequired: ['deny', 'wide'] },
  { name: 'an owner may what every file grants', files: ['owner_may = ["once", "until"]', 'owner_may = ["once", "session"]'], ownerMay: ['once'], commentRequired: [] },
  { name: 'a file that does not say takes nothing away', files: ['comment_required = ["allow"]', 'owner_may = ["once"]'], ownerMay: ['once'], commentRequired: ['allow'] },
  { name: 'an empty list takes everything away', files: ['owner_may = []', 'owner_may = ["once", "session", "until"]'], ownerMay: [], commentRequired: [] },
  { name: 'comments are needed where any file says so', files: ['comment_required = ["until"]', 'comment_required = ["always", "until"]'], ownerMay: [], commentRequired: ['until', 'always'] },
]
for (const { name, files, ownerMay, commentRequired } of merges) {
  t.test(`files merge: ${name}`, async (t) => {
    for (const order of [files, files.toReversed()]) {
      const merged = policyOf(...order.map(approvals)).approvals
      t.same(merged.ownerMay, ownerMay)
      t.same(merged.commentRequired, commentRequired)
    }
  })
}

const errors: readonly (readonly [text: string, line: number, message: RegExp])[] = [
  ['owner_mai = ["once"]', 2, /unknown key `owner_mai` in \[network\.approvals\]; did you mean `owner_may`\?/],
  ['owner_may = ["onse"]', 2, /`owner_may` is one of .* and this is `onse`; did you mean `once`\?/],
  ['owner_may = ["always"]', 2, /`owner_may` is one of `once`, `session`, `until`, and this is `always`/],
  ['owner_may = "once"', 2, /`owner_may` has to be an array of strings/],
  ['four_eyes = ["a..b"]', 2, /not a host pattern/],
  ['four_eyes = [1]', 2, /has to hold strings/],
  ['comment_required = [\n"deny",\n"broad"]', 4, /`comment_required` is one of .* and this is `broad`/],
]
for (const [text, line, message] of errors) {
  t.test(`refused: ${text}`, async (t) => {
    const { policy, problems } = compile(approvals(text))
    t.equal(policy, undefined)
    t.match(problems, [{ severity: 'error', line, message }])
  })
}

t.test('the table has to be a table, in either spelling of its parent', async (t) => {
  t.match(compile('[network]\napprovals = []\n').problems, [{ severity: 'error', message: /`approvals` has to be a table/ }])
  t.same(policyOf('[experimental_network.approvals]\nowner_may = ["once"]\n').approvals.ownerMay, ['once'])
  t.match(compile('[approvals]\nowner_may = ["once"]\n').problems, [{ severity: 'error', message: /belongs into `\[network\]`/ }])
})

t.test('a port in `four_eyes` is told to mean every port', async (t) => {
  t.match(compile(approvals('four_eyes = ["a.example:8443"]')).problems, [{ severity: 'notice', message: /every port/ }])
})

const eyes: readonly (readonly [patterns: readonly string[], host: string, plain: boolean, withSubdomains: boolean])[] = [
  [['bank.example'], 'bank.example', true, true],
  [['bank.example'], 'www.bank.example', false, false],
  [['bank.example'], 'example', false, true],
  [['bank.example'], 'otherbank.example', false, false],
  [['www.bank.example'], 'bank.example', false, true],
  [['www.bank.example'], 'ank.example', false, false],
  [['*.bank.example'], 'bank.example', false, true],
  [['*.bank.example'], 'www.bank.example', true, true],
  [['**.bank.example'], 'bank.example', true, true],
  [['**.bank.example'], 'a.b.bank.example', true, true],
  [['*.eu.bank.example'], 'bank.example', false, true],
  [['db-*.bank.example'], 'db-1.bank.example', true, true],
  [['db-*.bank.example'], 'bank.example', false, true],
  [['db-*.bank.example'], 'shop.example', false, false],
  [['x-*.eu.bank.example'], 'bank.example', false, true],
  [['a*.example'], 'shop.example', false, true],
  [['*bank*'], 'shop.example', false, true],
  [['*'], 'shop.example', true, true],
  [['*'], '192.0.2.7', false, false],
  [['192.0.2.0/24'], '192.0.2.7', true, true],
  [['192.0.2.0/24'], '[2001:db8::1]', false, false],
  [['[2001:db8::1]'], '[2001:db8::1]', true, true],
  [['one.example', 'bank.example:8443'], 'bank.example', true, true],
]
t.test('four eyes look at a host, and below it where the answer does', async (t) => {
  for (const [patterns, host, plain, wide] of eyes) {
    const rules = policyOf(approvals(`four_eyes = ${JSON.stringify(patterns)}`)).approvals
    t.equal(needsFourEyes(rules, parseHost(host), false), plain, `${patterns.join()} and ${host}`)
    t.equal(needsFourEyes(rules, parseHost(host), true), wide, `${patterns.join()} and ${host} with what is below`)
  }
})

t.test('four eyes are the union of all files', async (t) => {
  const rules = policyOf(approvals('four_eyes = ["a.example"]'), approvals('four_eyes = ["b.example"]')).approvals
  for (const host of ['a.example', 'b.example']) t.ok(needsFourEyes(rules, parseHost(host), false), host)
})

t.test('a clone in another thread answers the same, and the table is part of the revision', async (t) => {
  const text = approvals('owner_may = ["once"]\nfour_eyes = ["**.bank.example"]\ncomment_required = ["deny"]')
  const policy = policyOf(text)
  const clone = structuredClone(policy, { transfer: transferables(policy) })
  t.strictSame(clone.approvals, policyOf(text).approvals)
  t.ok(needsFourEyes(clone.approvals, parseHost('www.bank.example'), false))
  t.not(policyOf(approvals('owner_may = ["until"]')).revision, policyOf(approvals('owner_may = ["once"]')).revision)
})
