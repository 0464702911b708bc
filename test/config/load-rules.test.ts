// The two tables whose values come from elsewhere: the collector and the parent proxy. Secrets come from
// where the file points, and never into a message.
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { formatHostPort, isLoopback } from '../../src/config/load-rules.ts'
import { type LoadedSettings, loadSettings } from '../../src/config/load.ts'

function load(t: Test, file: string, env: Record<string, string> = {}): LoadedSettings {
  const cwd = t.testdir({ 'sallyport.toml': file, 'password.txt': 'from a file\n', 'empty.txt': '' })
  return loadSettings({ flags: {}, env, cwd })
}

const otlp = (lines: string): string => `[otel.exporter.otlp-http]\n${lines}\n`
const messages = ({ problems }: LoadedSettings): string[] => problems.map(({ message }) => message)

t.test('a secret that only the proxy needs is a warning for commands that read', async (t) => {
  const cwd = t.testdir({ 'sallyport.toml': '[otel.exporter.otlp-http]\nendpoint = "http://127.0.0.1/v1/logs"\nprotocol = "json"\nheaders = { a = "${NOPE}" }\n[upstream_proxy]\nurl = "http://proxy.example:3128"\nusername = "u"\npassword_env = "PW"\n' })
  const { settings, problems, warnings } = loadSettings({ flags: {}, env: {}, cwd, secrets: 'unused' })
  t.same(problems, [])
  t.ok(settings)
  t.match(warnings, [/^sallyport\.toml:4:\d+: .*NOPE, which is not set; the proxy does not start without it/, /PW, which is not set/])
  t.equal(loadSettings({ flags: {}, env: {}, cwd }).problems.length, 2)
})

t.test("[otel] reads as in Codex's configuration", async (t) => {
  const file = '[otel]\nenvironment = "staging"\nlog_user_prompt = true\n[otel.exporter.otlp-http]\nendpoint = "https://otel.example/v1/logs"\nprotocol = "json"\nheaders = { "X-Key" = "${KEY}-1" }\n'
  const { settings, warnings } = load(t, file, { KEY: 'secret' })
  t.equal(settings?.otel.environment, 'staging')
  t.match(settings?.otel.exporter, { endpoint: 'https://otel.example/v1/logs', protocol: 'json', headers: { 'x-key': 'secret-1' } })
  t.same(warnings, ['sallyport.toml:3:1: `otel.log_user_prompt` is ignored'])
})

t.test('the exporter is off by default, by "none", and by "none" over a table of the file', async (t) => {
  t.equal(load(t, '').settings?.otel.exporter, undefined)
  t.equal(load(t, '[otel]\nexporter = "none"\n').settings?.otel.exporter, undefined)
  const file = '[otel.exporter.otlp-http]\nendpoint = "http://127.0.0.1:4318/v1/logs"\n'
  t.equal(load(t, file).settings?.otel.exporter?.protocol, 'binary')
  t.equal(load(t, file, { SALLYPORT_OTEL_EXPORTER: 'none' }).settings?.otel.exporter, undefined)
})

t.test('an exporter can be set by variables alone', async (t) => {
  const { settings } = load(t, '', {
    SALLYPORT_OTEL_EXPORTER_OTLP_HTTP_ENDPOINT: 'http://127.0.0.1:4318/v1/logs',
    SALLYPORT_OTEL_EXPORTER_OTLP_HTTP_HEADERS: 'a=1, b=x=y',
  })
  t.match(settings?.otel.exporter?.headers, { a: '1', b: 'x=y' })
})

