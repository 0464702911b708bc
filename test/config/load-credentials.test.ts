// Where credentials come from and may go stands in process settings, is checked whole, and is never told in a message.
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { knownCredentials } from '../../src/config/load-credentials.ts'
import { type LoadedSettings, loadSettings } from '../../src/config/load.ts'

function load(t: Test, file: string, env: Record<string, string> = {}, secrets?: 'unused'): LoadedSettings {
  return loadSettings({ flags: {}, env, cwd: t.testdir({ 'sallyport.toml': file }), ...(secrets === undefined ? {} : { secrets }) })
}

const told = ({ problems }: LoadedSettings): string[] => problems.map(({ where, message }) => `${where} ${message}`)

t.test('without the table there are none', async (t) => {
  t.same(load(t, '').settings?.credentials, [])
})

t.test('each has a name, a source, and hosts in their only spelling', async (t) => {
  const { settings, problems } = load(t, `
[credentials.github]
env   = "GITHUB_TOKEN"
hosts = ["API.github.com", "git.example:8443", "[2001:db8::7]"]
dummy = "ghp_placeholder0"

[credentials."npm.main"]
file  = "secrets/npm"
hosts = ["registry.example."]

[credentials.pass]
command   = ["pass", "show", "x"]
hosts     = ["a.example"]
any_layer = true

[credentials.ring]
keyring = { service = "s", account = "a" }
hosts   = ["a.example"]
`, { GITHUB_TOKEN: 'x' })
  t.same(problems, [])
  const cwd = settings?.configFile?.replace(/sallyport\.toml$/, '') ?? ''
  t.same(settings?.credentials, [
    { name: 'github', source: { kind: 'env', variable: 'GITHUB_TOKEN' }, hosts: ['api.github.com:443', 'git.example:8443', '[2001:db8::7]:443'], dummy: 'ghp_placeholder0', anyLayer: false },
    { name: 'npm.main', source: { kind: 'file', path: join(cwd, 'secrets/npm') }, hosts: ['registry.example:443'], dummy: undefined, anyLayer: false },
    { name: 'pass', source: { kind: 'command', command: ['pass', 'show', 'x'] }, hosts: ['a.example:443'], dummy: undefined, anyLayer: true },
    { name: 'ring', source: { kind: 'keyring', service: 's', account: 'a' }, hosts: ['a.example:443'], dummy: undefined, anyLayer: false },
  ])
  t.same(knownCredentials(settings?.credentials ?? [])[2], { name: 'pass', hosts: ['a.example:443'], anyLayer: true }, 'policy is told no source')
})

t.test('what is wrong is told with its place, all at once', async (t) => {
  const wrong = load(t, `
[credentials.none]
hosts = ["a.example"]
[credentials.two]
env = "A"
file = "/b"
hosts = ["*.example", "a.example:80", "https://a.example/", "a b"]
[credentials.three]
env = "A B"
host = ["a.example"]
[credentials.four]
command = []
hosts = []
[credentials.five]
keyring = { service = "s" }
hosts = "a.example"
dummy = "short"
any_layer = 1
[credentials.six]
env = 7
hosts = [1]
[credentials."a b"]
env = "A"
hosts = ["a.example"]
[credentials]
seven = "secret"
`)
  t.equal(wrong.settings, undefined)
  const expected = [
    /^sallyport\.toml:2:\d+ `\[credentials\.none\]` says nowhere where/,
    /^sallyport\.toml:6:\d+ `file` beside `env`/,
    /^sallyport\.toml:7:\d+ `\*\.example` is not one exact host/,
    /^sallyport\.toml:7:\d+ `a\.example:80`: .* plain http/,
    /^sallyport\.toml:7:\d+ `https:\/\/a\.example\/` is not one exact host/,
    /^sallyport\.toml:7:\d+ `a b` is not one exact host/,
    /^sallyport\.toml:10:\d+ there is no setting `host` of a credential; did you mean `hosts`\?/,
    /^sallyport\.toml:9:\d+ `env` takes the name of a variable/,
    /^sallyport\.toml:8:\d+ `\[credentials\.three\]` without `hosts`/,
    /^sallyport\.toml:12:\d+ `command` takes a program/,
    /^sallyport\.toml:13:\d+ `hosts` is empty/,
    /^sallyport\.toml:15:\d+ `keyring` takes a service and an account/,
    /^sallyport\.toml:16:\d+ `hosts` has to be an array/,
    /^sallyport\.toml:17:\d+ `dummy` has 8 characters/,
    /^sallyport\.toml:18:\d+ `any_layer` has to be true or false/,
    /^sallyport\.toml:20:\d+ `env` has to be a string/,
    /^sallyport\.toml:21:\d+ `hosts` has to be an array of strings/,
    /^sallyport\.toml:22:\d+ `a b` is no name for a credential/,
    /^sallyport\.toml:26:\d+ `credentials\.seven` has to be a table/,
  ]
  const lines = told(wrong)
  for (const line of expected) t.ok(lines.some((each) => line.test(each)), String(line), { lines })
  t.equal(lines.length, expected.length, lines.join('\n'))
  t.match(told(load(t, 'credentials = 1\n')), [/a table for each credential/])
  t.match(told(load(t, '[credential.x]\nenv = "A"\n')), [/did you mean `credentials`\?/])
})

t.test('a variable that is not set is warned of by who would need it', async (t) => {
  const file = '[credentials.a]\nenv = "NOT_THERE"\nhosts = ["a.example"]\n'
  t.match(load(t, file).warnings, [/credentials\.a: the variable NOT_THERE is not set/])
  t.same(load(t, file, { NOT_THERE: 'x' }).warnings, [])
  t.same(load(t, file, {}, 'unused').warnings, [])
})
