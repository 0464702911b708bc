// `sallyport why` beside a running proxy: the way to the reason for those whose client hides it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join, resolve } from 'node:path'
import t from 'tap'
import { keptModules } from '../../support/kept-modules.ts'
import { startProxy } from '../../support/proxy.ts'
import { rawExchange } from '../../support/raw-client.ts'

const program = resolve(import.meta.dirname, '../../../bin/sallyport.js')

async function sallyport(...args: readonly string[]): Promise<{ exitCode: unknown; output: string }> {
  const child = spawn(process.execPath, [program, ...args], { env: { PATH: process.env['PATH'] ?? '', ...keptModules }, stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (chunk) => (output += String(chunk)))
  const [exitCode] = await once(child, 'close')
  return { exitCode, output }
}

t.test('after a denial, sallyport why tells the reason, the rule, where it stands and the id the client was given', async (t) => {
  const proxy = await startProxy(t, { policy: '[network]\nunknown = "deny"\ndenied_domains = [\n  "pastebin.test",\n]\n' })
  const refusal = await rawExchange(proxy.port, 'CONNECT pastebin.test:443 HTTP/1.1\r\nHost: pastebin.test:443\r\n\r\n')
  const [, id = ''] = /^HTTP\/1\.1 403 .* \(req (\w+)\)/.exec(refusal) ?? []
  const data = join(proxy.dir, 'var')
  const { exitCode, output } = await sallyport('why', 'pastebin.test', '--data', data)
  t.equal(exitCode, 0)
  t.match(output, 'pastebin.test is on the denied list (denied_by_rule)')
  t.match(output, '10-test.toml:4, pattern pastebin.test')
  t.match(output, id)
  const json = JSON.parse((await sallyport('why', 'pastebin.test', '--data', data, '--json')).output) as { refusals: object[] }
  t.match(json.refusals, [{ host: 'pastebin.test', port: 443, code: 'denied_by_rule', request_id: id }])
  t.match((await sallyport('why', 'other.test', '--data', data)).output, 'no refusal of `other.test` is in the journal')
})
