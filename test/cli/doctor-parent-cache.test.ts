import t, { type Test } from 'tap'
import type { Finding } from '../../src/cli/doctor-finding.ts'
import { parentCacheFindings } from '../../src/cli/doctor-parent-cache.ts'
import { systemClock } from '../../src/clock.ts'
import { loadSettings } from '../../src/config/load.ts'
import { missAnswer, pageAnswer, startFakeParent } from '../support/parent-cache.ts'

async function found(t: Test, lines: string): Promise<Finding[]> {
  const cwd = t.testdir({ 'sallyport.toml': lines, 'resolv.conf': '', hosts: '' })
  const { settings } = loadSettings({ flags: {}, env: { SALLYPORT_DNS_RESOLV_CONF: 'resolv.conf', SALLYPORT_DNS_HOSTS: 'hosts' }, cwd })
  if (settings === undefined) throw new Error('the settings are wrong')
  return parentCacheFindings(settings, systemClock)
}

t.test('nothing is said without a parent cache', async (t) => {
  t.same(await found(t, ''), [])
})

t.test('a parent cache is tested as the proxy tests it', async (t) => {
  const parent = await startFakeParent(t)
  const lines = `[cache.parent]\nurl = "${parent.url}"\ntimeout = "10 s"\n`
  t.match(await found(t, lines), [{ name: 'parent_cache', group: 'setup', status: 'ok' }])
  parent.onTest = (request, response) => (request.url?.startsWith('https:') === true ? response.writeHead(400).end() : missAnswer(request, response))
  t.match(await found(t, lines), [{ status: 'warn', detail: /http pages only/ }])
  parent.onTest = pageAnswer('anything')
  t.match(await found(t, lines), [{ status: 'fail', detail: /it answered 200 where/ }])
  await parent.close()
  t.match(await found(t, lines), [{ status: 'fail', remedy: /nothing is read from it/ }])
  t.match(await found(t, '[cache.parent]\nurl = "http://no-such.example:3128"\n'), [{ status: 'fail' }])
  t.same(parent.asked, [])
})
