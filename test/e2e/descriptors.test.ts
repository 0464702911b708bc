// A proxy that has run out of file descriptors: it stays up, what it cannot serve is refused or waits, nothing
// goes out undecided, and it serves as before once descriptors are free. A process of its own has the limit.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { verifyJournal } from '../../src/audit/verify.ts'
import { startChildProxy, type ChildProxy } from '../support/child-proxy.ts'
import { readJournal } from '../support/proxy.ts'
import { strictOrigin } from '../support/strict-origin.ts'
import { readAnswers, say, WireClient } from '../support/wire-client.ts'

// an idle proxy holds about 30
const descriptors = 64
const flood = 150
// the table of a process's descriptors tells when they have run out
const skip = process.platform === 'linux' ? false : 'only Linux has /proc/PID/fd'

function policyFor(port: number): string {
  return `[network]\nunknown = "deny"\ndenied_domains = ["denied.test"]\nallowed_domains = ["127.0.0.1:${port}"]\n`
}

async function start(t: Test, port: number): Promise<{ readonly proxy: ChildProxy; readonly dir: string }> {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-descriptors-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  return { proxy: await startChildProxy(t, { dir, policy: policyFor(port), descriptors }), dir }
}

/** Connections whose head is begun and not ended, until the proxy has no descriptor left. */
async function exhaust({ child, port }: ChildProxy): Promise<readonly WireClient[]> {
  const clients = await Promise.all(Array.from({ length: flood }, async () => {
    const client = await WireClient.open(port)
    client.send('GET ')
    return client
  }))
  while (readdirSync(`/proc/${child.pid}/fd`).length < descriptors - 1) await delay(10)
  return clients
}

/** The status of the first answer, or `closed`; the connection's descriptor is given back. */
async function settled(client: WireClient): Promise<number | 'closed'> {
  await client.until((received) => readAnswers(received).length > 0)
  client.socket.destroy()
  return readAnswers(client.received)[0]?.status ?? 'closed'
}

const head = (port: number, path: string): string => `http://127.0.0.1:${port}${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`

async function servedAgain(proxyPort: number, bytes: string, status: string): Promise<void> {
  while (!(await say(proxyPort, bytes)).startsWith(`HTTP/1.1 ${status} `)) await delay(20)
}

t.test('out of descriptors it refuses or lets wait, allows nothing undecided, and serves again', { skip }, async (t) => {
  const origin = await strictOrigin(t)
  const { proxy, dir } = await start(t, origin.port)
  const clients = await exhaust(proxy)
  t.equal(proxy.child.exitCode, null, 'it is up')
  const late = await Promise.all(Array.from({ length: flood }, () => WireClient.open(proxy.port)))
  for (const [at, client] of late.entries()) client.send(at % 2 === 0 ? `GET ${head(origin.port, `/late/${at}`)}` : 'CONNECT denied.test:443 HTTP/1.1\r\nHost: denied.test:443\r\n\r\n')
  for (const [at, client] of clients.entries()) client.send(head(origin.port, `/early/${at}`))
  const outcomes = await Promise.all([...clients, ...late].map(settled))
  t.equal(outcomes.length, 2 * flood, 'none is left hanging')
  const odd = outcomes.filter((outcome) => !['closed', 200, 403, 500, 502, 503].includes(outcome))
  t.strictSame(odd, [], 'each is served, refused or closed')
  t.ok(outcomes.some((outcome) => outcome !== 200 && outcome !== 403), 'not all of them could be served')
  t.ok(outcomes.filter((_, at) => at >= flood && (at - flood) % 2 === 1).every((outcome) => outcome !== 200), 'what is denied is not served')

  await servedAgain(proxy.port, `GET ${head(origin.port, '/after').replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n')}`, '200')
  t.equal(origin.requests.filter(({ target }) => target === '/after').length, 1)
  t.equal(proxy.child.exitCode, null, 'the same process')
  proxy.child.kill('SIGTERM')
  t.equal(await proxy.ended, 0)

  const journal = join(dir, 'var', 'journal')
  t.match(await verifyJournal(journal), { ok: true })
  const allowed = readJournal(journal).filter(({ name, attributes }) => name === 'sallyport.decision' && attributes['network.policy.decision'] === 'allow').map(({ attributes }) => attributes['url.path'])
  t.strictSame(origin.requests.filter(({ target }) => !allowed.includes(target)), [], 'what reached the origin was decided on')
  t.strictSame(origin.complaints, [])
})

t.test('a policy that changes while there are none is in force soon after', { skip }, async (t) => {
  const origin = await strictOrigin(t)
  const { proxy, dir } = await start(t, origin.port)
  const whole = `GET ${head(origin.port, '/').replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n')}`
  await servedAgain(proxy.port, whole, '200')
  const clients = await exhaust(proxy)
  writeFileSync(join(dir, 'policies', '10-test.toml'), '[network]\nunknown = "deny"\n')
  while (!proxy.stderr().includes('could not be compiled')) await delay(10)
  for (const client of clients) client.socket.destroy()
  await servedAgain(proxy.port, whole, '403')
  t.equal(proxy.child.exitCode, null)
})
