// `sallyport explain`: the answer, the line it stands on, what nearly matched, and the exit code.
import t from 'tap'
import { explainCommand } from '../../src/cli/explain.ts'
import { readTarget } from '../../src/policy/explain-target.ts'
import { ProxyError } from '../../src/errors.ts'
import { policyFolder } from './policy-folder.ts'
import { array, assert, constantFrom, oneof, property, string } from '../support/property.ts'

const policy = `[network]
unknown = "ask"
allowed_domains = ["**.example.com"]
denied_domains = ["bad.example.com"]

[[network.rules]]
id = "read"
hosts = ["api.example.org"]
methods = ["GET"]
paths = ["/v1/**"]
verdict = "allow"
reason = "read-only"

[[network.rules]]
id = "for-codex"
hosts = ["codex.example.org"]
agents = ["codex"]
verdict = "allow"

[[network.rules]]
id = "ssh"
hosts = ["git.example.org:22"]
raw = "ssh"
verdict = "allow"

[[network.rules]]
id = "intranet"
hosts = ["*.corp.example"]
local = ["10.0.0.0/8"]
verdict = "allow"
`
const files = { 'policies/10-a.toml': policy }

t.test('an allowed tunnel is exit code 0, and its request is said to be unseen', async (t) => {
  const { run } = await policyFolder(t, explainCommand, files)
  const { code, out } = await run('https://www.example.com/secret?x=1')
  t.equal(code, 0)
  t.match(out, 'allow: CONNECT www.example.com:443\n')
  t.match(out, 'decided by allowed_domains `**.example.com` (policies/10-a.toml:3)\n')
  t.match(out, 'the tunnel is opaque: method and path are not seen')
  t.match(out, /\npolicy revision [\da-f]{12}\n$/)
})

t.test('a deny is exit code 3 and names every rule that matched', async (t) => {
  const { run } = await policyFolder(t, explainCommand, files)
  const { code, out } = await run('bad.example.com')
  t.equal(code, 3)
  t.match(out, 'deny: CONNECT bad.example.com:443\n  bad.example.com is on the denied list (denied_by_rule)\n')
  t.match(out, /matches +deny +denied_domains `bad\.example\.com` \(policies\/10-a\.toml:4\)/)
  t.match(out, /matches +allow +allowed_domains `\*\*\.example\.com`/)
})

t.test('an ask is exit code 3', async (t) => {
  const { run } = await policyFolder(t, explainCommand, files)
  t.match(await run('https://unheard-of.example/'), { code: 3, out: /^ask: CONNECT unheard-of\.example:443\n.*\(approval_required\)\n {2}decided by unknown `\*` \(policies\/10-a\.toml:2\)\n/ })
  t.match(await run('www.example.com:8443'), { code: 3, out: /nearly .*not port 8443/ })
})

t.test('where a question is asked depends on what the session trusts, and both are told', async (t) => {
  const trusting = policy.replace('[network]', '[network]\nnever_intercept = ["*.bank.example"]')
  const { run } = await policyFolder(t, explainCommand, { 'policies/10-a.toml': `${trusting}[[network.rules]]\nid = "no-post"\nhosts = ["half.example"]\nmethods = ["POST"]\nverdict = "deny"\n` })
  const url = 'https://new.example/a'
  t.match(await run(url), { code: 3, out: /^ask: CONNECT new\.example:443\n[^]*waits at the CONNECT[^]*`--trusts-ca`\) TLS ends at the proxy, and the request inside gets its own answer: ask: no rule allows new\.example.* \(approval_required\)\n/ })
  t.match(await run('new.example'), { code: 3, out: /`--trusts-ca`\) TLS ends at the proxy, and each request in the tunnel is decided by itself\n/ })
  t.match(await run(url, '--trusts-ca'), { code: 3, out: /^ask: GET https:\/\/new\.example\/a\n[^]*\nthe tunnel: allow: CONNECT new\.example:443\n {2}.*; each request is asked about inside TLS\n/ })
  t.match(await run('new.example', '--trusts-ca'), { code: 0, out: /^allow: CONNECT [^]*TLS ends at the proxy[^]*explain its URL/ })
  t.match(JSON.parse((await run(url, '--json')).out), { verdict: 'ask', inner: null, trusting: { verdict: 'ask', code: 'approval_required', rule: { id: 'unknown', file: 'policies/10-a.toml' }, inner: { verdict: 'ask' } } })
  t.match(JSON.parse((await run('new.example', '--json')).out), { verdict: 'ask', trusting: { verdict: 'allow', inner: null } })
  t.match(await run(url, '--web-fetch', '--method', 'POST'), { code: 3, out: /this session reads the web and does nothing else, and this is POST \(request_not_allowed\)/ })
  t.match(JSON.parse((await run(url, '--trusts-ca', '--json')).out), { verdict: 'ask', inner: { verdict: 'ask' }, trusting: null })
  for (const same of ['https://x.bank.example/', 'https://www.example.com/', 'bad.example.com', 'https://half.example/', 'new.example:80', 'http://new.example/']) {
    t.match(JSON.parse((await run(same, '--json')).out), { trusting: null }, same)
    t.equal((await run(same)).out, (await run(same, '--trusts-ca')).out, same)
  }
})

