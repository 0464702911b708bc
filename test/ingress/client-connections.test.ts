// Which addresses may connect, by what the settings say.
import net from 'node:net'
import t from 'tap'
import { Deadlines } from '../../src/deadlines.ts'
import { systemClock } from '../../src/clock.ts'
import { ReadBuffers } from '../../src/egress/read-buffers.ts'
import { ClientConnections, type ConnectionRules } from '../../src/ingress/client-connections.ts'
import { PeerUids } from '../../src/ingress/peer-uid.ts'
import { parseCidr } from '../../src/target/address.ts'

function admits(address: string, change: Partial<ConnectionRules>): boolean {
  const rules = { connections: 10, connectionsPerClient: 10, clients: [], requireSession: false, ownUid: undefined, ...change }
  const parts = { buffers: new ReadBuffers(), clock: systemClock, deadlines: new Deadlines(systemClock) }
  const connections = new ClientConnections(rules, new PeerUids(systemClock, async () => ''), parts)
  const socket = Object.defineProperty(new net.Socket(), 'remoteAddress', { value: address })
  return typeof connections.accept(socket) !== 'string'
}

t.test('without a client list only loopback may connect, unless every request has to show a session', async (t) => {
  for (const address of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) {
    t.equal(admits(address, {}), true, address)
    t.equal(admits(address, { requireSession: true }), true, address)
  }
  for (const address of ['192.0.2.1', '::ffff:192.0.2.1', '2001:db8::1', '']) {
    t.equal(admits(address, {}), false, address)
    t.equal(admits(address, { requireSession: true }), true, address)
  }
})

t.test('a client list holds, whether or not sessions are required', async (t) => {
  const range = parseCidr('192.0.2.0/24')
  if (range === undefined) throw new Error('no range')
  for (const requireSession of [false, true]) {
    t.equal(admits('192.0.2.1', { clients: [range], requireSession }), true)
    t.equal(admits('198.51.100.1', { clients: [range], requireSession }), false)
  }
})
