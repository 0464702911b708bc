// Thousands of clients that hold connections and do next to nothing with them, and a few that work beside them: how long
// the proxy keeps each kind, and what the others notice. The short form of it is in test/e2e/limits.test.ts and
// test/e2e/intercept-limits.test.ts.
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { constants, setPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import tls from 'node:tls'
import { parseArgs } from 'node:util'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { startOptions } from '../../bench/peers/sallyport.ts'
import { hello, serverNames } from '../ingress/hello-bytes.ts'
import { testCertificates } from '../support/certificates.ts'
import { startChildProxy } from '../support/child-proxy.ts'
import { httpOrigin, tlsOrigin } from '../support/origins.ts'
import { openTunnel } from '../support/raw-client.ts'
import { withScope, type Scope } from '../support/scope.ts'

const usage = `usage: node test/scripts/slow-clients.ts [OPTIONS]

Starts a proxy with default limits in a process of its own, keeps so many slow clients connected for so long (one that
is closed is followed by another), beside healthy ones on both legs, and then waits until the proxy has closed the last.

  head    a byte of a field every 2 s                      body  ten bytes of a long body, then nothing
  hello   a byte of a TLS hello every second, in a tunnel  read  never reads its answer of 16 MiB

  --clients N   slow clients at once, default 5000
  --seconds S   for so long, default 60
  --wait S      for those that are left, default 330
  --only KIND   of the clients only those of one kind, such as \`head\`
  --json        one JSON object
  --help        this

examples:
  node test/scripts/slow-clients.ts --clients 500 --seconds 20 --wait 70
  node test/scripts/slow-clients.ts --json > slow.json

It ends with 1 when a healthy request was not answered with 200, or a slow client is left. Readers fill the kernel's
buffers with some MB each, so there are few of them: 4 in 100. Run it with \`ulimit -n\` at three times the clients.
`

type Kind = 'head' | 'body' | 'hello' | 'read'
type Leg = 'plain' | 'inside'

interface Task {
  readonly port: number
  readonly plainPort: number
  readonly securePort: number
  readonly ca: string
  readonly clients: number
  readonly seconds: number
  readonly waitSeconds: number
  readonly only: string | undefined
}

interface Kept {
  readonly kind: string
  readonly opened: number
  /** `s` from its slowness on until the proxy closed it */
  readonly median: number
  readonly longest: number
  readonly left: number
}

const site = 'slow.test'
// a session has 256 connections to one host, and slow bodies take them all
const healthySite = 'healthy.test'
const mix: readonly { readonly kind: Kind; readonly leg: Leg; readonly share: number }[] = [
  { kind: 'head', leg: 'plain', share: 0.2 }, { kind: 'head', leg: 'inside', share: 0.2 }, { kind: 'body', leg: 'plain', share: 0.14 }, { kind: 'body', leg: 'inside', share: 0.14 },
  { kind: 'hello', leg: 'plain', share: 0.28 }, { kind: 'read', leg: 'plain', share: 0.02 }, { kind: 'read', leg: 'inside', share: 0.02 },
]
const healthyPerLeg = 4
const pauseMs = 20
const bodyBytes = 16 * 1024 * 1024
const settleMs = 5_000

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { clients: { type: 'string', default: '5000' }, seconds: { type: 'string', default: '60' }, wait: { type: 'string', default: '330' }, only: { type: 'string' }, json: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } } })
  if (values.help) {
    process.stdout.write(usage)
    return
  }
  const [clients, seconds, waitSeconds] = [values.clients, values.seconds, values.wait].map(Number)
  if (clients === undefined || seconds === undefined || waitSeconds === undefined || ![clients, seconds, waitSeconds].every((each) => Number.isSafeInteger(each) && each > 0)) {
    process.stderr.write('--clients, --seconds and --wait want a whole number above 0; --help says more\n')
    process.exitCode = 2
    return
  }
  const { only } = values
  if (only !== undefined && !mix.some(({ kind }) => kind === only)) {
    process.stderr.write('--only wants head, body, hello or read; --help says more\n')
    process.exitCode = 2
    return
  }
  await withScope(async (scope) => {
    const result = await measure(scope, clients, seconds, waitSeconds, only)
    process.stdout.write(values.json ? `${JSON.stringify(result, undefined, 2)}\n` : table(result))
    if (result.unanswered > 0 || result.kept.some(({ left }) => left > 0)) process.exitCode = 1
  })
}

