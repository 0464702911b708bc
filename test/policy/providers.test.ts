// Which hosts are providers, in which modes they are looked at, and how policy files say it.
import t from 'tap'
import { compilePolicy } from '../../src/policy/compile.ts'
import type { CompileResult } from '../../src/policy/compile.ts'
import type { Decision } from '../../src/policy/decision.ts'
import { evaluate } from '../../src/policy/evaluate.ts'
import { explain } from '../../src/policy/explain.ts'
import type { Facts } from '../../src/policy/facts.ts'
import { looksInside } from '../../src/policy/looks-inside.ts'
import { providerOf, searchLimit } from '../../src/policy/providers.ts'
import { parseAuthority } from '../../src/target/authority.ts'

const principal = { session: 's', agent: 'a', team: undefined, owner: undefined }

function compile(...texts: readonly string[]): CompileResult {
  return compilePolicy(texts.map((text, i) => ({ path: `${i}.toml`, layer: 'policy', text })), new Map())
}

function policyOf(...texts: readonly string[]) {
  const { policy, problems } = compile(...texts)
  if (policy === undefined) throw new Error(problems.map(({ message }) => message).join('\n'))
  return policy
}

function factsOf(authority: string, facts: Partial<Facts> = {}): Facts {
  return { stage: 'request', scheme: 'https', ...parseAuthority(authority, 443), method: 'POST', path: '/v1/responses', query: undefined, upgrade: undefined, principal, fields: [], content: 'unknown', ...facts }
}

function connectTo(authority: string): Facts {
  return { stage: 'connect', scheme: 'https', ...parseAuthority(authority, 443), method: undefined, path: undefined, query: undefined, upgrade: undefined, principal }
}

function decide(text: string, facts: Facts): Decision {
  return evaluate(policyOf(text), facts, 0)
}

const open = '[network]\nallowed_domains = ["api.openai.com", "api.anthropic.com", "llm.corp.example:8443", "other.example"]\n'

t.test('providers that everybody knows need not be named', async (t) => {
  const policy = policyOf(open)
  const known = {
    'api.openai.com': 'openai', 'eu.api.openai.com': 'openai', 'chatgpt.com': 'openai', 'x.openai.azure.com': 'openai', 'api.anthropic.com': 'anthropic',
    'generativelanguage.googleapis.com': 'gemini', 'us-central1-aiplatform.googleapis.com': 'gemini', 'aiplatform.googleapis.com': 'gemini',
    'aiplatform.eu.rep.googleapis.com': 'gemini', 'cloudcode-pa.googleapis.com': 'gemini',
  }
  for (const [name, api] of Object.entries(known)) {
    const { host, port } = parseAuthority(name, 443)
    t.equal(providerOf(policy, host, port)?.api, api, name)
  }
  for (const name of ['openai.com', 'notapi.openai.com.example', 'xapi.openai.com', 'storage.googleapis.com', 'evil-aiplatform.googleapis.com.example', '192.0.2.1']) {
    const { host, port } = parseAuthority(name, 443)
    t.equal(providerOf(policy, host, port), undefined, name)
  }
})

t.test('policy names further ones, by pattern and port', async (t) => {
  const policy = policyOf('[web_fetch]\nproviders = [{ host = "*.llm.corp.example:8443", api = "anthropic" }, { host = "192.0.2.0/24", api = "gemini" }, { host = "api.openai.com", api = "gemini" }]\n')
  const apiOf = (authority: string): string | undefined => {
    const { host, port } = parseAuthority(authority, 443)
    return providerOf(policy, host, port)?.api
  }
  t.equal(apiOf('a.llm.corp.example:8443'), 'anthropic')
  t.equal(apiOf('a.llm.corp.example'), undefined)
  t.equal(apiOf('192.0.2.9:80'), 'gemini')
  t.equal(apiOf('api.openai.com'), 'openai', 'and does not make another of one that is known')
})

