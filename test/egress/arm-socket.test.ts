import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import t from 'tap'
import { armSocket } from '../../src/egress/arm-socket.ts'
import { testCertificates } from '../support/certificates.ts'
import { tlsServer } from './tls-origin.ts'
import { connectTo, listen } from './wire.ts'

const onread = { buffer: () => Buffer.alloc(1024), callback: () => true }

async function accepted(t: { teardown(close: () => void): void }): Promise<{ readonly client: net.Socket; readonly socket: net.Socket }> {
  const server = net.createServer({ pauseOnConnect: true })
  const { port, close } = await listen(server)
  const arrives = new Promise<net.Socket>((resolve) => server.once('connection', resolve))
  const client = await connectTo(port)
  t.teardown(() => {
    client.destroy()
    close()
  })
  return { client, socket: await arrives }
}

t.test('an accepted socket that is armed reads into the buffer it was given, pauses on false and resumes', async (t) => {
  const { client, socket } = await accepted(t)
  const buffer = Buffer.alloc(8)
  let heard = ''
  const read = new Set<() => void>()
  t.equal(armSocket(socket, {
    buffer: () => buffer,
    callback: (bytes, filled) => {
      t.equal(filled, buffer)
      heard += buffer.toString('latin1', 0, bytes)
      for (const done of read) done()
      return false
    },
  }), true)
  const next = (): Promise<void> => new Promise((resolve) => read.add(resolve))
  let came = next()
  socket.resume()
  client.write('abcdefghijkl')
  await came
  t.equal(heard, 'abcdefgh', 'false stops the reading')
  came = next()
  socket.resume()
  await came
  t.equal(heard, 'abcdefghijkl')
  const ended = once(socket, 'end')
  socket.resume()
  client.end()
  await ended
})

t.test('a socket that cannot be armed is left as it is', async (t) => {
  const { socket, client } = await accepted(t)
  class Other extends net.Socket {}
  t.equal(armSocket(new Other(), onread), false, 'a subclass')
  t.equal(armSocket(new net.Socket(), onread), false, 'no handle yet')
  const reading = net.connect({ port: socket.localPort ?? 0, host: '127.0.0.1', onread: { buffer: Buffer.alloc(8), callback: () => true } })
  await once(reading, 'connect')
  t.equal(armSocket(reading, onread), false, 'reads through onread already')
  reading.destroy()
  client.destroy()
  t.equal(armSocket(client, onread), false, 'destroyed')
  t.equal(armSocket(socket, onread), true, 'and the accepted one can')
})

t.test('a socket with TLS is armed for who asks for it, and not when something stands in its stream', async (t) => {
  const issued = await (await testCertificates()).issue(['origin.test'])
  const server = await tlsServer(issued, {}, (socket) => socket.once('data', () => socket.write('x'.repeat(40_000))))
  t.teardown(() => server.close())
  const open = async (): Promise<tls.TLSSocket> => {
    const socket = tls.connect({ port: server.port, host: '127.0.0.1', rejectUnauthorized: false })
    t.teardown(() => socket.destroy())
    await once(socket, 'secureConnect')
    return socket
  }
  const socket = await open()
  t.equal(armSocket(socket, onread), false, 'nobody asked')
  const shared = Buffer.alloc(65_536)
  const { promise, resolve } = Promise.withResolvers<void>()
  let heard = 0
  const callback = (bytes: number): boolean => {
    heard += bytes
    if (heard === 40_000) resolve()
    else setImmediate(() => socket.resume())
    return false
  }
  t.equal(armSocket(socket, { buffer: () => shared, callback }, true), true)
  socket.on('data', () => t.fail('nothing comes by the stream'))
  socket.write('go')
  await promise
  t.equal(shared.toString('latin1', 0, 7_000), 'x'.repeat(7_000), 'read into the buffer')

  const early = await open()
  early.unshift(Buffer.from('early'))
  t.equal(armSocket(early, onread, true), false, 'what stands in its stream would be told by nobody')
  t.equal(String(early.read()), 'early')
})
