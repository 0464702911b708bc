// An accepted proposal as text: where it goes, what stays, what is refused, and that two parsers agree.
import iarna from '@iarna/toml'
import t from 'tap'
import { addApproved } from '../../src/config/approved-edit.ts'
import type { ApprovedEntry } from '../../src/config/approved-edit.ts'
import { compilePolicy } from '../../src/policy/compile.ts'
import { evaluate } from '../../src/policy/evaluate.ts'
import { parseToml } from '../../src/policy/toml.ts'
import { parseAuthority } from '../../src/target/authority.ts'
import * as fc from '../support/property.ts'

const atMs = Date.UTC(2026, 0, 2, 3, 4, 5)
const entry = (more: Partial<ApprovedEntry> = {}): ApprovedEntry => ({ verdict: 'allow', pattern: 'shop.example', agent: undefined, team: undefined, by: 'ada', atMs, approvalId: '01JAPPROVAL', ...more })
const who = '# allowed 2026-01-02T03:04:05.000Z by ada, approval 01JAPPROVAL'

function added(text: string | undefined, ...entries: readonly ApprovedEntry[]): string {
  let result = text
  for (const each of entries) {
    const edit = addApproved(result, each)
    if (edit === 'present') continue
    if ('refused' in edit) throw new Error(edit.refused)
    result = edit.text
  }
  return result ?? ''
}

function verdictOf(text: string, target: string, agent = 'codex', team?: string): string {
  const { policy, problems } = compilePolicy([{ path: '90-approved.toml', layer: 'approved', text }, { path: '10.toml', layer: 'policy', text: 'network.unknown = "ask"\n' }], new Map())
  if (policy === undefined) return JSON.stringify(problems)
  const principal = { session: 's', agent, team, owner: undefined }
  return evaluate(policy, { stage: 'connect', scheme: 'https', ...parseAuthority(target, 443), method: undefined, path: undefined, query: undefined, upgrade: undefined, principal }, 0).verdict
}

t.test('the first entry makes the file', async (t) => {
  t.equal(added(undefined, entry()), `# Written by sallyport when an admin accepts a proposal: an entry each, with who accepted it and when.
# It is read after the other files of this folder. It may be edited; what stands here is never rewritten.

[network]
allowed_domains = [
  ${who}
  "shop.example",
]
`)
})

t.test('more entries go where they belong, the newest first', async (t) => {
  const text = added(undefined, entry(), entry({ pattern: '*.shop.example:8443' }), entry({ verdict: 'deny', pattern: 'bad.example' }), entry({ agent: 'codex', pattern: 'one.example' }), entry({ pattern: 'late.example' }))
  t.same(parseToml(text), {
    table: {
      network: {
        denied_domains: ['bad.example'],
        allowed_domains: ['late.example', '*.shop.example:8443', 'shop.example'],
        rules: [{ id: 'approved-01JAPPROVAL', hosts: ['one.example'], agents: ['codex'], verdict: 'allow' }],
      },
    },
  })
  t.equal(verdictOf(text, 'shop.example'), 'allow')
  t.equal(verdictOf(text, 'a.shop.example:8443'), 'allow')
  t.equal(verdictOf(text, 'a.shop.example'), 'ask')
  t.equal(verdictOf(text, 'bad.example:8443'), 'deny')
  t.equal(verdictOf(text, 'one.example'), 'allow')
  t.equal(verdictOf(text, 'one.example', 'gemini'), 'ask')
})

t.test('a team, and an agent of a team, have rules of their own, with ids that are free', async (t) => {
  const text = added(undefined, entry({ team: 'red' }), entry({ team: 'red', agent: 'codex', verdict: 'deny', pattern: 'bad.example' }))
  t.match(parseToml(text), { table: { network: { rules: [{ id: 'approved-01JAPPROVAL', teams: ['red'] }, { id: 'approved-01JAPPROVAL-2', agents: ['codex'], teams: ['red'], verdict: 'deny' }] } } })
  t.equal(verdictOf(text, 'shop.example', 'codex', 'red'), 'allow')
  t.equal(verdictOf(text, 'shop.example', 'codex'), 'ask')
  t.equal(verdictOf(text, 'bad.example', 'codex', 'red'), 'deny')
  t.equal(verdictOf(text, 'bad.example', 'gemini', 'red'), 'ask')
})

