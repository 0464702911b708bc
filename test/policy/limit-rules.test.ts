// `[[network.limits]]`: whom a limit covers, which of several counts, and what is wrong with one.
import assert from 'node:assert/strict'
import t from 'tap'
import { compilePolicy } from '../../src/policy/compile.ts'
import type { CompileResult, Policy } from '../../src/policy/compile.ts'
import type { Principal } from '../../src/policy/facts.ts'
import { limitsFor, unlimited, type Limits } from '../../src/policy/limit-rules.ts'
import * as fc from '../support/property.ts'

const compile = (...texts: readonly string[]): CompileResult =>
  compilePolicy(texts.map((text, i) => ({ path: `${i}.toml`, text, layer: i === 0 ? 'managed' : 'policy' })), new Map())

function policyOf(...texts: readonly string[]): Policy {
  const { policy, problems } = compile(...texts)
  if (policy === undefined) throw new Error(JSON.stringify(problems))
  return policy
}

const limit = (text: string): string => `[[network.limits]]\n${text}\n`
const who = (agent: string, team?: string): Principal => ({ session: 's1', agent, team, owner: undefined })

const covered: readonly (readonly [names: string, agent: string, team: string | undefined, isCovered: boolean])[] = [
  ['', 'codex', undefined, true],
  ['agents = ["codex"]', 'codex', undefined, true],
  ['agents = ["codex"]', 'Codex', undefined, false],
  ['agents = ["codex"]', 'codex-2', undefined, false],
  ['agents = ["ci-*"]', 'ci-7', undefined, true],
  ['agents = ["ci-*"]', 'ci-', undefined, true],
  ['agents = ["ci-*"]', 'my-ci-7', undefined, false],
  ['agents = ["*-ci-*"]', 'my-ci-7', undefined, true],
  ['agents = ["a", "ci-?"]', 'ci-7', undefined, true],
  ['agents = ["a", "ci-?"]', 'ci-77', undefined, false],
  ['agents = ["*"]', 'local', undefined, true],
  ['agents = ["c.dex"]', 'codex', undefined, false],
  ['teams = ["web"]', 'codex', 'web', true],
  ['teams = ["web"]', 'web', undefined, false],
  ['teams = ["web-*"]', 'codex', 'web-2', true],
  ['teams = ["*"]', 'codex', undefined, false],
  ['agents = ["codex"]\nteams = ["web"]', 'codex', 'web', true],
  ['agents = ["codex"]\nteams = ["web"]', 'codex', 'api', false],
  ['agents = ["codex"]\nteams = ["web"]', 'pi', 'web', false],
]
t.test('a limit covers the agents and teams that it names, and without names everybody', async (t) => {
  for (const [names, agent, team, isCovered] of covered) {
    const { openApprovals } = limitsFor(policyOf(limit(`${names}\nopen_approvals = 5`)), who(agent, team))
    t.equal(openApprovals, isCovered ? 5 : Infinity, `${names || 'no names'}: ${agent} of ${team}`)
  }
})

