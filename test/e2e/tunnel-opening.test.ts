// The first bytes of a tunnel: however they are cut up, the same judgement; nothing of them reaches the
// origin unless they are what the rule promises.
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { alpn, extension, hello, helloMessage, record, recordHello, records, serverNames } from '../ingress/hello-bytes.ts'
import { rawOrigin } from '../support/origins.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'
import { openTunnel } from '../support/raw-client.ts'
import type { Socket } from 'node:net'
import * as fc from '../support/property.ts'

interface Sink {
  readonly port: number
  readonly connections: () => number
  /** bytes of each connection, as latin1, in the order of the connections */
  readonly received: readonly string[]
}

/** An origin that says nothing and keeps what it is told. */
async function sink(t: Test, first = ''): Promise<Sink> {
  const received: string[] = []
  const origin = await rawOrigin(t, (socket) => {
    const at = received.push('') - 1
    if (first !== '') socket.write(first)
    socket.on('data', (chunk) => (received[at] += chunk.toString('latin1')))
    socket.on('end', () => socket.end())
  })
  return { ...origin, received }
}

const name = 'allowed.test'
const good = hello(serverNames({ name }), alpn('h2'))
const message = helloMessage({ extensions: [serverNames({ name })] })

async function start(t: Test, sinkPort: number, more = ''): Promise<TestProxy> {
  return startProxy(t, {
    policy: `[network]\nunknown = "deny"\n[[network.rules]]\nid = "origin"\nhosts = ["allowed.test:${sinkPort}", "127.0.0.1:${sinkPort}"]\nlocal = ["127.0.0.1/32"]\nverdict = "allow"\n${more}`,
    hosts: { 'allowed.test': '127.0.0.1', 'ssh.test': '127.0.0.1', 'any.test': '127.0.0.1' },
    change: (settings) => ({ ...settings, limits: { ...settings.limits, helloTimeoutMs: 400 } }),
  })
}

/** Sends pieces, each as a segment of its own, and resolves with what came back when the tunnel closes or `stop` says so. */
async function attempt(proxy: TestProxy, authority: string, pieces: readonly Uint8Array[], stop?: () => boolean): Promise<Buffer> {
  const { socket, head } = await openTunnel(proxy.port, authority)
  if (!head.startsWith('HTTP/1.1 200')) throw new Error(head)
  const back: Buffer[] = []
  socket.on('data', (chunk: Buffer) => back.push(chunk))
  socket.on('end', () => socket.end())
  socket.on('error', () => socket.destroy())
  socket.setNoDelay(true)
  socket.resume()
  await inSegments(socket, pieces)
  if (stop !== undefined) {
    for (let isThere = stop(); !isThere && !socket.closed; isThere = stop()) await new Promise((resolve) => setTimeout(resolve, 5))
    socket.destroy()
  }
  if (!socket.closed) await once(socket, 'close')
  return Buffer.concat(back)
}

async function inSegments(socket: Socket, pieces: readonly Uint8Array[]): Promise<void> {
  for (const piece of pieces) {
    if (socket.destroyed) return
    await new Promise((resolve) => socket.write(piece, resolve))
    await new Promise((resolve) => setImmediate(resolve))
  }
}

const bytewise = (bytes: Uint8Array): readonly Uint8Array[] => Array.from(bytes, (byte) => Uint8Array.of(byte))

t.test('a hello for the CONNECT host passes however it is cut into segments and records', async (t) => {
  const origin = await sink(t)
  const proxy = await start(t, origin.port)
  const sni = message.indexOf(name)
  const ways: Readonly<Record<string, readonly Uint8Array[]>> = {
    'whole': [good],
    'one byte at a time': bytewise(good),
    'split inside the name': [good.subarray(0, good.indexOf(name) + 4), good.subarray(good.indexOf(name) + 4)],
    'records of one byte': [records(message, ...Array.from(message, () => 1))],
    'three records, one split inside the name': [records(message, 20, sni + 3 - 20)],
    'records of one byte in segments of one byte': bytewise(records(message, ...Array.from(message, () => 1))).slice(0),
    'with GREASE for encrypted hellos': [hello(extension(0xfe0d, Buffer.alloc(200, 1)), serverNames({ name }), extension(0x0a0a, Buffer.alloc(1)))],
    'in capitals': [hello(serverNames({ name: 'ALLOWED.Test' }))],
    'of a real client': [await recordHello({ servername: name, ALPNProtocols: ['h2', 'http/1.1'] })],
  }
  for (const [way, pieces] of Object.entries(ways)) {
    const all = Buffer.concat(pieces).toString('latin1')
    await attempt(proxy, `allowed.test:${origin.port}`, pieces, () => origin.received.at(-1)?.length === all.length)
    t.ok(origin.received.at(-1) === all, `${way}: exactly its bytes reach the origin`)
  }
  t.equal(proxy.decisions().filter((each) => each.attributes['sallyport.stage'] === 'tls').length, 0)
})

