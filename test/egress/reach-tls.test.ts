import { writeFileSync } from 'node:fs'
import net from 'node:net'
import tls from 'node:tls'
import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import { Deadlines } from '../../src/deadlines.ts'
import { createParentProxy } from '../../src/egress/parent-proxy.ts'
import { Reach, type ReachOptions } from '../../src/egress/reach.ts'
import { parseIp } from '../../src/target/address.ts'
import { parseHost } from '../../src/target/host.ts'
import { parentTargetForTest, vettedForTest } from '../support/vetted.ts'
import { tlsPlace, tlsServer, trusted } from './tls-origin.ts'
import { listen, readUntil, type Closable } from './wire.ts'

const place = await tlsPlace()
const host = parseHost('origin.test')
const loopback = ['127.0.0.1'].flatMap((text) => parseIp(text) ?? [])
const request = { alpn: ['http/1.1'] as const, trust: trusted }

function reachWith(over: Partial<ReachOptions> = {}): Reach {
  // what asks the gate or the resolver is not under test
  const unused = {} as ReachOptions
  return new Reach({ ...unused, parent: undefined, connectTimeoutMs: 10_000, clock: systemClock, deadlines: new Deadlines(systemClock), originTls: place.tls, ...over })
}

/** A parent proxy that joins every CONNECT to `port`. */
async function parentTo(port: number, certificate?: { cert: string; key: string }): Promise<{ readonly port: number; readonly heads: string[] } & Closable> {
  const heads: string[] = []
  const accept = (socket: net.Socket): void => {
    socket.on('error', () => {})
    socket.once('data', (head) => {
      heads.push(String(head))
      const origin = net.connect(port, '127.0.0.1')
      origin.on('error', () => socket.destroy())
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      socket.pipe(origin).pipe(socket)
    })
  }
  return { heads, ...await listen(certificate === undefined ? net.createServer(accept) : tls.createServer(certificate, accept)) }
}

t.test('TLS goes to the vetted address, straight or inside the parent\'s tunnel, and names the host', async (t) => {
  const server = await tlsServer(await place.certificates.issue(['origin.test']), { ALPNProtocols: ['http/1.1'] }, (socket) => socket.write('hello'))
  const plain = await parentTo(server.port)
  const secret = await parentTo(server.port, await place.certificates.issue(['127.0.0.1']))
  t.teardown(() => [server, plain, secret].map(({ close }) => close()))
  const vetted = vettedForTest(host, server.port, loopback)
  const caFile = `${t.testdir()}/ca.pem`
  writeFileSync(caFile, place.certificates.ca)
  const resolver = { resolve: () => Promise.reject(new Error('nothing is resolved')), close: () => {} }
  for (const [name, reach, destination] of [
    ['straight', reachWith(), vetted],
    ['through a parent', reachWith({ parent: createParentProxy({ url: `http://127.0.0.1:${plain.port}`, resolve: 'here' }, resolver) }), vetted],
    ['through a parent with TLS', reachWith({ parent: createParentProxy({ url: `https://127.0.0.1:${secret.port}`, resolve: 'here', caFile }, resolver) }), vetted],
    ['through a parent that resolves', reachWith({ parent: createParentProxy({ url: `http://127.0.0.1:${plain.port}`, resolve: 'parent' }, resolver) }), parentTargetForTest(host, server.port)],
  ] as const) {
    const socket = await reach.connect(destination, { tls: request })
    t.ok(socket instanceof tls.TLSSocket, name)
    t.equal(await readUntil(socket, 'hello'), 'hello', name)
    socket.destroy()
  }
  t.same(server.names, ['origin.test', 'origin.test', 'origin.test', 'origin.test'])
  t.equal(plain.heads.length, 2)
})

t.test('a certificate for another host fails the connection though the address was vetted', async (t) => {
  const server = await tlsServer(await place.certificates.issue(['elsewhere.test']))
  t.teardown(server.close)
  const vetted = vettedForTest(host, server.port, loopback)
  await t.rejects(reachWith().connect(vetted, { tls: request }), { code: 'tls_certificate_name' })
})

t.test('where no TLS was set up, none is spoken', async (t) => {
  const reach = new Reach({ ...({} as ReachOptions), parent: undefined, connectTimeoutMs: 1_000, clock: systemClock, deadlines: new Deadlines(systemClock) })
  await t.rejects(reach.connect(vettedForTest(host, 1, []), { tls: request }), { code: 'internal_error' })
})
