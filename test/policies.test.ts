// What ships in policies/ compiles, alone and all together, and does what its comments say.
import { readFileSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t from 'tap'
import { parseCase } from '../src/policy/cases.ts'
import { compilePolicy } from '../src/policy/compile.ts'
import type { SourceFile } from '../src/policy/compile.ts'
import { evaluate } from '../src/policy/evaluate.ts'
import { parseAuthority } from '../src/target/authority.ts'

const root = resolve(import.meta.dirname, '..')
const shipped = tomlFiles('policies')
const packs = tomlFiles('policies/packs')
const fetchOnly = 'policies/packs/git-fetch-only.toml'
/** what stands in place of another pack aside */
const together = packs.filter((path) => path !== fetchOnly)
const fixtures = tomlFiles('test/fixtures/codex')

function tomlFiles(dir: string): string[] {
  return readdirSync(join(root, dir)).filter((name) => name.endsWith('.toml')).toSorted().map((name) => `${dir}/${name}`)
}

function source(path: string, layer: SourceFile['layer'] = 'policy'): SourceFile {
  return { path, layer, text: readFileSync(join(root, path), 'utf8') }
}

function compiled(sources: readonly SourceFile[]) {
  const { policy, problems } = compilePolicy(sources, new Map())
  if (policy === undefined) throw new Error(JSON.stringify(problems, undefined, 2))
  const verdict = (target: string): string => {
    const principal = { session: 'anonymous', agent: 'agent', team: undefined, owner: undefined }
    const decision = evaluate(policy, {
      stage: 'connect', scheme: 'https', ...parseAuthority(target, 443), method: undefined, path: undefined, query: undefined, upgrade: undefined, principal,
    }, 0)
    return decision.verdict
  }
  return { policy, problems, verdict }
}

for (const path of [...shipped, ...packs]) {
  t.test(`${path} compiles alone, without a word of complaint`, async (t) => {
    const { policy, problems } = compiled([source(path)])
    t.same(problems, [])
    t.ok(policy.cases.length >= 2, 'it brings its own cases')
  })
}

t.test('the default and all packs together compile', async (t) => {
  const { policy, problems } = compiled([...shipped, ...together].map((path) => source(path)))
  t.same(problems.filter(({ severity }) => severity === 'error'), [])
  t.ok(policy.ruleCount > 20)
})

t.test('the default opens the documentation hosts, closes the drop places and asks for the rest', async (t) => {
  const { policy, verdict } = compiled(shipped.map((path) => source(path)))
  t.equal(policy.mode, 'enforce')
  t.equal(verdict('example.com'), 'allow')
  t.equal(verdict('example.org:80'), 'allow')
  t.equal(verdict('www.example.com'), 'ask')
  t.equal(verdict('example.com:8443'), 'ask')
  for (const host of ['pastebin.com', 'x.webhook.site:8443', 'abc.ngrok-free.app', 'a.b.trycloudflare.com', 'transfer.sh']) {
    t.equal(verdict(host), 'deny', host)
  }
  t.equal(verdict('192.0.2.7'), 'deny')
  t.equal(verdict('example.com:25'), 'deny')
})

t.test('the packs open what agents contact first', async (t) => {
  const { verdict } = compiled([...shipped, ...together].map((path) => source(path)))
  const hosts = [
    'chatgpt.com', 'api.chatgpt.com', 'api.github.com', 'github.com', 'api.openai.com',
    'api.anthropic.com', 'generativelanguage.googleapis.com', 'play.googleapis.com',
    'github.com:22', 'ssh.github.com', 'codeload.github.com', 'any.npmjs.org', 'any.pythonhosted.org', 'any.debian.org:80',
  ]
  for (const host of hosts) t.equal(verdict(host), 'allow', host)
  for (const host of ['gist.github.com', 'gitlab.com:8443', 'npmjs.example', 'evil.example']) t.equal(verdict(host), 'ask', host)
})

t.test('the pack for fetching lets git clone and fetch, and says of a push that it is none', async (t) => {
  const { policy } = compiled([...shipped, ...together.filter((path) => !path.includes('git-hosting')), fetchOnly].map((path) => source(path)))
  const answer = (text: string) => {
    const facts = parseCase(text)
    if ('wrong' in facts) throw new Error(facts.wrong)
    return evaluate(policy, facts, 0)
  }
  t.match(answer('CONNECT github.com:443'), { verdict: 'allow', obligations: { inspect: 'intercept' } })
  t.match(answer('GET https://github.com/o/r.git/info/refs?service=git-upload-pack'), { verdict: 'allow' })
  const request = 'Content-Type: application/x-git-upload-pack-request | Transfer-Encoding: chunked'
  t.match(answer(`POST https://github.com/o/r.git/git-upload-pack | ${request}`), { verdict: 'allow', obligations: { maxContent: 64 * 2 ** 20 } })
  for (const push of ['GET https://github.com/o/r.git/info/refs?service=git-receive-pack', 'POST https://github.com/o/r.git/git-receive-pack | Content-Length: 9']) {
    t.match(answer(push), { verdict: 'deny', code: 'denied_by_rule', reason: /^github\.com is denied by rule git-no-push(-refs)?: this policy lets git fetch and clone, and does not let it push$/ })
  }
  for (const other of ['GET https://github.com/o/r', 'GET https://github.com/o/r.git/info/refs', 'POST https://github.com/o/r.git/info/lfs/objects/batch | Content-Type: application/vnd.git-lfs+json', 'wss://github.com/']) {
    t.match(answer(other), { verdict: 'deny' }, other)
  }
  t.match(answer('POST https://github.com/o/r.git/git-upload-pack | Content-Type: text/plain'), { code: 'content_not_allowed' })
})

t.test('the pack for fetching does not go with ssh, which would push', async (t) => {
  const { policy, problems } = compilePolicy([source('policies/packs/git-hosting.toml'), source(fetchOnly)], new Map())
  t.equal(policy, undefined)
  t.match(problems.filter(({ severity }) => severity === 'error').map(({ message }) => message), [/^`raw` clashes with rule `git-no-push/])
})

t.test('no package registry is named by its host', async (t) => {
  const { policy } = compiled([source('policies/packs/package-registries.toml')])
  for (const { text } of policy.index.patterns) t.match(text, /^\*{1,2}\.[a-z]+\.[a-z]+$/)
})

for (const path of fixtures) {
  for (const layer of ['managed', 'policy'] as const) {
    t.test(`${path} loads unchanged as the ${layer} layer`, async (t) => {
      const { problems } = compiled([source(path, layer)])
      t.same(problems.filter(({ severity }) => severity === 'error'), [])
    })
  }
}

t.test('the map of domains of a Codex file is enforced', async (t) => {
  const { verdict, problems } = compiled([source('test/fixtures/codex/domains-map.toml', 'managed')])
  t.equal(verdict('api.openai.com'), 'allow')
  t.not(verdict('api.openai.com:8443'), 'allow', 'another port of an allowed host is unknown')
  t.equal(verdict('git.corp.example'), 'allow')
  t.equal(verdict('corp.example'), 'allow')
  t.equal(verdict('secrets.corp.example'), 'deny')
  t.equal(verdict('paste.example'), 'deny')
  t.equal(verdict('region1.v2.argotunnel.example'), 'allow')
  t.not(verdict('other.example'), 'allow')
  const notices = problems.filter(({ severity }) => severity === 'notice').map(({ message }) => message)
  for (const word of ['http_port', 'socks_port', 'unix_sockets', 'features', 'mcp_servers', 'enforce_residency']) {
    t.ok(notices.some((message) => message.includes(word)), `a notice names ${word}`)
  }
})

t.test('the older lists of a Codex file are enforced', async (t) => {
  const { policy, verdict } = compiled([source('test/fixtures/codex/legacy-lists.toml', 'managed')])
  t.equal(verdict('api.openai.com'), 'allow')
  t.equal(verdict('docs.example.org'), 'allow')
  t.not(verdict('example.org'), 'allow')
  t.equal(verdict('private.example.org'), 'deny')
  t.equal(verdict('127.0.0.1'), 'allow')
  t.equal(verdict('gateway.example.com'), 'allow', 'a written port means all ports, as Codex has it')
  t.equal(policy.allowLocalBinding, true)
  t.same(policy.webSearchModes?.toSorted(), ['cached', 'disabled'])
})

t.test('managed_allowed_domains_only of a Codex file drops every other allow', async (t) => {
  const managed = source('test/fixtures/codex/managed-only.toml', 'managed')
  const { policy, verdict } = compiled([managed, source('policies/10-default.toml'), source('policies/packs/model-apis.toml')])
  t.equal(policy.managedOnly, true)
  t.equal(verdict('api.openai.com'), 'allow')
  t.equal(verdict('docs.example.org'), 'allow')
  t.equal(verdict('upload.example.org'), 'deny')
  t.equal(verdict('wiki.example.org'), 'ask')
  t.equal(verdict('example.com'), 'deny')
  t.equal(verdict('api.anthropic.com'), 'deny')
  t.equal(verdict('unheard-of.example'), 'deny')
  t.same(policy.webSearchModes, ['disabled'])
})