t.test('the mode is that of web reading, or what the ceiling leaves', async (t) => {
  const limit = (text: string) => searchLimit(policyOf(text))
  t.equal(limit(''), undefined)
  t.equal(limit('[web_fetch]\nmode = "live"\n'), undefined)
  t.same(limit('[web_fetch]\nmode = "cached"\n'), { mode: 'cached', indexed: false })
  t.same(limit('[web_fetch]\nmode = "disabled"\n'), { mode: 'disabled', indexed: false })
  t.equal(limit('allowed_web_search_modes = ["live", "cached"]\n'), undefined)
  t.same(limit('allowed_web_search_modes = ["cached"]\n'), { mode: 'cached', indexed: false })
  t.same(limit('allowed_web_search_modes = ["indexed"]\n'), { mode: 'cached', indexed: true })
  t.same(limit('allowed_web_search_modes = []\n'), { mode: 'disabled', indexed: false })
  t.same(limit('allowed_web_search_modes = ["cached", "indexed"]\n[web_fetch]\nmode = "live"\n'), { mode: 'cached', indexed: true })
  t.same(limit('allowed_web_search_modes = ["indexed"]\n[web_fetch]\nmode = "cached"\n'), { mode: 'cached', indexed: true })
  t.same(limit('allowed_web_search_modes = ["indexed"]\n[web_fetch]\nmode = "disabled"\n'), { mode: 'disabled', indexed: true })
  t.same(searchLimit(policyOf(''), 'disabled'), { mode: 'disabled', indexed: false }, 'a session can have one of its own')
  t.equal(searchLimit(policyOf('[web_fetch]\nmode = "cached"\n'), 'live'), undefined)
})

t.test('content that goes to a provider is to be read, and nothing else is', async (t) => {
  const text = `${open}[web_fetch]\nmode = "cached"\n`
  const of = (facts: Facts) => decide(text, facts).obligations.providerSearch
  t.same(of(factsOf('api.openai.com')), { api: 'openai', mode: 'cached', indexed: false })
  t.same(of(factsOf('api.anthropic.com', { method: 'PUT', content: 0 })), { api: 'anthropic', mode: 'cached', indexed: false })
  t.ok(of(factsOf('api.openai.com', { method: 'GET', content: 7 })), 'a GET with content')
  t.equal(of(factsOf('api.openai.com', { method: 'GET', content: 0 })), undefined)
  t.equal(of(factsOf('other.example')), undefined)
  t.equal(of(connectTo('api.openai.com')), undefined)
  t.equal(decide(`${open}[web_fetch]\nmode = "live"\n`, factsOf('api.openai.com')).obligations.providerSearch, undefined)
  t.equal(decide(text, factsOf('denied.example')).obligations.providerSearch, undefined)
})

t.test('an upgrade to a provider is refused, and only noted in monitor mode', async (t) => {
  const upgrade = factsOf('api.openai.com', { method: 'GET', upgrade: 'websocket', content: 0 })
  t.match(decide(`${open}[web_fetch]\nmode = "cached"\n`, upgrade), { verdict: 'deny', code: 'provider_search_refused', reason: /websocket/ })
  t.match(decide(`${open}mode = "monitor"\n[web_fetch]\nmode = "cached"\n`, upgrade), { verdict: 'allow', monitored: { code: 'provider_search_refused' } })
  t.equal(decide(open, upgrade).verdict, 'allow')
  t.equal(decide(`${open}[web_fetch]\nmode = "cached"\n`, { ...upgrade, ...parseAuthority('other.example', 443) }).verdict, 'allow')
})

t.test('inspect_providers has tunnels to providers looked into, where something is to be seen', async (t) => {
  const inspect = (mode: string): string => `${open}[web_fetch]\nmode = "${mode}"\ninspect_providers = true\n`
  t.match(decide(inspect('cached'), connectTo('api.openai.com')), { verdict: 'allow', obligations: { inspect: 'intercept' } })
  t.equal(decide(inspect('live'), connectTo('api.openai.com')).obligations.inspect, 'none')
  t.equal(decide(inspect('cached'), connectTo('other.example')).obligations.inspect, 'none')
  t.match(decide(inspect('cached'), connectTo('chatgpt.com')), { verdict: 'allow', obligations: { inspect: 'intercept' } }, 'what is asked is asked inside')
  t.equal(decide(inspect('cached'), factsOf('chatgpt.com')).verdict, 'ask', 'so it opens nothing')
  t.equal(decide(`${open}[web_fetch]\nmode = "cached"\n`, connectTo('api.openai.com')).obligations.inspect, 'none')
  t.ok(looksInside(policyOf(inspect('cached'))))
  t.notOk(looksInside(policyOf(open)))
})

