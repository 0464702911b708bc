import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { join } from 'node:path'
import { createServer as createTlsServer } from 'node:tls'
import t from 'tap'
import { Abandonment } from '../../src/egress/abandonment.ts'
import type { Test } from 'tap'
import { systemClock } from '../../src/clock.ts'
import { Deadlines } from '../../src/deadlines.ts'
import { createParentProxy } from '../../src/egress/parent-proxy.ts'
import type { ParentProxySettings } from '../../src/egress/parent-proxy.ts'
import type { Resolver } from '../../src/egress/resolver.ts'
import { Vetted } from '../../src/gate/admitted.ts'
import { parseIp } from '../../src/target/address.ts'
import { parseHost } from '../../src/target/host.ts'
import { testCertificates } from '../support/certificates.ts'
import { parentTargetForTest, vettedForTest } from '../support/vetted.ts'

const options = { connectTimeoutMs: 5000, clock: systemClock, deadlines: new Deadlines(systemClock) }

/** Knows `parent.test` and nothing else, and records what it is asked. */
function resolverStub(): Resolver & { asked: string[] } {
  const asked: string[] = []
  return {
    asked,
    async resolve(name) {
      asked.push(name)
      return { addresses: name === 'parent.test' ? ips('127.0.0.1') : [], expiresAtMs: Infinity, chain: [] }
    },
    close: () => asked.splice(0),
  }
}

function ips(...texts: readonly string[]) {
  return texts.flatMap((text) => parseIp(text) ?? [])
}

interface Parent {
  readonly port: number
  /** the heads of the CONNECTs, in order */
  readonly heads: string[]
  readonly sockets: Socket[]
}

/** A parent that answers each CONNECT as `answer` says; what it answers with nothing is left hanging. */
async function startParent(t: Test, answer: (head: string, socket: Socket) => string | undefined, tls?: { cert: string; key: string }): Promise<Parent> {
  const heads: string[] = []
  const sockets: Socket[] = []
  const accept = (socket: Socket): void => {
    sockets.push(socket)
    socket.on('error', () => socket.destroy())
    socket.once('data', (chunk) => {
      const head = String(chunk)
      heads.push(head)
      const text = answer(head, socket)
      if (text !== undefined) socket.write(text, 'latin1')
      socket.on('data', (data) => socket.write(data))
    })
  }
  const server: Server = tls === undefined ? createServer(accept) : createTlsServer(tls, accept)
  server.on('tlsClientError', (_error, socket: Socket) => socket.destroy())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { port: portOf(server), heads, sockets }
}

function proxyOf(parent: { port: number }, over: Partial<ParentProxySettings> = {}, resolver: Resolver = resolverStub()) {
  return createParentProxy({ url: `http://127.0.0.1:${parent.port}`, resolve: 'here', ...over }, resolver)
}

const established = 'HTTP/1.1 200 Connection established\r\n\r\n'
const target = (...addresses: readonly string[]) => vettedForTest(parseHost('www.origin.test'), 443, ips(...addresses))

t.test('"here" sends the vetted address as authority, never the name', async (t) => {
  const parent = await startParent(t, () => established)
  const resolver = resolverStub()
  const proxy = proxyOf(parent, {}, resolver)
  const four = await proxy.dial(target('192.0.2.7'), options)
  const six = await proxy.dial(target('2001:db8::7'), options)
  t.teardown(() => [four, six].map((socket) => socket.destroy()))
  t.same(parent.heads, [
    'CONNECT 192.0.2.7:443 HTTP/1.1\r\nHost: 192.0.2.7:443\r\n\r\n',
    'CONNECT [2001:db8::7]:443 HTTP/1.1\r\nHost: [2001:db8::7]:443\r\n\r\n',
  ])
  t.same(resolver.asked, [])
})

t.test('"parent" sends the name, and nothing of the origin is resolved here', async (t) => {
  const parent = await startParent(t, () => established)
  const resolver = resolverStub()
  const proxy = proxyOf(parent, { resolve: 'parent' }, resolver)
  const socket = await proxy.dial(parentTargetForTest(parseHost('www.origin.test'), 8443), options)
  t.teardown(() => socket.destroy())
  t.same(parent.heads, ['CONNECT www.origin.test:8443 HTTP/1.1\r\nHost: www.origin.test:8443\r\n\r\n'])
  t.same(resolver.asked, [])
  t.equal(proxy.resolve, 'parent')
})

