// Streams of bytes that nobody would send on purpose, against a running proxy: pieces of HTTP and TLS and
// noise, cut anywhere, half-closed or reset. Whatever comes of them, nothing is dialled undecided.
import net from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { hello, serverNames } from '../ingress/hello-bytes.ts'
import { verifyJournal } from '../../src/audit/verify.ts'
import { plainHosts, plainPolicy, request } from './plain-world.ts'
import { rawOrigin, type Origin } from './origins.ts'
import * as fc from './property.ts'
import { startProxy, type TestProxy } from './proxy.ts'
import type { Scope } from './scope.ts'
import { strictOrigin, type StrictOrigin } from './strict-origin.ts'
import { say } from './wire-client.ts'

export interface StreamsResult {
  /** connections made, and what of them was answered with some status line */
  readonly streams: number
  readonly answered: number
  /** requests that reached the origin, and connections to it */
  readonly requests: number
  readonly connections: number
  /** connections to the end of tunnels */
  readonly tunnels: number
  /** decisions that allowed */
  readonly allowed: number
  /** what should not be: empty when all is well */
  readonly faults: readonly string[]
}

type Ending = 'close' | 'half-close' | 'reset'

interface Stream {
  readonly pieces: readonly Buffer[]
  readonly ending: Ending
}

const inFlight = 40

interface Ports {
  readonly plain: number
  readonly tunnel: number
}

function wholes({ plain: port, tunnel }: Ports): readonly (string | Buffer)[] {
  const host = `tunnel.test:${tunnel}`
  return [
    request(port, '/a'), request(port, '/b', 'Connection: close\r\n'), request(port, '/c', 'Content-Length: 5\r\n', 'POST', 'hello'), request(port, '/d', 'Transfer-Encoding: chunked\r\n', 'POST', '5\r\nhello\r\n0\r\n\r\n'),
    `CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`, 'CONNECT denied.test:443 HTTP/1.1\r\nHost: denied.test:443\r\n\r\n', 'GET http://denied.test/ HTTP/1.1\r\nHost: denied.test\r\n\r\n', `GET http://other.test:${port}/e HTTP/1.1\r\nHost: other.test:${port}\r\n\r\n`,
    Buffer.concat([Buffer.from(`CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`), hello(serverNames({ name: 'tunnel.test' }))]),
  ]
}

function fragments({ plain: port }: Ports): readonly (string | Buffer)[] {
  const host = `allowed.test:${port}`
  return [
    'GET ', 'POST ', 'CONNECT ', `http://${host}/`, host, ' HTTP/1.1\r\n', ' HTTP/1.0\r\n', `Host: ${host}\r\n`, 'Content-Length: 5\r\n', 'Transfer-Encoding: chunked\r\n', 'Expect: 100-continue\r\n', 'Connection: Upgrade\r\nUpgrade: websocket\r\n', 'Connection: keep-alive\r\n', '\r\n', '\r\n\r\n', '\n', '\r', '\0', '0\r\n\r\n', '5\r\nhello\r\n', 'ffffffffffffffff\r\n', ' ', '\t', ':', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    hello(serverNames({ name: 'tunnel.test' })), hello(serverNames({ name: 'denied.test' })), hello(), Buffer.from([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3]), Buffer.from([0x15, 3, 3, 0, 2, 2, 40]), Buffer.from([5, 1, 0]), Buffer.from([0x16, 3, 3, 0xff, 0xff]),
  ]
}

function anyStream(ports: Ports): fc.Arbitrary<Stream> {
  const noise = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes))
  const of = (texts: readonly (string | Buffer)[]): fc.Arbitrary<Buffer> => fc.constantFrom(...texts).map((text) => (typeof text === 'string' ? Buffer.from(text, 'latin1') : text))
  const whole = of(wholes(ports))
  const known = fc.oneof(whole, of(fragments(ports)))
  const cut = fc.tuple(known, fc.double({ min: 0, max: 1, noNaN: true })).map(([bytes, part]) => bytes.subarray(0, Math.ceil(bytes.length * part)))
  const flipped = fc.tuple(known, fc.nat(), fc.nat({ max: 255 })).map(([bytes, at, byte]) => {
    const copy = Buffer.from(bytes)
    copy[at % copy.length] = byte
    return copy
  })
  const piece = fc.oneof({ weight: 6, arbitrary: known }, { weight: 2, arbitrary: cut }, { weight: 2, arbitrary: flipped }, { weight: 1, arbitrary: noise })
  const bytes = fc.tuple(fc.oneof(whole, piece), fc.array(piece, { maxLength: 5 })).map(([first, pieces]) => Buffer.concat([first, ...pieces]))
  const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 4 })
  const ending = fc.constantFrom<Ending>('close', 'half-close', 'reset')
  return fc.record({ bytes, cuts, ending }).map(({ bytes: all, cuts: at, ending: how }) => {
    const places = [0, ...at.map((part) => Math.floor(part * all.length)), all.length].toSorted((a, b) => a - b)
    return { ending: how, pieces: places.slice(1).map((end, index) => all.subarray(places[index], end)).filter(({ length }) => length > 0) }
  })
}

