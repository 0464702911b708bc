// `sallyport check`: what is wrong, where, and the exit code.
import { join } from 'node:path'
import t from 'tap'
import { checkCommand } from '../../src/cli/check.ts'
import { policyFolder } from './policy-folder.ts'

t.test('a valid folder is one line and exit code 0', async (t) => {
  const { run } = await policyFolder(t, checkCommand, {
    'policies/10-a.toml': '[network]\nunknown = "deny"\nallowed_domains = ["a.example", "b.example"]\n',
    'policies/20-b.toml': '[[network.rules]]\nid = "c"\nhosts = ["c.example"]\nverdict = "deny"\n',
  })
  const { code, out, err } = await run()
  t.equal(code, 0)
  t.equal(err, '')
  t.match(out, /^ok: 2 files, 3 rules and entries, 0 names on feeds, mode enforce, revision [\da-f]{12}\n$/)
})

t.test('every problem of every file is told, with its line and a caret', async (t) => {
  const { run } = await policyFolder(t, checkCommand, {
    'policies/10-a.toml': '[network]\nallowed_domain = ["a.example"]\nunknown = "maybe"\n',
    'policies/20-b.toml': '[network]\ndenied_domains = ["ok.example", "{a}.example"]\n',
    'policies/30-c.toml': '[network\n',
  })
  const { code, out, err } = await run()
  t.equal(code, 1)
  t.equal(out, '')
  t.match(err, 'policies/10-a.toml:2:1: error: unknown key `allowed_domain`')
  t.match(err, '  2 | allowed_domain = ["a.example"]\n    | ^\n')
  t.match(err, '\npolicies/10-a.toml:3:11: error: ')
  t.match(err, '\npolicies/20-b.toml:2:33: error: ')
  t.match(err, `\n    | ${' '.repeat(32)}^\n`)
  t.match(err, /\npolicies\/30-c\.toml:1:\d+: error: not valid TOML/)
  t.match(err, /\n4 errors in 3 files\n$/)
})

t.test('a long line is cut around the place that is meant', async (t) => {
  const names = Array.from({ length: 200 }, (_, i) => `"host-${i}.example"`).join(', ')
  const { run } = await policyFolder(t, checkCommand, { 'policies/10-a.toml': `network.denied_domains = [${names}, "{bad}.example"]\n` })
  const { err } = await run()
  const [, line = '', caret = ''] = err.split('\n')
  t.ok(line.length < 120)
  t.ok(line.slice(caret.indexOf('^')).startsWith('"{bad}.example"'), 'the caret stands under it')
})

t.test('nothing from a file reaches the terminal as a control sequence', async (t) => {
  const { run } = await policyFolder(t, checkCommand, { 'policies/10-a.toml': '[network]\n"\\u001b[2Jkey" = 1 # \u{202e}reversed\n' })
  const { code, err } = await run()
  t.equal(code, 1)
  t.match(err, 'reversed')
  for (const character of ['\u{1b}', '\u{202e}']) t.notOk(err.includes(character))
})

t.test('warnings and notices are told and do not fail', async (t) => {
  const { run } = await policyFolder(t, checkCommand, { 'policies/10-a.toml': '[experimental_network]\nhttp_port = 3128\nallowed_domains = ["a.example"]\n' })
  const { code, out } = await run()
  t.equal(code, 0)
  t.match(out, 'policies/10-a.toml:2:1: notice: `http_port` is ignored')
  t.match(out, /; 1 notice\n$/)
})

t.test('files that are named are compiled alone, and requirements.toml as the managed layer', async (t) => {
  const { run, cwd } = await policyFolder(t, checkCommand, {
    'policies/10-a.toml': '= broken',
    'one.toml': 'network.allowed_domains = ["a.example"]\n',
    'requirements.toml': 'experimental_network.allowed_domains = ["a.example"]\n',
  })
  t.match(await run('one.toml'), { code: 0, out: /^ok: 1 file, / })
  const { code, out } = await run('--json', 'one.toml', join(cwd, 'requirements.toml'))
  t.equal(code, 0)
  t.match(JSON.parse(out), { valid: true, files: [{ path: 'one.toml', layer: 'policy' }, { path: 'requirements.toml', layer: 'managed' }] })
  t.match(await run('missing.toml'), { code: 1, err: /^missing\.toml:1:1: error: .*no such file/ })
})

