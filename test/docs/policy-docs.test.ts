// docs/policy.md is held to the code: every example compiles, every key it names is known, every
// Codex key stands in its table as the code handles it, and the precedence table is what evaluate says.
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import t from 'tap'
import { approvalKeys, ownerTerms } from '../../src/policy/approval-rules.ts'
import { codexKeys, codexTopLevelKeys } from '../../src/policy/codex-keys.ts'
import type { CodexKey } from '../../src/policy/codex-keys.ts'
import { compilePolicy, feedPaths } from '../../src/policy/compile.ts'
import { evaluate } from '../../src/policy/evaluate.ts'
import { methodOverrideFields } from '../../src/policy/field-names.ts'
import { limitKeys } from '../../src/policy/limit-rules.ts'
import { vendorPins } from '../../src/policy/pins-schema.ts'
import { commentCases } from '../../src/policy/policy.ts'
import { ruleKeys } from '../../src/policy/rule-schema.ts'
import { networkKeys } from '../../src/policy/schema.ts'
import { parseAuthority } from '../../src/target/authority.ts'

const page = readFileSync(resolve(import.meta.dirname, '../../docs/policy.md'), 'utf8')
const handlings = { enforced: 'enforced', ignored: 'ignored with a notice', refused: 'refused' }

/** Cells of the rows of the first table after a heading or header row. */
function rowsAfter(start: string): string[][] {
  const from = page.indexOf(start)
  if (from === -1) return []
  const lines = page.slice(from).split('\n')
  const first = lines.findIndex((line) => line.startsWith('|---'))
  const rows = lines.slice(first + 1)
  return rows.slice(0, rows.findIndex((line) => !line.startsWith('|'))).map((row) => row.slice(2, -2).split(' | '))
}

function compileBlock(text: string) {
  const sources = [{ path: 'docs/policy.md', layer: 'policy', text }] as const
  const feed = new TextEncoder().encode('bad.example\n')
  return compilePolicy(sources, new Map(feedPaths(sources).map(({ key }) => [key, feed])))
}

t.test('every toml example of the page compiles without a warning', async (t) => {
  const blocks = [...page.matchAll(/^```toml\n([\s\S]*?)^```$/gm)].map(([, text = '']) => text)
  t.ok(blocks.length >= 5)
  for (const text of blocks) {
    const { policy, problems } = compileBlock(text)
    t.same(problems.filter(({ severity }) => severity !== 'notice'), [], text)
    t.ok(policy)
  }
})

const codexRow = ({ key, handling, here }: CodexKey) => [`\`${key}\``, handlings[handling], here]

t.test('the Codex table says of every key what the code does', async (t) => {
  t.same(rowsAfter('| key of `[experimental_network]`'), codexKeys.map(codexRow))
  t.same(rowsAfter('| top-level key'), codexTopLevelKeys.map(codexRow))
})

t.test('the table of rules names every key of a rule', async (t) => {
  const named = rowsAfter('## Rules').flatMap(([keys = '']) => [...keys.matchAll(/`([a-z_]+)`/g)].map(([, key = '']) => key))
  t.same(named.toSorted(), ruleKeys.toSorted())
})

t.test('the table of settings names every key of ours, and no other', async (t) => {
  const named = rowsAfter('| key of `[network]` |').flatMap(([keys = '']) => [...keys.matchAll(/`([a-z_]+)`/g)].map(([, key = '']) => key))
  const codex = new Set(codexKeys.map(({ key }) => key))
  t.same(networkKeys.filter((key) => !codex.has(key) && !named.includes(key)), [])
  t.same(named.filter((key) => !networkKeys.includes(key)), [])
})

t.test('the table of approvals names every key, and every word that it takes', async (t) => {
  const words = (cell: string): string[] => [...cell.matchAll(/`([a-z_]+)`/g)].map(([, word = '']) => word)
  const rows = rowsAfter('| key of `[network.approvals]`')
  t.same(rows.flatMap(([key = '']) => words(key)).toSorted(), approvalKeys.toSorted())
  t.same(rows.flatMap(([, says = '']) => words(says)).toSorted(), [...ownerTerms, ...commentCases].toSorted())
})

