import { join } from 'node:path'
import t, { type Test } from 'tap'
import { loadSettings, type LoadedSettings } from '../../src/config/load.ts'
import { ownFiles } from '../../src/config/own-files.ts'
import { reservedDestinations } from '../../src/config/own-places.ts'

function load(t: Test, lines: string, env: Record<string, string> = {}): LoadedSettings {
  const cwd = t.testdir({ 'sallyport.toml': lines, 'secret.txt': 'from a file\n', 'ca.pem': '' })
  return loadSettings({ flags: {}, env, cwd })
}

const parent = (lines: string): string => `[cache.parent]\nurl = "http://cache.example:3128"\n${lines}\n`
const messages = ({ problems }: LoadedSettings): string[] => problems.map(({ message }) => message)

t.test('there is no parent cache unless its URL is set', async (t) => {
  t.equal(load(t, '').settings?.cache.parent, undefined)
  for (const part of ['username = "u"', 'password = "p"', 'password_file = "secret.txt"', 'password_env = "PW"', 'ca_file = "ca.pem"']) {
    t.match(messages(load(t, `[cache.parent]\n${part}\n`)), [/is set without `cache\.parent\.url`/], part)
  }
})

t.test('its URL holds scheme, host and port, and credentials in it are taken out', async (t) => {
  t.same(load(t, parent('')).settings?.cache.parent, { url: 'http://cache.example:3128', timeoutMs: 2_000 })
  t.same(load(t, '[cache.parent]\nurl = "https://us%40er:p%3Aw@cache.example"\ntimeout = "500 ms"\n').settings?.cache.parent, { url: 'https://cache.example', timeoutMs: 500, username: 'us@er', password: 'p:w' })
  for (const url of ['http://cache.example/path', 'http://cache.example?a']) t.match(messages(load(t, `[cache.parent]\nurl = "${url}"\n`)), [/scheme, host and port only/], url)
  t.match(messages(load(t, `[cache]\nenabled = false\n${parent('')}`)), [/is of no use: `cache\.enabled` is false/])
})

t.test('its password comes from one source, and is not sent in clear text without a warning', async (t) => {
  t.equal(load(t, parent('username = "u"\npassword_file = "secret.txt"')).settings?.cache.parent?.password, 'from a file')
  const named = load(t, parent('username = "u"\npassword_env = "PW"'), { PW: 'from a variable' })
  t.equal(named.settings?.cache.parent?.password, 'from a variable')
  t.match(named.warnings, [/clear text/])
  t.match(messages(load(t, parent('username = "u"\npassword = "p"\npassword_env = "PW"'), { PW: 'x' })), [/one source of the password too many/])
  t.match(messages(load(t, parent('password = "p"'))), [/`cache\.parent\.username` is missing/])
  t.match(messages(load(t, parent('username = "u:v"'))), [/colon/])
  t.match(messages(load(t, parent('ca_file = "ca.pem"'))), [/not https/])
})

t.test('agents reach neither the parent cache nor what proves the proxy to it', async (t) => {
  const { settings } = load(t, '[cache.parent]\nurl = "https://cache.example:3128"\nusername = "u"\npassword_file = "secret.txt"\nca_file = "ca.pem"\n')
  if (settings === undefined) return t.fail('no settings')
  t.same(reservedDestinations(settings), [{ host: 'cache.example', port: 3128 }])
  const files = ownFiles(settings)
  for (const name of ['secret.txt', 'ca.pem']) t.ok(files.some((path) => path.endsWith(join('/', name))), name)
})
