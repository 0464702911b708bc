import t from 'tap'
import { parseCase, runCases } from '../../src/policy/cases.ts'
import { codexKeys, codexTopLevelKeys } from '../../src/policy/codex-keys.ts'
import { compilePolicy, feedPaths, transferables } from '../../src/policy/compile.ts'
import type { CompileResult, SourceFile } from '../../src/policy/compile.ts'
import { evaluate } from '../../src/policy/evaluate.ts'
import { networkKeys } from '../../src/policy/schema.ts'

const source = (text: string, path = 'p.toml', layer: SourceFile['layer'] = 'policy'): SourceFile => ({ path, text, layer })
const compile = (text: string): CompileResult => compilePolicy([source(text)], new Map())
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

t.test('feeds lie beside the file that names them, and each file has its own', async (t) => {
  const text = '[network]\ndenied_domains_files = [{ path = "feeds/a.txt" }, { path = "../b.txt" }, { path = "/abs/c.txt" }, { path = "./d.txt" }, { path = 1 }]\n'
  const sources = [source(text, 'policies/10.toml'), source(text.replace('network', 'experimental_network'), '/etc/sallyport/requirements.toml', 'managed'), source('[network\n')]
  t.strictSame(feedPaths(sources).map(({ file, path, key }) => `${file} ${path} ${key}`), [
    'policies/10.toml feeds/a.txt policies/feeds/a.txt',
    'policies/10.toml ../b.txt b.txt',
    'policies/10.toml /abs/c.txt /abs/c.txt',
    'policies/10.toml ./d.txt policies/d.txt',
    '/etc/sallyport/requirements.toml feeds/a.txt /etc/sallyport/feeds/a.txt',
    '/etc/sallyport/requirements.toml ../b.txt /etc/b.txt',
    '/etc/sallyport/requirements.toml /abs/c.txt /abs/c.txt',
    '/etc/sallyport/requirements.toml ./d.txt /etc/sallyport/d.txt',
  ])
  const one = '[network]\nunknown = "allow"\ndenied_domains_files = [{ path = "f.txt" }]\n'
  const { policy } = compilePolicy([source(one, 'a/x.toml'), source(one, 'b/x.toml')], new Map([['a/f.txt', bytes('a.example')], ['b/f.txt', bytes('# c\nb.example')]]))
  for (const [host, file, line] of [['a.example', 'a/f.txt', 1], ['b.example', 'b/f.txt', 2]] as const) {
    const facts = parseCase(host)
    if (policy === undefined || 'wrong' in facts) throw new Error(host)
    t.match(evaluate(policy, facts, 0).rule, { file, line, id: 'denied_domains_files', pattern: host })
  }
})

t.test('the revision is 12 hexadecimal digits and changes with anything that was compiled', async (t) => {
  const base = '[network]\nunknown = "deny"\ndenied_domains_files = [{ path = "f.txt" }]\n'
  const revision = (text: string, feed: string, layer: SourceFile['layer'] = 'policy', reserved: readonly { host: string; port: number }[] = []): string =>
    compilePolicy([source(text, 'p.toml', layer)], new Map([['f.txt', bytes(feed)]]), { reserved }).policy?.revision ?? ''
  const first = revision(base, 'a.example\n')
  t.match(first, /^[0-9a-f]{12}$/)
  t.equal(revision(base, 'a.example\n'), first)
  const others = [revision(`${base}\n`, 'a.example\n'), revision(base.replace('deny', 'ask'), 'a.example\n'), revision(base, 'b.example\n'), revision(base, 'a.example\n', 'managed'), revision(base, 'a.example\n192.0.2.7\n'), revision(base, 'a.example\n192.0.2.8\n')]
  t.equal(new Set([first, ...others]).size, 7)
  t.equal(revision(base, 'a.example\n', 'policy', [{ host: 'x', port: 1 }]), first, 'what the settings reserve is no part of the policy')
})

t.test('the same files have the same revision wherever they lie, and another one by another name', async (t) => {
  const revision = (path: string): string => compilePolicy([source('network.unknown = "deny"\n', path)], new Map()).policy?.revision ?? ''
  t.equal(revision('/etc/sallyport/policies/10-a.toml'), revision('policies/10-a.toml'))
  t.not(revision('policies/10-b.toml'), revision('policies/10-a.toml'))
})

t.test('every key of the Codex table is known, typed, and handled as it says', async (t) => {
  const sample = { boolean: ['true', '1'], string: ['"full"', '1'], port: ['1', '"a"'], strings: ['["a.example"]', '[1]'], table: ['{ a = 1 }', '1'], tables: ['[{ a = 1 }]', '[1]'], verdicts: ['{ "a.example" = "allow" }', '{ a = 1 }'] }
  for (const { key, type, handling, here, harmless } of codexKeys) {
    t.ok(networkKeys.includes(key), key)
    t.match(here, /^(SOCKS|[^A-Z]).*[^.]$/, key)
    const [good = '', bad = ''] = key === 'header_injections' ? ['[]', '[1]'] : sample[type]
    const { problems, policy } = compile(`[experimental_network]\n${key} = ${good}\n`)
    const found = problems.map(({ severity, line }) => `${severity} ${line}`)
    t.strictSame(found, handling === 'refused' ? ['error 2'] : handling === 'ignored' ? ['notice 2'] : [], key)
    t.equal(policy === undefined, handling === 'refused', key)
    const wrong = compile(`[experimental_network]\n${key} = ${bad}\n`)
    t.ok(wrong.problems.some(({ severity, line }) => severity === 'error' && line === 2), `${key} = ${bad}`)
    if (harmless === undefined) continue
    const quiet = compile(`[experimental_network]\n${key} = ${harmless === 'empty' ? (type === 'table' ? '{}' : '[]') : String(harmless)}\n`)
    t.strictSame(quiet.problems, [], `${key} when it asks for nothing`)
  }
  for (const { key } of codexTopLevelKeys) t.ok(key)
})