t.test('a managed layer is read with the folder', async (t) => {
  const { run } = await policyFolder(t, checkCommand, {
    'policies/10-a.toml': 'network.unknown = "allow"\n',
    'requirements.toml': 'experimental_network.allowed_domains = ["a.example"]\n',
  })
  const { code, err } = await run('--requirements', 'requirements.toml')
  t.equal(code, 1)
  t.match(err, /policies\/10-a\.toml:1:\d+: error: `unknown = "allow"`/)
  t.match(await run('--requirements', 'nowhere.toml'), { code: 1, err: /nowhere\.toml/ })
})

t.test('--json holds everything, whether valid or not', async (t) => {
  const { run } = await policyFolder(t, checkCommand, { 'policies/10-a.toml': '[network]\nunknown = "maybe"\n' })
  const { code, out, err } = await run('--json')
  t.equal(code, 1)
  t.equal(err, '')
  t.match(JSON.parse(out), {
    valid: false,
    revision: null,
    files: [{ path: 'policies/10-a.toml', layer: 'policy' }],
    problems: [{ severity: 'error', file: 'policies/10-a.toml', line: 2, column: 11, text: '"maybe"' }],
  })
})

t.test('allow_local_binding is warned about where a listener is not on loopback', async (t) => {
  const { run } = await policyFolder(t, checkCommand, {
    'policies/10-a.toml': '[network]\nallow_local_binding = true\nallowed_domains = ["a.example"]\n',
    'sallyport.toml': 'listen = "0.0.0.0:3128"\nclients = ["10.0.0.0/8"]\n',
  })
  const { code, out } = await run()
  t.equal(code, 0)
  t.match(out, 'policies/10-a.toml:2:1: warning: `allow_local_binding` opens nothing')
})

const credential = `[[network.rules]]
id = "keyed"
hosts = ["api.example"]
methods = ["GET"]
paths = ["/**"]
credential = { name = "github", header = "Authorization" }
verdict = "allow"
`

t.test('a credential is checked against the settings, where there are any', async (t) => {
  const { run } = await policyFolder(t, checkCommand, {
    'policies/10-a.toml': credential,
    'sallyport.toml': '[credentials.github]\nenv = "NOT_SET"\nhosts = ["api.example"]\n',
    'none.toml': '',
    'elsewhere.toml': '[credentials.github]\nenv = "NOT_SET"\nhosts = ["other.example"]\n',
  })
  t.match(await run(), { code: 0, out: /^ok: / })
  t.match(await run('--config', 'none.toml'), { code: 1, err: /10-a\.toml:6:\d+: error: there is no credential `github`/ })
  t.match(await run('--config', 'elsewhere.toml'), { code: 1, err: /10-a\.toml:3:\d+: error: the credential `github` may not be sent to api\.example:443/ })
  t.match(await run('policies/10-a.toml'), { code: 0, out: /notice: whether there is a credential `github`/ })
})

t.test('files of roots are read beside the policy that names them', async (t) => {
  const { run } = await policyFolder(t, checkCommand, {
    'policies/10-a.toml': '[[network.rules]]\nid = "corp"\nhosts = ["*.corp.example"]\norigin_ca = ["../none.pem", "text.pem"]\nverdict = "allow"\n',
    'policies/text.pem': 'no certificate\n',
  })
  const { code, err } = await run()
  t.equal(code, 1)
  t.match(err, /none\.pem:1:1: error: the file of roots named in `.*10-a\.toml` cannot be read: there is no such file/)
  t.match(err, /policies\/text\.pem:1:1: error: the file of roots named in .* is none: it holds no PEM certificate/)
  t.match(err, /10-a\.toml:4:\d+: error: the file of roots `\.\.\/none\.pem` was not read/)
})