t.test('the table of limits names every key, and settings that there are', async (t) => {
  const rows = rowsAfter('| key of `[[network.limits]]`')
  t.same(rows.map(([key = '']) => key.replaceAll('`', '')).toSorted(), limitKeys.toSorted())
  const settings = readFileSync(resolve(import.meta.dirname, '../../docs/configuration.md'), 'utf8')
  const named = rows.flatMap(([, , above = '']) => (above.startsWith('`') ? [above] : []))
  t.equal(named.length, 3)
  for (const setting of named) t.ok(settings.includes(`| ${setting} |`), setting)
})

t.test('the table of pins says which field goes to which hosts', async (t) => {
  const words = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, word = '']) => word)
  const rows = rowsAfter('| key of `[network.pins]`').map(([key = '', field = '', hosts = '']) => [words(key)[0], words(field)[0], words(hosts)])
  t.same(rows, vendorPins.map(({ key, field, hosts }) => [key, field, hosts]))
})

t.test('the fields that ask for another method are named', async (t) => {
  for (const name of methodOverrideFields) t.ok(page.toLowerCase().includes(`\`${name}\``), name)
})

t.test('the precedence table is what the policy above it answers', async (t) => {
  const block = /## Precedence[\s\S]*?```toml\n([\s\S]*?)```/.exec(page)?.[1] ?? ''
  const { policy } = compileBlock(block)
  if (policy === undefined) throw new Error('the example does not compile')
  const rows = rowsAfter('| host | answer |')
  t.equal(rows.length, 6)
  for (const [host = '', answer] of rows) {
    const authority = parseAuthority(host.replaceAll('`', ''), 443)
    const principal = { session: 'anonymous', agent: 'agent', team: undefined, owner: undefined }
    const facts = { stage: 'connect', scheme: 'https', ...authority, method: undefined, path: undefined, query: undefined, upgrade: undefined, principal } as const
    t.equal(evaluate(policy, facts, 0).verdict, answer, host)
  }
})

t.test('the table of host patterns is what the patterns match', async (t) => {
  const rows = rowsAfter('## Host patterns')
  t.ok(rows.length >= 9)
  const principal = { session: 'anonymous', agent: 'agent', team: undefined, owner: undefined }
  const verdict = (pattern: string, target: string) => {
    const broad = pattern === '*' ? 'broad = true\n' : ''
    const text = `network.unknown = "deny"\n[[network.rules]]\nid = "r"\nhosts = ["${pattern}"]\nverdict = "allow"\n${broad}`
    const { policy, problems } = compileBlock(text)
    if (policy === undefined) return JSON.stringify(problems)
    const authority = parseAuthority(target, 443)
    const facts = { stage: 'connect', scheme: 'https', ...authority, method: undefined, path: undefined, query: undefined, upgrade: undefined, principal } as const
    return evaluate(policy, facts, 0).verdict
  }
  const cases: readonly (readonly [pattern: string, target: string, verdict: string])[] = [
    ['api.example.com', 'api.example.com', 'allow'],
    ['api.example.com', 'www.example.com', 'deny'],
    ['*.example.com', 'a.b.example.com', 'allow'],
    ['*.example.com', 'example.com', 'deny'],
    ['**.example.com', 'example.com', 'allow'],
    ['**.example.com', 'a.example.com', 'allow'],
    ['**.example.com', 'notexample.com', 'deny'],
    ['*', 'anything.example', 'allow'],
    ['*', '192.0.2.7', 'deny'],
    ['build-*.example.com', 'build-7.example.com', 'allow'],
    ['build-*.example.com', 'build.example.com', 'deny'],
    ['node?.example.com', 'node1.example.com', 'allow'],
    ['node?.example.com', 'node10.example.com', 'deny'],
    ['192.0.2.7', '192.0.2.7', 'allow'],
    ['[2001:db8::7]', '[2001:db8::7]', 'allow'],
    ['8.8.8.0/24', '8.8.8.9', 'allow'],
    ['8.8.8.0/24', 'name.example', 'deny'],
    ['example.com:8443', 'example.com:8443', 'allow'],
    ['example.com:8443', 'example.com:443', 'deny'],
    ['example.com:8000-8099', 'example.com:8050', 'allow'],
    ['example.com:8000-8099', 'example.com:443', 'deny'],
  ]
  for (const [pattern, target, expected] of cases) t.equal(verdict(pattern, target), expected, `${pattern} and ${target}`)
  const patterns = rows.flatMap(([cell = '']) => [...cell.matchAll(/`([^`]+)`/g)].map(([, pattern = '']) => pattern))
  t.same(patterns.filter((pattern) => !cases.some(([known]) => known === pattern)), [], 'every pattern of the table is tried')
})