t.test('web reading is kept: the ceiling, and what layers say together', async (t) => {
  const { policy } = compilePolicy([
    source('allowed_web_search_modes = ["cached", "indexed"]\n', 'm.toml', 'managed'),
    source('allowed_web_search_modes = ["cached", "live"]\n[web_fetch]\nmode = "live"\ndomains = ["docs.example"]\non_miss = "ask"\n'),
  ], new Map())
  t.strictSame(policy?.webSearchModes, ['disabled', 'cached'])
  t.match(policy?.webFetch, { mode: 'cached', onMiss: 'ask', staleOk: true, maxAgeMs: undefined, files: ['p.toml'], domains: { patterns: [{ text: 'docs.example', line: 4 }] }, setting: { file: 'm.toml', line: 1 } })
  t.strictSame(compile('').policy?.webSearchModes, undefined)
  t.strictSame(compile('allowed_web_search_modes = []').policy?.webSearchModes, ['disabled'])
  t.equal(compile('allowed_web_search_modes = ["dead"]').policy, undefined)
  t.equal(compile('[web_fetch]\nmode = "live"\n').policy?.webFetch?.mode, 'live')
  t.equal(compile('allowed_web_search_modes = []\n[web_fetch]\nmode = "live"\n').policy?.webFetch?.mode, 'disabled')
})

t.test('settings of all layers', async (t) => {
  const { policy } = compilePolicy([source('[network]\nallow_upstream_proxy = false\nallow_local_binding = true\n', 'm.toml', 'managed'), source('[network]\nallow_upstream_proxy = true\nmode = "limited"\n')], new Map())
  t.match(policy, { allowUpstreamProxy: false, allowLocalBinding: true, limited: true, mode: 'enforce', settings: { allowLocalBinding: { file: 'm.toml', line: 3 } } })
})

t.test('a problem that stands in a million places is told two hundred times and counted', async (t) => {
  const { problems, policy } = compile(`[network]\nallowed_domains = [\n${Array.from({ length: 1000 }, (_, i) => `  "bad host ${i}",\n`).join('')}]\n`)
  t.equal(policy, undefined)
  t.equal(problems.length, 201)
  t.match(problems.at(-1)?.message, /and 800 more/)
  t.match(problems[0], { file: 'p.toml', line: 3, column: 3, text: '"bad host 0"' })
})

t.test('problems come in the order of the files and lines', async (t) => {
  const { problems } = compilePolicy([source('[network]\nx = 1\n', 'b.toml'), source('[network\n', 'a.toml'), source('[network]\n\ny = 1\nz = 2\n', 'c.toml')], new Map())
  t.strictSame(problems.map(({ file, line }) => `${file}:${line}`), ['b.toml:2', 'a.toml:1', 'c.toml:3', 'c.toml:4'])
})

t.test('a hundred thousand names of a list and of a feed are all found, where they stand', async (t) => {
  const names = Array.from({ length: 100_000 }, (_, i) => `n${i.toString(36)}.d${i % 1013}.example`)
  const { policy, problems } = compilePolicy([source(`[network]\nunknown = "allow"\ndenied_domains = [\n${names.map((name) => `  "${name}",`).join('\n')}\n]\ndenied_domains_files = [{ path = "f.txt" }]\n`)], new Map([['f.txt', bytes(names.map((name) => `feed-${name}`).join('\n'))]]))
  t.strictSame(problems, [])
  if (policy === undefined) throw new Error('no policy')
  t.match(policy, { ruleCount: 100_000, feedNames: 100_000 })
  for (const i of [0, 1, 15, 16, 17, 4095, 50_000, 99_999]) {
    for (const [name, line] of [[names[i] ?? '', i + 4], [`feed-${names[i] ?? ''}`, i + 1]] as const) {
      const facts = parseCase(name)
      if ('wrong' in facts) throw new Error(name)
      t.match(evaluate(policy, facts, 0), { verdict: 'deny', rule: { line, pattern: name } }, name)
    }
  }
  const size = transferables(policy).reduce((sum, buffer) => sum + buffer.byteLength, 0)
  t.ok(size / 200_000 < 45, `${size / 200_000} bytes a name`)
  const absent = parseCase('n.d1.example')
  if ('wrong' in absent) throw new Error('absent')
  t.equal(evaluate(policy, absent, 0).verdict, 'allow')
})

t.test('the cases that rules bring along can be run and told', async (t) => {
  const { policy } = compile('[[network.rules]]\nid = "a"\nhosts = ["a.example"]\nverdict = "deny"\nmatch = ["a.example", "wss://a.example/x"]\nnot_match = ["GET http://b.example/"]\n')
  if (policy === undefined) throw new Error('no policy')
  t.match(runCases(policy), [
    { ruleId: 'a', passed: true, case: { text: 'a.example', line: 5, column: 10 }, got: /^the rule matches; the policy answers deny/ },
    { ruleId: 'a', passed: true },
    { ruleId: 'a', passed: true, got: /^the rule does not match: no host pattern covers b.example/ },
  ])
})