/** Sends one stream; resolves to whether a status line came back, once the connection is gone. */
async function play(port: number, { pieces, ending }: Stream): Promise<boolean> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  let isAnswered = false
  socket.on('error', () => socket.destroy())
  socket.on('data', (chunk: Buffer) => {
    isAnswered ||= chunk.toString('latin1').startsWith('HTTP/1.1 ')
  })
  socket.on('end', () => socket.end())
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  for (const piece of pieces) {
    if (socket.destroyed) break
    // each piece is one segment, or as near to it as a program can say
    await new Promise<void>((resolve) => socket.write(piece, () => setImmediate(resolve)))
  }
  if (ending === 'half-close') socket.end()
  else if (ending === 'reset') socket.resetAndDestroy()
  else if (!socket.destroyed) {
    // an answer or the end of the connection, whichever comes; silence is for the proxy's time-outs
    if (!isAnswered) await Promise.race([once(socket, 'data').catch(() => undefined), closed])
    socket.destroy()
  }
  await closed
  return isAnswered
}

/** Runs `count` streams, which `seed` chooses, against a proxy with short time-outs and looks at what is left. */
export async function rawStreams(scope: Scope, count: number, seed: number): Promise<StreamsResult> {
  const origin = await strictOrigin(scope)
  const tunnel = await rawOrigin(scope, (socket) => socket.on('end', () => socket.end()).resume())
  const rule = `[[network.rules]]\nid = "tunnel"\nhosts = ["tunnel.test:${tunnel.port}"]\nlocal = ["127.0.0.1/32"]\nverdict = "allow"\n`
  const proxy = await startProxy(scope, {
    policy: plainPolicy(origin.port) + rule, hosts: { ...plainHosts, 'tunnel.test': '127.0.0.1' },
    change: (settings) => ({ ...settings, limits: { ...settings.limits, headersTimeoutMs: 500, requestTimeoutMs: 500, helloTimeoutMs: 300, keepAliveTimeoutMs: 300, tunnelIdleMs: 1000, newNamesPerMinute: 1_000_000 } }),
  })
  const streams = fc.sample(anyStream({ plain: origin.port, tunnel: tunnel.port }), { numRuns: count, seed })
  let answered = 0
  let next = 0
  await Promise.all(Array.from({ length: inFlight }, async () => {
    for (let stream = streams[next++]; stream !== undefined; stream = streams[next++]) if (await play(proxy.port, stream)) answered += 1
  }))
  const faults: string[] = []
  const after = await say(proxy.port, request(origin.port, '/after', 'Connection: close\r\n'))
  if (!after.startsWith('HTTP/1.1 200 ')) faults.push(`the next request was not served: ${JSON.stringify(after.slice(0, 200))}`)
  await proxy.stop(true)
  const { fault } = await verifyJournal(join(proxy.dir, 'var', 'journal'))
  if (fault !== undefined) faults.push(`the journal does not verify: ${fault.file}:${fault.line}: ${fault.what}`)
  const allowed = proxy.decisions().filter(({ attributes }) => attributes['network.policy.decision'] === 'allow')
  faults.push(...undecided(allowed, origin, tunnel))
  faults.push(...origin.complaints.map((complaint) => `not clean at the origin: ${complaint}`))
  faults.push(...proxy.log.filter((line) => line.startsWith('a fault')))
  return { streams: streams.length, answered, requests: origin.requests.length, connections: origin.connections(), tunnels: tunnel.connections(), allowed: allowed.length, faults }
}

/** What was allowed and should not have been, and what was dialled without a decision of its own. */
function undecided(allowed: ReturnType<TestProxy['decisions']>, origin: StrictOrigin, tunnel: Origin): readonly string[] {
  const faults: string[] = []
  const places = new Map<string, number>()
  for (const { attributes } of allowed) {
    const where = `${String(attributes['server.address'])}:${String(attributes['server.port'])}`
    if (![`allowed.test:${origin.port}`, `other.test:${origin.port}`, `tunnel.test:${tunnel.port}`].includes(where)) faults.push(`allowed: ${where}`)
    const isTunnel = attributes['network.transport.protocol'] === 'https_connect'
    const key = isTunnel ? `CONNECT ${where}` : `${String(attributes['http.request.method'])} ${String(attributes['url.path'])}`
    places.set(key, (places.get(key) ?? 0) + 1)
  }
  for (const { method, target } of origin.requests) {
    const key = `${method} ${target.split('?', 1)[0]}`
    const left = places.get(key) ?? 0
    if (left === 0) faults.push(`reached the origin without a decision of its own: ${method} ${target}`)
    places.set(key, left - 1)
  }
  if (origin.connections() > allowed.length) faults.push(`${origin.connections()} connections to the origin, ${allowed.length} decisions that allowed`)
  const tunnels = places.get(`CONNECT tunnel.test:${tunnel.port}`) ?? 0
  if (tunnel.connections() > tunnels) faults.push(`${tunnel.connections()} tunnels dialled, ${tunnels} decisions that allowed`)
  return faults
}
