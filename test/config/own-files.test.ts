// What an isolated agent must not get to see or change, by the settings.
import t from 'tap'
import { loadSettings } from '../../src/config/load.ts'
import { ownFiles } from '../../src/config/own-files.ts'
import type { CredentialSource } from '../../src/config/settings.ts'

function filesWith(...sources: readonly CredentialSource[]): readonly string[] {
  const { settings } = loadSettings({ flags: {}, env: {}, cwd: '/srv/proxy' })
  if (settings === undefined) throw new Error('no settings')
  const credentials = sources.map((source, at) => ({ name: `c${at}`, source, hosts: ['a.example:443'], dummy: undefined, anyLayer: false }))
  return ownFiles({ ...settings, credentials })
}

t.test('what credentials are read from is the proxy\'s own', async (t) => {
  const bare = filesWith()
  for (const path of ['/srv/proxy/var', '/srv/proxy/certs', '/srv/proxy/policies', '/etc/sallyport']) t.ok(bare.includes(path), path)
  const more = filesWith(
    { kind: 'file', path: '/home/ana/secret' }, { kind: 'env', variable: 'HOME' }, { kind: 'command', command: ['/usr/bin/python3', '/home/ana/work/fetch.py', '--all'] },
    { kind: 'command', command: ['/home/ana/work/token', 'x'] }, { kind: 'command', command: ['pass', 'show', 'x'] }, { kind: 'keyring', service: '/a', account: '/b' },
  )
  t.strictSame(more.filter((path) => !bare.includes(path)), ['/home/ana/secret', '/home/ana/work/fetch.py', '/home/ana/work/token'])
})