t.test('rules that no request gets to are told', async (t) => {
  const { run } = await policyFolder(t, checkCommand, {
    'policies/10-a.toml': `[network]
read_only = true
[[network.rules]]
id = "posts"
hosts = ["a.example"]
methods = ["POST"]
verdict = "allow"
[[network.rules]]
id = "no-gets"
hosts = ["*.b.example"]
methods = ["GET", "HEAD"]
verdict = "deny"
[[network.rules]]
id = "gets"
hosts = ["x.b.example"]
methods = ["GET"]
paths = ["/a"]
verdict = "allow"
`,
  })
  const { code, out } = await run()
  t.equal(code, 0)
  t.match(out, /10-a\.toml:5:\d+: warning: `a\.example` never matches: `read_only` \(.*10-a\.toml:2\)/)
  t.match(out, /10-a\.toml:15:\d+: warning: `x\.b\.example` never changes a verdict: `\*\.b\.example` of no-gets .* denies all that it names/)
  t.match(out, /; 2 warnings\n$/)
})

t.test('a mode or unknown that a stricter file overrules is told, with the place of that one', async (t) => {
  const { run } = await policyFolder(t, checkCommand, {
    'policies/10-a.toml': '[network]\nmode = "enforce"\nunknown = "deny"\n',
    'policies/20-b.toml': '[network]\nmode = "monitor"\nunknown = "ask"\n',
  })
  const { out } = await run()
  t.match(out, /policies\/20-b\.toml:2:\d+: warning: `mode = "monitor"` has no effect: \S*policies\/10-a\.toml:2 says enforce/)
  t.match(out, /policies\/20-b\.toml:3:\d+: warning: `unknown = "ask"` has no effect: \S*policies\/10-a\.toml:3 says deny/)
  t.match(out, /; 2 warnings\n$/)
})

t.test('a repeated entry is told with the place of the other one', async (t) => {
  const { run } = await policyFolder(t, checkCommand, {
    'policies/10-a.toml': 'network.allowed_domains = [\n"a.example",\n"*.b.example",\n]\n',
    'policies/20-b.toml': 'network.allowed_domains = ["*.b.example", "a.example"]\n',
  })
  const { out } = await run()
  t.match(out, /20-b\.toml:1:\d+: warning: `a\.example` is on `allowed_domains` at \S*10-a\.toml:2 already/)
  t.match(out, /20-b\.toml:1:\d+: warning: `\*\.b\.example` is on `allowed_domains` at \S*10-a\.toml:3 already/)
})

t.test('a string that is not closed is asked about', async (t) => {
  const { run } = await policyFolder(t, checkCommand, { 'policies/10-a.toml': 'network.unknown = "deny\n' })
  t.match((await run()).err, /10-a\.toml:1:\d+: error: not valid TOML: .*\(is the string closed\?\)/)
})

t.test('a header variable that is not set here is no matter', async (t) => {
  const { run } = await policyFolder(t, checkCommand, {
    'policies/10-a.toml': 'network.unknown = "deny"\n',
    'sallyport.toml': '[otel.exporter.otlp-http]\nendpoint = "http://127.0.0.1:4318/v1/logs"\nprotocol = "json"\nheaders = { a = "${SALLYPORT_TEST_NOWHERE_SET}" }\n',
  })
  t.match(await run(), { code: 0, err: '' })
})

t.test('wrong settings are an error, and the help has examples', async (t) => {
  const { run } = await policyFolder(t, checkCommand, { 'policies/10-a.toml': '', 'sallyport.toml': 'lisen = "x"\n' })
  t.match(await run(), { code: 1, err: /sallyport\.toml:1:1: error: / })
  t.match(await run('--help'), { code: 0, out: /examples:\n {2}sallyport check\n/ })
  await t.rejects(run('--nope'), { code: /^ERR_PARSE_ARGS/ })
})