t.test('an entry that stands there is not added again, in whatever spelling', async (t) => {
  const rules = '[[network.rules]]\nid = "mine"\nhosts = ["one.example", "two.example"]\nagents = ["codex"]\nverdict = "allow"\nreason = "ours"\n'
  for (const [text, each] of [
    [added(undefined, entry()), entry({ approvalId: 'another', by: 'bea' })],
    ['network.allowed_domains = ["Shop.Example."]', entry()],
    ['network.denied_domains = ["shop.example"]', entry({ verdict: 'deny' })],
    ['network.allowed_domains = ["shop.example:8443"]', entry({ pattern: 'shop.example:8443' })],
    [rules, entry({ agent: 'codex', pattern: 'two.example' })],
  ] as const) t.equal(addApproved(text, each), 'present', text)
  for (const [text, each] of [
    ['network.allowed_domains = ["shop.example"]', entry({ verdict: 'deny' })],
    ['network.allowed_domains = ["shop.example"]', entry({ pattern: 'shop.example:8443' })],
    ['network.allowed_domains = ["*.shop.example"]', entry({ pattern: '**.shop.example' })],
    [rules, entry({ agent: 'gemini', pattern: 'two.example' })],
    [rules, entry({ agent: 'codex', team: 'red', pattern: 'two.example' })],
    [rules.replace('reason', 'methods = ["GET"]\nreason'), entry({ agent: 'codex', pattern: 'two.example' })],
    [rules, entry({ pattern: 'two.example' })],
  ] as const) t.match(addApproved(text, each), { text: String }, text)
})

const files: readonly (readonly [name: string, text: string, each?: Partial<ApprovedEntry>])[] = [
  ['empty', ''],
  ['a comment without an end of line', '# mine'],
  ['an empty list', '[network]\nallowed_domains = []\n'],
  ['one line', '[network]\nallowed_domains = ["a.example", "b.example"] # mine\nunknown = "deny"\n'],
  ['a comment after the bracket', '[network]\nallowed_domains = [ # these\n  "a.example"\n  # and more\n]\n'],
  ['a list that ends in a comma', '[network]\nallowed_domains = [\n  "a.example",\n]\n'],
  ['brackets in strings and comments', '[network]\nunknown = "ask" # ]\nallowed_domains = ["a.example"] # [network]\n'],
  ['a header in a string', 'x = """\n[network]\n"""\n[network]\nunknown = "ask"\n'],
  ['a header with white space', '  [ network ] # mine\nunknown = "ask"'],
  ['a quoted header', '["network"]\nunknown = "ask"\n'],
  ['rules first', '[[network.rules]]\nid = "r"\nhosts = ["a.example"]\nverdict = "deny"\n'],
  ['a table below first', '[network.approvals]\nowner_may = []\n'],
  ['dotted keys', 'network.unknown = "deny"\nnetwork.denied_domains = ["a.example"]\n'],
  ['dotted keys and a table of another', 'network.unknown = "deny"\n\n[other]\nx = 1\n'],
  ['an inline table', 'network = { allowed_domains = ["a.example"], unknown = "deny" }\n'],
  ['the other spelling', '[experimental_network]\nallowed_domains = ["a.example"]\n'],
  ['the other spelling with a port', '[experimental_network]\nallowed_domains = ["a.example"]\n', { pattern: 'shop.example:8443' }],
  ['a table of domains', '[network.domains]\n"a.example" = "allow"\n'],
  ['line ends of another system', '[network]\r\n# mine\r\nallowed_domains = [\r\n  "a.example",\r\n]\r\n'],
  ['rules in line', '[network]\nrules = [{ id = "r", hosts = ["a.example"], verdict = "deny" }]\n', { agent: 'codex' }],
  ['no end of line before a rule', '[network]\nunknown = "ask"', { agent: 'codex' }],
  ['dates and numbers', 'd = 2026-01-01T00:00:00Z\nf = 1.5\nn = [[1, 2], [3]]\n[network]\nunknown = "ask"\n'],
]
t.test('whatever an admin wrote stays, and the entry reads back', async (t) => {
  for (const [name, text, more = {}] of files) {
    const result = added(text, entry(more))
    t.equal(linesLeft(text, result), '', `${name}: every line of before is there, in order\n${result}`)
    const { network, experimental_network: other } = tableOf(result)
    t.match(JSON.stringify(network ?? other), /shop\.example/, name)
    t.equal(addApproved(result, entry(more)), 'present', name)
    if (text.includes('\r\n')) t.notMatch(result, /[^\r]\n/, 'line ends are those of the file')
    const target = more.pattern ?? 'shop.example'
    if (!text.includes('x = ')) t.equal(verdictOf(result, target), 'allow', name)
  }
})

/** Lines of `before` that `after` does not have in that order; a line may have been cut in two. */
function linesLeft(before: string, after: string): string {
  let at = 0
  for (const character of before.replaceAll(/\s/g, '')) {
    at = after.indexOf(character, at) + 1
    if (at === 0) return before
  }
  return ''
}

function tableOf(text: string): Record<string, unknown> {
  const parsed = parseToml(text)
  if ('fault' in parsed) throw new Error(`${parsed.fault.message}\n${text}`)
  return parsed.table
}