t.test('the parent\'s own name is resolved, and credentials are sent as Basic', async (t) => {
  const parent = await startParent(t, () => established)
  const resolver = resolverStub()
  const proxy = proxyOf(parent, { url: `http://parent.test:${parent.port}/`, username: 'agent', password: 'pä:ss' }, resolver)
  const socket = await proxy.dial(target('192.0.2.7'), options)
  t.teardown(() => socket.destroy())
  t.same(resolver.asked, ['parent.test'])
  t.match(parent.heads[0], `\r\nProxy-Authorization: Basic ${Buffer.from('agent:pä:ss', 'utf8').toString('base64')}\r\n\r\n`)
})

t.test('bytes that follow the head, and the head in single bytes, lose nothing', async (t) => {
  const parent = await startParent(t, (_head, socket) => {
    const bytes = Buffer.from(`HTTP/1.1 100 Continue\r\n\r\n${established}hello from the origin`)
    void (async () => {
      for (const byte of bytes) {
        socket.write(Buffer.from([byte]))
        await new Promise((resolve) => setImmediate(resolve))
      }
      socket.end()
    })()
    return undefined
  })
  const whole = await startParent(t, (_head, socket) => {
    socket.end(`${established}hello from the origin`)
    return undefined
  })
  for (const each of [parent, whole]) {
    const socket = await proxyOf(each).dial(target('192.0.2.7'), options)
    t.not(socket.readableFlowing, true, 'nothing flows before somebody reads')
    let text = ''
    for await (const chunk of socket) text += String(chunk)
    t.equal(text, 'hello from the origin')
  }
})

t.test('a tunnel carries both directions with data events and with pipe', async (t) => {
  const parent = await startParent(t, () => `${established}first `)
  const socket = await proxyOf(parent).dial(target('192.0.2.7'), options)
  t.teardown(() => socket.destroy())
  const done = Promise.withResolvers<string>()
  let text = ''
  socket.on('data', (chunk) => {
    text += String(chunk)
    if (text.endsWith('echo')) done.resolve(text)
  })
  socket.write('echo')
  t.equal(await done.promise, 'first echo')
})

t.test('a refusal carries the parent\'s status, and leaves no connection', async (t) => {
  for (const status of [301, 400, 403, 407, 404]) {
    const parent = await startParent(t, () => `HTTP/1.1 ${status} No way\r\nContent-Length: 4\r\n\r\nbody`)
    await t.rejects(proxyOf(parent).dial(target('192.0.2.7', '192.0.2.8'), options), {
      code: 'parent_refused', detail: new RegExp(`127\\.0\\.0\\.1:${parent.port} answered ${status} .No way. to CONNECT 192\\.0\\.2\\.7:443`),
    })
    t.equal(parent.heads.length, 1, 'a decision of the parent is not argued with')
    const [socket] = parent.sockets
    if (socket !== undefined && !socket.closed) await once(socket, 'close')
  }
})

t.test('an address that the parent cannot reach is followed by the next vetted one, three at most', async (t) => {
  const parent = await startParent(t, (head) => (head.startsWith('CONNECT 192.0.2.8:') ? established : 'HTTP/1.1 503 Unreachable\r\n\r\n'))
  const socket = await proxyOf(parent).dial(target('2001:db8::1', '192.0.2.8'), options)
  socket.destroy()
  t.same(parent.heads.map((head) => head.split(' ')[1]), ['[2001:db8::1]:443', '192.0.2.8:443'])
  const addresses = ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4', '192.0.2.5']
  await t.rejects(proxyOf(parent).dial(target(...addresses), options), { code: 'parent_refused', detail: /503/ })
  t.equal(parent.heads.length, 5)
})

t.test('what is no HTTP answer, is too long, or hangs up is not taken for a tunnel', async (t) => {
  const answers: Readonly<Record<string, string>> = {
    banner: 'SSH-2.0-OpenSSH_9\r\n\r\n',
    'bare line feeds': 'HTTP/1.1 200 OK\nX: y\r\n\r\n',
    upgrade: 'HTTP/1.1 101 Switching Protocols\r\n\r\n',
    'too long': `HTTP/1.1 200 OK\r\nX: ${'y'.repeat(17_000)}\r\n\r\n`,
    'interim answers without end': 'HTTP/1.1 102 Processing\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n\r\n'.repeat(300),
  }
  for (const [situation, text] of Object.entries(answers)) {
    const parent = await startParent(t, () => text)
    await t.rejects(proxyOf(parent).dial(target('192.0.2.7'), options), { code: 'parent_unreachable' }, situation)
  }
  const hangsUp = await startParent(t, (_head, socket) => {
    socket.end('HTTP/1.1 200 O')
    return undefined
  })
  await t.rejects(proxyOf(hangsUp).dial(target('192.0.2.7'), options), { code: 'parent_unreachable', detail: /closed before it answered/ })
})