t.test('plain http is decided by method and path', async (t) => {
  const { run } = await policyFolder(t, explainCommand, files)
  t.match(await run('http://api.example.org/v1/things'), { code: 0, out: /^allow: GET http:\/\/api\.example\.org\/v1\/things\n/ })
  t.match(await run('http://api.example.org/v1/things', '--method', 'post'), { code: 3, out: /^deny: POST .*\n.*\(request_not_allowed\)\n[^]*nearly .*covers GET and not POST/ })
  t.match(await run('http://api.example.org/v2'), { code: 3, out: /nearly .*covers \/v1\/\*\* and not \/v2/ })
  t.match(await run('http://api.example.org/v1/%2e%2e/x'), { code: 3, out: /\(path_ambiguous\)/ })
  t.match(await run('ws://api.example.org/v1/x'), { code: 3, out: /\(upgrade_not_allowed\)/ })
  t.match(await run('http://api.example.org/v1/x', '--upgrade', 'websocket'), { code: 3, out: /\(upgrade_not_allowed\)/ })
})

t.test('where rules look inside, the request in the tunnel decides', async (t) => {
  const { run } = await policyFolder(t, explainCommand, files)
  const { code, out } = await run('https://api.example.org/v1/things?token=secret')
  t.equal(code, 0)
  t.match(out, /^allow: GET https:\/\/api\.example\.org\/v1\/things\n {2}rule read allows api\.example\.org: read-only\n {2}decided by read /)
  t.match(out, '  TLS ends at the proxy: the client has to trust its certificate authority\n')
  t.match(out, '\nthe tunnel: allow: CONNECT api.example.org:443\n  each request to api.example.org is decided by itself\n')
  t.notMatch(out, /secret/, 'a query may hold one')
  t.match(await run('https://api.example.org/v2'), { code: 3, out: /^deny: GET https:\/\/api\.example\.org\/v2\n.*\(request_not_allowed\)\n[^]*nearly .*covers \/v1\/\*\* and not \/v2/ })
  t.match(await run('api.example.org'), { code: 0, out: /^allow: CONNECT [^]*explain its URL/ })
  t.match(await run('wss://api.example.org/v1/x'), { code: 3, out: /\(upgrade_not_allowed\)/ })
})

const inside = `[network]
unknown = "deny"
[network.pins]
google_domains = ["corp.example"]
[[network.rules]]
id = "upload"
hosts = ["up.example.org"]
query = { part = ["?"] }
headers = { x-api-version = ["2*"] }
content_types = ["text/*"]
max_content = "1 KiB"
set_headers = { "X-Team" = "core" }
strip_headers = ["cookie"]
verdict = "allow"
[[network.rules]]
id = "keyed"
hosts = ["key.example.org"]
methods = ["GET"]
paths = ["/**"]
credential = { name = "github", header = "Authorization", prefix = "Bearer ", placeholder = true }
verdict = "allow"
[[network.rules]]
id = "lab"
hosts = ["lab.example.org"]
methods = ["GET"]
insecure = true
verdict = "allow"
[[network.rules]]
id = "google"
hosts = ["mail.google.com"]
verdict = "allow"
`
const insideFiles = { 'policies/10-a.toml': inside, 'sallyport.toml': '[credentials.github]\nenv = "NOT_SET"\nhosts = ["key.example.org"]\n' }