t.test('what may not be looked into clashes with it', async (t) => {
  const { policy, problems } = compile('[network]\nnever_intercept = ["api.openai.com"]\n[web_fetch]\nmode = "cached"\ninspect_providers = true\n')
  t.equal(policy, undefined)
  t.match(problems, [{ severity: 'error', line: 2, message: '`never_intercept` clashes with `inspect_providers`, which looks inside requests to `**.api.openai.com`' }])
  t.match(compile('[network]\nnever_intercept = ["llm.corp.example"]\n', '[web_fetch]\nmode = "cached"\ninspect_providers = true\nproviders = [{ host = "llm.corp.example", api = "openai" }]\n').problems, [{ file: '0.toml', severity: 'error' }])
  t.ok(compile('[network]\nnever_intercept = ["api.openai.com"]\n[web_fetch]\nmode = "cached"\n').policy)
  const globs = '[network]\nallowed_domains = ["api.openai.com"]\nnever_intercept = ["?pi.openai.*"]\n[web_fetch]\nmode = "cached"\ninspect_providers = true\n'
  const late = compile(globs)
  if (late.policy !== undefined) t.match(evaluate(late.policy, connectTo('api.openai.com'), 0), { verdict: 'deny', code: 'obligation_conflict' })
})

t.test('files add up: providers are a union, and one that inspects is enough', async (t) => {
  const { webFetch } = policyOf('[web_fetch]\nmode = "cached"\nproviders = [{ host = "a.example", api = "openai" }]\n', '[web_fetch]\nmode = "cached"\ninspect_providers = true\n', '[web_fetch]\nmode = "cached"\ninspect_providers = false\nproviders = [{ host = "b.example", api = "gemini" }]\n')
  t.same(webFetch?.providers?.map(({ text, api }) => `${text} ${api}`), ['a.example openai', 'b.example gemini'])
  t.equal(webFetch?.inspectProviders, true)
})

t.test('what is wrong with a provider is told where it stands', async (t) => {
  const messages = (text: string): readonly string[] => compile(`[web_fetch]\nmode = "cached"\n${text}\n`).problems.map(({ line, message }) => `${line}: ${message}`)
  t.same(messages('providers = [{ api = "openai" }]'), ['3: a provider without `host`'])
  t.same(messages('providers = [{ host = "a.example" }]'), ['3: a provider without `api`'])
  t.match(messages('providers = [{ host = "a.example", api = "opena" }]'), [/^3: `api` is one of `openai`, `anthropic`, `gemini`, and this is `opena`/])
  t.match(messages('providers = [{ host = "https://a.example", api = "openai" }]'), [/^3: not a host pattern: a URL/])
  t.match(messages('providers = [{ host = "a.example", api = "openai", hots = 1 }]'), [/^3: unknown key `hots` in a provider/])
  t.match(messages('providers = ["a.example"]'), [/`providers` has to hold tables/])
  t.match(messages('inspect_providers = "yes"'), [/`inspect_providers` has to be true or false/])
})

t.test('explain says what is read, and what is not seen', async (t) => {
  const text = `allowed_web_search_modes = ["cached", "indexed"]\n${open}[web_fetch]\nmode = "cached"\n`
  const last = (facts: Facts): string | undefined => explain(policyOf(text), facts, 0).lines.at(-1)
  t.equal(last(factsOf('api.openai.com')), 'the content is read first, as the openai API has it: web reading is cached, so what the provider has cached or indexed may be searched')
  t.equal(last(connectTo('api.openai.com')), 'web reading is cached, but what this provider is asked to search is not seen: set `[web_fetch] inspect_providers = true`')
  t.notMatch(last(connectTo('other.example')), /web reading/)
})