t.test('a collector that cannot be used as written is an error', async (t) => {
  t.match(messages(load(t, otlp('endpoint = "grpc://h/"'))), [/not a URL of http or https/])
  t.match(messages(load(t, otlp('endpoint = "https://u:topsecret@h/v1/logs"'))), [/may not hold credentials/])
  t.match(messages(load(t, otlp('headers = { a = "b" }'))), [/without an endpoint/])
  t.match(messages(load(t, otlp('endpoint = "https://h/v1/logs"\nheaders = { a = "${NOPE}" }'))), [/NOPE, which is not set/])
  t.match(messages(load(t, otlp('endpoint = "https://h/v1/logs"\nheaders = { "a b" = "c" }'))), [/`a b` is not a field name/])
  t.match(messages(load(t, otlp('endpoint = "https://h/v1/logs"\nheaders = { a = "top\\r\\nsecret" }'))), [/value of `a` is not/])
  t.match(messages(load(t, otlp('endpoint = "https://h/v1/logs"\ntls = { client-certificate = "a.pem" }'))), [/`otel.exporter.otlp-http.tls.client-certificate` is set without `client-private-key`/])
  t.match(messages(load(t, otlp('endpoint = "http://h/v1/logs"\ntls = { ca-certificate = "a.pem" }'))), [/`otel.exporter.otlp-http.tls.ca-certificate` is for an endpoint of https/])
  t.match(messages(load(t, '[otel.exporter.otlp-grpc]\nendpoint = "https://h"\n')), [/otlp-http only/])
  t.match(messages(load(t, '[otel]\nexporter = "statsig"\n')), [/`statsig` is not one of none, otlp-http/])
})

t.test('no message repeats a secret', async (t) => {
  const file = '[otel.exporter.otlp-http]\nendpoint = "ftp://u:topsecret@h/"\nheaders = { a = "topsecret\\n" }\n[upstream_proxy]\nurl = "socks5://u:topsecret@h"\npassword = 5\n'
  const said = JSON.stringify(load(t, file).problems)
  t.notMatch(said, /topsecret/)
})

t.test('fields sent in clear text, and an endpoint without a path, are warned about', async (t) => {
  const { warnings } = load(t, '[otel.exporter.otlp-http]\nendpoint = "http://otel.example"\nheaders = { a = "b" }\n')
  t.match(warnings, [/no path/, /clear text/])
})

t.test('the parent proxy takes its password from one source', async (t) => {
  const parent = (lines: string, env: Record<string, string> = {}): LoadedSettings => load(t, `[upstream_proxy]\nurl = "http://proxy.example:3128"\n${lines}\n`, env)
  t.match(parent('').settings?.upstreamProxy, { url: 'http://proxy.example:3128', resolve: 'here' })
  t.equal(parent('username = "u"\npassword = "p"').settings?.upstreamProxy?.password, 'p')
  t.equal(parent('username = "u"\npassword_file = "password.txt"').settings?.upstreamProxy?.password, 'from a file')
  t.equal(parent('username = "u"\npassword_env = "PW"', { PW: 'from a variable' }).settings?.upstreamProxy?.password, 'from a variable')
  t.match(messages(parent('username = "u"\npassword_env = "PW"')), [/PW, which is not set/])
  t.match(messages(parent('username = "u"\npassword_file = "no.txt"')), [/cannot be read/])
  t.match(messages(parent('username = "u"\npassword_file = "empty.txt"')), [/is empty/])
  t.match(messages(parent('username = "u"\npassword = "p"\npassword_file = "password.txt"')), [/one source of the password too many/])
  t.match(messages(parent('password = "p"')), [/`upstream_proxy\.username` is missing/])
  t.match(messages(parent('username = "u:v"')), [/colon/])
  t.match(messages(parent('ca_file = "ca.pem"')), [/not https/])
})

t.test('credentials in the URL of the parent proxy are taken out of it', async (t) => {
  const { settings } = load(t, '[upstream_proxy]\nurl = "https://us%40er:p%3Aw@proxy.example"\nca_file = "ca.pem"\nresolve = "parent"\n')
  t.match(settings?.upstreamProxy, { url: 'https://proxy.example', username: 'us@er', password: 'p:w', resolve: 'parent' })
  t.ok(settings?.upstreamProxy?.caFile?.endsWith(join('/', 'ca.pem')))
})

t.test('parts of a parent proxy without its URL are an error', async (t) => {
  t.match(messages(load(t, '[upstream_proxy]\nusername = "u"\n')), [/without `upstream_proxy\.url`/])
  t.match(messages(load(t, '[upstream_proxy]\nurl = "http://p/path"\n')), [/scheme, host and port only/])
})

t.test('loopback is judged on addresses, never on names', async (t) => {
  for (const host of ['127.0.0.1', '127.9.9.9', '::1']) t.ok(isLoopback(host), host)
  for (const host of ['localhost', '0.0.0.0', '::', '127.evil.example', '10.0.0.1', '::ffff:127.0.0.1']) t.notOk(isLoopback(host), host)
  t.equal(formatHostPort({ host: '::1', port: 1 }), '[::1]:1')
})
