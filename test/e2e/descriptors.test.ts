// A proxy whose clients want more file descriptors than there are: it stays up, what it cannot serve is refused or closed,
// nothing goes out undecided, operators and the journal have theirs, and it serves as before once some are free. A
// process of its own has the limit.
import http from 'node:http'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { verifyJournal } from '../../src/audit/verify.ts'
import { sharesOf } from '../../src/config/descriptors.ts'
import { startChildProxy, type ChildProxy } from '../support/child-proxy.ts'
import { readJournal } from '../support/proxy.ts'
import { strictOrigin } from '../support/strict-origin.ts'
import { readAnswers, say, WireClient } from '../support/wire-client.ts'

const descriptors = 256
const { clients: places, ceiling } = sharesOf(descriptors)
const keptBack = (descriptors - ceiling) / 2
const flood = 300
// the table of a process's descriptors tells how many are taken
const skip = process.platform === 'linux' ? false : 'only Linux has /proc/PID/fd'
const names = ['a.many.test', 'b.many.test', 'c.many.test', 'd.many.test']

function policyFor(port: number): string {
  return `[network]\nunknown = "deny"\ndenied_domains = ["denied.test"]\nallowed_domains = ["127.0.0.1:${port}"]\n[[network.rules]]\nid = "many"\nhosts = ["*.many.test:${port}"]\nlocal = ["127.0.0.1/32"]\nverdict = "allow"\n`
}

async function start(t: Test, port: number): Promise<{ readonly proxy: ChildProxy; readonly dir: string }> {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-descriptors-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  writeFileSync(join(dir, 'hosts'), names.map((name) => `127.0.0.1 ${name}\n`).join(''))
  writeFileSync(join(dir, 'settings.toml'), '[audit]\nsegment_bytes = "64 KiB"\n[dns]\nhosts = "hosts"\n')
  return { proxy: await startChildProxy(t, { dir, policy: policyFor(port), ops: true, descriptors, flags: ['--config', join(dir, 'settings.toml'), '--control', '127.0.0.1:0'] }), dir }
}

function taken({ child }: ChildProxy): number {
  return readdirSync(`/proc/${child.pid}/fd`).length
}

/** Connections whose head is begun and not ended, until the proxy takes no more. */
async function exhaust(t: Test, proxy: ChildProxy): Promise<readonly WireClient[]> {
  const clients = await Promise.all(Array.from({ length: flood }, async () => {
    const client = await WireClient.open(proxy.port)
    client.send('GET ')
    return client
  }))
  const turnedAway = (): number => clients.filter(({ isClosed, received }) => isClosed || received.includes('"code":"out_of_descriptors"')).length
  while (turnedAway() < flood - places) await delay(10)
  t.equal(turnedAway(), flood - places, 'as many are taken in as there are places')
  return clients
}

/** Status of a new call on a connection of its own. */
function call(options: http.RequestOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    http.get({ ...options, agent: false }, (response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode ?? 0))
    }).on('error', reject)
  })
}

async function operatorsAreAnswered(t: Test, { control, controlSocket, ops }: ChildProxy): Promise<void> {
  t.equal(await call({ socketPath: controlSocket, path: '/v1/policy' }), 200, 'by the socket')
  t.equal(await call({ host: '127.0.0.1', port: new URL(control).port, path: '/v1/policy' }), 401, 'by TCP, though not to a stranger')
  t.equal(await call({ host: '127.0.0.1', port: new URL(ops).port, path: '/readyz' }), 200)
}

/** The status of the first answer, or `closed`; the connection's descriptor is given back. */
async function settled(client: WireClient): Promise<number | 'closed'> {
  await client.until((received) => readAnswers(received).length > 0)
  client.socket.destroy()
  return readAnswers(client.received)[0]?.status ?? 'closed'
}

const head = (port: number, path: string, host = '127.0.0.1'): string => `http://${host}:${port}${path} HTTP/1.1\r\nHost: ${host}:${port}\r\n\r\n`
const closing = (bytes: string): string => bytes.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n')

async function servedAgain(proxyPort: number, bytes: string, status: string): Promise<void> {
  while (!(await say(proxyPort, bytes)).startsWith(`HTTP/1.1 ${status} `)) await delay(20)
}

