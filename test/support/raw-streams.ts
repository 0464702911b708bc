// Streams of bytes that nobody would send on purpose, against a running proxy: pieces of HTTP and TLS and
// noise, cut anywhere, half-closed or reset. Whatever comes of them, nothing is dialled undecided.
import net from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { hello, serverNames } from '../ingress/hello-bytes.ts'
import { verifyJournal } from '../../src/audit/verify.ts'
import type { Settings } from '../../src/config/settings.ts'
import { carrierOf, secureTunnel } from './inside.ts'
import { insideLeg, type LegWorld } from './legs.ts'
import { plainHosts, plainPolicy, request as plainRequest } from './plain-world.ts'
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

type Text = string | Buffer

/** What streams are made of. */
interface Texts {
  readonly wholes: readonly Text[]
  readonly fragments: readonly Text[]
}

interface Ports {
  readonly plain: number
  readonly tunnel: number
}

function plainTexts({ plain: port, tunnel }: Ports): Texts {
  const host = `tunnel.test:${tunnel}`
  const wholes = [
    plainRequest(port, '/a'), plainRequest(port, '/b', 'Connection: close\r\n'), plainRequest(port, '/c', 'Content-Length: 5\r\n', 'POST', 'hello'), plainRequest(port, '/d', 'Transfer-Encoding: chunked\r\n', 'POST', '5\r\nhello\r\n0\r\n\r\n'),
    `CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`, 'CONNECT denied.test:443 HTTP/1.1\r\nHost: denied.test:443\r\n\r\n', 'GET http://denied.test/ HTTP/1.1\r\nHost: denied.test\r\n\r\n', `GET http://other.test:${port}/e HTTP/1.1\r\nHost: other.test:${port}\r\n\r\n`,
    Buffer.concat([Buffer.from(`CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`), hello(serverNames({ name: 'tunnel.test' }))]),
  ]
  return { wholes, fragments: fragmentsFor(`allowed.test:${port}`, `http://allowed.test:${port}/`) }
}

function insideTexts({ host, request, denied }: LegWorld): Texts {
  const wholes = [
    request('/a'), request('/b', 'Connection: close\r\n'), request('/c', 'Content-Length: 5\r\n', 'POST', 'hello'), request('/d', 'Transfer-Encoding: chunked\r\n', 'POST', '5\r\nhello\r\n0\r\n\r\n'),
    denied(), `CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`, `GET http://${host}/e HTTP/1.1\r\nHost: ${host}\r\n\r\n`, request('/f').replace(host, 'evil.test'),
  ]
  return { wholes, fragments: fragmentsFor(host, '/') }
}

function fragmentsFor(host: string, target: string): readonly Text[] {
  return [
    'GET ', 'POST ', 'CONNECT ', target, host, ' HTTP/1.1\r\n', ' HTTP/1.0\r\n', `Host: ${host}\r\n`, 'Content-Length: 5\r\n', 'Transfer-Encoding: chunked\r\n', 'Expect: 100-continue\r\n', 'Connection: Upgrade\r\nUpgrade: websocket\r\n', 'Connection: keep-alive\r\n', '\r\n', '\r\n\r\n', '\n', '\r', '\0', '0\r\n\r\n', '5\r\nhello\r\n', 'ffffffffffffffff\r\n', ' ', '\t', ':', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    hello(serverNames({ name: 'tunnel.test' })), hello(serverNames({ name: 'denied.test' })), hello(), Buffer.from([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3]), Buffer.from([0x15, 3, 3, 0, 2, 2, 40]), Buffer.from([5, 1, 0]), Buffer.from([0x16, 3, 3, 0xff, 0xff]),
  ]
}

function anyStream({ wholes, fragments }: Texts): fc.Arbitrary<Stream> {
  const noise = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes))
  const of = (texts: readonly Text[]): fc.Arbitrary<Buffer> => fc.constantFrom(...texts).map((text) => (typeof text === 'string' ? Buffer.from(text, 'latin1') : text))
  const whole = of(wholes)
  const known = fc.oneof(whole, of(fragments))
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

interface Line {
  readonly socket: net.Socket
  /** what it runs over */
  readonly carrier: net.Socket
}

/** Sends one stream; resolves to whether a status line came back, once the connection is gone. */
async function play({ socket, carrier }: Line, { pieces, ending }: Stream): Promise<boolean> {
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
  else if (ending === 'reset') carrier.resetAndDestroy()
  else if (!socket.destroyed) {
    // an answer or the end of the connection, whichever comes; silence is for the proxy's time-outs
    if (!isAnswered) await Promise.race([once(socket, 'data').catch(() => undefined), closed])
    socket.destroy()
  }
  await closed
  return isAnswered
}

const shortTimes = (settings: Settings): Settings => ({
  ...settings, limits: { ...settings.limits, headersTimeoutMs: 500, requestTimeoutMs: 500, helloTimeoutMs: 300, keepAliveTimeoutMs: 300, tunnelIdleMs: 1000, newNamesPerMinute: 1_000_000 },
})

