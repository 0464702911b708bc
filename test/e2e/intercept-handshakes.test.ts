// Handshakes inside intercepted CONNECTs that their clients begin and do not end: each is cut by the time that a
// handshake has, what they held comes back, and whoever shakes hands as usual is served meanwhile.
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { residentBytes } from '../../bench/proc.ts'
import { verifyJournal } from '../../src/audit/verify.ts'
import { recordHello } from '../ingress/hello-bytes.ts'
import { testCertificates } from '../support/certificates.ts'
import { startChildProxy, type ChildProxy } from '../support/child-proxy.ts'
import { effort } from '../support/effort.ts'
import { insideRequest, openInside } from '../support/inside.ts'
import { tlsOrigin } from '../support/origins.ts'
import { readJournal, type JournalRecord } from '../support/proxy.ts'
import { openTunnel } from '../support/raw-client.ts'

const mib = 1024 * 1024
const handshakes = effort(1_000, 5_000)
// connections that are opened at once: a backlog is no part of this
const batch = 100
// long enough for all of them to be open together
const limit = effort(2, 6)
// as many again that were kept would be more than this
const growth = effort(48, 96) * mib
// the table of a process's descriptors tells what is held
const skip = process.platform === 'linux' ? false : 'only Linux has /proc/PID'

interface World {
  readonly proxy: ChildProxy
  readonly dir: string
  readonly authority: string
  descriptors(): number
  records(name: string): JournalRecord[]
}

async function start(t: Test): Promise<World> {
  const certificates = await testCertificates()
  const { port } = await tlsOrigin(t, ['127.0.0.1'], certificates)
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-handshakes-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true, maxRetries: 3 }))
  const roots = join(dir, 'roots.pem')
  const config = join(dir, 'sallyport.toml')
  writeFileSync(roots, certificates.ca)
  writeFileSync(config, `[limits]\nheaders_timeout = "${limit} s"\nhello_timeout = "${limit} s"\n`)
  const authority = `127.0.0.1:${port}`
  const policy = `[network]\nunknown = "deny"\n[[network.rules]]\nid = "read"\nhosts = ["${authority}"]\nlocal = ["127.0.0.1/32"]\norigin_ca = ["${roots}"]\nmethods = ["GET"]\nverdict = "allow"\n`
  const proxy = await startChildProxy(t, { dir, policy, flags: ['--certs', join(dir, 'certs'), '--config', config] })
  const pid = proxy.child.pid ?? 0
  return {
    proxy, dir, authority,
    descriptors: () => readdirSync(`/proc/${pid}/fd`).length,
    records: (name) => readJournal(join(dir, 'var', 'journal')).filter((record) => record.name === name),
  }
}

interface Stage {
  readonly says: Buffer
  /** the server answers it */
  readonly isHeard: boolean
}

/** How far a client that then says nothing gets with its handshake. */
function stagesOf(hello: Buffer): readonly Stage[] {
  const flight = Buffer.concat([hello, Buffer.from('140303000101', 'hex')])
  return [
    { says: Buffer.alloc(0), isHeard: false },
    { says: hello.subarray(0, hello.length >> 1), isHeard: false },
    { says: hello, isHeard: true },
    // and a change of ciphers, and the head of a record that never comes
    { says: flight, isHeard: true },
    { says: Buffer.concat([flight, Buffer.from('1703030100', 'hex')]), isHeard: true },
  ]
}

interface Begun {
  readonly closed: Promise<unknown>
}

/** Begins a handshake, and hears of the server's part of it when there is one. */
async function begin({ proxy, authority }: World, { says, isHeard }: Stage): Promise<Begun> {
  const { socket } = await openTunnel(proxy.port, authority)
  const closed = once(socket, 'close')
  socket.on('error', () => socket.destroy())
  socket.on('end', () => socket.end())
  const heard = isHeard ? once(socket, 'data') : undefined
  socket.resume()
  socket.write(says)
  await heard
  return { closed }
}

async function served(t: Test, { proxy, dir, authority }: World, path: string): Promise<number | undefined> {
  const client = await openInside(t, { dir, port: proxy.port }, authority)
  client.send(insideRequest(authority, path, { fields: 'Connection: close\r\n' }))
  const answer = await client.next()
  await client.closed()
  return answer?.status
}

/** Half-open handshakes of every stage, `count` of them, and an ordinary client after each batch of them. */
async function flood(t: Test, world: World, count: number, stages: readonly Stage[]): Promise<{ readonly held: number; readonly statuses: readonly (number | undefined)[] }> {
  const begun: Begun[] = []
  const statuses: (number | undefined)[] = []
  let held = 0
  for (let from = 0; from < count; from += batch) {
    begun.push(...(await Promise.all(Array.from({ length: batch }, (_, at) => begin(world, stages[at % stages.length] ?? { says: Buffer.alloc(0), isHeard: false })))))
    held = Math.max(held, world.descriptors())
    statuses.push(await served(t, world, `/${from}`))
  }
  await Promise.all(begun.map(({ closed }) => closed))
  return { held, statuses }
}

t.test(`${handshakes} handshakes that are begun and not ended are cut, and others are served meanwhile`, { skip, timeout: 120_000 }, async (t) => {
  const world = await start(t)
  const { proxy, dir } = world
  const stages = stagesOf(await recordHello({}))
  // the root is made with the first CONNECT that needs it
  const first = await openTunnel(proxy.port, world.authority)
  first.socket.destroy()
  // what the first time takes is kept for the next: heap, buffers, the journal's slots
  await flood(t, world, handshakes, stages)
  const before = { descriptors: world.descriptors(), resident: residentBytes(proxy.child.pid ?? 0), ended: world.records('sallyport.exchange.ended').length }

  const { held, statuses } = await flood(t, world, handshakes, stages)
  t.ok(held > before.descriptors + batch, `up to ${held} descriptors were held`)
  t.strictSame(statuses.filter((status) => status !== 200), [], 'whoever shakes hands is served')
  while (world.descriptors() > before.descriptors) await delay(20)
  t.pass(`${before.descriptors} descriptors, as before`)
  const resident = residentBytes(proxy.child.pid ?? 0)
  t.ok(resident - before.resident < growth, `from ${Math.round(before.resident / mib)} to ${Math.round(resident / mib)} MiB`)
  t.equal(await served(t, world, '/after'), 200)

  t.equal(proxy.child.exitCode, null, 'it is up')
  proxy.child.kill('SIGTERM')
  t.equal(await proxy.ended, 0)
  t.match(await verifyJournal(join(dir, 'var', 'journal')), { ok: true })
  const codes = world.records('sallyport.exchange.ended').slice(before.ended).map(({ attributes }) => attributes['sallyport.code'])
  const late = world.records('sallyport.decision').filter(({ attributes }) => attributes['sallyport.code'] === 'hello_timeout').length
  t.ok(codes.filter((code) => code === 'client_handshake_failed').length >= handshakes * 3 / 5, 'each that was begun is an exchange that failed')
  t.ok(late >= handshakes * 2 / 5, 'and each whose hello did not come one that was refused')
})