t.test('a parent that is not there is unreachable, with the cause', async (t) => {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const port = portOf(server)
  server.close()
  await once(server, 'close')
  await t.rejects(proxyOf({ port }).dial(target('192.0.2.7'), options), { code: 'parent_unreachable', detail: /ECONNREFUSED/ })
  await t.rejects(proxyOf({ port }, { url: 'http://nowhere.test:3128' }).dial(target('192.0.2.7'), options), { code: 'parent_unreachable' })
})

t.test('when the client goes while the parent is silent, nothing is left open', async (t) => {
  const gone = new Abandonment()
  const parent = await startParent(t, () => {
    gone.abandon()
    return undefined
  })
  await t.rejects(proxyOf(parent).dial(target('192.0.2.7'), { ...options, abandonment: gone }), { code: 'parent_unreachable', detail: /given up/ })
  const [socket] = parent.sockets
  if (socket !== undefined && !socket.closed) await once(socket, 'close')
  await t.rejects(proxyOf(parent).dial(target('192.0.2.7'), { ...options, abandonment: gone }), { code: 'parent_unreachable' })
  t.equal(parent.heads.length, 1)
})

t.test('only what the gate made goes to the parent', async (t) => {
  const parent = await startParent(t, () => established)
  const lookAlike: Vetted = Object.create(Vetted.prototype, {
    host: { value: parseHost('www.test') }, port: { value: 443 }, addresses: { value: ips('127.0.0.1') },
  })
  await t.rejects(proxyOf(parent).dial(lookAlike, options), { code: 'internal_error' })
  await t.rejects(proxyOf(parent).dial(target(), options), { code: 'parent_refused' })
  t.equal(parent.heads.length, 0)
})

t.test('an https parent is verified against the CA file, by name and by address', async (t) => {
  const certificates = await testCertificates()
  const leaf = await certificates.issue(['parent.test', '127.0.0.1'])
  const parent = await startParent(t, () => `${established}hello`, leaf)
  const dir = t.testdir({ 'ca.pem': certificates.ca, 'other.pem': (await testCertificates()).ca })
  const caFile = join(dir, 'ca.pem')
  for (const host of ['parent.test', '127.0.0.1']) {
    const socket = await proxyOf(parent, { url: `https://${host}:${parent.port}`, caFile }).dial(target('192.0.2.7'), options)
    const [first] = await once(socket, 'data')
    t.equal(String(first), 'hello', host)
    socket.destroy()
  }
  const wrong: readonly Partial<ParentProxySettings>[] = [
    { url: `https://parent.test:${parent.port}` },
    { url: `https://parent.test:${parent.port}`, caFile: join(dir, 'other.pem') },
  ]
  for (const over of wrong) await t.rejects(proxyOf(parent, over).dial(target('192.0.2.7'), options), { code: 'parent_unreachable', detail: /TLS: / })
  const otherName = await startParent(t, () => established, await certificates.issue(['other.test']))
  await t.rejects(proxyOf(otherName, { url: `https://parent.test:${otherName.port}`, caFile }).dial(target('192.0.2.7'), options), { code: 'parent_unreachable', detail: /TLS: .*altnames/ })
  const plain = await startParent(t, () => established)
  await t.rejects(proxyOf(plain, { url: `https://parent.test:${plain.port}`, caFile }).dial(target('192.0.2.7'), options), { code: 'parent_unreachable' })
})

t.test('settings that cannot be used are refused at once, without repeating a password', async (t) => {
  const refused = (over: Partial<ParentProxySettings>) => {
    t.throws(() => proxyOf({ port: 1 }, over), { code: /parent_unreachable|authority_syntax|host_/ }, JSON.stringify(over))
  }
  for (const url of ['socks5://h:1', 'http://', 'http://h:99999', 'http://h/path', 'http://h:1?x', 'h:3128', 'http://user:secret@h:3128']) refused({ url })
  refused({ username: 'a:b' })
  refused({ caFile: '/nonexistent/ca.pem' })
  try {
    proxyOf({ port: 1 }, { url: 'http://user:secret@h:3128' })
  } catch (error) {
    t.notMatch(String(error), /secret/)
  }
})

function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not listening on a port')
  return address.port
}