t.test('what kept a rule from a request is told, predicate by predicate', async (t) => {
  const { run } = await policyFolder(t, explainCommand, insideFiles)
  const url = 'https://up.example.org/?part=1'
  const asked = ['--method', 'PUT', '--header', 'X-Api-Version: 2', '--content-type', 'text/csv', '--content-length', '1024']
  const { code, out } = await run(url, ...asked)
  t.equal(code, 0)
  for (const line of ['X-Team is set to `core`, by upload', 'cookie is stripped, by upload', 'the content may be at most 1 KiB']) t.match(out, `  ${line}\n`)
  for (const [args, words] of [
    [['https://up.example.org/?part=12', ...asked], /nearly .*wants the query part=\?$/m],
    [['https://up.example.org/?part=1;x', ...asked], /nearly .*can be read in more ways than one: a `;` may separate keys$/m],
    [[url, ...asked, '--header', 'x-api-version: 1'], /nearly .*wants the fields x-api-version=2\*, and these can be read/],
    [[url], /nearly .*wants the fields x-api-version=2\*$/m],
    [[url, ...asked.with(5, 'image/png')], /takes content of type text\/\*, and this is image\/png \(content_not_allowed\)[^]*nearly .*takes content of type text\/\* and not image\/png/],
    [[url, ...asked.with(7, '1025')], /takes at most 1 KiB of content, and this declares 1025 bytes \(content_not_allowed\)/],
  ] as const) t.match(await run(...args), { code: 3, out: words })
  for (const bad of [['--header', 'none'], ['--content-length', '1x'], ['--header', 'a b: c']]) await t.rejects(run(url, ...bad), { name: 'UsageError' }, bad.join(' '))
})

t.test('the reason names the rule that nearly matched, and no value of the request', async (t) => {
  const { run } = await policyFolder(t, explainCommand, insideFiles)
  for (const [args, words] of [
    [['https://up.example.org/up?token=hush'], 'no rule of up.example.org allows GET /up; rule upload allows it, but not without the query key part (request_not_allowed)'],
    [['https://up.example.org/up?part=hush'], 'no rule of up.example.org allows GET /up; rule upload allows it, but not with the query key part as it is (request_not_allowed)'],
    [['https://up.example.org/up?part=1', '--header', 'X-Api-Version: hush'], 'no rule of up.example.org allows GET /up; rule upload allows it, but not with the field x-api-version as it is (request_not_allowed)'],
    [['http://key.example.org/a'], 'no rule of key.example.org allows GET /a; rule keyed allows it, but over https alone (request_not_allowed)'],
  ] as const) {
    const { code, out } = await run(...args)
    t.equal(code, 3)
    t.match(out, `  ${words}\n`)
    t.notMatch(out, /hush/)
  }
})

t.test('what is sent along and how the origin is trusted is told, and no secret is', async (t) => {
  const { run } = await policyFolder(t, explainCommand, insideFiles)
  t.match(await run('https://key.example.org/a'), { code: 0, out: /Authorization is set to `Bearer ` and the credential github, where the client sends its placeholder, by keyed\n/ })
  t.match(await run('http://key.example.org/a'), { code: 3, out: /nearly .*sends a credential, which goes over https alone/ })
  t.match(await run('https://lab.example.org/'), { code: 0, out: /the certificate of the origin is not verified\n/ })
  t.match(await run('https://mail.google.com/'), { code: 0, out: /X-GoogApps-Allowed-Domains is set to `corp\.example`, by pins\.google_domains\n/ })
  const { out } = await run('https://key.example.org/a', '--json')
  t.match(JSON.parse(out), { verdict: 'allow', inner: { verdict: 'allow' }, notes: [/TLS ends/, /resolved/, /credential github/] })
})

t.test('in monitor mode the verdict it would have had is told', async (t) => {
  const { run } = await policyFolder(t, explainCommand, { 'policies/10-a.toml': policy.replace('[network]', '[network]\nmode = "monitor"') })
  t.match(await run('bad.example.com'), { code: 0, out: /^allow: .*[^]*monitor mode: enforced, the answer would be deny: .*\(denied_by_rule\)/ })
  t.match(await run('https://api.example.org/'), { code: 0, out: /monitor mode: enforced, the answer would be deny: .*\(request_not_allowed\)/ })
})