const refusals: readonly (readonly [name: string, text: string | undefined, each: Partial<ApprovedEntry>, why: RegExp])[] = [
  ['a file that is no TOML', '[network\n', {}, /^line 1 of it is not valid TOML/],
  ['a network that is no table', 'network = 1', {}, /`network` in it is not a table/],
  ['a list that is none', 'network.allowed_domains = "a"', {}, /`allowed_domains` in it is not an array/],
  ['rules that are none', 'network.rules = 1', { agent: 'codex' }, /`rules` in it is not an array/],
  ['an inline table without the list', 'network = { unknown = "deny" }', {}, /write the entry by hand/],
  ['no pattern', undefined, { pattern: '' }, /not a host pattern: an empty pattern/],
  ['an injection', undefined, { pattern: 'a.example"]\n[network]\nunknown = "allow"\n#' }, /not a host pattern/],
  ['a URL', undefined, { pattern: 'https://a.example/' }, /not a host pattern: a URL/],
  ['every name', undefined, { pattern: '*' }, /too broad for an approval: it covers every name/],
  ['every name denied', undefined, { pattern: '*', verdict: 'deny' }, /too broad/],
  ['a public suffix', undefined, { pattern: '*.github.io' }, /too broad for an approval: anybody may register/],
  ['a large block', undefined, { pattern: '8.0.0.0/6' }, /too broad/],
  ['an id that breaks the line', undefined, { approvalId: 'x\n[network]' }, /no id that could be written/],
  ['an agent without a name', undefined, { agent: '' }, /no name that could be written/],
  ['a team that is no text', undefined, { team: '\ud800' }, /no name that could be written/],
]
for (const [name, text, more, why] of refusals) {
  t.test(`refused: ${name}`, async (t) => {
    const edit = addApproved(text, entry(more))
    t.match(edit, { refused: why })
  })
}

t.test('in the other spelling a port needs a rule, where a list would mean every port', async (t) => {
  const text = '[experimental_network]\nallowed_domains = ["a.example"]\n'
  t.same(tableOf(added(text, entry())), { experimental_network: { allowed_domains: ['shop.example', 'a.example'] } })
  const result = added(text, entry({ pattern: 'shop.example:8443' }))
  t.equal(verdictOf(result, 'shop.example:8443'), 'allow')
  t.equal(verdictOf(result, 'shop.example:9443'), 'ask')
})

t.test('a name cannot leave its comment', async (t) => {
  for (const by of ['ada\n[network]\nunknown = "allow"', 'ada\r', '\u202eada', 'a\u0000da', '\ud800', 'x'.repeat(1000), 'ada\u2028b']) {
    const text = added(undefined, entry({ by }))
    t.same(tableOf(text), { network: { allowed_domains: ['shop.example'] } }, encodeURI(by.toWellFormed()).slice(0, 60))
    t.ok((text.split('\n').find((line) => line.includes('allowed 2026')) ?? '').length < 200)
  }
})

const anEntry: fc.Arbitrary<ApprovedEntry> = fc.record({
  verdict: fc.constantFrom('allow', 'deny'),
  pattern: fc.tuple(fc.constantFrom('', '*.', '**.'), fc.constantFrom('a.example', 'b.example', 'c.shop.example', '192.0.2.7', '[2001:db8::1]', 'b\u00fccher.example'), fc.constantFrom('', ':8443', ':1-99')).map((parts) => parts.join('')),
  agent: fc.option(fc.oneof(fc.constantFrom('codex', 'a"b\\c'), fc.string({ unit: 'binary', minLength: 1, maxLength: 8 })), { nil: undefined }),
  team: fc.option(fc.constantFrom('red', 'blue\t\n\u007f'), { nil: undefined }),
  by: fc.string({ unit: 'binary', maxLength: 20 }),
  atMs: fc.integer({ min: 0, max: 4e12 }),
  approvalId: fc.stringMatching(/^[0-9A-Z]{4}$/),
})

t.test('after any sequence of entries both parsers read the same, and every entry that was taken is there', async (t) => {
  fc.assert(fc.property(fc.array(anEntry, { maxLength: 12 }), fc.constantFrom<string | undefined>(undefined, '', '[network]\nunknown = "deny"\nallowed_domains = ["old.example"] # mine\n', '# only mine\n[[network.rules]]\nid = "mine"\nhosts = ["old.example"]\nverdict = "deny"\n'), (entries, start) => {
    let text = start
    const taken: ApprovedEntry[] = []
    for (const each of entries) {
      const edit = addApproved(text, each)
      if (edit !== 'present') {
        if ('refused' in edit) continue
        text = edit.text
      }
      taken.push(each)
    }
    if (text === undefined) return true
    const ours = tableOf(text)
    t.strictSame(JSON.parse(JSON.stringify(iarna.parse(text))), JSON.parse(JSON.stringify(ours)))
    return taken.every((each) => addApproved(text, each) === 'present') && (start === undefined || linesLeft(start, text) === '')
  }), { numRuns: 300 })
})
