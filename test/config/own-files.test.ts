import { join } from 'node:path'
import t from 'tap'
import { loadSettings } from '../../src/config/load.ts'
import { portOf, urlOf } from '../../src/config/listener-url.ts'
import { ownFiles } from '../../src/config/own-files.ts'

t.test('what no agent may see is data, certificates, policies, settings and every file of a secret, once', async (t) => {
  const dir = t.testdir({
    'sallyport.toml': 'data = "d"\ncerts = "c"\npolicies = "c"\n[control_tls]\ncert_file = "tls.pem"\nkey_file = "tls-key.pem"\n[notifications.webhook]\nurl = "https://hook.example/"\nsecret_file = "hook"\n[upstream_proxy]\nurl = "http://parent.example:3128"\nusername = "u"\npassword_file = "password"\n',
    hook: 'a secret that is long enough\n',
    password: 'secret\n',
    'tls.pem': '',
    'tls-key.pem': '',
  })
  const { settings, problems } = loadSettings({ flags: { requirements: 'managed.toml' }, env: {}, cwd: dir })
  t.strictSame(problems, [])
  if (settings === undefined) return
  const names = ['d', 'c', 'managed.toml', 'sallyport.toml', 'tls.pem', 'tls-key.pem', 'hook', 'password'].map((name) => join(dir, name))
  t.strictSame(new Set(ownFiles(settings)), new Set([...names, '/etc/sallyport']))
  t.equal(ownFiles(settings).length, names.length + 1)
})

t.test('a listener is told by its URL', async (t) => {
  t.equal(urlOf({ address: '127.0.0.1', port: 3128 }), 'http://127.0.0.1:3128')
  t.equal(urlOf({ address: '::1', port: 1 }), 'http://[::1]:1')
  t.equal(portOf('http://[::1]:4711'), 4711)
})
