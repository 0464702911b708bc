import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import t from 'tap'
import { Abandonment } from '../../src/egress/abandonment.ts'
import type { Test } from 'tap'
import { systemClock } from '../../src/clock.ts'
import { Deadlines } from '../../src/deadlines.ts'
import { dial } from '../../src/egress/dial.ts'
import { Vetted } from '../../src/gate/admitted.ts'
import { parseIp } from '../../src/target/address.ts'
import { parseHost } from '../../src/target/host.ts'
import { vettedForTest } from '../support/vetted.ts'

const options = { connectTimeoutMs: 5000, clock: systemClock, deadlines: new Deadlines(systemClock) }

async function origin(t: Test, address: string, greet?: (socket: Socket) => void): Promise<{ port: number; server: Server; accepted: Socket[] }> {
  const accepted: Socket[] = []
  const server = createServer((socket) => {
    accepted.push(socket)
    socket.on('error', () => socket.destroy())
    greet?.(socket)
  })
  server.listen(0, address)
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of accepted) socket.destroy()
    server.close()
  })
  return { port: portOf(server), server, accepted }
}

function vetted(port: number, ...addresses: readonly string[]): Vetted {
  return vettedForTest(parseHost('www.nowhere.invalid'), port, addresses.flatMap((text) => parseIp(text) ?? []))
}

t.test('the vetted address is the one that is connected to, the name is never looked up', async (t) => {
  const { port } = await origin(t, '127.0.0.2')
  const socket = await dial(vetted(port, '127.0.0.2'), options)
  t.teardown(() => socket.destroy())
  t.equal(socket.remoteAddress, '127.0.0.2')
  t.equal(socket.remotePort, port)
})

t.test('a refused address is followed by the next one of the list, and by no other', async (t) => {
  const { port } = await origin(t, '127.0.0.2')
  const socket = await dial(vetted(port, '127.0.0.3', '127.0.0.4', '127.0.0.2'), options)
  t.teardown(() => socket.destroy())
  t.equal(socket.remoteAddress, '127.0.0.2')
  await t.rejects(dial(vetted(port, '127.0.0.3', '127.0.0.4'), options), {
    code: 'connection_refused', detail: new RegExp(`127\\.0\\.0\\.3:${port} ECONNREFUSED, 127\\.0\\.0\\.4:${port} ECONNREFUSED`),
  })
})

t.test('only what the gate made is dialled', async (t) => {
  const { port, accepted } = await origin(t, '127.0.0.1')
  const lookAlike: Vetted = Object.create(Vetted.prototype, {
    host: { value: parseHost('www.test') }, port: { value: port }, addresses: { value: [parseIp('127.0.0.1')] },
  })
  await t.rejects(dial(lookAlike, options), { code: 'internal_error' })
  t.equal(accepted.length, 0)
})

t.test('a socket opened with `onread` comes paused and half-open, and reads once resumed', async (t) => {
  const { port, accepted } = await origin(t, '127.0.0.1', (socket) => socket.write('hello'))
  let calls = 0
  const read = Promise.withResolvers<string>()
  const onread = () => {
    calls++
    return { buffer: Buffer.alloc(64), callback: (bytes: number, buffer: Uint8Array) => {
      read.resolve(Buffer.from(buffer.subarray(0, bytes)).toString())
      return true
    } }
  }
  const socket = await dial(vetted(port, '127.0.0.9', '127.0.0.1'), { ...options, onread })
  t.teardown(() => socket.destroy())
  t.equal(calls, 2, 'one for each attempt')
  t.equal(socket.allowHalfOpen, true)
  t.equal(socket.isPaused(), true)
  // a full exchange in the other direction: the greeting has long arrived by then
  socket.write('ping')
  const [peer] = accepted
  if (peer !== undefined) await once(peer, 'data')
  t.equal(socket.bytesRead, 0)
  socket.resume()
  t.equal(await read.promise, 'hello')
})

t.test('without `onread` what the origin says first waits for the reader', async (t) => {
  const { port } = await origin(t, '127.0.0.1', (socket) => socket.end('hello'))
  const socket = await dial(vetted(port, '127.0.0.1'), options)
  let text = ''
  for await (const chunk of socket) text += String(chunk)
  t.equal(text, 'hello')
})

t.test('a reset before anybody listens does not end the process', async (t) => {
  const { port } = await origin(t, '127.0.0.1', (socket) => socket.once('data', () => socket.resetAndDestroy()))
  const socket = await dial(vetted(port, '127.0.0.1'), options)
  socket.resume().write('x')
  await new Promise((resolve) => socket.once('close', resolve))
  t.match(socket.errored, { code: 'ECONNRESET' })
})

t.test('a client that is gone leaves no connection', async (t) => {
  const { port, server } = await origin(t, '127.0.0.1')
  const gone = new Abandonment()
  const pending = dial(vetted(port, '127.0.0.1'), { ...options, abandonment: gone })
  gone.abandon()
  await t.rejects(pending, { code: 'connection_reset' })
  server.close()
  await once(server, 'close')
  t.pass('the server has no connection left')
})

function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not listening on a port')
  return address.port
}