const merges: readonly { readonly name: string; readonly files: readonly string[]; readonly limits: Partial<Limits> }[] = [
  { name: 'none', files: ['[network]\nunknown = "ask"\n'], limits: {} },
  { name: 'each number by itself', files: [limit('open_approvals = 5\nnew_names_per_minute = 7') + limit('approvals_per_minute = 6')], limits: { openApprovals: 5, approvalsPerMinute: 6, newNamesPerMinute: 7 } },
  { name: 'the strictest of a file', files: [limit('agents = ["codex"]\nopen_approvals = 5') + limit('agents = ["c*"]\nopen_approvals = 3') + limit('teams = ["web"]\nopen_approvals = 4')], limits: { openApprovals: 3 } },
  { name: 'the strictest of all layers', files: [limit('agents = ["co*"]\napprovals_per_minute = 2\nopen_approvals = 9'), limit('agents = ["codex"]\napprovals_per_minute = 8\nopen_approvals = 1')], limits: { approvalsPerMinute: 2, openApprovals: 1 } },
  { name: 'the strictest of each number', files: [limit('open_approvals = 1\napprovals_per_minute = 6\nnew_names_per_minute = 3'), limit('open_approvals = 4\napprovals_per_minute = 2\nnew_names_per_minute = 7')], limits: { openApprovals: 1, approvalsPerMinute: 2, newNamesPerMinute: 3 } },
  { name: 'those of others do not count', files: [limit('agents = ["pi"]\nopen_approvals = 0'), limit('teams = ["api"]\nopen_approvals = 0'), limit('open_approvals = 4')], limits: { openApprovals: 4 } },
  { name: 'none at all', files: [limit('open_approvals = 0\napprovals_per_minute = 0\nnew_names_per_minute = 0')], limits: { openApprovals: 0, approvalsPerMinute: 0, newNamesPerMinute: 0 } },
  { name: 'Codex\'s spelling of the table', files: ['[[experimental_network.limits]]\nopen_approvals = 2\n'], limits: { openApprovals: 2 } },
  { name: 'as inline tables', files: ['[network]\nlimits = [{ open_approvals = 2 }, { teams = ["web"], approvals_per_minute = 3 }]\n'], limits: { openApprovals: 2, approvalsPerMinute: 3 } },
]
for (const { name, files, limits } of merges) {
  t.test(`several limits: ${name}`, async (t) => {
    for (const order of [files, files.toReversed()]) t.same(limitsFor(policyOf(...order), who('codex', 'web')), { ...unlimited, ...limits })
  })
}

t.test('one limit more never leaves more', async () => {
  const names = fc.option(fc.uniqueArray(fc.constantFrom('codex', 'c*', 'pi', '*', 'web', 'w?b'), { minLength: 1, maxLength: 3 }), { nil: undefined })
  const number = fc.option(fc.nat(9), { nil: undefined })
  const written = fc.record({ agents: names, teams: names, open_approvals: fc.nat(9), approvals_per_minute: number, new_names_per_minute: number })
    .map((each) => limit(Object.entries(each).flatMap(([key, value]) => (value === undefined ? [] : [`${key} = ${JSON.stringify(value)}`])).join('\n')))
  const principal = fc.record({ agent: fc.constantFrom('codex', 'pi', 'local'), team: fc.constantFrom('web', 'wab', undefined) }).map(({ agent, team }) => who(agent, team))
  fc.assert(fc.property(fc.array(written, { maxLength: 4 }), written, principal, (some, more, asker) => {
    const before = limitsFor(policyOf('', some.join('')), asker)
    for (const files of [[more, some.join('')], [some.join(''), more]]) {
      const after = limitsFor(policyOf(...files), asker)
      assert.ok(after.openApprovals <= before.openApprovals)
      assert.ok(after.approvalsPerMinute <= before.approvalsPerMinute)
      assert.ok(after.newNamesPerMinute <= before.newNamesPerMinute)
    }
  }), { numRuns: 300 })
})

t.test('without a limit in the policy, or without a policy, nothing is looked at', async (t) => {
  t.equal(limitsFor(undefined, who('codex')), unlimited)
  t.equal(limitsFor(policyOf('[network]\nunknown = "ask"\n'), who('codex')), unlimited)
})

t.test('what was worked out for one policy or principal is not taken for another', async (t) => {
  const [one, two] = [policyOf(limit('agents = ["codex"]\nopen_approvals = 1')), policyOf(limit('agents = ["codex"]\nopen_approvals = 2'))]
  const [codex, pi] = [who('codex'), who('pi')]
  const asked = [limitsFor(one, codex), limitsFor(two, codex), limitsFor(one, pi), limitsFor(one, codex)]
  t.same(asked.map(({ openApprovals }) => openApprovals), [1, 2, Infinity, 1])
  t.equal(asked[3], asked[0], 'and is worked out once')
})