t.test('what is no hello for the CONNECT host closes the tunnel, and not a byte of it reaches the origin', async (t) => {
  const origin = await sink(t)
  const proxy = await start(t, origin.port)
  const long = (bytes: number): Buffer => records(helloMessage({ extensions: [serverNames({ name }), extension(0x0a0a, Buffer.alloc(bytes))] }), 9000)
  const cases: Readonly<Record<string, readonly [string, readonly Uint8Array[]]>> = {
    'another name': ['name_mismatch', [hello(serverNames({ name: 'other.test' }))]],
    'a name below': ['name_mismatch', [hello(serverNames({ name: 'x.allowed.test' }))]],
    'another name, one byte at a time': ['name_mismatch', bytewise(hello(serverNames({ name: 'other.test' })))],
    'no name': ['sni_missing', [hello(alpn('h2'))]],
    'no extensions': ['sni_missing', [records(helloMessage({}))]],
    'a name with a NUL': ['', [hello(serverNames({ name: 'allowed.test\0.evil.test' }))]],
    'a NUL at the end': ['', [hello(serverNames({ name: 'allowed.test\0' }))]],
    'an address for a name': ['', [hello(serverNames({ name: '127.0.0.1' }))]],
    'two names': ['', [hello(serverNames({ name }, { name: 'other.test' }))]],
    'the name twice': ['', [hello(serverNames({ name }, { name }))]],
    'two name extensions': ['', [hello(serverNames({ name }), serverNames({ name: 'other.test' }))]],
    'a name of another type': ['', [hello(serverNames({ type: 1, name }))]],
    'an empty name': ['', [hello(serverNames({ name: '' }))]],
    'more than 16 KiB': ['hello_too_large', [long(17_000)]],
    'more than 16 KiB in pieces': ['hello_too_large', [long(17_000).subarray(0, 9000), long(17_000).subarray(9000)]],
    'a server hello': ['', [records(helloMessage({ type: 2, extensions: [serverNames({ name })] }))]],
    'an alert': ['not_tls', [record(Buffer.from([2, 40]), 0x15)]],
    'application data': ['not_tls', [record(Buffer.alloc(100), 0x17)]],
    'SSLv2': ['not_tls', [Buffer.from([0x80, 0x2e, 0x01, 0x03, 0x01])]],
    'an SSH banner': ['not_tls', [Buffer.from('SSH-2.0-OpenSSH_9.2\r\n')]],
    'SMTP': ['not_tls', [Buffer.from('EHLO allowed.test\r\n')]],
    'plain HTTP': ['not_tls', [Buffer.from('GET / HTTP/1.1\r\nHost: allowed.test\r\n\r\n')]],
    'a CONNECT within the tunnel': ['not_tls', [Buffer.from('CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n')]],
    'the HTTP/2 preface': ['not_tls', [Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')]],
    'zeros': ['not_tls', [Buffer.alloc(600)]],
    'silence': ['hello_timeout', []],
    'half a hello and silence': ['hello_timeout', [good.subarray(0, 60)]],
    'records of one byte without an end': ['hello_too_large', [records(helloMessage({ extensions: [extension(0x0a0a, Buffer.alloc(3500))] }), ...Array.from({ length: 3550 }, () => 1)).subarray(0, 17_000)]],
  }
  for (const [what, [code, pieces]] of Object.entries(cases)) {
    const before = proxy.decisions().length
    const back = await attempt(proxy, `allowed.test:${origin.port}`, pieces)
    const [, decision, ...more] = proxy.decisions().slice(before)
    t.match(decision?.attributes, { 'sallyport.stage': 'tls', 'network.policy.decision': 'deny' }, what)
    t.equal(more.length, 0)
    if (code !== '') t.equal(decision?.attributes['sallyport.code'], code, `${what}: ${code}`)
    if (code === 'name_mismatch' || code === 'sni_missing') t.same([...back], [0x15, 3, 3, 0, 2, 2, 112], 'a TLS client hears unrecognized_name')
    if (what === 'plain HTTP') t.match(back.toString('latin1'), /^HTTP\/1\.1 403 [^]*"code":"not_tls"/)
  }
  t.equal(origin.received.join(''), '', 'not a byte reached the origin')
})

t.test('a tunnel to an address takes a hello without a name, and none with one', async (t) => {
  const origin = await sink(t)
  const proxy = await start(t, origin.port)
  const bare = hello(alpn('h2'))
  await attempt(proxy, `127.0.0.1:${origin.port}`, [bare], () => origin.received.at(-1)?.length === bare.length)
  t.equal(origin.received.at(-1), bare.toString('latin1'))
  await attempt(proxy, `127.0.0.1:${origin.port}`, [good])
  t.equal(proxy.decisions().at(-1)?.attributes['sallyport.code'], 'name_mismatch')
  t.equal(origin.received.filter((bytes) => bytes !== '').length, 1)
})

t.test('a raw tunnel for ssh relays what starts as ssh, the server may speak first, and nothing else passes', async (t) => {
  const origin = await sink(t, 'SSH-2.0-server\r\n')
  const rules = `[[network.rules]]\nid = "ssh"\nhosts = ["ssh.test:${origin.port}"]\nlocal = ["127.0.0.1/32"]\nraw = "ssh"\nverdict = "allow"\n`
  const proxy = await start(t, origin.port, rules)
  const banner = Buffer.from('SSH-2.0-client\r\n')
  for (const pieces of [[banner], bytewise(banner)]) {
    const back = await attempt(proxy, `ssh.test:${origin.port}`, pieces, () => origin.received.at(-1)?.length === banner.length)
    t.equal(origin.received.at(-1), banner.toString('latin1'))
    t.ok(Buffer.from('SSH-2.0-server\r\n').indexOf(back) === 0)
  }
  const before = origin.received.join('').length
  for (const first of ['SSH', 'ssh-2.0-x\r\n', 'GET / HTTP/1.1\r\nHost: ssh.test\r\n\r\n', '\r\nSSH-2.0-x\r\n', '']) {
    await attempt(proxy, `ssh.test:${origin.port}`, first === '' ? [] : [Buffer.from(first)])
    t.match(proxy.decisions().at(-1)?.attributes, { 'sallyport.stage': 'tls', 'sallyport.code': /^(?:not_raw_protocol|hello_timeout)$/ }, JSON.stringify(first))
  }
  await attempt(proxy, `ssh.test:${origin.port}`, [good])
  t.equal(origin.received.join('').length, before)
})

t.test('a raw tunnel of any kind relays all of it, also when its client ends its side at once', async (t) => {
  const origin = await sink(t, 'hello, who is there\n')
  const proxy = await start(t, origin.port, `[[network.rules]]\nid = "any"\nhosts = ["any.test:${origin.port}"]\nlocal = ["127.0.0.1/32"]\nraw = "any"\nverdict = "allow"\n`)
  const { socket } = await openTunnel(proxy.port, `any.test:${origin.port}`)
  socket.end('it is me\n')
  let back = ''
  socket.on('data', (chunk) => (back += String(chunk)))
  socket.resume()
  await once(socket, 'close')
  t.equal(back, 'hello, who is there\n')
  t.same(origin.received, ['it is me\n'])
})

t.test('random first bytes never reach the origin and never end the process', async (t) => {
  const origin = await sink(t)
  const proxy = await start(t, origin.port)
  const flipped = fc.tuple(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, bits]) => {
    const bytes = Buffer.from(good)
    bytes[at] = (bytes[at] ?? 0) ^ bits
    return bytes
  })
  const cases = fc.sample(fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 300 }).map((bytes) => Buffer.from(bytes)), flipped), { numRuns: 200, seed: 20 })
  const before = origin.received.join('').length
  await Promise.all(cases.map(async (bytes) => {
    const { socket } = await openTunnel(proxy.port, `allowed.test:${origin.port}`)
    socket.on('error', () => socket.destroy())
    socket.resume()
    socket.end(bytes)
    if (!socket.closed) await once(socket, 'close')
  }))
  const passed = origin.received.filter((bytes) => bytes !== '')
  t.ok(passed.every((bytes) => bytes.includes('\x00\x00\x0callowed.test') || /allowed\.test/i.test(bytes)), 'only hellos for the name itself')
  t.equal(before, 0)
  await attempt(proxy, `allowed.test:${origin.port}`, [good], () => origin.received.at(-1)?.length === good.length)
  t.equal(origin.received.at(-1), good.toString('latin1'), 'and the next tunnel works')
})
