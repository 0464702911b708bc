import { createHash } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import { Deadlines } from '../../src/deadlines.ts'
import { ReadBuffers } from '../../src/egress/read-buffers.ts'
import { ReadPump } from '../../src/egress/read-pump.ts'
import { relay, type TunnelHandle } from '../../src/egress/tunnel.ts'
import { connectTo, listen, readAll, type Closable } from './wire.ts'
import { array, assert, asyncProperty, integer, oneof } from '../support/property.ts'

interface Way {
  readonly name: string
  /** the origin socket is opened with the download's onread, as dial does; else as a parent proxy hands it over */
  readonly onread: boolean
  readonly plainUpload: boolean
}
const ways: readonly Way[] = [
  { name: 'onread and armed', onread: true, plainUpload: false },
  { name: 'onread and data events', onread: true, plainUpload: true },
  { name: 'armed both ways', onread: false, plainUpload: false },
]

interface Joined extends Closable {
  readonly client: net.Socket
  readonly origin: net.Socket
  readonly handle: TunnelHandle
  readonly buffers: ReadBuffers
  /** the relay's own ends */
  readonly inner: { readonly client: net.Socket; readonly origin: net.Socket }
}

interface JoinOptions {
  readonly idleTimeoutMs?: number
  readonly firstBytes?: Uint8Array
  /** runs when both sides are connected and the relay has not started */
  readonly before?: (client: net.Socket, origin: net.Socket, inner: net.Socket) => Promise<void>
}

/** A client and an origin in the test's hands, joined by a relay. */
async function join(way: Way, options: JoinOptions = {}): Promise<Joined> {
  const buffers = new ReadBuffers()
  const originServer = net.createServer({ allowHalfOpen: true })
  const clientServer = net.createServer({ allowHalfOpen: true, pauseOnConnect: true })
  const originEnd = await listen(originServer)
  const clientEnd = await listen(clientServer)
  const accepted = new Promise<net.Socket>((resolve) => clientServer.once('connection', resolve))
  const client = await connectTo(clientEnd.port)
  const innerClient = await accepted
  const download = new ReadPump(buffers)
  const reached = new Promise<net.Socket>((resolve) => originServer.once('connection', resolve))
  const innerOrigin = net.connect({ port: originEnd.port, host: '127.0.0.1', allowHalfOpen: true, ...(way.onread ? { onread: download.onread } : {}) })
  innerOrigin.on('error', () => {})
  innerOrigin.pause()
  await once(innerOrigin, 'connect')
  const origin = await reached
  await options.before?.(client, origin, innerOrigin)
  const handle = relay({
    client: innerClient, origin: innerOrigin, firstBytes: options.firstBytes ?? Buffer.alloc(0),
    upload: new ReadPump(buffers, way.plainUpload ? 'none' : 'plain'), download, idleTimeoutMs: options.idleTimeoutMs ?? 0, deadlines: new Deadlines(systemClock),
  })
  return {
    client, origin, handle, buffers, inner: { client: innerClient, origin: innerOrigin },
    close: () => {
      handle.abort()
      originEnd.close()
      clientEnd.close()
      client.destroy()
    },
  }
}

/** Settles when nothing has moved for a moment: the reader is slow and everything in between is full. */
async function stands(value: () => number): Promise<number> {
  for (let still = -1; still !== value();) {
    still = value()
    await new Promise((resolve) => setTimeout(resolve, 60))
  }
  return value()
}

/** Sends parts of these lengths and ends; returns the digest of what was sent. */
function sendParts(side: net.Socket, lengths: readonly number[]): string {
  const sent = createHash('sha256')
  for (const [i, length] of lengths.entries()) {
    const part = Buffer.alloc(length, i + 1)
    sent.update(part)
    side.write(part)
  }
  side.end()
  return sent.digest('hex')
}