t.test('the agent that asks is taken into account', async (t) => {
  const { run } = await policyFolder(t, explainCommand, files)
  t.match(await run('codex.example.org', '--agent', 'codex'), { code: 0 })
  t.match(await run('codex.example.org'), { code: 3, out: /nearly .*for codex and not for anonymous/ })
})

t.test('ssh, local ranges and addresses are explained', async (t) => {
  const { run } = await policyFolder(t, explainCommand, files)
  t.match(await run('git.example.org:22'), { code: 0, out: /the tunnel has to start with SSH-/ })
  t.match(await run('wiki.corp.example'), { code: 0, out: /the name may resolve to 10\.0\.0\.0\/8/ })
  t.match(await run('169.254.169.254:80'), { code: 3, out: /\(ip_denied\)/ })
  t.match(await run('[::ffff:192.0.2.1]'), { code: 3, out: /\(ip_denied\)/ })
  t.match(await run('www.example.com:25'), { code: 3, out: /\(port_denied\)/ })
})

t.test('what the proxy itself reports to is denied to agents', async (t) => {
  const { run } = await policyFolder(t, explainCommand, {
    ...files,
    'sallyport.toml': '[otel.exporter.otlp-http]\nendpoint = "https://otel.example.com/v1/logs"\n',
  })
  t.match(await run('otel.example.com'), { code: 3, out: /\(reserved_destination\)/ })
})

t.test('--json is stable', async (t) => {
  const { run } = await policyFolder(t, explainCommand, files)
  const { code, out } = await run('https://api.example.org/v2', '--json')
  t.equal(code, 3)
  const answer: unknown = JSON.parse(out)
  t.match(answer, {
    asked: 'CONNECT api.example.org:443',
    verdict: 'deny',
    code: 'request_not_allowed',
    rule: { id: 'read', pattern: 'api.example.org', file: 'policies/10-a.toml' },
    monitored: null,
    matched: [{ verdict: 'allow', layer: 'policy' }],
    near: [],
    inner: { verdict: 'deny', code: 'request_not_allowed', near: [{ why: 'path' }] },
  })
})

t.test('what cannot be read is a wrong command line, as the proxy would refuse it', async (t) => {
  const { run } = await policyFolder(t, explainCommand, files)
  for (const url of ['127.1', 'ftp://example.com/', 'https://user@example.com/', 'example.com:0', 'https://exa mple.com', 'http://']) {
    await t.rejects(run(url), { name: 'UsageError' }, url)
  }
  await t.rejects(run(), { name: 'UsageError' })
  await t.rejects(run('a.example', 'b.example'), { name: 'UsageError' })
  await t.rejects(run('a.example', '--method', 'G ET'), { name: 'UsageError' })
  await t.rejects(run('a.example', '--upgrade', 'h2c'), { name: 'UsageError' })
  t.match(await run('--help'), { code: 0, out: /examples:/ })
})

t.test('a policy with errors explains nothing', async (t) => {
  const { run } = await policyFolder(t, explainCommand, { 'policies/10-a.toml': 'network.unknown = "maybe"\n' })
  t.match(await run('example.com'), { code: 1, out: '', err: /policies\/10-a\.toml:1:\d+: error: [^]*would not load it\n$/ })
})

t.test('whatever is typed is read or refused with a code', async (t) => {
  const principal = { session: 'anonymous', agent: 'anonymous', team: undefined, owner: undefined }
  const part = constantFrom('https://', 'http://', 'wss://', 'ws://', 'a.example', '[::1]', '127.0.0.1', ':443', ':0', '/', '?q', '#f', '@', '%2f', ' ', '\u0000', 'ü', '..', '\\')
  const text = oneof(string(), array(part, { maxLength: 6 }).map((parts) => parts.join('')))
  assert(property(text, (typed) => {
    try {
      const { facts, inner } = readTarget(typed, { method: 'GET', upgrade: undefined, principal })
      return facts.port >= 1 && facts.port <= 65535 && facts.host.text !== '' && (inner?.path ?? '/').startsWith('/')
    } catch (error) {
      return error instanceof ProxyError
    }
  }), { numRuns: 500 })
  t.pass('500 inputs')
})