interface Latency {
  readonly requests: number
  /** `ms` */
  readonly p50: number
  readonly p99: number
}

interface Result {
  readonly clients: number
  readonly seconds: number
  readonly kept: readonly Kept[]
  readonly healthy: Readonly<Record<Leg, { readonly without: Latency; readonly beside: Latency; readonly p50Ratio: number; readonly p99Ratio: number }>>
  /** healthy requests that got no 200 */
  readonly unanswered: number
}

async function measure(scope: Scope, clients: number, seconds: number, waitSeconds: number, only: string | undefined): Promise<Result> {
  const certificates = await testCertificates()
  const large = Buffer.alloc(bodyBytes, 'x')
  const answer: Parameters<typeof httpOrigin>[1] = (request, response) => {
    // one that answers before it has the body would end what is measured
    request.on('end', () => response.end(request.url === '/large' ? large : 'fine\n')).resume()
  }
  const plain = await httpOrigin(scope, answer)
  const secure = await tlsOrigin(scope, [site, healthySite], certificates, answer)
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-slow-'))
  scope.teardown(() => rmSync(dir, { recursive: true, force: true }))
  writeFileSync(join(dir, 'hosts'), `127.0.0.1 ${site} ${healthySite}\n`)
  writeFileSync(join(dir, 'roots.pem'), certificates.ca)
  writeFileSync(join(dir, 'settings.toml'), '[dns]\nhosts = "hosts"\n')
  const rule = (id: string, port: number, more: string): string => `[[network.rules]]\nid = "${id}"\nhosts = ["${site}:${port}", "${healthySite}:${port}"]\nlocal = ["127.0.0.1/32"]\nverdict = "allow"\n${more}`
  const policy = `[network]\nunknown = "deny"\n${rule('plain', plain.port, '')}${rule('inside', secure.port, 'methods = ["GET", "POST"]\norigin_ca = ["../roots.pem"]\n')}`
  const proxy = await startChildProxy(scope, { dir, policy, nodeOptions: startOptions, flags: ['--config', join(dir, 'settings.toml'), '--certs', join(dir, 'certs')] })
  // the root is made with the first CONNECT that needs it
  const first = await openTunnel(proxy.port, `${site}:${secure.port}`)
  first.socket.destroy()
  const task: Task = { port: proxy.port, plainPort: plain.port, securePort: secure.port, ca: readFileSync(join(dir, 'certs', 'root.pem'), 'latin1'), clients, seconds, waitSeconds, only }
  const healthy = new Healthy(task)
  await healthy.for(2_000)
  const without = await healthy.for(seconds * 500)
  const worker = new Worker(import.meta.filename, { workerData: task })
  const kept = once(worker, 'message').then(([message]: unknown[]) => message as readonly Kept[])
  await delay(settleMs)
  const beside = await healthy.for(seconds * 1000 - settleMs)
  return {
    clients, seconds, kept: await kept, unanswered: healthy.unanswered,
    healthy: { plain: compared(without.plain, beside.plain), inside: compared(without.inside, beside.inside) },
  }
}

function compared(without: Latency, beside: Latency) {
  return { without, beside, p50Ratio: beside.p50 / without.p50, p99Ratio: beside.p99 / without.p99 }
}

/** A few clients on kept-alive connections, each with a request after the other. */
class Healthy {
  readonly #task: Task
  unanswered = 0

  constructor(task: Task) {
    this.#task = task
  }