for (const way of ways) {
  for (const direction of ['down', 'up'] as const) {
    t.test(`tens of megabytes ${direction} arrive byte for byte, and a slow reader holds its sender back (${way.name})`, async (t) => {
      const joined = await join(way)
      const [from, to] = direction === 'down' ? [joined.origin, joined.client] : [joined.client, joined.origin]
      const size = (way === ways[0] ? 64 : 16) * 1024 * 1024
      const block = Buffer.alloc(997 * 1024, 'sallyport')
      const sentHash = createHash('sha256')
      let sent = 0
      const send = (): void => {
        while (sent < size) {
          const part = block.subarray(0, Math.min(block.length, size - sent))
          sentHash.update(part)
          sent += part.length
          if (!from.write(part)) {
            from.once('drain', send)
            return
          }
        }
        from.end()
      }
      to.pause()
      send()
      const held = await stands(() => sent)
      t.ok(held < size, `${held} bytes left the sender while nobody read`)
      const inner = joined.inner
      t.ok(inner.client.writableLength + inner.origin.writableLength <= 1024 * 1024, 'at most one read waits in the relay')
      t.ok(inner.client.readableLength + inner.origin.readableLength <= 128 * 1024, 'nothing piles up behind it')
      t.ok(joined.buffers.lentBytes <= 512 * 1024)
      const gotHash = createHash('sha256')
      let got = 0
      let most = 0
      for await (const chunk of to) {
        gotHash.update(chunk)
        got += Buffer.byteLength(chunk)
        most = Math.max(most, inner.client.writableLength + inner.origin.writableLength)
      }
      t.equal(got, size)
      t.equal(gotHash.digest('hex'), sentHash.digest('hex'))
      t.ok(most <= 1024 * 1024, `${most} bytes waited in the relay`)
      to.end()
      const result = await joined.handle.done
      t.equal(result.end, 'closed')
      t.equal(direction === 'down' ? result.bytesFromOrigin : result.bytesFromClient, size)
      t.equal(joined.buffers.lentBytes, 0, 'every private buffer is back')
      joined.close()
    })
  }

  t.test(`a half-close passes as a half-close, in both directions (${way.name})`, async (t) => {
    for (const [first, second] of [['client', 'origin'], ['origin', 'client']] as const) {
      const joined = await join(way)
      joined[first].write('question')
      const heard = readAll(joined[second])
      joined[first].end()
      t.equal((await heard).toString(), 'question')
      const answer = readAll(joined[first])
      joined[second].write('late answer')
      joined[second].end()
      t.equal((await answer).toString(), 'late answer')
      t.match(await joined.handle.done, { end: 'closed' })
      joined.close()
    }
  })

  t.test(`a reset of one side resets the other and is told apart (${way.name})`, async (t) => {
    for (const [first, second, end] of [['client', 'origin', 'client_reset'], ['origin', 'client', 'origin_reset']] as const) {
      const joined = await join(way)
      joined[second].resume()
      const failed = new Promise<string | undefined>((resolve) => {
        joined[second].on('error', (error: Error & { code?: string }) => resolve(error.code))
        joined[second].on('end', () => resolve('an orderly end'))
      })
      joined[first].write('some')
      await once(joined[second], 'data')
      joined[first].resetAndDestroy()
      t.equal(await failed, 'ECONNRESET')
      t.match(await joined.handle.done, { end, bytesFromClient: first === 'client' ? 4 : 0, bytesFromOrigin: first === 'origin' ? 4 : 0 })
      joined.close()
    }
  })

  t.test(`a reset within a transfer that stands still tears both sides down (${way.name})`, async (t) => {
    const joined = await join(way)
    joined.client.pause()
    let sent = 0
    const block = Buffer.alloc(256 * 1024)
    const send = (): void => {
      while (joined.origin.writable && joined.origin.write(block)) sent += block.length
      sent += block.length
      joined.origin.once('drain', send)
    }
    send()
    await stands(() => sent)
    joined.client.resetAndDestroy()
    t.match(await joined.handle.done, { end: 'client_reset' })
    t.equal(joined.buffers.lentBytes, 0)
    joined.close()
  })

  t.test(`bytes from before the relay come first and in order (${way.name})`, async (t) => {
    const joined = await join(way, {
      firstBytes: Buffer.from('hello '),
      before: async (client, origin, inner) => {
        // the client runs ahead; the origin speaks first, while its socket here is still paused
        client.write('world')
        origin.write('SSH-2.0-banner')
        if (way.onread) inner.resume()
        await new Promise((resolve) => setTimeout(resolve, 20))
      },
    })
    const atOrigin = readAll(joined.origin)
    const atClient = readAll(joined.client)
    joined.client.end('!')
    t.equal((await atOrigin).toString(), 'hello world!')
    joined.origin.end('?')
    t.equal((await atClient).toString(), 'SSH-2.0-banner?')
    t.match(await joined.handle.done, { end: 'closed', bytesFromClient: 12, bytesFromOrigin: 15 })
    joined.close()
  })

  t.test(`an origin that ended or vanished before the relay began is not waited for (${way.name})`, async (t) => {
    const ended = await join(way, {
      before: async (_client, origin, inner) => {
        origin.end()
        inner.resume()
        await once(inner, 'end')
      },
    })
    ended.client.end()
    t.equal((await readAll(ended.client)).length, 0)
    t.match(await ended.handle.done, { end: 'closed' })
    ended.close()
    const vanished = await join(way, {
      before: async (_client, origin, inner) => {
        origin.resetAndDestroy()
        inner.resume()
        await new Promise((resolve) => inner.once('close', resolve))
      },
    })
    t.match(await vanished.handle.done, { end: 'origin_reset' })
    vanished.close()
  })

  t.test(`silence in both directions ends the tunnel, a byte in either keeps it (${way.name})`, async (t) => {
    const joined = await join(way, { idleTimeoutMs: 150 })
    let over = false
    void joined.handle.done.finally(() => {
      over = true
    })
    joined.client.resume()
    joined.origin.resume()
    for (let i = 0; i < 6; i += 1) {
      const [from, to] = i % 2 === 0 ? [joined.client, joined.origin] : [joined.origin, joined.client]
      from.write('.')
      await once(to, 'data')
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    t.notOk(over, 'six times a third of the limit')
    t.match(await joined.handle.done, { end: 'idle', bytesFromClient: 3, bytesFromOrigin: 3 })
    joined.close()
  })

  t.test(`random writes of both sides arrive as one sequence each (${way.name})`, async () => {
    const sizes = array(oneof(integer({ min: 1, max: 100 }), integer({ min: 1, max: 700_000 })), { minLength: 1, maxLength: 6 })
    await assert(asyncProperty(sizes, sizes, async (up, down) => {
      const joined = await join(way)
      const [atOrigin, atClient] = [readAll(joined.origin), readAll(joined.client)]
      const [upHash, downHash] = [sendParts(joined.client, up), sendParts(joined.origin, down)]
      const heard = await Promise.all([atOrigin, atClient])
      const result = await joined.handle.done
      joined.close()
      const [upHeard, downHeard] = heard.map((bytes) => createHash('sha256').update(bytes).digest('hex'))
      return upHeard === upHash && downHeard === downHash && result.end === 'closed' &&
        result.bytesFromClient === heard[0].length && result.bytesFromOrigin === heard[1].length
    }), { numRuns: 8 })
  })
}

t.test('abort closes both sides and says so', async (t) => {
  const joined = await join({ name: '', onread: true, plainUpload: false })
  const [client, origin] = [readAll(joined.client), readAll(joined.origin)]
  joined.handle.abort()
  t.match(await joined.handle.done, { end: 'aborted', bytesFromClient: 0, bytesFromOrigin: 0 })
  await Promise.all([client, origin])
  joined.close()
})

t.test('a tunnel that is quiet again after a burst holds no private buffer', async (t) => {
  const joined = await join({ name: '', onread: true, plainUpload: false })
  joined.client.resume()
  joined.origin.resume()
  const big = Buffer.alloc(8 * 1024 * 1024)
  joined.origin.write(big)
  joined.client.write(big)
  let got = 0
  const all = Promise.withResolvers<void>()
  for (const side of [joined.client, joined.origin]) {
    side.on('data', (chunk: Buffer) => {
      got += chunk.length
      if (got === 2 * big.length) all.resolve()
    })
  }
  await all.promise
  for (let i = 0; i < 12; i += 1) {
    joined.origin.write('tick')
    await once(joined.client, 'data')
    joined.client.write('tock')
    await once(joined.origin, 'data')
  }
  t.equal(joined.buffers.lentBytes, 0)
  joined.close()
})

t.test('buffers are small once many are lent, and those given back are lent again', async (t) => {
  const buffers = new ReadBuffers({ maxLentBytes: 512 * 1024, maxIdleBytes: 300 * 1024 })
  const [first, second, third] = [buffers.borrow(), buffers.borrow(), buffers.borrow()]
  t.same([first.length, second.length, third.length], [256 * 1024, 256 * 1024, 64 * 1024])
  buffers.giveBack(first, true)
  buffers.giveBack(second, true)
  t.equal(buffers.idleBytes, 256 * 1024, 'what exceeds the limit is not kept')
  t.equal(buffers.lentBytes, third.length)
  t.equal(buffers.borrow(), first)
  buffers.giveBack(first, false)
  t.equal(buffers.idleBytes, 0, 'what the kernel may still read is not kept')
})
