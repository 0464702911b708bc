// Where notifications go comes from process settings, is signed, and is never told in a message.
import t, { type Test } from 'tap'
import { type LoadedSettings, loadSettings } from '../../src/config/load.ts'
import { reservedDestinations } from '../../src/config/own-places.ts'

function load(t: Test, file: string, env: Record<string, string> = {}): LoadedSettings {
  const cwd = t.testdir({ 'sallyport.toml': file, 'secret.txt': 'a secret out of a file\n', 'empty.txt': '' })
  return loadSettings({ flags: {}, env, cwd })
}

const messages = ({ problems }: LoadedSettings): string[] => problems.map(({ message }) => message)
const key = 'k'.repeat(32)
const webhook = (lines: string): string => `[notifications.webhook]\nurl = "https://hooks.corp.example/sallyport?team=a"\n${lines}\n`

t.test('nothing is notified by default', async (t) => {
  t.same(load(t, '').settings?.notifications, { pageUrl: undefined, webhook: undefined, slack: undefined })
})

t.test('webhook, Slack and the base of links are read from the file', async (t) => {
  const { settings } = load(t, `[notifications]\npage_url = "https://review.corp.example/sp/"\n${webhook(`secret = "${key}"`)}[notifications.slack]\nurl = "https://Hooks.Slack.example/services/T0/B0/x"\n`)
  t.same(settings?.notifications, {
    pageUrl: 'https://review.corp.example/sp',
    webhook: { url: 'https://hooks.corp.example/sallyport?team=a', secret: key },
    slack: { url: 'https://hooks.slack.example/services/T0/B0/x' },
  })
})

t.test('the key comes from one source: the file, a variable, or the settings', async (t) => {
  t.equal(load(t, webhook('secret_file = "secret.txt"')).settings?.notifications.webhook?.secret, 'a secret out of a file')
  t.equal(load(t, webhook('secret_env = "HOOK_KEY"'), { HOOK_KEY: key }).settings?.notifications.webhook?.secret, key)
  t.equal(load(t, webhook(''), { SALLYPORT_NOTIFICATIONS_WEBHOOK_SECRET: key }).settings?.notifications.webhook?.secret, key)
  t.match(messages(load(t, webhook(`secret = "${key}"\nsecret_file = "secret.txt"`))), [/one source of the secret too many/])
  t.match(messages(load(t, webhook('secret_env = "HOOK_KEY"'))), [/HOOK_KEY, which is not set/])
  t.match(messages(load(t, webhook('secret_file = "none.txt"'))), [/cannot be read/])
  t.match(messages(load(t, webhook('secret_file = "empty.txt"'))), [/^`notifications\.webhook\.secret_file` is empty$/])
})

t.test('a webhook that nothing signs, or hardly anything, is an error', async (t) => {
  t.match(messages(load(t, webhook(''))), [/needs `notifications\.webhook\.secret`/])
  t.match(messages(load(t, webhook('secret = "short"'))), [/fewer than 16 characters/])
  t.match(messages(load(t, `[notifications.webhook]\nsecret = "${key}"\n`)), [/without `notifications\.webhook\.url`/])
})

t.test('a command that only reads does without the key', async (t) => {
  const cwd = t.testdir({ 'sallyport.toml': webhook('secret_env = "HOOK_KEY"') })
  const { settings, warnings } = loadSettings({ flags: {}, env: {}, cwd, secrets: 'unused' })
  t.ok(settings)
  t.match(warnings, [/the proxy does not start without it/])
})

t.test('a URL that cannot be used as written is an error, and no message repeats it', async (t) => {
  const slack = (url: string): LoadedSettings => load(t, `[notifications.slack]\nurl = "${url}"\n`)
  for (const [url, expected] of [
    ['ftp://h.example/topsecret', /not a URL of http or https/], ['topsecret', /not a URL of http or https/], ['https://u:topsecret@h.example/', /may not hold credentials/],
    ['https://h.example/topsecret#a', /fragment/], ['https://a!b.example/topsecret', /host that is not valid/],
  ] as const) {
    const loaded = slack(url)
    t.match(messages(loaded), [expected], url)
    t.notMatch(JSON.stringify(loaded), /topsecret/, url)
  }
  t.match(messages(load(t, '[notifications]\npage_url = "https://review.example/?a=b"\n')), [/path only/])
  t.match(messages(load(t, '[notifications]\npage_url = "javascript:alert(1)"\n')), [/not a URL of http or https/])
})

t.test('messages in clear text are warned about, on loopback not', async (t) => {
  t.match(load(t, '[notifications.slack]\nurl = "http://slack.example/x"\n').warnings, [/Slack messages are sent in clear text/])
  t.same(load(t, '[notifications.slack]\nurl = "http://127.0.0.1:9/x"\n').warnings, [])
})

t.test('agents are kept from what is notified', async (t) => {
  const { settings } = load(t, `${webhook(`secret = "${key}"`)}[notifications.slack]\nurl = "http://slack.example:8080/x"\n`)
  if (settings === undefined) throw new Error('no settings')
  t.same(reservedDestinations(settings), [{ host: 'hooks.corp.example', port: 443 }, { host: 'slack.example', port: 8080 }])
})