t.test('with more clients than descriptors it refuses the rest, answers operators, allows nothing undecided, and serves again', { skip }, async (t) => {
  const origin = await strictOrigin(t)
  const { proxy, dir } = await start(t, origin.port)
  t.match(proxy.warnings, [/may have 256 files open, which is enough for 68 client connections: raise it/])
  const clients = await exhaust(t, proxy)
  await operatorsAreAnswered(t, proxy)
  const late = await Promise.all(Array.from({ length: flood }, () => WireClient.open(proxy.port)))
  for (const [at, client] of late.entries()) client.send(at % 2 === 0 ? `GET ${head(origin.port, `/late/${at}`)}` : 'CONNECT denied.test:443 HTTP/1.1\r\nHost: denied.test:443\r\n\r\n')
  const open = clients.filter(({ isClosed, received }) => !isClosed && received === '')
  t.equal(open.length, places)
  for (const [at, client] of open.entries()) client.send(head(origin.port, `/early/${at}`))
  t.strictSame(new Set(await Promise.all(open.map(settled))), new Set([200]), 'each that was taken in is served')
  const outcomes = await Promise.all(late.map(settled))
  t.equal(outcomes.length, flood, 'none is left hanging')
  t.strictSame(outcomes.filter((outcome) => !['closed', 200, 403, 503].includes(outcome)), [], 'each of the others is served, refused or closed')
  t.ok(outcomes.some((outcome) => outcome === 'closed' || outcome === 503), 'not all of them could be served')
  t.ok(outcomes.filter((_, at) => at % 2 === 1).every((outcome) => outcome !== 200), 'what is denied is not served')

  await servedAgain(proxy.port, closing(`GET ${head(origin.port, '/after')}`), '200')
  t.equal(origin.requests.filter(({ target }) => target === '/after').length, 1)
  t.equal(proxy.child.exitCode, null, 'the same process')
  t.notMatch(proxy.stderr(), /EMFILE/)
  proxy.child.kill('SIGTERM')
  t.equal(await proxy.ended, 0)

  const journal = join(dir, 'var', 'journal')
  t.match(await verifyJournal(journal), { ok: true })
  t.ok(readdirSync(journal).filter((name) => name.endsWith('.jsonl')).length > 2, 'segments were begun meanwhile')
  const allowed = readJournal(journal).filter(({ name, attributes }) => name === 'sallyport.decision' && attributes['network.policy.decision'] === 'allow').map(({ attributes }) => attributes['url.path'])
  t.strictSame(origin.requests.filter(({ target }) => !allowed.includes(target)), [], 'what reached the origin was decided on')
  t.strictSame(origin.complaints, [])
})

t.test('connections to origins stop short of what operators need, and are made again when some are closed', { skip }, async (t) => {
  const origin = await strictOrigin(t)
  const { proxy } = await start(t, origin.port)
  const clients = await Promise.all(Array.from({ length: places - 10 }, () => WireClient.open(proxy.port)))
  const statuses: (number | undefined)[] = []
  for (const [round, name] of names.entries()) {
    // each host has connections of its own, which are kept alive
    const answers = await Promise.all(clients.map(async (client) => {
      client.send(`GET ${head(origin.port, `/${round}`, name)}`)
      await client.until((received) => readAnswers(received).length > round)
      return readAnswers(client.received)[round]
    }))
    statuses.push(...answers.map((answer) => answer?.status))
    for (const answer of answers) if (answer?.status === 503) t.match(answer.body, /"code":"out_of_descriptors"/)
    const now = taken(proxy)
    t.ok(now < descriptors - keptBack, `${now} of ${descriptors}`)
  }
  t.same(new Set(statuses), new Set([200, 503]))
  await operatorsAreAnswered(t, proxy)
  await servedAgain(proxy.port, closing(`GET ${head(origin.port, '/after', 'd.many.test')}`), '200')
  for (const client of clients) client.socket.destroy()
})

t.test('a policy that changes while there is no place left is in force at once', { skip }, async (t) => {
  const origin = await strictOrigin(t)
  const { proxy, dir } = await start(t, origin.port)
  const clients = await exhaust(t, proxy)
  writeFileSync(join(dir, 'policies', '10-test.toml'), '[network]\nunknown = "deny"\n')
  while (!proxy.stderr().includes('a new policy is in force')) await delay(10)
  for (const client of clients) client.socket.destroy()
  await servedAgain(proxy.port, closing(`GET ${head(origin.port, '/')}`), '403')
  t.equal(proxy.child.exitCode, null)
  t.equal(origin.requests.length, 0)
})