  async for(ms: number): Promise<Record<Leg, Latency>> {
    const until = performance.now() + ms
    const times: Record<Leg, number[]> = { plain: [], inside: [] }
    await Promise.all((['plain', 'inside'] as const).flatMap((leg) => Array.from({ length: healthyPerLeg }, async () => {
      let { socket } = await connect(this.#task, leg, '127.0.0.1', healthySite)
      while (performance.now() < until) {
        const begun = performance.now()
        const received = await exchange(socket, requestOf(this.#task, leg, healthySite, '/', ''))
        times[leg].push(performance.now() - begun)
        if (!received.startsWith('HTTP/1.1 200 ')) {
          this.unanswered += 1
          socket.destroy()
          socket = (await connect(this.#task, leg, '127.0.0.1', healthySite)).socket
        }
        await delay(pauseMs)
      }
      socket.destroy()
    })))
    return { plain: latencyOf(times.plain), inside: latencyOf(times.inside) }
  }
}

function latencyOf(times: readonly number[]): Latency {
  const sorted = times.toSorted((a, b) => a - b)
  return { requests: sorted.length, p50: at(sorted, 0.5), p99: at(sorted, 0.99) }
}

function at(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}

/** One request whose answer ends in the origin's one line; what came until then, or until the close. */
function exchange(socket: net.Socket, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    let received = ''
    const done = (): void => {
      socket.off('data', take).off('close', done)
      resolve(received)
    }
    const take = (chunk: Buffer): void => {
      received += chunk.toString('latin1')
      if (received.endsWith('fine\n')) done()
    }
    socket.on('data', take).on('close', done)
    socket.write(bytes)
  })
}

function requestOf({ plainPort, securePort }: Task, leg: Leg, name: string, path: string, fields: string, method = 'GET'): string {
  const host = `${name}:${leg === 'plain' ? plainPort : securePort}`
  return `${method} ${leg === 'plain' ? `http://${host}` : ''}${path} HTTP/1.1\r\nHost: ${host}\r\n${fields}\r\n`
}

/** A connection on which requests of this leg are sent. Rejects when the proxy turns it away. */
async function connect(task: Task, leg: Leg, from: string, name: string): Promise<{ readonly socket: net.Socket; readonly carrier: net.Socket }> {
  const socket = net.connect({ host: '127.0.0.1', port: task.port, localAddress: from, noDelay: true })
  socket.on('error', () => socket.destroy())
  await opened(socket, 'connect')
  if (leg === 'plain') return { socket, carrier: socket }
  await tunnelled(socket, `${name}:${task.securePort}`)
  const secured = tls.connect({ socket, ca: task.ca, servername: name, ALPNProtocols: ['http/1.1'] })
  secured.on('error', () => secured.destroy())
  await opened(secured, 'secureConnect')
  return { socket: secured, carrier: socket }
}

async function tunnelled(socket: net.Socket, authority: string): Promise<void> {
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`)
  await opened(socket, 'data')
}

function opened(socket: net.Socket, event: 'connect' | 'secureConnect' | 'data'): Promise<void> {
  return new Promise((resolve, reject) => {
    const gone = (): void => reject(new Error(`closed before ${event}`))
    socket.once('close', gone)
    socket.once(event, () => {
      socket.off('close', gone)
      resolve()
    })
  })
}

/** In a thread of its own and behind all others, so that the healthy ones wait for the proxy and not for this. */
async function slowClients(task: Task): Promise<void> {
  // on Linux that is of this thread, elsewhere of the process
  if (process.platform === 'linux') setPriority(constants.priority.PRIORITY_LOW)
  const until = performance.now() + task.seconds * 1000
  const last = until + task.waitSeconds * 1000
  const kept = await Promise.all(mix.filter(({ kind }) => task.only === undefined || kind === task.only).map(async ({ kind, leg, share }): Promise<Kept> => {
    const seconds: number[] = []
    let left = 0
    await Promise.all(Array.from({ length: Math.max(1, Math.round(task.clients * share)) }, async (_, number) => {
      while (performance.now() < until) {
        const socket = await beSlow(task, kind, leg, `127.0.0.${2 + (number % 8)}`).catch(() => undefined)
        if (socket === undefined) {
          await delay(100)
          continue
        }
        const begun = performance.now()
        const giveUp = setTimeout(() => {
          left += 1
          socket.destroy()
        }, last - begun)
        await untilClosed(socket)
        clearTimeout(giveUp)
        if (performance.now() < last) seconds.push((performance.now() - begun) / 1000)
      }
    }))
    const sorted = seconds.toSorted((a, b) => a - b)
    return { kind: kind === 'hello' ? kind : `${kind}, ${leg}`, opened: seconds.length + left, median: at(sorted, 0.5), longest: sorted.at(-1) ?? 0, left }
  }))
  parentPort?.postMessage(kept, [])
}

/** The connection from the moment on that it is slow. */
async function beSlow(task: Task, kind: Kind, leg: Leg, from: string): Promise<net.Socket> {
  const { socket, carrier } = await connect(task, leg, from, site)
  if (kind === 'head') {
    socket.write(requestOf(task, leg, site, '/', '').slice(0, -2))
    drip(socket, Buffer.from('X-A: '.padEnd(4096, 'a')), 2_000)
  } else if (kind === 'body') {
    socket.write(`${requestOf(task, leg, site, '/', 'Content-Length: 1000000\r\n', 'POST')}ten bytes.`)
  } else if (kind === 'hello') {
    await tunnelled(socket, `${site}:${task.securePort}`)
    drip(socket, hello(serverNames({ name: site })), 1_000)
  } else {
    socket.write(requestOf(task, leg, site, '/large', ''))
    socket.pause()
    closeWithPeer(carrier, socket, task.port)
    return socket
  }
  socket.resume()
  return socket
}

/** Whatever the end was. */
function untilClosed(socket: net.Socket): Promise<void> {
  return socket.closed ? Promise.resolve() : new Promise((resolve) => socket.once('close', () => resolve()))
}

function drip(socket: net.Socket, bytes: Buffer, everyMs: number): void {
  let sent = 0
  const timer = setInterval(() => {
    if (sent < bytes.length && socket.writable && !socket.readableEnded) socket.write(bytes.subarray(sent, (sent += 1)))
  }, everyMs)
  socket.once('close', () => clearInterval(timer))
}

/** Who does not read does not hear of the end: the table of the kernel tells whether the proxy has closed its side. */
function closeWithPeer(carrier: net.Socket, socket: net.Socket, port: number): void {
  const [first, second, third, fourth] = (carrier.localAddress ?? '').split('.').map((octet) => hex(octet, 2))
  const row = `:${hex(port, 4)} ${fourth}${third}${second}${first}:${hex(carrier.localPort ?? 0, 4)} 01 `
  const timer = setInterval(() => {
    if (!connectionTable().includes(row)) socket.destroy()
  }, 2_000)
  socket.once('close', () => clearInterval(timer))
}

function hex(number: number | string, digits: number): string {
  return Number(number).toString(16).toUpperCase().padStart(digits, '0')
}

const connections = { text: '', readAt: -Infinity }

/** Linux alone has it. */
function connectionTable(): string {
  if (performance.now() - connections.readAt > 1_000) Object.assign(connections, { text: readFileSync('/proc/net/tcp', 'latin1'), readAt: performance.now() })
  return connections.text
}

function table({ clients, seconds, kept, healthy, unanswered }: Result): string {
  const rows = kept.map(({ kind, opened: count, median, longest, left }) => `  ${kind.padEnd(13)} ${String(count).padStart(7)} ${median.toFixed(1).padStart(9)} s ${longest.toFixed(1).padStart(9)} s ${String(left).padStart(6)}\n`)
  const legs = Object.entries(healthy).map(([leg, { without, beside, p50Ratio, p99Ratio }]) =>
    `  ${leg.padEnd(13)} p50 ${without.p50.toFixed(1)} ms, with them ${beside.p50.toFixed(1)} ms (${p50Ratio.toFixed(2)}); p99 ${without.p99.toFixed(1)} ms, with them ${beside.p99.toFixed(1)} ms (${p99Ratio.toFixed(2)}); ${beside.requests} requests\n`)
  return `${clients} slow clients for ${seconds} s\n\n  ${'kind'.padEnd(13)} ${'opened'.padStart(7)} ${'median'.padStart(11)} ${'longest'.padStart(11)} ${'left'.padStart(6)}\n${rows.join('')}\nhealthy ones beside them; ${unanswered} without an answer\n\n${legs.join('')}`
}

if (isMainThread) await main()
else await slowClients(workerData as Task)