/** Runs `count` streams, which `seed` chooses, against a proxy with short time-outs and looks at what is left. */
export async function rawStreams(scope: Scope, count: number, seed: number): Promise<StreamsResult> {
  const origin = await strictOrigin(scope)
  const tunnel = await rawOrigin(scope, (socket) => socket.on('end', () => socket.end()).resume())
  const rule = `[[network.rules]]\nid = "tunnel"\nhosts = ["tunnel.test:${tunnel.port}"]\nlocal = ["127.0.0.1/32"]\nverdict = "allow"\n`
  const proxy = await startProxy(scope, { policy: plainPolicy(origin.port) + rule, hosts: { ...plainHosts, 'tunnel.test': '127.0.0.1' }, change: shortTimes })
  const connect = (): Promise<Line> => {
    const socket = net.connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    return Promise.resolve({ socket, carrier: socket })
  }
  const answered = await playAll(plainTexts({ plain: origin.port, tunnel: tunnel.port }), connect, count, seed)
  const after = await say(proxy.port, plainRequest(origin.port, '/after', 'Connection: close\r\n'))
  return { streams: count, answered, ...(await lookAfter(proxy, origin, tunnel, after)) }
}

/** The same inside TLS that ends at the proxy: each stream in a tunnel of its own. */
export async function insideStreams(scope: Scope, count: number, seed: number): Promise<StreamsResult> {
  const world = await insideLeg.start(scope, { change: shortTimes })
  const { proxy, origin, host } = world
  const connect = async (): Promise<Line> => {
    const socket = await secureTunnel(scope, proxy, host)
    return { socket, carrier: carrierOf(socket) }
  }
  const answered = await playAll(insideTexts(world), connect, count, seed)
  const after = await world.say(world.request('/after', 'Connection: close\r\n'))
  return { streams: count, answered, ...(await lookAfter(proxy, origin, undefined, after)) }
}

async function playAll(texts: Texts, connect: () => Promise<Line>, count: number, seed: number): Promise<number> {
  const streams = fc.sample(anyStream(texts), { numRuns: count, seed })
  let answered = 0
  let next = 0
  await Promise.all(Array.from({ length: inFlight }, async () => {
    for (let stream = streams[next++]; stream !== undefined; stream = streams[next++]) if (await play(await connect(), stream)) answered += 1
  }))
  return answered
}

async function lookAfter(proxy: TestProxy, origin: StrictOrigin, tunnel: Origin | undefined, after: string): Promise<Omit<StreamsResult, 'streams' | 'answered'>> {
  const faults: string[] = []
  if (!after.startsWith('HTTP/1.1 200 ')) faults.push(`the next request was not served: ${JSON.stringify(after.slice(0, 200))}`)
  await proxy.stop(true)
  const { fault } = await verifyJournal(join(proxy.dir, 'var', 'journal'))
  if (fault !== undefined) faults.push(`the journal does not verify: ${fault.file}:${fault.line}: ${fault.what}`)
  const allowed = proxy.decisions().filter(({ attributes }) => attributes['network.policy.decision'] === 'allow')
  faults.push(...undecided(allowed, origin, tunnel))
  faults.push(...origin.complaints.map((complaint) => `not clean at the origin: ${complaint}`))
  faults.push(...proxy.log.filter((line) => line.startsWith('a fault')))
  return { requests: origin.requests.length, connections: origin.connections(), tunnels: tunnel?.connections() ?? 0, allowed: allowed.length, faults }
}

/** What was allowed and should not have been, and what was dialled without a decision of its own. */
function undecided(allowed: ReturnType<TestProxy['decisions']>, origin: StrictOrigin, tunnel: Origin | undefined): readonly string[] {
  const faults: string[] = []
  const places = new Map<string, number>()
  let requests = 0
  for (const { attributes } of allowed) {
    const where = `${String(attributes['server.address'])}:${String(attributes['server.port'])}`
    if (![`allowed.test:${origin.port}`, `other.test:${origin.port}`, `tunnel.test:${tunnel?.port}`].includes(where)) faults.push(`allowed: ${where}`)
    const isTunnel = attributes['http.request.method'] === 'none'
    if (!isTunnel) requests += 1
    const key = isTunnel ? `CONNECT ${where}` : `${String(attributes['http.request.method'])} ${String(attributes['url.path'])}`
    places.set(key, (places.get(key) ?? 0) + 1)
  }
  for (const { method, target } of origin.requests) {
    const key = `${method} ${target.split('?', 1)[0]}`
    const left = places.get(key) ?? 0
    if (left === 0) faults.push(`reached the origin without a decision of its own: ${method} ${target}`)
    places.set(key, left - 1)
  }
  // a tunnel to the origin is dialled too, where nothing looks inside
  const dials = tunnel === undefined ? requests : allowed.length
  if (origin.connections() > dials) faults.push(`${origin.connections()} connections to the origin, ${dials} decisions that allowed`)
  const tunnels = places.get(`CONNECT tunnel.test:${tunnel?.port}`) ?? 0
  if ((tunnel?.connections() ?? 0) > tunnels) faults.push(`${tunnel?.connections()} tunnels dialled, ${tunnels} decisions that allowed`)
  return faults
}