const errors: readonly (readonly [text: string, line: number, column: number, message: RegExp])[] = [
  ['open_aprovals = 5\napprovals_per_minute = 1', 2, 1, /unknown key `open_aprovals` in a limit; did you mean `open_approvals`\?/],
  ['agent = ["codex"]\nopen_approvals = 5', 2, 1, /unknown key `agent` in a limit; did you mean `agents`\?/],
  ['agents = ["codex"]', 1, 1, /a limit without a number: `open_approvals`, `approvals_per_minute`, `new_names_per_minute`/],
  ['', 1, 1, /a limit without a number/],
  ['open_approvals = -1', 2, 18, /`open_approvals` has to be a whole number from 0, and this is -1/],
  ['approvals_per_minute = 1.5', 2, 24, /has to be a whole number from 0, and this is 1\.5/],
  ['new_names_per_minute = inf', 2, 24, /has to be a whole number from 0, and this is Infinity/],
  ['open_approvals = "5"', 2, 18, /has to be a whole number from 0, and this is a string/],
  ['agents = []\nopen_approvals = 5', 2, 10, /`agents` is empty, so the limit covers nobody: leave it out to cover all/],
  ['teams = []\nopen_approvals = 5', 2, 9, /`teams` is empty/],
  ['agents = "codex"\nopen_approvals = 5', 2, 10, /`agents` has to be an array of strings/],
  ['agents = ["codex", 1]\nopen_approvals = 5', 2, 20, /has to hold strings, and this is an integer/],
  ['agents = ["codex", ""]\nopen_approvals = 5', 2, 20, /nobody has an empty name/],
]
for (const [text, line, column, message] of errors) {
  t.test(`refused: ${text.replaceAll('\n', '; ') || 'an empty table'}`, async (t) => {
    const { policy, problems } = compile(limit(text))
    t.equal(policy, undefined)
    t.match(problems, [{ severity: 'error', line, column, message }])
    t.equal(problems.length, 1)
  })
}

t.test('limits are an array of tables, and stand in `[network]`', async (t) => {
  t.match(compile('[network]\nlimits = 5\n').problems, [{ severity: 'error', message: /`limits` has to be an array of tables/ }])
  t.match(compile('[network.limits]\nopen_approvals = 5\n').problems, [{ severity: 'error', message: /`limits` has to be an array of tables, and this is a table/ }])
  t.match(compile('[[limits]]\nopen_approvals = 5\n').problems, [{ severity: 'error', message: /belongs into `\[network\]`/ }])
})

const idle: readonly (readonly [one: string, other: string, warning: RegExp | undefined])[] = [
  ['open_approvals = 5', 'agents = ["codex"]\nopen_approvals = 9', /`open_approvals = 9` has no effect: 0\.toml:2 says 5/],
  ['open_approvals = 5', 'agents = ["codex"]\nopen_approvals = 3', undefined],
  ['open_approvals = 5', 'agents = ["codex"]\nopen_approvals = 5', undefined],
  ['open_approvals = 5', 'agents = ["codex"]\napprovals_per_minute = 9', undefined],
  ['agents = ["c*"]\nopen_approvals = 5', 'agents = ["codex", "ci-*"]\nopen_approvals = 9', /0\.toml:3 says 5/],
  ['agents = ["c*"]\nopen_approvals = 5', 'agents = ["codex", "pi"]\nopen_approvals = 9', undefined],
  ['agents = ["c?"]\nopen_approvals = 5', 'agents = ["c*"]\nopen_approvals = 9', undefined],
  ['agents = ["codex"]\nopen_approvals = 5', 'open_approvals = 9', undefined],
  ['agents = ["codex"]\nopen_approvals = 5', 'agents = ["codex"]\nteams = ["web"]\nopen_approvals = 9', /has no effect/],
  ['agents = ["codex"]\nopen_approvals = 5', 'teams = ["web"]\nopen_approvals = 9', undefined],
]
t.test('a number that a stricter limit always overrules is warned of where it stands', async (t) => {
  for (const [one, other, warning] of idle) {
    const { problems } = compile(limit(one), limit(other))
    t.match(problems, warning === undefined ? [] : [{ severity: 'warning', file: '1.toml', message: warning }], other)
    t.equal(problems.length, warning === undefined ? 0 : 1, other)
  }
})

t.test('a clone in another thread answers the same, and limits are part of the revision', async (t) => {
  const text = limit('agents = ["ci-*"]\nteams = ["web"]\nopen_approvals = 5')
  const policy = policyOf(text)
  const clone = structuredClone(policy)
  t.strictSame(clone.limits, policy.limits)
  t.equal(limitsFor(clone, who('ci-1', 'web')).openApprovals, 5)
  t.not(policyOf(text.replace('5', '6')).revision, policy.revision)
})
